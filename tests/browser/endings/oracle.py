"""What every ending's screen must be: one oracle for all of them (P13)."""

import re

from playwright.async_api import Page

from schemas.lifecycle import State, Step, Trigger
from schemas.problems import ProblemCode
from schemas.reasons import Reason

CODES = frozenset(
    one.value for words in (Reason, State, Trigger, Step, ProblemCode) for one in words if "_" in one.value
)
FORBIDDEN = (
    re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-"),  # an id of ours
    re.compile(r"\b\d{12,}\b"),  # a company's id
    re.compile(r"Traceback|Exception|\bError\b|errorCode|invalid_|_request\b|\bHTTP\b|\bJSON\b|\bOAuth\b|\bRFC\b"),
    re.compile(r"\b[45]\d\d\b(?!-)"),  # a status; a support code may hold one
    re.compile(r"[{}<>]|\bNone\b|\bnull\b|\bundefined\b"),
    re.compile(r"\bregrant\b", re.IGNORECASE),  # the person knows the host and the provider
)
SHOWN = """() => {
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().height > 0;
  const texts = (what) => [...document.querySelectorAll(what)].filter(seen).map((one) => one.innerText.trim());
  return {
    title: document.title, language: document.documentElement.lang, headings: texts("h1"),
    words: texts(".lead"), next: texts(".next p"), buttons: texts(".primary-button"),
    byHand: texts("[data-primary] .by-hand"), code: texts(".support span"), prose: document.body.innerText,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  };
}"""


async def assert_helpful(page: Page) -> None:
    """A whole screen: what happened, in words; one thing to do first; and nothing that isn't for people."""
    shown = await page.evaluate(SHOWN)
    prose = shown["prose"]
    assert len(shown["headings"]) == 1 and len(shown["headings"][0]) > 5, f"one heading: {shown['headings']}"
    assert shown["title"].startswith(f"{shown['headings'][0]} · "), f"the title says the same: {shown['title']}"
    assert shown["language"] == "en"
    assert shown["words"] and all(len(one) > 20 and one[-1] in ".:" for one in shown["words"]), shown["words"]
    assert len(shown["buttons"]) + len(shown["byHand"]) == 1, f"one thing to do first: {shown['buttons']}"
    assert not shown["wide"], "nothing has to be scrolled for sideways"
    said = prose
    for value in await page.locator("input.link, .facts dd").all():
        said = said.replace(await value.inner_text() or await value.input_value(), "")
    for code in shown["code"]:
        assert re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", code), code
        said = said.replace(code, "")
    assert not [code for code in CODES if re.search(rf"\b{code}\b", said)], f"a code in place of words: {said}"
    assert not [one.pattern for one in FORBIDDEN if one.search(said)], f"nothing that isn't for people: {said}"
