"""Why is it in this state? The paragraph of every state and reason, of the well-known stories, and of any life."""

import re
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.acting import WhoActs, who_acts
from schemas.ids import ConnectorId
from schemas.lifecycle import State, Step, Trigger
from schemas.reasons import Reason, Remedy
from schemas.records import Evidence
from service.engine.submission import Actor
from service.insight.clauses import CLAUSES
from service.insight.entries import in_order
from service.insight.names import Names, moment
from service.insight.why import Glimpse, Why, why
from statemachine import inputs
from statemachine.connector import Connector
from tests.lives import ACME, BEGAN, ENGINE, HOST, OLIVIA, OTHER, PROVIDER, QUICKBOOKS, REFUSED, REGRANT, Life

IS_NO_SENTENCE = re.compile(r"[{}]|\bNone\b|  | [.,;]|\(\)|: \.|\.\.|Reason\.|State\.")
DEAD = Evidence(at="token", status=400, code="invalid_grant", request_id="1-dead")
PAUSED = Evidence(at="api", status=403, code="6190", request_id="1-paused")
NO_ADMIN = Evidence(at="api", status=403, code="120", request_id="1-role")


def assert_reads_well(told: Why) -> None:
    """Sentences with nothing left open in them, and at most three proofs in order."""
    for text in (told.paragraph, told.next, told.who_words):
        assert text and not IS_NO_SENTENCE.search(text), text
    assert all(s.text[0].isupper() or not s.text[0].isalpha() for s in told.sentences), told.paragraph
    assert told.paragraph.endswith(".") and told.next.endswith(".")
    versions = [event.version for event in told.events]
    assert len(versions) <= 3 and versions == sorted(set(versions))  # type: ignore[type-var]


def failed_again() -> Life:
    """It was connected, worked for a month, and its token was refused this morning."""
    return Life().connects().later(days=30).fails().later(hours=1)


# The well-known stories, as support reads them.


def test_p24_an_expired_sign_in_that_nobody_has_mended() -> None:
    told = failed_again().why()
    assert told.paragraph == (
        "“Books” stands still until somebody signs in to QuickBooks again. On 24 December 2026 at 08:36 UTC the sync "
        "engine reported a failed sync (its API answered HTTP 401, code 3200, request id 1-tid): QuickBooks no longer "
        "accepts the saved sign-in for Acme Inc. Nobody has tried to sign in since. It waits for an Organization Admin "
        "of Acme Inc to sign in; a reminder is due on 25 December 2026 at 08:36 UTC."
    )
    assert (told.who, told.who_words) == (WhoActs.OWNER, "an Organization Admin of Acme Inc")
    assert told.next == "Let an Organization Admin open a new link and sign in to QuickBooks."
    assert [event.trigger for event in told.events] == [Trigger.SYNC_FAILED]


def test_p24_the_wrong_company_is_named_beside_the_right_one() -> None:
    told = failed_again().opens().later(minutes=4).comes_back().is_rejected(Reason.WRONG_ACCOUNT, OTHER).why()
    assert told.paragraph == (
        "“Books” stands still until somebody signs in to QuickBooks again. On 24 December 2026 at 08:36 UTC the sync "
        "engine reported a failed sync (its API answered HTTP 401, code 3200, request id 1-tid): QuickBooks no longer "
        "accepts the saved sign-in for Acme Inc. The host (backend) opened an attempt at 09:36 UTC that day; it ended "
        "at 09:40 UTC, because the person signed in to Acme Ltd (id 914), while the connector belongs to Acme Inc (id "
        "913). It waits for an Organization Admin of Acme Inc to sign in; a reminder is due on 25 December 2026 at "
        "09:40 UTC."
    )
    assert told.next == (
        "Let an Organization Admin open a new link and sign in to QuickBooks; choose Acme Inc (id 913) at QuickBooks "
        "this time."
    )
    assert [e.trigger for e in told.events] == [Trigger.SYNC_FAILED, Trigger.START_REAUTH, Trigger.REJECTED]


