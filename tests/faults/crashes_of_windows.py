"""What the service is killed amidst while people look at their window: helped, handed on, told, and asked again.

Each press may be lost with its process, and each page be gone with what wasn't stored: then the scenario goes on.
"""

import asyncio
from contextlib import suppress

from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from service.demo.person import Person, Screen
from tests.faults.lane import NO_ANSWER, WHO, Books, Lane

SOON_S = 5.0
"""How long a stream that its process may have left behind is read."""


async def handed_on_and_helped(lane: Lane, books: Books) -> None:
    """The host makes another link; who opens it clicks twice, follows the attempt, asks for help, and hands it on."""
    attempt, _ = await lane.open(books)
    link = await lane.call("POST", f"/v1/attempts/{attempt}/handoffs", WHO)
    assert link.is_good or link.code == "attempt_ended", link
    if link.is_good:
        async with lane.person() as person:
            await _clicked_twice(lane, person, URL(link.body["url"]))
            page = window_of(lane, attempt)
            await asyncio.gather(_followed(person, page), _helped(lane, person, page))
            await _answered_again(lane, person)
            asked = await lane.look(person, page / "colleague")
            await _pressed(person, asked, "colleague", name="Sam")
    await lane.bring_back(books)


async def told_afterwards(lane: Lane, books: Books) -> None:
    """Nobody comes back in time, and then the person tells what the provider had shown instead."""
    async with lane.person() as person:
        attempt, handoff = await lane.open(books)
        await _pressed(person, await lane.look(person, URL(handoff)), "")
        await now_due(lane, books)
        await lane.is_in(books, State.HEALTHY)
        await _pressed(person, await lane.look(person, window_of(lane, attempt)), "shown")
    await lane.bring_back(books)


async def first_sync_seen(lane: Lane, books: Books) -> None:
    """The sync that was asked for says that it began, before it ends well."""
    await lane.fail(books)
    await lane.is_in(books, State.FAILED)
    await lane.reconnect(books)
    row = await lane.is_in(books, State.SYNCING)
    await lane.say(books, channels.SYNC_STARTED, generation=row["generation"])

    async def seen() -> bool:
        step = "select step from attempt where reason = 'connected' and connector = $1 order by ended_at desc limit 1"
        return bool(await lane.database.fetchval(step, row["id"]) == "sync_started")

    await lane.until(seen, f"the sync of {books.id} is seen to begin")
    await lane.bring_back(books)


async def verified_again(lane: Lane, books: Books) -> None:
    """The provider is asked about the saved credential, and what it says brings the connector back without a person."""
    await lane.fail(books)
    await lane.is_in(books, State.FAILED)
    answer = await lane.call("POST", f"/v1/connectors/{books.id}/verify")
    # Where the answer was lost with its process, the second call finds what the first one did.
    assert answer.is_good or answer.code == "sync_awaited", answer
    await lane.bring_back(books)


async def now_due(lane: Lane, books: Books) -> None:
    await lane.database.execute("update connector set deadline = now() where connector_id = $1", books.id)


def window_of(lane: Lane, attempt: object) -> URL:
    return URL(f"{lane.deployment.url}/connect/attempts/{attempt}")


async def _clicked_twice(lane: Lane, person: Person, handoff: URL) -> None:
    """The second click finds the link spent, by this very browser."""
    start = await lane.look(person, handoff)
    for _ in range(2):
        await _pressed(person, start, "")


async def _helped(lane: Lane, person: Person, page: URL) -> None:
    await _pressed(person, await lane.look(person, page / "report"), "report")


async def _followed(person: Person, page: URL) -> None:
    """Reads the attempt's stream until it has told two things: how it stands, and that something was written."""
    told = 0
    with suppress(*NO_ANSWER):
        async with asyncio.timeout(SOON_S), person.session.get(page / "events") as stream:
            async for line in stream.content:
                told += line.startswith(b"event:")
                if told == 2:
                    return


async def _answered_again(lane: Lane, person: Person) -> None:
    """An answer of an older request: its browser is led to its newest attempt."""
    stale = URL(f"{lane.deployment.url}/oauth/callback/quickbooks-online").with_query(state="s" * 43, code="XAB1old")
    await lane.look(person, stale)


async def _pressed(person: Person, screen: Screen, to: str, **filled: str) -> None:
    """Presses the button that leads there (the first one, without a name), if the page has it."""
    form = next((form for form in screen.forms if form.address.path.endswith(to)), None)
    if form is not None:
        with suppress(*NO_ANSWER):
            await person.click(screen, form.label, **filled)
