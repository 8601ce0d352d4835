"""The actions: what a row of the table does to its draft. Each is small, pure, and named for what it says."""

from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import Generation
from schemas.lifecycle import Notice, State, Step
from schemas.reasons import Reason, Remedy
from statemachine.connector import Account, Connector, Rules
from statemachine.effects import (
    Effect,
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
from statemachine.inputs import (
    AuthExpired,
    Cancelled,
    Disconnect,
    ExpiryMoved,
    ExpiryNear,
    Explained,
    GrantReceived,
    GrantRefused,
    GrantShared,
    HandedOn,
    HelpAsked,
    ProviderUnavailable,
    RefreshRejected,
    Register,
    Rejected,
    Restored,
    StartReauth,
    SyncExpired,
    SyncFailed,
    SyncStarted,
    SyncSucceeded,
    Update,
    Verified,
    VerifiedAgain,
    VerifyExpired,
)


@dataclass(slots=True)
class Draft:
    """A decision in the making: a copy of the connector, and what the log and the engine are told beside it."""

    connector: Connector
    now: datetime
    rules: Rules
    reason: Reason | None = None
    """Why the transition happened."""
    step: Step | None = None
    """The step of the re-authorisation that was reached."""
    replaced: Step | None = None
    """The step that the attempt had reached which a newer one replaces."""
    notice: Notice | None = None
    expected: Account | None = None
    seen: Account | None = None
    effects: list[Effect] = field(default_factory=list)


# The host's words.


def take_facts(d: Draft, i: Register) -> None:
    c = d.connector
    c.tenant, c.provider, c.name = i.tenant, i.provider, i.name


def never_connected(d: Draft, i: Register) -> None:
    d.connector.reason = d.reason = Reason.NEVER_CONNECTED


def rename(d: Draft, i: Update) -> None:
    d.connector.name = i.name


def note_command(d: Draft, i: Update | Disconnect | StartReauth) -> None:
    if i.said is not None:
        d.connector.last_command = min(i.said, d.now + d.rules.clock_skew)  # as of runs
        d.connector.last_command_event = i.event


def go_on_from(d: Draft, i: Restored) -> None:
    """Consumers have seen versions up to that one, of which the database knows nothing."""
    d.connector.version = i.version + 1


def lose_the_credential(d: Draft, i: Restored) -> None:
    """The newer one is gone with the database's last hours, and the older one may be any provider's past."""
    c = d.connector
    if c.attempt is not None:
        _end_attempt(d, Reason.CANCELLED)
    known = _is_asked_to_sign_in(c, Reason.VAULT_INTEGRITY)
    c.generation = Generation(i.generation + 1)  # what syncs said of the lost one is of an older credential
    if c.state is State.DISCONNECTED:
        return
    d.effects.append(Shred())
    c.reason = d.reason = Reason.VAULT_INTEGRITY
    if c.failed_since is None:
        c.failed_since = d.now
    _forget_the_end(c)
    if not known:
        _tell_who_must_act(d)
    _schedule_reminder(d)


def take_off(d: Draft, i: Disconnect) -> None:
    c = d.connector
    if c.attempt is not None:
        _end_attempt(d, Reason.CANCELLED)
    c.reason = None
    c.failed_since = c.position = None
    _forget_the_end(c)
    d.effects.append(Shred())


# Syncs and their outcomes.


def run_on(d: Draft, i: SyncStarted) -> None:
    d.connector.deadline = d.now + d.rules.sync_run_time
    d.effects.append(NoteSyncBegan())


def note_run(d: Draft, i: SyncFailed | SyncSucceeded) -> None:
    d.connector.last_run = min(i.run, d.now + d.rules.clock_skew)  # a clock in the future must not silence what follows


def note_success(d: Draft, i: SyncSucceeded) -> None:
    c = d.connector
    c.last_success = i.occurred
    c.failed_since = c.position = None
    c.transient_failures = c.sync_asks = 0


def note_failure(d: Draft, i: SyncFailed | RefreshRejected | VerifiedAgain) -> None:
    c = d.connector
    if c.failed_since is None:
        c.failed_since = i.occurred if isinstance(i, SyncFailed) else d.now
        c.position = i.position if isinstance(i, SyncFailed) else None


def count_transient(d: Draft, i: SyncFailed) -> None:
    d.connector.transient_failures += 1
    d.reason = i.reason


def pause_then_ask(d: Draft, i: SyncFailed) -> None:
    c = d.connector
    c.sync_asks = 0
    c.deadline = d.now + d.rules.sync_pause(c.transient_failures)


def fail(d: Draft, i: SyncFailed | RefreshRejected | VerifiedAgain) -> None:
    assert i.reason is not None, "a guard told what is right from what isn't"
    known = _is_asked_to_sign_in(d.connector, i.reason)
    _note_why(d, i)
    if not known:
        _tell_who_must_act(d)
        _schedule_reminder(d)


def recover(d: Draft, i: SyncSucceeded) -> None:
    c = d.connector
    c.reason = c.attempt_reason = None
    c.reminders = 0
    d.reason, d.notice = Reason.RECOVERED, Notice.RECOVERED


def finish(d: Draft, i: SyncSucceeded) -> None:
    d.connector.reminders = 0
    d.reason, d.step = Reason.CONNECTED, Step.DATA_FLOWING
    if d.connector.failed_since is not None:  # else nobody was told that anything was wrong
        d.notice = Notice.RECOVERED


def fallback_recovers(d: Draft, i: SyncSucceeded) -> None:
    d.connector.fallback = State.HEALTHY
    recover(d, i)


def fallback_fails(d: Draft, i: SyncFailed | RefreshRejected) -> None:
    known = _is_asked_to_sign_in(d.connector, i.reason)
    d.connector.fallback = State.FAILED
    _note_why(d, i)
    if not known:
        _tell_who_must_act(d)


def ask_again(d: Draft, i: SyncExpired) -> None:
    unanswered = d.connector.sync_asks > 0  # else this ends the pause after a failure that passes by itself
    _request_sync(d)
    d.reason, d.step = Reason.SYNC_DID_NOT_START if unanswered else None, Step.CREDENTIAL_SAVED


def give_up_asking(d: Draft, i: SyncExpired) -> None:
    d.connector.reason = d.reason = Reason.SYNC_DID_NOT_START
    d.step = Step.CREDENTIAL_SAVED
    _tell_who_must_act(d)


# Attempts.


def open_attempt(d: Draft, i: StartReauth) -> None:
    note_command(d, i)
    c = d.connector
    c.attempt, c.attempt_reason = i.attempt, None
    c.unavailable = 0
    c.deadline = d.now + d.rules.attempt_time
    d.step = Step.LINK_OFFERED
    d.effects.append(OpenAttempt(i.attempt))


def fall_back_to_healthy(d: Draft, i: StartReauth) -> None:
    d.connector.fallback = State.HEALTHY


def fall_back_to_failed(d: Draft, i: StartReauth) -> None:
    d.connector.fallback = State.FAILED


def fall_back_to_disconnected(d: Draft, i: StartReauth) -> None:
    d.connector.fallback = State.DISCONNECTED


def void_the_older(d: Draft, i: StartReauth) -> None:
    assert d.connector.attempt is not None
    d.replaced = i.replaced
    d.effects.append(EndAttempt(d.connector.attempt, Reason.CANCELLED))


def check_the_grant(d: Draft, i: GrantReceived) -> None:
    d.connector.deadline = d.now + d.rules.verification_time
    d.step = Step.RETURNED
    d.effects.append(Verify(i.attempt))


def check_again_later(d: Draft, i: ProviderUnavailable) -> None:
    c = d.connector
    c.unavailable += 1
    pause = d.rules.backoff(c.unavailable)
    if i.retry_after is not None:
        pause = min(max(pause, i.retry_after), d.rules.verification_time)
    d.reason = i.reason
    d.effects.append(Verify(i.attempt, pause))


def end_refused(d: Draft, i: GrantRefused) -> None:
    d.step = Step.PROVIDER_PAGE
    _end_attempt(d, i.reason)


def end_cancelled(d: Draft, i: Cancelled) -> None:
    d.step = i.step
    _end_attempt(d, i.reason)


def end_late(d: Draft, i: AuthExpired) -> None:
    d.step = i.step
    _end_attempt(d, Reason.ATTEMPT_EXPIRED)


def hand_on(d: Draft, i: HandedOn) -> None:
    d.effects.append(HandOn(i.attempt))


def explain(d: Draft, i: Explained) -> None:
    d.reason = d.connector.attempt_reason = i.reason
    d.effects.append(ExplainAttempt(i.attempt, i.reason))


def ask_for_help(d: Draft, i: HelpAsked) -> None:
    d.connector.help_asked, d.step, d.notice = i.attempt, i.step, Notice.HELP_ASKED


def end_unchecked(d: Draft, i: VerifyExpired) -> None:
    d.step = Step.RETURNED
    _end_attempt(d, Reason.VERIFICATION_TIMED_OUT)


def end_rejected(d: Draft, i: Rejected) -> None:
    d.step, d.seen = i.step, i.seen
    if i.reason is Reason.WRONG_ACCOUNT:
        d.expected = d.connector.account
    if i.reason.remedy is Remedy.FIX_CONFIGURATION:
        d.notice = Notice.OPERATOR_NEEDED
    _end_attempt(d, i.reason)


def keep_reminding(d: Draft, i: object) -> None:
    _schedule_reminder(d)


def swap(d: Draft, i: Verified | GrantShared) -> None:
    c = d.connector
    c.generation = Generation(c.generation + 1)
    c.account = i.account
    c.swapped = d.now
    c.last_run = None
    d.effects.append(SwapCredential(i.attempt, c.generation))
    c.attempt = c.attempt_reason = c.fallback = c.reason = None
    c.unavailable = c.sync_asks = c.transient_failures = 0
    d.reason, d.step = Reason.CONNECTED, Step.CREDENTIAL_SAVED
    if c.warned is not None and c.failed_since is None:  # else the first data that flows is the news
        d.notice = Notice.RECOVERED
    _forget_the_end(c)
    c.warned_plan = 0


def note_finding(d: Draft, i: VerifiedAgain) -> None:
    d.reason = i.reason or Reason.CONNECTED


def trust_again(d: Draft, i: VerifiedAgain) -> None:
    c = d.connector
    c.reason = c.attempt_reason = None
    c.sync_asks = c.transient_failures = c.reminders = 0
    d.reason = Reason.CONNECTED


def ask_for_a_sync(d: Draft, i: Verified | GrantShared | VerifiedAgain) -> None:
    _request_sync(d)


# Reminders.


def remind(d: Draft, i: object) -> None:
    d.connector.reminders += 1
    d.reason, d.notice = d.connector.reason, Notice.REMINDER
    _schedule_reminder(d)


# Warnings of a known end.


def warn(d: Draft, i: ExpiryNear) -> None:
    c = d.connector
    c.expires_at, c.expires_estimated = i.expires_at, i.estimated
    c.warned, c.warned_plan = i.due, i.plan
    d.reason, d.notice = Reason.EXPIRING, Notice.EXPIRING


def take_the_warning_back(d: Draft, i: ExpiryMoved) -> None:
    _forget_the_end(d.connector)
    d.connector.warned_plan = i.plan
    d.reason, d.notice = Reason.RECOVERED, Notice.RECOVERED


# What several actions share.


def _forget_the_end(c: Connector) -> None:
    c.expires_at = c.warned = None
    c.expires_estimated = False


def _end_attempt(d: Draft, reason: Reason) -> None:
    c = d.connector
    assert c.attempt is not None
    d.effects.append(EndAttempt(c.attempt, reason))
    d.reason = c.attempt_reason = reason
    c.last_attempt, c.attempt, c.fallback = c.attempt, None, None


def _request_sync(d: Draft) -> None:
    c = d.connector
    c.sync_asks += 1
    c.deadline = d.now + d.rules.sync_start_time
    d.effects.append(RequestSync(c.generation, c.failed_since or c.last_success, c.position, c.sync_asks))


def _is_asked_to_sign_in(c: Connector, reason: Reason) -> bool:
    """Whether the owner was told of this failure: another reason that the same login mends is no other failure."""
    if c.reason is None or c.reason is Reason.NEVER_CONNECTED:
        return False
    return c.reason.offers_login and reason.offers_login


def _note_why(d: Draft, i: SyncFailed | RefreshRejected | VerifiedAgain) -> None:
    assert i.reason is not None
    d.connector.reason = d.reason = i.reason
    d.step = Step.FAILURE_SEEN
    if i.reason.offers_login:
        _forget_the_end(d.connector)  # it has come


def _tell_who_must_act(d: Draft) -> None:
    assert d.reason is not None
    d.connector.reminders = 0
    operator = d.reason.remedy is Remedy.FIX_CONFIGURATION
    d.notice = Notice.OPERATOR_NEEDED if operator else Notice.PERSON_NEEDED


def _schedule_reminder(d: Draft) -> None:
    c, pauses = d.connector, d.rules.reminders
    c.deadline = None
    owner_acts = c.reason is not None and c.reason.remedy in (Remedy.REAUTHORISE, Remedy.FIX_ACCOUNT)
    started = c.reason is not Reason.NEVER_CONNECTED
    if owner_acts and started and c.reminders < len(pauses):
        c.deadline = d.now + pauses[c.reminders]