def test_p24_two_attempts_of_somebody_who_is_no_admin() -> None:
    life = failed_again().opens().waits().later(hours=1).opens().later(minutes=4).comes_back()
    told = life.is_rejected(Reason.NEEDS_ADMIN, evidence=NO_ADMIN).why()
    assert told.paragraph == (
        "“Books” stands still until somebody signs in to QuickBooks again. On 24 December 2026 at 08:36 UTC the sync "
        "engine reported a failed sync (its API answered HTTP 401, code 3200, request id 1-tid): QuickBooks no longer "
        "accepts the saved sign-in for Acme Inc. 2 attempts have ended without success since. The host (backend) "
        "opened the last one at 11:06 UTC that day; it ended at 11:10 UTC, because the person who signed in is not an "
        "Organization Admin of Acme Inc (its API answered HTTP 403, code 120, request id 1-role). It waits for an "
        "Organization Admin of Acme Inc to sign in; a reminder is due on 25 December 2026 at 11:10 UTC."
    )
    assert told.next.endswith("; it has to be somebody who is an Organization Admin there today.")


def test_p24_a_subscription_that_is_over_sends_nobody_to_the_login() -> None:
    told = Life().connects().later(days=30).fails(Reason.ACCOUNT_INACTIVE, PAUSED).waits().why()
    assert told.paragraph == (
        "“Books” stands still until its account is put right at QuickBooks; signing in again doesn't help. On 24 "
        "December 2026 at 08:36 UTC the sync engine reported a failed sync (its API answered HTTP 403, code 6190, "
        "request id 1-paused): QuickBooks has paused Acme Inc, since its subscription has ended or a payment is due. "
        "Its owner was reminded once, on 25 December 2026 at 08:36 UTC. It waits for whoever looks after Acme Inc at "
        "QuickBooks; the next reminder is due on 28 December 2026 at 08:36 UTC."
    )
    assert told.next.startswith("Whoever pays for Acme Inc renews the subscription at QuickBooks")


def test_p24_recovered_by_itself() -> None:
    told = failed_again().later(hours=4).syncs().why()
    assert told.paragraph == (
        "“Books” works again. On 24 December 2026 at 08:36 UTC the sync engine reported a failed sync (its API "
        "answered HTTP 401, code 3200, request id 1-tid): QuickBooks no longer accepts the saved sign-in for Acme Inc. "
        "At 13:36 UTC that day a sync ended well without anybody signing in, so it recovered by itself. Nothing is "
        "awaited, and nobody has anything to do."
    )


def test_p24_repaired_by_a_person() -> None:
    told = failed_again().opens().later(minutes=4).comes_back().is_verified().later(minutes=4).syncs().why()
    assert told.paragraph == (
        "“Books” works. On 24 December 2026 at 08:36 UTC the sync engine reported a failed sync (its API answered HTTP "
        "401, code 3200, request id 1-tid): QuickBooks no longer accepts the saved sign-in for Acme Inc. The host "
        "(backend) opened an attempt at 09:36 UTC that day; at 09:40 UTC the sign-in was checked and credential number "
        "2 came into use. At 09:44 UTC the first sync with it ended well. Nothing is awaited, and nobody has anything "
        "to do."
    )
    assert [e.trigger for e in told.events] == [Trigger.SYNC_FAILED, Trigger.VERIFIED, Trigger.SYNC_SUCCEEDED]


def test_p24_nobody_came() -> None:
    told = failed_again().opens().waits().why()
    assert (
        "The host (backend) opened an attempt at 09:36 UTC that day; it ended at 10:06 UTC, because nobody came back "
        "from QuickBooks in time."
    ) in told.paragraph
    assert told.next.endswith(
        "; ask the person what QuickBooks showed: it lets nobody but an Organization Admin come back."
    )


