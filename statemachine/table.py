"""The transition table: what can happen to a connector. Every state × trigger cell is here, by name.

A row reads: from these states, on this trigger, when all its guards hold, this follows. Of a cell's rows the first
whose guards hold is taken, and the last row of every cell has none: there is no default branch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from schemas.lifecycle import Ignored, Outcome, Refused, State, Trigger
from statemachine import actions as do
from statemachine import guards as if_
from statemachine.actions import Draft
from statemachine.connector import Connector, Rules

Guard: TypeAlias = Callable[[Connector, Any, Rules], bool]  # Any: each guard names the inputs that it is about
Action: TypeAlias = Callable[[Draft, Any], None]  # Any: likewise


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. `to` is the state that follows a transition, `None` where the state stays."""

    sources: tuple[State, ...]
    trigger: Trigger
    outcome: Outcome
    when: tuple[Guard, ...] = ()
    to: State | None = None
    actions: tuple[Action, ...] = ()
    why: Ignored | Refused | None = None


ABSENT, HEALTHY, FAILED = State.ABSENT, State.HEALTHY, State.FAILED
AWAITING, VERIFYING, SYNCING = State.AWAITING_AUTH, State.VERIFYING, State.SYNCING
DISCONNECTED, DELETED = State.DISCONNECTED, State.DELETED

CONNECTED = (HEALTHY, FAILED, AWAITING, VERIFYING, SYNCING)
EXISTING = (*CONNECTED, DISCONNECTED)
ATTEMPTING = (AWAITING, VERIFYING)
AT_REST = (HEALTHY, FAILED, SYNCING, DISCONNECTED)

States: TypeAlias = State | tuple[State, ...]
Guards: TypeAlias = Guard | tuple[Guard, ...]


def _many(one_or_many: Any) -> tuple[Any, ...]:  # Any: a state or a guard
    return one_or_many if isinstance(one_or_many, tuple) else (one_or_many,)


def moves(source: States, on: Trigger, to: State, *actions: Action, when: Guards = ()) -> Row:
    return Row(_many(source), on, Outcome.TRANSITION, _many(when), to, actions)


def stays(source: States, on: Trigger, *actions: Action, when: Guards = ()) -> Row:
    """A transition that doesn't change the state: told to everybody all the same."""
    return Row(_many(source), on, Outcome.TRANSITION, _many(when), None, actions)


def observes(source: States, on: Trigger, *actions: Action, when: Guards = ()) -> Row:
    return Row(_many(source), on, Outcome.OBSERVATION, _many(when), None, actions)


def ignores(source: States, on: Trigger, why: Ignored, when: Guards = ()) -> Row:
    return Row(_many(source), on, Outcome.IGNORED, _many(when), why=why)


def refuses(source: States, on: Trigger, why: Refused, when: Guards = ()) -> Row:
    return Row(_many(source), on, Outcome.REFUSED, _many(when), why=why)


def falls_back(source: State, on: Trigger, action: Action) -> tuple[Row, ...]:
    """The attempt failed: back to where the connector came from, which what syncs said meanwhile kept true."""
    return (
        moves(source, on, HEALTHY, action, when=if_.fallback_is_healthy),
        moves(source, on, DISCONNECTED, action, when=if_.fallback_is_disconnected),
        moves(source, on, FAILED, action, do.keep_reminding),
    )


