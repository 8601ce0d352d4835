"""The state, its browser and its one use (S1-S6, S14, S24): the running service, asked over HTTP."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from yarl import URL

from schemas.lifecycle import State
from tests.loop import eventually
from tests.window import Running


def forms(dump: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Every value of a dump, in each way in which somebody could write it into an address."""
    for rows in dump.values():
        for value in (value for row in rows for value in row.values() if value is not None):
            if isinstance(value, bytes):
                yield from (value.hex(), base64.urlsafe_b64encode(value).decode().rstrip("="), value.decode("latin-1"))
            else:
                yield str(value)


def s256(verifier: str) -> str:
    """RFC 7636 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def changed(callback: str, **parameters: str) -> str:
    return str(URL(callback, encoded=True).update_query(parameters))


async def untouched(service: Running, id_: str) -> dict[str, Any]:
    """What no refused callback may change: the connector, and that nothing is under way for it."""
    jobs = await service.loop.pool.fetchval("select count(*) from job where kind = 'verify'")
    return {**dict(await service.loop.row(id_)), "jobs": jobs, "exchanges": service.exchanges}


# S1


async def test_s01_a_dump_of_the_database_gives_no_usable_state(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)
    state = URL(callback).query["state"]
    assert len(base64.urlsafe_b64decode(state + "==")) * 8 >= 128

    known = set(forms(await service.dump()))
    assert not [value for value in known if state in value]
    hashed = hashlib.sha256(state.encode())
    assert hashed.hexdigest() in known  # the test sees the column: what is there is the hash
    for stolen in (hashed.hexdigest(), base64.urlsafe_b64encode(hashed.digest()).decode().rstrip("=")):
        assert (await browser.get(changed(callback, state=stolen))).status == 404
    assert service.exchanges == 0
    assert (await browser.get(callback)).status == 303


async def test_s01_each_request_has_a_state_of_its_own(service: Running) -> None:
    id_ = await service.registered()
    browser = service.browser()
    attempt, link = await service.opened(id_)
    page = f"/connect/attempts/{attempt}"
    ways = [await service.begun(browser, link)]
    ways += [(await browser.press(page, f"{page}/again")).location for _ in range(3)]

    for name in ("state", "code_challenge", "nonce"):
        assert len({URL(way).query[name] for way in ways}) == len(ways)


# S2 and P8


@pytest.mark.parametrize("at_once", [200, 500])
async def test_s02_p08_of_many_callbacks_with_one_state_one_leads_to_a_token_request(
    service: Running, at_once: int
) -> None:
    id_ = await service.connected()
    before = service.exchanges
    attempt, browser, callback = await service.back(id_)

    answers = await asyncio.gather(*(browser.get(callback) for _ in range(at_once)))

    assert {(a.status, a.location) for a in answers} == {(303, f"/connect/attempts/{attempt}")}
    await eventually(lambda: _generation(service, id_, 2), "the new credential is in use")
    reloaded = await browser.get(callback)
    assert (reloaded.status, reloaded.location) == (303, f"/connect/attempts/{attempt}")
    assert "Connected" in (await browser.get(reloaded.location)).text
    assert service.exchanges == before + 1
    assert service.loop.simulator.journal.exchanges_of(URL(callback).query["code"]) == 1


async def test_s02_p08_of_many_callbacks_for_a_new_account_one_completion_comes_of_it(service: Running) -> None:
    id_ = await service.registered()
    attempt, browser, callback = await service.back(id_)

    answers = await asyncio.gather(*(browser.get(callback) for _ in range(50)))

    tokens = [URL(a.location).query["completion_token"] for a in answers if "completion_token" in a.location]
    assert len(tokens) == 1
    assert (await service.complete(attempt, tokens[0]))[0] == 200
    await service.loop.state(id_, State.SYNCING)
    assert service.exchanges == 1


async def test_p08_replayed_after_a_lost_token_answer_the_code_is_sent_once_and_the_outcome_stays(
    service: Running,
) -> None:
    id_ = await service.connected()
    _, browser, callback = await service.back(id_)
    fault = service.loop.simulator.faults.throw("drop", "oauth", endpoint="token")
    page = (await browser.get(callback)).location
    await service.loop.state(id_, State.HEALTHY)
    service.loop.simulator.faults.lift(fault.id)

    for _ in range(5):
        assert (await browser.get(callback)).location == page
        assert "The sign-in was interrupted" in (await browser.get(page)).text
    assert service.loop.simulator.journal.exchanges_of(URL(callback).query["code"]) == 1


async def _generation(service: Running, id_: str, wanted: int) -> bool:
    row = await service.loop.row(id_)
    return row["generation"] == wanted and row["state"] == State.SYNCING


# S3


async def test_s03_a_state_lives_ten_minutes_at_most_by_the_databases_clock(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_)
    left = "select extract(epoch from request_expires_at - now()) from attempt where state_hash is not null"
    assert 0 < await service.loop.pool.fetchval(f"{left} and attempt_id = $1", attempt) <= 600
    await service.loop.pool.execute("update attempt set request_expires_at = now()")
    before = await untouched(service, id_)

    late = await browser.get(callback)

    assert (late.status, late.location) == (303, f"/connect/attempts/{attempt}")  # its own page, to begin again from
    assert await untouched(service, id_) == before
    stranger = await service.browser().get(callback)
    assert stranger.status == 404


# S4


async def test_s04_only_the_browser_that_pressed_the_button_may_come_back(service: Running) -> None:
    id_ = await service.connected()
    _, browser, callback = await service.back(id_)
    (name, value), *_ = [(n, v) for n, v in browser.cookies.items() if n.endswith("window")]
    other = service.browser()
    await service.begun(other, (await service.opened(await service.registered()))[1])
    before = await untouched(service, id_)

    for given in (None, other.cookies[name], "f" * len(value), value[:-1] + ("a" if value[-1] != "a" else "b"), ""):
        stranger = service.browser()
        stranger.cookies = {} if given is None else {name: given}
        refused = await stranger.get(callback)
        assert refused.status == 404, given
    assert await untouched(service, id_) == before
    assert await service.audited("callback_of_another_browser") == 5
    assert (await browser.get(callback)).status == 303


async def test_s04_the_cookie_tells_nothing_of_the_state_and_the_database_nothing_of_the_cookie(
    service: Running,
) -> None:
    _, browser, callback = await service.back(await service.registered())
    state = URL(callback).query["state"]
    (value,) = [v for n, v in browser.cookies.items() if n.endswith("window")]
    derived = {state, hashlib.sha256(state.encode()).hexdigest(), s256(state), state[::-1]}

    assert not [one for one in derived if one in value or value in one]
    assert len(base64.urlsafe_b64decode(value + "==")) * 8 >= 128
    assert not [one for one in forms(await service.dump()) if value in one]


# S5


NO_ANSWERS = (
    "code={code}",
    "state=&code={code}",
    "state={state}",
    "state={state}&code=",
    "state={state}&state={state}&code={code}",
    "state={state}&code={code}&code={code}",
    "state={state}&s%74ate={state}&code={code}",
    "state={state}&code={code}&error=access_denied",
    "state={state}&code=" + "a" * 7000,
    "state={state}&code=" + "a" * 10_240,
    "state={state}&code={code}%00",
    "state={state}%00&code={code}",
    "state={state}&code=%ff%fe",
    "state={state}&code=%zz",
    "state={state}&error=access_denied&error=access_denied",
)


async def test_s05_what_cant_be_an_answer_is_a_bad_request(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)
    before = await untouched(service, id_)
    given = URL(callback).query

    for query in NO_ANSWERS:
        refused = await browser.get("/oauth/callback/quickbooks-online?" + query.format(**given))
        assert refused.status == 400, query[:80]

    assert await untouched(service, id_) == before
    assert (await browser.get(callback)).status == 303  # and the true one still counts


async def test_s05_a_bad_callback_leaves_one_audit_row(service: Running) -> None:
    await service.browser().get("/oauth/callback/quickbooks-online?code=x")
    await service.browser().get(f"/oauth/callback/quickbooks-online?code=x&state={'y' * 43}")

    assert await service.audited("callback_refused") == 1
    assert await service.audited("callback_of_an_unknown_state") == 1


# S6


async def test_s06_two_attempts_in_one_browser_both_complete(service: Running) -> None:
    inc, leasing = await service.connected(), await service.connected(company="Drivewell Leasing LLC")
    browser = service.browser()
    first, _, one = await service.back(inc, browser)
    second, _, two = await service.back(leasing, browser, company="Drivewell Leasing LLC")

    assert (await browser.get(two)).location == f"/connect/attempts/{second}"
    assert (await browser.get(one)).location == f"/connect/attempts/{first}"

    for id_ in (inc, leasing):
        await eventually(lambda id_=id_: _generation(service, id_, 2), f"{id_} has its new credential")


async def test_s06_neither_of_two_attempts_can_finish_the_other(service: Running) -> None:
    inc, leasing = await service.connected(), await service.connected(company="Drivewell Leasing LLC")
    browser = service.browser()
    _, _, one = await service.back(inc, browser)
    _, _, two = await service.back(leasing, browser, company="Drivewell Leasing LLC")

    crossed = changed(one, code=URL(two).query["code"], realmId=URL(two).query["realmId"])
    page = (await browser.get(crossed)).location

    await service.loop.state(inc, State.HEALTHY)
    assert "The sign-in couldn&#39;t be completed" in (await browser.get(page)).text
    rows = [await service.loop.row(id_) for id_ in (inc, leasing)]
    assert [(r["state"], r["generation"], r["account_name"]) for r in rows] == [
        (State.HEALTHY, 1, "Drivewell Inc"),
        (State.AWAITING_AUTH, 1, "Drivewell Leasing LLC"),
    ]


# S14


async def test_s14_pkce_is_always_sent_and_its_verifier_is_sealed_and_goes_with_the_state(service: Running) -> None:
    id_ = await service.connected()
    browser = service.browser()
    attempt, link = await service.opened(id_)
    asked = URL(await service.begun(browser, link)).query
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    sealed = "select verifier_sealed from attempt where attempt_id = $1"
    assert await service.loop.pool.fetchval(sealed, attempt) is not None
    plain = [v for v in forms(await service.dump()) if 43 <= len(v) <= 128 and s256(v) == asked["code_challenge"]]
    assert plain == []

    await browser.press(f"/connect/attempts/{attempt}", f"/connect/attempts/{attempt}/cancel")

    row = await service.loop.pool.fetchrow("select * from attempt where attempt_id = $1", attempt)
    assert [row[name] for name in ("verifier_sealed", "nonce", "code_sealed", "completion_hash")] == [None] * 4


# S24


async def test_s24_unknown_expired_used_and_foreign_lead_to_one_and_the_same_page(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_)
    used = callback
    await browser.get(used)
    await eventually(lambda: _generation(service, id_, 2), "the first attempt is over")
    expired_attempt, _, expired = await service.back(id_)
    await service.loop.pool.execute(
        "update attempt set request_expires_at = now() where attempt_id = $1", expired_attempt
    )
    _, spent = await service.opened(await service.registered())
    await service.begun(service.browser(), spent)
    _, old = await service.opened(await service.registered())
    await service.loop.pool.execute("update handoff set expires_at = now() where consumed_at is null")
    stranger = service.browser()

    pages = [
        await stranger.get(address)
        for address in (
            used,
            expired,
            changed(callback, state="z" * 43),
            callback.replace("quickbooks-online", "nobody"),
            f"/connect/attempts/{attempt}",
            f"/connect/attempts/{expired_attempt}",
            f"/connect/attempts/{uuid4()}",
            "/connect/attempts/none",
            spent,
            old,
            "/connect/" + "h" * 43,
        )
    ]

    assert {page.status for page in pages} == {404}
    assert len({page.text for page in pages}) == 1
    assert id_ not in pages[0].text and "Drivewell Inc" not in pages[0].text
