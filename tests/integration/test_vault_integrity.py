"""S34 in a running service: what is changed in the database doesn't open, costs no call, and a sign-in mends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.reasons import Reason
from schemas.secret import Secret
from service.app import web_app
from service.engine.submission import Submission, Trace
from service.oauth.keeper import Keeper
from service.oauth.refresh import Denied, NoToken
from service.vault.keys import FileKeySource, NoKey, generate_key_file
from service.vault.vault import Vault
from statemachine.inputs import Disconnect
from tests.integration.test_api import Host
from tests.loop import HOST, OWNER, TENANT, Loop, eventually, running_loop

BROKEN = Denied(NoToken.NEEDS_REAUTHORISATION, Reason.VAULT_INTEGRITY)

# Each is what somebody with write access does to one connector ($1), who may have another one's row ($2).
TAMPERINGS = {
    "an access token of another connector": """
        update credential set access_sealed = (select access_sealed from credential where connector = $2)
        where connector = $1""",
    "a whole row of another connector": """
        update credential mine set (access_sealed, refresh_sealed, data_key, rotation, account_id) =
            (select access_sealed, refresh_sealed, data_key, rotation, account_id from credential where connector = $2)
        where connector = $1""",
    "another connector's data key": """
        update data_key set wrapped = (select wrapped from data_key where connector = $2 and not retired)
        where connector = $1 and not retired""",
    "both swapped": """
        update credential mine set access_sealed = other.access_sealed from credential other
        where (mine.connector, other.connector) in (($1, $2), ($2, $1))""",
    "a cut access token": "update credential set access_sealed = substring(access_sealed for 20) where connector = $1",
    "an empty access token": "update credential set access_sealed = '' where connector = $1",
    "one flipped bit": """
        update credential set access_sealed = set_bit(access_sealed, 200, 1 - get_bit(access_sealed, 200))
        where connector = $1""",
    "the refresh token as access token": "update credential set access_sealed = refresh_sealed where connector = $1",
    "another account": "update credential set account_id = '9130357766590777' where connector = $1",
    "another generation": "update credential set generation = generation + 1 where connector = $1",
    "another rotation": "update credential set rotation = rotation + 1 where connector = $1",
    "a cut data key": "update data_key set wrapped = substring(wrapped for 12) where connector = $1 and not retired",
    "a data key's key number that was never there": """
        update data_key set wrapped = set_byte(wrapped, 4, 9) where connector = $1 and not retired""",
    "a data key's key number of another key": """
        update data_key set wrapped = set_byte(wrapped, 4, 3 - get_byte(wrapped, 4))
        where connector = $1 and not retired""",
    "no data key": "delete from data_key where connector = $1 and not retired",
}


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        generate_key_file(tmp_path / "keys")
        yield loop


def calls(loop: Loop) -> int:
    """What the provider was asked so far."""
    return loop.simulator.journal.total


async def change(loop: Loop, sql: str, id_: ConnectorId, other: ConnectorId | None = None) -> None:
    """Does that to the connector's rows, which must be there."""
    pks = [(await loop.row(one))["id"] for one in (id_, other) if one is not None]
    done = await loop.pool.execute(sql, *pks[: 1 + ("$2" in sql)])
    assert not done.endswith(" 0"), "something was changed"


async def fails_without_a_call(loop: Loop, id_: ConnectorId) -> None:
    """The next who asks is told, the provider isn't asked, and later ones don't even reach the vault."""
    before = calls(loop)
    assert await loop.token(id_) == BROKEN
    row = await loop.state(id_, State.FAILED)
    assert row["reason"] == Reason.VAULT_INTEGRITY
    opened = await loop.pool.fetchval("select count(*) from audit where connector_id = $1", id_)
    assert [await loop.token(id_), await loop.refreshed(id_)] == [BROKEN] * 2
    assert await loop.pool.fetchval("select count(*) from audit where connector_id = $1", id_) == opened
    assert calls(loop) == before


