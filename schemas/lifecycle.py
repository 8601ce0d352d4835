"""The words of the lifecycle: states, triggers, outcomes. Every value carries its sentence.

What may happen in which state is the transition table's business (`statemachine/table.py`).
"""

from enum import StrEnum


class Described(StrEnum):
    """A string enumeration whose values carry the sentence that documents them."""

    sentence: str

    # `Enum` hashes its members' names in Python; the hot path looks up tables by them.
    __hash__ = str.__hash__

    def __new__(cls, value: str, sentence: str = "") -> "Described":
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member


class State(Described):
    """Where a connector stands."""

    ABSENT = "absent", "No connector with this id was ever registered."
    HEALTHY = "healthy", "The credential works as far as anybody knows."
    FAILED = "failed", "A person is needed; the reason says why."
    AWAITING_AUTH = "awaiting_auth", "An attempt is open: somebody was asked to sign in, and a deadline runs."
    VERIFYING = "verifying", "The person came back; the grant is exchanged and checked."
    SYNCING = "syncing", "The new credential is in use, a sync was requested, its outcome is awaited."
    DISCONNECTED = "disconnected", "Taken off by its owner or host; the credential is shredded."
    DELETED = "deleted", "Gone for good; the id is never used again."


class Trigger(Described):
    """What may happen to a connector."""

    REGISTER = "register", "The host tells of a new connector."
    UPDATE = "update", "The host renames a connector."
    SYNC_STARTED = "sync_started", "A sync run began."
    SYNC_SUCCEEDED = "sync_succeeded", "A sync run ended well."
    SYNC_FAILED = "sync_failed", "A sync run ended with an error of the provider."
    REFRESH_REJECTED = "refresh_rejected", "The provider refused to refresh the credential."
    START_REAUTH = "start_reauth", "Somebody wants to sign in again."
    GRANT_RECEIVED = "grant_received", "The person came back from the provider with a code."
    GRANT_REFUSED = "grant_refused", "The person came back from the provider with a refusal."
    CANCELLED = "cancelled", "The person gave up in the window."
    AUTH_EXPIRED = "auth_expired", "Nobody came back before the attempt's deadline."
    HANDED_ON = "handed_on", "The open attempt was handed to a person by a new link; its older links are void."
    EXPLAINED = "explained", "The person told, after the deadline, what the provider had shown instead of coming back."
    HELP_ASKED = "help_asked", "The person in the window sent the attempt's support report to the host."
    RESTORED = (
        "restored",
        "The database was restored from a backup: the connector goes on behind what its topics had shown since.",
    )
    VERIFIED = "verified", "The grant is of the right account, person and scope."
    REJECTED = "rejected", "The grant failed a check."
    PROVIDER_UNAVAILABLE = "provider_unavailable", "The provider couldn't be asked about the grant just now."
    VERIFY_EXPIRED = "verify_expired", "The checks didn't end before their deadline."
    GRANT_SHARED = (
        "grant_shared",
        "A sign-in on another connector of the tenant brought a grant that is good for this one.",
    )
    VERIFIED_AGAIN = (
        "verified_again",
        "Somebody had the provider asked once more about the saved credential, without a person signing in.",
    )
    SYNC_EXPIRED = "sync_expired", "The requested sync gave no outcome before its deadline."
    REMINDER_DUE = "reminder_due", "The connector has been failed for so long that its owner is reminded."
    EXPIRY_NEAR = "expiry_near", "The known end of the credential comes near, and a warning of it is due."
    EXPIRY_MOVED = "expiry_moved", "The end that was warned of has moved away, and nobody had to sign in."
    DISCONNECT = "disconnect", "The owner or host takes the connector off."
    DELETE = "delete", "The host deletes the connector for good."


class Outcome(Described):
    """What an input did to a connector."""

    TRANSITION = "transition", "A row in the log: one version more, published."
    OBSERVATION = "observation", "Facts were noted on the connector; no version, not published."
    IGNORED = "ignored", "Nothing changed; kept with why, for the history page."
    REFUSED = "refused", "Nothing changed; the caller is told, or the record is a dead letter."


