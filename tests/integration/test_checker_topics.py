"""The checker on forged topics: a small true log, published by the test itself, rightly and wrongly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas import channels
from service.engine.submission import Submission
from statemachine.inputs import Delete, Update
from tests.checker import Report, check
from tests.databases import created, dropped, execute, named
from tests.loop import HOST, running_loop

pytestmark = pytest.mark.slow

LIVING, GONE = "living", "gone"
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Log:
    """The log's rows of the two connectors: `living` with versions 1 to 3, `gone` deleted by its version 2."""

    dsn: str
    shards: dict[str, int]
    records: dict[tuple[str, int], bytes]


@pytest.fixture(scope="module")
def log(postgres_server: str, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """A log that is marked as published and that no relay ever saw."""
    name, folder = asyncio.run(created(postgres_server, "log")), tmp_path_factory.mktemp("log")
    dsn = named(postgres_server, name)

    async def make() -> Log:
        async with running_loop(dsn, kafka_bootstrap, f"{name}.", folder, worker=False) as loop:
            living, gone = await loop.register(LIVING, connected=True), await loop.register(GONE, connected=True)
            for said in (
                Update(connector=living, name="Two"),
                Update(connector=living, name="Three"),
                Delete(connector=gone),
            ):
                await loop.service.engine.submit(Submission(input=said, actor=HOST))
            await loop.pool.execute("update shard set published_seq = next_seq - 1")
            rows = await loop.pool.fetch(
                "select connector_id, c.shard, t.version, record::text"
                " from transition t join connector c on c.id = t.connector"
            )
        shards = {row["connector_id"]: row["shard"] for row in rows}
        return Log(dsn, shards, {(r["connector_id"], r["version"]): r["record"].encode() for r in rows})

    yield asyncio.run(make())
    asyncio.run(dropped(postgres_server, name))


@dataclass
class Forger:
    """Publishes on topics of the test's own."""

    log: Log
    bootstrap: str
    prefix: str
    producer: AIOKafkaProducer

    async def check(self) -> Report:
        return await check(self.log.dsn, self.bootstrap, self.prefix)

    async def send(self, topic: str, shard: int, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        at = await self.producer.send_and_wait(self.prefix + topic, value, key, shard, headers=headers)
        return int(at.offset)

    async def transition(self, id_: str, version: int, *, value: bytes | None = None, named: int | None = None) -> None:
        headers = [("ce_id", f"{id_}/{named or version}/connector.transition.v1".encode())]
        told = value or self.log.records[id_, version]
        await self.send(channels.TRANSITIONS.topic, self.log.shards[id_], id_.encode(), told, headers)

    async def state(self, id_: str, version: int, *, tombstone: bool = False, **changed: object) -> None:
        headers = [("ce_id", f"{id_}/{version}/connector.state.v1".encode())]
        snapshot = orjson.loads(self.log.records[id_, version])["connector"] | changed
        value = None if tombstone else orjson.dumps(snapshot)
        await self.send(channels.STATES.topic, self.log.shards[id_], id_.encode(), value, headers)

    async def transitions(self, *versions: int) -> None:
        """Both connectors' transitions, the living one's in this order."""
        for version in versions:
            await self.transition(LIVING, version)
        for version in (1, 2):
            await self.transition(GONE, version)

    async def states(self, *versions: int) -> None:
        for version in versions:
            await self.state(LIVING, version)
        await self.state(GONE, 1)
        await self.state(GONE, 2, tombstone=True)

    async def rightly(self) -> None:
        await self.transitions(1, 2, 3)
        await self.states(1, 2, 3)


@pytest.fixture
async def forger(log: Log, postgres_server: str, kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Forger]:
    copy = await created(postgres_server, "copy", log.dsn.rpartition("/")[2])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    names = [channel.topic for channel in channels.CHANNELS] + [channel.dead_letters for channel in channels.INPUTS]
    await admin.start()
    await admin.create_topics([NewTopic(topic_prefix + name, 2, 1) for name in names])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, linger_ms=0)
    await producer.start()
    yield Forger(replace(log, dsn=named(postgres_server, copy)), kafka_bootstrap, topic_prefix, producer)
    await producer.stop()
    await dropped(postgres_server, copy)


def found(report: Report) -> list[tuple[str, str, str]]:
    return [(v.invariant, v.expected, v.seen) for v in report.violations]


async def test_what_was_published_rightly_holds_and_so_do_repeats(forger: Forger) -> None:
    await forger.rightly()
    assert found(await forger.check()) == []
    await forger.transitions(2, 3)
    await forger.states(2, 3)
    report = await forger.check()
    assert found(report) == []
    assert report.counts["published repeats"] == 4


async def test_first_occurrences_out_of_order_are_found(forger: Forger) -> None:
    await forger.transitions(1, 3, 2)
    await forger.states(1, 2, 3)
    told = ("I5", "version 2 of living before version 3", "it for the first time here")
    assert found(await forger.check()) == [told]


async def test_a_zombies_late_repeat_in_the_compacted_topic_is_found(forger: Forger) -> None:
    await forger.rightly()
    await forger.state(LIVING, 2)
    assert found(await forger.check()) == [("I5", "version 3 last in the compacted topic", "2")]


async def test_a_newest_state_with_other_words_is_found(forger: Forger) -> None:
    await forger.rightly()
    await forger.state(LIVING, 3, name="Four")
    assert found(await forger.check()) == [("I5", "version 3 in the compacted topic as logged", "another value")]


async def test_a_deleted_connector_without_its_tombstone_is_found(forger: Forger) -> None:
    await forger.rightly()
    await forger.state(GONE, 2)
    assert found(await forger.check()) == [("I5", "a tombstone last in the compacted topic", "version 2")]


async def test_a_key_that_the_compacted_topic_never_had_is_found(forger: Forger) -> None:
    await forger.transitions(1, 2, 3)
    await forger.state(GONE, 2, tombstone=True)
    assert found(await forger.check()) == [("I5", "version 3 in the compacted topic", "no record of this key")]


async def test_a_transition_that_was_never_published_is_found(forger: Forger) -> None:
    await forger.transitions(1, 3)
    await forger.states(1, 2, 3)
    ((invariant, expected, seen),) = found(await forger.check())
    assert (invariant, seen) == ("I4", "none") and expected.startswith("a record of version 2, since seq ")


@pytest.mark.parametrize(
    ("named", "value", "told"),
    [
        (9, None, ("an event of the log", "the id 'living/9/connector.transition.v1'")),
        (2, b'{"forged": true}', ("version 2 as the log has it", "another value")),
    ],
    ids=["a version that the log doesn't have", "another value under a known id"],
)
async def test_a_forged_transition_is_found(
    forger: Forger, named: int, value: bytes | None, told: tuple[str, str]
) -> None:
    await forger.rightly()
    await forger.transition(LIVING, 2, named=named, value=value)
    assert found(await forger.check()) == [("I4", *told)]


async def test_a_forged_sync_request_is_found(forger: Forger) -> None:
    await forger.rightly()
    headers = [("ce_id", b"living/2/sync.requested.v1")]
    await forger.send(channels.SYNC_REQUESTS.topic, 0, LIVING.encode(), b"{}", headers)
    assert found(await forger.check()) == [("I4", "the sync request of version 2, as logged", "another")]


# Inputs, which nobody consumes here: the test says how far they were.


async def produced(forger: Forger, topic: str, value: bytes, **changed: bytes) -> tuple[int, Headers]:
    """An event of the living connector's sync, or what else `changed` makes of it; returns its offset and headers."""
    good = {"specversion": b"1.0", "id": b"e-1", "source": b"/s", "subject": LIVING.encode()}
    good |= {"type": b"io.regrant.sync.failed.v1", "time": b"2026-11-24T08:30:00Z"}
    headers = [(f"ce_{name}", raw) for name, raw in (good | changed).items()]
    return await forger.send(topic, 0, changed.get("subject", LIVING.encode()), value, headers), headers


async def consumed(forger: Forger, topic: str, value: bytes, **changed: bytes) -> None:
    """The same, and the partition's offset beyond it."""
    offset, _ = await produced(forger, topic, value, **changed)
    row = f"('{forger.prefix}{topic}', 0, {offset + 1})"
    await execute(forger.log.dsn, f"insert into input_partition (topic, partition, next_offset) values {row}")


async def test_a_command_whose_repeat_is_refused_is_no_contradiction(forger: Forger) -> None:
    await forger.rightly()
    value = b'{"tenant_id": "t", "provider": "p", "name": "n", "connected": true}'
    told = {"id": b"r-1", "subject": GONE.encode(), "type": b"io.regrant.connector.register.v1"}
    await produced(forger, channels.COMMANDS.topic, value, **told)  # made the connector
    offset, headers = await produced(forger, channels.COMMANDS.topic, value, **told)  # came after it was deleted
    topic = forger.prefix + channels.COMMANDS.topic
    connection = await asyncpg.connect(forger.log.dsn)
    await connection.execute(
        'update transition set trace = \'{"causationid": "r-1"}\''
        " where version = 1 and connector = (select id from connector where connector_id = $1)",
        GONE,
    )
    await connection.execute(
        "with allotted as (update shard set next_seq = next_seq + 1 where shard = 0 returning next_seq - 1 as seq)"
        " insert into dead_letter"
        " select 0, seq, now(), $1, 0, $2, $3, $4, $5, $6, 'connector_deleted', '' from allotted",
        *(topic, offset, GONE.encode(), value, [name.encode() for name, _ in headers], [raw for _, raw in headers]),
    )
    await connection.execute("insert into input_partition values ($1, 0, 1, $2)", topic, offset + 1)
    await connection.close()

    report = await forger.check()

    assert found(report) == []
    assert (report.counts["inputs made a transition"], report.counts["inputs dead letters"]) == (1, 1)


async def test_an_input_that_was_consumed_and_caused_nothing_is_found(forger: Forger) -> None:
    await forger.rightly()
    await consumed(forger, channels.SYNC_EVENTS.topic, b'{"reason": "grant_revoked"}')
    told = ("I10", "what sync_failed of living caused, event e-1", "nothing, though it is consumed")
    assert found(await forger.check()) == [told]


async def test_a_bad_input_that_was_consumed_and_not_buried_is_found(forger: Forger) -> None:
    await forger.rightly()
    await consumed(forger, channels.SYNC_EVENTS.topic, b"{", id=b"e-2")
    assert found(await forger.check()) == [("I11", "a dead letter: malformed", "none")]


async def test_an_input_of_nobody_that_was_consumed_and_not_buried_is_found(forger: Forger) -> None:
    await forger.rightly()
    await consumed(forger, channels.SYNC_EVENTS.topic, b'{"reason": "grant_revoked"}', subject=b"nobody")
    assert found(await forger.check()) == [("I11", "a dead letter: nobody registered it", "none")]


TOLD: Headers = [
    ("dlq-reason", b"malformed"),
    ("dlq-detail", b"."),
    ("dlq-topic", b"events"),
    ("dlq-partition", b"0"),
    ("dlq-offset", b"7"),
    ("dlq-first-seen", b"2026-11-24T08:30:00Z"),
]


@pytest.mark.parametrize(
    ("headers", "invariant"), [(TOLD, "I4"), (TOLD[:-1], "I11"), ([], "I11")], ids=["unknown", "cut", "bare"]
)
async def test_a_forged_dead_letter_is_found(forger: Forger, headers: Headers, invariant: str) -> None:
    await forger.rightly()
    await forger.send(channels.SYNC_EVENTS.dead_letters, 0, b"k", b"v", headers)
    assert [one[0] for one in found(await forger.check())] == [invariant]
