"""Rate limits and open attempts (S39), on the running service over HTTP."""

from typing import Any

from schemas.lifecycle import State
from service.app import ATTEMPTS_KEPT
from service.store.openings import CLEARED_AT_ONCE, clear_attempts
from tests.loop import eventually
from tests.window import OWNER, Running, Services


async def test_s39_an_address_that_floods_callbacks_gets_a_page_that_goes_on_by_itself(services: Services) -> None:
    proxies = {"trusted_proxies": ("127.0.0.1/32",)}
    async with services(limits={"address": 10}, http=proxies) as service:
        _, browser, callback = await service.back(await service.registered())
        flood = {"X-Forwarded-For": "203.0.113.9"}
        guess = f"/oauth/callback/quickbooks-online?code=x&state={'y' * 43}"
        answers = [await service.browser().get(guess, **flood) for _ in range(15)]

        assert [a.status for a in answers] == [404] * 10 + [429] * 5
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
        assert "One moment, please" in answers[-1].text and "Content-Security-Policy" in answers[-1].headers
        assert await service.audited("callback_of_an_unknown_state") == 10  # what is refused causes no write
        # The header of a stranger doesn't make another of him; another address isn't hindered.
        assert (await service.browser().get(guess, **{"X-Forwarded-For": "1.2.3.4, 203.0.113.9"})).status == 429
        assert (await browser.get(callback, **{"X-Forwarded-For": "198.51.100.7"})).status == 303


async def test_s39_without_trusted_proxies_no_header_makes_another_address(services: Services) -> None:
    async with services(limits={"address": 3}) as service:
        guess = f"/oauth/callback/quickbooks-online?code=x&state={'y' * 43}"

        answers = [
            await service.browser().get(
                guess, **{"X-Forwarded-For": f"203.0.113.{n}", "Forwarded": f"for=203.0.113.{n}"}
            )
            for n in range(5)
        ]

        assert [a.status for a in answers] == [404] * 3 + [429] * 2


async def test_s39_a_refused_button_spends_no_link_and_a_refused_callback_no_state(services: Services) -> None:
    async with services(limits={"address": 2}) as service:
        _, browser, callback = await service.back(await service.registered())  # the first of two
        _, link = await service.opened(await service.registered())
        other = service.browser()
        await other.get("/oauth/callback/quickbooks-online?x")

        assert (await other.press(link)).status == 429
        assert (await browser.get(callback)).status == 429

        kept = await service.loop.pool.fetchval("select count(*) from handoff where consumed_at is null")
        assert kept == 1
        rows = await service.loop.pool.fetch("select code_sealed, state_hash from attempt")
        assert sorted((r["code_sealed"], r["state_hash"] is None) for r in rows) == [(None, False), (None, True)]


async def test_s39_a_connector_has_its_pace_and_doesnt_hinder_another(services: Services) -> None:
    async with services(limits={"connector": 4}) as service:
        id_, other = await service.registered(), await service.registered()
        statuses = []
        for _ in range(6):
            status, told, headers = await service.api_with_headers(
                "POST", f"/v1/connectors/{id_}/attempts", {"person": OWNER}
            )
            statuses.append(status)
        assert statuses == [201] * 4 + [429] * 2
        assert (told["code"], told["retryable"], int(headers["Retry-After"])) == ("too_many_requests", True, 60)

        attempt, link = await service.opened(other)
        browser = service.browser()
        await service.begun(browser, link)
        page = f"/connect/attempts/{attempt}"
        again = [(await browser.press(page, f"{page}/again")).status for _ in range(6)]
        assert again == [303] * 3 + [429] * 3


