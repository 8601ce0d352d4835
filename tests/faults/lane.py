"""A lane: one deployment whose process is killed again and again, and the host and the person who put up with it.

They do what real ones do: a host asks again when nobody answers; a browser that got no answer reloads; a person whose
window came to nothing begins anew. Nothing here knows where the process dies.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.client import Answer, Regrant
from service.demo.deployment import Deployment
from service.demo.embedded.child import Supervisor, free_port
from service.demo.events import HostEvents
from service.demo.person import Person, Screen
from service.demo.simulator import Simulator
from service.demo.simulator.seed import OLIVIA, PASSWORD
from service.roll_out import migrate
from service.settings import load
from tests.databases import database_on
from tests.faults.victims import Order, Template, Victim
from tests.loop import Topics

TENANT = "drivewell"
WHO = {"id": "u-olivia", "name": "Olivia"}
COMPLETION_URL = "http://127.0.0.1:9/complete"
"""Nobody listens there: the lane plays the host itself."""
PATIENCE_S = 40.0
PAUSE_S = 0.03

NO_ANSWER = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
"""What a client sees of a process that died."""


@dataclass(slots=True)
class Books:
    """A connector of the lane's host, and the company that it belongs to."""

    id: str
    company: str = "Drivewell Inc"
    realm: str = ""


