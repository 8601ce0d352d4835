"""Where calls go (S28): https, the description's hosts, public addresses, the one that was checked. Real sockets."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from schemas.ids import ProviderId
from service.oauth import outbound as module
from service.oauth.addresses import CONNECT_S, Forbidden, is_public, must_be_public
from service.oauth.configured import configured_providers
from service.oauth.description import ProviderConfig
from service.oauth.outbound import API_CAP, BROKEN, TOKEN_CAP, Answer, NoAnswer, Outbound
from tests.hostile.answers import http
from tests.hostile.provider import custom_provider, provider_at
from tests.hostile.server import Certificate, HostileServer, certificate, hostile_server

NAME = "provider.example"
NOT_SENT = NoAnswer(sent=False)


@dataclass
class Resolver(AbstractResolver):
    """Answers with the next of its lists, the last one again and again: a host that rebinds."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
async def server(trusted: Certificate) -> AsyncIterator[HostileServer]:
    """A host with a name, over TLS, on this machine."""
    async with hostile_server(tls=trusted.server) as server:
        server.scripts["token"] = server.scripts["api"] = server.scripts["revoke"] = http(200, b"{}")
        yield server


def only(*addresses: str):  # type: ignore[no-untyped-def]
    """Takes these addresses of this machine for public ones."""
    return lambda address: address in addresses


async def posted(outbound: Outbound, config: ProviderConfig) -> Answer | NoAnswer:
    return await outbound.call(
        config, "token", "POST", config.address(config.description.token_endpoint), headers={}, form={"a": "b"}
    )


# What is public.


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1"),
        *("239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1", "::7f00:1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:7f00:1::", "3fff::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "100::1"),
        *("", "provider.example", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"),
    ],
)
def test_s28_an_address_that_isnt_global_or_carries_another_isnt_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "64:ff9b::808:808"])
def test_s28_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


# Which hosts.


@pytest.mark.parametrize(
    "url",
    [
        "http://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        "https://evil.example/oauth2/v1/tokens/bearer",
        "https://oauth.platform.intuit.com.evil.example/",
        "https://evil-oauth.platform.intuit.com/",
        "https://oauth.platform.intuit.com:8443/",
        "https://user@oauth.platform.intuit.com/",
        "https://oauth.platform.intuit.com@evil.example/",
        "ftp://oauth.platform.intuit.com/",
        "http://127.0.0.1/",
        "https://sandbox-quickbooks.api.intuit.com/v3/",
    ],
)
def test_s28_only_https_to_a_host_of_the_providers_definition(url: str) -> None:
    config = provider_at("", hosts={}, allow_loopback_http=False)
    assert not must_be_public(config, URL(config.address(config.description.token_endpoint)))
    with pytest.raises(Forbidden):
        must_be_public(config, URL(url))


def test_s28_a_forward_proxy_of_the_settings_may_be_private_but_not_for_a_custom_provider() -> None:
    config = provider_at("https://proxy.internal:3128", allow_loopback_http=False)
    url = URL(config.address(config.description.token_endpoint))
    assert url.host == "proxy.internal"
    assert must_be_public(config, url) is False
    assert must_be_public(provider_at("https://proxy.internal:3128", allow_loopback_http=False, custom=True), url)


def test_s28_a_host_that_is_made_from_an_account_must_be_public_and_stays_within_its_domain() -> None:
    described = provider_at("").description.model_copy(
        update={"token_endpoint": "https://{account}.suite.example/token"}
    )
    config = provider_at("", description=described, hosts={}, allow_loopback_http=False)
    assert must_be_public(config, URL("https://tst-1.suite.example/token"))
    for url in ("https://evil.example/token", "https://suite.example.evil.example/", "https://a.suite.example:1/"):
        with pytest.raises(Forbidden):
            must_be_public(config, URL(url))


