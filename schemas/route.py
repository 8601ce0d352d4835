"""What a route is: its operation, who may ask, how far it looks, and what may go wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import BaseModel

from schemas.lifecycle import Described
from schemas.problems import ProblemCode

Model: TypeAlias = type[BaseModel]
Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Scope(Described):
    """What a caller's token must allow."""

    CONNECTORS_READ = "connectors:read", "See connectors, their history, providers and reasons."
    CONNECTORS_WRITE = (
        "connectors:write",
        "Register, rename, verify again, disconnect and delete connectors; set contacts.",
    )
    ATTEMPTS_WRITE = "attempts:write", "Open, hand on, complete and cancel attempts."
    CREDENTIALS_WRITE = "credentials:write", "Import grants that the host has already."
    TOKENS_READ = "tokens:read", "Get access tokens: for the sync engine only."
    FLEET_READ = "fleet:read", "See what many connectors tell together: counts, the funnel, times, errors, events."
    FLEET_WRITE = (
        "fleet:write",
        "Replay and drop dead letters, send webhooks again; only for who speaks for the whole fleet.",
    )
    CONSOLE_OPEN = "console:open", "Open the console; what it shows, and may do, the other scopes say."


class Tag(StrEnum):
    """The chapters of the API's document."""

    CONNECTORS = "Connectors"
    ATTEMPTS = "Attempts"
    TOKENS = "Tokens"
    CATALOGUES = "Catalogues"
    FLEET = "Fleet"
    DEAD_LETTERS = "Dead letters"
    WEBHOOKS = "Webhooks"
    CONSOLE = "Console"


class Reach(StrEnum):
    """Whose connectors a route is about."""

    TENANT = "tenant"
    """One tenant's: a caller that speaks for the whole fleet names it in the header `Regrant-Tenant`."""
    SPANNING = "spanning"
    """All that the caller speaks for: one tenant's own, or the whole fleet's."""
    FLEET = "fleet"
    """The whole fleet's: for callers that speak for it, and for nobody else."""


class Filter(Described):
    """A query parameter that narrows a list."""

    STATE = "state", "Only connectors in this state."
    PROVIDER = "provider", "Only connectors of this provider."
    EXPIRING_BEFORE = "expiring_before", "Only connectors whose credential has a known end before this instant."
    REASON = "reason", "Only what has this reason."
    ORIGIN = "origin", "Only what has a reason of this origin."
    WHO_ACTS = "who_acts", "Only connectors that wait for these."
    TEXT = "q", "Only connectors with this text in their id, name or account, in upper or lower case."
    OF_TENANT = "tenant", "Only connectors of this tenant."
    AS_OF = "as_of", "As it was at this instant, by the log."
    SINCE = "since", "From this instant on; without it 30 days back, and for errors one."
    UNTIL = "until", "Up to this instant, and not at it; without it up to now."
    WITHIN = "within", "How many days ahead to look."
    MOVED_FROM = "moved_from", "Only connectors that left one of these states within the day before (`as_of`, or now)."
    MOVED_TO = "moved_to", "Only connectors that came to this state within that day; with the other: by that arrow."
    STATUS = "status", "Only dead letters of which this became."
    TOPIC = "topic", "Only dead letters that came from this topic."


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
    """`None`: no body, or a stream."""
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
    reach: Reach = Reach.TENANT
    is_stream: bool = False
    """The answer is `text/event-stream`, and can be taken up again by `Last-Event-ID`."""
    also: str | None = None
    """The other media type that the answer comes as, where `Accept` asks for it."""
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
        if self.is_stream:
            problems |= {ProblemCode.INVALID_REQUEST, ProblemCode.TOO_MANY_REQUESTS}
        if Filter.AS_OF in self.filters:
            problems.add(ProblemCode.BEFORE_THE_LOG)
        if self.reach is Reach.TENANT:
            problems.add(ProblemCode.TENANT_NEEDED)
        if self.reach is Reach.FLEET:
            problems.add(ProblemCode.WHOLE_FLEET_ONLY)
        if "{letter_id}" in self.path:
            problems.add(ProblemCode.UNKNOWN_LETTER)
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
