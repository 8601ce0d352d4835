"""S36 with processes that are killed: what `regrant keys` does to thousands of data keys while tokens are refreshed."""

from pathlib import Path

import pytest

from tests.faults.scenarios.s36_rewrap import rewrapped_under_load
from tests.loop import running_loop

pytestmark = pytest.mark.slow


async def test_s36_after_kills_in_the_middle_no_row_is_under_the_old_key_and_no_refresh_failed(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        told = await rewrapped_under_load(loop, data_keys=3_000, kills=2)
    assert told.wrong == []
    assert told.kills == 2
    assert told.refreshes > 20
