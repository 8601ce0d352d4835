"""Story 3: what passes by itself leaves the connector healthy; it is counted, and stands in the history."""

from typing import Any

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import story
from service.demo.stories.world import World

FAULTS: tuple[tuple[str, dict[str, Any], Reason], ...] = (
    ("a rate limit", {"kind": "status", "status": 429, "retry_after": "60"}, Reason.RATE_LIMITED),
    ("a 503", {"kind": "status", "status": 503}, Reason.PROVIDER_UNAVAILABLE),
    ("a network error", {"kind": "refuse"}, Reason.NETWORK_ERROR),
)


@story(3, "A rate limit, a 503, a network error: nobody is asked to sign in")
async def passing_faults(world: World) -> None:
    books = await world.connected("Passing faults")
    before = await world.show(books)
    for count, (name, fault, reason) in enumerate(FAULTS, start=1):
        at_the_query = {"host": "api", "endpoint": "query", "realm": books.company.realm}
        thrown = world.platform.simulator.faults.throw(**at_the_query | fault)
        await world.sync(books)
        world.platform.simulator.faults.lift(thrown.id)

        async def counted(count: int = count) -> bool:
            row = await world.row(books)
            return row is not None and row["transient_failures"] == count

        await world.until(counted, f"{name} is counted ({count})")
        noted = [note for note in await world.notes(books) if note["reason"] == reason.value]
        world.equal([note["outcome"] for note in noted], ["observation"], f"{name} is noted as {reason.value}")
    shown = await world.stands(
        books, State.HEALTHY, "after all three it is healthy", version=before["version"], reason=None
    )
    world.equal(shown["transient_failures"], 3, "the API tells the count")
    seen = {entry["reason"] for entry in await world.history(books)}
    world.check({reason.value for _, _, reason in FAULTS} <= seen, "the history page shows all three", seen)
    await world.sync(books)

    async def forgotten() -> bool:
        row = await world.row(books)
        return row is not None and row["transient_failures"] == 0

    await world.until(forgotten, "the next success resets the count")
