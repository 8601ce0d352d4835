"""The element's script as it is served: small, readable, cacheable by its content, usable from any page."""

import gzip
import json
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from service.texts.language import LANGUAGES
from service.web.element import KEYS, SCRIPT, VERSION
from tests.integration.test_window_routes import MemoryFlow, client_of

Client = TestClient[web.Request, web.Application]
PATH = "/connect/element.js"
SOURCE = (files("service.web") / "assets" / "element.js").read_text()


@pytest.fixture
async def client(aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    return await client_of(aiohttp_client, MemoryFlow())


def test_the_script_stays_within_15_kilobytes_gzipped_and_depends_on_nothing() -> None:
    assert len(gzip.compress(SCRIPT)) <= 15_000
    assert not re.search(r"\bimport\b|\brequire\(|https?://(?!connect\.example\.com)", SOURCE)


def test_the_script_holds_its_words_in_every_language() -> None:
    found = re.search(rb"const WORDS = (\{.*?\});", SCRIPT)
    assert found is not None
    words = json.loads(found[1])

    assert set(words) == set(LANGUAGES)
    assert all(set(said) == {*KEYS, "language", "direction"} and all(said.values()) for said in words.values())
    assert words["ar"]["direction"] == "rtl" and words["en"]["connect"] == "Connect"


def test_the_script_needs_nothing_that_a_strict_policy_forbids() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|new Function|\.style\b|document\.write"
    assert not re.search(forbidden, SOURCE)


async def test_any_page_may_load_the_script_also_by_its_hash(client: Client) -> None:
    answer = await client.get(PATH, headers={"Origin": "https://app.drivewell.example"})

    assert (answer.status, answer.content_type) == (200, "text/javascript")
    assert await answer.read() == SCRIPT
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and not answer.cookies


async def test_the_address_with_the_version_is_kept_for_a_year_and_every_other_is_asked_again(client: Client) -> None:
    named = await client.get(f"{PATH}?v={VERSION}")
    plain = await client.get(PATH)
    other = await client.get(f"{PATH}?v=000000000000")

    assert "immutable" in named.headers["Cache-Control"]
    assert plain.headers["Cache-Control"] == other.headers["Cache-Control"] == "public, max-age=300"
    assert named.headers["ETag"] == plain.headers["ETag"] == f'"{VERSION}"'
    unchanged = await client.get(PATH, headers={"If-None-Match": plain.headers["ETag"]})
    assert (unchanged.status, await unchanged.read()) == (304, b"")