def test_s28_a_description_from_a_folder_of_the_deployment_is_custom(tmp_path: Path) -> None:
    import yaml

    from service.settings import Settings

    ours = provider_at("").description
    other = ours.model_dump(mode="json", by_alias=True) | {"id": "acme"}
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(other))
    client = {"client_id": "c", "client_secret": "s"}
    settings = Settings.model_construct(
        provider_folders=(tmp_path,),
        providers={name: _provider(client) for name in ("quickbooks-online", "acme")},
    )
    providers = configured_providers(settings)
    assert (providers["acme"].custom, providers[ProviderId("quickbooks-online")].custom) == (True, False)


def _provider(client: dict[str, str]):  # type: ignore[no-untyped-def]
    from service.settings.model import Provider

    return Provider.model_validate(client)


async def test_s28_a_foreign_host_isnt_called(server: HostileServer, trusted: Certificate) -> None:
    config = custom_provider(NAME, server.port)
    resolver = Resolver([["127.0.0.1"]])
    async with Outbound(resolver=resolver, judge=only("127.0.0.1"), tls=trusted.client) as outbound:
        foreign = f"https://other.example:{server.port}/oauth2/v1/tokens/bearer"
        assert await outbound.call(config, "token", "POST", foreign, headers={}) == NOT_SENT
    assert (resolver.asked, server.connections) == ([], 0)


# Where the connection goes.


async def test_s28_a_custom_host_that_resolves_to_a_private_address_isnt_called(
    server: HostileServer, trusted: Certificate
) -> None:
    config = custom_provider(NAME, server.port)
    resolver = Resolver([["127.0.0.1"]])
    async with Outbound(resolver=resolver, tls=trusted.client) as outbound:
        assert await posted(outbound, config) == NOT_SENT
    assert (resolver.asked, server.connections) == ([NAME], 0)


