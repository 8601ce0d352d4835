"""Dead letters: why a record couldn't be handled, and the headers that say so beside its untouched bytes."""

from schemas.lifecycle import Described, Refused


class DeadLetterCode(Described):
    """Why a record is a dead letter."""

    # The record itself can't be read.
    MALFORMED = "malformed", "It isn't a CloudEvent 1.0 with JSON data."
    OVERSIZED = "oversized", "It is too large: more than 1 MiB of value, or 64 KiB of headers."
    UNKNOWN_TYPE = "unknown_type", "Its type isn't one that regrant reads."
    UNKNOWN_VERSION = "unknown_version", "Its type is known, but not in this major version."
    WRONG_TOPIC = "wrong_topic", "Its type belongs on another topic."
    WRONG_KEY = "wrong_key", "Its key is missing, or isn't the connector id in its subject."
    SCHEMA = "schema", "A field is missing or wrong; the detail names it."
    UNMAPPED = "unmapped", "An adapter could make no event of what its sender sent; the detail says what is missing."
    BROKEN = "broken", "It broke the service; a fault of ours, that hinders no other record."
    # It can be read, and the lifecycle refuses it.
    UNKNOWN_CONNECTOR = "unknown_connector", Refused.UNKNOWN_CONNECTOR.sentence
    CONNECTOR_DELETED = "connector_deleted", Refused.CONNECTOR_DELETED.sentence
    ID_TAKEN = "id_taken", Refused.ID_TAKEN.sentence
    UNKNOWN_PROVIDER = "unknown_provider", Refused.UNKNOWN_PROVIDER.sentence
    VERIFICATION_RUNNING = "verification_running", Refused.VERIFICATION_RUNNING.sentence
    VERSION_MISMATCH = "version_mismatch", Refused.VERSION_MISMATCH.sentence
    LOGIN_DOES_NOT_HELP = "login_does_not_help", Refused.LOGIN_DOES_NOT_HELP.sentence
    NO_CREDENTIAL = "no_credential", Refused.NO_CREDENTIAL.sentence
    ATTEMPT_OPEN = "attempt_open", Refused.ATTEMPT_OPEN.sentence
    SYNC_AWAITED = "sync_awaited", Refused.SYNC_AWAITED.sentence


class DeadLetterHeader(Described):
    """The headers that are added to a dead letter's own."""

    CODE = "dlq-reason", "Why it is a dead letter."
    DETAIL = "dlq-detail", "What is wrong, in a sentence; never a value out of the record."
    TOPIC = "dlq-topic", "The topic that it came from."
    PARTITION = "dlq-partition", "The partition that it came from."
    OFFSET = "dlq-offset", "Its offset there."
    FIRST_SEEN = "dlq-first-seen", "When regrant read it first."


REPLAY_OF = "dlq-replay-of"
"""The header of a record that was replayed: the dead letter that it was."""