def _host() -> Iterator[Row]:
    yield moves(ABSENT, Trigger.REGISTER, HEALTHY, do.take_facts, when=if_.brings_a_connection)
    yield moves(ABSENT, Trigger.REGISTER, FAILED, do.take_facts, do.never_connected)
    yield ignores(EXISTING, Trigger.REGISTER, Ignored.ALREADY_SO, when=if_.says_what_is_known)
    yield refuses(EXISTING, Trigger.REGISTER, Refused.ID_TAKEN)
    yield refuses(DELETED, Trigger.REGISTER, Refused.CONNECTOR_DELETED)

    for asked in (Trigger.UPDATE, Trigger.DISCONNECT, Trigger.START_REAUTH):
        yield ignores(EXISTING, asked, Ignored.OLDER_COMMAND, when=if_.of_an_older_command)

    yield ignores(EXISTING, Trigger.UPDATE, Ignored.ALREADY_SO, when=if_.has_that_name)
    yield stays(EXISTING, Trigger.UPDATE, do.note_command, do.rename)
    yield refuses(ABSENT, Trigger.UPDATE, Refused.UNKNOWN_CONNECTOR)
    yield refuses(DELETED, Trigger.UPDATE, Refused.CONNECTOR_DELETED)

    yield moves(CONNECTED, Trigger.DISCONNECT, DISCONNECTED, do.note_command, do.take_off)
    yield ignores(DISCONNECTED, Trigger.DISCONNECT, Ignored.ALREADY_SO)
    yield refuses(ABSENT, Trigger.DISCONNECT, Refused.UNKNOWN_CONNECTOR)
    yield refuses(DELETED, Trigger.DISCONNECT, Refused.CONNECTOR_DELETED)

    yield moves(EXISTING, Trigger.DELETE, DELETED, do.take_off)
    yield ignores(DELETED, Trigger.DELETE, Ignored.ALREADY_SO)
    yield refuses(ABSENT, Trigger.DELETE, Refused.UNKNOWN_CONNECTOR)


def _syncs() -> Iterator[Row]:
    for said in (Trigger.SYNC_STARTED, Trigger.SYNC_SUCCEEDED, Trigger.SYNC_FAILED):
        yield refuses(ABSENT, said, Refused.UNKNOWN_CONNECTOR)
        yield ignores((DISCONNECTED, DELETED), said, Ignored.NOT_CONNECTED)
        yield ignores(ATTEMPTING, said, Ignored.NOT_CONNECTED, when=if_.fallback_is_disconnected)
        yield ignores(CONNECTED, said, Ignored.STALE_GENERATION, when=if_.of_an_older_credential)
        yield ignores(CONNECTED, said, Ignored.UNKNOWN_GENERATION, when=if_.of_an_unknown_credential)
        yield ignores(CONNECTED, said, Ignored.OLDER_RUN, when=if_.of_an_older_run)

    yield observes(SYNCING, Trigger.SYNC_STARTED, do.run_on)
    yield observes((HEALTHY, FAILED, *ATTEMPTING), Trigger.SYNC_STARTED)

    said = Trigger.SYNC_SUCCEEDED
    yield observes(HEALTHY, said, do.note_run, do.note_success)
    yield moves(FAILED, said, HEALTHY, do.note_run, do.note_success, do.recover)
    yield moves(SYNCING, said, HEALTHY, do.note_run, do.finish, do.note_success)
    yield observes(ATTEMPTING, said, do.note_run, do.note_success, when=if_.fallback_is_healthy)
    yield stays(ATTEMPTING, said, do.note_run, do.note_success, do.fallback_recovers)

    said, passing = Trigger.SYNC_FAILED, if_.passes_by_itself
    yield observes(SYNCING, said, do.note_run, do.note_failure, do.count_transient, do.pause_then_ask, when=passing)
    yield observes((HEALTHY, FAILED, *ATTEMPTING), said, do.note_run, do.note_failure, do.count_transient, when=passing)
    yield moves((HEALTHY, SYNCING), said, FAILED, do.note_run, do.note_failure, do.fail)
    yield observes(FAILED, said, do.note_run, do.note_failure, when=if_.for_the_known_reason)
    yield stays(FAILED, said, do.note_run, do.note_failure, do.fail)
    yield observes(ATTEMPTING, said, do.note_run, do.note_failure, when=if_.fallback_failed_for_it)
    yield stays(ATTEMPTING, said, do.note_run, do.note_failure, do.fallback_fails)

    yield ignores((HEALTHY, FAILED, AWAITING, VERIFYING), Trigger.SYNC_EXPIRED, Ignored.DEADLINE_NOT_SET)
    yield ignores(SYNCING, Trigger.SYNC_EXPIRED, Ignored.DEADLINE_NOT_SET, when=if_.of_another_deadline)
    yield moves(SYNCING, Trigger.SYNC_EXPIRED, FAILED, do.give_up_asking, when=if_.asked_often_enough)
    yield stays(SYNCING, Trigger.SYNC_EXPIRED, do.ask_again)


