"""The checker on a real run: it finds nothing wrong with it, and each wrong that is planted, by its own name."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from tests.checker import Report, Unreachable, check
from tests.checker.report import INVARIANTS
from tests.databases import created, dropped, execute, named
from tests.loop import Loop, eventually, running_loop

pytestmark = pytest.mark.slow

QUIET_S = 20.0


@dataclass(frozen=True)
class Ran:
    """What a run left behind: where it lies, and its connectors."""

    dsn: str
    bootstrap: str
    prefix: str
    healthy: ConnectorId
    failed: ConnectorId
    awaiting: ConnectorId
    disconnected: ConnectorId
    deleted: ConnectorId

    async def check(self, *, wait_s: float = 0) -> Report:
        return await check(self.dsn, self.bootstrap, self.prefix, wait_s=wait_s)


async def run(loop: Loop) -> dict[str, ConnectorId]:
    """A little of everything; returns the connectors by where they end."""
    # Of a company of its own, so that no other's sign-in repairs it.
    failed = await loop.failed("Drivewell Leasing LLC")
    healthy, disconnected = await loop.connected(), await loop.connected()
    await loop.fail(healthy, position="page-7")
    await loop.state(healthy, State.FAILED)
    await loop.reconnect(healthy)
    await loop.state(healthy, State.SYNCING)
    await loop.fail(healthy, generation=1)  # stale
    await loop.say(healthy, channels.SYNC_STARTED, generation=2)
    await loop.say(healthy, channels.SYNC_SUCCEEDED, generation=2)
    await loop.state(healthy, State.HEALTHY)
    await loop.say(healthy, channels.SYNC_SUCCEEDED, generation=2)
    await loop.say(healthy, channels.SYNC_FAILED, generation=2, error={"at": "network"})
    await loop.fail(failed)  # known already
    awaiting = await loop.register(connected=True)
    await loop.open(awaiting)
    deleted = await loop.register("gone", connected=True)
    await loop.produce(channels.COMMANDS, disconnected, channels.DISCONNECT.type, {})
    await loop.produce(channels.COMMANDS, deleted, channels.DELETE.type, {})
    await loop.say(healthy, channels.SYNC_STARTED, generation=2)  # by the schedule: nothing waits for it
    # What can't be handled.
    await loop.produce(channels.COMMANDS, deleted, channels.UPDATE.type, {"name": "Late"})
    await loop.produce(channels.SYNC_EVENTS, failed, channels.SYNC_FAILED.type, None, value=b"\xff{")
    await loop.say(ConnectorId("nobody"), channels.SYNC_STARTED)

    async def buried() -> bool:
        return await loop.pool.fetchval("select count(*) from dead_letter") == 3

    await eventually(buried, "three dead letters")
    await loop.state(disconnected, State.DISCONNECTED)
    return {
        "healthy": healthy,
        "failed": failed,
        "awaiting": awaiting,
        "disconnected": disconnected,
        "deleted": deleted,
    }


@pytest.fixture(scope="module")
def finished(
    postgres_server: str, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ran, Report]]:
    """One run, ended, and the checker's report while it was still up."""
    prefix, name = f"t{uuid.uuid4().hex[:10]}.", asyncio.run(created(postgres_server, "ran"))
    dsn = named(postgres_server, name)

    async def make() -> tuple[Ran, Report]:
        async with running_loop(dsn, kafka_bootstrap, prefix, tmp_path_factory.mktemp("run")) as loop:
            ran = Ran(dsn, kafka_bootstrap, prefix, **await run(loop))
            return ran, await ran.check(wait_s=QUIET_S)

    yield asyncio.run(make())
    asyncio.run(dropped(postgres_server, name))


@pytest.fixture
async def ran(finished: tuple[Ran, Report], postgres_server: str) -> AsyncIterator[Ran]:
    """The run with a copy of its database, which a test may spoil."""
    original = finished[0]
    copy = await created(postgres_server, "copy", original.dsn.rpartition("/")[2])
    yield replace(original, dsn=named(postgres_server, copy))
    await dropped(postgres_server, copy)


def test_a_real_run_holds_and_every_input_is_accounted_for(finished: tuple[Ran, Report]) -> None:
    report = finished[1]
    assert report.violations == []
    counts = report.counts
    assert counts["published transitions"] >= counts["transitions"] == counts["published states"] > 20
    assert counts["published dead letters"] == counts["dead letters"] == counts["inputs dead letters"] == 3
    assert counts["published sync requests"] == 4  # three first connections, and one reconnect
    # The stale failure, the one that passes by itself, and the start of a sync that was asked for.
    assert counts["inputs noted"] == 3
    assert counts["inputs silent: a sync's start"] == 1
    assert counts["inputs silent: a run that is known, or an older one"] == 2
    assert counts["inputs not consumed yet"] == 0


