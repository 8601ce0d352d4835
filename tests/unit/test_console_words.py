"""Numbers and times at the console, as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.reasons import Reason
from service.console import words

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.31, "310 ms"),
        (2.14, "2.1 s"),
        (9.99, "10.0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (15320, "4 h 15 min"),
        (86400 * 3 + 3600 * 5 + 60, "3 d 5 h"),
        (86400 + 59, "1 d 0 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, told: str) -> None:
    assert words.span(seconds) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2026-11-28T11:59:59.500Z", "now"),
        ("2026-11-28T11:18:00Z", "42 min ago"),
        ("2026-11-28T08:30:00+00:00", "3 h ago"),
        ("2026-11-25T12:00:00Z", "3 d ago"),
        ("2026-12-08T12:00:00Z", "in 10 d"),
        (None, "never"),
    ],
)
def test_an_instant_is_told_by_how_long_ago_it_was(given: str | None, told: str) -> None:
    assert words.ago(given, NOW) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (99_999, 100_000, "99.99 %"),
        (1, 100_000, "< 0.1 %"),
        (1, 3, "33.3 %"),
        (1, 0, "–"),
    ],
)
def test_a_share_never_says_all_or_none_where_it_isnt(part: int, whole: int, told: str) -> None:
    assert words.share(part, whole) == told


def test_numbers_have_their_thousands_apart() -> None:
    assert [words.number(n) for n in (0, 0.5, 12.25, 999, 98_875, 1234.5)] == [
        "0",
        "0.5",
        "12.2",
        "999",
        "98,875",
        "1,234",
    ]


def test_an_instant_stands_alone_in_utc() -> None:
    assert words.clock("2026-11-28T13:00:00+02:00") == "2026-11-28 11:00:00 UTC"
    assert words.instant("2026-11-28T13:00:00+02:00") == NOW - timedelta(hours=1)


@pytest.mark.parametrize("code", list(Reason))
def test_every_reason_has_a_title_without_an_open_place(code: Reason) -> None:
    title = words.reason(code.value, "Xero")
    assert "{" not in title
    assert title[0].isupper()


def test_whoever_acted_is_named() -> None:
    assert words.actor({"kind": "operator", "id": "s-kim"}) == "an operator (s-kim)"
    assert words.actor({"kind": "sync_engine", "id": None}) == "the sync engine"
