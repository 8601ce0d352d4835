"""Story 13: our own client secret is wrong: the operator is alarmed, and no customer is asked."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import story
from service.demo.stories.world import World


@story(13, "Our client secret is wrong at the refresh")
async def wrong_secret_at_the_refresh(world: World) -> None:
    books = await world.registered("Wrong secret")
    faults = world.platform.simulator.faults
    token_host = {"host": "oauth", "endpoint": "token", "realm": books.company.realm}
    short = faults.throw("edit", **token_host, fields={"expires_in": 1})
    attempt = await world.open(books)
    async with world.person(books) as admin:
        await admin.reconnect(attempt["handoff"]["url"])
    await world.stands(books, State.HEALTHY, "connected with tokens that are soon over", generation=1)
    wrong = faults.throw("client_secret", **token_host)
    faults.lift(short.id)
    answer = await world.token(books)
    world.check(not answer.is_good, "no token is to be had after invalid_client", answer.status)
    shown = await world.stands(books, State.FAILED, "failed by our own fault", reason=Reason.CLIENT_REJECTED)
    world.equal(shown["remedy"], "fix_configuration", "the remedy is our configuration")
    world.check(
        not shown["offers_login"] and "nothing to do" in shown["words"], "the owner is told that there is nothing to do"
    )
    world.equal(world.transitions(books)[-1]["notice"], "operator_needed", "the operator is alarmed")
    answer = await world.ask(books)
    world.equal((answer.status, answer.code), (409, "login_does_not_help"), "no customer is sent to sign in")
    faults.lift(wrong.id)
    world.equal((await world.sync(books)).invoices, 3, "once it is mended, the refresh works")
    await world.stands(books, State.HEALTHY, "and the next success heals it", reason=None, generation=1)


@story(13, "Our client secret is wrong at the exchange")
async def wrong_secret_at_the_exchange(world: World) -> None:
    books = await world.failed("Wrong secret, exchange")
    attempt = await world.open(books)
    wrong = world.platform.simulator.faults.throw("client_secret", "oauth", endpoint="token", realm=books.company.realm)
    async with world.person(books) as admin:
        screen = await admin.wait(await admin.reconnect(attempt["handoff"]["url"]), 15)
        world.equal(screen.name, "ended client_rejected", "the window says that it is our fault")
    world.platform.simulator.faults.lift(wrong.id)
    await world.stands(
        books,
        State.FAILED,
        "back to failed, for the old reason",
        reason=Reason.TOKEN_REFUSED,
        attempt_reason=Reason.CLIENT_REJECTED,
        generation=1,
    )
    world.equal(world.transitions(books)[-1]["notice"], "operator_needed", "the operator is alarmed, not the customer")
