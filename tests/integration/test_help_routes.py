"""The help over HTTP: pages in both forms, answers in three, and what strangers can't do with it."""

import html
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from schemas.help import HelpAnswer
from schemas.problems import ProblemCode
from schemas.reasons import Reason
from service.help.answers import Answers
from service.help.library import library
from service.help.passages import edition
from service.help.question import LONGEST
from service.help.routes import build_help
from service.store import passages
from service.store.migrate import migrate
from service.store.passages import Found, Passage
from service.store.pool import open_pool
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, preferred
from tests.window import Running

Client = TestClient[web.Request, web.Application]
PUBLIC_URL = "https://connect.example.com"
KEYS = Found(
    Passage("keys", "change-the-key", "Keys", "Change the key", "Three commands."), "Three \x02commands\x03.", 1
)


class Told:
    """Answers everything alike, or with trouble."""

    def __init__(self) -> None:
        self.found = [KEYS]
        self.trouble: Exception | None = None
        self.questions: list[str] = []

    async def to(self, question: str) -> list[Found]:
        self.questions.append(question)
        if self.trouble is not None:
            raise self.trouble
        return self.found


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def client(aiohttp_client: Callable[[web.Application], Awaitable[Client]], told: Told) -> Client:
    return await client_of(aiohttp_client, told)


async def client_of(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]], answers: Any, **more: Any
) -> Client:
    app = web.Application()
    build_help(
        app,
        answers=answers,
        library=library(),
        public_url=PUBLIC_URL,
        host_name="Northwind Data",
        frame_ancestors=(),
        counted_for=lambda request: request.headers.get("Test-Address", "one"),
        language_of=lambda request: preferred(request.headers.get("Accept-Language", "")),
        **more,
    )
    return await aiohttp_client(app)


async def test_every_page_is_served_as_html_and_as_markdown_at_the_same_address(client: Client) -> None:
    for address in library().pages:
        page = await client.get(f"/help/{address}".rstrip("/"))
        assert (page.status, page.content_type) == (200, "text/html"), address
        plain = await client.get(f"/help/{address or 'index'}.md")
        assert (plain.status, plain.content_type) == (200, "text/markdown"), address
        if address:
            preferred = await client.get(f"/help/{address}", headers={"Accept": "text/markdown, text/html;q=0.5"})
            assert await preferred.text() == await plain.text() == library().pages[address].markdown


async def test_every_reason_and_every_problem_s_type_leads_to_a_page_with_its_title(client: Client) -> None:
    for code in (*Reason, *ProblemCode):
        catalogue = "reasons" if isinstance(code, Reason) else "problems"
        page = await client.get(f"/help/{catalogue}/{code}")
        text = html.unescape(await page.text())
        title = texts(ENGLISH).reason_in_general(code).title if isinstance(code, Reason) else code.entry.title
        assert page.status == 200 and f"<h1>{title}</h1>" in text
        assert "Who acts" in text and "What to do" in text


async def test_a_reason_s_page_speaks_the_reader_s_language_and_every_other_page_english(client: Client) -> None:
    german = {"Accept-Language": "de"}
    page = await client.get("/help/reasons/account_inactive", headers=german)
    assert page.headers["Content-Language"] == "de"
    assert '<html lang="de"' in await page.text() and "Das Abonnement ist beendet" in await page.text()
    plain = await client.get("/help/reasons/account_inactive.md", headers=german)
    assert (await plain.text()).startswith("# Das Abonnement ist beendet")
    assert (await client.get("/help/keys", headers=german)).headers["Content-Language"] == "en"


async def test_pictures_are_served_and_can_do_nothing(client: Client) -> None:
    for name, kind in (("screens/window.png", "image/png"), ("benchmarks/latency.svg", "image/svg+xml")):
        picture = await client.get(f"/help/{name}")
        assert (picture.status, picture.content_type) == (200, kind)
        assert "sandbox" in picture.headers["Content-Security-Policy"]


async def test_programs_find_all_pages_in_one_list(client: Client) -> None:
    for address in ("/llms.txt", "/help/index.md"):
        listed = await (await client.get(address)).text()
        assert "(/help/reauthenticate-quickbooks.md)" in listed


async def test_an_answer_comes_as_page_as_markdown_or_as_json(client: Client) -> None:
    page = await client.get("/help", params={"ask": "rotate keys"})
    text = await page.text()
    assert '<a href="/help/keys#change-the-key">Keys: Change the key</a>' in text and "<mark>commands</mark>" in text
    assert 'value="rotate keys"' in text
    said = await client.get("/help", params={"ask": "rotate keys"}, headers={"Accept": "application/json"})
    (told,) = HelpAnswer.model_validate_json(await said.text()).passages
    assert told.address == f"{PUBLIC_URL}/help/keys#change-the-key" and told.markdown == f"{PUBLIC_URL}/help/keys.md"
    plain = await client.get("/help", params={"ask": "rotate keys"}, headers={"Accept": "text/markdown"})
    assert plain.content_type == "text/markdown" and f"]({PUBLIC_URL}/help/keys#change-the-key)" in await plain.text()


async def test_a_question_that_nothing_fits_is_told_so(client: Client, told: Told) -> None:
    told.found = []
    page = await client.get("/help", params={"ask": "zebra"})
    assert page.status == 200 and "Nothing fits these words" in await page.text()


async def test_an_empty_question_is_none(client: Client, told: Told) -> None:
    assert "Ask a question" in await (await client.get("/help", params={"ask": " \x00 "})).text()
    assert told.questions == []


