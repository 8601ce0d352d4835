"""The HTTP bodies: what the host's backend sends and gets. Unknown fields are refused. Times are RFC 3339."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.lifecycle import Ignored, Outcome, State, Step, Trigger
from schemas.reasons import Reason, Remedy
from schemas.records import (
    Account,
    Actor,
    ConnectorIdField,
    ConnectorState,
    Evidence,
    NameField,
    ProviderField,
    TenantIdField,
)
from schemas.secret import Secret

_NO_NUL = r"^[^\x00]+$"
"""PostgreSQL's text holds no NUL."""


class Request(BaseModel):
    """A body that a caller sends. Strict: `false` is no number, and `"1"` isn't one either. Errors hold no value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Response(BaseModel):
    """A body that a caller gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _whole(given: object) -> object:
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]
"""To JSON Schema `1.0` is an integer, too."""


class Problem(BaseModel):
    """An error (RFC 9457), with what a program may do about it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: str = Field(description="The address of a page about this kind of problem.")
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str = Field(description="The kind of problem, for programs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    action: str = Field(description="What the caller should do.")
    trace_id: str


class RegisterConnector(Request):
    """A new connector of the caller's tenant."""

    connector_id: ConnectorIdField
    provider: ProviderField
    name: NameField
    connected: bool = Field(default=False, description="The host has a working credential of its own.")


class UpdateConnector(Request):
    """A connector's new name."""

    name: NameField


class CredentialEnds(Response):
    """When the current credential ends, as far as it is known ahead. It works until then."""

    at: datetime | None = Field(description="The nearest of these; nothing where no end is known.")
    estimated: bool = Field(description="Whether that is our estimate, since the provider told none.")
    idle_at: datetime | None = Field(description="When it ends if it isn't used: every refresh moves it on.")
    hard_at: datetime | None = Field(description="When it ends however much it is used, counted from the consent.")
    hard_estimated: bool
    announced_at: datetime | None = Field(description="The day on which the provider ends all credentials.")


class Connector(ConnectorState):
    """A connector as it stands, with the words of its reason, or of its credential's end where that comes near."""

    title: str | None = Field(default=None, description="The reason in a few words.")
    words: str | None = Field(default=None, description="The reason in a sentence.")
    next: str | None = Field(default=None, description="What to do about it.")
    offers_login: bool = Field(description="Whether signing in again is offered.")
    transient_failures: int = Field(ge=0, description="Failures that pass by themselves, since the last success.")
    credential_ends: CredentialEnds | None = Field(default=None, description="Nothing where there is no credential.")


class ConnectorList(Response):
    """A page of connectors; the next page is in the Link header."""

    connectors: list[Connector]


class HistoryEntry(Response):
    """One thing that happened: a transition, or an input that was noted or ignored."""

    at: datetime
    outcome: Outcome
    trigger: Trigger
    version: int | None = Field(default=None, description="Of a transition.")
    from_: State | None = Field(default=None, alias="from")
    to: State | None = None
    reason: Reason | None = None
    why: Ignored | None = Field(default=None, description="Why it was ignored.")
    step: Step | None = None
    actor: Actor | None = None
    attempt_id: UUID | None = None
    correlation_id: str | None = Field(default=None, description="The trace id of the request that it came from.")
    expected_account: Account | None = None
    seen_account: Account | None = None
    evidence: Evidence | None = None


class History(Response):
    """What happened to a connector, newest first; the next page is in the Link header."""

    entries: list[HistoryEntry]


class Person(Request):
    """The host's signed-in user who asks."""

    id: str = Field(min_length=1, max_length=200, pattern=_NO_NUL, description="The host's id of the user.")
    name: str = Field(min_length=1, max_length=200, pattern=_NO_NUL, description="Shown to whoever opens the link.")


class OpenAttempt(Request):
    """Let a person sign in again."""

    person: Person
    return_url: str | None = Field(
        default=None, max_length=2000, description="Where the browser goes afterwards: one of the registered addresses."
    )


