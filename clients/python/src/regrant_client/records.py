"""The data of the Kafka records."""

# Made by from_documents.py: don't edit.
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from regrant_client.bodies import Account, Actor, Evidence
from regrant_client.shape import Received, Sent
from regrant_client.words import Notice, Origin, Reason, Remedy, State, Step, Trigger


class ConnectorState(Received):
    """A connector as it stands: the compacted topic holds the newest of each."""

    connector_id: str
    """The host's id of the connector."""
    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    name: str
    state: State
    version: int
    """Counts the connector's transitions, without a gap."""
    since: AwareDatetime
    """When it came into this state."""
    reason: Reason | None = None
    """Why a person is needed, or would be if the attempt failed."""
    remedy: Remedy | None = None
    fallback: State | None = None
    """Where a failed attempt returns to."""
    account: Account | None = None
    generation: int
    """The number of the current credential."""
    attempt_id: UUID | None = None
    """The live attempt."""
    attempt_reason: Reason | None = None
    """How the last attempt ended."""
    deadline: AwareDatetime | None = None
    failed_since: AwareDatetime | None = None
    """The first failure since the last success."""
    last_success: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    """When the credential ends, once its owner was warned; it works until then."""
    expires_estimated: bool = False
    """Whether that time is our estimate, since the provider told none."""


class Delete(Sent):
    """Delete the connector for good."""


class Disconnect(Sent):
    """Take the connector off: its credential is shredded."""


class ProviderError(Sent):
    """A provider's refusal, as the sync engine got it. regrant judges it; its body is never stored or passed on."""

    at: Literal["api", "token", "network"]
    """Which call was refused, or that no answer came."""
    status: int | None = None
    """The HTTP status."""
    body: str = ""
    """The answer's body, as text."""
    request_id: str | None = None
    """The provider's request id (`intuit_tid`)."""
    retry_after_s: float | None = None
    """The answer's Retry-After, in seconds."""


class Register(Sent):
    """A new connector."""

    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    name: str
    """What people call the connector."""
    connected: bool = False
    """The host has a working credential of its own."""


class StartReauth(Sent):
    """Open an attempt; its handoff is fetched over HTTP, since a link that signs somebody in isn't for a topic."""

    attempt_id: UUID


class SyncFailed(Sent):
    """A sync run ended with an error: the provider's own answer, or a reason that the host knows."""

    started_at: AwareDatetime | None = None
    """When the run began, by the host's clock."""
    generation: int | None = None
    """The credential's generation that the run used, as its token or request told."""
    error: ProviderError | None = None
    reason: Reason | None = None
    """Where the host judged already; else `error` is judged."""
    position: str | None = None
    """The host's mark of where the sync stood."""


class SyncRequest(Received):
    """Please sync this connector now, with this credential, from here on."""

    connector_id: str
    """The host's id of the connector."""
    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    version: int
    """The transition that asks."""
    generation: int
    """The credential to use; send it back in the sync events."""
    since: AwareDatetime | None
    """The first failure since the last success, else the last success."""
    position: str | None
    """The host's own mark from the first failure."""
    ask: int
    """How often this credential's sync was asked for."""


class SyncStarted(Sent):
    """A sync run began."""

    started_at: AwareDatetime | None = None
    """When the run began, by the host's clock."""
    generation: int | None = None
    """The credential's generation that the run used, as its token or request told."""


class SyncSucceeded(Sent):
    """A sync run ended well."""

    started_at: AwareDatetime | None = None
    """When the run began, by the host's clock."""
    generation: int | None = None
    """The credential's generation that the run used, as its token or request told."""


class Transition(Received):
    """One transition of one connector."""

    connector_id: str
    """The host's id of the connector."""
    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    version: int
    at: AwareDatetime
    """When it was stored, by the database's clock."""
    from_: State = Field(alias="from")
    to: State
    trigger: Trigger
    reason: Reason | None = None
    origin: Origin | None = None
    remedy: Remedy | None = None
    step: Step | None = None
    """The step of the re-authorisation that was reached."""
    replaced_step: Step | None = None
    """How far the attempt came that a newer one replaces by this."""
    notice: Notice | None = None
    """Whom this should wake, or silence."""
    link: str | None = None
    """Where its owner signs in again, for the message that the notice asks for. It leads through the host's login
    to a fresh handoff whenever it is opened, and holds no secret.
    """
    actor: Actor
    attempt_id: UUID | None = None
    """The attempt that it belongs to."""
    expected_account: Account | None = None
    seen_account: Account | None = None
    evidence: Evidence | None = None
    connector: ConnectorState
    """The connector afterwards."""


class Update(Sent):
    """A connector's new name."""

    name: str
    """What people call the connector."""
