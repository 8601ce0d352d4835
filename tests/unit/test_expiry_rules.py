"""P21: what a warning of a known end does to a connector, and what it leaves alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from schemas.lifecycle import Ignored, Notice, Outcome, State
from schemas.reasons import Reason
from service.engine import records
from statemachine import inputs
from statemachine.connector import Account, Connector
from statemachine.decide import Decision, decide

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
END = NOW + 30 * DAY
ATTEMPT = UUID(int=1)
ACME = Account("913", "Acme Inc")
HEALTHY = Connector("c", State.HEALTHY, 7, "acme", "quickbooks-online", "Books", ACME, 3, since=NOW - DAY)


def near(days: int = 30, generation: int = 3, plan: int = 1, end: datetime = END) -> inputs.ExpiryNear:
    due = end - days * DAY
    return inputs.ExpiryNear(connector="c", generation=generation, plan=plan, expires_at=end, estimated=True, due=due)


def moved(generation: int = 3, plan: int = 2) -> inputs.ExpiryMoved:
    return inputs.ExpiryMoved(connector="c", generation=generation, plan=plan)


def warned(connector: Connector = HEALTHY) -> Connector:
    return decide(connector, near(), NOW).connector


def assert_ignored(decision: Decision, why: Ignored) -> None:
    assert (decision.outcome, decision.why) == (Outcome.IGNORED, why)


def test_p21_a_healthy_connector_is_warned_and_stays_as_healthy_as_it_was() -> None:
    decision = decide(HEALTHY, near(), NOW)

    assert (decision.outcome, decision.reason, decision.notice) == (
        Outcome.TRANSITION,
        Reason.EXPIRING,
        Notice.EXPIRING,
    )
    told = {"expires_at": END, "expires_estimated": True, "warned": NOW, "warned_plan": 1}
    assert decision.connector == replace(HEALTHY, version=8, **told)
    assert decision.connector.reason is None, "a reason would keep its tokens back"


def test_p21_the_same_warning_or_an_older_one_is_given_once() -> None:
    later = decide(warned(), near(14), NOW + 16 * DAY).connector

    assert later.warned == END - 14 * DAY
    for repeat in (near(14), near(30)):
        assert_ignored(decide(later, repeat, NOW + 16 * DAY), Ignored.ALREADY_SO)
    assert decide(later, near(7), NOW + 23 * DAY).outcome is Outcome.TRANSITION


def test_p21_a_warning_of_a_credential_that_was_replaced_is_stale() -> None:
    for generation in (2, 4):
        assert_ignored(decide(HEALTHY, near(generation=generation), NOW), Ignored.STALE_GENERATION)
        assert_ignored(decide(warned(), moved(generation), NOW), Ignored.STALE_GENERATION)


def test_p21_what_is_said_of_a_former_end_no_longer_matters_and_a_new_one_is_told_whatever_was_before() -> None:
    later = warned(decide(warned(), near(1), END - DAY).connector)
    assert later.warned == END - DAY

    told = decide(later, near(14, plan=2, end=END + 10 * DAY), END - DAY).connector

    assert (told.expires_at, told.warned) == (END + 10 * DAY, END - 4 * DAY), "earlier than the last, of another end"
    for former in (near(1, plan=1), moved(plan=1)):
        assert_ignored(decide(told, former, END - DAY), Ignored.DEADLINE_NOT_SET)


@pytest.mark.parametrize("state", [State.FAILED, State.SYNCING, State.AWAITING_AUTH, State.VERIFYING])
def test_p21_nobody_is_warned_of_an_end_while_there_is_more_urgent_news(state: State) -> None:
    connector = replace(HEALTHY, state=state, fallback=State.HEALTHY, warned=NOW, expires_at=END)

    for input_ in (near(14), moved()):
        assert_ignored(decide(connector, input_, NOW), Ignored.NOT_HEALTHY)


def test_p21_an_end_that_moved_away_silences_its_warning() -> None:
    decision = decide(warned(), moved(), NOW + DAY)

    assert (decision.reason, decision.notice) == (Reason.RECOVERED, Notice.RECOVERED)
    assert decision.connector == replace(HEALTHY, version=9, warned_plan=2)
    assert_ignored(decide(decision.connector, moved(), NOW + DAY), Ignored.ALREADY_SO)


def test_p21_a_renewal_while_healthy_takes_the_warning_back_at_once() -> None:
    connector = warned()
    for input_ in (
        inputs.StartReauth(connector="c", attempt=ATTEMPT),
        inputs.GrantReceived(connector="c", attempt=ATTEMPT),
    ):
        connector = decide(connector, input_, NOW).connector
        assert (connector.expires_at, connector.warned) == (END, NOW), "nothing old is touched before the proof"

    decision = decide(connector, inputs.Verified(connector="c", attempt=ATTEMPT, account=ACME), NOW)

    assert decision.notice is Notice.RECOVERED
    after = decision.connector
    assert (after.generation, after.expires_at, after.expires_estimated, after.warned) == (4, None, False, None)


def test_p21_an_attempt_that_came_to_nothing_leaves_the_warning_standing() -> None:
    opened = decide(warned(), inputs.StartReauth(connector="c", attempt=ATTEMPT), NOW).connector

    back = decide(opened, inputs.Cancelled(connector="c", attempt=ATTEMPT), NOW).connector

    assert (back.state, back.expires_at, back.warned) == (State.HEALTHY, END, NOW)


def test_p28_a_repaired_failure_is_told_as_recovered_once_when_data_flows() -> None:
    warned_and_failed = replace(
        HEALTHY,
        state=State.VERIFYING,
        attempt=ATTEMPT,
        fallback=State.FAILED,
        reason=Reason.ACCOUNT_INACTIVE,
        failed_since=NOW - DAY,
        expires_at=END,
        warned=NOW,
    )

    decision = decide(warned_and_failed, inputs.Verified(connector="c", attempt=ATTEMPT, account=ACME), NOW)

    assert decision.notice is None
    assert (decision.connector.expires_at, decision.connector.warned) == (None, None)


@pytest.mark.parametrize("state", [State.HEALTHY, State.SYNCING])
def test_p21_an_end_that_has_come_is_not_shown_as_one_to_come(state: State) -> None:
    connector = replace(warned(), state=state)

    dead = inputs.RefreshRejected(connector="c", generation=3, reason=Reason.GRANT_REVOKED)
    after = decide(connector, dead, END).connector

    assert (after.state, after.expires_at, after.warned) == (State.FAILED, None, None)


def test_p21_taken_off_means_no_end_any_more() -> None:
    after = decide(warned(), inputs.Disconnect(connector="c"), NOW).connector

    assert (after.expires_at, after.expires_estimated, after.warned) == (None, False, None)


def test_p28_a_warning_carries_the_link_that_its_owner_needs() -> None:
    warning = decide(HEALTHY, near(), NOW)
    assert records.link(warning, "https://c.example") == "https://c.example/reconnect/quickbooks-online/c"
    taken_back = decide(warning.connector, moved(), NOW)
    assert taken_back.notice is Notice.RECOVERED and records.link(taken_back, "https://c.example") is None
