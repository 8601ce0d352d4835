"""Get help: the report and the picture of every screen, drawn by us, whole, escaped, and without a secret."""

from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.insight.facts import AttemptFacts
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, LANGUAGES, Language
from service.web.picture import WIDTH, picture
from service.web.report import report
from service.web.screen import Action, Line, Screen
from service.web.screens import Screens
from statemachine.connector import Account
from tests.secret_shapes import SECRETS, parts_of
from tests.unit.test_window_pages import ENDINGS, HOST, NOW, VIEW, ended

FACTS = AttemptFacts(
    opened_at=NOW - timedelta(minutes=5),
    ended_at=NOW - timedelta(minutes=1),
    trace_ids=("0af7651916cd43dd8448eb211c80319c",),
    request_ids=("1-6743a1b2-5f2e8f2d0c1a9b8c7d6e5f40",),
)
WRONG = ended(
    Reason.WRONG_ACCOUNT,
    expected=Account("9130350000001", "Drivewell Inc"),
    seen=Account("9130350000002", "Drivewell Leasing LLC"),
    returned_at=NOW - timedelta(minutes=2),
)
SCREENS = Screens(texts(ENGLISH), HOST)


def drawn(screen: Screen, direction: str = "ltr") -> tuple[ElementTree.Element, list[str]]:
    """The picture, as a reader of SVG sees it, and its texts."""
    svg = ElementTree.fromstring(picture(screen, direction))
    return svg, [node.text or "" for node in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_p25_the_report_says_where_it_stopped_when_and_which_ids_to_ask_for() -> None:
    text = report(WRONG, SCREENS.attempt(WRONG, NOW), FACTS, ENGLISH, NOW).text
    told = dict(line.split(":", 1) for line in text.splitlines() if not line.startswith(" "))
    told = {name: value.strip() for name, value in told.items()}
    assert told["support code"] == "6F9B-1C2E" and told["attempt"] == str(VIEW.attempt)
    assert told["screen"] == "ended wrong_account, in en" and told["it says"] == "That was another company"
    assert told["step reached"].startswith("exchanged") and told["stopped at"] == "Not the right company"
    assert (told["ended with"], told["failed with"]) == ("wrong_account", "token_refused")
    assert told["account expected"] == "Drivewell Inc (id 9130350000001)"
    assert told["account seen"] == "Drivewell Leasing LLC (id 9130350000002)"
    assert told["opened"] == "2026-11-24 08:55:00Z" and told["came back"] == "2026-11-24 08:58:00Z"
    assert told["provider's ids"] == FACTS.request_ids[0] and told["our trace ids"] == FACTS.trace_ids[0]
    assert told["report"].startswith("regrant ")


def test_p25_of_200_secrets_in_names_none_is_in_report_or_picture() -> None:
    spare = iter([secret for _, secret in SECRETS])
    for _ in range(25):
        one, two, three, four, five, six, seven, eight = (next(spare) for _ in range(8))
        view = replace(
            WRONG,
            connector_name=f"Books {one}",
            person_name=two,
            account=Account("9130350000001", three),
            expected=Account("9130350000001", four),
            seen=Account("9130350000002", five),
            tenant=six,
        )
        facts = AttemptFacts(trace_ids=(seven + "!",), request_ids=(eight + "!",))
        screen = SCREENS.attempt(view, NOW)
        told = report(view, screen, facts, ENGLISH, NOW).text + picture(screen, "ltr")
        planted = (one, two, three, four, five, six, seven, eight)
        assert [secret for secret in planted if any(part in told for part in parts_of(secret))] == []


@pytest.mark.parametrize("name", ENDINGS)
def test_p25_every_screen_has_its_picture(name: str) -> None:
    screen = ENDINGS[name]
    svg, words = drawn(screen)
    assert screen.title in " ".join(words) and (svg.get("role"), svg.get("aria-label")) == ("img", screen.title)
    rows = [float(node.get("y", "0")) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert rows == sorted(rows) and rows[-1] < float(svg.get("height", "0"))
    assert not any("style" in node.attrib or node.tag.endswith(("script", "a", "image")) for node in svg.iter())


@pytest.mark.parametrize("language", LANGUAGES)
def test_p25_a_picture_begins_where_its_language_does(language: Language) -> None:
    said = texts(language)
    screen = Screens(said, HOST).attempt(replace(WRONG, state=State.FAILED, step=Step.EXCHANGED), NOW)
    svg, _ = drawn(screen, said.say("direction"))
    begins = {node.get("x") for node in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert begins == ({str(WIDTH - 32)} if said.say("direction") == "rtl" else {"32"})


def test_p25_a_picture_is_only_words_whatever_a_name_holds() -> None:
    hostile = '<script>alert(1)</script> "&amp; ]]>'
    screen = Screen(
        name="x",
        tone="calm",
        title=hostile,
        words=(hostile,),
        lines=(Line(hostile, "done"),),
        primary=Action("post", hostile),
    )
    svg, words = drawn(screen)
    assert svg.get("aria-label") == hostile and "alert(1)" in " ".join(words)
    assert not any(node.tag.endswith("script") for node in svg.iter())
