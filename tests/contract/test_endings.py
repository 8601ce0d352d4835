"""P13: the table of endings has what it must, each row has its test, and the page shows the table of now."""

import re

import pytest

from tests.browser.endings.table import ENDINGS, HERE, PAGE, Ending, page

NAMED = {
    "pop-up-blocked",
    "closed", "denied", "wrong-company", "several-companies", "company-taken", "not-an-admin", "permission-unticked",
    "link-used", "link-expired", "link-of-somebody-else", "cookies-blocked", "second-tab", "back-button", "reload",
    "callback-twice", "provider-away", "provider-slow", "database-away", "broker-away", "deleted", "disconnected",
    "repaired", "replaced", "time-ran-out", "another-device", "refused-there", "login-does-not-help", "misconfigured",
    "code-refused", "interrupted", "checks-timed-out", "state-forged", "bad-request", "too-many", "unknown-error",
}  # fmt: skip
"""Those that were asked for by name."""


def test_p13_there_are_more_than_thirty_endings_and_all_that_were_asked_for_are_among_them() -> None:
    names = [ending.name for ending in ENDINGS]

    assert len(names) == len(set(names)) >= 30
    assert set(names) >= NAMED


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_p13_each_ending_is_shown_by_its_test(ending: Ending) -> None:
    source = (HERE / ending.file).read_text()
    body = source.partition(f"async def {ending.test}(")[2].partition("\nasync def ")[0]

    assert body, "its test is there"
    shown = set(re.findall(r'\.sees\(\w+, "([a-z-]+)"\)|"([a-z-]+)\.png"', body))
    by_parameter = f'"{ending.name}"' in source and ".sees(page, ending)" in body
    assert ending.name in {name for pair in shown for name in pair} or by_parameter


def test_p13_no_test_shows_an_ending_that_the_table_lacks() -> None:
    shown = {
        name for file in HERE.glob("test_*.py") for name in re.findall(r'\.sees\(\w+, "([a-z-]+)"\)', file.read_text())
    }

    assert shown <= {ending.name for ending in ENDINGS}


def test_the_page_shows_the_table_of_now() -> None:
    assert PAGE.read_text() == page(), "python -m tests.browser.endings.table"
