"""The console's live stream: each connector that moves, but not more than eyes follow; and whole snapshots, paced."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from service.console import live


def moved(version: int) -> bytes:
    data = b'{"connector_id":"c1","from":"healthy","to":"failed","version":%d}' % version
    return b"event: transition\nid: x\ndata: %b\n\n" % data


async def many(count: int, then: asyncio.Event) -> AsyncGenerator[bytes, None]:
    yield b"retry: 1000\nid: x\n\n"
    for version in range(count):
        yield moved(version)
    await then.wait()


async def test_a_wave_is_told_whole_and_its_snapshots_are_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AT_MOST_EVERY_S", 0.05)
    over, told = asyncio.Event(), list[object]()
    async for one in live._paced(many(500, over)):
        told.append(one)
        if one is None and told.count(None) == 2:
            over.set()
    assert [one["version"] for one in told if isinstance(one, dict)] == list(range(500))
    assert told[-1] is None, "the last of a wave is followed by a snapshot"


async def test_the_stream_ends_with_the_events_that_it_follows() -> None:
    over = asyncio.Event()
    over.set()
    assert [one for one in [one async for one in live._paced(many(1, over))] if one] != []


async def test_a_connectors_stream_tells_of_that_connector_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()
    over.set()
    own = [event async for event in live._one(many(2, over), "c1")]
    assert b'event: moved\ndata: {"version":1}\n\n' in own
    other = [event async for event in live._one(many(2, over), "c2")]
    assert not any(b"moved" in event for event in other)


def test_heartbeats_and_what_is_no_transition_are_passed_over() -> None:
    assert live._data(b": still here\nid: x\n\n") is None
    assert live._data(b"retry: 1000\nid: x\n\n") is None
    assert live._data(moved(3)) == {"connector_id": "c1", "from": "healthy", "to": "failed", "version": 3}
