"""The HTTP API as one table of routes: the OpenAPI document and the handlers' registration are made from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import BaseModel

from schemas import api, story
from schemas.lifecycle import Described
from schemas.problems import ProblemCode

Model: TypeAlias = type[BaseModel]
Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]


class Scope(Described):
    """What a caller's token must allow."""

    CONNECTORS_READ = "connectors:read", "See connectors, their history, providers and reasons."
    CONNECTORS_WRITE = "connectors:write", "Register, rename, disconnect and delete connectors."
    ATTEMPTS_WRITE = "attempts:write", "Open, hand on, complete and cancel attempts."
    CREDENTIALS_WRITE = "credentials:write", "Import grants that the host has already."
    TOKENS_READ = "tokens:read", "Get access tokens: for the sync engine only."


class Tag(StrEnum):
    """The chapters of the API's document."""

    CONNECTORS = "Connectors"
    ATTEMPTS = "Attempts"
    TOKENS = "Tokens"
    CATALOGUES = "Catalogues"


class Filter(Described):
    """A query parameter that narrows a list."""

    STATE = "state", "Only connectors in this state."
    PROVIDER = "provider", "Only connectors of this provider."
    EXPIRING_BEFORE = "expiring_before", "Only connectors whose credential has a known end before this instant."


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `name` is its operation's id, and its handler's name."""

    name: str
    method: Method
    path: str
    summary: str
    tag: Tag
    scope: Scope
    response: Model | None
    request: Model | None = None
    status: int = 200
    problems: tuple[ProblemCode, ...] = ()
    """What may go wrong here, beside what may everywhere."""
    etag: bool = False
    """The answer's ETag is the connector's version."""
    if_match: bool = False
    """The request may carry the version that the caller has seen."""
    paged: bool = False
    filters: tuple[Filter, ...] = ()
    speaks: bool = False
    """The answer holds words, in the language that `Accept-Language` prefers."""

    @property
    def takes_idempotency_key(self) -> bool:
        """A POST may be repeated with its key for 24 hours, and is done once."""
        return self.method == "POST"

    def all_problems(self) -> tuple[ProblemCode, ...]:
        """Everything that may go wrong, in the catalogue's order."""
        problems = {*EVERYWHERE, *self.problems}
        if self.request is not None:
            problems |= WITH_A_BODY
        if self.takes_idempotency_key:
            problems |= WITH_IDEMPOTENCY_KEY
        if self.paged or self.filters:
            problems.add(ProblemCode.INVALID_REQUEST)
        if self.if_match:
            problems.add(ProblemCode.VERSION_MISMATCH)
        if "{connector_id}" in self.path:
            problems.add(ProblemCode.UNKNOWN_CONNECTOR)
        if "{attempt_id}" in self.path:
            problems.add(ProblemCode.UNKNOWN_ATTEMPT)
        return tuple(code for code in ProblemCode if code in problems)


EVERYWHERE = {
    ProblemCode.MALFORMED_REQUEST,
    ProblemCode.UNAUTHENTICATED,
    ProblemCode.SCOPE_MISSING,
    ProblemCode.TOO_MANY_REQUESTS,
    ProblemCode.INTERNAL_ERROR,
    ProblemCode.BUSY,
}
WITH_A_BODY = {ProblemCode.BODY_TOO_LARGE, ProblemCode.NOT_JSON, ProblemCode.INVALID_REQUEST}
WITH_IDEMPOTENCY_KEY = {ProblemCode.REQUEST_RUNNING, ProblemCode.IDEMPOTENCY_KEY_REUSED}

_CONNECTOR = "/v1/connectors/{connector_id}"
_ATTEMPT = "/v1/attempts/{attempt_id}"

