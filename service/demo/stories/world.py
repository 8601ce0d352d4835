"""What a story has at hand: its own company and people at the provider, the API, the database, the topics."""

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.client import Answer, Json
from service.demo.deployment import QUICKBOOKS
from service.demo.host.app import PERSON, TENANT
from service.demo.person import Person
from service.demo.platform import Platform
from service.demo.simulator.seed import add_invoices
from service.demo.simulator.world import Company, Role
from service.demo.stories.report import Report
from service.demo.stories.topics import Seen, Topics
from service.demo.sync_engine import Run

PATIENCE_S = 20.0
LOOK_EVERY_S = 0.03
PASSWORD = "demo"

_numbers = itertools.count(1)


class StoryStopped(Exception):
    """What the rest of the story builds on didn't happen; the report says what."""


@dataclass(frozen=True, slots=True)
class Books:
    """One connector of a story, the company that it is meant for, and who administers that."""

    id: str
    name: str
    company: Company
    admin: str


@dataclass(slots=True)
class World:
    """One story's view of one platform."""

    story: str
    platform: Platform
    topics: Topics
    database: "asyncpg.Pool[asyncpg.Record]"
    report: Report
    _open: dict[str, str] = field(default_factory=dict)

    # Asserting.

    def check(self, holds: object, sentence: str, detail: object = "") -> None:
        """One assertion. `detail` is shown when it doesn't hold."""
        self.report.note(self.story, bool(holds), sentence, str(detail))

    def equal(self, found: object, expected: object, sentence: str) -> None:
        self.check(found == expected, sentence, f"{found!r}, not {expected!r}")

    async def until(self, condition: Callable[[], Any], sentence: str, within_s: float = PATIENCE_S) -> Any:
        """An assertion that comes true in time; returns what `condition` answers (it may be a coroutine function)."""
        answer = await self._wait(condition, within_s)
        self.report.note(self.story, bool(answer), sentence, f"not within {within_s:.0f} s")
        if not answer:
            raise StoryStopped(sentence)
        return answer

    async def _wait(self, condition: Callable[[], Any], within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                while True:
                    answer = condition()
                    if inspect.isawaitable(answer):
                        answer = await answer
                    if answer:
                        return answer
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return None

    async def stands(
        self, books: Books, state: State, sentence: str, *, within_s: float = PATIENCE_S, **facts: Any
    ) -> Json:
        """Three assertions: the database, the API and the state topic all show `state` and `facts`.

        `facts` are fields that all three have, such as `reason` or `generation`. Returns the API's answer.
        """
        expected = {"state": state.value, **{name: _plain(value) for name, value in facts.items()}}

        async def stored() -> asyncpg.Record | None:
            row = await self.row(books)
            return row if row and all(row[name] == value for name, value in expected.items()) else None

        found = await self._wait(stored, within_s)
        detail = "" if found else f"{_some(await self.row(books), expected)}, not {expected}"
        self.report.note(self.story, found is not None, f"{sentence} (database)", detail)
        if found is None:
            raise StoryStopped(sentence)
        shown = await self.show(books)
        self.equal({name: shown.get(name) for name in expected}, expected, f"{sentence} (API)")

        def told() -> Json | None:
            states = self.topics.of(channels.STATES, books.id)
            return states[-1].data if states and states[-1].data["version"] >= found["version"] else None

        snapshot = await self._wait(told, PATIENCE_S) or {}
        self.equal({name: snapshot.get(name) for name in expected}, expected, f"{sentence} (topic)")
        return shown

    # Looking.

    async def row(self, books: Books) -> asyncpg.Record | None:
        return await self.database.fetchrow("select * from connector where connector_id = $1", books.id)

    async def credential(self, books: Books) -> asyncpg.Record | None:
        """The current credential's row, sealed as it is."""
        return await self.database.fetchrow(
            "select k.* from credential k join connector c on c.id = k.connector"
            " where c.connector_id = $1 and k.status = 'current'",
            books.id,
        )

    async def notes(self, books: Books) -> list[asyncpg.Record]:
        """What was observed or ignored, oldest first."""
        return await self.database.fetch(
            "select n.* from note n join connector c on c.id = n.connector where c.connector_id = $1 order by n.at",
            books.id,
        )

    async def show(self, books: Books) -> Json:
        return await self.platform.regrant.get(f"/v1/connectors/{books.id}")

    async def history(self, books: Books) -> list[Json]:
        """The history page, newest first."""
        entries: list[Json] = (await self.platform.regrant.get(f"/v1/connectors/{books.id}/history"))["entries"]
        return entries

    def transitions(self, books: Books) -> list[Json]:
        return [seen.data for seen in self.topics.of(channels.TRANSITIONS, books.id)]

    def requests(self, books: Books) -> list[Seen]:
        return self.topics.of(channels.SYNC_REQUESTS, books.id)

    async def path(self, books: Books, *states: State, since: int = 0) -> None:
        """One assertion: the topic shows exactly these states after version `since`."""
        expected = [state.value for state in states]

        def shown() -> list[str]:
            return [told["to"] for told in self.transitions(books) if told["version"] > since]

        holds = await self._wait(lambda: shown() == expected, PATIENCE_S)
        self.check(holds, f"the topic shows {' → '.join(expected)}", shown())

    def exchanges(self, books: Books) -> int:
        """How often the token host was asked anything about this company."""
        return self.platform.simulator.journal.by_realm[books.company.realm, "token"]

    # Doing.

    def company(self, name: str, *, admin: str | None = None) -> tuple[Company, str]:
        """A company of its own at the provider with somebody who administers it (the same person for several)."""
        known = self.platform.simulator.world
        number = next(_numbers)
        company = known.add_company(f"77{number:014}", f"{name} {number}", f"{name} {number}, Inc.")
        add_invoices(known, company, 3)
        if admin is None:
            admin = f"admin{number}@stories.example"
            known.add_user(admin, PASSWORD, f"Admin {number}", [(company.realm, Role.MASTER_ADMIN)])
        else:
            known.set_role(admin, company.realm, Role.COMPANY_ADMIN)
        return company, admin

    async def registered(self, name: str) -> Books:
        """A connector that nobody has signed in for yet."""
        company, admin = self.company(name)
        books = Books(f"story-{self.story}-{next(_numbers)}", name, company, admin)
        body = {"connector_id": books.id, "provider": QUICKBOOKS, "name": name}
        answer = await self.platform.regrant.call("POST", "/v1/connectors", body)
        self.equal(answer.status, 201, f"{name}: the connector is registered")
        return books

    async def connected(self, name: str) -> Books:
        """A connector that was connected by the real way, with its first sync behind it."""
        books = await self.registered(name)
        attempt = await self.open(books)
        async with self.person(books) as admin:
            await admin.reconnect(attempt["handoff"]["url"], company=books.company.name)
        await self.stands(books, State.HEALTHY, f"{name}: the first connection works", generation=1)
        return books

    async def failed(self, name: str) -> Books:
        """A connected one whose token the provider refuses since."""
        books = await self.connected(name)
        await self.refuse(books)
        await self.stands(books, State.FAILED, f"{name}: it has failed", reason=Reason.TOKEN_REFUSED)
        return books

    async def refuse(self, books: Books) -> None:
        """The company's access tokens end, and the next sync meets that."""
        self.platform.simulator.world.grants.expire_access_tokens(books.company.realm)
        await self.sync(books)

    async def sync(self, books: Books) -> Run:
        """A run of the real sync engine."""
        return await self.platform.sync_engine.sync_now(books.id, TENANT)

    async def say(self, message: channels.Message, books: Books, **data: Any) -> None:
        """A sync event as another sync engine of the host would write it."""
        await self.platform.events.say(channels.SYNC_EVENTS, message, books.id, data)

    async def ask(self, books: Books) -> Answer:
        """Asks for an attempt, whatever comes of it."""
        return await self.platform.regrant.call("POST", f"/v1/connectors/{books.id}/attempts", {"person": PERSON})

    async def open(self, books: Books) -> Json:
        """An open attempt with its handoff."""
        answer = await self.ask(books)
        if answer.status != 201:
            self.report.note(self.story, False, f"{books.name}: an attempt opens", f"{answer.status} {answer.body}")
            raise StoryStopped("no attempt")
        return answer.body

    async def cancel(self, attempt: Json) -> Answer:
        """What the host does when the window was closed."""
        return await self.platform.regrant.call("POST", f"/v1/attempts/{attempt['attempt_id']}/cancel")

    async def token(self, books: Books) -> Answer:
        return await self.platform.regrant.call("POST", f"/v1/connectors/{books.id}/token", {"min_ttl_s": 60})

    @asynccontextmanager
    async def person(self, books: Books, email: str | None = None) -> AsyncIterator[Person]:
        """Somebody who is signed in at Drivewell; at the provider it is the company's admin unless said otherwise."""
        async with self.platform.person(email or books.admin, PASSWORD) as person:
            await person.look(self.platform.host.url)
            yield person


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, State | Reason) else value


def _some(row: asyncpg.Record | None, names: Json) -> Json:
    return {name: row[name] for name in names} if row is not None else {}
