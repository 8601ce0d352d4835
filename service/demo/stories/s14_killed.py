"""Story 14: the service is killed with SIGKILL while connectors are in every state; all end where the oracle says."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from service.demo.client import Json
from service.demo.person import Person
from service.demo.stories.oracle import expected
from service.demo.stories.story import MORTAL, story
from service.demo.stories.tale import Tale
from service.demo.stories.world import Books, World

LEASE_AND_MORE_S = 60
"""A dead process's job is taken over when its lease ends."""


@dataclass(slots=True)
class Cast:
    """One connector of the story, and what happened to it."""

    name: str
    books: Books
    tale: Tale
    person: Person
    callback: URL = field(default_factory=URL)
    attempt: Json | None = None


@story(14, "Killed while connectors are in every state, and restarted on the same data", platform=MORTAL)
async def killed(world: World) -> None:
    async with AsyncExitStack() as people:
        names = [
            "healthy",
            "failed",
            "awaiting",
            "edited",
            "checking",
            "exchanging",
            "syncing",
            "disconnected",
            "deleted",
        ]
        cast = dict(zip(names, await asyncio.gather(*(_connected(world, people, name) for name in names)), strict=True))
        await asyncio.gather(*(_PREPARE[name](world, one) for name, one in cast.items() if name in _PREPARE))
        found = {row["state"] for row in await world.database.fetch("select distinct state from connector")}
        world.equal(found, {state.value for state in State} - {"absent"}, "connectors are in every state there is")

        deployment = world.platform.deployment
        killed = deployment.pid
        deployment.kill()
        await world.until(lambda: _refuses(world), "after SIGKILL nobody answers")
        await _meanwhile(world, cast)
        world.platform.simulator.faults.lift_all()
        await deployment.start()
        world.check(deployment.pid != killed, "it was started again, on the same data")

        await _goes_on(world, cast)
        await asyncio.gather(*(_ends_where_the_oracle_says(world, one) for one in cast.values()))
        code = cast["exchanging"].callback.query["code"]
        sent = world.platform.simulator.journal.exchanges_of(code)
        world.equal(sent, 1, "the code whose exchange was cut off was sent once, and never again")


async def _connected(world: World, people: AsyncExitStack, name: str) -> Cast:
    books = await world.connected(f"Killed while {name}")
    person = await people.enter_async_context(world.person(books))
    return Cast(name, books, Tale().connected(), person)


# Into every state.


async def _fail(world: World, one: Cast) -> None:
    await world.refuse(one.books)
    one.tale.refused()
    await world.stands(one.books, State.FAILED, f"{one.books.name}: failed")


async def _await(world: World, one: Cast) -> None:
    await _fail(world, one)
    await _go_to_the_provider(world, one)


async def _edit(world: World, one: Cast) -> None:
    one.attempt = await world.open(one.books)
    one.tale.opened()
    await world.stands(one.books, State.AWAITING_AUTH, f"{one.books.name}: awaiting", fallback=State.HEALTHY)


async def _go_to_the_provider(world: World, one: Cast) -> None:
    one.attempt = await world.open(one.books)
    one.tale.opened()
    start = await one.person.look(one.attempt["handoff"]["url"])
    one.callback = await one.person.sign_in(await one.person.press(start))


async def _check(world: World, one: Cast) -> None:
    """Comes back; the company's check hangs when the new grant is stored already."""
    await _await(world, one)
    realm = one.books.company.realm
    world.platform.simulator.faults.throw("slow", "api", endpoint="companyinfo", realm=realm, seconds=300)
    await one.person.come_back(one.callback)
    one.tale.came_back()

    async def stored() -> bool:
        return bool(
            await world.database.fetchval(
                "select 1 from credential k join connector c on c.id = k.connector"
                " where c.connector_id = $1 and k.status = 'candidate'",
                one.books.id,
            )
        )

    await world.until(stored, f"{one.books.name}: the grant is exchanged, its check runs")


