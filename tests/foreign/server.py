"""npm's oidc-provider as a child process, and a person who signs in there."""

import asyncio
import hashlib
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import aiohttp
from yarl import URL

from service.demo.embedded.child import ChildFailed, Supervisor, free_port, tail
from tests.foreign.set_up import HERE, NODE, node_modules
from tests.planted.marking import MARKER

START_TIMEOUT_S = 30
MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class Came:
    """What the server sends the browser back with: an address to get, or a form to post."""

    url: URL
    form: Mapping[str, str] | None = None

    @property
    def values(self) -> Mapping[str, str]:
        return self.url.query if self.form is None else self.form


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """The running server, and what may be asked of it beside the protocol."""

    url: str
    client_id: str
    client_secret: str
    session: aiohttp.ClientSession

    def settings(self, **more: object) -> dict[str, Any]:
        """The provider's settings of a deployment that uses this server as the one of the description."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "hosts": {"foreign.example": self.url},
            "allow_loopback_http": True,
            "accounts_may_repeat": True,
            **more,
        }

    @property
    def pushing_client(self) -> str:
        """The client that may not ask but by a pushed request."""
        return f"{self.client_id}-pushed"

    async def journal(self) -> dict[str, Any]:
        """What it did: tokens issued, refresh tokens that came (by hash, how often), parameters that codes came by."""
        async with self.session.get(f"{self.url}/journal") as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def issued(self, token: str) -> bool:
        """Whether it ever issued that access token."""
        hash_ = hashlib.sha256(token.encode()).hexdigest()
        async with self.session.get(f"{self.url}/issued/{hash_}") as answer:
            return bool((await answer.json())["known"])

    async def granted(self, account: str) -> str:
        """A refresh token of a new grant of that account, without pages."""
        async with self.session.post(f"{self.url}/grants", data={"account": account}) as answer:
            return str((await answer.json())["refresh_token"])

    async def is_active(self, token: str) -> bool:
        """What introspection (RFC 7662) says."""
        return bool((await self._asked("/token/introspection", token=token))["active"])

    async def refreshed(self, token: str) -> dict[str, Any]:
        """A refresh by somebody else who has the client's credentials."""
        return await self._asked("/token", grant_type="refresh_token", refresh_token=token)

    async def redeemed(self, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        """What somebody gets for a code who has the client's credentials, too."""
        form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        return await self._asked("/token", grant_type="authorization_code", **form)

    async def _asked(self, path: str, **form: str) -> dict[str, Any]:
        given = {"Authorization": aiohttp.encode_basic_auth(self.client_id, self.client_secret)}
        async with self.session.post(self.url + path, data=form, headers=given) as answer:
            told: dict[str, Any] = await answer.json()
            return told


@asynccontextmanager
async def foreign_server(
    supervisor: Supervisor, redirect_uris: Iterable[str], **more: object
) -> AsyncIterator[ForeignServer]:
    """Starts one on a free port of the loopback address, as `localhost`; it ends with the block, and with us."""
    folder = supervisor.folder / f"foreign-{secrets.token_hex(4)}"
    folder.mkdir()
    (folder / "node_modules").symlink_to(node_modules(), target_is_directory=True)
    shutil.copy(HERE / "server.mjs", folder)  # a module looks for its packages beside itself
    settings = {
        "port": free_port(),
        "client_id": "regrant",
        "client_secret": secrets.token_urlsafe(32),
        "redirect_uris": list(redirect_uris),
        "marker": MARKER,
        **more,
    }
    log = folder / "log"
    child = supervisor.start([str(NODE), str(folder / "server.mjs")], log=log, env=_environment(settings))
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while "ready" not in log.read_text().split():
                if child.poll() is not None:
                    raise ChildFailed(f"the foreign server: {tail(log)}")
                await asyncio.sleep(0.02)
        async with aiohttp.ClientSession() as session:
            url = f"http://localhost:{settings['port']}"
            yield ForeignServer(url, str(settings["client_id"]), str(settings["client_secret"]), session)
    finally:
        supervisor.kill(child)


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    return {"REGRANT_FOREIGN": json.dumps(settings), "NODE_NO_WARNINGS": "1"}


class _Form(HTMLParser):
    """The one form of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action", "")
        elif tag == "input":
            self.fields[given["name"]] = given.get("value", "")


async def sign_in(authorize: str, account: str, *, consent: bool = True) -> Came:
    """Goes through the server's pages as that account's person, up to what leads back, which isn't followed."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        url, posted = URL(authorize, encoded=True), None
        origin = url.origin()
        for _ in range(MOST_STEPS):
            asked = browser.get(url, allow_redirects=False) if posted is None else _post(browser, url, posted)
            async with asked as answer:
                if location := answer.headers.get("Location"):
                    url, posted = url.join(URL(location, encoded=True)), None
                    if url.origin() != origin:
                        return Came(url)
                    continue
                form = _Form(await answer.text())
                if form.action and URL(form.action).origin() != origin:
                    return Came(URL(form.action), form.fields)
                assert form.fields, f"{answer.status}: no form, and no way on: {url.path}"
                posted = {"account": account, **({"consent": "yes"} if consent else {})}
    raise AssertionError("the foreign server's pages have no end")


def _post(browser: aiohttp.ClientSession, url: URL, fields: Mapping[str, str]) -> Any:
    return browser.post(url, data=fields, allow_redirects=False)
