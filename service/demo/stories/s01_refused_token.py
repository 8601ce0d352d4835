"""Story 1: a refused token, and the whole way back to healthy."""

import time
from datetime import datetime

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.stories.story import When, story
from service.demo.stories.world import World

H, F, A, V, S = State.HEALTHY, State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING
REDIRECT_TO_REQUEST_S = 1.0


@story(1, "A refused token, and the whole way back to healthy", when=When.FIRST)
async def refused_token(world: World) -> None:
    books = await world.connected("Refused token")
    await world.path(books, F, A, V, S, H)
    await world.refuse(books)
    shown = await world.stands(
        books, F, "Intuit's refusal of the token makes it failed", reason=Reason.TOKEN_REFUSED, generation=1
    )
    world.check(
        shown["offers_login"] and "QuickBooks" in shown["words"], "the API says why in words, and offers the login"
    )
    told = world.transitions(books)[-1]
    evidence = told["evidence"]
    world.equal(
        (evidence["status"], evidence["code"]), (401, "3200"), "the transition carries Intuit's status and code"
    )
    world.check(evidence["request_id"].startswith("1-"), "and Intuit's request id, which its support needs")
    world.check("Token expired" not in str(told), "but nothing of the body, which holds a part of the token")
    world.equal(told["notice"], "person_needed", "the owner is to be told")

    attempt = await world.open(books)
    await world.stands(books, A, "an open attempt makes it await the sign-in", reason=Reason.TOKEN_REFUSED, fallback=F)
    async with world.person(books) as admin:
        start = await admin.look(attempt["handoff"]["url"])
        world.check("Organization Admin" in start.text, "the window says who can sign in")
        callback = await admin.sign_in(await admin.press(start, "Connect to QuickBooks"), passkey=True)
        world.platform.sync_engine.held.add(books.id)
        came_back = time.monotonic()
        screen = await admin.come_back(callback)
        request = (await world.until(lambda: world.requests(books)[1:], "the sync is requested"))[0]
        took = request.at - came_back
        world.check(took < REDIRECT_TO_REQUEST_S, "less than a second after the redirect", f"{took:.2f} s")
        world.report.timings["redirect to sync request"] = took
        syncing = await world.stands(books, S, "the new credential is in use", generation=2, reason=None)
        since = datetime.fromisoformat(request.data["since"])
        world.equal(since, datetime.fromisoformat(shown["failed_since"]), "it says since when: the first failure")
        world.equal(request.data["generation"], 2, "which credential to use")
        world.equal(request.data["version"], syncing["version"], "and which transition asks")
        await world.platform.sync_engine.release(books.id)
        done = await admin.wait(screen, 15)
        world.equal(done.name, "connected", "the window ends with the good news")
    healthy = await world.stands(books, H, "the sync's success makes it healthy", generation=2, failed_since=None)
    await world.path(books, A, V, S, H, since=shown["version"])
    world.equal(world.transitions(books)[-1]["notice"], "recovered", "everybody who was told hears that it works again")
    versions = [told["version"] for told in world.transitions(books)]
    world.equal(versions, list(range(1, healthy["version"] + 1)), "the versions have no gap")
    world.equal(world.exchanges(books), 2, "one exchange for each sign-in, and no other call to the token host")
