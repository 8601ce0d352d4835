"""The pages of the help, from values: every page, reason and problem; links, anchors, and no HTML but ours."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from schemas.lifecycle import State
from schemas.made import stale
from schemas.problems import ProblemCode
from schemas.reasons import CATALOGUE, Reason, Remedy
from service.help import catalogues
from service.help.library import Page, library
from service.help.markdown import rendered
from service.help.pages import Pages, address_of
from service.help.passages import LONGEST, edition, passages_of
from service.help.question import readable, words_of
from service.picture.lifecycle import drawn, nodes
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, LANGUAGES, Language

ROOT = Path(__file__).parents[2]
LIBRARY = library()
PAGES = Pages(LIBRARY, "Northwind Data", frame_ancestors=(), secure=True)

every_page = pytest.mark.parametrize("page", LIBRARY.pages.values(), ids=lambda page: page.address or "index")


class Read(HTMLParser):
    """A page's elements, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [value for _, values in self.elements if (value := values.get(name)) is not None]


def page_of(markdown: str, file: str = "sample.md") -> str:
    """A sample rendered by itself: pages are rendered once."""
    return Pages(LIBRARY, "Northwind Data", frame_ancestors=(), secure=True).page(
        Page(file.removesuffix(".md"), file, "Sample", markdown)
    )


def test_every_file_of_docs_is_a_page() -> None:
    docs = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert docs and docs <= {page.file for page in LIBRARY.pages.values()}


@every_page
def test_every_link_of_a_page_leads_to_a_page_a_place_or_a_picture_that_there_is(page: Page) -> None:
    html = PAGES.page(page)
    for there in [*Read(html).all("href"), *Read(html).all("src")]:
        path, _, anchor = there.partition("#")
        path = path.partition("?")[0]
        if path.startswith("http"):
            continue
        name = path.removeprefix("/help").removeprefix("/")
        if name in ("index.md", "assets/help.css", "assets/icon.svg") or name in LIBRARY.pictures:
            continue
        target = LIBRARY.pages[name.removesuffix(".md")] if path else page
        if anchor and anchor != "page":
            assert anchor in Read(PAGES.page(target)).all("id"), there


def test_p29_the_lifecycle_is_a_picture_with_every_state_and_arrow_of_the_table() -> None:
    read = Read(PAGES.page(LIBRARY.pages["lifecycle"]))
    assert "stateDiagram" not in read.text
    classes = [str(values.get("class", "")) for tag, values in read.elements if tag in ("g", "rect")]
    assert sum(name.startswith("arrow ") for name in classes) == len(drawn())
    assert sum(name == "node" or name.startswith("node ") for name in classes) == len(State)
    assert all(node.name in read.text for node in nodes())
    (said,) = [values["aria-label"] for tag, values in read.elements if tag == "svg"]
    assert said is not None and "Failed → Awaiting sign-in on start reauth" in said
    assert "```mermaid" in LIBRARY.pages["lifecycle"].markdown, "programs get the diagram itself"


def test_another_diagram_stays_code() -> None:
    assert "stateDiagram" in Read(page_of("# Sample\n\n```mermaid\nstateDiagram-v2\n```\n")).text


@every_page
def test_every_page_has_one_title_its_search_box_and_no_script_or_style_of_its_own(page: Page) -> None:
    read = Read(PAGES.page(page))
    tags = [tag for tag, _ in read.elements]
    assert tags.count("h1") == 1 and tags.count("form") == 1
    assert not {"script", "style", "iframe", "object"} & set(tags)
    assert not read.all("style") and not [name for _, values in read.elements for name in values if name[:2] == "on"]
    assert "<!--" not in read.text and len(read.all("id")) == len(set(read.all("id")))


def test_html_in_markdown_is_shown_and_never_obeyed() -> None:
    html = page_of("# Sample\n\n<script>alert(1)</script> <b onclick=x>b</b>\n\n[x](javascript:alert(1))\n")
    read = Read(html)
    assert "<script>alert(1)</script>" in read.text
    assert "script" not in [tag for tag, _ in read.elements] and not any("javascript" in h for h in read.all("href"))


def test_links_between_pages_are_led_to_their_addresses_and_links_to_files_keep_their_text_alone() -> None:
    html = page_of(
        "# S\n\n[a](../keys.md#change-the-key) [b](README.md) [c](../../Makefile) ![d](../screens/no.png)", "adr/s.md"
    )
    assert '<a href="/help/keys#change-the-key">a</a> <a href="/help/adr">b</a> c d' in html


