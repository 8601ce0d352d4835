"""S36: keys come, wrap and go, by `regrant keys`, and nothing that is kept is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service import keys
from service.keys import KeyLine, StillNeeded
from service.oauth.keeper import Keeper
from service.oauth.rewrap import BATCH, Rewrapper
from service.settings import Settings
from service.store import credentials, data_keys, migrate
from service.store.data_keys import Rewrapped
from service.store.pool import Pool, open_pool
from service.vault.envelope import SealContext, WrappedKey
from service.vault.keys import FileKeySource, KeyRetired, NoKey, generate_key_file
from service.vault.vault import Vault
from tests.loop import eventually

HERE = SealContext(TenantId("t"), ConnectorId("c"), "", "sample", Generation(1))
TOKEN = Secret("AB11-a-refresh-token")


@dataclass
class Deployment:
    """A database with data keys, and the keys that wrap them."""

    settings: Settings
    pool: Pool
    folder: Path

    def vault(self) -> Vault:
        """As a process that has just started has it."""
        return Vault(FileKeySource(self.folder))

    async def filled(self, count: int) -> dict[int, bytes]:
        """That many data keys, each with something that is sealed by it; by connector."""
        vault, sealed = self.vault(), {}
        for pk in range(1, count + 1):
            key = await Keeper(vault).key_of(self.pool, pk)
            sealed[pk] = await vault.seal(WrappedKey(key.wrapped), HERE, TOKEN)
        return sealed

    async def opens(self, sealed: dict[int, bytes]) -> None:
        vault = self.vault()
        for pk, value in sealed.items():
            key = await credentials.data_key(self.pool, pk)
            assert key is not None
            assert await vault.open(WrappedKey(key.wrapped), HERE, value) == TOKEN

    async def listed(self) -> list[KeyLine]:
        return await keys.listed(self.settings)


@pytest.fixture
async def deployment(database: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    folder = tmp_path / "keys"
    generate_key_file(folder)
    (tmp_path / "jwt.key").write_bytes(b"k" * 32)
    settings = Settings.model_validate(
        {
            "database": {"dsn": database},
            "kafka": {"bootstrap": "127.0.0.1:9"},
            "http": {"public_url": "https://connect.example.com"},
            "keys": {"folder": folder},
            "jwt": {"issuer": "i", "audience": "a", "hs256_key_file": tmp_path / "jwt.key"},
            "web": {"host_name": "Drivewell"},
        }
    )
    pool = await open_pool(database)
    async with pool.acquire() as connection:
        await migrate.migrate(connection, shards=1)
    yield Deployment(settings, pool, folder)
    await pool.close()


async def test_s36_rotate_rewrap_retire_and_everything_still_opens(deployment: Deployment) -> None:
    sealed = await deployment.filled(2 * BATCH + 50)
    said: list[str] = []
    await keys.rotate(deployment.settings, said.append)
    assert await deployment.listed() == [KeyLine(1, False, 250, "usable"), KeyLine(2, True, 0, "usable")]
    await deployment.opens(sealed)
    with pytest.raises(StillNeeded, match="250 data keys are still under key 1 or"):
        await keys.retire(deployment.settings, 1, said.append)
    await keys.rewrap(deployment.settings, said.append)
    assert "all data keys are under key 2" in said
    await keys.retire(deployment.settings, 1, said.append)
    assert await deployment.listed() == [KeyLine(1, False, 0, "retired"), KeyLine(2, True, 250, "usable")]
    assert not (deployment.folder / "1.key").exists()
    await deployment.opens(sealed)


async def test_s36_a_new_key_wraps_at_once_in_a_process_that_runs(deployment: Deployment) -> None:
    vault = deployment.vault()
    assert await vault.current() == 1
    await keys.rotate(deployment.settings, lambda line: None)
    assert (await vault.new_data_key())[4] == 2


async def test_s36_the_key_that_wraps_and_one_that_isnt_there_cant_be_retired(deployment: Deployment) -> None:
    for number, why in ((1, "wraps what comes next"), (7, "there is no key 7")):
        with pytest.raises(StillNeeded, match=why):
            await keys.retire(deployment.settings, number, lambda line: None)
    assert (deployment.folder / "1.key").exists()


async def test_s36_a_retired_key_is_refused_though_its_file_and_a_row_under_it_come_back(
    deployment: Deployment,
) -> None:
    sealed = await deployment.filled(3)
    running = deployment.vault()
    older = {r["id"]: r["wrapped"] for r in await deployment.pool.fetch("select id, wrapped from data_key")}
    for wrapped in older.values():
        await running.check(WrappedKey(wrapped))  # it knows these data keys from now on
    file = (deployment.folder / "1.key").read_bytes()
    await keys.rotate(deployment.settings, lambda line: None)
    await keys.rewrap(deployment.settings, lambda line: None)
    await keys.retire(deployment.settings, 1, lambda line: None)
    (deployment.folder / "1.key").write_bytes(file)
    (deployment.folder / "1.key").chmod(0o600)
    for id_, wrapped in older.items():
        await deployment.pool.execute("update data_key set wrapped = $2 where id = $1", id_, wrapped)
    key, value = WrappedKey(next(iter(older.values()))), next(iter(sealed.values()))
    with pytest.raises(KeyRetired):
        await deployment.vault().open(key, HERE, value)

    async def refused() -> bool:
        try:
            await running.open(key, HERE, value)
        except KeyRetired:
            return True
        return False

    await eventually(refused, "a running process refuses it, too, though it had the data key open")
    assert generate_key_file(deployment.folder).name == "3.key", "no number is used again"


async def test_s36_nothing_comes_under_a_retired_key_from_a_process_that_doesnt_know_yet(
    deployment: Deployment, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    late.mkdir()
    (late / "1.key").write_bytes((deployment.folder / "1.key").read_bytes())
    (late / "1.key").chmod(0o600)
    await keys.rotate(deployment.settings, lambda line: None)
    await keys.retire(deployment.settings, 1, lambda line: None)
    with pytest.raises(NoKey):
        await Keeper(Vault(FileKeySource(late))).key_of(deployment.pool, 1)
    assert await deployment.pool.fetchval("select count(*) from data_key") == 0
    assert await Keeper(deployment.vault()).key_of(deployment.pool, 1)
    (row,) = await deployment.pool.fetch("select id, wrapped from data_key")
    number, made = await FileKeySource(late).wrap(b"k" * 32)
    back = Rewrapped(row["id"], row["wrapped"], b"\1" + number.to_bytes(4) + made)
    assert await data_keys.rewrap(deployment.pool, [back]) == 0


async def test_s36_what_changed_meanwhile_isnt_overwritten_and_one_that_doesnt_open_stops_nobody(
    deployment: Deployment,
) -> None:
    sealed = await deployment.filled(5)
    broken = "update data_key set wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20)) where connector = 3"
    await deployment.pool.execute(broken)
    said: list[str] = []
    await keys.rotate(deployment.settings, said.append)
    with pytest.raises(StillNeeded, match="1 data keys don't open"):
        await keys.rewrap(deployment.settings, said.append)
    assert [(k.number, k.data_keys) for k in await deployment.listed()] == [(1, 1), (2, 4)]
    assert not [line for line in said if "all data keys" in line]
    del sealed[3]
    await deployment.opens(sealed)
    (row,) = await deployment.pool.fetch("select id, wrapped from data_key where connector = 1")
    stale = Rewrapped(row["id"], b"as it was", b"as it shall be")
    assert await data_keys.rewrap(deployment.pool, [stale]) == 0


async def test_s36_a_running_worker_brings_them_under_the_new_key_by_itself_and_one_at_a_time(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.oauth.rewrap.LOOK_EVERY_S", 0.05)
    sealed = await deployment.filled(20)
    workers = [asyncio.create_task(Rewrapper(deployment.pool, deployment.vault()).run()) for _ in range(2)]
    try:
        generate_key_file(deployment.folder)

        async def done() -> bool:
            return [(k.number, k.data_keys) for k in await deployment.listed()] == [(1, 0), (2, 20)]

        await eventually(done, "all are under key 2")
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    await deployment.opens(sealed)
    async with data_keys.only_one(deployment.pool) as first, data_keys.only_one(deployment.pool) as second:
        assert (first, second) == (True, False)


async def test_s35_a_folder_that_becomes_unreadable_leaves_the_keys_that_are_known(
    deployment: Deployment, tmp_path: Path
) -> None:
    source = FileKeySource(deployment.folder)
    number, made = await source.wrap(b"k" * 32)
    (deployment.folder / "2.key").write_bytes(b"half a k")
    (deployment.folder / "2.key").chmod(0o600)
    assert await source.current() == 1
    assert await source.unwrap(number, made) == b"k" * 32
    for file in deployment.folder.glob("*.key"):
        file.unlink()
    with pytest.raises(NoKey):
        await source.current()
