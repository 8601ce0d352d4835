"""Which addresses may be called: hosts that a provider's description names, and public ones where it isn't ours.

A host that somebody else controls may name any address, another one each time it is asked. So an address is judged
between the one look-up and the socket: there is no second look-up that could differ.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from service.oauth.description import ProviderConfig


class Forbidden(OSError):
    """An address that may not be called. As an `OSError` it is to aiohttp what a refused connection is."""


def must_be_public(config: ProviderConfig, url: URL) -> bool:
    """Whether what `url` resolves to has to be public. Raises `Forbidden` for one that the provider doesn't have.

    Only a host that the description spells out, or that the deployment's settings put in its place, is trusted to lie
    where it likes: a forward proxy may well be private.
    """
    if config.allow_loopback_http and url.host in ("127.0.0.1", "localhost", "::1"):
        return False
    if url.scheme != "https":
        raise Forbidden(f"{url.scheme}://{url.host} is not https")
    if url.user is not None or url.password is not None:
        raise Forbidden(f"{url.host} with a user in the address")
    for named, is_spelt_out in _named(config):
        if named.fullmatch(f"{url.raw_host}:{url.port}"):
            return config.custom or not is_spelt_out
    raise Forbidden(f"{url.host}:{url.port} isn't an address of {config.description.id}")


_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_STAND_IN = "regrantstandin"
_ANY_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"


def _named(config: ProviderConfig) -> Iterator[tuple[re.Pattern[str], bool]]:
    """What hosts (with their ports) a provider has, and whether its description spells each out."""
    told = config.description.model_dump(mode="json", by_alias=True, exclude={"words", "support", "environments"})
    for text in _texts(told):
        address = config.address(text)
        if address.startswith(("https://", "http://")):
            url = URL(_PLACEHOLDER.sub(_STAND_IN, address))
            host = re.escape(url.raw_host or "").replace(_STAND_IN, _ANY_LABELS)
            yield re.compile(f"{host}:{url.port}"), _ANY_LABELS not in host


def _texts(told: object) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict):
        for value in told.values():
            yield from _texts(value)
    elif isinstance(told, list):
        for value in told:
            yield from _texts(value)


# Public addresses.

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""Nothing else of IPv6 was ever given out; so what Python's lists, which differ by its version, leave out is out."""
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared; some clouds answer for their metadata here
        "168.63.129.16/32",  # Azure's own services of a machine, at an address that looks public
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "224.0.0.0/4",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet. Those that carry another address don't.

    But for NAT64 (RFC 6052), as which every IPv4 host looks where a machine speaks IPv6 only: what it carries counts.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip in _NAT64:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)


class PublicOnly(AbstractResolver):
    """A resolver that gives a host's addresses only when all of them are public: one that isn't spoils them all."""

    def __init__(self, resolver: AbstractResolver, judge: Callable[[str], bool] = is_public) -> None:
        self._resolver = resolver
        self._judge = judge

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if not self._judge(result["host"]):
                raise Forbidden(f"{host} resolves to an address that isn't public")
        return found

    async def close(self) -> None:
        await self._resolver.close()


CONNECT_S = 3.0


def session_to(
    resolver: AbstractResolver,
    judge: Callable[[str], bool],
    tls: ssl.SSLContext | None,
    *,
    public: bool,
    fresh: bool = False,
) -> aiohttp.ClientSession:
    """A session to the outside, without cookies, proxies of the environment, or bodies that unpack themselves.

    `public`: it reaches public addresses alone, looked up anew for each connection. Others need another session:
    else a connection that somebody else opened could be used. `fresh`: each request opens a connection of its own.
    """
    connector = aiohttp.TCPConnector(
        force_close=fresh,
        limit=100,
        resolver=PublicOnly(resolver, judge) if public else resolver,
        use_dns_cache=not public,
        ssl=tls or True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
