"""Known ends in lists: a host's own, page by page, and an operator's over all tenants."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.problems import ProblemCode
from service.app import web_app
from service.demo.embedded.child import Supervisor
from service.store import reads
from service.store.migrate import migrate
from service.terminal.expiring import expiring, printed
from tests.faults.fleet import Fleet
from tests.integration.test_api import Host, problem
from tests.loop import Loop, running_loop

DAY = timedelta(days=1)
CONNECTOR = """
insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since)
values ($1, 0, $2, 'quickbooks-online', 'Books', 'healthy', 1, now())
"""
CREDENTIAL = """
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, refresh_sealed, scope,
    access_expires_at, refresh_expires_at, refresh_estimated
)
select id, 1, gen_random_uuid(), 'current', 0, '', '', '', '', now(), now() + $2::interval, $3 from connector
where connector_id = $1
"""


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def ending(
    connection: asyncpg.Connection, id_: str, left: timedelta, *, tenant: str = "drivewell", estimated: bool = False
) -> str:
    """A connector whose credential ends then."""
    await connection.execute(CONNECTOR, id_, tenant)
    await connection.execute(CREDENTIAL, id_, left, estimated)
    return id_


async def test_a_host_asks_which_credentials_end_soon_and_no_page_misses_or_repeats_one(
    host: Host, loop: Loop, connection: asyncpg.Connection
) -> None:
    soon = [await ending(connection, f"c{n}", 5 * DAY) for n in range(0, 10, 2)]
    for n in range(1, 10, 2):
        await ending(connection, f"c{n}", 60 * DAY)
    await ending(connection, "c5x", 5 * DAY, tenant="stranger")
    await host.registered("c6x")  # it has no credential yet
    before = (datetime.now(UTC) + 30 * DAY).isoformat().replace("+00:00", "Z")
    page, seen = f"/v1/connectors?expiring_before={before}&limit=2", list[str]()
    while page:
        answer = await host.call("GET", page)
        told = await answer.json()
        assert answer.status == 200 and len(told["connectors"]) <= 2, told
        seen += [one["connector_id"] for one in told["connectors"]]
        link = answer.headers.get("Link")
        page = link[1 : link.index(">")] if link else ""
        # What was shown is renewed meanwhile: it leaves the list, and the others stay in their places.
        await connection.execute(
            "update credential set refresh_expires_at = now() + interval '90 days'"
            " where connector = (select id from connector where connector_id = $1)",
            seen[0],
        )

    assert seen == soon


async def test_what_is_no_instant_or_no_number_is_told_by_its_name(host: Host) -> None:
    for query in (
        "expiring_before=soon",
        "expiring_before=2026-12-31",
        "expiring_before=2026-12-31T00:00:00",
        "expiring_before=0001-01-01T00:00:00%2B14:00",
        "expiring_before=",
        "limit=0",
        "limit=501",
        "limit=ten",
        "limit=%D9%A3",
    ):
        told = await problem(await host.call("GET", f"/v1/connectors?{query}"), ProblemCode.INVALID_REQUEST)
        assert query.partition("=")[0] in told["detail"]


async def test_an_operator_sees_the_nearest_ends_of_all_tenants(loop: Loop, connection: asyncpg.Connection) -> None:
    await ending(connection, "later", 20 * DAY)
    await ending(connection, "far", 40 * DAY)
    await ending(connection, "sooner", 3 * DAY, tenant="stranger", estimated=True)
    await connection.execute("update connector set warned = '2026-11-02T03:04Z' where connector_id = 'sooner'")

    lines = printed(await expiring(loop.service.settings, 30 * DAY))

    head, sooner, later = (line.split("  ") for line in lines)
    assert head[0].strip() == "ends"
    assert [cell.strip() for cell in sooner if cell][1:] == [
        "estimated",
        "stranger",
        "sooner",
        "quickbooks-online",
        "healthy",
        "2026-11-02 03:04Z",
    ]
    assert [cell.strip() for cell in later if cell][1:4] == ["told", "drivewell", "later"]
    assert printed(await expiring(loop.service.settings, DAY)) == ["nothing ends that soon"]


async def test_the_command_prints_them_as_json(
    database: str, connection: asyncpg.Connection, kafka_bootstrap: str, topic_prefix: str
) -> None:
    await migrate(connection, shards=1)
    await ending(connection, "books", 3 * DAY)
    with contextlib.closing(Supervisor()) as supervisor:
        environment = Fleet(supervisor, database, kafka_bootstrap, topic_prefix, shards=1).environment
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "service.cli", "expiring", "--within", "7", "--json"],
            env=environment,
            capture_output=True,
            timeout=60,
        )

    assert done.returncode == 0, done.stderr
    (one,) = orjson.loads(done.stdout)
    assert (one["tenant"], one["connector"], one["estimated"], one["warned"]) == ("drivewell", "books", False, None)


async def test_both_lists_use_their_indexes(connection: asyncpg.Connection) -> None:
    await migrate(connection, shards=1)
    await connection.execute(
        "insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since)"
        " select 'c' || n, 0, 't' || n % 40, 'xero', '', 'healthy', 1, now() from generate_series(1, 20000) n"
    )
    await connection.execute(
        "insert into credential (connector, generation, attempt_id, status, data_key, account_id, access_sealed,"
        " refresh_sealed, scope, access_expires_at, refresh_expires_at) select id, 1, gen_random_uuid(), 'current', 0,"
        " '', '', '', '', now(), now() + id * interval '1 hour' from connector"
    )
    await connection.execute("analyze connector, credential")

    host = await connection.prepare(reads.CONNECTORS)
    used = str(await host.explain("t1", "", None, None, datetime.now(UTC) + 30 * DAY, 101))
    assert "connector_tenant" in used and "Seq Scan" not in used, used
    operator = await connection.prepare(reads.ENDINGS)
    used = str(await operator.explain(7 * DAY, 1001, None))
    assert "credential_ends" in used, used
