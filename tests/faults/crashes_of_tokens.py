"""What the service is killed amidst while it keeps tokens: refreshes, refusals, an import."""

import asyncio
from typing import Any

from schemas.lifecycle import State
from service.demo.simulator.seed import OLIVIA
from service.demo.simulator.world import ACCOUNTING
from tests.faults.lane import Books, Lane


async def refreshed(lane: Lane, books: Books) -> None:
    """The access token is over: one refresh, and the new token works."""
    await _expire(lane)
    answer = await lane.token(books)
    assert answer.is_good, answer


async def refreshed_slowly(lane: Lane, books: Books) -> None:
    """The provider is away at the first refresh, and slow at the second, while others wait for the same token."""
    away = lane.simulator.faults.throw("status", "oauth", endpoint="token", status=503, remaining=1)
    slow = lane.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=0.3)
    await _expire(lane)
    answers = await asyncio.gather(lane.token(books), lane.token(books))
    assert all(answer.is_good for answer in answers), answers
    for fault in (away, slow):
        lane.simulator.faults.lift(fault.id)


async def refused_at_refresh(lane: Lane, books: Books) -> None:
    """The grant was revoked in QuickBooks, which a refresh finds out that follows one which was interrupted."""
    lane.simulator.world.grants.disconnect(books.realm)
    await _expire(lane)
    await lane.database.execute(INTERRUPT)
    answer = await lane.token(books)
    assert answer.code == "no_credential", answer
    await lane.is_in(books, State.FAILED)
    await lane.bring_back(books)


# In the order in which the service locks them, when a grant is several connectors'.
_ALL = "where id in (select id from credential order by id for update)"
AGE = f"update credential set refreshed_at = refreshed_at - interval '1 minute' {_ALL}"
EXPIRE = f"update credential set access_expires_at = now() {_ALL}"
INTERRUPT = f"""
update credential set refresh_lease = gen_random_uuid(), refresh_until = now() - interval '1 second' {_ALL}
"""


async def _expire(lane: Lane) -> None:
    await lane.database.execute(EXPIRE)


async def refused_by_the_api(lane: Lane, books: Books) -> None:
    """The provider's API refuses the access token: whoever asks then gets another one."""
    path = f"/v1/connectors/{books.id}/token"
    first = (await lane.token(books)).body
    refused = {name: first[name] for name in ("generation", "rotation")}
    await lane.database.execute(AGE)
    answer = await lane.call("POST", path, {"refused": refused})
    assert answer.is_good and answer.body["rotation"] > first["rotation"], answer


async def imported(lane: Lane, books: Books) -> None:
    """The host brings a grant whose access token it hasn't kept; the provider is away when it is to be refreshed."""
    tokens = lane.simulator.world.grant_without_pages(OLIVIA, books.realm, frozenset({ACCOUNTING}))
    away = lane.simulator.faults.throw("status", "oauth", endpoint="token", status=503, remaining=1)
    body = {"refresh_token": tokens.refresh_token, "account_id": books.realm, "scope": ACCOUNTING}

    async def taken() -> dict[str, Any] | None:
        answer = await lane.call("POST", f"/v1/connectors/{books.id}/credential", body)
        return None if answer.code == "verification_running" else answer.body

    attempt = await lane.until(taken, "the grant is taken in")

    async def ended() -> dict[str, Any] | None:
        told = (await lane.call("GET", f"/v1/attempts/{attempt['attempt_id']}")).body
        return told if told["status"] == "ended" else None

    told = await lane.until(ended, "its checks end")
    assert told["reason"] == "connected", told
    lane.simulator.faults.lift(away.id)
    await lane.bring_back(books)