def test_p24_what_the_person_told_afterwards_is_told_and_changes_what_is_next() -> None:
    life = failed_again().opens()
    attempt = life.connector.attempt
    assert attempt is not None
    unexplained = life.waits().why()
    life.later(minutes=3).does(
        inputs.Explained(connector=life.connector.id, attempt=attempt, reason=Reason.NEEDS_ADMIN), OLIVIA
    )
    told = life.why()
    assert (
        "On 24 December 2026 at 10:09 UTC the person told what QuickBooks had shown: the person who signed in is not "
        "an Organization Admin of Acme Inc."
    ) in told.paragraph
    assert told.from_the_log == unexplained.paragraph
    assert told.next.endswith("; it has to be somebody who is an Organization Admin there today.")


def test_p24_that_the_person_asked_for_help_is_told() -> None:
    life = failed_again().opens()
    attempt = life.connector.attempt
    assert attempt is not None
    asked = inputs.HelpAsked(connector=life.connector.id, attempt=attempt, step=Step.PROVIDER_PAGE)
    life.waits().later(minutes=1).does(asked, OLIVIA)
    told = life.why()
    assert "At 10:07 UTC the person asked for help from the window." in told.paragraph
    assert told.events[-1].trigger is Trigger.HELP_ASKED


def test_p24_who_hands_the_attempt_on_is_told() -> None:
    life = failed_again().opens()
    attempt = life.connector.attempt
    assert attempt is not None
    life.later(minutes=3).does(inputs.HandedOn(connector=life.connector.id, attempt=attempt), OLIVIA)
    assert "On 24 December 2026 at 09:39 UTC the person handed the attempt on" in life.why().paragraph


def test_p24_the_provider_is_down_while_it_is_asked() -> None:
    life = failed_again().opens().later(minutes=4).comes_back().cannot_ask().later(seconds=4).cannot_ask()
    told = life.why()
    assert told.paragraph.endswith(
        "The host (backend) opened an attempt at 09:36 UTC that day, and the person came back from QuickBooks at 09:40 "
        "UTC. QuickBooks couldn't be asked twice so far, last on 24 December 2026 at 09:40 UTC (its token endpoint "
        "answered HTTP 503, request id 1-away); it is asked again. The checks have time until 09:55 UTC; if they "
        "haven't ended by then, it is failed again, as before."
    )
    assert (told.who, told.who_words) == (WhoActs.PROVIDER, "QuickBooks")


def test_p24_taken_off_and_deleted() -> None:
    life = Life().connects().later(days=30)
    life.does(inputs.Disconnect(connector=life.connector.id), HOST)
    assert life.why().paragraph == (
        "“Books” is disconnected. The host (backend) took it off on 24 December 2026 at 08:36 UTC, and its credential "
        "was shredded. It rests: what syncs say of it is ignored, and nothing is awaited."
    )
    life.later(hours=1).does(inputs.Delete(connector=life.connector.id), HOST)
    assert life.why().paragraph == (
        "The host (backend) deleted it on 24 December 2026 at 09:36 UTC; what it held was shredded, and its id is "
        "never used again."
    )


def test_p24_how_far_the_person_is_stands_in_a_sentence_of_its_own() -> None:
    life = failed_again().opens()
    attempt = life.connector.attempt
    assert attempt is not None
    plain = life.why()
    pressed = life.why(Glimpse(attempt, Step.PROVIDER_PAGE))
    assert "The button was pressed, and the person was sent to QuickBooks." in pressed.paragraph
    assert (pressed.who, pressed.from_the_log) == (WhoActs.PERSON, plain.paragraph)
    assert life.why(Glimpse(attempt, Step.RETURNED)).who is WhoActs.HOST
    assert life.why(Glimpse(UUID(int=9), Step.RETURNED)) == plain  # type: ignore[arg-type]


def test_p24_another_reason_on_top_of_the_first_names_both() -> None:
    told = failed_again().fails(Reason.ACCOUNT_INACTIVE, PAUSED).why()
    assert "Before that it had failed for another reason: QuickBooks no longer accepts" in told.paragraph


def test_p24_a_sync_that_never_came_is_the_operators_business() -> None:
    life = failed_again().opens().later(minutes=4).comes_back().is_verified().waits().waits().waits()
    told = life.why()
    assert (told.reason, told.who) == (Reason.SYNC_DID_NOT_START, WhoActs.OPERATOR)
    assert "credential number 2 came into use" in told.paragraph and "regrant gave up" in told.paragraph


