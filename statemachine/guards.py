"""The guards: yes-or-no questions about a connector and an input. Each one's docstring is its text in the documents."""

from schemas.lifecycle import State
from schemas.reasons import Reason
from statemachine.connector import Connector, Rules
from statemachine.inputs import (
    ExpiryMoved,
    ExpiryNear,
    Explained,
    GrantReceived,
    GrantShared,
    HelpAsked,
    Register,
    Restored,
    StartReauth,
    SyncFailed,
    Update,
    VerifiedAgain,
    _AttemptInput,
    _Command,
    _DeadlineInput,
    _ExpiryInput,
    _SyncInput,
)
from statemachine.inputs import RefreshRejected as _RefreshRejected

Attempted = GrantReceived | _AttemptInput
Failure = SyncFailed | _RefreshRejected | VerifiedAgain
OfACredential = _RefreshRejected | _ExpiryInput | GrantShared | VerifiedAgain


def brings_a_connection(c: Connector, i: Register, rules: Rules) -> bool:
    """the host has a working credential"""
    return i.connected


def shows_nothing_newer(c: Connector, i: Restored, rules: Rules) -> bool:
    """nothing newer was shown"""
    return i.version <= c.version


def shows_a_newer_credential(c: Connector, i: Restored, rules: Rules) -> bool:
    """a newer credential was in use"""
    return i.generation > c.generation


def says_what_is_known(c: Connector, i: Register, rules: Rules) -> bool:
    """same tenant and provider"""
    return (c.tenant, c.provider) == (i.tenant, i.provider)


def has_that_name(c: Connector, i: Update, rules: Rules) -> bool:
    """same name"""
    return c.name == i.name


def of_an_older_credential(c: Connector, i: _SyncInput, rules: Rules) -> bool:
    """stale: of an older credential"""
    if i.generation is not None:
        return i.generation < c.generation
    return c.swapped is not None and i.run < c.swapped + rules.clock_skew


def of_an_unknown_credential(c: Connector, i: _SyncInput, rules: Rules) -> bool:
    """of a credential never issued"""
    return i.generation is not None and i.generation > c.generation


def of_an_older_run(c: Connector, i: _SyncInput, rules: Rules) -> bool:
    """of a run whose outcome is known, or an older one"""
    return c.last_run is not None and i.run <= c.last_run


def of_an_older_command(c: Connector, i: _Command, rules: Rules) -> bool:
    """a repeat, or older than a command that is done"""
    if i.said is None or c.last_command is None:
        return False
    return i.said < c.last_command or (i.said == c.last_command and i.event == c.last_command_event)


def not_of_the_current_credential(c: Connector, i: OfACredential, rules: Rules) -> bool:
    """not of the current credential"""
    return i.generation != c.generation


def passes_by_itself(c: Connector, i: SyncFailed, rules: Rules) -> bool:
    """passes by itself (outage, rate limit, network)"""
    return not i.reason.needs_a_person


def has_no_credential(c: Connector, i: object, rules: Rules) -> bool:
    """nothing was ever saved"""
    return c.generation == 0


def found_right(c: Connector, i: VerifiedAgain, rules: Rules) -> bool:
    """the provider says that it is right"""
    return i.reason is None


def could_not_be_asked(c: Connector, i: VerifiedAgain, rules: Rules) -> bool:
    """the provider couldn't be asked"""
    return i.reason is not None and not i.reason.needs_a_person


def for_the_known_reason(c: Connector, i: Failure, rules: Rules) -> bool:
    """the reason is known already"""
    return c.reason is i.reason


def fallback_failed_for_it(c: Connector, i: Failure, rules: Rules) -> bool:
    """the fallback is failed for that reason already"""
    return c.fallback is State.FAILED and c.reason is i.reason


def fallback_is_healthy(c: Connector, i: object, rules: Rules) -> bool:
    """the fallback is healthy"""
    return c.fallback is State.HEALTHY


def fallback_is_disconnected(c: Connector, i: object, rules: Rules) -> bool:
    """the fallback is disconnected"""
    return c.fallback is State.DISCONNECTED


def login_does_not_help(c: Connector, i: StartReauth | GrantShared, rules: Rules) -> bool:
    """signing in doesn't mend the reason"""
    return c.reason is not None and not c.reason.offers_login


def of_another_account(c: Connector, i: GrantShared, rules: Rules) -> bool:
    """of another account"""
    return c.account is None or c.account.id != i.account.id


def not_of_the_live_attempt(c: Connector, i: Attempted, rules: Rules) -> bool:
    """not of the live attempt"""
    return c.attempt != i.attempt


def does_not_explain_the_last_attempt(c: Connector, i: Explained, rules: Rules) -> bool:
    """not of the last attempt, or nothing is left to explain"""
    return c.last_attempt != i.attempt or c.attempt_reason is not Reason.ATTEMPT_EXPIRED


def was_asked_for_help(c: Connector, i: HelpAsked, rules: Rules) -> bool:
    """help with that attempt was asked for already"""
    return c.help_asked == i.attempt


def opens_the_live_attempt(c: Connector, i: StartReauth, rules: Rules) -> bool:
    """that attempt is open already"""
    return c.attempt == i.attempt


def provider_was_unavailable(c: Connector, i: StartReauth, rules: Rules) -> bool:
    """the provider was unavailable at least once"""
    return c.unavailable > 0


def of_another_deadline(c: Connector, i: _DeadlineInput, rules: Rules) -> bool:
    """the deadline isn't the one that runs"""
    return c.deadline != i.due


def was_warned_then(c: Connector, i: ExpiryNear, rules: Rules) -> bool:
    """that warning, or a later one, was given"""
    return c.warned is not None and i.plan == c.warned_plan and i.due <= c.warned


def of_a_former_end(c: Connector, i: _ExpiryInput, rules: Rules) -> bool:
    """of an end that is no longer the nearest"""
    return i.plan < c.warned_plan


def was_not_warned(c: Connector, i: ExpiryMoved, rules: Rules) -> bool:
    """nobody was warned"""
    return c.warned is None


def asked_often_enough(c: Connector, i: object, rules: Rules) -> bool:
    """the sync was asked for N times"""
    return c.sync_asks >= rules.sync_asks
