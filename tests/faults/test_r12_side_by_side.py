"""R12: the released version and this one on one database and one broker, forth and back. At length: `make soak`."""

from pathlib import Path

import pytest

from tests.faults.scenarios.r12_side_by_side import RULES, forth_and_back, newest_release
from tests.faults.stage import staged

pytestmark = pytest.mark.slow


async def test_r12_the_last_release_and_this_version_run_side_by_side_forth_and_back(
    empty_database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    release = newest_release(tmp_path)
    async with staged(
        empty_database,
        kafka_bootstrap,
        topic_prefix,
        seed=12,
        connectors=150,
        rules=RULES,
        say=print,
        release=release,
    ) as stage:
        await forth_and_back(stage, release, rounds=200)
