"""The Kafka records: the data of each CloudEvent that comes in or goes out.

In: unknown fields are allowed (a newer producer), wrong ones are refused. Out: additions only within a major version.
Times are RFC 3339 with an offset.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.lifecycle import ActorKind, Notice, State, Step, Trigger
from schemas.reasons import Origin, Reason, Remedy

ConnectorIdField = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._~-]{1,128}$", description="The host's id of the connector.")
]
TenantIdField = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,128}$", description="A customer of the host.")]
ProviderField = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$", description="The id of a provider's description.")]
NameField = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="What people call the connector."),
]


class Incoming(BaseModel):
    """Data of a record that the host writes."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Outgoing(BaseModel):
    """Data of a record that regrant writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# In: sync events.


class ProviderError(Incoming):
    """A provider's refusal, as the sync engine got it. regrant judges it; its body is never stored or passed on."""

    at: Literal["api", "token", "network"] = Field(description="Which call was refused, or that no answer came.")
    status: int | None = Field(default=None, ge=100, le=599, description="The HTTP status.")
    body: str = Field(default="", max_length=65_536, description="The answer's body, as text.")
    request_id: str | None = Field(
        default=None, max_length=200, description="The provider's request id (`intuit_tid`)."
    )
    retry_after_s: float | None = Field(default=None, ge=0, description="The answer's Retry-After, in seconds.")


class SyncRun(Incoming):
    """What every word about a sync run carries."""

    started_at: AwareDatetime | None = Field(default=None, description="When the run began, by the host's clock.")
    generation: int | None = Field(
        default=None, ge=0, description="The credential's generation that the run used, as its token or request told."
    )


class SyncStarted(SyncRun):
    """A sync run began."""


class SyncSucceeded(SyncRun):
    """A sync run ended well."""


class SyncFailed(SyncRun):
    """A sync run ended with an error: the provider's own answer, or a reason that the host knows."""

    error: ProviderError | None = None
    reason: Reason | None = Field(default=None, description="Where the host judged already; else `error` is judged.")
    position: str | None = Field(default=None, max_length=1000, description="The host's mark of where the sync stood.")


# In: commands.


class Register(Incoming):
    """A new connector."""

    tenant_id: TenantIdField
    provider: ProviderField
    name: NameField
    connected: bool = Field(default=False, description="The host has a working credential of its own.")


class Update(Incoming):
    """A connector's new name."""

    name: NameField


class StartReauth(Incoming):
    """Open an attempt; its handoff is fetched over HTTP, since a link that signs somebody in isn't for a topic."""

    attempt_id: UUID


class Disconnect(Incoming):
    """Take the connector off: its credential is shredded."""


class Delete(Incoming):
    """Delete the connector for good."""


# Out.


class Account(Outgoing):
    """What a connector is connected to at its provider."""

    id: str
    name: str


class Actor(Outgoing):
    """Who caused a transition."""

    kind: ActorKind
    id: str | None = None


class Evidence(Outgoing):
    """What the provider said, as far as it may be kept: never a body, never a token."""

    at: Literal["api", "token", "network", "callback"]
    status: int | None = None
    code: str | None = Field(default=None, description="The provider's own error code.")
    request_id: str | None = Field(default=None, description="The provider's request id (`intuit_tid`).")


class ConnectorState(Outgoing):
    """A connector as it stands: the compacted topic holds the newest of each."""

    connector_id: ConnectorIdField
    tenant_id: TenantIdField
    provider: ProviderField
    name: str
    state: State
    version: int = Field(ge=1, description="Counts the connector's transitions, without a gap.")
    since: datetime = Field(description="When it came into this state.")
    reason: Reason | None = Field(
        default=None, description="Why a person is needed, or would be if the attempt failed."
    )
    remedy: Remedy | None = None
    fallback: State | None = Field(default=None, description="Where a failed attempt returns to.")
    account: Account | None = None
    generation: int = Field(ge=0, description="The number of the current credential.")
    attempt_id: UUID | None = Field(default=None, description="The live attempt.")
    attempt_reason: Reason | None = Field(default=None, description="How the last attempt ended.")
    deadline: datetime | None = None
    failed_since: datetime | None = Field(default=None, description="The first failure since the last success.")
    last_success: datetime | None = None
    expires_at: datetime | None = Field(
        default=None, description="When the credential ends, once its owner was warned; it works until then."
    )
    expires_estimated: bool = Field(
        default=False, description="Whether that time is our estimate, since the provider told none."
    )


class Transition(Outgoing):
    """One transition of one connector."""

    connector_id: ConnectorIdField
    tenant_id: TenantIdField
    provider: ProviderField
    version: int = Field(ge=1)
    at: datetime = Field(description="When it was stored, by the database's clock.")
    from_: State = Field(alias="from")
    to: State
    trigger: Trigger
    reason: Reason | None = None
    origin: Origin | None = None
    remedy: Remedy | None = None
    step: Step | None = Field(default=None, description="The step of the re-authorisation that was reached.")
    replaced_step: Step | None = Field(
        default=None, description="How far the attempt came that a newer one replaces by this."
    )
    notice: Notice | None = Field(default=None, description="Whom this should wake, or silence.")
    link: str | None = Field(
        default=None,
        description="Where its owner signs in again, for the message that the notice asks for. It leads through the"
        " host's login to a fresh handoff whenever it is opened, and holds no secret.",
    )
    actor: Actor
    attempt_id: UUID | None = Field(default=None, description="The attempt that it belongs to.")
    expected_account: Account | None = None
    seen_account: Account | None = None
    evidence: Evidence | None = None
    connector: ConnectorState = Field(description="The connector afterwards.")


class SyncRequest(Outgoing):
    """Please sync this connector now, with this credential, from here on."""

    connector_id: ConnectorIdField
    tenant_id: TenantIdField
    provider: ProviderField
    version: int = Field(ge=1, description="The transition that asks.")
    generation: int = Field(ge=0, description="The credential to use; send it back in the sync events.")
    since: datetime | None = Field(description="The first failure since the last success, else the last success.")
    position: str | None = Field(description="The host's own mark from the first failure.")
    ask: int = Field(ge=1, description="How often this credential's sync was asked for.")