async def test_s39_a_tenant_has_its_pace_over_all_replicas_and_doesnt_hinder_another(services: Services) -> None:
    async with services(limits={"tenant": 3}) as service:
        ids = [await service.registered() for _ in range(5)]
        strangers = await service.registered(tenant="stranger")

        assert [await opened(service, id_) for id_ in ids] == [201] * 3 + [429] * 2
        # The rows are what is counted, not this process's memory: an attempt of another replica is a row, too.
        await service.loop.pool.execute("update attempt set opened_at = opened_at - interval '61 seconds'")
        assert await opened(service, ids[3]) == 201
        assert await opened(service, strangers, tenant="stranger") == 201


async def opened(service: Running, id_: str, **how: Any) -> int:
    status, _ = await service.api("POST", f"/v1/connectors/{id_}/attempts", {"person": OWNER}, **how)
    return status


async def test_s39_open_attempts_cant_fill_the_table(services: Services) -> None:
    async with services(limits={"open_attempts": 2}) as service:
        ids = [await service.registered() for _ in range(3)]
        assert [await opened(service, id_) for id_ in ids] == [201, 201, 429]

        assert await opened(service, ids[0]) == 201  # a newer one voids the older: there aren't more for it
        count = "select count(*) from attempt where ended_at is null"
        assert await service.loop.pool.fetchval(count) == 2
        attempts = "select attempt_id from attempt where ended_at is null"
        for row in await service.loop.pool.fetch(attempts):
            await service.api("POST", f"/v1/attempts/{row['attempt_id']}/cancel")
        assert await opened(service, ids[2]) == 201


async def test_s39_a_new_attempt_voids_the_older_one_with_its_link_state_and_code(services: Services) -> None:
    async with services() as service:
        id_ = await service.connected()
        older, browser, callback = await service.back(id_)
        _, link = await service.opened(id_)
        before = service.exchanges

        assert (await browser.get(callback)).location == f"/connect/attempts/{older}"
        page = (await browser.get(f"/connect/attempts/{older}")).text

        assert "Somebody started again" in page
        assert service.exchanges == before
        assert (await service.loop.row(id_))["state"] == State.AWAITING_AUTH
        row = await service.loop.pool.fetchrow("select * from attempt where attempt_id = $1", older)
        assert (row["ended_at"] is not None, row["verifier_sealed"], row["code_sealed"]) == (True, None, None)
        assert (await service.browser().get(link)).status == 200


async def test_s39_what_ended_long_ago_is_cleared_with_its_links_and_nothing_else(services: Services) -> None:
    async with services() as service:
        id_ = await service.connected()  # its attempt's credential is in use
        over, link = await service.opened(id_)
        await service.begun(service.browser(), link)
        await service.api("POST", f"/v1/attempts/{over}/cancel")
        recent, _ = await service.opened(id_)
        await service.api("POST", f"/v1/attempts/{recent}/cancel")
        live, _ = await service.opened(id_)
        pool = service.loop.pool

        async def nothing_is_left_to_do() -> bool:
            return await pool.fetchval("select count(*) from job where attempt_id is not null") == 0

        await eventually(nothing_is_left_to_do, "no job of theirs is left: else they are kept")
        await pool.execute(
            "update attempt set ended_at = now() - $2::interval - interval '1 hour' where attempt_id <> all($1)",
            [recent, live],
            ATTEMPTS_KEPT,
        )
        await pool.execute(
            "insert into attempt (attempt_id, connector, tenant_id, opened_at, expires_at, completion, ended_at)"
            " select gen_random_uuid(), 1, 't', now(), now(), 'host', now() - interval '1 year'"
            " from generate_series(1, $1::int)",
            CLEARED_AT_ONCE + 5,
        )
        current = dict(await service.loop.current(id_))

        async with pool.acquire() as connection:
            cleared = await clear_attempts(connection, ATTEMPTS_KEPT)

        assert cleared == CLEARED_AT_ONCE + 7
        left = [str(r["attempt_id"]) for r in await pool.fetch("select attempt_id from attempt")]
        assert sorted(left) == sorted([recent, live])
        assert await pool.fetchval("select count(*) from handoff where attempt_id <> all($1)", [recent, live]) == 0
        assert dict(await service.loop.current(id_)) == current
