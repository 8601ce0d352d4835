"""The catalogue of problems (RFC 9457) that the HTTP API answers with: status, words, and what to do about each."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ProblemEntry:
    """What the catalogue says of one problem."""

    status: int
    title: str
    action: str
    """What the caller should do."""
    retryable: bool = False
    """Whether the very same request may succeed later."""


class ProblemCode(StrEnum):
    """The code of a problem; `entry` holds the rest."""

    MALFORMED_REQUEST = "malformed_request"
    TENANT_NEEDED = "tenant_needed"
    UNAUTHENTICATED = "unauthenticated"
    SCOPE_MISSING = "scope_missing"
    WHOLE_FLEET_ONLY = "whole_fleet_only"
    UNKNOWN_CONNECTOR = "unknown_connector"
    UNKNOWN_ATTEMPT = "unknown_attempt"
    UNKNOWN_LETTER = "unknown_letter"
    UNKNOWN_GIVEN_UP = "unknown_given_up"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    ID_TAKEN = "id_taken"
    VERIFICATION_RUNNING = "verification_running"
    LOGIN_DOES_NOT_HELP = "login_does_not_help"
    ATTEMPT_OPEN = "attempt_open"
    SYNC_AWAITED = "sync_awaited"
    ATTEMPT_ENDED = "attempt_ended"
    COMPLETION_REFUSED = "completion_refused"
    NO_CREDENTIAL = "no_credential"
    REQUEST_RUNNING = "request_running"
    LETTER_SETTLED = "letter_settled"
    CONNECTOR_DELETED = "connector_deleted"
    VERSION_MISMATCH = "version_mismatch"
    BODY_TOO_LARGE = "body_too_large"
    NOT_JSON = "not_json"
    INVALID_REQUEST = "invalid_request"
    UNKNOWN_PROVIDER = "unknown_provider"
    RETURN_URL_NOT_ALLOWED = "return_url_not_allowed"
    BEFORE_THE_LOG = "before_the_log"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL_ERROR = "internal_error"
    BUSY = "busy"
    PROVIDER_UNAVAILABLE = "provider_unavailable"

    @property
    def entry(self) -> ProblemEntry:
        return PROBLEMS[self]


_AGAIN = "Try again in a moment."

PROBLEMS: dict[ProblemCode, ProblemEntry] = {
    ProblemCode.MALFORMED_REQUEST: ProblemEntry(
        400, "The request can't be read", "Send valid JSON and well-formed headers."
    ),
    ProblemCode.TENANT_NEEDED: ProblemEntry(
        400, "Which tenant?", "Name the tenant in the header Regrant-Tenant: the token speaks for the whole fleet."
    ),
    ProblemCode.UNAUTHENTICATED: ProblemEntry(
        401, "No valid access token", "Send a valid, unexpired JWT as bearer token."
    ),
    ProblemCode.SCOPE_MISSING: ProblemEntry(
        403, "The access token doesn't allow this", "Use a token with the scope that the detail names."
    ),
    ProblemCode.WHOLE_FLEET_ONLY: ProblemEntry(
        403, "The access token speaks for one tenant", "Use a token that speaks for the whole fleet."
    ),
    ProblemCode.UNKNOWN_CONNECTOR: ProblemEntry(
        404, "No such connector", "Check the id, and that the token is of the connector's tenant."
    ),
    ProblemCode.UNKNOWN_ATTEMPT: ProblemEntry(
        404, "No such attempt", "Check the id, and that the token is of the connector's tenant."
    ),
    ProblemCode.UNKNOWN_LETTER: ProblemEntry(404, "No such dead letter", "Take an id from the list."),
    ProblemCode.UNKNOWN_GIVEN_UP: ProblemEntry(
        404, "No such event was given up", "Take an id from the list; what was accepted meanwhile isn't there any more."
    ),
    ProblemCode.NOT_FOUND: ProblemEntry(404, "No such address", "Check the path against the API's description."),
    ProblemCode.METHOD_NOT_ALLOWED: ProblemEntry(
        405, "No such method here", "Use a method that the Allow header names."
    ),
    ProblemCode.ID_TAKEN: ProblemEntry(409, "The id is taken", "Choose another connector id."),
    ProblemCode.VERIFICATION_RUNNING: ProblemEntry(
        409, "A sign-in is just being checked", "Try again in a few seconds.", retryable=True
    ),
    ProblemCode.LOGIN_DOES_NOT_HELP: ProblemEntry(
        409, "Signing in again doesn't mend this", "Do what the connector's reason says."
    ),
    ProblemCode.ATTEMPT_OPEN: ProblemEntry(
        409, "Somebody is asked to sign in already", "Wait for what comes of the open attempt, or cancel it."
    ),
    ProblemCode.SYNC_AWAITED: ProblemEntry(
        409, "A sync is awaited already", "Wait for the sync's outcome: it tells whether the credential works."
    ),
    ProblemCode.ATTEMPT_ENDED: ProblemEntry(409, "The attempt has ended", "Open a new attempt."),
    ProblemCode.COMPLETION_REFUSED: ProblemEntry(
        403, "The attempt can't be completed with this", "Let the person who began it start again."
    ),
    ProblemCode.NO_CREDENTIAL: ProblemEntry(
        409, "The connector has no working credential", "Let a person sign in again; the connector says why."
    ),
    ProblemCode.REQUEST_RUNNING: ProblemEntry(
        409, "A request with this Idempotency-Key is still running", _AGAIN, retryable=True
    ),
    ProblemCode.LETTER_SETTLED: ProblemEntry(
        409, "The dead letter is decided on", "Read it again: somebody replayed or dropped it."
    ),
    ProblemCode.CONNECTOR_DELETED: ProblemEntry(
        410, "The connector was deleted", "Register a new connector with another id."
    ),
    ProblemCode.VERSION_MISMATCH: ProblemEntry(
        412, "The connector has changed", "Read it again, and send its new ETag as If-Match."
    ),
    ProblemCode.BODY_TOO_LARGE: ProblemEntry(413, "The body is too large", "Send less."),
    ProblemCode.NOT_JSON: ProblemEntry(415, "The body isn't JSON", "Send application/json."),
    ProblemCode.INVALID_REQUEST: ProblemEntry(422, "A field is missing or wrong", "Correct the fields in `errors`."),
    ProblemCode.UNKNOWN_PROVIDER: ProblemEntry(422, "No such provider", "Use an id from GET /v1/providers."),
    ProblemCode.RETURN_URL_NOT_ALLOWED: ProblemEntry(
        422, "The return address isn't registered", "Use one of the registered return addresses."
    ),
    ProblemCode.BEFORE_THE_LOG: ProblemEntry(
        422, "That is longer ago than the log is kept", "Ask for an instant that the detail allows."
    ),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: ProblemEntry(
        422, "The Idempotency-Key was used for another request", "Use a new key for a new request."
    ),
    ProblemCode.TOO_MANY_REQUESTS: ProblemEntry(
        429, "Too many requests", "Wait as long as Retry-After says.", retryable=True
    ),
    ProblemCode.INTERNAL_ERROR: ProblemEntry(
        500, "Something went wrong here", "Try again; if it stays, send us the trace id.", retryable=True
    ),
    ProblemCode.BUSY: ProblemEntry(503, "Too much to do just now", _AGAIN, retryable=True),
    ProblemCode.PROVIDER_UNAVAILABLE: ProblemEntry(
        503, "The provider doesn't answer", "Wait as long as Retry-After says.", retryable=True
    ),
}