async def healed(loop: Loop, id_: ConnectorId) -> None:
    """What the reason offers works: the person signs in again."""
    await loop.reconnect(id_)
    await loop.state(id_, State.SYNCING)
    assert not isinstance(await loop.refreshed(id_), Denied)
    await no_jobs_left(loop)


async def no_jobs_left(loop: Loop) -> None:
    async def none() -> bool:
        return await loop.pool.fetchval("select count(*) from job") == 0

    await eventually(none, "no job goes round with what doesn't open")


async def test_s34_whatever_is_changed_fails_the_connector_without_a_call_and_a_sign_in_mends_it(loop: Loop) -> None:
    other = await loop.connected("Acme Ltd")
    id_ = await loop.connected()
    for what, sql in TAMPERINGS.items():
        kept = await loop.pool.fetch("select * from credential")
        keys = await loop.pool.fetch("select id, wrapped from data_key")
        try:
            await change(loop, sql, id_, other)
            await fails_without_a_call(loop, id_)
            await restore_other(loop, other, kept, keys)
            await healed(loop, id_)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
    assert not isinstance(await loop.token(other), Denied), "the other connector is as it was"


async def restore_other(loop: Loop, other: ConnectorId, credentials: list[Any], keys: list[Any]) -> None:
    """The other connector's rows, as they were before the swap."""
    pk = (await loop.row(other))["id"]
    for row in credentials:
        if row["connector"] == pk:
            sealed = "update credential set access_sealed = $2 where id = $1"
            await loop.pool.execute(sealed, row["id"], row["access_sealed"])
    for key in keys:
        await loop.pool.execute("update data_key set wrapped = $2 where id = $1 and connector = $3", *key.values(), pk)


async def test_s34_an_older_row_that_is_put_back_doesnt_open(loop: Loop) -> None:
    id_ = await loop.connected()
    older = await loop.current(id_)
    await loop.refreshed(id_)
    put_back = """
        update credential set (access_sealed, refresh_sealed, rotation) = ($2, $3, $4) where connector = $1 and
        status = 'current'"""
    pk, kept = older["connector"], await loop.current(id_)
    await loop.pool.execute(put_back, pk, older["access_sealed"], kept["refresh_sealed"], kept["rotation"])
    await fails_without_a_call(loop, id_)
    await healed(loop, id_)

    older = await loop.current(id_)
    await loop.refreshed(id_)
    await loop.pool.execute(put_back, pk, *(older[c] for c in ("access_sealed", "refresh_sealed", "rotation")))
    await loop.pool.execute("update credential set access_expires_at = now() - interval '1 hour'")
    await loop.ages(id_)
    await fails_without_a_call(loop, id_)  # also where the next step would be a refresh
    await healed(loop, id_)


async def test_s34_the_credential_of_an_older_generation_that_is_put_back_doesnt_open(loop: Loop) -> None:
    id_ = await loop.connected()
    older = await loop.current(id_)
    await loop.fail(id_)
    await loop.state(id_, State.FAILED)
    await healed(loop, id_)
    put_back = """
        update credential set (generation, access_sealed, refresh_sealed, rotation) = ($2, $3, $4, $5)
        where connector = $1 and status = 'current'"""
    columns = ("connector", "generation", "access_sealed", "refresh_sealed", "rotation")
    await loop.pool.execute(put_back, *(older[c] for c in columns))
    await fails_without_a_call(loop, id_)
    await healed(loop, id_)


async def test_s34_a_refresh_token_that_was_changed_is_not_sent_to_the_provider(loop: Loop) -> None:
    other, id_ = await loop.connected("Acme Ltd"), await loop.connected()
    stolen = "update credential set refresh_sealed = (select refresh_sealed from credential where connector = $2)"
    await change(loop, f"{stolen} where connector = $1", id_, other)
    await loop.ages(id_)
    await fails_without_a_call(loop, id_)
    await healed(loop, id_)


