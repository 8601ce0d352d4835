"""R10: poison never blocks. Every known kind of bad record among good ones of the same partitions."""

from pathlib import Path

import pytest

from tests.faults.poison import catalogue
from tests.faults.scenarios.r10_poison import poison_among_good
from tests.loop import running_loop

pytestmark = pytest.mark.slow


async def test_r10_dead_letters_are_exactly_the_poison_and_every_good_record_goes_through(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    assert len(catalogue()) >= 60
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        run = await poison_among_good(loop, seed=10, good_records=5_000, share=0.01, connectors=200)
    assert run.wrong == []
    assert (run.good, run.kinds) == (5_000, {kind.name for kind in catalogue()})
