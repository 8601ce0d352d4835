"""Story 12: the subscription has ended: its own words, no login is offered, and the next success heals it."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.world import CompanyStatus
from service.demo.stories.story import story
from service.demo.stories.world import World


@story(12, "The subscription has ended")
async def subscription_ended(world: World) -> None:
    books = await world.connected("Ended subscription")
    books.company.status = CompanyStatus.ENDED
    await world.sync(books)
    shown = await world.stands(books, State.FAILED, "Intuit's 6190: failed", reason=Reason.ACCOUNT_INACTIVE)
    world.check("subscription" in shown["words"] and not shown["offers_login"], "in its own words, without a login")
    world.equal(shown["remedy"], "fix_account", "the remedy is the account, not the sign-in")
    answer = await world.ask(books)
    world.equal((answer.status, answer.code), (409, "login_does_not_help"), "no attempt can be opened")
    books.company.status = CompanyStatus.ACTIVE
    world.equal((await world.sync(books)).invoices, 3, "after the renewal the next sync gets its token and works")
    await world.stands(books, State.HEALTHY, "the next success heals it", reason=None, generation=1)
    world.equal(world.transitions(books)[-1]["notice"], "recovered", "and silences the reminders")