ONE = "connector = (select id from connector where connector_id = '{healthy}')"
# Replaced where it is no part of the connector's state, which another topic shows.
PLANTED: dict[str, tuple[set[str], str]] = {
    "an illegal transition": ({"I1"}, f"update transition set trigger = 'verified' where version = 1 and {ONE}"),
    "a transition from another state than the last one's": (
        {"I1"},
        f"update transition set from_state = 'syncing' where version = 2 and {ONE}",
    ),
    "a record that tells of another transition than its row": (
        {"I1"},
        f"update transition set trigger = 'update', from_state = 'failed' where version = 1 and {ONE}",
    ),
    "a version that the log doesn't know": (
        {"I2"},
        "update connector set version = version + 1 where connector_id = '{healthy}'",
    ),
    "a state that the log doesn't know": (
        {"I2"},
        "update connector set state = 'failed' where connector_id = '{healthy}'",
    ),
    "a connector without a log": (
        {"I2"},
        "insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since)"
        " values ('conjured', 0, 't', 'p', 'n', 'healthy', 1, now())",
    ),
    "a gap in the log's numbers": (
        {"I3"},
        "update transition set seq = seq + 1000"
        " where (shard, seq) in (select shard, max(seq) from transition group by shard)",
    ),
    "a number that was allotted and not used": ({"I3"}, "update shard set next_seq = next_seq + 1"),
    "a time that goes back": (
        {"I3"},
        f"update transition set at = at - interval '1 hour' where version = 3 and {ONE}",
    ),
    "a version twice in the log": (
        {"I3"},
        "with added as (insert into transition"
        " select t.shard, s.next_seq, t.at, connector, version, from_state, to_state, trigger, reason, step,"
        " attempt_id, record, sync_request, trace from transition t join shard s using (shard)"
        f" where version = 2 and {ONE}"
        " returning shard) update shard set next_seq = next_seq + 1 where shard in (select shard from added)",
    ),
    "another record than was published": (
        {"I4"},
        'update transition set record = replace(record::text, \'"origin":"owner"\', \'"origin":"host"\')::json'
        f" where version = 1 and {ONE}",
    ),
    "another sync request than was published": (
        {"I4"},
        "update transition set sync_request = replace(sync_request::text, '\"ask\":1', '\"ask\":2')::json"
        f" where sync_request is not null and {ONE}",
    ),
    "another dead letter than was published, or came in": (
        {"I4", "I11"},
        "update dead_letter set record_value = 'other' where code = 'malformed'",
    ),
    "two transitions by one event": (
        {"I6"},
        "update transition t set trace = (select trace from transition"
        f" where {ONE} and trigger = 'sync_succeeded' limit 1) where version = 1 and {ONE}",
    ),
    "a transition by an event that is a dead letter": (
        {"I6"},
        "update transition t set trace = json_build_object('causationid', ("
        "select convert_from(header_values[i], 'UTF8') from dead_letter, generate_subscripts(header_names, 1) i"
        " where code = 'connector_deleted' and header_names[i] = 'ce_id'::bytea))"
        " where version = 1 and connector = (select id from connector where connector_id = '{deleted}')",
    ),
    "a live attempt of a healthy connector": ({"I7"}, f"update attempt set ended_at = null where {ONE}"),
    "two live attempts": (
        {"I7"},
        "insert into attempt (attempt_id, connector, tenant_id, opened_at, expires_at, completion)"
        " select gen_random_uuid(), id, tenant_id, now(), now(), 'host' from connector"
        " where connector_id = '{awaiting}'",
    ),
    "a live attempt that has ended": ({"I7"}, "update attempt set ended_at = now() where ended_at is null"),
    "a generation that goes back": (
        {"I8"},
        "update connector set generation = generation - 1 where connector_id = '{healthy}'",
    ),
    "a generation that goes back in the log": (
        {"I4", "I8"},
        "update transition set record = replace(record::text, '\"generation\":1', '\"generation\":0')::json"
        f" where trigger = 'sync_failed' and {ONE}",
    ),
    "another account": ({"I8"}, "update connector set account_id = 'other' where connector_id = '{healthy}'"),
    "a credential of another generation": (
        {"I8"},
        f"update credential set generation = 1 where status = 'current' and {ONE}",
    ),
    "no credential in use": ({"I8"}, f"update credential set status = 'retiring' where {ONE}"),
    "a deadline that nobody fired": (
        {"I9"},
        "update connector set deadline = now() - interval '61 seconds' where connector_id = '{awaiting}'",
    ),
    "a timed state without a deadline": (
        {"I9"},
        "update connector set deadline = null where connector_id = '{awaiting}'",
    ),
    "an offset beyond the topic's end": ({"I10"}, "update input_partition set next_offset = next_offset + 1000"),
    "an offset behind what was stored": (
        {"I10"},
        "update input_partition set next_offset = 0 where topic like '%events.v1'",
    ),
    "an ignored input that isn't in the notes": ({"I10"}, "delete from note where why = 'stale_generation'"),
    "a transition that nobody asked for": (
        {"I10"},
        'update transition set trace = \'{{"causationid": "nobody-wrote-it"}}\' where version = 1 and ' + ONE,
    ),
    "a dead letter with a wrong reason": ({"I11"}, "update dead_letter set code = 'schema' where code = 'malformed'"),
    "a dead letter of what could be handled": (
        {"I11"},
        "update dead_letter set code = 'broken' where code = 'unknown_connector'",
    ),
}