@pytest.mark.parametrize("form", ["text/html", "application/json", "text/markdown"])
async def test_s22_no_answer_repeats_a_question_as_html(client: Client, form: str) -> None:
    for question in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'):
        text = await (await client.get("/help", params={"ask": question}, headers={"Accept": form})).text()
        assert "<script" not in text and "<img" not in text
        assert form == "text/html" or "alert" not in text


async def test_a_question_has_a_longest_length(client: Client, told: Told) -> None:
    refused = await client.get("/help", params={"ask": "x" * (LONGEST + 1)}, headers={"Accept": "application/json"})
    assert refused.status == 400 and (await refused.json())["code"] == "malformed_request"
    assert told.questions == []


async def test_s39_questions_of_one_address_are_limited_before_the_database_is_asked(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]], told: Told
) -> None:
    client = await client_of(aiohttp_client, told, a_minute_from_an_address=2)
    answers = [await client.get("/help", params={"ask": "keys"}) for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1 and len(told.questions) == 2
    assert (await client.get("/help", params={"ask": "keys"}, headers={"Test-Address": "two"})).status == 200
    assert (await client.get("/help/keys")).status == 200, "pages are not questions"


@pytest.mark.parametrize("trouble", [asyncpg.CannotConnectNowError("secret-host"), TimeoutError()])
async def test_while_the_database_is_away_the_help_says_so_and_offers_all_pages(
    client: Client, told: Told, trouble: Exception
) -> None:
    told.trouble = trouble
    page = await client.get("/help", params={"ask": "keys"})
    text = await page.text()
    assert page.status == 503 and "Retry-After" in page.headers
    assert "Try again in a moment" in text and 'href="/help"' in text and "secret-host" not in text
    said = await client.get("/help", params={"ask": "keys"}, headers={"Accept": "application/json"})
    assert said.content_type == "application/problem+json" and (await said.json())["retryable"] is True
    assert (await client.get("/help/keys")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/help",
        "/help/keys",
        "/help/keys.md",
        "/help/nothing",
        "/help?ask=key",
        "/llms.txt",
        "/help/reasons/x",
    ],
)
async def test_s21_every_answer_of_the_help_has_the_headers(client: Client, path: str) -> None:
    page = await client.get(path)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; ")
    assert "script" not in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.parametrize(
    "path", ["/help/reasons/nonsense", "/help/README", "/help/..%2f..%2fpyproject.toml", "/help/x.png"]
)
async def test_what_is_not_there_is_told_on_a_page(client: Client, path: str) -> None:
    page = await client.get(path)
    assert page.status == 404 and "No such page" in await page.text()


async def test_pages_can_only_be_read(client: Client) -> None:
    refused = await client.post("/help", data={"ask": "x"})
    assert refused.status == 405 and "GET" in refused.headers["Allow"]


# With the database.


@pytest.fixture
async def asked(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]], database: str
) -> AsyncIterator[tuple[Client, asyncpg.Pool]]:
    pool = await open_pool(database)
    answers = Answers(pool)
    async with pool.acquire() as connection:
        await migrate(connection, shards=2)
        await passages.keep(connection, edition())
    yield await client_of(aiohttp_client, answers), pool
    await pool.close()


async def test_what_is_asked_is_answered_from_the_database(asked: tuple[Client, asyncpg.Pool]) -> None:
    client, _ = asked
    said = await client.get("/help", params={"ask": "what does 6190 mean"}, headers={"Accept": "application/json"})
    answer = HelpAnswer.model_validate_json(await said.text())
    assert answer.passages[0].address == f"{PUBLIC_URL}/help/reasons/account_inactive"


@pytest.mark.parametrize("question", ["'; drop table help_passage; --", "a & | ! ( ) : * <->", "\\", '"open', "-"])
async def test_no_question_breaks_the_search(asked: tuple[Client, asyncpg.Pool], question: str) -> None:
    client, pool = asked
    assert (await client.get("/help", params={"ask": question})).status == 200
    assert await pool.fetchval("select count(*) from help_passage") > 100


async def test_versions_keep_each_their_own_passages_and_what_nobody_brings_any_more_goes(
    asked: tuple[Client, asyncpg.Pool],
) -> None:
    _, pool = asked
    (ours,) = await pool.fetchrow("select edition from help_edition")
    other = passages.Edition(b"other", (Passage("keys", "", "Keys", "", "Of another version."),))
    async with pool.acquire() as connection:
        for _ in range(2):
            await passages.keep(connection, other)
        assert await pool.fetchval("select count(*) from help_passage where edition = $1", other.hash) == 1
        await pool.execute("update help_edition set seen_at = now() - interval '31 days' where edition = $1", ours)
        await passages.keep(connection, other)
    assert [row["edition"] for row in await pool.fetch("select edition from help_edition")] == [other.hash]
    assert await pool.fetchval("select count(*) from help_passage") == 1


async def test_a_service_that_was_migrated_answers_at_its_port_in_the_language_of_the_window(service: Running) -> None:
    browser = service.browser()
    said = await browser.get("/help?ask=what+does+6190+mean", Accept="application/json")
    first = HelpAnswer.model_validate_json(said.text).passages[0]
    assert first.address == f"{service.origin}/help/reasons/account_inactive"
    await browser.get("/connect/nothing?lang=de")  # a language that was chosen in the window
    assert "Das Abonnement ist beendet" in (await browser.get("/help/reasons/account_inactive")).text
