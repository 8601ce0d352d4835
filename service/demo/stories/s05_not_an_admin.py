"""Story 5: a standard user instead of an Organization Admin: refused in words, with what to do."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.person import SignInStopped
from service.demo.simulator.world import Role
from service.demo.stories.story import HASTY, story
from service.demo.stories.world import PASSWORD, World


@story(5, "Intuit refuses a standard user on its own page", platform=HASTY)
async def refused_by_intuit(world: World) -> None:
    books = await world.failed("Standard user")
    sam = f"sam.{books.id}@stories.example"
    company = (books.company.realm, Role.STANDARD)
    world.platform.simulator.world.add_user(sam, PASSWORD, "Sam", [company])
    attempt = await world.open(books)
    async with world.person(books, sam) as person:
        authorize = await person.press(await person.look(attempt["handoff"]["url"]))
        refused = ""
        try:
            await person.sign_in(authorize)
        except SignInStopped as stopped:
            refused = stopped.text
        world.check("admin" in refused.lower(), "Intuit refuses on a page of its own, and sends nobody back", refused)
        await world.stands(
            books,
            State.FAILED,
            "nobody comes back in time: failed as before",
            reason=Reason.TOKEN_REFUSED,
            attempt_reason=Reason.ATTEMPT_EXPIRED,
        )
        window = f"{world.platform.deployment.url}/connect/attempts/{attempt['attempt_id']}"
        screen = await person.look(window)
        world.check(
            "I am not an administrator" in screen.text and screen.name == "ended attempt_expired",
            "the window asks whether it was that",
            screen.text,
        )


@story(5, "The role is lost between the consent and the check")
async def refused_by_us(world: World) -> None:
    books = await world.failed("Lost role")
    attempt = await world.open(books)
    async with world.person(books) as admin:
        callback = await admin.sign_in(await admin.press(await admin.look(attempt["handoff"]["url"])))
        world.platform.simulator.world.set_role(books.admin, books.company.realm, Role.STANDARD)
        screen = await admin.wait(await admin.come_back(callback), 15)
        world.equal(screen.name, "ended needs_admin", "the window says that an administrator has to do it")
        world.check("Organization Admin" in screen.text and "Ask" in screen.text, "and what to do", screen.text)
    await world.stands(
        books,
        State.FAILED,
        "somebody who is no admin changes nothing",
        reason=Reason.TOKEN_REFUSED,
        attempt_reason=Reason.NEEDS_ADMIN,
        generation=1,
    )
