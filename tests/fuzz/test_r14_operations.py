"""R14, a slice: nothing from outside makes a 5xx, and no tenant sees, changes or learns anything of another's."""

from pathlib import Path

import pytest

from tests.fuzz.walk import walked
from tests.window import running

pytestmark = pytest.mark.slow

OF_STRANGERS = 150


async def test_r14_s38_no_request_makes_a_5xx_or_gets_at_anything_of_another_tenant(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path) as service:
        told = await walked(service, seed=14, rounds=1, of_strangers=OF_STRANGERS)
    assert told.operations > 1500 and told.strangers > 300, told