def _refreshes() -> Iterator[Row]:
    said = Trigger.REFRESH_REJECTED
    yield refuses(ABSENT, said, Refused.UNKNOWN_CONNECTOR)
    yield ignores((DISCONNECTED, DELETED), said, Ignored.NOT_CONNECTED)
    yield ignores(CONNECTED, said, Ignored.STALE_GENERATION, when=if_.not_of_the_current_credential)
    yield ignores(ATTEMPTING, said, Ignored.NOT_CONNECTED, when=if_.fallback_is_disconnected)
    yield moves((HEALTHY, SYNCING), said, FAILED, do.note_failure, do.fail)
    yield ignores(FAILED, said, Ignored.ALREADY_SO, when=if_.for_the_known_reason)
    yield stays(FAILED, said, do.note_failure, do.fail)
    yield ignores(ATTEMPTING, said, Ignored.ALREADY_SO, when=if_.fallback_failed_for_it)
    yield stays(ATTEMPTING, said, do.note_failure, do.fallback_fails)


def _attempts() -> Iterator[Row]:
    ask = Trigger.START_REAUTH
    yield refuses(ABSENT, ask, Refused.UNKNOWN_CONNECTOR)
    yield refuses(DELETED, ask, Refused.CONNECTOR_DELETED)
    yield ignores(ATTEMPTING, ask, Ignored.ALREADY_SO, when=if_.opens_the_live_attempt)
    yield refuses((FAILED, *ATTEMPTING), ask, Refused.LOGIN_DOES_NOT_HELP, when=if_.login_does_not_help)
    yield moves((HEALTHY, SYNCING), ask, AWAITING, do.fall_back_to_healthy, do.open_attempt)
    yield moves(FAILED, ask, AWAITING, do.fall_back_to_failed, do.open_attempt)
    yield moves(DISCONNECTED, ask, AWAITING, do.fall_back_to_disconnected, do.open_attempt)
    yield stays(AWAITING, ask, do.void_the_older, do.open_attempt)
    yield moves(VERIFYING, ask, AWAITING, do.void_the_older, do.open_attempt, when=if_.provider_was_unavailable)
    yield refuses(VERIFYING, ask, Refused.VERIFICATION_RUNNING)

    for back in (Trigger.GRANT_RECEIVED, Trigger.GRANT_REFUSED, Trigger.CANCELLED, Trigger.HANDED_ON):
        yield refuses(ABSENT, back, Refused.UNKNOWN_CONNECTOR)
        yield ignores((*AT_REST, DELETED), back, Ignored.ATTEMPT_NOT_LIVE)
        yield ignores(ATTEMPTING, back, Ignored.ATTEMPT_NOT_LIVE, when=if_.not_of_the_live_attempt)
        yield ignores(VERIFYING, back, Ignored.GRANT_ALREADY_RECEIVED)
    yield moves(AWAITING, Trigger.GRANT_RECEIVED, VERIFYING, do.check_the_grant)
    yield from falls_back(AWAITING, Trigger.GRANT_REFUSED, do.end_refused)
    yield from falls_back(AWAITING, Trigger.CANCELLED, do.end_cancelled)
    yield observes(AWAITING, Trigger.HANDED_ON, do.hand_on)

    yield ignores((*AT_REST, VERIFYING), Trigger.AUTH_EXPIRED, Ignored.DEADLINE_NOT_SET)
    yield ignores(AWAITING, Trigger.AUTH_EXPIRED, Ignored.DEADLINE_NOT_SET, when=if_.of_another_deadline)
    yield from falls_back(AWAITING, Trigger.AUTH_EXPIRED, do.end_late)

    told = Trigger.EXPLAINED
    yield refuses(ABSENT, told, Refused.UNKNOWN_CONNECTOR)
    yield ignores((SYNCING, *ATTEMPTING, DELETED), told, Ignored.NOT_UNEXPLAINED)
    rest = (HEALTHY, FAILED, DISCONNECTED)
    yield ignores(rest, told, Ignored.NOT_UNEXPLAINED, when=if_.does_not_explain_the_last_attempt)
    yield observes(rest, told, do.explain)

    ask = Trigger.HELP_ASKED
    yield refuses(ABSENT, ask, Refused.UNKNOWN_CONNECTOR)
    yield ignores(DELETED, ask, Ignored.NOT_CONNECTED)
    yield ignores(EXISTING, ask, Ignored.ALREADY_SO, when=if_.was_asked_for_help)
    yield stays(EXISTING, ask, do.ask_for_help)