async def _exchange(world: World, one: Cast) -> None:
    """Comes back; the exchange hangs when the code is on its way."""
    await _await(world, one)
    realm, code = one.books.company.realm, one.callback.query["code"]
    world.platform.simulator.faults.throw("slow", "oauth", endpoint="token", realm=realm, seconds=300)
    await one.person.come_back(one.callback)
    one.tale.came_back()
    journal = world.platform.simulator.journal
    await world.until(lambda: journal.exchanges_of(code) == 1, f"{one.books.name}: the code is on its way")


async def _sync(world: World, one: Cast) -> None:
    await _await(world, one)
    world.platform.sync_engine.held.add(one.books.id)
    await one.person.come_back(one.callback)
    one.tale.came_back().verified()
    await world.stands(one.books, State.SYNCING, f"{one.books.name}: syncing")


async def _disconnect(world: World, one: Cast) -> None:
    answer = await world.platform.regrant.call("POST", f"/v1/connectors/{one.books.id}/disconnect")
    world.equal(answer.status, 200, f"{one.books.name}: taken off")
    one.tale.disconnected()


async def _delete(world: World, one: Cast) -> None:
    answer = await world.platform.regrant.call("DELETE", f"/v1/connectors/{one.books.id}")
    world.equal(answer.status, 204, f"{one.books.name}: deleted")
    one.tale.deleted()


_PREPARE = {
    "failed": _fail,
    "awaiting": _await,
    "edited": _edit,
    "checking": _check,
    "exchanging": _exchange,
    "syncing": _sync,
    "disconnected": _disconnect,
    "deleted": _delete,
}


# Dead, and alive again.


async def _refuses(world: World) -> bool:
    try:
        await world.platform.regrant.call("GET", "/v1/connectors")
    except aiohttp.ClientConnectionError:
        return True
    return False


async def _meanwhile(world: World, cast: dict[str, Cast]) -> None:
    """The host's sync engine goes on: one connector fails, another is healed."""
    now = datetime.now(UTC).isoformat()
    error = {"at": "api", "status": 401, "body": '{"fault":{"error":[{"code":"3200"}]}}'}
    await world.say(channels.SYNC_FAILED, cast["healthy"].books, started_at=now, generation=1, error=error)
    cast["healthy"].tale.refused()
    await world.say(channels.SYNC_SUCCEEDED, cast["failed"].books, started_at=now, generation=1)
    cast["failed"].tale.synced()


async def _goes_on(world: World, cast: dict[str, Cast]) -> None:
    """People come back, close windows; the sync engine takes up its work; jobs are taken over."""
    awaiting, edited, syncing = cast["awaiting"], cast["edited"], cast["syncing"]
    await awaiting.person.come_back(awaiting.callback)
    awaiting.tale.came_back().verified().synced()
    assert edited.attempt is not None
    await world.cancel(edited.attempt)
    edited.tale.cancelled()
    await world.platform.sync_engine.release(syncing.books.id)
    syncing.tale.synced()
    cast["checking"].tale.verified().synced()
    cast["exchanging"].tale.interrupted()


async def _ends_where_the_oracle_says(world: World, one: Cast) -> None:
    oracle = expected(one.tale.inputs)
    wanted = {name: getattr(oracle.connector, name) for name in ("state", "version", "generation", "reason")}

    async def there() -> bool:
        row = await world.row(one.books)
        return row is not None and {name: row[name] for name in wanted} == wanted

    state = oracle.connector.state.value
    await world.until(there, f"{one.books.name}: ends {state}, as the oracle says (database)", LEASE_AND_MORE_S)
    if oracle.connector.state is not State.DELETED:
        shown = await world.show(one.books)
        world.equal(
            (shown["state"], shown["version"]), (state, wanted["version"]), f"{one.books.name}: so says the API"
        )
    path = [state.value for state in oracle.path]
    await world.until(
        lambda: _told(world, one.books)() == path, f"{one.books.name}: the topic shows {' → '.join(path)}"
    )


def _told(world: World, books: Books) -> Callable[[], list[str]]:
    return lambda: [told["to"] for told in world.transitions(books)]