class Handoff(Response):
    """The one-time link that takes the person to the attempt."""

    url: str = Field(repr=False)
    expires_at: datetime


class Attempt(Response):
    """One try of one person to re-authorise one connector."""

    attempt_id: UUID
    connector_id: ConnectorIdField
    status: Literal["open", "ended"]
    step: Step
    completion: Literal["browser", "host"] = Field(
        description="Who completes it: the browser that began it, or, for a new account, the host's backend."
    )
    opened_at: datetime
    expires_at: datetime
    reason: Reason | None = Field(default=None, description="How it ended.")
    expected_account: Account | None = None
    seen_account: Account | None = None
    handoff: Handoff | None = Field(default=None, description="Only in the answer that made it.")


class CompleteAttempt(Request):
    """The host's backend confirms that its signed-in user is the one who began the attempt."""

    completion_token: str = Field(
        min_length=20, max_length=200, repr=False, description="From the return address's query."
    )
    person_id: str = Field(min_length=1, max_length=200, pattern=_NO_NUL)


def _is_a_token(secret: Secret) -> Secret:
    if not re.fullmatch(_TOKEN, secret.reveal()):
        raise ValueError("must be 1 to 16,384 characters of ASCII")
    return secret


_TOKEN = "^[\\x20-\\x7e]{1,16384}$"  # noqa: S105 - what a token consists of (RFC 6749, A.12 and A.17)
TokenField = Annotated[Secret, AfterValidator(_is_a_token), WithJsonSchema({"type": "string", "pattern": _TOKEN})]


class ImportCredential(Request):
    """A grant that the host has already. Its account is proved by the provider before it counts."""

    refresh_token: TokenField = Field(description="From now on only regrant refreshes it.")
    access_token: TokenField | None = Field(
        default=None, description="For the checks, while it works; without it the refresh token is used at once."
    )
    expires_at: AwareDatetime | None = Field(default=None, description="When the access token expires.")
    account_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=_NO_NUL,
        description="The account that it is of, for example the realm.",
    )
    scope: str | None = Field(
        default=None, max_length=4000, pattern=r"^[\x20-\x7e]*$", description="What was granted, where it is known."
    )


class ImportLine(ImportCredential):
    """A line of `regrant import`: a grant, and the connector that it is for, which is registered if it is new."""

    connector_id: ConnectorIdField
    tenant_id: TenantIdField
    provider: ProviderField
    name: NameField


class RefusedToken(Request):
    """An access token that the provider's API refused (401), as the answer that held it named it."""

    generation: Whole = Field(ge=1, le=2**31 - 1)
    rotation: Whole = Field(ge=0, le=2**31 - 1)


class TokenRequest(Request):
    """Ask for an access token."""

    min_ttl_s: Whole = Field(
        default=60,
        ge=0,
        le=3000,
        description="How long it must still be valid, in seconds; nine tenths of the provider's lifetime at most.",
    )
    refused: RefusedToken | None = Field(
        default=None,
        description="The token that the provider refused: nobody gets it again, and a new one is asked for.",
    )


class AccessToken(Response):
    """A fresh access token of the connector's account."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750, not a password
    expires_at: datetime
    generation: int = Field(description="Which credential it is of; sync events name it.")
    rotation: int = Field(description="Which access token of that credential it is, to report it when it is refused.")
    account: Account
    provider: ProviderField


class ProviderInfo(Response):
    """A provider, as its description says."""

    id: ProviderField
    name: str
    account_word: str
    admin_word: str
    prerequisites: list[str]


class ProviderList(Response):
    """All providers of this deployment."""

    providers: list[ProviderInfo]


class ReasonInfo(Response):
    """An entry of the reason catalogue."""

    code: Reason
    remedy: Remedy
    title: str
    words: str
    next: str
    takes: str = Field(description="How long it takes until all is well again.")
    steps: list[str] = Field(description="One to three steps, in order; `next` is the first.")


class ReasonList(Response):
    """The reason catalogue."""

    reasons: list[ReasonInfo]
