"""What the service is killed amidst: scenarios, each of which a lane brings to its good end whatever dies meanwhile.

A scenario begins and ends with its connector healthy.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_CANADA, DRIVEWELL_INC
from tests.faults.crashes_of_ends import hinted, rewrapped, warned_and_renewed
from tests.faults.crashes_of_sharing import shared
from tests.faults.crashes_of_tokens import imported, refreshed, refreshed_slowly, refused_at_refresh, refused_by_the_api
from tests.faults.crashes_of_windows import (
    first_sync_seen,
    handed_on_and_helped,
    now_due,
    told_afterwards,
    verified_again,
    window_of,
)
from tests.faults.lane import NO_ANSWER, Books, Lane

Scenario: TypeAlias = Callable[[Lane, Books], Awaitable[None]]

# Kafka alone.


async def failed_and_recovered(lane: Lane, books: Books) -> None:
    """The connector fails, and a sync from elsewhere heals it; a stale event and one that nobody can read beside it."""
    await lane.fail(books)
    await lane.say(books, channels.SYNC_SUCCEEDED, generation=0)
    await lane.say(books, channels.SYNC_SUCCEEDED, generation="one")
    await lane.is_in(books, State.FAILED)
    await lane.succeed(books)
    await lane.is_in(books, State.HEALTHY)


async def poisoned(lane: Lane, books: Books) -> None:
    """A command that only the database can refuse (its attempt id is another's), among good records."""
    taken = await lane.database.fetchval("select attempt_id from attempt order by opened_at limit 1")
    command = lane.events.event(channels.COMMANDS, channels.START_REAUTH, books.id, {"attempt_id": str(taken)})
    rename = lane.events.event(channels.COMMANDS, channels.UPDATE, books.id, {"name": f"Books {time.monotonic_ns()}"})
    await asyncio.gather(*(lane.events.send(event) for event in (command, rename, command)))
    name = json.loads(rename.value)["name"]

    async def renamed() -> bool:
        return bool((await lane.row(books))["name"] == name)

    await lane.until(renamed, "the good record among the poisonous ones is applied")


# People.


async def reconnected(lane: Lane, books: Books) -> None:
    """The whole loop: refused, signed in again, verified, swapped, synced."""
    await lane.fail(books)
    await lane.is_in(books, State.FAILED)
    await lane.bring_back(books)


async def first_connected_then_deleted(lane: Lane, books: Books) -> None:
    """Another connector's whole life: registered, connected with the host's confirmation, taken off, deleted."""
    other = Books(f"{books.id}-{time.monotonic_ns()}", "Drivewell Canada ULC", DRIVEWELL_CANADA)
    await lane.register(other)
    await lane.bring_back(other)
    await lane.command(other, channels.DISCONNECT)
    await lane.is_in(other, State.DISCONNECTED)
    await lane.command(other, channels.DELETE)
    await lane.is_in(other, State.DELETED)
    pk = (await lane.row(other))["id"]

    async def nothing_left() -> bool:
        left = "select (select count(*) from credential where connector = $1) + "
        left += "(select count(*) from data_key where connector = $1) + (select count(*) from job where connector = $1)"
        return bool(await lane.database.fetchval(left, pk) == 0)

    await lane.until(nothing_left, f"credential, key and jobs of {other.id} are gone")


async def strangers_and_reloads(lane: Lane, books: Books) -> None:
    """The link is opened again by whoever spent it, and the callback by somebody else; then it goes its way."""
    async with lane.person() as person, lane.person() as stranger:
        _, handoff = await lane.open(books)
        try:
            authorize = await person.press(await person.look(handoff))
        except NO_ANSWER:
            await lane.bring_back(books)
            return
        await lane.look(person, URL(handoff))
        callback = await lane.sign_in(person, authorize, books.company)
        assert (await lane.look(stranger, callback)).status == 404
        before = await lane.credential(books)
        screen = await lane.ending(person, await lane.come_back(person, callback))
        assert await lane.was_interrupted(books, screen, before) or screen.name == "connected", screen
    await lane.bring_back(books)


async def wrong_company(lane: Lane, books: Books) -> None:
    """The wrong company's grant is revoked and shredded, also where the provider is away at the first try."""
    away = lane.simulator.faults.throw("status", "oauth", endpoint="revoke", status=503, remaining=1)
    screen = await lane.reconnect(books, company="Acme Ltd")
    assert "wrong_account" in screen.name, screen.name

    async def shredded() -> bool:
        return bool(await lane.database.fetchval("select count(*) = 0 from credential where status <> 'current'"))

    await lane.until(shredded, "the wrong company's grant is shredded")
    lane.simulator.faults.lift(away.id)
    live = lane.simulator.world.grants.live(ACME_LTD)
    assert not [grant for grant in live if grant.access], "a wrong company's grant that was exchanged is revoked"
    await lane.bring_back(books)


async def second_thoughts(lane: Lane, books: Books) -> None:
    """No thanks; then again, but with the wrong company; then again, and given up; and once more, ended by the host."""
    async with lane.person() as person:
        page = await lane.come_back(person, await lane.begin(books, person, consent=False))
        await lane.ending(person, page)
        if (authorize := await lane.press(person, page)) is not None:
            page = await lane.come_back(person, await lane.sign_in(person, authorize, "Acme Ltd"))
            await lane.ending(person, page)
            if (authorize := await lane.press(person, page)) is not None:
                await _given_up(lane, books)
    attempt, _ = await lane.open(books)
    await lane.call("POST", f"/v1/attempts/{attempt}/cancel")
    await lane.bring_back(books)


async def _given_up(lane: Lane, books: Books) -> None:
    """At the provider, the person turns back to the window and stops."""
    async with lane.person() as person:
        await lane.begin(books, person)
        _, handoff = await lane.open(books)
        try:
            await person.press(await person.look(handoff))
            row = await lane.row(books)
            page = await lane.look(person, window_of(lane, row["attempt_id"]))
            if len(page.forms) > 1:
                await person.press(page, page.forms[1].label)
        except NO_ANSWER:
            return


# Deadlines.


async def deadlines_passed(lane: Lane, books: Books) -> None:
    """Nobody comes to the attempt; then the sync isn't started in time, and is asked for again."""
    await lane.open(books)
    await now_due(lane, books)
    await lane.is_in(books, State.HEALTHY)
    assert (await lane.row(books))["attempt_reason"] == Reason.ATTEMPT_EXPIRED
    await lane.reconnect(books)
    await lane.is_in(books, State.SYNCING)
    await now_due(lane, books)

    async def asked_again() -> bool:
        return bool((await lane.row(books))["sync_asks"] == 2)

    await lane.until(asked_again, f"the sync of {books.id} is asked for again")
    await lane.bring_back(books)


# The provider.


async def provider_away(lane: Lane, books: Books) -> None:
    """The provider refuses the connection at the exchange, then has an outage while the company is checked."""
    async with lane.person() as person:
        callback = await lane.begin(books, person)
        outage = lane.simulator.faults.throw("status", "api", endpoint="companyinfo", status=503, remaining=1)
        await lane.simulator.down("oauth")
        returning = asyncio.create_task(lane.come_back(person, callback))
        try:

            async def told() -> bool:
                row = await lane.row(books)
                return bool(row["unavailable"] or not row["attempt_id"])

            await lane.until(told, f"{books.id}: the provider is away")
        finally:
            await lane.simulator.up("oauth")
        await lane.ending(person, await returning)
        lane.simulator.faults.lift(outage.id)
    await lane.bring_back(books)


async def slow_check(lane: Lane, books: Books) -> None:
    """The check outlasts its lease, which is renewed meanwhile."""
    slow = lane.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=0.6)
    await lane.reconnect(books)
    lane.simulator.faults.lift(slow.id)
    await lane.bring_back(books)


