"""The console's picture of the lifecycle: made from the table, every arrow once, and with the numbers on it."""

from dataclasses import replace
from itertools import combinations

import pytest

from schemas.lifecycle import Outcome, State, Trigger
from service.console import drawing
from service.picture import lifecycle as picture
from service.picture.curves import GAP
from statemachine import arrows
from statemachine.table import TABLE

MOVES = {
    (source, row.to)
    for row in TABLE
    if row.outcome is Outcome.TRANSITION and row.to is not None
    for source in row.sources
    if source is not row.to
}


def test_p29_every_change_of_state_in_the_table_is_an_arrow_of_the_picture_once() -> None:
    drawn = [pair for arrow in picture.drawn() for pair in arrow.pairs]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == MOVES


def test_p29_a_changed_row_of_the_table_changes_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = next(n for n, row in enumerate(TABLE) if row.trigger is Trigger.VERIFIED and row.to is State.SYNCING)
    table = (*TABLE[:changed], replace(TABLE[changed], to=State.HEALTHY), *TABLE[changed + 1 :])
    monkeypatch.setattr(arrows, "TABLE", table)
    by_pair = {pair: arrow for arrow in picture.drawn() for pair in arrow.pairs}
    assert Trigger.VERIFIED in by_pair[State.VERIFYING, State.HEALTHY].triggers
    assert (State.VERIFYING, State.SYNCING) not in by_pair


def test_p29_every_state_has_a_place_a_name_and_its_sentence() -> None:
    assert {node.state: node.sentence for node in picture.nodes()} == {state: state.sentence for state in State}
    assert len({node.name for node in picture.nodes()}) == len(State)


def test_no_two_states_lie_on_one_another_and_all_lie_in_the_picture() -> None:
    boxes = [node.box for node in picture.nodes()]
    for one, other in combinations(boxes, 2):
        apart_x = abs(one.x - other.x) - (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) - (one.height + other.height) / 2
        assert max(apart_x, apart_y) > 10
    assert all(box.left > 0 and box.left + box.width < picture.WIDTH and box.top > 0 for box in boxes)


@pytest.mark.parametrize("arrow", picture.drawn(), ids=lambda arrow: arrow.id)
def test_an_arrow_ends_just_outside_its_states(arrow: picture.Arrow) -> None:
    numbers = [float(n) for n in arrow.curve.path.replace("M", "").replace("C", " ").split()]
    tip, box = (numbers[-2], numbers[-1]), picture.PLACES[arrow.to]
    assert not box.holds(tip)
    assert box.holds(tip, GAP + 15)


def test_what_happens_alike_in_every_connected_state_is_one_arrow() -> None:
    (off,) = (arrow for arrow in picture.drawn() if arrow.id == "connected-disconnected")
    assert len(off.pairs) == 5
    assert off.words == "Connected → Disconnected"


def test_an_arrow_is_the_wider_the_more_often_it_is_gone() -> None:
    widths = [picture.width(an_hour) for an_hour in (0, 0.5, 1, 10, 100, 1000, 1e9)]
    assert widths == sorted(widths)
    assert widths[0] < widths[1]
    assert widths[-1] == 9.0


def test_the_fleets_numbers_stand_on_the_picture_and_its_links_lead_to_the_list() -> None:
    counts = {"healthy": 990, "failed": 10, "deleted": 5}
    shown = drawing.of_fleet(counts, {(State.HEALTHY, State.FAILED): 12.0}, "2026-11-28T10:00:00Z", {"as_of": "x"})
    failed = next(node for node in shown.nodes if node.state == "failed")
    assert (failed.count, failed.share, failed.said) == ("10", "1.0 %", "Failed 10 1.0 %")
    assert failed.href == "/console/connectors?as_of=x&state=failed"
    gone = next(arrow for arrow in shown.arrows if arrow.id == "healthy-failed")
    assert (gone.text, gone.moves, gone.said) == ("12/h", True, "Healthy → Failed: 12 an hour")
    assert [arrow.id for arrow in shown.arrows if arrow.moves] == ["healthy-failed"]


def test_what_the_script_gets_is_all_that_changes_in_the_picture() -> None:
    shown = drawing.of_fleet({"healthy": 1}, {}, "2026-11-28T10:00:00Z", {})
    live = shown.live()
    assert live["at"] == "2026-11-28T10:00:00Z"
    assert set(live["nodes"]) == {state.value for state in State}
    assert set(live["arrows"]) == {arrow.id for arrow in picture.drawn()}


def test_p24_the_path_that_a_connector_walked_is_numbered_on_the_picture() -> None:
    back_and_forth = [
        (State.HEALTHY, State.FAILED),
        (State.FAILED, State.AWAITING_AUTH),
        (State.AWAITING_AUTH, State.FAILED),
        (State.FAILED, State.AWAITING_AUTH),
    ]
    shown = drawing.of_path(back_and_forth, "awaiting_auth", "/console/connectors")
    walked = {arrow.id: arrow.text for arrow in shown.arrows if arrow.walked}
    assert walked == {"healthy-failed": "1", "failed-awaiting_auth": "2, 4", "awaiting_auth-failed": "3"}
    assert [node.state for node in shown.nodes if node.here] == ["awaiting_auth"]
    assert {node.state for node in shown.nodes if node.walked} == {"healthy", "failed", "awaiting_auth"}
