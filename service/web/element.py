"""`<regrant-connect>`: the one script that a host's page loads of us, with its words in every language.

The file is served as it is written, with the words put in: there is no build, so that who wonders what runs in their
page can read it.
"""

import hashlib
from importlib.resources import files

import orjson
from aiohttp import web

from service.texts.catalogue import Texts, texts
from service.texts.language import LANGUAGES

KEYS = ("connect", "opening", "open", "blocked", "here", "failed", "connected", "ended", "closed")
_PLACE = b"const WORDS = {};"

FRESH_S = 300
"""How long a browser may keep the script without asking again, where its address doesn't name the content."""
_YEAR_S = 31_536_000


def _words() -> bytes:
    """The words that the element says, by language."""
    return orjson.dumps({language: _words_in(texts(language)) for language in LANGUAGES})


def _words_in(said: Texts) -> dict[str, str]:
    words = {key: said.say(f"element.{key}") for key in KEYS}
    return words | {"language": said.language, "direction": said.say("direction")}


def _script() -> bytes:
    source = (files("service.web") / "assets" / "element.js").read_bytes()
    assert source.count(_PLACE) == 1
    return source.replace(_PLACE, b"const WORDS = " + _words() + b";")


SCRIPT = _script()
VERSION = hashlib.sha256(SCRIPT).hexdigest()[:12]


async def element(request: web.Request) -> web.Response:
    """The script, for any page: it holds nothing of anybody. `?v=` with its version may be kept for a year."""
    named = request.query.get("v") == VERSION
    kept = f"public, max-age={_YEAR_S}, immutable" if named else f"public, max-age={FRESH_S}"
    etag = f'"{VERSION}"'
    headers = {
        "ETag": etag,
        "Cache-Control": kept,
        "Access-Control-Allow-Origin": "*",  # so that a page may name its hash (`integrity`)
        "Cross-Origin-Resource-Policy": "cross-origin",  # so that a page with COEP may load it
    }
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=SCRIPT, content_type="text/javascript", charset="utf-8", headers=headers)