def _verification() -> Iterator[Row]:
    for result in (Trigger.VERIFIED, Trigger.REJECTED, Trigger.PROVIDER_UNAVAILABLE):
        yield refuses(ABSENT, result, Refused.UNKNOWN_CONNECTOR)
        yield ignores((*AT_REST, AWAITING, DELETED), result, Ignored.NOT_VERIFYING)
        yield ignores(VERIFYING, result, Ignored.ATTEMPT_NOT_LIVE, when=if_.not_of_the_live_attempt)
    yield moves(VERIFYING, Trigger.VERIFIED, SYNCING, do.swap, do.ask_for_a_sync)
    yield from falls_back(VERIFYING, Trigger.REJECTED, do.end_rejected)
    yield observes(VERIFYING, Trigger.PROVIDER_UNAVAILABLE, do.check_again_later)

    yield ignores((*AT_REST, AWAITING), Trigger.VERIFY_EXPIRED, Ignored.DEADLINE_NOT_SET)
    yield ignores(VERIFYING, Trigger.VERIFY_EXPIRED, Ignored.DEADLINE_NOT_SET, when=if_.of_another_deadline)
    yield from falls_back(VERIFYING, Trigger.VERIFY_EXPIRED, do.end_unchecked)


def _sharing() -> Iterator[Row]:
    said = Trigger.GRANT_SHARED
    yield refuses(ABSENT, said, Refused.UNKNOWN_CONNECTOR)
    yield ignores((HEALTHY, SYNCING, *ATTEMPTING, DISCONNECTED, DELETED), said, Ignored.NO_LOGIN_WANTED)
    yield ignores(FAILED, said, Ignored.STALE_GENERATION, when=if_.not_of_the_current_credential)
    yield ignores(FAILED, said, Ignored.ANOTHER_ACCOUNT, when=if_.of_another_account)
    yield ignores(FAILED, said, Ignored.NO_LOGIN_WANTED, when=if_.login_does_not_help)
    yield moves(FAILED, said, SYNCING, do.swap, do.ask_for_a_sync)


def _verified_again() -> Iterator[Row]:
    told = Trigger.VERIFIED_AGAIN
    yield refuses(ABSENT, told, Refused.UNKNOWN_CONNECTOR)
    yield refuses(DELETED, told, Refused.CONNECTOR_DELETED)
    yield refuses(DISCONNECTED, told, Refused.NO_CREDENTIAL)
    yield refuses(AWAITING, told, Refused.ATTEMPT_OPEN)
    yield refuses(VERIFYING, told, Refused.VERIFICATION_RUNNING)
    yield refuses(SYNCING, told, Refused.SYNC_AWAITED)
    yield refuses((HEALTHY, FAILED), told, Refused.NO_CREDENTIAL, when=if_.has_no_credential)
    yield ignores((HEALTHY, FAILED), told, Ignored.STALE_GENERATION, when=if_.not_of_the_current_credential)
    yield observes((HEALTHY, FAILED), told, do.note_finding, when=if_.could_not_be_asked)
    yield observes(HEALTHY, told, do.note_finding, when=if_.found_right)
    yield moves(HEALTHY, told, FAILED, do.note_failure, do.fail)
    yield moves(FAILED, told, SYNCING, do.trust_again, do.ask_for_a_sync, when=if_.found_right)
    yield observes(FAILED, told, do.note_finding, when=if_.for_the_known_reason)
    yield stays(FAILED, told, do.note_failure, do.fail)


