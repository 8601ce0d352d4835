"""The lifecycle as it is meant: one test or more for each row of the design's table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.lifecycle import Ignored, Notice, Outcome, Refused, State, Step
from schemas.reasons import Reason, Remedy
from statemachine import inputs
from statemachine.connector import Account, Connector, Rules
from statemachine.decide import Decision, decide
from statemachine.effects import (
    EndAttempt,
    ExplainAttempt,
    HandOn,
    NoteSyncBegan,
    OpenAttempt,
    RequestSync,
    Shred,
    SwapCredential,
    Verify,
)

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
ATTEMPT, NEWER = UUID(int=1), UUID(int=2)
ACME, OTHER = Account("913", "Acme Inc"), Account("914", "Acme Ltd")
RULES = Rules()
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

HEALTHY, FAILED, SYNCING = State.HEALTHY, State.FAILED, State.SYNCING
AWAITING, VERIFYING, DISCONNECTED = State.AWAITING_AUTH, State.VERIFYING, State.DISCONNECTED

PASSING = [reason for reason in Reason if reason.remedy is Remedy.WAIT]
NEEDS_A_PERSON = [reason for reason in Reason if reason.remedy is not Remedy.WAIT]


# Builders: a connector in each state, and the inputs.


def a_connector(state: State, **facts: Any) -> Connector:
    known: dict[str, Any] = {
        "id": "c",
        "tenant": "acme",
        "provider": "quickbooks-online",
        "name": "Books",
        "version": 7,
        "account": ACME,
        "generation": 3,
        "since": NOW - DAY,
        "swapped": NOW - 10 * DAY,
        "last_run": NOW - HOUR,
        "last_success": NOW - HOUR,
    }
    return Connector(state=state, **known | facts)


def healthy(**facts: Any) -> Connector:
    return a_connector(HEALTHY, **facts)


def failed(reason: Reason = Reason.TOKEN_REFUSED, **facts: Any) -> Connector:
    return a_connector(
        FAILED,
        **{"reason": reason, "failed_since": NOW - 30 * MINUTE, "position": "p-1", "deadline": NOW + DAY} | facts,
    )


def attempting(state: State, fallback: State, **facts: Any) -> Connector:
    reason = Reason.TOKEN_REFUSED if fallback is FAILED else None
    return a_connector(
        state, **{"attempt": ATTEMPT, "fallback": fallback, "reason": reason, "deadline": NOW + MINUTE} | facts
    )


def awaiting(fallback: State = FAILED, **facts: Any) -> Connector:
    return attempting(AWAITING, fallback, **facts)


def verifying(fallback: State = FAILED, **facts: Any) -> Connector:
    return attempting(VERIFYING, fallback, **facts)


def syncing(**facts: Any) -> Connector:
    new = {"swapped": NOW - 5 * MINUTE, "last_run": None, "sync_asks": 1, "deadline": NOW + 10 * MINUTE}
    return a_connector(SYNCING, **new | facts)


def disconnected() -> Connector:
    return a_connector(DISCONNECTED)


def sync_started(**facts: Any) -> inputs.SyncStarted:
    return inputs.SyncStarted(**{"connector": "c", "occurred": NOW, "generation": 3} | facts)


def sync_succeeded(**facts: Any) -> inputs.SyncSucceeded:
    return inputs.SyncSucceeded(**{"connector": "c", "occurred": NOW, "generation": 3} | facts)


def sync_failed(reason: Reason = Reason.TOKEN_REFUSED, **facts: Any) -> inputs.SyncFailed:
    return inputs.SyncFailed(**{"connector": "c", "occurred": NOW, "generation": 3, "reason": reason} | facts)


def refresh_rejected(generation: int = 3, reason: Reason = Reason.GRANT_REVOKED) -> inputs.RefreshRejected:
    return inputs.RefreshRejected(connector="c", generation=generation, reason=reason)


def start_reauth(attempt: UUID = NEWER) -> inputs.StartReauth:
    return inputs.StartReauth(connector="c", attempt=attempt)


def grant_received(attempt: UUID = ATTEMPT) -> inputs.GrantReceived:
    return inputs.GrantReceived(connector="c", attempt=attempt)


def grant_refused(attempt: UUID = ATTEMPT) -> inputs.GrantRefused:
    return inputs.GrantRefused(connector="c", attempt=attempt, reason=Reason.ACCESS_DENIED)


def cancelled(attempt: UUID = ATTEMPT) -> inputs.Cancelled:
    return inputs.Cancelled(connector="c", attempt=attempt, step=Step.PROVIDER_PAGE)


def auth_expired(due: datetime = NOW + MINUTE) -> inputs.AuthExpired:
    return inputs.AuthExpired(connector="c", due=due, step=Step.PROVIDER_PAGE)


def verified(attempt: UUID = ATTEMPT, account: Account = ACME) -> inputs.Verified:
    return inputs.Verified(connector="c", attempt=attempt, account=account)


def rejected(reason: Reason = Reason.WRONG_ACCOUNT, attempt: UUID = ATTEMPT) -> inputs.Rejected:
    return inputs.Rejected(connector="c", attempt=attempt, reason=reason, step=Step.EXCHANGED, seen=OTHER)


def provider_unavailable(retry_after: timedelta | None = None, attempt: UUID = ATTEMPT) -> inputs.ProviderUnavailable:
    return inputs.ProviderUnavailable(
        connector="c", attempt=attempt, reason=Reason.PROVIDER_UNAVAILABLE, retry_after=retry_after
    )


def verify_expired(due: datetime = NOW + MINUTE) -> inputs.VerifyExpired:
    return inputs.VerifyExpired(connector="c", due=due)


def sync_expired(due: datetime) -> inputs.SyncExpired:
    return inputs.SyncExpired(connector="c", due=due)


def reminder_due(due: datetime) -> inputs.ReminderDue:
    return inputs.ReminderDue(connector="c", due=due)


def register(**facts: Any) -> inputs.Register:
    return inputs.Register(
        **{"connector": "c", "tenant": "acme", "provider": "quickbooks-online", "name": "Books"} | facts
    )


def on(connector: Connector, input_: Any, at: datetime = NOW) -> Decision:
    return decide(connector, input_, at, RULES)


def moved(decision: Decision) -> tuple[State, State]:
    assert decision.outcome is Outcome.TRANSITION
    return decision.source, decision.connector.state


def assert_ignored(decision: Decision, why: Ignored, connector: Connector) -> None:
    assert (decision.outcome, decision.why, decision.effects) == (Outcome.IGNORED, why, ())
    assert decision.connector is connector


def assert_ignored_for(decision: Decision, why: Ignored) -> None:
    assert (decision.outcome, decision.why) == (Outcome.IGNORED, why)


def assert_observed(decision: Decision, connector: Connector) -> None:
    assert decision.outcome is Outcome.OBSERVATION
    assert (decision.connector.state, decision.connector.version) == (connector.state, connector.version)


# Registering.


def test_a_connector_that_nobody_connected_begins_failed_and_wakes_nobody() -> None:
    decision = on(Connector(id="c"), register())

    assert moved(decision) == (State.ABSENT, FAILED)
    assert decision.connector.reason is Reason.NEVER_CONNECTED
    assert (decision.connector.version, decision.notice, decision.connector.deadline) == (1, None, None)


def test_a_connector_with_a_credential_of_the_hosts_begins_healthy() -> None:
    decision = on(Connector(id="c"), register(connected=True))

    assert moved(decision) == (State.ABSENT, HEALTHY)
    assert (decision.connector.tenant, decision.connector.name) == ("acme", "Books")


def test_registering_again_changes_nothing_and_another_tenants_id_is_taken() -> None:
    known = healthy()

    assert_ignored(on(known, register(name="Other")), Ignored.ALREADY_SO, known)
    assert on(known, register(tenant="other")).why is Refused.ID_TAKEN
    assert on(known, register(provider="xero")).why is Refused.ID_TAKEN


# Failing.


@pytest.mark.parametrize("reason", NEEDS_A_PERSON)
def test_a_failure_that_needs_a_person_takes_a_healthy_connector_to_failed(reason: Reason) -> None:
    decision = on(healthy(), sync_failed(reason, position="p-9"))

    assert moved(decision) == (HEALTHY, FAILED)
    after = decision.connector
    assert (after.reason, decision.reason, decision.step) == (reason, reason, Step.FAILURE_SEEN)
    assert (after.failed_since, after.position, after.version) == (NOW, "p-9", 8)


@pytest.mark.parametrize("reason", NEEDS_A_PERSON)
def test_a_fault_of_our_configuration_wakes_the_operator_and_any_other_the_owner(reason: Reason) -> None:
    ours = reason.remedy is Remedy.FIX_CONFIGURATION

    assert on(healthy(), sync_failed(reason)).notice is (Notice.OPERATOR_NEEDED if ours else Notice.PERSON_NEEDED)


@pytest.mark.parametrize("reason", PASSING)
@pytest.mark.parametrize("connector", [healthy(), failed(), awaiting(), verifying(), syncing()], ids=lambda c: c.state)
def test_p03_what_passes_by_itself_is_counted_and_never_changes_the_state(connector: Connector, reason: Reason) -> None:
    decision = on(connector, sync_failed(reason))

    assert_observed(decision, connector)
    assert decision.connector.transient_failures == 1
    assert (decision.connector.reason, decision.notice) == (connector.reason, None)


def test_p03_ten_thousand_passing_failures_leave_a_connector_healthy() -> None:
    connector = healthy()
    for n in range(10_000):
        connector = on(connector, sync_failed(Reason.RATE_LIMITED, occurred=NOW + n * SECOND)).connector

    assert (connector.state, connector.version, connector.transient_failures) == (HEALTHY, 7, 10_000)
    assert on(connector, sync_succeeded(occurred=NOW + DAY)).connector.transient_failures == 0


def test_a_failed_connector_takes_another_reason_and_keeps_the_first_failures_time() -> None:
    decision = on(failed(), sync_failed(Reason.ACCOUNT_INACTIVE))

    assert moved(decision) == (FAILED, FAILED)
    assert (decision.connector.reason, decision.notice) == (Reason.ACCOUNT_INACTIVE, Notice.PERSON_NEEDED)
    assert (decision.connector.failed_since, decision.connector.position) == (NOW - 30 * MINUTE, "p-1")


def test_a_failed_connector_that_fails_for_the_same_reason_is_observed() -> None:
    assert_observed(on(failed(), sync_failed()), failed())


def test_the_starts_of_syncs_and_the_successes_of_a_healthy_connector_are_observed() -> None:
    assert_observed(on(healthy(), sync_started()), healthy())
    decision = on(healthy(), sync_succeeded())

    assert_observed(decision, healthy())
    assert (decision.connector.last_success, decision.connector.last_run) == (NOW, NOW)


@pytest.mark.parametrize("connector", [healthy(), syncing()], ids=lambda c: c.state)
def test_a_refused_refresh_takes_a_connector_to_failed(connector: Connector) -> None:
    decision = on(connector, refresh_rejected())

    assert moved(decision) == (connector.state, FAILED)
    assert (decision.connector.reason, decision.notice) == (Reason.GRANT_REVOKED, Notice.PERSON_NEEDED)
    assert decision.connector.failed_since == NOW


def test_a_refused_refresh_of_a_failed_connector_changes_its_reason_once() -> None:
    decision = on(failed(), refresh_rejected())

    assert moved(decision) == (FAILED, FAILED)
    assert_ignored(on(decision.connector, refresh_rejected()), Ignored.ALREADY_SO, decision.connector)


@pytest.mark.parametrize("connector", [healthy(), failed(), awaiting(), verifying(), syncing()], ids=lambda c: c.state)
@pytest.mark.parametrize("generation", [2, 4])
def test_p04_a_refused_refresh_of_any_other_credential_is_stale(connector: Connector, generation: int) -> None:
    assert_ignored(on(connector, refresh_rejected(generation)), Ignored.STALE_GENERATION, connector)


# Recovering.


def test_p17_a_success_of_a_failed_connector_recovers_it_and_silences_the_reminders() -> None:
    decision = on(failed(reminders=2, attempt_reason=Reason.CANCELLED), sync_succeeded())

    assert moved(decision) == (FAILED, HEALTHY)
    after = decision.connector
    assert (decision.reason, decision.notice) == (Reason.RECOVERED, Notice.RECOVERED)
    assert (after.reason, after.failed_since, after.position, after.deadline, after.reminders) == (None,) * 4 + (0,)


@pytest.mark.parametrize("connector", [awaiting(), verifying()], ids=lambda c: c.state)
def test_p17_a_success_while_an_attempt_runs_recovers_the_fallback_and_the_attempt_may_finish(
    connector: Connector,
) -> None:
    decision = on(connector, sync_succeeded())

    assert moved(decision) == (connector.state, connector.state)
    after = decision.connector
    assert (after.fallback, after.reason, decision.notice) == (HEALTHY, None, Notice.RECOVERED)
    assert (after.attempt, after.deadline) == (ATTEMPT, connector.deadline)


def test_p17_an_attempt_that_fails_after_the_recovery_returns_to_healthy() -> None:
    recovered = on(awaiting(), sync_succeeded()).connector

    assert moved(on(recovered, cancelled())) == (AWAITING, HEALTHY)


@pytest.mark.parametrize("connector", [awaiting(HEALTHY), verifying(HEALTHY)], ids=lambda c: c.state)
def test_p15_what_syncs_say_while_credentials_are_edited_keeps_the_fallback_true(connector: Connector) -> None:
    assert_observed(on(connector, sync_succeeded()), connector)
    decision = on(connector, sync_failed())

    assert moved(decision) == (connector.state, connector.state)
    assert (decision.connector.fallback, decision.connector.reason) == (FAILED, Reason.TOKEN_REFUSED)
    assert (decision.notice, decision.step) == (Notice.PERSON_NEEDED, Step.FAILURE_SEEN)
    assert_observed(on(decision.connector, sync_failed(occurred=NOW + SECOND)), decision.connector)


@pytest.mark.parametrize("connector", [awaiting(HEALTHY), verifying(HEALTHY)], ids=lambda c: c.state)
def test_a_refused_refresh_while_an_attempt_runs_makes_the_fallback_failed(connector: Connector) -> None:
    decision = on(connector, refresh_rejected())

    assert (decision.connector.fallback, decision.connector.reason) == (FAILED, Reason.GRANT_REVOKED)
    assert_ignored(on(decision.connector, refresh_rejected()), Ignored.ALREADY_SO, decision.connector)


# Stale.


@pytest.mark.parametrize("connector", [healthy(), failed(), awaiting(), verifying(), syncing()], ids=lambda c: c.state)
@pytest.mark.parametrize("said", [sync_started, sync_succeeded, sync_failed], ids=lambda f: f.__name__)
def test_a_sync_of_an_older_credential_is_stale_and_one_of_a_future_credential_unknown(connector, said) -> None:
    assert_ignored(on(connector, said(generation=2)), Ignored.STALE_GENERATION, connector)
    assert_ignored(on(connector, said(generation=4)), Ignored.UNKNOWN_GENERATION, connector)


@pytest.mark.parametrize("said", [sync_started, sync_succeeded, sync_failed], ids=lambda f: f.__name__)
def test_a_sync_without_a_generation_is_judged_by_its_start_against_the_swap_with_a_margin(said) -> None:
    connector = syncing(swapped=NOW - HOUR)
    edge = NOW - HOUR + RULES.clock_skew

    early = said(generation=None, started=edge - SECOND)
    assert_ignored(on(connector, early), Ignored.STALE_GENERATION, connector)
    assert on(connector, said(generation=None, started=edge)).outcome is not Outcome.IGNORED


def test_a_generation_is_believed_before_any_clock() -> None:
    connector = syncing(swapped=NOW)

    assert moved(on(connector, sync_succeeded(started=NOW - DAY))) == (SYNCING, HEALTHY)


def test_p16_a_success_that_was_recorded_before_the_swap_changes_nothing() -> None:
    connector = syncing()

    assert_ignored(on(connector, sync_succeeded(generation=2)), Ignored.STALE_GENERATION, connector)


@pytest.mark.parametrize("connector", [healthy(), failed(), awaiting(), verifying(), syncing()], ids=lambda c: c.state)
@pytest.mark.parametrize("said", [sync_succeeded, sync_failed], ids=lambda f: f.__name__)
def test_a_repeated_outcome_and_an_older_runs_late_outcome_are_ignored(connector, said) -> None:
    once = on(connector, said(started=NOW)).connector

    assert_ignored(on(once, said(started=NOW)), Ignored.OLDER_RUN, once)
    assert_ignored(on(once, sync_succeeded(started=NOW - SECOND)), Ignored.OLDER_RUN, once)
    assert_ignored(on(once, sync_failed(started=NOW - SECOND)), Ignored.OLDER_RUN, once)


def test_an_older_runs_success_does_not_heal_a_newer_runs_failure() -> None:
    broken = on(healthy(), sync_failed(started=NOW)).connector

    assert_ignored(on(broken, sync_succeeded(started=NOW - MINUTE, occurred=NOW + MINUTE)), Ignored.OLDER_RUN, broken)


# Opening attempts.


@pytest.mark.parametrize(
    ("connector", "fallback"),
    [(healthy(), HEALTHY), (syncing(), HEALTHY), (failed(), FAILED), (disconnected(), DISCONNECTED)],
    ids=["healthy", "syncing", "failed", "disconnected"],
)
def test_an_attempt_opens_and_remembers_where_to_return_to(connector: Connector, fallback: State) -> None:
    decision = on(connector, start_reauth())

    assert moved(decision) == (connector.state, AWAITING)
    after = decision.connector
    assert (after.attempt, after.fallback, after.deadline) == (NEWER, fallback, NOW + RULES.attempt_time)
    assert (decision.effects, decision.step) == ((OpenAttempt(NEWER),), Step.LINK_OFFERED)
    assert (after.generation, after.reason) == (connector.generation, connector.reason)


def test_p30_a_newer_attempt_tells_how_far_the_one_came_that_it_replaces() -> None:
    decision = on(awaiting(HEALTHY), replace(start_reauth(), replaced=Step.PROVIDER_PAGE))

    assert (decision.replaced, decision.step) == (Step.PROVIDER_PAGE, Step.LINK_OFFERED)


def test_a_newer_attempt_voids_the_older_one_and_keeps_the_fallback() -> None:
    decision = on(awaiting(HEALTHY), start_reauth())

    assert moved(decision) == (AWAITING, AWAITING)
    assert decision.effects == (EndAttempt(ATTEMPT, Reason.CANCELLED), OpenAttempt(NEWER))
    assert (decision.connector.attempt, decision.connector.fallback) == (NEWER, HEALTHY)
    assert decision.connector.deadline == NOW + RULES.attempt_time


@pytest.mark.parametrize("connector", [awaiting(), verifying()], ids=lambda c: c.state)
def test_opening_the_live_attempt_again_changes_nothing(connector: Connector) -> None:
    assert_ignored(on(connector, start_reauth(ATTEMPT)), Ignored.ALREADY_SO, connector)


def test_while_a_grant_is_checked_a_new_attempt_waits_unless_the_provider_was_unavailable() -> None:
    assert on(verifying(), start_reauth()).why is Refused.VERIFICATION_RUNNING
    tried = on(verifying(), provider_unavailable()).connector
    decision = on(tried, start_reauth())

    assert moved(decision) == (VERIFYING, AWAITING)
    assert decision.effects == (EndAttempt(ATTEMPT, Reason.CANCELLED), OpenAttempt(NEWER))
    assert (decision.connector.unavailable, decision.connector.fallback) == (0, FAILED)


@pytest.mark.parametrize("reason", [r for r in NEEDS_A_PERSON if not r.offers_login])
def test_p10_a_reason_that_signing_in_does_not_mend_offers_no_login(reason: Reason) -> None:
    broken = on(healthy(), sync_failed(reason)).connector

    decision = on(broken, start_reauth())

    assert (decision.outcome, decision.why) == (Outcome.REFUSED, Refused.LOGIN_DOES_NOT_HELP)
    assert moved(on(broken, sync_succeeded(occurred=NOW + HOUR))) == (FAILED, HEALTHY)


def test_p10_an_ended_subscription_is_such_a_reason_and_its_owner_is_told() -> None:
    decision = on(healthy(), sync_failed(Reason.ACCOUNT_INACTIVE))

    assert decision.notice is Notice.PERSON_NEEDED
    assert on(decision.connector, start_reauth()).why is Refused.LOGIN_DOES_NOT_HELP


# Coming back.


def test_a_grant_is_checked() -> None:
    decision = on(awaiting(), grant_received())

    assert moved(decision) == (AWAITING, VERIFYING)
    assert (decision.effects, decision.step) == ((Verify(ATTEMPT),), Step.RETURNED)
    assert (decision.connector.deadline, decision.connector.generation) == (NOW + RULES.verification_time, 3)


@pytest.mark.parametrize("back", [grant_received, grant_refused, cancelled], ids=lambda f: f.__name__)
def test_p08_what_comes_back_for_another_attempt_or_a_second_time_is_ignored(back) -> None:
    for connector in (awaiting(), verifying()):
        assert_ignored(on(connector, back(NEWER)), Ignored.ATTEMPT_NOT_LIVE, connector)
    assert_ignored_for(on(verifying(), back()), Ignored.GRANT_ALREADY_RECEIVED)
    for connector in (healthy(), failed(), syncing(), disconnected()):
        assert_ignored(on(connector, back()), Ignored.ATTEMPT_NOT_LIVE, connector)


ENDINGS = [
    pytest.param(AWAITING, grant_refused(), Reason.ACCESS_DENIED, id="refused"),
    pytest.param(AWAITING, cancelled(), Reason.CANCELLED, id="cancelled"),
    pytest.param(AWAITING, auth_expired(), Reason.ATTEMPT_EXPIRED, id="expired"),
    pytest.param(VERIFYING, rejected(), Reason.WRONG_ACCOUNT, id="wrong account"),
    pytest.param(VERIFYING, rejected(Reason.NEEDS_ADMIN), Reason.NEEDS_ADMIN, id="not an admin"),
    pytest.param(VERIFYING, rejected(Reason.SCOPE_MISSING), Reason.SCOPE_MISSING, id="scope missing"),
    pytest.param(VERIFYING, rejected(Reason.CODE_REFUSED), Reason.CODE_REFUSED, id="code refused"),
    pytest.param(VERIFYING, verify_expired(), Reason.VERIFICATION_TIMED_OUT, id="check timed out"),
]


@pytest.mark.parametrize("fallback", [HEALTHY, FAILED, DISCONNECTED])
@pytest.mark.parametrize(("state", "ending", "reason"), ENDINGS)
def test_p07_a_failed_attempt_returns_to_where_it_came_from_with_the_old_credential_untouched(
    state: State, ending: Any, reason: Reason, fallback: State
) -> None:
    before = attempting(state, fallback)

    decision = on(before, ending)

    after = decision.connector
    assert moved(decision) == (state, fallback)
    assert decision.effects == (EndAttempt(ATTEMPT, reason),)
    assert (decision.reason, after.attempt_reason, after.reason) == (reason, reason, before.reason)
    assert (after.attempt, after.fallback) == (None, None)
    assert (after.generation, after.account, after.swapped) == (before.generation, before.account, before.swapped)


@pytest.mark.parametrize("fallback", [HEALTHY, FAILED, DISCONNECTED])
def test_p09_what_the_provider_showed_is_told_once_after_the_deadline(fallback: State) -> None:
    told = inputs.Explained(connector="c", attempt=ATTEMPT, reason=Reason.NEEDS_ADMIN)
    late = on(attempting(AWAITING, fallback), inputs.AuthExpired(connector="c", due=NOW + MINUTE)).connector

    decision = on(late, told)

    assert (decision.outcome, decision.reason) == (Outcome.OBSERVATION, Reason.NEEDS_ADMIN)
    assert decision.effects == (ExplainAttempt(ATTEMPT, Reason.NEEDS_ADMIN),)
    assert decision.connector == replace(late, attempt_reason=Reason.NEEDS_ADMIN)
    assert_ignored(on(decision.connector, told), Ignored.NOT_UNEXPLAINED, decision.connector)


def test_p09_only_the_last_attempt_and_only_one_that_nobody_came_back_from_is_explained() -> None:
    told = inputs.Explained(connector="c", attempt=ATTEMPT, reason=Reason.NEEDS_ADMIN)
    late = {"last_attempt": ATTEMPT, "attempt_reason": Reason.ATTEMPT_EXPIRED}

    for connector in (
        failed(**late | {"last_attempt": NEWER}),
        failed(**late | {"attempt_reason": Reason.ACCESS_DENIED}),
        on(failed(**late), start_reauth()).connector,
        on(failed(**late), sync_succeeded()).connector,
    ):
        assert_ignored(on(connector, told), Ignored.NOT_UNEXPLAINED, connector)


def test_p12_an_attempt_is_handed_on_while_it_waits_for_its_person() -> None:
    handed_on = inputs.HandedOn(connector="c", attempt=ATTEMPT)
    waiting = attempting(AWAITING, FAILED)

    decision = on(waiting, handed_on)

    assert (decision.outcome, decision.effects) == (Outcome.OBSERVATION, (HandOn(ATTEMPT),))
    assert decision.connector == waiting
    assert on(verifying(), handed_on).why is Ignored.GRANT_ALREADY_RECEIVED
    assert on(attempting(AWAITING, FAILED, attempt=NEWER), handed_on).why is Ignored.ATTEMPT_NOT_LIVE
    assert on(failed(), handed_on).why is Ignored.ATTEMPT_NOT_LIVE


@pytest.mark.parametrize("state", [HEALTHY, FAILED, AWAITING, VERIFYING, SYNCING, DISCONNECTED])
def test_p25_help_is_asked_for_once_an_attempt_and_everybody_is_told(state: State) -> None:
    asked = inputs.HelpAsked(connector="c", attempt=ATTEMPT, step=Step.PROVIDER_PAGE)
    before = attempting(state, FAILED) if state in (AWAITING, VERIFYING) else a_connector(state)

    decision = on(before, asked)

    assert (decision.outcome, decision.notice, decision.step) == (
        Outcome.TRANSITION,
        Notice.HELP_ASKED,
        Step.PROVIDER_PAGE,
    )
    assert decision.connector == replace(before, help_asked=ATTEMPT, version=before.version + 1)
    assert_ignored(on(decision.connector, asked), Ignored.ALREADY_SO, decision.connector)
    newer = inputs.HelpAsked(connector="c", attempt=NEWER, step=Step.RETURNED)
    assert on(decision.connector, newer).notice is Notice.HELP_ASKED
    assert on(a_connector(State.DELETED), asked).why is Ignored.NOT_CONNECTED


def test_p06_a_wrong_company_is_refused_with_both_names() -> None:
    decision = on(verifying(), rejected())

    assert (decision.expected, decision.seen, decision.connector.account) == (ACME, OTHER, ACME)


@pytest.mark.parametrize(("state", "ending", "reason"), ENDINGS[2:3] + ENDINGS[-1:])
def test_a_deadline_that_no_longer_runs_is_ignored(state: State, ending: Any, reason: Reason) -> None:
    connector = attempting(state, FAILED, deadline=NOW + HOUR)

    assert_ignored(on(connector, ending), Ignored.DEADLINE_NOT_SET, connector)


# A sign-in on another connector.


def grant_shared(**facts: Any) -> inputs.GrantShared:
    return inputs.GrantShared(**{"connector": "c", "attempt": NEWER, "account": ACME, "generation": 3} | facts)


def test_p27_a_failed_connector_takes_the_grant_that_a_sign_in_on_another_one_brought() -> None:
    before = failed(attempt_reason=Reason.CANCELLED, reminders=2)

    decision = on(before, grant_shared())

    after = decision.connector
    assert moved(decision) == (FAILED, SYNCING)
    assert decision.effects == (SwapCredential(NEWER, 4), RequestSync(4, NOW - 30 * MINUTE, "p-1", 1))
    assert (after.generation, after.swapped, after.version) == (4, NOW, before.version + 1)
    assert (after.reason, after.attempt, after.fallback, after.attempt_reason) == (None,) * 4
    assert (decision.reason, decision.step) == (Reason.CONNECTED, Step.CREDENTIAL_SAVED)
    assert after.deadline == NOW + RULES.sync_start_time


@pytest.mark.parametrize(
    ("connector", "offered", "why"),
    [
        (failed(), {"generation": 2}, Ignored.STALE_GENERATION),
        (failed(), {"account": OTHER}, Ignored.ANOTHER_ACCOUNT),
        (failed(Reason.NEVER_CONNECTED, account=None), {}, Ignored.ANOTHER_ACCOUNT),
        (failed(Reason.ACCOUNT_INACTIVE), {}, Ignored.NO_LOGIN_WANTED),
        (failed(Reason.CLIENT_REJECTED), {}, Ignored.NO_LOGIN_WANTED),
        (healthy(), {}, Ignored.NO_LOGIN_WANTED),
        (syncing(), {}, Ignored.NO_LOGIN_WANTED),
        (awaiting(), {}, Ignored.NO_LOGIN_WANTED),
        (verifying(), {}, Ignored.NO_LOGIN_WANTED),
        (disconnected(), {}, Ignored.NO_LOGIN_WANTED),
    ],
)
def test_p27_what_does_not_wait_for_that_login_is_left_as_it_is(
    connector: Connector, offered: dict[str, Any], why: Ignored
) -> None:
    assert_ignored(on(connector, grant_shared(**offered)), why, connector)


# The saved credential, asked about once more.


def verified_again(reason: Reason | None = None, **facts: Any) -> inputs.VerifiedAgain:
    return inputs.VerifiedAgain(**{"connector": "c", "generation": 3, "reason": reason} | facts)


@pytest.mark.parametrize("was", [Reason.ACCOUNT_INACTIVE, Reason.ACCESS_REVOKED, Reason.SYNC_DID_NOT_START])
def test_p24_a_credential_that_is_right_again_has_a_sync_asked_for_since_the_failure(was: Reason) -> None:
    before = failed(was, reminders=2, sync_asks=3, transient_failures=1)

    decision = on(before, verified_again())

    after = decision.connector
    assert moved(decision) == (FAILED, SYNCING)
    assert decision.effects == (RequestSync(3, NOW - 30 * MINUTE, "p-1", 1),), "the same credential"
    assert (after.generation, after.reason, after.reminders, after.deadline) == (
        3,
        None,
        0,
        NOW + RULES.sync_start_time,
    )
    assert (decision.reason, decision.notice) == (Reason.CONNECTED, None), "data that flows is the news"


def test_p24_what_the_provider_still_has_against_it_is_noted_and_another_reason_is_told() -> None:
    before = failed(Reason.ACCOUNT_INACTIVE)

    same = on(before, verified_again(Reason.ACCOUNT_INACTIVE))
    assert (same.outcome, same.reason, same.effects) == (Outcome.OBSERVATION, Reason.ACCOUNT_INACTIVE, ())

    other = on(before, verified_again(Reason.GRANT_REVOKED))
    assert moved(other) == (FAILED, FAILED)
    assert (other.connector.reason, other.notice) == (Reason.GRANT_REVOKED, Notice.PERSON_NEEDED)


def test_p24_a_healthy_connector_fails_when_the_provider_no_longer_takes_its_credential() -> None:
    right = on(healthy(), verified_again())
    assert (right.outcome, right.reason) == (Outcome.OBSERVATION, Reason.CONNECTED)

    dead = on(healthy(), verified_again(Reason.GRANT_REVOKED))
    assert moved(dead) == (HEALTHY, FAILED)
    assert (dead.notice, dead.connector.failed_since) == (Notice.PERSON_NEEDED, NOW)


@pytest.mark.parametrize("before", [healthy(), failed()], ids=["healthy", "failed"])
def test_p24_a_provider_that_could_not_be_asked_changes_nothing(before: Connector) -> None:
    decision = on(before, verified_again(Reason.PROVIDER_UNAVAILABLE))

    assert (decision.outcome, decision.reason) == (Outcome.OBSERVATION, Reason.PROVIDER_UNAVAILABLE)
    assert (decision.connector.state, decision.connector.reason) == (before.state, before.reason)


@pytest.mark.parametrize(
    ("connector", "why"),
    [
        (awaiting(), Refused.ATTEMPT_OPEN),
        (verifying(), Refused.VERIFICATION_RUNNING),
        (syncing(), Refused.SYNC_AWAITED),
        (disconnected(), Refused.NO_CREDENTIAL),
        (failed(Reason.NEVER_CONNECTED, generation=0), Refused.NO_CREDENTIAL),
    ],
    ids=["awaiting", "verifying", "syncing", "disconnected", "never-connected"],
)
def test_p24_verifying_again_is_refused_where_there_is_nothing_to_verify(connector: Connector, why: Refused) -> None:
    decision = on(connector, verified_again(generation=connector.generation))

    assert (decision.outcome, decision.why, decision.connector) == (Outcome.REFUSED, why, connector)


def test_p24_a_finding_about_an_older_credential_is_ignored() -> None:
    before = failed()

    assert_ignored(on(before, verified_again(generation=2)), Ignored.STALE_GENERATION, before)


# Verifying.


def test_p07_a_verified_grant_is_swapped_in_and_a_sync_is_asked_for_since_the_failure() -> None:
    before = verifying(failed_since=NOW - HOUR, position="p-1", reminders=1, transient_failures=4)

    decision = on(before, verified())

    after = decision.connector
    assert moved(decision) == (VERIFYING, SYNCING)
    assert decision.effects == (SwapCredential(ATTEMPT, 4), RequestSync(4, NOW - HOUR, "p-1", 1))
    assert (after.generation, after.account, after.swapped) == (4, ACME, NOW)
    assert (after.reason, after.attempt, after.fallback, after.attempt_reason) == (None,) * 4
    assert (after.deadline, decision.step) == (NOW + RULES.sync_start_time, Step.CREDENTIAL_SAVED)


def test_p16_without_a_failure_a_sync_is_asked_for_since_the_last_success_or_from_the_beginning() -> None:
    def since(connector: Connector) -> object:
        return next(e.since for e in on(connector, verified()).effects if isinstance(e, RequestSync))

    assert since(verifying(HEALTHY)) == NOW - HOUR
    assert since(verifying(last_success=None)) is None


def test_the_first_verified_grant_pins_the_account() -> None:
    assert on(verifying(account=None, generation=0), verified(account=OTHER)).connector.account == OTHER


def test_an_unavailable_provider_is_asked_again_ever_later_before_the_deadline() -> None:
    connector, pauses = verifying(), []
    for _ in range(8):
        decision = on(connector, provider_unavailable())
        assert_observed(decision, connector)
        assert decision.connector.deadline == connector.deadline
        connector = decision.connector
        pauses += [effect.after.total_seconds() for effect in decision.effects if isinstance(effect, Verify)]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_unavailable_provider_that_says_how_long_is_left_alone_that_long() -> None:
    (asked,) = on(verifying(), provider_unavailable(retry_after=5 * MINUTE)).effects
    (endless,) = on(verifying(), provider_unavailable(retry_after=30 * DAY)).effects

    assert asked == Verify(ATTEMPT, 5 * MINUTE)
    assert endless == Verify(ATTEMPT, RULES.verification_time)


@pytest.mark.parametrize("result", [verified, rejected, provider_unavailable], ids=lambda f: f.__name__)
def test_the_result_of_a_check_counts_only_for_the_attempt_that_is_checked(result) -> None:
    assert_ignored_for(on(verifying(), result(attempt=NEWER)), Ignored.ATTEMPT_NOT_LIVE)
    for connector in (healthy(), failed(), awaiting(), syncing(), disconnected()):
        assert_ignored(on(connector, result()), Ignored.NOT_VERIFYING, connector)


# Syncing.


def test_a_success_of_the_new_credential_ends_the_loop() -> None:
    decision = on(syncing(failed_since=NOW - HOUR, position="p-1"), sync_succeeded())

    assert moved(decision) == (SYNCING, HEALTHY)
    after = decision.connector
    assert (decision.reason, decision.step) == (Reason.CONNECTED, Step.DATA_FLOWING)
    assert (after.failed_since, after.position, after.sync_asks, after.deadline) == (None, None, 0, None)


def test_a_started_sync_gets_the_time_that_a_run_may_take() -> None:
    decision = on(syncing(), sync_started())

    assert (decision.outcome, decision.effects) == (Outcome.OBSERVATION, (NoteSyncBegan(),))
    assert decision.connector.deadline == NOW + RULES.sync_run_time


def test_a_failure_of_the_new_credential_that_needs_a_person_takes_it_to_failed() -> None:
    assert moved(on(syncing(), sync_failed(Reason.ACCESS_REVOKED))) == (SYNCING, FAILED)


def test_p16_a_sync_that_is_not_answered_is_asked_for_again_and_after_n_times_the_connector_fails() -> None:
    decision = on(verifying(failed_since=NOW - HOUR, position="p-1"), verified())
    asks = [effect for effect in decision.effects if isinstance(effect, RequestSync)]
    while decision.connector.state is SYNCING:
        due = decision.connector.deadline
        assert due is not None
        decision = on(decision.connector, sync_expired(due), at=due)
        asks += [effect for effect in decision.effects if isinstance(effect, RequestSync)]

    assert asks == [RequestSync(4, NOW - HOUR, "p-1", n) for n in range(1, RULES.sync_asks + 1)]
    assert moved(decision) == (SYNCING, FAILED)
    assert (decision.connector.reason, decision.notice) == (Reason.SYNC_DID_NOT_START, Notice.OPERATOR_NEEDED)
    assert decision.connector.deadline is None


def test_p16_a_passing_failure_in_syncing_is_asked_for_again_after_a_growing_pause() -> None:
    connector, pauses = syncing(), []
    for n in range(3):
        at = NOW + n * HOUR
        connector = on(connector, sync_failed(Reason.PROVIDER_UNAVAILABLE, occurred=at), at=at).connector
        assert connector.deadline is not None
        pauses.append(connector.deadline - at)

    assert pauses == [MINUTE, 2 * MINUTE, 4 * MINUTE]
    again = on(connector, sync_expired(connector.deadline), at=connector.deadline)
    assert [type(effect) for effect in again.effects] == [RequestSync]


def test_a_sync_deadline_that_no_longer_runs_is_ignored() -> None:
    for connector in (healthy(), failed(), awaiting(), verifying(), disconnected(), syncing()):
        assert_ignored(on(connector, sync_expired(NOW - DAY)), Ignored.DEADLINE_NOT_SET, connector)


# Reminders.


def reminders_from(connector: Connector) -> list[datetime]:
    """When the owner is reminded, if nothing else ever happens."""
    sent = []
    while connector.deadline is not None:
        at = connector.deadline
        decision = on(connector, reminder_due(at), at=at)
        assert decision.notice is Notice.REMINDER
        assert decision.reason is connector.reason
        sent.append(at)
        assert len(sent) < 10, "the reminders never end"
        connector = decision.connector
    return sent


def test_p28_the_owner_is_reminded_three_times_and_then_never_again() -> None:
    broken = on(healthy(), sync_failed()).connector

    assert reminders_from(broken) == [NOW + DAY, NOW + 4 * DAY, NOW + 11 * DAY]


@pytest.mark.parametrize("reason", [r for r in NEEDS_A_PERSON if r.remedy is Remedy.FIX_CONFIGURATION])
def test_p28_nobody_is_reminded_of_what_the_operator_has_to_mend(reason: Reason) -> None:
    assert reminders_from(on(healthy(), sync_failed(reason)).connector) == []
    assert reminders_from(on(failed(), sync_failed(reason)).connector) == []


@pytest.mark.parametrize("connector", [failed(), awaiting(FAILED, reason=Reason.TOKEN_REFUSED)], ids=lambda c: c.state)
def test_p28_another_reason_that_the_same_login_mends_is_no_other_failure(connector: Connector) -> None:
    due = NOW + HOUR
    before = replace(connector, reminders=1, deadline=due)
    decision = on(before, sync_failed(Reason.GRANT_REVOKED))

    assert (decision.reason, decision.notice) == (Reason.GRANT_REVOKED, None)
    assert (decision.connector.reminders, decision.connector.deadline) == (1, due)


def test_p28_a_first_failure_of_a_connector_that_was_never_connected_is_told() -> None:
    assert on(failed(reason=Reason.NEVER_CONNECTED), sync_failed()).notice is Notice.PERSON_NEEDED


def test_p28_an_attempt_that_failed_goes_on_with_the_reminders_that_are_left() -> None:
    broken = on(healthy(), sync_failed()).connector
    assert broken.deadline is not None
    reminded = on(broken, reminder_due(broken.deadline), at=broken.deadline).connector

    dropped = on(on(reminded, start_reauth(ATTEMPT)).connector, cancelled()).connector

    assert reminders_from(dropped) == [NOW + 3 * DAY, NOW + 10 * DAY]


def test_p28_a_failure_that_is_noticed_during_an_attempt_is_reminded_of_three_times() -> None:
    dropped = on(on(awaiting(HEALTHY, reminders=3), sync_failed()).connector, cancelled()).connector

    assert reminders_from(dropped) == [NOW + DAY, NOW + 4 * DAY, NOW + 11 * DAY]


def test_p17_a_reminder_that_was_due_when_the_connector_recovered_is_silent() -> None:
    broken = on(healthy(), sync_failed()).connector
    assert broken.deadline is not None
    recovered = on(broken, sync_succeeded(occurred=NOW + SECOND)).connector

    assert_ignored(on(recovered, reminder_due(broken.deadline)), Ignored.DEADLINE_NOT_SET, recovered)


# Leaving.


@pytest.mark.parametrize("connector", [healthy(), failed(), awaiting(), verifying(), syncing()], ids=lambda c: c.state)
def test_disconnecting_shreds_the_credential_and_ends_a_running_attempt(connector: Connector) -> None:
    decision = on(connector, inputs.Disconnect(connector="c"))

    assert moved(decision) == (connector.state, DISCONNECTED)
    ended = [EndAttempt(ATTEMPT, Reason.CANCELLED)] if connector.attempt else []
    assert list(decision.effects) == [*ended, Shred()]
    after = decision.connector
    assert (after.attempt, after.fallback, after.reason, after.deadline) == (None,) * 4
    assert after.account == ACME


def test_deleting_leaves_a_stone_and_its_id_is_never_used_again() -> None:
    decision = on(disconnected(), inputs.Delete(connector="c"))

    assert moved(decision) == (DISCONNECTED, State.DELETED)
    assert Shred() in decision.effects
    for input_ in (register(), inputs.Update(connector="c", name="n"), start_reauth()):
        assert on(decision.connector, input_).why is Refused.CONNECTOR_DELETED


@pytest.mark.parametrize("said", [sync_started(), sync_succeeded(), sync_failed(), refresh_rejected()])
def test_what_syncs_say_of_a_disconnected_connector_is_ignored_during_an_attempt_too(said: Any) -> None:
    for connector in (disconnected(), awaiting(DISCONNECTED), verifying(DISCONNECTED)):
        assert_ignored(on(connector, said), Ignored.NOT_CONNECTED, connector)


def test_a_new_name_is_told_to_everybody_and_changes_nothing_else() -> None:
    decision = on(awaiting(), inputs.Update(connector="c", name="New"))

    assert decision.connector == replace(awaiting(), name="New", version=8)
    assert_ignored(
        on(decision.connector, inputs.Update(connector="c", name="New")), Ignored.ALREADY_SO, decision.connector
    )


@pytest.mark.parametrize(
    "input_",
    [inputs.Update(connector="c", name="n"), sync_failed(), start_reauth(), grant_received(), verified()],
    ids=lambda i: i.trigger,
)
def test_nothing_can_happen_to_a_connector_that_was_never_registered(input_: Any) -> None:
    decision = on(Connector(id="c"), input_)

    assert (decision.outcome, decision.why) == (Outcome.REFUSED, Refused.UNKNOWN_CONNECTOR)


# Whatever happens.

ATTEMPTS = st.sampled_from([ATTEMPT, NEWER])
TIMES = st.integers(-7200, 7200).map(lambda seconds: NOW + seconds * SECOND)
GENERATIONS = st.none() | st.integers(0, 4)
RUN = {"occurred": TIMES, "started": st.none() | TIMES, "generation": GENERATIONS}


def some(kind: Any, **facts: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, connector=st.just("c"), **facts)


ANYTHING = st.one_of(
    st.builds(register, connected=st.booleans()),
    st.sampled_from(["Books", "New"]).map(lambda name: inputs.Update(connector="c", name=name)),
    some(inputs.SyncStarted, **RUN),
    some(inputs.SyncSucceeded, **RUN),
    some(inputs.SyncFailed, **RUN, reason=st.sampled_from(Reason)),
    some(inputs.RefreshRejected, generation=st.integers(0, 4), reason=st.sampled_from(NEEDS_A_PERSON)),
    some(inputs.StartReauth, attempt=ATTEMPTS),
    some(inputs.GrantReceived, attempt=ATTEMPTS),
    some(inputs.GrantRefused, attempt=ATTEMPTS, reason=st.just(Reason.ACCESS_DENIED)),
    some(inputs.Cancelled, attempt=ATTEMPTS),
    some(inputs.HandedOn, attempt=ATTEMPTS),
    some(inputs.Explained, attempt=ATTEMPTS, reason=st.just(Reason.NEEDS_ADMIN)),
    some(inputs.HelpAsked, attempt=ATTEMPTS, step=st.just(Step.PROVIDER_PAGE)),
    some(inputs.Verified, attempt=ATTEMPTS, account=st.just(ACME)),
    some(inputs.GrantShared, attempt=ATTEMPTS, account=st.sampled_from([ACME, OTHER]), generation=st.integers(0, 4)),
    some(inputs.VerifiedAgain, generation=st.integers(0, 4), reason=st.none() | st.sampled_from(Reason)),
    some(inputs.Rejected, attempt=ATTEMPTS, reason=st.just(Reason.WRONG_ACCOUNT), step=st.just(Step.EXCHANGED)),
    some(inputs.ProviderUnavailable, attempt=ATTEMPTS, reason=st.just(Reason.PROVIDER_UNAVAILABLE)),
    some(
        inputs.ExpiryNear,
        generation=st.integers(0, 4),
        plan=st.integers(1, 3),
        expires_at=st.just(NOW + DAY),
        estimated=st.booleans(),
        due=TIMES,
    ),
    some(inputs.ExpiryMoved, generation=st.integers(0, 4), plan=st.integers(1, 3)),
    some(inputs.Restored, version=st.integers(1, 20), generation=st.integers(0, 4)),
    st.just(inputs.Disconnect(connector="c")),
    st.sampled_from([inputs.AuthExpired, inputs.VerifyExpired, inputs.SyncExpired, inputs.ReminderDue]),
)
DELETE = st.just(inputs.Delete(connector="c"))
STORIES = st.lists(st.one_of(ANYTHING, ANYTHING, ANYTHING, DELETE), max_size=30)


@given(STORIES)
def test_whatever_happens_nothing_raises_and_the_connector_stays_one_that_can_be(story: list[Any]) -> None:
    connector, now, versions = Connector(id="c"), NOW, 0
    for said in [register(connected=True), *story]:
        now += MINUTE
        input_ = said(connector="c", due=connector.deadline or NOW) if isinstance(said, type) else said
        before = replace(connector)

        decision = on(connector, input_, at=now)

        assert connector == before, "the connector that was given is untouched"
        if decision.outcome is Outcome.TRANSITION:
            versions = input_.version + 1 if isinstance(input_, inputs.Restored) else versions + 1
        assert decision.connector.version == versions
        assert versions >= before.version
        assert decision.connector.generation >= before.generation
        assert decision.connector is connector or decision.why is None
        connector = decision.connector
        assert_can_be(connector)


def assert_can_be(c: Connector) -> None:
    """What holds for every connector, whatever happened to it."""
    running = c.state in (AWAITING, VERIFYING)
    assert (c.attempt is not None) == running
    assert (c.fallback is not None) == running
    # P14: whoever waits has a deadline, and nothing is due where nobody waits.
    if running or c.state is SYNCING:
        assert c.deadline is not None
    elif c.state is not FAILED:
        assert c.deadline is None
    # A reason says why a person is needed, or would be.
    assert (c.reason is not None) == (c.state is FAILED or c.fallback is FAILED)
    assert c.reason is None or c.reason.needs_a_person
    assert c.since is not None
    # Whoever was warned knows of what.
    assert (c.warned is None) == (c.expires_at is None)


# A command that comes as a record may be delivered again, behind a newer one.


def said(minutes: int, event: str = "e-1") -> dict[str, Any]:
    return {"connector": "c1", "said": NOW - timedelta(minutes=minutes), "event": event}


def test_a_rename_that_is_delivered_again_behind_a_newer_one_does_not_rename_back() -> None:
    first, second = (inputs.Update(**said(9, "e-1"), name="One"), inputs.Update(**said(8, "e-2"), name="Two"))
    renamed = decide(decide(healthy(), first, NOW).connector, second, NOW).connector
    again = decide(renamed, first, NOW)
    assert (again.outcome, again.why, again.connector.name) == (Outcome.IGNORED, Ignored.OLDER_COMMAND, "Two")


def test_a_disconnect_that_is_delivered_again_does_not_take_off_what_was_connected_since() -> None:
    taken_off = decide(healthy(), inputs.Disconnect(**said(9)), NOW).connector
    opened = decide(taken_off, inputs.StartReauth(connector="c1", attempt=ATTEMPT), NOW).connector
    again = decide(opened, inputs.Disconnect(**said(9)), NOW)
    assert (again.outcome, again.why) == (Outcome.IGNORED, Ignored.OLDER_COMMAND)


def test_an_attempt_that_is_asked_for_again_once_it_has_ended_is_not_opened_again() -> None:
    ask = inputs.StartReauth(**said(9), attempt=ATTEMPT)
    ended = decide(decide(healthy(), ask, NOW).connector, inputs.Cancelled(connector="c1", attempt=ATTEMPT), NOW)
    again = decide(ended.connector, ask, NOW)
    assert (again.outcome, again.why) == (Outcome.IGNORED, Ignored.OLDER_COMMAND)


def test_two_commands_of_one_instant_are_both_done() -> None:
    renamed = decide(healthy(), inputs.Update(**said(9, "e-1"), name="One"), NOW).connector
    assert decide(renamed, inputs.Disconnect(**said(9, "e-2")), NOW).connector.state is DISCONNECTED


def test_a_caller_who_waits_for_the_answer_is_never_older() -> None:
    renamed = decide(healthy(), inputs.Update(**said(9), name="One"), NOW).connector
    assert decide(renamed, inputs.Update(connector="c1", name="Two"), NOW).outcome is Outcome.TRANSITION
