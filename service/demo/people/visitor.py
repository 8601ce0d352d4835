"""A customer's admin with one failed connector: what they do, and how far each of their attempts came, as seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
from yarl import URL

from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.demo.host.app import PERSON, TENANT
from service.demo.person import Person, Screen
from service.demo.platform import Platform
from service.demo.simulator.person import SignInStopped
from service.demo.simulator.seed import PASSWORD

PATIENCE_S = 60
LOOK_EVERY_S = 0.1

# A day passes for one connector: what was to end within it is over. Nobody here waits for a day.
_A_DAY_PASSES = """
with stale as (
    update connector set deadline = now() where connector_id = $1 and deadline < now() + interval '1 day'
    returning attempt_id
), attempts as (
    update attempt a set expires_at = now(), opened_at = a.opened_at - interval '1 day',
        request_expires_at = a.request_expires_at - interval '1 day'
    from stale where a.attempt_id = stale.attempt_id returning a.attempt_id
)
update handoff h set expires_at = now() from attempts where h.attempt_id = attempts.attempt_id
"""

_ORDER = tuple(Step)

_REFUSED_AFTER = {"ended wrong_account": Step.EXCHANGED, "ended code_refused": Step.RETURNED}
"""How far somebody came who reads this: at a company that many pick by mistake, revoking one's grant may end another's
code under way, as Intuit does it."""


@dataclass(slots=True)
class Visitor:
    """One of the people, at a browser of their own."""

    platform: Platform
    number: int
    temperament: str
    connector: str
    company: str
    realm: str
    tries: list[Step] = field(default_factory=list)
    """How far each of their attempts came."""
    story: list[str] = field(default_factory=list)
    """The screens that they saw, in order."""
    _person: Person | None = None

    @property
    def email(self) -> str:
        return f"admin.{self.number}@people.example"

    @property
    def assistant(self) -> str:
        """Who keeps the books, and is no admin."""
        return f"assistant.{self.number}@people.example"

    @property
    def person(self) -> Person:
        assert self._person is not None, "inside `at_a_browser`"
        return self._person

    @asynccontextmanager
    async def at_a_browser(self, email: str = "") -> AsyncIterator[Person]:
        """A browser, signed in at the host, as this person or as a colleague; their own one comes back afterwards."""
        before = self._person
        async with self.platform.person(email or self.email, PASSWORD) as self._person:
            await self._person.look(self.platform.host.url)
            yield self._person
        self._person = before

    # What is done at the host.

    async def asks_for_a_link(self) -> str:
        """*Edit credentials*: a new attempt."""
        attempt = await self.platform.regrant.post(f"/v1/connectors/{self.connector}/attempts", {"person": PERSON})
        self.tries.append(Step.LINK_OFFERED)
        link: str = attempt["handoff"]["url"]
        return link

    async def state(self) -> State:
        return State((await self.platform.regrant.get(f"/v1/connectors/{self.connector}"))["state"])

    async def reaches(self, *states: State) -> State:
        """Waits until the connector is in one of these states. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_S):
            while (state := await self.state()) not in states:
                await asyncio.sleep(LOOK_EVERY_S)
        return state

    # What is done in the window.

    def sees(self, screen: Screen) -> Screen:
        self.story.append(screen.name or screen.heading)
        return screen

    def came_to(self, step: Step) -> None:
        """Notes how far the attempt under way has come."""
        self.tries[-1] = max(self.tries[-1], step, key=_ORDER.index)

    async def looks(self, address: str | URL) -> Screen:
        return self.sees(await self.person.look(address))

    async def goes_to_the_provider(self, screen: Screen, label: str = "") -> URL:
        """Presses the button that leads there."""
        authorize = await self.person.press(screen, label)
        self.came_to(Step.PROVIDER_PAGE)
        return authorize

    async def is_refused_by_the_provider(self, authorize: URL) -> None:
        """Goes through the provider's pages up to one that leads nowhere."""
        with suppress(SignInStopped):
            raise AssertionError(f"the provider sends back {await self.person.sign_in(authorize)}")

    async def says_what_was_shown(self, link: str, reason: Reason) -> Screen:
        """Comes back to the window by the link, and tells there what the provider's last page said."""
        waiting = await self.looks(link)
        question = await self.looks(waiting.url / "shown")
        return await self.looks(await self.person.press(question, reason=reason.value))

    async def signs_in(self, authorize: URL, company: str = "", *, consent: bool = True) -> URL:
        """Goes through the provider's pages; returns the way back, not gone yet."""
        return await self.person.sign_in(authorize, company=company or self.company, consent=consent)

    async def comes_back(self, callback: URL) -> Screen:
        """The way back, and what the window says in the end."""
        screen = self.sees(await self.person.wait(await self.person.come_back(callback), PATIENCE_S))
        if screen.name == "connected":
            await self.reaches(State.HEALTHY)
            self.came_to(Step.DATA_FLOWING)
        elif (step := _REFUSED_AFTER.get(screen.name)) is not None:
            self.came_to(step)
        return screen

    async def reconnects(self, link: str | URL) -> Screen:
        """The straight way from a link."""
        return await self.comes_back(await self.signs_in(await self.goes_to_the_provider(await self.looks(link))))

    async def a_day_passes(self) -> None:
        connection = await asyncpg.connect(self.platform.deployment.dsn)
        try:
            await connection.execute(_A_DAY_PASSES, self.connector)
        finally:
            await connection.close()
        await self.reaches(State.FAILED, State.HEALTHY)


async def failed_connector(visitor: Visitor) -> None:
    """The visitor's connector, connected by the real way, which then fails as it really happens."""
    world, id_ = visitor.platform.simulator.world, visitor.connector
    body = {"connector_id": id_, "provider": "quickbooks-online", "name": f"Books of {visitor.company}"}
    await visitor.platform.regrant.post("/v1/connectors", body)
    async with visitor.at_a_browser():
        connected = await visitor.reconnects(await visitor.asks_for_a_link())
    assert connected.name == "connected", f"{id_}: {connected.text}"
    visitor.tries.clear()
    visitor.story.clear()
    world.grants.expire_access_tokens(visitor.realm)
    world.grants.expire_refresh_tokens(visitor.realm)
    await visitor.platform.sync_engine.sync_now(id_, TENANT)
    await visitor.reaches(State.FAILED)
