"""Every screen of the window in every language: whole, in one language, and in that language's direction."""

import re

import pytest

from schemas.reasons import Reason
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, LANGUAGES, Language
from tests.screens import FORM, VIEW, every_screen, pages_in, screens_in

every_language = pytest.mark.parametrize("language", LANGUAGES)

# Words that no other of our languages has. (German has "was" and "will", French "son" and "on".)
_ENGLISH = re.compile(r"\b(the|this|your|you|again|nothing|sign(ed)?|back|company|changed)\b", re.IGNORECASE)
_OUTSIDE = ("Books of Drivewell Inc",)


def prose_of(html: str) -> str:
    """What is read on a page, without the names of the languages and what came from outside."""
    shown = re.sub(r"<nav.*?</nav>|<[^>]+>", " ", html, flags=re.DOTALL)
    for name in _OUTSIDE:
        shown = shown.replace(name, "")
    return shown


@every_language
def test_every_screen_is_whole_in_every_language(language: Language) -> None:
    pages, english = pages_in(language), language == ENGLISH
    for name, screen in every_screen(language).items():
        page = pages.page(screen, FORM)
        html = page.text or ""
        direction = "rtl" if language == "ar" else "ltr"
        assert f'<html lang="{language}" dir="{direction}">' in html, name
        assert page.headers["Content-Language"] == language
        prose = prose_of(html)
        assert not re.search(r"[{}]|None", prose), name
        assert bool(_ENGLISH.search(prose)) == english, f"{name}: {_ENGLISH.search(prose)}"


@every_language
def test_a_page_offers_the_languages_by_their_own_names(language: Language) -> None:
    html = pages_in(language).page(screens_in(language).start(VIEW), FORM).text or ""
    for other in LANGUAGES:
        current = ' aria-current="true"' if other == language else ""
        link = f'<a href="?lang={other}" lang="{other}" hreflang="{other}"{current}>{texts(other).say("name")}</a>'
        assert link in html


@every_language
def test_p06_a_wrong_company_names_both_in_every_language(language: Language) -> None:
    said = " ".join(every_screen(language)[f"ended-{Reason.WRONG_ACCOUNT}"].words)
    assert "Drivewell Inc" in said and "Acme Ltd. (2)" in said


def test_s22_names_from_outside_stand_isolated_among_arabic_words() -> None:
    arabic = every_screen(Language("ar"))
    said = arabic[f"ended-{Reason.WRONG_ACCOUNT}"].words[0]
    assert "\u2068Drivewell Inc\u2069" in said and "\u2068Acme Ltd. (2)\u2069" in said
    html = pages_in(Language("ar")).page(arabic[f"start-{Reason.TOKEN_REFUSED}"], FORM).text or ""
    assert "<bdi>Books of Drivewell Inc</bdi>" in html
    assert "<title>إعادة ربط \u2068QuickBooks\u2069 · \u2068Northwind Data\u2069</title>" in html


def test_a_provider_without_words_in_a_language_is_spoken_of_in_english() -> None:
    words = VIEW.provider.spoken(Language("ja"))
    assert words.account == "会社"
    assert words.spoken(Language("ja")) is words, "words of one language have no others"
