"""Story 8: the provider is down during the exchange, then returns; a slow provider: the person sees why."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import When, story
from service.demo.stories.world import World


@story(8, "The provider is down during the exchange, then returns", when=When.LAST)
async def down_then_up(world: World) -> None:
    books = await world.failed("Provider down")
    attempt = await world.open(books)
    simulator = world.platform.simulator
    async with world.person(books) as admin:
        callback = await admin.sign_in(await admin.press(await admin.look(attempt["handoff"]["url"])))
        await simulator.down("oauth")
        try:
            screen = await admin.come_back(callback)

            async def tried_twice() -> bool:
                row = await world.row(books)
                return row is not None and row["state"] == State.VERIFYING and row["unavailable"] >= 2

            await world.until(tried_twice, "it stays in verifying, and tries again after a pause")
            screen = await admin.look(screen.url)
            world.check(
                not screen.is_final and "QuickBooks" in screen.text,
                "the person sees that QuickBooks is slow",
                screen.text,
            )
        finally:
            await simulator.up("oauth")
        noted = [note["reason"] for note in await world.notes(books) if note["trigger"] == "provider_unavailable"]
        world.check(set(noted) == {Reason.NETWORK_ERROR.value}, "each try is noted", noted)
        done = await admin.wait(screen, 20)
        world.equal(done.name, "connected", "when the provider is back, the window ends well")
    await world.stands(books, State.HEALTHY, "verifying, then syncing, then healthy", generation=2)
    world.equal(simulator.journal.exchanges_of(callback.query["code"]), 1, "the code was sent once")


@story(8, "A slow provider: the person sees why")
async def slow(world: World) -> None:
    books = await world.failed("Slow provider")
    attempt = await world.open(books)
    fault = world.platform.simulator.faults.throw(
        "slow", "api", endpoint="companyinfo", realm=books.company.realm, seconds=120
    )
    async with world.person(books) as admin:
        screen = await admin.reconnect(attempt["handoff"]["url"])
        world.equal(screen.name, "checking", "the window says that it checks")
        await world.stands(books, State.VERIFYING, "meanwhile the connector is verifying", reason=Reason.TOKEN_REFUSED)
        first = screen.text

        async def explained() -> bool:
            return (await admin.look(screen.url)).text != first

        await world.until(explained, "after a while the window says why it takes so long", 40)
        later = await admin.look(screen.url)
        world.check("QuickBooks" in later.text and not later.is_final, "in words, while it goes on", later.text[:300])
        world.platform.simulator.faults.lift(fault.id)
        done = await admin.wait(screen, 40)
        world.equal(done.name, "connected", "and it ends well")
    await world.stands(books, State.HEALTHY, "a slow provider costs nobody a second login", generation=2)