async def exchange_begun_before(lane: Lane, books: Books) -> None:
    """As a process leaves it that died with the code on its way: begun, and nothing stored."""
    begun = "update attempt set exchange_begun_at = now() where ended_at is null"
    async with lane.person() as person:
        callback = await lane.begin(books, person)
        await lane.database.execute(begun)
        screen = await lane.ending(person, await lane.come_back(person, callback))
        assert "exchange_interrupted" in screen.name, screen.name
        assert lane.simulator.journal.exchanges_of(callback.query["code"]) == 0
    await lane.bring_back(books)


async def exchange_lost_and_code_refused(lane: Lane, books: Books) -> None:
    """The token endpoint's answer is lost, and the window goes on by itself. Then a made-up code comes back."""
    drop = lane.simulator.faults.throw("drop", "oauth", endpoint="token", remaining=1)
    async with lane.person() as person:
        page = await lane.come_back(person, await lane.begin(books, person))
        await lane.ending(person, page)
        lane.simulator.faults.lift(drop.id)
        authorize = await lane.press(person, page)
        if authorize is not None:
            callback = await person.sign_in(authorize, company=books.company)
            forged = callback.update_query(code="XAB1made-up")
            await lane.ending(person, await lane.come_back(person, forged))
    await lane.bring_back(books)


# Servers.


async def database_cut(lane: Lane, books: Books) -> None:
    """Every connection to the database is cut while something is going on."""
    for _ in range(4):
        await lane.fail(books)
        await lane.database.execute(CUT)
        await lane.is_in(books, State.FAILED)
        await lane.succeed(books)
        await lane.database.execute(CUT)
        await lane.is_in(books, State.HEALTHY)


CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and (application_name like 'regrant%' or query ilike 'listen %')
"""


async def database_cut_amidst_a_check(lane: Lane, books: Books) -> None:
    """The connection is cut while the check's result is being kept: the job is tried again."""
    slow = lane.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=0.3, remaining=1)
    asked = lane.simulator.journal.by_endpoint["companyinfo"]

    async def cut() -> None:
        await lane.simulator.journal.until(lambda journal: journal.by_endpoint["companyinfo"] > asked)
        await _cut_where_it_waits(lane, "select from credential where status = 'candidate' for update", waiting=1)

    await asyncio.gather(cut(), lane.reconnect(books))
    lane.simulator.faults.lift(slow.id)
    await lane.bring_back(books)


async def _cut_where_it_waits(lane: Lane, lock: str, *, waiting: int) -> None:
    """Locks rows, and cuts the service's connections once so many of them wait for these; or after a while."""
    blocked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with lane.database.acquire() as connection, connection.transaction():
        await connection.execute(lock)
        for _ in range(30):  # fewer may ever wait, where the process dies before
            if await lane.database.fetchval(blocked) >= waiting:
                break
            await asyncio.sleep(0.05)
        await lane.database.execute(CUT)


async def overtaken(lane: Lane, books: Books) -> None:
    """Another owner took the partitions and the shards in the database: the group gives them back to this process."""
    await lane.database.execute("update input_partition set owner_epoch = owner_epoch + 1")
    await lane.database.execute("update shard set relay_epoch = relay_epoch + 1")
    await failed_and_recovered(lane, books)


async def contended(lane: Lane, books: Books) -> None:
    """Somebody else's writes to the same connector come in between, over and over."""
    touch = "update connector set revision = revision + 1 where connector_id = $1"

    async def touching() -> None:
        while True:
            await lane.database.execute(touch, books.id)

    touching_ = [asyncio.create_task(touching()) for _ in range(2)]
    try:
        for _ in range(3):
            await lane.fail(books)
            await lane.succeed(books)
        await asyncio.sleep(0.3)  # long enough to be in each other's way
    finally:
        for task in touching_:
            task.cancel()
        await asyncio.gather(*touching_, return_exceptions=True)
    last = datetime.now(UTC)
    await lane.succeed(books)

    async def heard() -> bool:
        row = await lane.row(books)
        return bool(row["state"] == State.HEALTHY and row["last_success"] >= last)

    await lane.until(heard, f"the last success of {books.id} is heard")  # it was healthy to begin with


# Birth and end of the process itself.


async def born(lane: Lane, books: Books) -> None:
    """A process starts with work waiting for it, and is asked by the host before it has claimed anything."""
    attempt, _ = await lane.open(books)
    await lane.call("POST", f"/v1/attempts/{attempt}/cancel")
    await lane.is_in(books, State.HEALTHY)
    await failed_and_recovered(lane, books)


async def born_and_cut_off(lane: Lane, books: Books) -> None:
    """The connections are cut while a new process claims its partitions and shards."""
    await _cut_where_it_waits(lane, "select from input_partition for update", waiting=1)
    await _cut_where_it_waits(lane, "select from shard for update", waiting=1)
    await failed_and_recovered(lane, books)


async def stopped(lane: Lane, books: Books) -> None:
    """SIGTERM just after something was stored."""
    await lane.fail(books)
    await lane.is_in(books, State.FAILED)
    lane.victim.stop()
    await lane.succeed(books)
    await lane.is_in(books, State.HEALTHY)


RUNNING: tuple[Scenario, ...] = (
    failed_and_recovered,
    refreshed,
    reconnected,
    overtaken,
    poisoned,
    contended,
    database_cut,
    database_cut_amidst_a_check,
    strangers_and_reloads,
    wrong_company,
    slow_check,
    refreshed_slowly,
    exchange_begun_before,
    second_thoughts,
    refused_at_refresh,
    refused_by_the_api,
    imported,
    shared,
    warned_and_renewed,
    hinted,
    rewrapped,
    provider_away,
    exchange_lost_and_code_refused,
    first_connected_then_deleted,
    deadlines_passed,
    handed_on_and_helped,
    told_afterwards,
    first_sync_seen,
    verified_again,
    stopped,
)
"""Those that a process is watched in from some moment on."""
BIRTHS: tuple[Scenario, ...] = (born, born_and_cut_off)
"""Those that begin with a process, which is watched from its first breath."""


async def connected_books(lane: Lane) -> Books:
    """A connector that went through its first connection and its first sync."""
    books = Books("books", "Drivewell Inc", DRIVEWELL_INC)
    await lane.register(books)
    await lane.bring_back(books)
    return books
