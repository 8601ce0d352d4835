"""Story 6: denied, closed, expired, too late: each time back to failed, and the reason is kept."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import HASTY, story
from service.demo.stories.world import World


@story(6, "The consent is denied")
async def denied(world: World) -> None:
    books = await world.failed("Denied consent")
    attempt = await world.open(books)
    before = world.exchanges(books)
    async with world.person(books) as admin:
        screen = await admin.reconnect(attempt["handoff"]["url"], consent=False)
        world.equal(screen.name, "ended access_denied", "the window says that the connection wasn't allowed")
    await world.stands(
        books,
        State.FAILED,
        "a denial: back to failed",
        reason=Reason.TOKEN_REFUSED,
        attempt_reason=Reason.ACCESS_DENIED,
    )
    world.equal(world.exchanges(books), before, "no call to the token host was made")


@story(6, "The window is closed")
async def closed(world: World) -> None:
    books = await world.failed("Closed window")
    attempt = await world.open(books)
    async with world.person(books) as admin:
        authorize = await admin.press(await admin.look(attempt["handoff"]["url"]))
        await admin.sign_in(authorize, until="password")
        answer = await world.cancel(attempt)
        world.equal((answer.status, answer.body.get("status")), (200, "ended"), "the host gives the attempt up")
        await world.stands(
            books,
            State.FAILED,
            "a closed window: back to failed",
            reason=Reason.TOKEN_REFUSED,
            attempt_reason=Reason.CANCELLED,
        )
        late = await admin.come_back(await admin.sign_in(authorize))
        world.check(late.is_final, "who comes back afterwards sees that it was given up", late.heading)
    await world.stands(books, State.FAILED, "and changes nothing", attempt_reason=Reason.CANCELLED)


@story(6, "A link is used up, or replaced by a newer one")
async def used_link(world: World) -> None:
    books = await world.failed("Used link")
    attempt = await world.open(books)
    first = attempt["handoff"]["url"]
    path = f"/v1/attempts/{attempt['attempt_id']}/handoffs"
    newer = await world.platform.regrant.post(path, {"id": "u-olivia", "name": "Olivia Marsh"})
    async with world.person(books) as admin, world.person(books) as stranger:
        dead = await admin.look(first)
        world.equal(dead.status, 404, "the older link is void once there is a newer one")
        start = await admin.look(newer["url"])
        await admin.press(start)
        again = await stranger.look(newer["url"])
        world.equal((again.status, again.heading), (404, dead.heading), "a used link looks the same as an unknown one")
        world.check("link" in again.text.lower(), "and says what to do", again.text)
    await world.cancel(attempt)
    await world.stands(books, State.FAILED, "the connector is failed as before", reason=Reason.TOKEN_REFUSED)


@story(6, "The attempt's deadline passes", platform=HASTY)
async def too_late(world: World) -> None:
    books = await world.failed("Late person")
    attempt = await world.open(books)
    async with world.person(books) as admin:
        start = await admin.look(attempt["handoff"]["url"])
        world.equal(start.status, 200, "the link works while there is time")
        shown = await world.stands(
            books,
            State.FAILED,
            "when the time is over: back to failed",
            reason=Reason.TOKEN_REFUSED,
            attempt_reason=Reason.ATTEMPT_EXPIRED,
        )
        world.equal((await admin.look(attempt["handoff"]["url"])).status, 404, "then the link has expired")
    world.check(shown["offers_login"], "and another attempt is offered")