@pytest.mark.parametrize(("invariants", "statement"), PLANTED.values(), ids=PLANTED)
async def test_a_planted_wrong_is_found_by_its_own_invariant(ran: Ran, invariants: set[str], statement: str) -> None:
    connection = await asyncpg.connect(ran.dsn)
    done = await connection.execute(statement.format(**vars(ran)))
    await connection.close()
    assert not done.endswith(" 0"), "the statement must find something to spoil"

    report = await ran.check()

    assert set(report.by_invariant) == invariants, report.lines()


def test_every_invariant_is_planted_here_but_what_only_topics_tell() -> None:
    planted = set().union(*(invariants for invariants, _ in PLANTED.values()))
    assert planted == set(INVARIANTS) - {"I5"}


async def test_a_deadline_may_be_a_little_late(ran: Ran) -> None:
    await execute(
        ran.dsn, "update connector set deadline = now() - interval '30 seconds' where state = 'awaiting_auth'"
    )

    assert (await ran.check()).holds
    strict = await check(ran.dsn, ran.bootstrap, ran.prefix, lateness=timedelta(seconds=10))
    assert set(strict.by_invariant) == {"I9"}


async def test_what_never_becomes_quiet_is_told_when_the_wait_ends(ran: Ran) -> None:
    await execute(ran.dsn, "update shard set published_seq = published_seq - 1")

    assert (await ran.check()).holds
    assert set((await ran.check(wait_s=0.5)).by_invariant) == {"I4"}


async def test_a_dropped_part_of_the_log_is_no_gap_where_that_is_said(ran: Ran) -> None:
    await execute(ran.dsn, f"delete from transition where version < 3 and {ONE.format(healthy=ran.healthy)}")

    assert {"I2", "I3"} <= set((await ran.check()).by_invariant)
    report = await check(ran.dsn, ran.bootstrap, ran.prefix, truncated=True)
    assert set(report.by_invariant) <= {"I10"}, report.lines()  # whose causes are gone, too


# As a program.


async def command(*arguments: str) -> tuple[int, str, str]:
    program = [sys.executable, "-m", "tests.checker", *arguments]
    pipe, root = asyncio.subprocess.PIPE, Path(__file__).parents[2]
    child = await asyncio.create_subprocess_exec(*program, cwd=root, stdout=pipe, stderr=pipe)
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_the_program_says_0_for_what_holds_and_1_for_what_is_violated(ran: Ran) -> None:
    where = ("--dsn", ran.dsn, "--bootstrap", ran.bootstrap, "--prefix", ran.prefix)
    code, out, _ = await command(*where)
    assert (code, out.splitlines()[-1]) == (0, "holds: I1 to I11")

    await execute(ran.dsn, f"update connector set version = version + 1 where connector_id = '{ran.healthy}'")
    code, out, _ = await command(*where)
    assert code == 1
    assert out.startswith(f"I2  {ran.healthy}: expected version 10, the log's newest, saw 11\n")

    code, out, _ = await command(*where, "--json")
    (violation,) = json.loads(out)["violations"]
    assert (code, violation["invariant"], violation["where"], violation["seen"]) == (1, "I2", ran.healthy, "11")


async def test_the_program_says_2_where_it_cant_tell(ran: Ran) -> None:
    assert (await command("--dsn", ran.dsn))[0] == 2
    code, _, err = await command("--dsn", ran.dsn, "--bootstrap", ran.bootstrap, "--prefix", "nobodys.")
    assert (code, err) == (2, "can't tell: Kafka has no topic nobodys.connectors.sync.events.v1\n")
    code, _, err = await command("--dsn", f"{ran.dsn}_gone", "--bootstrap", ran.bootstrap)
    assert code == 2 and err.startswith("can't tell: InvalidCatalogNameError")
    with pytest.raises(Unreachable, match="KafkaConnectionError"):
        await check(ran.dsn, "127.0.0.1:1", ran.prefix)
