"""A person without a screen: goes through the connect window by its forms, and through the provider's pages.

Brings what a browser brings: cookies, and where its requests come from.
"""

import asyncio
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from service.demo.simulator import person as at_the_provider

_PRIMARY = re.compile(r"data-primary>(.*?)</div>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")

MOST_REDIRECTS = 10
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the window: where it goes, what it holds, and its button's words."""

    address: URL
    fields: dict[str, str]
    label: str


@dataclass(frozen=True, slots=True)
class Screen:
    """What a person sees of the window. `status` is the page's HTTP status."""

    url: URL
    status: int
    name: str
    is_final: bool
    """Whether the attempt has come to its end: the connected screen may go on until the first data."""
    heading: str
    text: str
    forms: tuple[Form, ...]
    next_step: str
    """The words of the first button; empty where there is none."""
    link: str
    """A link that the page shows to be copied; empty where there is none."""


class _Reader(HTMLParser):
    def __init__(self, url: URL, html: str) -> None:
        super().__init__()
        self.name, self.is_final, self.heading, self.link = "", True, "", ""
        self.forms: list[tuple[str, dict[str, str], list[str]]] = []
        self._words: list[str] = []
        self._inside: str = ""
        self._hidden = 0
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "data-screen" in given:
            self.name = given["data-screen"]
            self.is_final = given.get("data-final") == "yes" or bool(given.get("data-outcome"))
        if tag == "form":
            self.forms.append((given.get("action", ""), {}, []))
        elif tag == "input" and "readonly" in given:
            self.link = given.get("value", "")
        elif tag == "input" and self.forms:
            self.forms[-1][1][given.get("name", "")] = given.get("value", "")
        elif tag in ("h1", "button"):
            self._inside = tag
        elif tag in ("style", "script", "title"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        elif tag in ("style", "script", "title"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._inside == "h1":
            self.heading = f"{self.heading} {data}".strip()
        if self._inside == "button" and self.forms:
            self.forms[-1][2].append(data.strip())
        self._words.append(data)


@dataclass(slots=True)
class Person:
    """Somebody with a browser of their own. Usable inside `async with`."""

    email: str
    password: str
    trusted: tuple[str, ...] = ()
    """Origins on this machine whose Secure cookies are kept although they speak plain http."""
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=[URL(origin) for origin in self.trusted])
        self._session = aiohttp.ClientSession(cookie_jar=jar)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None, "inside `async with`"
        return self._session

    async def look(self, address: str | URL) -> Screen:
        """Opens a page, and goes where it redirects to."""
        url = URL(address) if isinstance(address, str) else address
        for _ in range(MOST_REDIRECTS):
            async with self.session.get(url, allow_redirects=False) as response:
                if response.status not in (301, 302, 303, 307):
                    return _screen(url, response.status, await response.text())
                url = url.join(URL(response.headers["Location"], encoded=True))
        raise AssertionError(f"the redirects have no end: {url.origin()}")

    async def press(self, screen: Screen, label: str = "", **filled: str) -> URL:
        """Presses the button whose words begin with `label`; returns where that leads, not opened yet."""
        found = await self.click(screen, label, **filled)
        if isinstance(found, Screen):
            raise AssertionError(f"the button {label!r} leads nowhere: {found.status} {found.text[:300]}")
        return found

    async def click(self, screen: Screen, label: str = "", **filled: str) -> URL | Screen:
        """As `press`, with what is filled in; a page that the button itself leads to is an answer, too."""
        form = next((form for form in screen.forms if form.label.startswith(label)), None)
        if form is None:
            raise AssertionError(f"no button {label!r} on the screen {screen.heading!r}: {screen.text[:300]}")
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": str(form.address.origin())}
        async with self.session.post(
            form.address, data=form.fields | filled, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 303:
                return _screen(form.address, response.status, await response.text())
            return form.address.join(URL(response.headers["Location"], encoded=True))

    async def sign_in(
        self,
        authorize: URL,
        *,
        company: str | None = None,
        consent: bool = True,
        passkey: bool = False,
        until: str = "callback",
    ) -> URL:
        """Goes through the provider's pages; returns the callback, not opened yet. Raises `SignInStopped`."""
        return await at_the_provider.sign_in(
            self.session,
            authorize,
            email=self.email,
            password=None if passkey else self.password,
            passkey=passkey,
            company=company,
            consent=consent,
            until=until,
        )

    async def come_back(self, callback: URL) -> Screen:
        """Follows the provider's redirect back, through the host's confirmation where there is one."""
        return await self.look(callback)

    async def reconnect(
        self, handoff: str, *, company: str | None = None, consent: bool = True, passkey: bool = False
    ) -> Screen:
        """The whole way: the link, the button, the provider's pages, and back to the window."""
        authorize = await self.press(await self.look(handoff))
        return await self.come_back(await self.sign_in(authorize, company=company, consent=consent, passkey=passkey))

    async def wait(self, screen: Screen, at_most_s: float) -> Screen:
        """Watches the window until nothing more changes by itself. Raises `TimeoutError`."""
        async with asyncio.timeout(at_most_s):
            while not screen.is_final:
                await asyncio.sleep(LOOK_EVERY_S)
                screen = await self.look(screen.url)
        return screen


def _screen(url: URL, status: int, html: str) -> Screen:
    read = _Reader(url, html)
    forms = tuple(
        Form(url.join(URL(action)) if action else url, fields, " ".join(words)) for action, fields, words in read.forms
    )
    primary = _PRIMARY.search(html)
    next_step = " ".join(_TAG.sub(" ", primary[1]).split()) if primary else ""
    return Screen(url, status, read.name, read.is_final, read.heading, read.text, forms, next_step, read.link)
