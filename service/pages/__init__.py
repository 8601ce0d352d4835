"""What every room with pages has alike: templates that fail on an unknown name, assets, and the headers of answers."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

_SHARED = files("service.pages") / "assets"
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_ICON = "icon.svg"


def templates_of(package: str) -> Environment:
    """The templates of `package`, escaped; a name that isn't given is an error, never an empty place."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Assets:
    """The files that a room's pages load: its own below `assets/`, and the icon that all share."""

    def __init__(self, package: str, *names: str, coloured: str | None = None) -> None:
        """`coloured`: a style sheet of its own that the colours which window and help share are put before."""
        own = files(package) / "assets"
        bodies = {_ICON: (_SHARED / _ICON).read_bytes()} | {name: (own / name).read_bytes() for name in names}
        if coloured is not None:
            bodies[coloured] = (_SHARED / "colours.css").read_bytes() + (own / coloured).read_bytes()
        self.bodies: Mapping[str, bytes] = bodies
        self.version = f"?v={hashlib.sha256(b''.join(self.bodies.values())).hexdigest()[:12]}"
        """What is put behind an asset's address: it changes with the content, so that caches may keep it."""

    async def answer(self, request: web.Request) -> web.Response:
        """The asset whose name stands in the address."""
        name = request.match_info["name"]
        if name not in self.bodies:
            raise web.HTTPNotFound
        kind = _TYPES[name.rpartition(".")[2]]
        headers = {"Cache-Control": "public, max-age=86400"}
        return web.Response(body=self.bodies[name], content_type=kind, charset="utf-8", headers=headers)


def guard(response: web.StreamResponse, policy: str, *, secure: bool) -> None:
    """Sets the headers that every answer to a browser has (S21), where it doesn't bring stricter or wider ones.

    `policy` is its Content-Security-Policy; `secure`: the public address is https.
    """
    headers = response.headers
    headers.setdefault("Content-Security-Policy", policy)
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
