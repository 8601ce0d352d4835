"""Story 9: healed elsewhere, and news that are older than the new credential."""

from datetime import UTC, datetime

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import HASTY, story
from service.demo.stories.world import World


@story(9, "A sync succeeds while it is failed: recovered, reminders silent", platform=HASTY)
async def healed_elsewhere(world: World) -> None:
    books = await world.failed("Healed elsewhere")
    await world.until(
        lambda: [t for t in world.transitions(books) if t["notice"] == "reminder"],
        "the owner is reminded while nothing happens",
    )
    now = datetime.now(UTC).isoformat()
    await world.say(channels.SYNC_SUCCEEDED, books, started_at=now, generation=1)
    shown = await world.stands(
        books, State.HEALTHY, "a success that needed no login heals it", reason=None, failed_since=None, deadline=None
    )
    await world.until(  # the transitions' topic may be behind the states'
        lambda: world.transitions(books)[-1]["version"] >= shown["version"], "the transition is published, too"
    )
    told = world.transitions(books)[-1]
    world.equal((told["notice"], told["reason"]), ("recovered", "recovered"), "everybody is told that it recovered")
    world.check(shown["version"] == told["version"], "no reminder follows: no deadline is set")


@story(9, "A failure that is older than the new credential")
async def old_news(world: World) -> None:
    books = await world.failed("Old news")
    attempt = await world.open(books)
    async with world.person(books) as admin:
        await admin.reconnect(attempt["handoff"]["url"])
    shown = await world.stands(books, State.HEALTHY, "connected anew", generation=2)
    started = datetime.now(UTC).isoformat()
    error = {"at": "api", "status": 401, "body": '{"fault":{"error":[{"code":"3200"}]}}'}
    await world.say(channels.SYNC_FAILED, books, started_at=started, generation=1, error=error)

    async def ignored() -> bool:
        return any(note["why"] == "stale_generation" for note in await world.notes(books))

    await world.until(ignored, "the old credential's failure is recorded as ignored")
    await world.stands(books, State.HEALTHY, "and changes nothing", version=shown["version"], reason=None)
    entry = next((e for e in await world.history(books) if e["outcome"] == "ignored"), {})
    world.equal(entry.get("why"), "stale_generation", "the history page says why it was ignored")


@story(9, "A failure without a generation, of a run from before the new credential")
async def old_run(world: World) -> None:
    books = await world.connected("Old run")
    shown = await world.show(books)
    await world.say(channels.SYNC_FAILED, books, started_at=shown["since"], reason=Reason.TOKEN_REFUSED.value)

    async def ignored() -> bool:
        return any(note["outcome"] == "ignored" for note in await world.notes(books))

    await world.until(ignored, "without a generation the run's start decides: ignored")
    await world.stands(books, State.HEALTHY, "and changes nothing", version=shown["version"])
