"""S25: after a whole connection, no object of ours that is still there shows a secret in its `repr`."""

import gc
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.loop import Loop, running_loop
from tests.markers import leaks

OURS = ("service.", "schemas.", "statemachine.")


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


def objects_of_ours() -> Iterator[object]:
    """All that live; but the simulator's: it is the provider, whose world is made of tokens."""
    for thing in gc.get_objects():
        module = type(thing).__module__
        if isinstance(module, str) and module.startswith(OURS) and not module.startswith("service.demo."):
            yield thing


async def test_s25_no_object_of_a_whole_connection_shows_a_secret(loop: Loop) -> None:
    id_ = await loop.connected()
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun)
    returned = await loop.returned(begun, query)
    token = await loop.token(id_, timedelta(hours=2))
    gc.collect()
    seen = list(objects_of_ours())
    assert len(seen) > 100 and all(any(thing is one for one in seen) for thing in (begun, returned, token))
    leaky = {f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in seen if leaks(repr(thing).encode())}
    assert leaky == set()
    assert leaks(query.encode()) and leaks(handoff.reveal().encode()), "what was hunted for was marked"
