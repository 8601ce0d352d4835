"""A headless person: walks the simulator's pages by their forms, up to the redirect back, which it doesn't follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import aiohttp
from yarl import URL

MOST_PAGES = 12


class SignInStopped(Exception):
    """The provider led nowhere: a page of its own, on which the person stands."""

    def __init__(self, url: URL, heading: str, text: str) -> None:
        super().__init__(f"{heading}: {text}")
        self.url = url
        self.heading = heading
        self.text = text


@dataclass(slots=True)
class Form:
    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    choices: dict[str, tuple[str, str]] = field(default_factory=dict)  # label -> (name, value)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)  # text -> (name, value)


class Page(HTMLParser):
    """What a person sees of a page: its step, heading, paragraphs, and its forms with their words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.step = ""
        self.heading = ""
        self.text = ""
        self.alert = ""
        self.forms: list[Form] = []
        self._words: list[str] = []
        self._pending: tuple[str, str] = ("", "")
        self._in_alert = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "main":
            self.step = given.get("data-step", "")
        elif tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input" and given.get("type") == "hidden":
            self.forms[-1].fields[name] = value
        elif tag == "input" and given.get("type") == "radio":
            self._pending = (name, value)
        elif tag == "input":
            self.forms[-1].inputs.add(name)
        elif tag == "button":
            self._pending = (name, value)
        if tag in ("h1", "p", "label", "button"):
            self._words = []
            self._in_alert = given.get("role") == "alert"

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        words = " ".join("".join(self._words).split())
        if tag == "h1":
            self.heading = words
        elif tag == "p" and self._in_alert:
            self.alert, self._in_alert = words, False
        elif tag == "p" and self.heading:
            self.text = f"{self.text} {words}".strip()
        elif tag == "label" and self._pending[1]:
            self.forms[-1].choices[words] = self._pending
            self._pending = ("", "")
        elif tag == "button":
            self.forms[-1].buttons[words] = self._pending
            self._pending = ("", "")

    def form_with(self, button: str) -> Form:
        for form in self.forms:
            if button in form.buttons:
                return form
        raise LookupError(f"no button {button!r} on the page {self.heading!r}")


async def sign_in(
    session: aiohttp.ClientSession,
    authorize_url: URL | str,
    *,
    email: str,
    password: str | None = None,
    passkey: bool = False,
    company: str | None = None,
    consent: bool = True,
    until: str = "callback",
) -> URL:
    """Be somebody at the provider.

    `company` is the name in the selector; where there is a selector it must be given. `consent=False` presses
    *No thanks*. `until` names a step (email, password, passkey, company, consent) at whose page the window is
    closed. Returns the redirect back to the client, not requested, or the address of the page that was left.
    SignInStopped when the provider shows a page that leads nowhere, or the sign-in itself failed.
    """
    if password is None and not passkey:
        raise ValueError("a person has a password or a passkey")
    home = URL(authorize_url).origin()
    here, page = await _follow(session, URL(authorize_url), home)
    for _ in range(MOST_PAGES):
        if page is None or page.step == until:
            return here
        form, answers = _answer(page, here, email, password, company, consent)
        here, page = await _follow(session, here.join(URL(form.action)), home, data=answers)
    raise SignInStopped(here, "Going in circles", "the provider's pages have no end")


def _answer(
    page: Page, here: URL, email: str, password: str | None, company: str | None, consent: bool
) -> tuple[Form, dict[str, str]]:
    if page.alert:
        raise SignInStopped(here, page.heading, page.alert)
    filled: dict[str, str] = {}
    match page.step:
        case "email":
            button, filled["email"] = "Sign in", email
        case "password" if password is not None:
            button, filled["password"] = "Continue", password
        case "password":
            button = "Use a passkey"
        case "passkey":
            button = "Continue"
        case "company":
            button = "Next"
            choices = page.form_with(button).choices
            if company not in choices:
                raise LookupError(f"{company!r} isn't one of {sorted(choices)}")
            filled |= dict([choices[company]])
        case "consent":
            button = "Connect" if consent else "No thanks"
        case _:
            raise SignInStopped(here, page.heading, page.text)
    form = page.form_with(button)
    if unknown := set(filled) - form.inputs - {name for name, _ in form.choices.values()}:
        raise LookupError(f"the page {page.heading!r} has no field {unknown}")
    name, value = form.buttons[button]
    return form, form.fields | filled | ({name: value} if name else {})


async def _follow(
    session: aiohttp.ClientSession, url: URL, home: URL, data: dict[str, str] | None = None
) -> tuple[URL, Page | None]:
    """Send a form or open an address, and go where redirects lead inside the provider; None: back to the client."""
    for _ in range(MOST_PAGES):
        method = "GET" if data is None else "POST"
        async with session.request(method, url, data=data, allow_redirects=False) as response:
            if response.status not in (302, 303):
                return url, Page(await response.text())
            # As sent: `encoded` keeps the client's own spelling of its redirect address.
            url = url.join(URL(response.headers["Location"], encoded=True))
        data = None
        if url.origin() != home:
            return url, None
    raise SignInStopped(url, "Going in circles", "the provider's redirects have no end")