# Every state, every reason.


@pytest.mark.parametrize("reason", [None, *Reason], ids=lambda reason: reason or "none")
@pytest.mark.parametrize("state", State)
def test_p24_every_state_and_reason_has_its_sentences(state: State, reason: Reason | None) -> None:
    """Even where nothing but the connector's row is left, of any fallback."""
    for account, fallback in product((None, ACME), (State.HEALTHY, State.FAILED, State.DISCONNECTED)):
        connector = Connector(
            id=ConnectorId("books"),
            state=state,
            version=7,
            name="Books",
            account=account,
            reason=reason,
            since=BEGAN,
            deadline=BEGAN + timedelta(hours=1),
            fallback=fallback,
            attempt=UUID(int=1),  # type: ignore[arg-type]
            failed_since=BEGAN,
            generation=3,  # type: ignore[arg-type]
            unavailable=2,
            transient_failures=1,
        )
        told = why(connector, [], Names.of(connector, QUICKBOOKS))
        assert_reads_well(told)
        assert (told.state, told.reason, told.events) == (state, reason, ())
        if state is State.FAILED and reason is not None:
            assert Names.of(connector, QUICKBOOKS).because(reason) in told.paragraph


@pytest.mark.parametrize("reason", Reason)
def test_p24_every_reason_that_a_host_may_name_is_told_with_its_proof(reason: Reason) -> None:
    told = Life().connects().later(days=1).fails(reason, None).why()
    assert_reads_well(told)
    if reason.remedy is Remedy.WAIT:
        assert told.state is State.HEALTHY and "passes by itself" in told.paragraph
    else:
        assert (told.state, told.events[0].reason) == (State.FAILED, reason)
        assert "(the host named the reason itself)" in told.paragraph


@pytest.mark.parametrize("reason", Reason)
def test_p24_every_way_that_an_attempt_may_end_is_told(reason: Reason) -> None:
    life = failed_again().opens().later(minutes=4).comes_back().is_rejected(reason, OTHER, NO_ADMIN)
    told = life.why()
    assert_reads_well(told)
    assert life.entries[-1].reason is reason and "; it ended at 09:40 UTC, because " in told.paragraph


def test_p24_every_reason_has_its_clause() -> None:
    assert CLAUSES.keys() == set(Reason)


# Any life.

_EVIDENCE = st.sampled_from([None, REFUSED, DEAD, PAUSED, NO_ADMIN, Evidence(at="network")])
_REASONS = st.sampled_from(Reason)
_FOUND = st.none() | _REASONS
_ACTORS = st.sampled_from([HOST, OLIVIA, ENGINE, PROVIDER, REGRANT])


@st.composite
def lives(draw: Any) -> Life:
    """A connector's life by any inputs in any order: right and late ones, of this attempt and of others."""
    life = Life()
    life.registers(connected=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 25))):
        life.later(minutes=draw(st.sampled_from([0, 1, 40, 3000])))
        life.does(draw(_inputs(life)), draw(_ACTORS), draw(_EVIDENCE))
    return life


