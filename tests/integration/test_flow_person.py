"""The right person (S7-S10, P11): links, the button, and the host's confirmation, on the running service over HTTP."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from yarl import URL

from schemas.lifecycle import State
from service.settings.model import Web
from tests.loop import COMPLETION_URL, eventually
from tests.window import OWNER, Running, Services


async def requests(service: Running) -> int:
    """How many authorization requests are under way."""
    count: int = await service.loop.pool.fetchval("select count(*) from attempt where state_hash is not null")
    return count


# S7 and P11


async def test_s07_p11_a_link_works_once_and_the_second_opening_starts_nothing(service: Running) -> None:
    _, link = await service.opened(await service.registered())
    thief, owner = service.browser(), service.browser()
    page = await thief.get(link)  # both have the page before one of them presses
    assert page.status == 200
    await service.begun(owner, link)
    asked = await service.loop.pool.fetchval("select state_hash from attempt where state_hash is not null")

    again = await thief.get(link)
    assert again.status == 404
    forged = await owner.ask(
        "POST", link, {"Sec-Fetch-Site": "same-origin"}, {"csrf": page.text.split('name="csrf" value="')[1][:64]}
    )
    assert forged.status in (403, 404)

    assert await service.loop.pool.fetchval("select state_hash from attempt where state_hash is not null") == asked
    assert await requests(service) == 1


async def test_s07_p11_of_two_who_press_at_once_one_is_sent_to_the_provider(service: Running) -> None:

    _, link = await service.opened(await service.registered())

    pressed = await asyncio.gather(*(service.browser().press(link) for _ in range(2)), return_exceptions=True)

    assert sorted(p.status for p in pressed if not isinstance(p, BaseException)).count(303) == 1
    assert await requests(service) == 1


async def test_s07_p11_a_link_is_short_lived_by_the_databases_clock(service: Running) -> None:
    _, link = await service.opened(await service.registered())
    browser = service.browser()
    left = await service.loop.pool.fetchval("select extract(epoch from expires_at - now()) from handoff")
    assert 540 < left <= 600
    page = await browser.get(link)
    await service.loop.pool.execute("update handoff set expires_at = now()")

    csrf = page.text.split('name="csrf" value="')[1][:64]
    late = await browser.ask("POST", link, {"Sec-Fetch-Site": "same-origin"}, {"csrf": csrf})

    assert (late.status, await requests(service)) == (404, 0)


@pytest.mark.parametrize("lifetime", ["PT31M", "PT0S", "P1D"])
def test_s07_p11_no_deployment_can_make_links_live_longer_than_half_an_hour(lifetime: str) -> None:
    with pytest.raises(ValidationError, match="half an hour at most"):
        Web.model_validate({"host_name": "Drivewell", "handoff_lifetime": lifetime})


async def test_s07_p11_a_newer_link_or_attempt_voids_the_older_one(service: Running) -> None:
    id_ = await service.registered()
    attempt, first = await service.opened(id_)
    status, told = await service.api("POST", f"/v1/attempts/{attempt}/handoffs", OWNER)
    assert status == 201
    second = URL(told["url"]).path
    assert (await service.browser().get(first)).status == 404
    assert (await service.browser().get(second)).status == 200

    _, third = await service.opened(id_)

    assert (await service.browser().get(second)).status == 404
    assert (await service.browser().get(third)).status == 200
    kept = "select count(*) from handoff where consumed_at is null"
    assert await service.loop.pool.fetchval(kept) == 1


async def test_s07_p11_a_link_is_of_one_connector_tenant_and_person(service: Running) -> None:
    id_ = await service.registered()
    attempt, link = await service.opened(id_, person={"id": "u-sam", "name": "Sam"})
    for call in (
        ("POST", f"/v1/connectors/{id_}/attempts", {"person": OWNER}),
        ("POST", f"/v1/attempts/{attempt}/handoffs", OWNER),
    ):
        assert (await service.api(*call, tenant="stranger"))[0] == 404

    await service.begun(service.browser(), link)

    row = await service.loop.pool.fetchrow("select * from attempt where attempt_id = $1", attempt)
    assert (row["person_id"], row["person_name"], row["tenant_id"]) == ("u-sam", "Sam", "drivewell")
    assert await service.loop.pool.fetchval("select count(*) from attempt where state_hash is not null") == 1


async def test_s07_a_browser_goes_on_by_itself_for_an_hour_however_often_it_begins_again(service: Running) -> None:
    attempt, link = await service.opened(await service.registered())
    browser = service.browser()
    await service.begun(browser, link)
    page = f"/connect/attempts/{attempt}"
    await browser.press(page, f"{page}/cancel")
    await service.loop.pool.execute("update attempt set opened_at = opened_at - interval '50 minutes'")
    assert (await browser.press(page, f"{page}/again")).status == 303
    newer = await service.loop.pool.fetchval("select attempt_id from attempt where ended_at is null")
    page = f"/connect/attempts/{newer}"
    await browser.press(page, f"{page}/cancel")
    await service.loop.pool.execute("update attempt set session_began = session_began - interval '11 minutes'")

    assert (await browser.press(page, f"{page}/again")).status == 404


# S8


async def test_s08_the_page_before_the_provider_names_who_asks_for_what_and_asks_to_go_on(service: Running) -> None:
    id_ = await service.connected()
    _, link = await service.opened(id_)

    page = (await service.browser().get(link)).text

    for named in ("Drivewell", "drivewell", "Olivia", "Drivewell Inc", "Books", "Go on only if you know this request"):
        assert named in page


async def test_s08_a_pinned_connector_completes_in_the_browser_that_began(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_)
    assert (await service.api("GET", f"/v1/attempts/{attempt}"))[1]["completion"] == "browser"

    assert (await browser.get(callback)).location == f"/connect/attempts/{attempt}"

    await eventually(lambda: generation(service, id_, 2), "the new credential is in use")


async def generation(service: Running, id_: str, wanted: int) -> bool:
    return bool((await service.loop.row(id_))["generation"] == wanted)


async def test_s08_a_host_may_demand_its_backends_completion_for_pinned_connectors_too(services: Services) -> None:
    async with services(web={"completion": "always"}) as service:
        id_ = await service.connected()
        before = service.exchanges
        attempt, browser, callback = await service.back(id_)
        assert (await service.api("GET", f"/v1/attempts/{attempt}"))[1]["completion"] == "host"

        answer = await browser.get(callback)

        assert answer.location.startswith(f"{COMPLETION_URL}?attempt_id={attempt}&completion_token=")
        assert "before anything is changed" in (await browser.get(f"/connect/attempts/{attempt}")).text
        assert ((await service.loop.row(id_))["state"], service.exchanges) == (State.AWAITING_AUTH, before)
        token = URL(answer.location).query["completion_token"]
        assert (await service.complete(attempt, token, person="u-somebody-else"))[0] == 403
        assert service.exchanges == before
        assert (await service.complete(attempt, token))[0] == 200
        await eventually(lambda: generation(service, id_, 2), "the new credential is in use")


def test_s08_completion_can_only_be_made_stricter() -> None:
    for laxer in ("never", "browser", "", None):
        with pytest.raises(ValidationError):
            Web.model_validate({"host_name": "Drivewell", "completion": laxer})
    with pytest.raises(ValidationError, match="COMPLETION_URL"):
        Web.model_validate({"host_name": "Drivewell", "completion": "always"})


# S9


async def test_s09_a_new_account_is_redeemed_only_after_the_hosts_backend_confirms_its_user(service: Running) -> None:
    id_ = await service.registered()
    attempt, browser, callback = await service.back(id_)
    answer = await browser.get(callback)
    at = URL(answer.location)
    token = at.query["completion_token"]
    assert str(at.with_query(None)) == COMPLETION_URL  # the registered address, and no other
    other_attempt, other_browser, other_callback = await service.back(await service.registered())
    other_token = URL((await other_browser.get(other_callback)).location).query["completion_token"]

    for refused in (
        await service.complete(attempt, token, person="u-mallory"),
        await service.complete(attempt, token, person="ü-olivia"),
        await service.complete(attempt, "x" * 43),
        await service.complete(attempt, other_token),
        await service.complete(other_attempt, token),
    ):
        assert (refused[0], refused[1]["code"]) == (403, "completion_refused")
    assert (await service.complete(attempt, token, tenant="stranger"))[0] == 404
    row = await service.loop.row(id_)
    assert (row["state"], row["account_id"], service.exchanges) == (State.AWAITING_AUTH, None, 0)
    assert await service.audited("completion_refused") == 5

    assert (await service.complete(attempt, token))[0] == 200
    await service.loop.state(id_, State.SYNCING)
    assert service.exchanges == 1
    assert (await service.complete(attempt, token))[0] in (403, 409)  # it was for one time


async def test_s09_a_victims_sign_in_on_a_forwarded_link_pins_nothing(service: Running) -> None:
    """The attack (cross-user OAuth session fixation): Mallory opens an attempt, and sends the link to Olivia."""
    id_ = await service.registered()
    attempt, link = await service.opened(id_, person={"id": "u-mallory", "name": "Mallory"})
    olivia = service.browser()
    callback = await olivia.sign_in(await service.begun(olivia, link))
    token = URL((await olivia.get(callback)).location).query["completion_token"]

    # Olivia's browser comes to the host, where she is Olivia; Mallory has no token.
    assert (await service.complete(attempt, token, person="u-olivia"))[0] == 403
    assert (await service.complete(attempt, "m" * 43, person="u-mallory"))[0] == 403

    assert ((await service.loop.row(id_))["account_id"], service.exchanges) == (None, 0)
    dump: Any = await service.dump()
    assert not [row for row in dump["attempt"] if row["completion_hash"] and token.encode() in row["completion_hash"]]


async def test_s09_a_person_whose_id_is_no_ascii_completes(service: Running) -> None:
    id_ = await service.registered()
    person = {"id": "Ölivia-ß", "name": "Ölivia"}
    attempt, link = await service.opened(id_, person=person)
    browser = service.browser()
    callback = await browser.sign_in(await service.begun(browser, link))
    token = URL((await browser.get(callback)).location).query["completion_token"]

    assert (await service.complete(attempt, token, person="Olivia-ß"))[0] == 403
    assert (await service.complete(attempt, token, person=person["id"]))[0] == 200


# S10


async def test_s10_mail_scanners_and_previews_may_open_everything(service: Running) -> None:
    id_ = await service.registered()
    attempt, link = await service.opened(id_)
    before = await service.dump()

    for _ in range(3):
        for path in (
            link,
            f"/connect/attempts/{attempt}",
            f"/connect/attempts/{attempt}/status",
            "/help/reasons/cancelled",
            "/help?ask=link",
        ):
            for method in ("GET", "HEAD"):
                await service.browser().ask(method, path)

    assert await service.dump() == before
    await service.begun(service.browser(), link)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin"},  # and no form's proof
    ],
    ids=str,
)
async def test_s10_another_pages_post_starts_nothing(service: Running, headers: dict[str, str]) -> None:
    _, link = await service.opened(await service.registered())
    before = await service.dump()

    refused = await service.browser().ask("POST", link, headers, {"csrf": "0" * 64})

    assert (refused.status, await service.dump()) == (403, before)