class Ignored(Described):
    """Why an input was ignored."""

    STALE_GENERATION = "stale_generation", "It speaks of an older credential than the current one."
    UNKNOWN_GENERATION = "unknown_generation", "It speaks of a credential that was never issued."
    OLDER_RUN = "older_run", "It repeats, or is older than, a sync outcome that is known already."
    OLDER_COMMAND = "older_command", "It repeats, or is older than, a command that is done already."
    ATTEMPT_NOT_LIVE = "attempt_not_live", "It belongs to an attempt that has ended or was replaced."
    NOT_UNEXPLAINED = (
        "not_unexplained",
        "Only the last attempt can be explained, once, where nobody came back before its deadline.",
    )
    GRANT_ALREADY_RECEIVED = "grant_already_received", "The attempt's code came in before."
    DEADLINE_NOT_SET = "deadline_not_set", "The deadline it was set for no longer runs."
    NOT_VERIFYING = "not_verifying", "No verification is running."
    NOT_CONNECTED = "not_connected", "The connector is disconnected, or was deleted."
    NOT_HEALTHY = "not_healthy", "Only the owner of a healthy connector is warned of an end, or told that it moved."
    NO_LOGIN_WANTED = (
        "no_login_wanted",
        "Only what failed, and a login mends, is repaired by another connector's sign-in.",
    )
    ANOTHER_ACCOUNT = "another_account", "It is of another account than the connector's."
    ALREADY_SO = "already_so", "The connector is in the wanted state already."


class Refused(Described):
    """Why an input was refused."""

    UNKNOWN_CONNECTOR = "unknown_connector", "No connector with this id was ever registered."
    CONNECTOR_DELETED = "connector_deleted", "The connector was deleted; its id is never used again."
    ID_TAKEN = "id_taken", "Another connector has this id."
    UNKNOWN_PROVIDER = "unknown_provider", "This deployment doesn't have the provider."
    VERIFICATION_RUNNING = (
        "verification_running",
        "A sign-in is just being checked; try again in a few seconds.",
    )
    VERSION_MISMATCH = "version_mismatch", "The connector has changed since you read it."
    LOGIN_DOES_NOT_HELP = "login_does_not_help", "Signing in again doesn't mend this reason."
    NO_CREDENTIAL = "no_credential", "There is no saved credential to verify: somebody has to sign in."
    ATTEMPT_OPEN = "attempt_open", "An attempt is open, and what comes of it decides; or cancel it first."
    SYNC_AWAITED = "sync_awaited", "A sync with this credential was asked for already, and its outcome tells."


class Notice(Described):
    """Whom a transition should wake."""

    PERSON_NEEDED = "person_needed", "The connector's owner has something to do."
    OPERATOR_NEEDED = "operator_needed", "Our configuration is wrong: the operator has something to do."
    REMINDER = "reminder", "The owner was asked before and nothing happened."
    EXPIRING = "expiring", "It works, and ends at a known time: somebody should sign in again before."
    HELP_ASKED = "help_asked", "A person in the window asks the host's support for help with an attempt."
    RECOVERED = "recovered", "It works again: silence every message about it."

    @property
    def asks_the_owner(self) -> bool:
        """Whether the connector's owner has something to do."""
        return self in (Notice.PERSON_NEEDED, Notice.REMINDER, Notice.EXPIRING)


class Step(Described):
    """The steps of a re-authorisation, in order: where a flow stopped is one of them."""

    FAILURE_SEEN = "failure_seen", "The failure was reported."
    LINK_OFFERED = "link_offered", "A handoff was made."
    PROVIDER_PAGE = "provider_page", "The person pressed the button and was sent to the provider."
    RETURNED = "returned", "The person came back from the provider."
    EXCHANGED = "exchanged", "The code was exchanged for a grant."
    ACCOUNT_CHECKED = "account_checked", "The grant is of the right account."
    PERMISSION_CHECKED = "permission_checked", "The person is an admin and ticked every scope."
    CREDENTIAL_SAVED = "credential_saved", "The new credential is in use."
    SYNC_STARTED = "sync_started", "The requested sync began."
    DATA_FLOWING = "data_flowing", "The requested sync ended well."


class ActorKind(Described):
    """Who caused an input."""

    HOST = "host", "The host's backend."
    SYNC_ENGINE = "sync_engine", "The host's sync engine."
    PERSON = "person", "The person in the browser."
    PROVIDER = "provider", "The provider's answer."
    REGRANT = "regrant", "This service: a deadline, a job."
    OPERATOR = "operator", "Somebody at the command line or the console, or who speaks for the whole fleet."
