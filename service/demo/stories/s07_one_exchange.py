"""Story 7: the same callback twice, a stale one, a forged one: exactly one exchange."""

import asyncio

from schemas.lifecycle import State
from service.demo.stories.story import story
from service.demo.stories.world import World

AT_ONCE = 20


@story(7, "The same callback many times, and a forged state")
async def repeated_callback(world: World) -> None:
    books = await world.failed("Repeated callback")
    attempt = await world.open(books)
    before = world.exchanges(books)
    async with world.person(books) as admin, world.person(books) as stranger:
        callback = await admin.sign_in(await admin.press(await admin.look(attempt["handoff"]["url"])))
        code, state = callback.query["code"], callback.query["state"]
        forged = callback.update_query(state=state[:-4] + ("AAAA" if state[-4:] != "AAAA" else "BBBB"))
        refused = await admin.look(forged)
        world.check(refused.status >= 400, "a forged state is refused", refused.status)
        foreign = await stranger.look(callback)
        world.check(foreign.status >= 400, "the right state in another browser is refused", foreign.status)
        world.equal(world.exchanges(books), before, "neither reaches the token host")
        await asyncio.gather(*(admin.come_back(callback) for _ in range(AT_ONCE)))
        await world.stands(books, State.HEALTHY, f"{AT_ONCE} times the same callback: connected once", generation=2)
        screen = await admin.come_back(callback)
        world.equal(screen.name, "connected", "whoever repeats it later sees how it ended")
    exchanged = world.platform.simulator.journal.exchanges_of(code)
    world.equal((exchanged, world.exchanges(books) - before), (1, 1), "exactly one exchange of this code, and no other")


@story(7, "A stale callback after a newer attempt")
async def stale_callback(world: World) -> None:
    books = await world.failed("Stale callback")
    async with world.person(books) as admin:
        older = await world.open(books)
        stale = await admin.sign_in(await admin.press(await admin.look(older["handoff"]["url"])))
        newer = await world.open(books)
        late = await admin.come_back(stale)
        world.check(late.is_final, "the older one's callback meets its own end", late.heading)
        world.equal(
            world.platform.simulator.journal.exchanges_of(stale.query["code"]), 0, "its code is never exchanged"
        )
        await world.stands(books, State.AWAITING_AUTH, "the newer attempt is still open")
        await admin.reconnect(newer["handoff"]["url"])
        await world.stands(books, State.HEALTHY, "and succeeds", generation=2)