def _reminders() -> Iterator[Row]:
    yield ignores(FAILED, Trigger.REMINDER_DUE, Ignored.DEADLINE_NOT_SET, when=if_.of_another_deadline)
    yield stays(FAILED, Trigger.REMINDER_DUE, do.remind)
    yield ignores((HEALTHY, SYNCING, *ATTEMPTING), Trigger.REMINDER_DUE, Ignored.DEADLINE_NOT_SET)


def _warnings() -> Iterator[Row]:
    for told in (Trigger.EXPIRY_NEAR, Trigger.EXPIRY_MOVED):
        yield refuses(ABSENT, told, Refused.UNKNOWN_CONNECTOR)
        yield ignores((DISCONNECTED, DELETED), told, Ignored.NOT_CONNECTED)
        yield ignores((FAILED, SYNCING, *ATTEMPTING), told, Ignored.NOT_HEALTHY)
        yield ignores(HEALTHY, told, Ignored.STALE_GENERATION, when=if_.not_of_the_current_credential)
        yield ignores(HEALTHY, told, Ignored.DEADLINE_NOT_SET, when=if_.of_a_former_end)
    yield ignores(HEALTHY, Trigger.EXPIRY_NEAR, Ignored.ALREADY_SO, when=if_.was_warned_then)
    yield stays(HEALTHY, Trigger.EXPIRY_NEAR, do.warn)
    yield ignores(HEALTHY, Trigger.EXPIRY_MOVED, Ignored.ALREADY_SO, when=if_.was_not_warned)
    yield stays(HEALTHY, Trigger.EXPIRY_MOVED, do.take_the_warning_back)


def _backups() -> Iterator[Row]:
    said, newer = Trigger.RESTORED, if_.shows_a_newer_credential
    yield refuses(ABSENT, said, Refused.UNKNOWN_CONNECTOR)
    yield ignores(DELETED, said, Ignored.ALREADY_SO)
    yield ignores(EXISTING, said, Ignored.ALREADY_SO, when=if_.shows_nothing_newer)
    nothing_to_lose = (newer, if_.fallback_is_disconnected)
    yield moves(ATTEMPTING, said, DISCONNECTED, do.go_on_from, do.lose_the_credential, when=nothing_to_lose)
    yield moves(CONNECTED, said, FAILED, do.go_on_from, do.lose_the_credential, when=newer)
    yield stays(DISCONNECTED, said, do.go_on_from, do.lose_the_credential, when=newer)
    yield stays(EXISTING, said, do.go_on_from)


def _deadlines_of_what_is_not_there() -> Iterator[Row]:
    for late in (Trigger.AUTH_EXPIRED, Trigger.VERIFY_EXPIRED, Trigger.SYNC_EXPIRED, Trigger.REMINDER_DUE):
        yield refuses(ABSENT, late, Refused.UNKNOWN_CONNECTOR)
        yield ignores(DELETED, late, Ignored.DEADLINE_NOT_SET)
        if late in (Trigger.SYNC_EXPIRED, Trigger.REMINDER_DUE):
            yield ignores(DISCONNECTED, late, Ignored.DEADLINE_NOT_SET)


TABLE: tuple[Row, ...] = (
    *_host(),
    *_syncs(),
    *_refreshes(),
    *_attempts(),
    *_verification(),
    *_sharing(),
    *_verified_again(),
    *_reminders(),
    *_warnings(),
    *_backups(),
    *_deadlines_of_what_is_not_there(),
)
