"""S35's second key source: Vault's transit engine over HTTP, from the first connection to a key that is retired."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service import keys
from service.keys import KeyLine
from service.oauth.keeper import Keeper
from service.settings import Settings
from service.store import migrate
from service.store.pool import open_pool
from service.vault.configured import key_source
from service.vault.envelope import SealContext, WrappedKey, unwrapped_parts, wrapped
from service.vault.keys import KeyNumber, KeyRetired, NoKey, SealBroken, SourceAway
from service.vault.transit import Transit, TransitKeySource, transit_key_source
from service.vault.vault import Vault
from tests.transit import Key, running_vault
from tests.transit import Vault as Server

HERE = SealContext(TenantId("t"), ConnectorId("c"), "", "sample", Generation(1))
TOKEN = Secret("AB11-a-refresh-token")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running_vault() as server:
        yield server


@pytest.fixture
def transit(server: Server, tmp_path: Path) -> Transit:
    token_file = tmp_path / "token"
    token_file.write_text(f"{server.token}\n")
    return Transit(server.url, "transit", "regrant", token_file)


@pytest.fixture
async def source(transit: Transit, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TransitKeySource]:
    monkeypatch.setattr("service.vault.transit.LOOK_EVERY_S", 0.0)
    async with transit_key_source(transit, None) as source:
        yield source


async def test_s35_what_is_sealed_under_transit_opens_and_its_key_never_leaves_it(
    server: Server, source: TransitKeySource
) -> None:
    vault = Vault(source)
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    assert await Vault(source).open(key, HERE, sealed) == TOKEN
    number, made = unwrapped_parts(key)
    assert (number, made.startswith(b"vault:v1:")) == (1, True)
    assert {path.split("/")[1] for _, path in server.asked} == {"encrypt", "decrypt"}
    assert not [path for _, path in server.asked if "export" in path or "datakey" in path]


async def test_s34_a_data_key_that_was_changed_doesnt_open_and_a_changed_number_isnt_even_asked(
    server: Server, source: TransitKeySource
) -> None:
    key = await Vault(source).new_data_key()
    other = Key()
    server.keys["other"] = other
    foreign = other.encrypted(b"k" * 32)["ciphertext"].encode()
    asked = len(server.asked)
    for broken in (
        WrappedKey(key[:4] + b"\7" + key[5:]),
        WrappedKey(key[:20]),
        WrappedKey(b""),
        wrapped(KeyNumber(1), b"x"),
    ):
        with pytest.raises(SealBroken):
            await Vault(source).check(broken)
    assert len(server.asked) <= asked + 1, "only the cut one is well-formed enough to be sent"
    for broken in (wrapped(KeyNumber(1), foreign), _flipped(key)):
        with pytest.raises(SealBroken):
            await Vault(source).check(broken)


def _flipped(key: WrappedKey) -> WrappedKey:
    """Another character in the middle of the ciphertext."""
    middle = len(key) // 2
    return WrappedKey(key[:middle] + (b"A" if key[middle : middle + 1] != b"A" else b"B") + key[middle + 1 :])


async def test_s36_versions_rotate_rewrap_inside_vault_and_are_destroyed_when_retired(
    server: Server, source: TransitKeySource
) -> None:
    vault = Vault(source)
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    assert await source.rotate() == 2
    assert (await vault.new_data_key())[4] == 2, "the new one wraps at once"
    asked = len(server.asked)
    newer = await vault.rewrap(key)
    assert [path for _, path in server.asked[asked:]] == ["transit/rewrap/regrant"], "it isn't opened here for that"
    await source.retire(KeyNumber(1))
    assert await source.numbers() == {1: False, 2: True}
    assert list(server.keys["regrant"].versions) == [2], "not only refused: destroyed"
    for refuses in (Vault(source), vault):  # the second one had it open
        with pytest.raises(KeyRetired):
            await refuses.open(key, HERE, sealed)
    assert await Vault(source).open(newer, HERE, sealed) == TOKEN


async def test_s35_a_sealed_vault_and_one_that_is_gone_pass_and_what_is_open_goes_on(
    server: Server, source: TransitKeySource, transit: Transit
) -> None:
    vault = Vault(source)
    key = await vault.new_data_key()
    sealed = await vault.seal(key, HERE, TOKEN)
    server.sealed = True
    assert await vault.open(key, HERE, sealed) == TOKEN
    with pytest.raises(SourceAway, match="503: Vault is sealed"):
        await Vault(source).open(key, HERE, sealed)
    with pytest.raises(SourceAway):
        await vault.new_data_key()
    server.sealed = False
    assert await Vault(source).open(key, HERE, sealed) == TOKEN
    async with transit_key_source(replace(transit, url="http://127.0.0.1:9"), None) as nobody:
        with pytest.raises(SourceAway, match="doesn't answer"):
            await nobody.current()


async def test_s35_a_token_that_was_renewed_is_read_again_and_a_refused_one_is_told_without_it(
    server: Server, source: TransitKeySource, transit: Transit
) -> None:
    key = await Vault(source).new_data_key()
    server.token = "hvs.second"
    with pytest.raises(NoKey, match="403: permission denied: renew the token") as told:
        await Vault(source).check(key)
    assert not isinstance(told.value, SourceAway) and "hvs." not in str(told.value)
    transit.token_file.write_text("hvs.second")
    await Vault(source).check(key)
    transit.token_file.unlink()
    with pytest.raises(NoKey, match="can't be read"):
        await Vault(source).check(key)


async def test_s35_a_wrong_set_up_of_vault_is_never_taken_for_a_broken_seal(
    server: Server, source: TransitKeySource, transit: Transit
) -> None:
    key = await Vault(source).new_data_key()
    for wrong in (replace(transit, key="nobody's"), replace(transit, mount="elsewhere")):
        async with transit_key_source(wrong, None) as elsewhere:
            for asked in (elsewhere.current(), Vault(elsewhere).check(key), elsewhere.wrap(b"k" * 32)):
                with pytest.raises(NoKey):
                    await asked
    newer = server.keys["regrant"].encrypted(b"k" * 32)["ciphertext"].replace("vault:v1:", "vault:v5:")
    with pytest.raises(NoKey, match="too new"):  # this node of Vault may lag behind
        await Vault(source).check(wrapped(KeyNumber(5), newer.encode()))


async def test_s35_vault_is_spoken_to_over_tls_that_is_checked(tmp_path: Path) -> None:
    with _certificate(tmp_path) as (tls, ca_file):
        async with running_vault(tls) as server:
            token_file = tmp_path / "token"
            token_file.write_text(server.token)
            transit = Transit(server.url, "transit", "regrant", token_file)
            async with transit_key_source(transit, ca_file) as source:
                assert await source.current() == 1
            asked = len(server.asked)
            async with transit_key_source(transit, None) as source:
                with pytest.raises(SourceAway, match="Certificate"):
                    await source.current()
            assert len(server.asked) == asked, "the token went nowhere"


@contextmanager
def _certificate(folder: Path) -> Iterator[tuple[ssl.SSLContext, Path]]:
    """A server's TLS with a certificate of its own making, and the file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.crt", folder / "tls.key"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ca_file, key_file)
    yield tls, ca_file