@dataclass(slots=True)
class Lane:
    """One deployment with its neighbours."""

    deployment: Deployment
    environment: dict[str, str]
    template: Template
    simulator: Simulator
    regrant: Regrant
    events: HostEvents
    database: asyncpg.Pool
    topics: Topics
    codes: list[str] = field(default_factory=list)
    """Every code that came back from the provider."""
    interrupted: int = 0
    """How often an exchange's outcome was lost with its process, and the person went once more."""
    victims: list[Victim] = field(default_factory=list)
    first_order: Order | None = None
    """What the next process is told at its birth."""
    _keeping: "asyncio.Task[None] | None" = None

    # The process.

    @property
    def victim(self) -> Victim:
        return self.victims[-1]

    async def start(self, first: Order | None = None) -> Victim:
        victim = await self.template.bear(self.environment, first=first)
        self.victims.append(victim)
        return victim

    async def keep_alive(self) -> None:
        """Starts the next process whenever one is gone, as an orchestrator does."""
        while True:
            await asyncio.shield(self.victim.ended)
            first, self.first_order = self.first_order, None
            await self.start(first)

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self.keep_alive())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        """What `condition` answers once it answers something true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (answer := await condition()):
                    await asyncio.sleep(PAUSE_S)
                return answer
        except TimeoutError:
            raise AssertionError(f"never happened: {what}") from None

    # The host.

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """A host's call, made until it is answered by something else than a passing fault."""

        async def answered() -> Answer | None:
            try:
                answer = await self.regrant.call(method, path, body)
            except NO_ANSWER:
                return None
            assert answer.status != 500, f"{method} {path}: {answer.body}"
            return None if answer.status == 503 else answer

        answer: Answer = await self.until(answered, f"{method} {path} is answered")
        return answer

    async def register(self, books: Books) -> None:
        body = {"connector_id": books.id, "provider": "quickbooks-online", "name": "Books"}
        answer = await self.call("POST", "/v1/connectors", body)
        assert answer.is_good, answer

    async def say(self, books: Books, message: channels.Message, **data: object) -> None:
        await self.events.say(channels.SYNC_EVENTS, message, books.id, data)

    async def command(self, books: Books, message: channels.Message, **data: object) -> None:
        await self.events.say(channels.COMMANDS, message, books.id, data)

    async def fail(self, books: Books) -> None:
        """The sync engine's run with the current credential is refused."""
        row = await self.row(books)
        await self.say(books, channels.SYNC_FAILED, generation=row["generation"], reason=Reason.TOKEN_REFUSED)

    async def succeed(self, books: Books) -> None:
        row = await self.row(books)
        await self.say(books, channels.SYNC_SUCCEEDED, generation=row["generation"])

    async def open(self, books: Books) -> tuple[str, str]:
        """A new attempt: its id and its handoff's address."""

        async def opened() -> dict[str, Any] | None:
            answer = await self.call("POST", f"/v1/connectors/{books.id}/attempts", {"person": WHO})
            if answer.code == "verification_running":
                return None
            assert answer.is_good, answer
            return answer.body

        attempt = await self.until(opened, f"an attempt of {books.id}")
        return attempt["attempt_id"], attempt["handoff"]["url"]

    async def token(self, books: Books) -> Answer:
        """The answer to a worker that asks for a token, and asks again while the provider is away."""
        return await self.call("POST", f"/v1/connectors/{books.id}/token", {})

    # The person.

    def person(self) -> Person:
        return Person(OLIVIA, PASSWORD, (self.deployment.url,))

    async def begin(self, books: Books, person: Person, *, company: str | None = None, consent: bool = True) -> URL:
        """From the host's link to the provider and through its pages; returns the callback, not opened yet."""

        async def gone() -> URL | None:
            _, handoff = await self.open(books)
            try:
                start = await person.look(handoff)
                if not start.forms:
                    return None  # the process died while the page was made
                authorize = await person.press(start)
            except NO_ANSWER:
                return None
            return await self.sign_in(person, authorize, company or books.company, consent)

        callback: URL = await self.until(gone, f"{books.id}: a person at the provider")
        return callback

    async def sign_in(self, person: Person, authorize: URL, company: str, consent: bool = True) -> URL:
        callback = await person.sign_in(authorize, company=company, consent=consent)
        if "code" in callback.query:
            self.codes.append(callback.query["code"])
        return callback

    async def come_back(self, person: Person, callback: URL) -> URL:
        """Opens the callback until it is answered, and completes where the host must; returns the attempt's page."""

        async def answered() -> URL | None:
            try:
                async with person.session.get(callback, allow_redirects=False) as answer:
                    if answer.status >= 500:
                        return None
                    assert answer.status == 303, (answer.status, await answer.text())
                    return callback.join(URL(answer.headers["Location"], encoded=True))
            except NO_ANSWER:
                return None

        page: URL = await self.until(answered, "the callback is answered")
        if not str(page).startswith(COMPLETION_URL):
            return page
        attempt = page.query["attempt_id"]
        body = {"completion_token": page.query["completion_token"], "person_id": "somebody-else"}
        refused = await self.call("POST", f"/v1/attempts/{attempt}/complete", body)
        assert refused.code == "completion_refused", refused
        answer = await self.call("POST", f"/v1/attempts/{attempt}/complete", body | {"person_id": WHO["id"]})
        assert answer.is_good or answer.code in ("completion_refused", "attempt_ended"), answer
        return URL(f"{self.deployment.url}/connect/attempts/{attempt}")

    async def look(self, person: Person, page: URL) -> Screen:
        async def seen() -> Screen | None:
            try:
                screen = await person.look(page)
            except NO_ANSWER:
                return None
            return None if screen.status >= 500 else screen

        screen: Screen = await self.until(seen, "the window is shown")
        return screen

    async def ending(self, person: Person, page: URL) -> Screen:
        """The window once nothing more changes by itself."""

        async def ended() -> Screen | None:
            screen = await self.look(person, page)
            return screen if screen.is_final or screen.name == "confirming" else None

        screen: Screen = await self.until(ended, f"the window ends: {page}")
        return screen

    async def press(self, person: Person, page: URL, label: str = "") -> URL | None:
        """Presses a button of the attempt's page; `None` where the press may be lost with its process."""
        screen = await self.look(person, page)
        try:
            return await person.press(screen, label)
        except NO_ANSWER:
            return None

    async def reconnect(self, books: Books, *, company: str | None = None) -> Screen:
        """The person's whole way, once more where the outcome of the exchange was lost with the process."""
        async with self.person() as person:
            while True:
                before = await self.credential(books)
                page = await self.come_back(person, await self.begin(books, person, company=company))
                screen = await self.ending(person, page)
                if screen.name == "confirming":
                    continue  # the one answer with the completion token was lost: the host begins anew
                if not await self.was_interrupted(books, screen, before):
                    return screen

    async def was_interrupted(self, books: Books, screen: Screen, before: dict[str, Any] | None) -> bool:
        """Whether the exchange's outcome was lost: then nothing old was touched, and the window offers to go on."""
        if "exchange_interrupted" not in screen.name:
            return False
        self.interrupted += 1
        assert await self.credential(books) == before, "an interrupted exchange leaves the old credential as it was"
        assert screen.forms, f"the window offers to go on: {screen.text}"
        return True

    async def bring_back(self, books: Books) -> None:
        """To healthy, from whatever state, as the host and the person would."""
        async with asyncio.timeout(2 * PATIENCE_S):
            while (row := await self.row(books))["state"] != State.HEALTHY:
                match row["state"]:
                    case State.SYNCING:
                        await self.succeed(books)
                        await self.leaves(books, State.SYNCING)
                    case State.VERIFYING:
                        await self.leaves(books, State.VERIFYING)
                    case _:
                        screen = await self.reconnect(books)
                        assert screen.name == "connected", (screen.name, screen.text)

    # What is seen.

    async def row(self, books: Books) -> Any:  # Any: an asyncpg row
        return await self.database.fetchrow("select * from connector where connector_id = $1", books.id)

    async def credential(self, books: Books) -> dict[str, Any] | None:
        """The current credential, save what a refresh under way marks on it."""
        row = await self.database.fetchrow(
            "select k.* from credential k join connector c on c.id = k.connector"
            " where c.connector_id = $1 and k.status = 'current'",
            books.id,
        )
        return {k: v for k, v in row.items() if not k.startswith("refresh_")} if row else None

    async def is_in(self, books: Books, *states: State) -> Any:
        async def there() -> Any:
            row = await self.row(books)
            return row if row is not None and row["state"] in states else None

        return await self.until(there, f"{books.id} in {', '.join(states)}")

    async def leaves(self, books: Books, state: State) -> None:
        await self.is_in(books, *(set(State) - {state}))


