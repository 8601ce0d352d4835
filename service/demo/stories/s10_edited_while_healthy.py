"""Story 10: credentials edited while healthy, then abandoned: still healthy."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import story
from service.demo.stories.world import World


@story(10, "Edited while healthy, then abandoned")
async def abandoned_edit(world: World) -> None:
    books = await world.connected("Abandoned edit")
    before = await world.credential(books)
    attempt = await world.open(books)
    await world.stands(
        books, State.AWAITING_AUTH, "an edit opens an attempt", fallback=State.HEALTHY, reason=None, generation=1
    )
    async with world.person(books) as admin:
        await admin.sign_in(await admin.press(await admin.look(attempt["handoff"]["url"])), until="consent")
    world.equal((await world.sync(books)).invoices, 3, "the sync works on meanwhile")
    world.equal((await world.cancel(attempt)).status, 200, "the window is closed")
    await world.stands(books, State.HEALTHY, "abandoned: still healthy", attempt_reason=Reason.CANCELLED, generation=1)
    world.check(before is not None and await world.credential(books) == before, "the credential was never touched")
    world.equal((await world.sync(books)).invoices, 3, "and works")
