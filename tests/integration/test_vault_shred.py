"""S37: what is disconnected or deleted is revoked, however often that takes, and can't be opened again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.lifecycle import State
from service import keys
from service.engine.submission import Submission
from service.oauth.refresh import Denied
from service.vault.envelope import SealContext, WrappedKey
from service.vault.keys import FileKeySource, KeyRetired, NoKey, SealBroken, generate_key_file
from service.vault.vault import Vault
from statemachine.inputs import Delete, Disconnect
from tests.loop import HOST, TENANT, Loop, eventually, running_loop

SEALED_IN = ("connector", "credential", "data_key", "attempt", "job")
"""The tables that an older copy of the database would bring back."""


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def take_off(loop: Loop, id_: ConnectorId, how: type[Disconnect] | type[Delete] = Disconnect) -> None:
    await loop.service.engine.submit(Submission(input=how(connector=id_), actor=HOST, tenant=TENANT))


async def shredded(loop: Loop, id_: ConnectorId) -> None:
    """Waits until nothing of the connector's secrets is left, nor a job."""
    pk = (await loop.row(id_))["id"]

    async def nothing_left() -> bool:
        left = """
            select (select count(*) from credential where connector = $1)
                 + (select count(*) from data_key where connector = $1)
                 + (select count(*) from job where connector = $1)
                 + (select count(*) from attempt where connector = $1
                    and num_nonnulls(code_sealed, verifier_sealed) > 0)
            """
        return await loop.pool.fetchval(left, pk) == 0

    await eventually(nothing_left, "credential, data key, code and verifier are destroyed")


class Dump:
    """A copy of the tables, as `pg_dump` makes one, and putting it back."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take(self) -> "Dump":
        for table in SEALED_IN:
            await self._pool.execute(f"create table kept_{table} as select * from {table}")
        return self

    async def put_back(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            for table in SEALED_IN:
                columns = ", ".join(await connection.fetchval(_COLUMNS, table))
                await connection.execute(f"delete from {table}")
                source = f"select {columns} from kept_{table}"
                await connection.execute(f"insert into {table} ({columns}) overriding system value {source}")

    async def sealed(self) -> list[tuple[WrappedKey, SealContext, bytes]]:
        """Everything of credentials that was sealed when it was taken, with the place that it belongs to."""
        rows = await self._pool.fetch(
            "select k.*, c.connector_id, c.tenant_id, d.wrapped from kept_credential k"
            " join kept_connector c on c.id = k.connector join kept_data_key d on d.id = k.data_key"
        )
        return [
            (WrappedKey(row["wrapped"]), _place(row, kind), row[f"{kind}_sealed"])
            for row in rows
            for kind in ("access", "refresh")
        ]


_COLUMNS = """
select array_agg(attname::text order by attnum) from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""


def _place(row: Any, kind: str) -> SealContext:
    return SealContext(
        tenant=TenantId(row["tenant_id"]),
        connector=ConnectorId(row["connector_id"]),
        account=row["account_id"],
        kind=f"{kind}_token.{row['rotation']}",
        generation=Generation(row["generation"]),
    )


@pytest.mark.parametrize("how", [Disconnect, Delete])
async def test_s37_a_revocation_that_the_provider_puts_off_is_tried_again_and_then_all_is_destroyed(
    loop: Loop, how: type[Disconnect] | type[Delete]
) -> None:
    id_ = await loop.connected()
    row = await loop.current(id_)
    loop.simulator.faults.throw("status", "oauth", endpoint="revoke", status=503, remaining=2)
    await take_off(loop, id_, how)
    asked = loop.simulator.journal.by_endpoint
    await eventually(lambda: asked["revoke"] == 1, "the first try")
    assert await loop.pool.fetchval("select count(*) from credential where id = $1", row["id"]) == 1, "kept until then"
    await shredded(loop, id_)
    assert asked["revoke"] == 3
    assert await loop.pool.fetchval("select count(*) from job") == 0


async def test_s37_a_revocation_survives_the_process_that_began_it(loop: Loop) -> None:
    id_ = await loop.connected()
    fault = loop.simulator.faults.throw("status", "oauth", endpoint="revoke", status=503)
    await take_off(loop, id_)
    asked = loop.simulator.journal.by_endpoint
    await eventually(lambda: asked["revoke"] >= 1, "the first try")
    kinds = await loop.pool.fetch("select kind from job order by kind")
    assert [row["kind"] for row in kinds] == ["retire", "shred"], "both are in the database, not in a process"
    loop.simulator.faults.lift(fault.id)
    await shredded(loop, id_)


async def test_s37_after_the_key_is_retired_a_restored_older_dump_opens_nothing(loop: Loop, tmp_path: Path) -> None:
    id_, stays = await loop.connected(), await loop.connected("Acme Ltd")
    dump = await Dump(loop.pool).take()
    await take_off(loop, id_)
    await shredded(loop, id_)
    settings = loop.service.settings
    for step in (keys.rotate, keys.rewrap):
        await step(settings, lambda line: None)
    await keys.retire(settings, 1, lambda line: None)
    assert not isinstance(await loop.token(stays), Denied), "who stayed notices nothing"

    await dump.put_back()
    running, fresh = Vault(FileKeySource(tmp_path / "keys")), Vault(FileKeySource(tmp_path / "keys"))
    sealed = await dump.sealed()
    assert len(sealed) == 4
    for vault in (running, fresh):
        for key, place, value in sealed:
            with pytest.raises(KeyRetired):
                await vault.open(key, place, value)
    before = loop.simulator.journal.total

    async def told() -> bool:
        answer = await loop.token(id_)
        return isinstance(answer, Denied)

    await eventually(told, "the running service doesn't open it either, though it had that data key open")
    assert loop.simulator.journal.total == before


async def test_s37_a_restored_dump_is_useless_at_the_provider_even_while_its_key_is_there(
    loop: Loop, tmp_path: Path
) -> None:
    """The limit, as docs/keys.md says it: until the key is retired, who has an older dump and the key opens it."""
    id_ = await loop.connected()
    dump = await Dump(loop.pool).take()
    await take_off(loop, id_)
    await shredded(loop, id_)
    vault = Vault(FileKeySource(tmp_path / "keys"))
    for key, place, value in await dump.sealed():
        assert await vault.open(key, place, value)
    await dump.put_back()
    await loop.pool.execute("update credential set access_expires_at = now()")
    refused = await loop.token(id_)
    assert isinstance(refused, Denied), "it was revoked"
    await loop.state(id_, State.FAILED)


async def test_s37_a_dump_without_the_keys_opens_nothing(loop: Loop, tmp_path: Path) -> None:
    await loop.connected()
    sealed = await (await Dump(loop.pool).take()).sealed()
    stranger = tmp_path / "stranger"
    generate_key_file(stranger)
    vault = Vault(FileKeySource(stranger))
    for key, place, value in sealed:
        with pytest.raises((SealBroken, NoKey)):
            await vault.open(key, place, value)
