"""The window in a real browser: WCAG 2.2 AA by axe-core, 320 px wide, right to left, by keyboard alone.

Screens are made from values and served with their real headers, style and script; no platform runs.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page

from service.insight.facts import AttemptFacts
from service.texts.language import LANGUAGES, Language
from service.web.pages import ASSETS
from service.web.picture import picture
from service.web.report import report
from tests.foreign.set_up import node_modules
from tests.screens import FORM, NOW, VIEW, every_screen, pages_in

pytestmark = pytest.mark.browser

MAIN = (
    *("start-token_refused", "waiting", "checking", "connected"),
    *("ended-wrong_account", "dead-unknown", "trouble-unavailable"),
)
FURTHER = (
    "start-first",
    "shown",
    "hand-on",
    "handed-on",
    "checking-slow",
    "ended-needs_admin",
    "trouble-cookies",
    "report",
)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where each screen lies, at `/{language}/{name}`; a form leads from the start to the next screens."""

    async def show(request: web.Request) -> web.StreamResponse:
        language, name = Language(request.match_info["language"]), request.match_info["name"]
        pages = pages_in(language)
        page = pages.page(every_screen(language)[name], FORM if not name.startswith(("dead", "trouble")) else None)
        pages.guard(page)
        del page.headers["Strict-Transport-Security"]
        return page

    async def report_page(request: web.Request) -> web.StreamResponse:
        language = Language(request.match_info["language"])
        pages, screen = pages_in(language), every_screen(language)["ended-wrong_account"]
        made = report(VIEW, screen, AttemptFacts(), language, NOW)
        page = pages.report(made, picture(screen, pages.direction), FORM)
        pages.guard(page)
        del page.headers["Strict-Transport-Security"]
        return page

    async def press(request: web.Request) -> web.StreamResponse:
        return web.Response(status=303, headers={"Location": f"/{request.match_info['language']}/checking"})

    app = web.Application()
    app.router.add_get("/connect/assets/{name}", ASSETS.answer)
    app.router.add_get("/{language}/report", report_page)
    app.router.add_get("/{language}/{name}", show)
    app.router.add_post("/{language}/{name}", press)
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def opened(browser: Browser, width: int, **given: Any) -> tuple[BrowserContext, Page]:
    context = await browser.new_context(viewport={"width": width, "height": 640}, **given)
    return context, await context.new_page()


@pytest.fixture(scope="session")
def axe() -> str:
    return (Path(node_modules()) / "axe-core" / "axe.min.js").read_text()


async def violations(page: Page) -> list[str]:
    """What axe finds: each rule with where it is broken."""
    told = await page.evaluate(
        """async rules => {
            const given = { runOnly: { type: "tag", values: rules }, rules: { "target-size": { enabled: true } } };
            const { passes, violations } = await axe.run(document, given);
            const where = node => `${node.target} ${node.failureSummary}`;
            return [passes.length, violations.map(one => `${one.id}: ${one.nodes.map(where).join(" | ")}`)];
        }""",
        list(RULES),
    )
    assert told[0] > 10, "axe looked at nothing"
    found: list[str] = told[1]
    return found


@pytest.mark.parametrize("language", ["en", "ar"], ids=["ltr", "rtl"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    browser: Browser, address: str, axe: str, language: str, scheme: Literal["light", "dark"]
) -> None:
    # Without motion: a button that is just being faded has other colours for a moment.
    context, page = await opened(browser, 480, color_scheme=scheme, reduced_motion="reduce")
    found = {}
    for name in (*MAIN, *FURTHER):
        await page.goto(f"{address}/{language}/{name}")
        await page.evaluate(axe)  # evaluated, since the page's policy lets no foreign script in
        for width in (320, 480) if name in MAIN else (320,):
            await page.set_viewport_size({"width": width, "height": 640})
            if told := await violations(page):
                found[name, width] = told
    await context.close()
    assert found == {}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_screen_is_wider_than_320_px(browser: Browser, address: str, language: Language) -> None:
    context, page = await opened(browser, 320)
    await page.goto(f"{address}/{language}/waiting")
    panels = [[name, pages_in(language).panel(screen, FORM)] for name, screen in every_screen(language).items()]
    wide = await page.evaluate(
        """panels => panels.filter(([name, html]) => {
            document.querySelector("main").innerHTML = html;
            const over = one => one.clientWidth && getComputedStyle(one).overflowX == "visible"
                ? one.scrollWidth - one.clientWidth : 0;
            return document.documentElement.scrollWidth > 320 || [...document.querySelectorAll("main *")].some(
                one => over(one) > 0);
        }).map(([name]) => name)""",
        panels,
    )
    await context.close()
    assert len(panels) > 80 and wide == []


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_every_screen_can_be_used_by_keyboard_alone_and_shows_where_one_is(
    browser: Browser, address: str, language: str
) -> None:
    context, page = await opened(browser, 480)
    for name in (*MAIN, *FURTHER):
        await page.goto(f"{address}/{language}/{name}")
        can = await page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, textarea, input:not([type=hidden])")]
                .filter(one => one.checkVisibility())
                .map(one => one.type == "radio" ? one.name : one.outerHTML)
                .filter((one, at, all) => all.indexOf(one) == at)"""
        )
        reached = []
        for _ in can:
            await page.keyboard.press("Tab")
            told = await page.evaluate(
                """() => {
                    const one = document.activeElement, box = one.getBoundingClientRect();
                    const { outlineStyle, outlineWidth } = getComputedStyle(one);
                    const seen = outlineStyle != "none" && parseFloat(outlineWidth) >= 2;
                    const across = box.left >= 0 && box.right <= innerWidth;
                    const lines = one.localName == "textarea"; // a browser goes to the line that one is on
                    const inside = across && (lines || (box.top > -1 && box.bottom < innerHeight + 1));
                    const where = [box.left, box.top, box.right, box.bottom, innerHeight].join(" ");
                    return [one.type == "radio" ? one.name : one.outerHTML, seen, inside, where];
                }"""
            )
            assert told[1:3] == [True, True], f"{name}: {told}"
            reached.append(told[0])
        assert reached == can, name
    await context.close()


async def test_the_start_goes_on_with_the_enter_key(browser: Browser, address: str) -> None:
    context, page = await opened(browser, 480)
    await page.goto(f"{address}/ar/start-token_refused")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.locator("[data-screen=checking]").wait_for()
    await context.close()


async def test_nothing_moves_for_whoever_wants_less_motion(browser: Browser, address: str) -> None:
    moving = {}
    for motion in ("no-preference", "reduce"):
        context, page = await opened(browser, 480, reduced_motion=motion)
        await page.goto(f"{address}/en/checking")
        moving[motion] = await page.evaluate("document.getAnimations().length")
        await context.close()
    assert moving["reduce"] == 0 < moving["no-preference"]


async def test_right_to_left_is_mirrored(browser: Browser, address: str) -> None:
    sides = {}
    for language in ("en", "ar"):
        context, page = await opened(browser, 480)
        await page.goto(f"{address}/{language}/start-token_refused")
        sides[language] = await page.evaluate(
            """() => {
                const left = one => document.querySelector(one).getBoundingClientRect().left;
                return [left(".tile.host") < left(".tile.provider"), left(".facts dt") < left(".facts dd")];
            }"""
        )
        await context.close()
    assert sides == {"en": [True, True], "ar": [False, False]}