def test_headings_have_the_anchors_that_github_makes_also_where_two_are_alike() -> None:
    done = rendered("# T\n\n## What's `min_ttl_s`, and why?\n\n## Twice\n\n## Twice\n", lambda link: link)
    assert [one.anchor for one in done.headings] == ["whats-min_ttl_s-and-why", "twice", "twice-1"]


def test_a_page_of_several_headings_has_its_contents_and_the_way_back() -> None:
    html = PAGES.page(LIBRARY.pages["adr/0003-a-code-is-sent-at-most-once"])
    assert '<a href="/help/adr">' in html
    assert 'aria-label="On this page"' in PAGES.page(LIBRARY.pages["keys"])


# Reasons and problems.


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_page_what_happened_who_acts_how_long_and_one_to_three_steps(reason: Reason) -> None:
    page = LIBRARY.pages[f"reasons/{reason}"]
    said = texts(ENGLISH).reason_in_general(reason)
    assert 1 <= len(said.steps) <= 3 and len(said.steps) == len(reason.entry.steps)
    for text in (said.title, said.words, said.takes, *said.steps):
        assert text in page.markdown
    assert texts(ENGLISH).say(f"help.who.{reason.remedy}") in page.markdown
    assert not re.search(r"[{}]", page.markdown)
    prose = Read(PAGES.page(page)).text
    assert not re.search(r"[.] [a-z]", prose.partition("What leads to it")[0])
    assert page.markdown.partition("\n\n")[2].partition("[All")[0].strip() in catalogues.reasons()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_its_page_in_every_language(language: Language) -> None:
    english = re.compile(r"\b(the|you|and|with|is|what|who)\b", re.IGNORECASE)
    for reason in Reason:
        page = LIBRARY.spoken(LIBRARY.pages[f"reasons/{reason}"], language)
        html = PAGES.page(page, language)
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in html
        text = Read(html).text.replace("This page as Markdown", "")
        assert bool(english.search(text.partition("Northwind Data")[2])) == (language == ENGLISH), reason
        assert not re.search(r"[{}]", page.markdown)
        for other in LANGUAGES:
            assert f'<a href="?lang={other}" lang="{other}"' in html


@pytest.mark.parametrize("reason", [r for r in Reason if r.remedy is not Remedy.REAUTHORISE])
def test_no_reason_that_a_login_does_not_mend_sends_anybody_to_one(reason: Reason) -> None:
    assert not any(re.match(r"(Start again|Sign in to)", step) for step in reason.entry.steps)


@pytest.mark.parametrize("code", ProblemCode)
def test_every_problem_has_a_page(code: ProblemCode) -> None:
    page = LIBRARY.pages[f"problems/{code}"]
    assert code.entry.action in page.markdown and str(code.entry.status) in page.markdown


def test_a_provider_s_own_error_code_stands_on_the_page_of_its_reason() -> None:
    assert "QuickBooks: error code `6190`" in LIBRARY.pages["reasons/account_inactive"].markdown


def test_p29_a_changed_catalogue_makes_its_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dict(list(CATALOGUE.items())[1:])
    monkeypatch.setattr(catalogues, "CATALOGUE", changed)
    assert [path.name for path in stale(catalogues.files())] == ["reasons.md"]


# Passages and questions.


@every_page
def test_passages_hold_the_whole_page_as_text(page: Page) -> None:
    passages = list(passages_of(page))
    assert passages
    assert max(len(one.body) for one in passages) < 2 * LONGEST
    assert {one.anchor for one in passages} - {""} <= set(Read(PAGES.page(page)).all("id"))


def test_the_edition_is_named_by_what_it_says() -> None:
    first = edition()
    edition.cache_clear()
    assert edition() == first and len(first.passages) > 150


@pytest.mark.parametrize(
    "question", ["", "???", "' OR 1=1 --", "a & | ! ( ) : *", "<b>x</b>", "\x00\ud800", "or or or"]
)
def test_any_question_becomes_words_or_none(question: str) -> None:
    clean = readable(question)
    assert clean.isprintable()
    assert all(re.fullmatch(r"[\w'’.-]+", one.word) for one in words_of(clean))


def test_what_people_call_alike_is_looked_for_together() -> None:
    def meant(question: str) -> set[str]:
        return {one.word for one in words_of(question)}

    assert {"reconnect", "sign-in"} <= meant("How do I log in again?")
    assert meant("signing in") == meant("logged in")
    assert "company" in meant("which realm?") and "administrator" in meant("admin")


def test_every_page_is_in_the_index_for_programs() -> None:
    assert all(f"({address_of(page, markdown=True)})" in PAGES.index for page in LIBRARY.pages.values())