async def test_s34_a_code_that_was_changed_ends_the_attempt_and_isnt_redeemed(loop: Loop) -> None:
    id_ = await loop.register()
    attempt, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    returned = await loop.returned(begun, await loop.signed_in(begun))
    assert returned.completion_url is not None
    token = Secret(returned.completion_url.reveal().rsplit("=", 1)[1])
    await loop.pool.execute("update attempt set code_sealed = verifier_sealed")
    before = calls(loop)
    await loop.service.flow.complete(
        tenant=TENANT, attempt=attempt, completion_token=token, person_id=OWNER.id, actor=HOST, trace=Trace()
    )

    async def ended() -> bool:
        return await loop.pool.fetchval("select reason from attempt") == Reason.VAULT_INTEGRITY

    await eventually(ended, "the attempt ends")
    assert (await loop.row(id_))["state"] == State.FAILED
    assert (await loop.view(begun)).ending is Reason.VAULT_INTEGRITY
    assert calls(loop) == before
    await no_jobs_left(loop)


async def test_s34_a_changed_credential_that_is_retired_is_shredded_without_a_call(loop: Loop) -> None:
    id_ = await loop.connected()
    await change(loop, "update credential set refresh_sealed = access_sealed where connector = $1", id_)
    before = calls(loop)
    await loop.service.engine.submit(Submission(input=Disconnect(connector=id_), actor=HOST, tenant=TENANT))
    await no_jobs_left(loop)
    assert await loop.pool.fetchval("select (select count(*) from credential) + (select count(*) from data_key)") == 0
    assert calls(loop) == before


async def test_s35_a_key_that_isnt_there_sends_nobody_to_sign_in_and_passes(
    loop: Loop, tmp_path: Path, aiohttp_client: Callable[..., Awaitable[Any]]
) -> None:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    host = Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())
    id_ = await loop.connected()
    number = await loop.pool.fetchval("select key_number from data_key")
    key, before = tmp_path / "keys" / f"{number}.key", calls(loop)
    key.rename(tmp_path / "away")

    async def answers(status: int) -> bool:
        answer = await host.call("POST", f"/v1/connectors/{id_}/token", {})
        assert answer.status in (200, 503), await answer.text()
        assert answer.status == 200 or answer.headers["Retry-After"] == "2"
        return answer.status == status

    await eventually(lambda: answers(503), "the key is missed, though its data key was used a moment ago")
    assert (await loop.row(id_))["state"] == State.HEALTHY
    (tmp_path / "away").rename(key)
    await eventually(lambda: answers(200), "the token is there again")
    assert calls(loop) == before


async def test_s35_another_deployments_key_is_a_fault_of_the_set_up_and_fails_no_connector(
    loop: Loop, tmp_path: Path
) -> None:
    ids = [await loop.connected(), await loop.connected("Acme Ltd")]
    (number,) = await loop.pool.fetchrow("select distinct key_number from data_key")
    right, wrong = tmp_path / "keys" / f"{number}.key", generate_key_file(tmp_path / "others")
    kept = right.read_bytes()
    right.write_bytes(wrong.read_bytes())
    vault = Vault(FileKeySource(tmp_path / "keys"))  # as after a start: nothing is open yet
    async with loop.pool.acquire() as connection:
        for id_ in await connection.fetch("select id, connector from data_key"):
            with pytest.raises(NoKey, match="no data key opens"):
                await Keeper(vault).stored_key(connection, id_["id"])
            with pytest.raises(NoKey, match="no data key opens"):
                await Keeper(vault).key_of(connection, id_["connector"])
    right.write_bytes(kept)
    assert await loop.pool.fetchval("select count(*) from data_key where not retired") == 2, "none was replaced"
    assert [not isinstance(await loop.token(id_), Denied) for id_ in ids] == [True, True]