async def test_s36_the_commands_do_with_transit_what_they_do_with_files(
    server: Server, transit: Transit, database: str, tmp_path: Path
) -> None:
    (tmp_path / "jwt.key").write_bytes(b"k" * 32)
    settings = Settings.model_validate(
        {
            "database": {"dsn": database},
            "kafka": {"bootstrap": "127.0.0.1:9"},
            "http": {"public_url": "https://connect.example.com"},
            "keys": {"transit_url": server.url, "transit_token_file": transit.token_file},
            "jwt": {"issuer": "i", "audience": "a", "hs256_key_file": tmp_path / "jwt.key"},
            "web": {"host_name": "Drivewell"},
            "development": True,
        }
    )
    said: list[str] = []
    pool = await open_pool(database)
    try:
        async with pool.acquire() as connection:
            await migrate.migrate(connection, shards=1)
            async with key_source(settings.keys) as source:
                for pk in range(1, 151):
                    await Keeper(Vault(source)).key_of(connection, pk)
        await keys.rotate(settings, said.append)
        await keys.rewrap(settings, said.append)
        await keys.retire(settings, 1, said.append)
        assert await keys.listed(settings) == [KeyLine(1, False, 0, "retired"), KeyLine(2, True, 150, "usable")]
        async with pool.acquire() as connection, key_source(settings.keys) as source:
            for pk in range(1, 151):
                await Keeper(Vault(source)).key_of(connection, pk)
            assert await connection.fetchval("select count(*) from data_key") == 150, "every one still opens"
    finally:
        await pool.close()
