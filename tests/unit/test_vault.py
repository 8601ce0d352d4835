"""The vault: what is sealed opens in its own place only, and never without its key."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service.vault.envelope import SealContext, WrappedKey
from service.vault.keys import FileKeySource, NoKey, SealBroken, generate_key_file
from service.vault.vault import Vault

HERE = SealContext(TenantId("t"), ConnectorId("c"), "realm-1", "refresh_token.3", Generation(2))
TOKEN = Secret("AB11-a-refresh-token")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    generate_key_file(tmp_path / "keys")
    return Vault(FileKeySource(tmp_path / "keys"))


async def test_what_is_sealed_opens_in_its_place(vault: Vault) -> None:
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    assert await vault.open(key, HERE, sealed) == TOKEN
    assert TOKEN.reveal().encode() not in sealed


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "other"},
        {"connector": "other"},
        {"account": "realm-2"},
        {"account": ""},
        {"kind": "access_token.3"},
        {"kind": "refresh_token.2"},
        {"generation": 1},
        {"tenant": "tc", "connector": ""},  # the parts moved over their border
    ],
    ids=str,
)
async def test_s34_a_row_in_another_place_doesnt_open(vault: Vault, change: dict[str, object]) -> None:
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    with pytest.raises(SealBroken):
        await vault.open(key, replace(HERE, **change), sealed)  # type: ignore[arg-type]


async def test_s34_under_another_connectors_key_it_doesnt_open(vault: Vault) -> None:
    sealed = await vault.seal(await vault.new_data_key(), HERE, TOKEN)
    with pytest.raises(SealBroken):
        await vault.open(await vault.new_data_key(), HERE, sealed)


async def test_s34_every_flipped_byte_and_every_cut_is_noticed(vault: Vault) -> None:
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    for i in range(len(sealed)):
        flipped = sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :]
        for broken in (flipped, sealed[:i]):
            with pytest.raises(SealBroken):
                await vault.open(key, HERE, broken)


async def test_s34_a_data_key_with_a_changed_number_or_byte_doesnt_open(vault: Vault, tmp_path: Path) -> None:
    key = await vault.new_data_key()
    generate_key_file(tmp_path / "keys")
    for i in (0, 4, 6, len(key) - 1):
        broken = WrappedKey(key[:i] + bytes([key[i] ^ 3]) + key[i + 1 :])
        with pytest.raises((SealBroken, NoKey)):
            await vault.open(broken, HERE, await vault.seal(key, HERE, TOKEN))


@given(st.lists(st.text(max_size=6), min_size=4, max_size=4), st.lists(st.text(max_size=6), min_size=4, max_size=4))
def test_s34_no_two_contexts_are_covered_alike(one: list[str], other: list[str]) -> None:
    first, second = (SealContext(TenantId(p[0]), ConnectorId(p[1]), p[2], p[3], Generation(1)) for p in (one, other))
    assert (first.covered() == second.covered()) == (one == other)


async def test_s36_a_new_key_wraps_at_once_and_the_old_one_still_opens(vault: Vault, tmp_path: Path) -> None:
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    generate_key_file(tmp_path / "keys")
    rewrapped = await vault.rewrap(key)
    assert (key[1:5], rewrapped[1:5]) == (b"\0\0\0\1", b"\0\0\0\2")
    assert await vault.open(rewrapped, HERE, sealed) == await vault.open(key, HERE, sealed) == TOKEN
    (tmp_path / "keys" / "1.key").unlink()
    with pytest.raises(NoKey):
        await Vault(FileKeySource(tmp_path / "keys")).open(key, HERE, sealed)


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("1.key", b"short", 0o600),
        ("1.key", base64.b64encode(b"x" * 16), 0o600),
        ("one.key", base64.b64encode(b"x" * 32), 0o600),
        ("1.key", base64.b64encode(b"x" * 32), 0o644),
    ],
    ids=["no base64", "16 bytes", "no number", "readable by everybody"],
)
def test_s35_no_usable_key_is_no_start(tmp_path: Path, name: str, content: bytes, mode: int) -> None:
    with pytest.raises(NoKey, match="regrant keys new"):
        FileKeySource(tmp_path)
    (tmp_path / name).write_bytes(content)
    (tmp_path / name).chmod(mode)
    with pytest.raises(NoKey):
        FileKeySource(tmp_path)


def test_s35_a_made_key_is_its_owners_only(tmp_path: Path) -> None:
    path = generate_key_file(tmp_path / "keys")
    assert (path.name, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("1.key", 0o600, 0o700)
    assert generate_key_file(tmp_path / "keys").name == "2.key"