ROUTES: tuple[Route, ...] = (
    Route(
        "list_connectors",
        "GET",
        "/v1/connectors",
        "List the tenant's connectors",
        Tag.CONNECTORS,
        Scope.CONNECTORS_READ,
        api.ConnectorList,
        paged=True,
        filters=(Filter.STATE, Filter.PROVIDER, Filter.EXPIRING_BEFORE),
        speaks=True,
    ),
    Route(
        "register_connector",
        "POST",
        "/v1/connectors",
        "Register a connector",
        Tag.CONNECTORS,
        Scope.CONNECTORS_WRITE,
        api.Connector,
        api.RegisterConnector,
        status=201,
        problems=(ProblemCode.ID_TAKEN, ProblemCode.CONNECTOR_DELETED, ProblemCode.UNKNOWN_PROVIDER),
        etag=True,
        speaks=True,
    ),
    Route(
        "get_connector",
        "GET",
        _CONNECTOR,
        "See a connector: its state, why, and what to do",
        Tag.CONNECTORS,
        Scope.CONNECTORS_READ,
        api.Connector,
        etag=True,
        speaks=True,
    ),
    Route(
        "update_connector",
        "PATCH",
        _CONNECTOR,
        "Rename a connector",
        Tag.CONNECTORS,
        Scope.CONNECTORS_WRITE,
        api.Connector,
        api.UpdateConnector,
        problems=(ProblemCode.CONNECTOR_DELETED,),
        etag=True,
        if_match=True,
        speaks=True,
    ),
    Route(
        "delete_connector",
        "DELETE",
        _CONNECTOR,
        "Delete a connector for good; its id is never used again",
        Tag.CONNECTORS,
        Scope.CONNECTORS_WRITE,
        None,
        status=204,
        if_match=True,
    ),
    Route(
        "disconnect_connector",
        "POST",
        f"{_CONNECTOR}/disconnect",
        "Take a connector off and shred its credential",
        Tag.CONNECTORS,
        Scope.CONNECTORS_WRITE,
        api.Connector,
        problems=(ProblemCode.CONNECTOR_DELETED,),
        etag=True,
        if_match=True,
        speaks=True,
    ),
    Route(
        "get_history",
        "GET",
        f"{_CONNECTOR}/history",
        "See what happened to a connector, newest first",
        Tag.CONNECTORS,
        Scope.CONNECTORS_READ,
        api.History,
        paged=True,
    ),
    Route(
        "get_why",
        "GET",
        f"{_CONNECTOR}/why",
        "Why is it in this state? One paragraph, and the events that prove it",
        Tag.CONNECTORS,
        Scope.CONNECTORS_READ,
        story.Why,
    ),
    Route(
        "open_attempt",
        "POST",
        f"{_CONNECTOR}/attempts",
        "Let a person sign in again: the answer holds the one-time link",
        Tag.ATTEMPTS,
        Scope.ATTEMPTS_WRITE,
        api.Attempt,
        api.OpenAttempt,
        status=201,
        problems=(
            ProblemCode.CONNECTOR_DELETED,
            ProblemCode.VERIFICATION_RUNNING,
            ProblemCode.LOGIN_DOES_NOT_HELP,
            ProblemCode.RETURN_URL_NOT_ALLOWED,
        ),
    ),
    Route(
        "get_attempt",
        "GET",
        _ATTEMPT,
        "See an attempt: how far it came, how it ended",
        Tag.ATTEMPTS,
        Scope.CONNECTORS_READ,
        api.Attempt,
    ),
    Route(
        "create_handoff",
        "POST",
        f"{_ATTEMPT}/handoffs",
        "Hand an open attempt to a person: a new one-time link, the older one is void",
        Tag.ATTEMPTS,
        Scope.ATTEMPTS_WRITE,
        api.Handoff,
        api.Person,
        status=201,
        problems=(ProblemCode.ATTEMPT_ENDED, ProblemCode.VERIFICATION_RUNNING),
    ),
    Route(
        "complete_attempt",
        "POST",
        f"{_ATTEMPT}/complete",
        "Confirm that the signed-in user is the one who began the attempt",
        Tag.ATTEMPTS,
        Scope.ATTEMPTS_WRITE,
        api.Attempt,
        api.CompleteAttempt,
        problems=(ProblemCode.ATTEMPT_ENDED, ProblemCode.COMPLETION_REFUSED),
    ),
    Route(
        "cancel_attempt",
        "POST",
        f"{_ATTEMPT}/cancel",
        "Give an attempt up; the connector stays as it was",
        Tag.ATTEMPTS,
        Scope.ATTEMPTS_WRITE,
        api.Attempt,
        problems=(ProblemCode.VERIFICATION_RUNNING,),
    ),
    Route(
        "get_token",
        "POST",
        f"{_CONNECTOR}/token",
        "Get a fresh access token of the connector's account",
        Tag.TOKENS,
        Scope.TOKENS_READ,
        api.AccessToken,
        api.TokenRequest,
        problems=(ProblemCode.NO_CREDENTIAL, ProblemCode.PROVIDER_UNAVAILABLE),
    ),
    Route(
        "import_credential",
        "POST",
        f"{_CONNECTOR}/credential",
        "Bring a grant that the host has already; the attempt tells how its checks end",
        Tag.TOKENS,
        Scope.CREDENTIALS_WRITE,
        api.Attempt,
        api.ImportCredential,
        status=202,
        problems=(ProblemCode.CONNECTOR_DELETED, ProblemCode.VERIFICATION_RUNNING, ProblemCode.LOGIN_DOES_NOT_HELP),
    ),
    Route(
        "list_providers",
        "GET",
        "/v1/providers",
        "List the providers of this deployment",
        Tag.CATALOGUES,
        Scope.CONNECTORS_READ,
        api.ProviderList,
        speaks=True,
    ),
    Route(
        "list_reasons",
        "GET",
        "/v1/reasons",
        "List the reasons: what each code means and what to do about it",
        Tag.CATALOGUES,
        Scope.CONNECTORS_READ,
        api.ReasonList,
        speaks=True,
    ),
)
