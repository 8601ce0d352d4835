"""Story 4: the wrong company among several: refused with both names, and nothing of the old connection is touched."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import story
from service.demo.stories.world import World


@story(4, "The wrong company, then the right one")
async def wrong_company(world: World) -> None:
    books = await world.connected("Wrong company")
    other, _ = world.company("Other company", admin=books.admin)
    before = await world.credential(books)
    attempt = await world.open(books)
    async with world.person(books) as admin:
        screen = await admin.reconnect(attempt["handoff"]["url"], company=other.name)
        screen = await admin.wait(screen, 15)
        world.equal(screen.name, "ended wrong_account", "the window says that it was another company")
        named = books.company.name in screen.text and other.name in screen.text
        world.check(named, "with both names", screen.text[:300])
        shown = await world.stands(
            books,
            State.HEALTHY,
            "a wrong company changes nothing",
            attempt_reason=Reason.WRONG_ACCOUNT,
            generation=1,
        )
        told = world.transitions(books)[-1]
        world.equal(
            (told["expected_account"]["id"], told["seen_account"]["id"]),
            (books.company.realm, other.realm),
            "the transition names the expected and the seen company",
        )
        ended = await world.platform.regrant.get(f"/v1/attempts/{attempt['attempt_id']}")
        world.equal(
            (ended["status"], ended["reason"]), ("ended", "wrong_account"), "the API tells how the attempt ended"
        )
        after = await world.credential(books)
        world.check(before is not None and after == before, "the old credential's row is untouched, byte by byte")
        answer = await world.token(books)
        world.equal(answer.status, 200, "the old credential still opens")
        world.equal((await world.sync(books)).invoices, 3, "and the original connection works on")

        again = await admin.press(screen)
        screen = await admin.come_back(await admin.sign_in(again, company=books.company.name))
        screen = await admin.wait(screen, 15)
        world.equal(screen.name, "connected", "the second try, from the same window, succeeds")
    await world.stands(books, State.HEALTHY, "with the right company it is healthy", generation=2)
    await world.path(
        books,
        State.AWAITING_AUTH,
        State.VERIFYING,
        State.HEALTHY,
        State.AWAITING_AUTH,
        State.VERIFYING,
        State.SYNCING,
        State.HEALTHY,
        since=shown["version"] - 3,
    )