async def test_s28_one_private_address_among_several_spoils_them_all(
    server: HostileServer, trusted: Certificate
) -> None:
    config = custom_provider(NAME, server.port)
    resolver = Resolver([["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
    async with Outbound(resolver=resolver, judge=only("127.0.0.1"), tls=trusted.client) as outbound:
        assert [await posted(outbound, config) for _ in range(2)] == [NOT_SENT, NOT_SENT]
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_s28_a_private_address_in_numbers_isnt_called(
    server: HostileServer, trusted: Certificate, host: str
) -> None:
    config = custom_provider(host, server.port)
    resolver = Resolver([["127.0.0.1"]])  # what the system would make of `0x7f000001`
    async with Outbound(resolver=resolver, tls=trusted.client) as outbound:
        assert await posted(outbound, config) == NOT_SENT
    assert server.connections == 0


async def test_s28_a_host_that_rebinds_is_called_at_the_checked_address_only(
    server: HostileServer, trusted: Certificate
) -> None:
    """One look-up a connection, and the certificate is for the name: the next answer is judged again."""
    config = custom_provider(NAME, server.port)
    resolver = Resolver([["127.0.0.1"], ["127.0.0.2"]])
    async with (
        hostile_server("127.0.0.2", port=server.port, tls=trusted.server) as inside,
        Outbound(resolver=resolver, judge=only("127.0.0.1"), tls=trusted.client) as outbound,
    ):
        first = await posted(outbound, config)
        assert isinstance(first, Answer) and first.status == 200
        assert resolver.asked == [NAME]
        assert await posted(outbound, config) == NOT_SENT
        assert (server.connections, inside.connections) == (1, 0)
    assert f"Host: {NAME}:{server.port}".encode() in server.asked[0]


async def test_s28_the_certificate_must_be_the_hosts(server: HostileServer, trusted: Certificate) -> None:
    config = custom_provider("another.example", server.port)
    async with Outbound(resolver=Resolver([["127.0.0.1"]]), judge=only("127.0.0.1"), tls=trusted.client) as outbound:
        assert await posted(outbound, config) == NOT_SENT
    assert server.asked == []


async def test_s28_a_connection_that_was_opened_without_the_check_isnt_reused_by_who_needs_it(
    server: HostileServer, trusted: Certificate
) -> None:
    origin = f"https://{NAME}:{server.port}"
    ours = provider_at(origin, allow_loopback_http=False)
    custom = provider_at(origin, allow_loopback_http=False, custom=True)
    url = f"{origin}/v3/company/1"
    async with Outbound(resolver=Resolver([["127.0.0.1"]]), tls=trusted.client) as outbound:
        assert isinstance(await outbound.call(ours, "api", "GET", url, headers={}), Answer)
        assert await outbound.call(custom, "api", "GET", url, headers={}) == NOT_SENT
    assert len(server.asked) == 1


# What is followed, and what is asked of the environment.


@pytest.fixture
async def plain() -> AsyncIterator[HostileServer]:
    async with hostile_server() as plain:
        yield plain


def origin_of(server: HostileServer) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_s28_a_redirect_isnt_followed(plain: HostileServer, status: int) -> None:
    config = provider_at(origin_of(plain))
    for place in ("token", "api"):
        plain.scripts[place] = http(status, b"", {"Location": f"{origin_of(plain)}/stolen"})
    plain.scripts["/stolen"] = http(200, b'{"access_token":"x"}')
    async with Outbound() as outbound:
        token = await posted(outbound, config)
        url = config.address(config.description.identity.proof_url, account="1")
        api = await outbound.call(config, "api", "GET", url, headers={})
    assert [answer.status for answer in (token, api) if isinstance(answer, Answer)] == [status, status]
    assert plain.of("/stolen") == 0


async def test_s28_the_environments_proxies_arent_used(plain: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    plain.scripts["token"] = http(200, b"{}")
    async with hostile_server() as proxy:
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, origin_of(proxy))
        async with Outbound() as outbound:
            answer = await posted(outbound, provider_at(origin_of(plain)))
        assert isinstance(answer, Answer) and answer.status == 200
        assert (proxy.connections, plain.connections) == (0, 1)


# How much, and for how long.


@pytest.mark.parametrize(("place", "cap"), [("token", TOKEN_CAP), ("api", API_CAP)])
async def test_s28_a_body_over_the_cap_counts_as_broken_and_one_within_is_read(
    plain: HostileServer, place: str, cap: int
) -> None:
    config = provider_at(origin_of(plain))
    url = f"{origin_of(plain)}/{'oauth2/v1/tokens/bearer' if place == 'token' else 'v3/company/1'}"
    seen = []
    async with Outbound() as outbound:
        for size in (cap, cap + 1):
            plain.scripts[place] = http(200, b"x" * size)
            answer = await outbound.call(config, place, "POST", url, headers={})  # type: ignore[arg-type]
            assert isinstance(answer, Answer)
            seen.append((answer.status, len(answer.body)))
    assert seen == [(200, cap), (BROKEN, 0)]


async def test_s28_a_dripping_body_ends_with_the_limit_of_the_whole_call(
    plain: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte comes in time, and the answer never ends: only the bound of the call ends it."""
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    plain.scripts["token"] = drip
    monkeypatch.setattr(module, "TOTAL_S", 0.3)
    async with asyncio.timeout(20), Outbound() as outbound:
        assert await posted(outbound, provider_at(origin_of(plain))) == NoAnswer(sent=True)
        await ended.wait()


async def test_s28_the_bound_of_a_call_is_ten_seconds() -> None:
    assert (module.TOTAL_S, CONNECT_S, TOKEN_CAP, API_CAP) == (10.0, 3.0, 65_536, 1_048_576)


async def test_s28_a_packed_body_is_neither_asked_for_nor_unpacked(plain: HostileServer) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    plain.scripts["token"] = http(200, bomb, {"Content-Encoding": "gzip"})
    async with Outbound() as outbound:
        answer = await posted(outbound, provider_at(origin_of(plain)))
    assert len(bomb) < TOKEN_CAP
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (BROKEN, b"")
    assert b"Accept-Encoding: identity" in plain.asked[0]


def test_s28_json_that_is_nested_too_deep_is_no_json() -> None:
    """What guards us is orjson's own limit: this test says so if a newer one has none."""
    orjson.loads(b"[" * 500 + b"]" * 500)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(b"[" * 5000 + b"]" * 5000)
