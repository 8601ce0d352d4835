"""What the service is killed amidst while one sign-in repairs two connectors, which then live on one grant."""

import asyncio

from schemas.lifecycle import State
from service.demo.simulator.seed import OLIVIA
from service.demo.simulator.world import ACCOUNTING
from tests.faults.crashes_of_tokens import EXPIRE
from tests.faults.lane import Books, Lane


async def shared(lane: Lane, books: Books) -> None:
    """Two more of the company fail with it. The sign-in for it repairs one of them, and not the one that needs more."""
    other, wide = (Books(f"{books.id}-{name}", books.company, books.realm) for name in ("other", "wide"))
    await _there(lane, other, ACCOUNTING)
    await _there(lane, wide, f"{ACCOUNTING} more")
    await lane.bring_back(other)
    for one in (wide, other, books):
        await lane.fail(one)
    for one in (wide, other, books):
        await lane.is_in(one, State.FAILED)
    await lane.reconnect(books)
    await lane.is_in(other, State.SYNCING)
    await asyncio.gather(lane.bring_back(other), lane.bring_back(books))
    assert (await lane.row(wide))["state"] == State.FAILED
    slow = lane.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=0.3)
    await lane.database.execute(EXPIRE)
    for token in await asyncio.gather(lane.token(other), lane.token(books)):
        assert token.is_good, token
        known = lane.simulator.world.grants.grant_for_access_token(token.body["access_token"])
        assert known is not None and known[1] and known[0].state == "live", "one grant, and it is alive"
    lane.simulator.faults.lift(slow.id)


async def _there(lane: Lane, books: Books, scope: str) -> None:
    """A connector of the lane that stays, once it is there, on a grant that the host has brought."""
    if (await lane.row(books)) is None:
        await lane.register(books)
    if (await lane.row(books))["generation"] > 0:
        return
    tokens = lane.simulator.world.grant_without_pages(OLIVIA, books.realm, frozenset({ACCOUNTING}))
    body = {"refresh_token": tokens.refresh_token, "account_id": books.realm, "scope": scope}
    await lane.call("POST", f"/v1/connectors/{books.id}/credential", body)
    await lane.is_in(books, State.SYNCING)
    await lane.succeed(books)
    await lane.is_in(books, State.HEALTHY)
