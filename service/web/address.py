"""From which address a request comes: the peer's, or what proxies that the settings trust say of it (S39)."""

import ipaddress
from collections.abc import Collection, Sequence
from typing import TypeAlias

from aiohttp import web

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV6_SHARE = 64
"""The bits of an IPv6 address that one customer of a network usually gets: the rest is theirs to change at will."""


def networks(given: Collection[str]) -> tuple[Network, ...]:
    """Networks from their text. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(one) for one in given)


def address_of(request: web.Request, trusted: Sequence[Network]) -> str:
    """Whom to count a request for.

    `X-Forwarded-For` is read from its end, and only as far as those who wrote it are trusted: what a stranger puts in
    front of it changes nothing.
    """
    at = _parsed(request.remote or "")
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while at is not None and hops and any(at in network for network in trusted):
        before = _parsed(hops.pop().strip())
        if before is None:
            break
        at = before
    return _share(at) if at is not None else "unknown"


def _parsed(text: str) -> Address | None:
    """The address, without a port; `None` for anything else."""
    host = text.partition("]")[0].removeprefix("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _share(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_SHARE), strict=False))
