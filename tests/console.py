"""A person at the console, as a browser without script; and how they come in."""

from collections.abc import Mapping

from yarl import URL

from tests.window import FORM, Answer, Browser, Running

KIM = {"id": "s-kim", "name": "Kim from support"}


async def link_for(service: Running, *, tenant: str = "*") -> str:
    """The path of a new link."""
    status, told = await service.api("POST", "/v1/console/links", {"person": KIM}, tenant=tenant)
    assert status == 201, told
    return URL(told["url"]).path


async def signed_in(service: Running, *, tenant: str = "*") -> Browser:
    """Somebody who has opened the console."""
    browser = service.browser()
    answer = await browser.press(await link_for(service, tenant=tenant))
    assert (answer.status, answer.location) == (303, "/console"), answer
    return browser


async def proof(browser: Browser, page: str) -> dict[str, str]:
    """What a form of that page holds."""
    csrf = FORM.search((await browser.get(page)).text)
    assert csrf is not None, page
    return {"csrf": csrf[1]}


async def press(browser: Browser, page: str, to: str, fields: Mapping[str, str] = {}) -> Answer:
    """Presses a button of a page of the console."""
    given = {**await proof(browser, page), **fields}
    return await browser.ask("POST", to, {"Sec-Fetch-Site": "same-origin"}, given)