def _environment(deployment: Deployment, shards: int) -> dict[str, str]:
    return deployment.environment | {
        "REGRANT_SHARDS": str(shards),
        "REGRANT_WEB__COMPLETION_URL": COMPLETION_URL,
        "REGRANT_RULES__BACKOFF_BASE": "0.2",
        "REGRANT_DATABASE__POOL_SIZE": "4",
        "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__EXTRA_SCOPES": "com.intuit.identity.user.roles.read",
    }


@asynccontextmanager
async def lane_on(
    server: str, bootstrap: str, supervisor: Supervisor, template: Template, *, shards: int = 2
) -> AsyncIterator[Lane]:
    """A migrated deployment with a database and topics of its own. No process runs yet."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database_on(server))
        simulator = await stack.enter_async_context(await Simulator.start())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        prefix = f"lane{uuid4().hex[:8]}."
        events = await stack.enter_async_context(HostEvents(bootstrap, prefix))
        port = free_port()
        deployment = Deployment(
            supervisor,
            f"lane-{port}",
            port=port,
            host_url=f"http://127.0.0.1:{free_port()}",
            simulator=simulator,
            bootstrap=bootstrap,
            dsn=dsn,
            topic_prefix=prefix,
        )
        deployment.make_keys()
        environment = _environment(deployment, shards)
        await migrate(load(environ=environment))
        database = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=4))
        topics = Topics(bootstrap, prefix)
        await stack.enter_async_context(topics.followed())
        regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
        lane = Lane(deployment, environment, template, simulator, regrant, events, database, topics)
        try:
            yield lane
        finally:
            for victim in lane.victims:
                victim.kill()


async def everywhere(lanes: Sequence[Lane], work: Callable[[Lane], Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*(work(lane) for lane in lanes)))
