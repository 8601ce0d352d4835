"""Problems of the API, a class each."""

# Made by from_documents.py: don't edit.

from typing import Final

from regrant_client.problem import Problem


class MalformedRequest(Problem):
    """The request can't be read."""


class TenantNeeded(Problem):
    """Which tenant."""


class Unauthenticated(Problem):
    """No valid access token."""


class ScopeMissing(Problem):
    """The access token doesn't allow this."""


class WholeFleetOnly(Problem):
    """The access token speaks for one tenant."""


class UnknownConnector(Problem):
    """No such connector."""


class UnknownAttempt(Problem):
    """No such attempt."""


class UnknownLetter(Problem):
    """No such dead letter."""


class UnknownGivenUp(Problem):
    """No such event was given up."""


class NotFound(Problem):
    """No such address."""


class MethodNotAllowed(Problem):
    """No such method here."""


class IdTaken(Problem):
    """The id is taken."""


class VerificationRunning(Problem):
    """A sign-in is just being checked."""


class LoginDoesNotHelp(Problem):
    """Signing in again doesn't mend this."""


class AttemptOpen(Problem):
    """Somebody is asked to sign in already."""


class SyncAwaited(Problem):
    """A sync is awaited already."""


class AttemptEnded(Problem):
    """The attempt has ended."""


class CompletionRefused(Problem):
    """The attempt can't be completed with this."""


class NoCredential(Problem):
    """The connector has no working credential."""


class RequestRunning(Problem):
    """A request with this Idempotency-Key is still running."""


class LetterSettled(Problem):
    """The dead letter is decided on."""


class ConnectorDeleted(Problem):
    """The connector was deleted."""


class VersionMismatch(Problem):
    """The connector has changed."""


class BodyTooLarge(Problem):
    """The body is too large."""


class NotJson(Problem):
    """The body isn't JSON."""


class InvalidRequest(Problem):
    """A field is missing or wrong."""


class UnknownProvider(Problem):
    """No such provider."""


class ReturnUrlNotAllowed(Problem):
    """The return address isn't registered."""


class BeforeTheLog(Problem):
    """That is longer ago than the log is kept."""


class IdempotencyKeyReused(Problem):
    """The Idempotency-Key was used for another request."""


class TooManyRequests(Problem):
    """Too many requests."""


class InternalError(Problem):
    """Something went wrong here."""


class Busy(Problem):
    """Too much to do just now."""


class ProviderUnavailable(Problem):
    """The provider doesn't answer."""


REFUSALS: Final[dict[str, type[Problem]]] = {
    "malformed_request": MalformedRequest,
    "tenant_needed": TenantNeeded,
    "unauthenticated": Unauthenticated,
    "scope_missing": ScopeMissing,
    "whole_fleet_only": WholeFleetOnly,
    "unknown_connector": UnknownConnector,
    "unknown_attempt": UnknownAttempt,
    "unknown_letter": UnknownLetter,
    "unknown_given_up": UnknownGivenUp,
    "not_found": NotFound,
    "method_not_allowed": MethodNotAllowed,
    "id_taken": IdTaken,
    "verification_running": VerificationRunning,
    "login_does_not_help": LoginDoesNotHelp,
    "attempt_open": AttemptOpen,
    "sync_awaited": SyncAwaited,
    "attempt_ended": AttemptEnded,
    "completion_refused": CompletionRefused,
    "no_credential": NoCredential,
    "request_running": RequestRunning,
    "letter_settled": LetterSettled,
    "connector_deleted": ConnectorDeleted,
    "version_mismatch": VersionMismatch,
    "body_too_large": BodyTooLarge,
    "not_json": NotJson,
    "invalid_request": InvalidRequest,
    "unknown_provider": UnknownProvider,
    "return_url_not_allowed": ReturnUrlNotAllowed,
    "before_the_log": BeforeTheLog,
    "idempotency_key_reused": IdempotencyKeyReused,
    "too_many_requests": TooManyRequests,
    "internal_error": InternalError,
    "busy": Busy,
    "provider_unavailable": ProviderUnavailable,
}
