"""Story 2: a deactivated person, a withdrawn permission, a refused refresh: each has its own reason."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import story
from service.demo.stories.world import World


@story(2, "The person who connected is gone")
async def deactivated_person(world: World) -> None:
    books = await world.connected("Deactivated person")
    world.platform.simulator.world.remove_user(books.admin)
    await world.sync(books)
    shown = await world.stands(
        books, State.FAILED, "a grant of somebody who was removed: failed", reason=Reason.USER_DEACTIVATED
    )
    world.check("removed" in shown["words"], "the words say that the person who connected lost access")
    world.equal(world.transitions(books)[-1]["evidence"]["code"], "120", "Intuit's code 120 is kept")


@story(2, "The owner disconnects in QuickBooks")
async def withdrawn_permission(world: World) -> None:
    books = await world.connected("Withdrawn permission")
    world.platform.simulator.world.grants.disconnect(books.company.realm)
    await world.sync(books)
    await world.stands(books, State.FAILED, "a permission that was withdrawn: failed", reason=Reason.ACCESS_REVOKED)
    world.equal(world.transitions(books)[-1]["evidence"]["code"], "3100", "Intuit's code 3100 is kept")


@story(2, "The refresh is refused")
async def refused_refresh(world: World) -> None:
    books = await world.registered("Refused refresh")
    world.platform.simulator.faults.throw(
        "edit", "oauth", endpoint="token", realm=books.company.realm, fields={"expires_in": 1}
    )
    attempt = await world.open(books)
    async with world.person(books) as admin:
        await admin.reconnect(attempt["handoff"]["url"])
    await world.stands(books, State.HEALTHY, "connected with tokens that are soon over", generation=1)
    world.platform.simulator.world.grants.expire_refresh_tokens(books.company.realm)
    answer = await world.token(books)
    world.equal((answer.status, answer.code), (409, "no_credential"), "no token is to be had after invalid_grant")
    await world.stands(books, State.FAILED, "invalid_grant at the refresh: failed", reason=Reason.GRANT_REVOKED)
    calls = world.exchanges(books)
    world.equal((await world.token(books)).status, 409, "the next request is answered alike")
    world.equal(world.exchanges(books), calls, "and a dead grant is never tried again")
