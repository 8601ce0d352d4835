"""Answers as a form (form_post): the foreign server's page posts across sites, where no cookie of ours comes along."""

import pytest
import pytest_asyncio
from yarl import URL

from schemas.reasons import Reason
from tests.foreign.server import Came
from tests.foreign.stage import Stage
from tests.loop import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def stage(foreign: Stage) -> Stage:
    staged = Stage(foreign.running, foreign.server, "foreign-posted")
    await staged.connected()
    return staged


async def _connected(stage: Stage) -> bool:
    return bool((await stage.told())["reason"] == Reason.CONNECTED)


async def _all_about(stage: Stage) -> dict[str, list[dict[str, object]]]:
    """Every row that names this connector or its attempt; what earlier tests left running may change others."""
    names = {stage.id, stage.attempt, str((await stage.row())["id"])}
    dump = await stage.running.dump()
    return {table: [row for row in rows if names & {str(v) for v in row.values()}] for table, rows in dump.items()}


async def _nothing_came_of_it(stage: Stage, issued: int) -> None:
    assert (await stage.server.journal())["issued"] == issued
    assert not await stage.ended()


async def test_p26_a_posted_answer_leads_through_the_whole_flow(stage: Stage) -> None:
    await stage.reconnect()
    assert (await stage.told())["reason"] == Reason.CONNECTED
    await stage.reconnect(account="somebody-else")
    assert (await stage.told())["reason"] == Reason.WRONG_ACCOUNT
    await stage.reconnect(consent=False)
    assert (await stage.told())["reason"] == Reason.ACCESS_DENIED


async def test_s10_a_posted_answer_alone_changes_nothing(stage: Stage) -> None:
    came = await stage.back(stage.running.browser())
    assert came.form is not None and not came.url.query
    before = await _all_about(stage)
    carried = await stage.carried(came)
    assert await _all_about(stage) == before
    assert came.form["code"] not in carried and came.form["state"] not in carried


async def test_s04_a_posted_answer_counts_in_the_browser_that_began_and_in_no_other(stage: Stage) -> None:
    browser, stranger = stage.running.browser(), stage.running.browser()
    came = await stage.back(browser)
    issued = (await stage.server.journal())["issued"]
    carried = await stage.carried(came)
    for somebody in (stranger, await _who_has_begun_another(stage)):
        assert (await somebody.get(carried)).status == 404
        await _nothing_came_of_it(stage, issued)
    assert (await browser.get(carried)).status == 303
    await eventually(lambda: _connected(stage), "the answer counts")


async def _who_has_begun_another(stage: Stage):  # type: ignore[no-untyped-def]
    other = Stage(stage.running, stage.server, stage.provider)
    other.id = await stage.running.registered(provider=stage.provider)
    browser = stage.running.browser()
    await other.begun(browser)
    return browser


async def test_s02_a_posted_answer_counts_once(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    issued = (await stage.server.journal())["issued"]
    addresses = [await stage.carried(came) for _ in range(3)]
    for address in addresses:
        assert (await browser.get(address)).status == 303
    await eventually(lambda: _connected(stage), "the answer counts")
    assert (await stage.server.journal())["issued"] == issued + 1
    assert (await browser.get(addresses[0])).location == f"/connect/attempts/{stage.attempt}"


async def test_s06_a_posted_answer_finishes_its_own_request_and_no_later_one(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    issued = (await stage.server.journal())["issued"]
    carried = await stage.carried(came)
    page = f"/connect/attempts/{stage.attempt}"
    assert (await browser.press(page, f"{page}/again")).status == 303  # a new state, and the older one is void
    assert (await browser.get(carried)).status == 404
    assert (await stage.posted(came)).status == 404
    await _nothing_came_of_it(stage, issued)


async def test_s24_an_address_that_nobody_sealed_leads_where_an_unknown_one_leads(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    issued, carried = (await stage.server.journal())["issued"], await stage.carried(came)
    unknown = await browser.get(
        "/oauth/callback/foreign-posted/00000000-0000-4000-8000-000000000000?answer=" + "A" * 80
    )
    broken = carried[:-9] + ("A" if carried[-9] != "A" else "B") + carried[-8:]
    elsewhere = carried.replace("/foreign-posted/", "/foreign/")
    for address in (broken, carried + "%00", carried + "&x=1", carried.partition("?")[0], elsewhere):
        answer = await browser.get(address)
        assert (answer.status, answer.text) == (unknown.status, unknown.text) == (404, unknown.text)
    await _nothing_came_of_it(stage, issued)


def _forged(came: Came) -> dict[str, str]:
    assert came.form is not None
    right = URL.build(query=came.form).raw_query_string
    return {
        "a code twice": f"{right}&code=other",
        "a code twice, alike": f"{right}&code={came.form['code']}",
        "a state twice": f"{right}&state={came.form['state']}",
        "a code and an error": f"{right}&error=access_denied",
        "an empty code": right.replace(came.form["code"], ""),
        "another issuer": URL.build(query={**came.form, "iss": "https://evil.example"}).raw_query_string,
        "no issuer": URL.build(query={k: v for k, v in came.form.items() if k != "iss"}).raw_query_string,
        "a broken escape": f"{right}&x=%zz",
        "no UTF-8": f"{right}&x=%ff",
        "bytes": f"{right}&x=\u00e9",
        "too long": f"{right}&x={'y' * 9000}",
        "nothing": "",
    }


async def test_s05_s12_a_form_that_cant_be_an_answer_is_refused(stage: Stage) -> None:
    came = await stage.back(stage.running.browser())
    issued, address = (await stage.server.journal())["issued"], f"{stage.running.origin}{came.url.raw_path}"
    assert came.form is not None
    right = URL.build(query=came.form).raw_query_string
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    tries = [(name, address, body, form) for name, body in _forged(came).items()]
    tries += [
        ("JSON", address, right, {"Content-Type": "application/json"}),
        ("text", address, right, {"Content-Type": "text/plain"}),
        ("another charset", address, right, {"Content-Type": form["Content-Type"] + "; charset=utf-16"}),
        ("packed", address, right, {**form, "Content-Encoding": "identity"}),
        ("a query beside it", f"{address}?x=1", right, form),
        ("in the query instead", f"{address}?{right}", "", form),
    ]
    for name, url, body, headers in tries:
        sent = stage.running.session.post(
            URL(url, encoded=True), data=body.encode(), headers=headers, allow_redirects=False
        )
        async with sent as answer:
            assert answer.status == 400, name
    assert (await stage.running.browser().get(f"{came.url.raw_path}?{right}")).status == 400, "a GET wasn't asked for"
    await _nothing_came_of_it(stage, issued)
    assert (await stage.posted(came)).status == 303, "and the true one counts all the same"


async def test_s23_a_form_is_no_answer_where_none_was_asked_for(stage: Stage) -> None:
    answer = await stage.posted(Came(URL("/oauth/callback/foreign"), {"state": "s", "code": "c"}))
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    nowhere = await stage.posted(Came(URL("/oauth/callback/nowhere"), {"state": "s", "code": "c"}))
    assert nowhere.status == 405


async def test_s21_no_answer_is_kept_by_a_browser_or_told_to_others(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    posted = await stage.posted(came)
    for answer in (posted, await browser.get(posted.location)):
        assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    await eventually(lambda: _connected(stage), "the answer counts")
