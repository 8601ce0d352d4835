"""A credential whose end is known: told ahead, once, by the database's clock; renewed while it still works."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas import api, channels
from schemas.ids import ConnectorId
from schemas.lifecycle import Notice, State
from service.engine.expiry import prepare, warn
from service.oauth.tokens import Denied
from service.store import expiry, reads
from service.store.migrate import migrate
from service.store.pool import open_pool
from tests.loop import QUICKBOOKS, Loop, running_loop

DAY = timedelta(days=1)
H, F, A, V, S = State.HEALTHY, State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def ends_in(loop: Loop, id_: ConnectorId, left: timedelta, *, known_for: timedelta = 40 * DAY) -> None:
    """Puts the hard end of a credential there, as one that was known for so long."""
    await loop.pool.execute(
        "update credential k set made_at = now() - $3::interval, hard_expires_at = now() + $2::interval"
        " from connector c where c.id = k.connector and c.connector_id = $1 and k.status = 'current'",
        id_,
        left,
        known_for,
    )


async def warned(loop: Loop) -> None:
    while await warn(loop.service.engine, loop.pool):
        pass


async def refreshed(loop: Loop, id_: ConnectorId) -> None:
    """Has the credential refreshed, as if its access token were over."""
    rotation = (await loop.current(id_))["rotation"]
    await loop.pool.execute("update credential set access_expires_at = now() where status = 'current'")
    assert isinstance(await loop.token(id_), api.AccessToken)
    assert (await loop.current(id_))["rotation"] == rotation + 1


def told(loop: Loop, id_: ConnectorId) -> list[Any]:
    """The warnings that were published, and what took them back."""
    news = {Notice.EXPIRING, Notice.RECOVERED}
    return [one for one in loop.topics.data(channels.TRANSITIONS, id_) if one["notice"] in news]


async def test_p21_a_warning_is_published_with_the_date_and_the_tokens_go_on(loop: Loop) -> None:
    id_ = await loop.connected()
    await ends_in(loop, id_, 7 * DAY - timedelta(minutes=5))

    await warned(loop)

    await loop.path(id_, F, A, V, S, H, H)
    (record,) = told(loop, id_)
    row = await loop.row(id_)
    assert (record["reason"], record["remedy"], record["from"], record["to"]) == ("expiring", "reauthorise", H, H)
    assert datetime.fromisoformat(record["connector"]["expires_at"]) == row["expires_at"]
    assert timedelta(days=6.9) < row["expires_at"] - datetime.now(UTC) < timedelta(days=7)
    assert row["reason"] is None
    assert not isinstance(await loop.token(id_), Denied)


async def test_p21_twice_and_late_is_harmless_and_the_next_warning_comes_at_its_time(loop: Loop) -> None:
    id_ = await loop.connected()
    await ends_in(loop, id_, 7 * DAY - timedelta(minutes=5))
    await warned(loop)

    await loop.pool.execute("update credential set warn_at = now() - interval '1 day'")
    await asyncio.gather(*(warn(loop.service.engine, loop.pool) for _ in range(3)))

    row = await loop.row(id_)
    credential = await loop.current(id_)
    assert row["version"] == 6
    assert credential["warn_at"] == credential["ends_at"] - DAY


async def test_p21_many_workers_give_a_warning_once(loop: Loop) -> None:
    ids = [await loop.connected(), await loop.connected("Drivewell Canada ULC")]
    for id_ in ids:
        await ends_in(loop, id_, DAY - timedelta(minutes=5))

    looked_at = await asyncio.gather(*(warn(loop.service.engine, loop.pool) for _ in range(8)))

    assert sum(looked_at) == 2
    assert await loop.pool.fetchval("select count(*) from transition where trigger = 'expiry_near'") == 2
    assert await loop.pool.fetchval("select count(*) from note where trigger = 'expiry_near'") == 0


async def test_p21_a_person_renews_while_healthy_and_the_warning_is_taken_back(loop: Loop) -> None:
    id_ = await loop.connected()
    await ends_in(loop, id_, DAY - timedelta(minutes=5))
    await warned(loop)

    await loop.reconnect(id_)
    await loop.state(id_, S)
    await warned(loop)

    row = await loop.row(id_)
    assert (row["generation"], row["expires_at"], row["warned"]) == (2, None, None)
    await loop.path(id_, F, A, V, S, H, H, A, V, S)
    assert [one["notice"] for one in told(loop, id_)] == [Notice.EXPIRING, Notice.RECOVERED]


async def test_p21_a_refresh_that_moves_the_end_takes_the_warning_back(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.pool.execute("update credential set refresh_expires_at = now() + interval '40 days'")
    await loop.pool.execute(
        "update credential set planned_at = now() - interval '50 days',"
        " ends_at = now() + interval '6 days', warn_at = now()"
    )
    await warned(loop)
    assert (await loop.row(id_))["warned"] is not None

    await refreshed(loop, id_)
    await warned(loop)

    assert (await loop.row(id_))["warned"] is None
    await loop.path(id_, F, A, V, S, H, H, H)
    assert told(loop, id_)[-1]["trigger"] == "expiry_moved"
    await warned(loop)
    assert (await loop.row(id_))["version"] == 7


async def test_p21_a_short_lived_credential_is_warned_of_what_fits_into_its_life_alone(loop: Loop) -> None:
    grants = loop.simulator.world.grants.settings
    grants.refresh_token_life, grants.rotation_interval = 7 * DAY, timedelta()
    id_ = await loop.connected()
    credential = await loop.current(id_)
    assert credential["warn_at"] == credential["ends_at"] - DAY

    await loop.pool.execute(
        "update credential set planned_at = now() - interval '6 days', ends_at = now() + interval '12 hours',"
        " warn_at = now()"
    )
    await warned(loop)
    await refreshed(loop, id_)  # for another week, of which nobody is warned with seven, fourteen and thirty days ahead
    await warned(loop)

    assert (await loop.row(id_))["expires_at"] is None
    await loop.path(id_, F, A, V, S, H, H, H)
    assert [one["trigger"] for one in told(loop, id_)] == ["expiry_near", "expiry_moved"]


async def test_p21_a_failed_connector_is_warned_once_it_is_healthy_again(loop: Loop) -> None:
    id_ = await loop.failed()
    await ends_in(loop, id_, 7 * DAY - timedelta(minutes=5))
    await warned(loop)
    assert (await loop.row(id_))["expires_at"] is None

    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=1, started_at=datetime.now(UTC).isoformat())
    await loop.state(id_, H)
    await loop.pool.execute("update credential set warn_at = now()")  # the pause is over
    await warned(loop)

    assert (await loop.row(id_))["expires_at"] is not None


async def test_p21_an_announced_end_of_all_grants_is_told_however_late_it_is_announced(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.pool.execute("update credential set made_at = now() - interval '1 year'")
    end = datetime.now(UTC) + 10 * DAY

    await prepare(loop.service.engine, loop.pool, {QUICKBOOKS: end})
    await warned(loop)

    row = await loop.row(id_)
    assert (row["expires_at"], row["expires_estimated"]) == (end, False)
    assert row["warned"] == end - 14 * DAY


async def test_p21_other_times_of_warning_hold_for_the_credentials_that_are_there(loop: Loop) -> None:
    id_ = await loop.connected()
    async with loop.pool.acquire() as connection:
        await expiry.set_rule(connection, [timedelta(days=60), timedelta(hours=1)])

    row = await loop.current(id_)
    assert row["warn_at"] == row["ends_at"] - 60 * DAY


# P22: the hard cap.


async def hard_end(loop: Loop, id_: ConnectorId) -> reads.Ends:
    async with loop.pool.acquire() as connection:
        return (await reads.ends(connection, [id_]))[id_]


async def test_p22_the_hard_cap_that_the_answer_tells_is_kept_and_no_estimate(loop: Loop) -> None:
    loop.simulator.world.grants.settings.hard_life = 1000 * DAY
    id_ = await loop.connected()

    ends = await hard_end(loop, id_)

    assert ends.hard is not None and not ends.hard_estimated
    assert timedelta(days=999.9) < ends.hard - datetime.now(UTC) <= 1000 * DAY
    assert ends.idle == ends.at and not ends.estimated


async def test_p22_without_the_field_five_years_from_the_consent_count_and_no_refresh_moves_them(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = loop.service.providers[QUICKBOOKS].description
    assert description.token_headers == {"x-include-refresh-token-hard-expires-in": "true"}
    monkeypatch.setitem(description.token_headers, "x-include-refresh-token-hard-expires-in", "false")
    id_ = await loop.connected()
    before = await hard_end(loop, id_)
    assert before.hard is not None and before.hard_estimated
    assert timedelta(days=1825.9) < before.hard - datetime.now(UTC) <= 1826 * DAY

    for _ in range(3):
        await refreshed(loop, id_)
    after = await hard_end(loop, id_)

    assert (after.hard, after.hard_estimated) == (before.hard, True)


async def test_p22_a_refresh_that_tells_the_hard_cap_puts_it_in_the_estimates_place(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = loop.service.providers[QUICKBOOKS].description.token_headers
    with monkeypatch.context() as first:
        first.setitem(headers, "x-include-refresh-token-hard-expires-in", "false")
        id_ = await loop.connected()
    loop.simulator.world.grants.settings.hard_life = 900 * DAY

    await refreshed(loop, id_)
    ends = await hard_end(loop, id_)

    assert ends.hard is not None and not ends.hard_estimated
    assert ends.hard - datetime.now(UTC) < 901 * DAY


# The look at what is due.


async def test_the_look_at_what_is_due_reads_its_index_however_many_credentials_there_are(database: str) -> None:
    async with await open_pool(database) as pool, pool.acquire() as connection:
        await migrate(connection, shards=2)
        await connection.execute(
            "insert into credential (connector, generation, attempt_id, status, data_key, account_id, access_sealed,"
            " access_expires_at, refresh_sealed, refresh_expires_at, scope)"
            " select n, 1, gen_random_uuid(), 'current', 1, '', '', now(), '', now() + interval '90 days', ''"
            " from generate_series(1, 50000) n"
        )
        await connection.execute("analyze credential")
        plan = "\n".join(row[0] for row in await connection.fetch(f"explain {expiry.TAKE}", 500, timedelta(minutes=1)))

    assert "credential_warn" in plan
    assert "Seq Scan on credential" not in plan