def _inputs(life: Life) -> st.SearchStrategy[Any]:
    c = life.connector
    at: dict[str, Any] = {"connector": c.id}
    life.attempts += 1
    new = UUID(int=life.attempts)
    of: dict[str, Any] = {**at, "attempt": c.attempt or new}
    run: dict[str, Any] = {**at, "occurred": life.now, "generation": c.generation}
    end: dict[str, Any] = {**at, "generation": c.generation, "plan": 1}
    due: dict[str, Any] = {**at, "due": c.deadline or life.now}
    ends = life.now + timedelta(days=9)
    return st.one_of(
        st.just(inputs.Update(**at, name=f"Books {life.attempts}")),
        st.just(inputs.SyncStarted(**run)),
        st.just(inputs.SyncSucceeded(**run)),
        _REASONS.map(lambda reason: inputs.SyncFailed(**run, reason=reason)),
        _REASONS.map(lambda reason: inputs.RefreshRejected(**at, generation=c.generation, reason=reason)),
        st.just(inputs.StartReauth(**at, attempt=new)),  # type: ignore[arg-type]
        st.just(inputs.GrantReceived(**of)),
        st.just(inputs.GrantRefused(**of, reason=Reason.ACCESS_DENIED)),
        st.just(inputs.Cancelled(**of)),
        st.just(inputs.HandedOn(**of)),
        st.just(inputs.HelpAsked(**of, step=Step.PROVIDER_PAGE)),
        _REASONS.map(
            lambda reason: inputs.Explained(**at, attempt=c.last_attempt or new, reason=reason)  # type: ignore[arg-type]
        ),
        st.sampled_from([ACME, OTHER]).map(lambda account: inputs.Verified(**of, account=account)),
        _REASONS.map(lambda reason: inputs.Rejected(**of, reason=reason, step=Step.EXCHANGED, seen=OTHER)),
        st.just(inputs.ProviderUnavailable(**of, reason=Reason.PROVIDER_UNAVAILABLE)),
        _FOUND.map(lambda reason: inputs.VerifiedAgain(**at, generation=c.generation, reason=reason)),
        st.just(inputs.GrantShared(**at, attempt=new, account=c.account or ACME, generation=c.generation)),  # type: ignore[arg-type]
        st.sampled_from([inputs.AuthExpired, inputs.VerifyExpired, inputs.SyncExpired, inputs.ReminderDue]).map(
            lambda late: late(**due)
        ),
        st.just(inputs.ExpiryNear(**end, expires_at=ends, estimated=True, due=life.now)),
        st.just(inputs.ExpiryMoved(**end)),
        st.just(inputs.Disconnect(**at)),
        st.just(inputs.Delete(**at)),
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lives())
def test_p24_any_life_is_told_truly_and_as_kafka_tells_it(life: Life) -> None:
    told = life.why()
    c = life.connector
    assert_reads_well(told)
    assert told.state is c.state
    assert told.reason is (Reason.EXPIRING if c.state is State.HEALTHY and c.warned else c.reason)
    unavailable = c.state is State.VERIFYING and c.unavailable > 0
    warned = c.state is State.HEALTHY and c.warned is not None
    assert told.who is who_acts(c.state, c.reason, warned=warned, unavailable=unavailable)
    assert all(event in life.transitions for event in told.events)
    if c.state is State.FAILED:
        assert c.reason is not None
        cause = _what_brought(life, c.reason)
        assert cause in told.events
        assert moment(cause.at).split(" at ")[0] in told.paragraph
        assert Names.of(c, QUICKBOOKS).because(c.reason) in told.paragraph
        assert _actor_of(life, cause.actor) in told.paragraph or cause.trigger in (
            Trigger.SYNC_EXPIRED,
            Trigger.REFRESH_REJECTED,
        )
    assert life.why_from_kafka().from_the_log == told.from_the_log


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lives(), st.integers(1, 20))
def test_p24_a_log_whose_beginning_is_gone_is_told_all_the_same(life: Life, gone: int) -> None:
    entries = in_order([*life.transitions[gone:], *life.entries])[gone:]
    kept = [entry for entry in entries if entry.version is None or entry.version > gone]
    told = why(life.connector, kept, Names.of(life.connector, QUICKBOOKS))
    assert_reads_well(told)
    assert all(event in kept for event in told.events)


def _what_brought(life: Life, reason: Reason) -> Any:
    """By another way than the story's: forward, the newest change of the reason to this one."""
    before, found = None, None
    for entry in life.transitions:
        assert entry.after is not None
        if entry.after.reason is reason and before is not reason:
            found = entry
        before = entry.after.reason
    return found


def _actor_of(life: Life, actor: Any) -> str:
    words = Names.of(life.connector, QUICKBOOKS).actor(Actor(actor.kind, actor.id))  # type: ignore[arg-type]
    return words[1:]  # its first letter is a capital where it begins the sentence
