"""The inputs: anything that may change a connector, as plain values. One class a trigger, plain facts only."""

from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import Step, Trigger
from schemas.reasons import Reason
from schemas.value import value
from statemachine.connector import Account


@value(kw_only=True)
class _Input:
    connector: ConnectorId


@value(kw_only=True)
class Register(_Input):
    trigger: ClassVar = Trigger.REGISTER
    tenant: TenantId
    provider: ProviderId
    name: str
    connected: bool = False
    """Whether the host holds a working credential of its own already: then the connector starts healthy."""


@value(kw_only=True)
class _Command(_Input):
    """What the host wants done. A record may be delivered again, behind a newer one; a caller's word never is."""

    said: datetime | None = None
    """When the host said so, by its clock; `None` for a caller, who waits for the answer."""
    event: str | None = None
    """The id of the event that said so: of two commands of one instant, the repeat has the known id."""


@value(kw_only=True)
class Update(_Command):
    trigger: ClassVar = Trigger.UPDATE
    name: str


@value(kw_only=True)
class _SyncInput(_Input):
    """What every word about a sync run carries."""

    occurred: datetime
    """When the host saw it, by the host's clock."""
    started: datetime | None = None
    """When the run began, by the host's clock."""
    generation: Generation | None = None
    """The credential that the run used, where the host can tell."""

    @property
    def run(self) -> datetime:
        """What orders the runs of one connector, by the host's clock."""
        return self.started or self.occurred


@value(kw_only=True)
class SyncStarted(_SyncInput):
    trigger: ClassVar = Trigger.SYNC_STARTED


@value(kw_only=True)
class SyncSucceeded(_SyncInput):
    trigger: ClassVar = Trigger.SYNC_SUCCEEDED


@value(kw_only=True)
class SyncFailed(_SyncInput):
    trigger: ClassVar = Trigger.SYNC_FAILED
    reason: Reason
    position: str | None = None


@value(kw_only=True)
class RefreshRejected(_Input):
    trigger: ClassVar = Trigger.REFRESH_REJECTED
    generation: Generation
    reason: Reason


@value(kw_only=True)
class StartReauth(_Command):
    trigger: ClassVar = Trigger.START_REAUTH
    attempt: AttemptId
    replaced: Step | None = None
    """How far the live attempt came, where there is one: this one takes its place."""


@value(kw_only=True)
class _AttemptInput(_Input):
    attempt: AttemptId
    """The attempt that it comes from."""


@value(kw_only=True)
class GrantReceived(_AttemptInput):
    trigger: ClassVar = Trigger.GRANT_RECEIVED


@value(kw_only=True)
class GrantRefused(_AttemptInput):
    trigger: ClassVar = Trigger.GRANT_REFUSED
    reason: Reason


@value(kw_only=True)
class Cancelled(_AttemptInput):
    trigger: ClassVar = Trigger.CANCELLED
    step: Step = Step.LINK_OFFERED
    reason: Reason = Reason.CANCELLED


@value(kw_only=True)
class HandedOn(_AttemptInput):
    trigger: ClassVar = Trigger.HANDED_ON


@value(kw_only=True)
class Explained(_AttemptInput):
    trigger: ClassVar = Trigger.EXPLAINED
    reason: Reason


@value(kw_only=True)
class HelpAsked(_AttemptInput):
    trigger: ClassVar = Trigger.HELP_ASKED
    step: Step
    """How far the attempt came."""


@value(kw_only=True)
class Verified(_AttemptInput):
    trigger: ClassVar = Trigger.VERIFIED
    account: Account


@value(kw_only=True)
class GrantShared(_AttemptInput):
    trigger: ClassVar = Trigger.GRANT_SHARED
    account: Account
    generation: Generation
    """The connector's own, as it was when the grant was copied for it."""


@value(kw_only=True)
class VerifiedAgain(_Input):
    trigger: ClassVar = Trigger.VERIFIED_AGAIN
    generation: Generation
    """The credential that the provider was asked about."""
    reason: Reason | None = None
    """What the provider has against it, or why it couldn't be asked; `None`: it is right."""


@value(kw_only=True)
class Rejected(_AttemptInput):
    trigger: ClassVar = Trigger.REJECTED
    reason: Reason
    step: Step
    """The last step that was reached."""
    seen: Account | None = None
    """The account that the grant is of, where it isn't the expected one."""


@value(kw_only=True)
class ProviderUnavailable(_AttemptInput):
    trigger: ClassVar = Trigger.PROVIDER_UNAVAILABLE
    reason: Reason
    retry_after: timedelta | None = None
    """How long the provider asked to be left alone."""


@value(kw_only=True)
class _DeadlineInput(_Input):
    due: datetime
    """The instant that the deadline was set for: an input for another one no longer matters."""


@value(kw_only=True)
class AuthExpired(_DeadlineInput):
    trigger: ClassVar = Trigger.AUTH_EXPIRED
    step: Step = Step.LINK_OFFERED
    """How far the person came."""


@value(kw_only=True)
class VerifyExpired(_DeadlineInput):
    trigger: ClassVar = Trigger.VERIFY_EXPIRED


@value(kw_only=True)
class SyncExpired(_DeadlineInput):
    trigger: ClassVar = Trigger.SYNC_EXPIRED


@value(kw_only=True)
class ReminderDue(_DeadlineInput):
    trigger: ClassVar = Trigger.REMINDER_DUE


@value(kw_only=True)
class _ExpiryInput(_Input):
    generation: Generation
    plan: int
    """Counts the ends of this credential: what is said of a former one no longer matters."""


@value(kw_only=True)
class ExpiryNear(_ExpiryInput):
    trigger: ClassVar = Trigger.EXPIRY_NEAR
    expires_at: datetime
    """When the credential ends."""
    estimated: bool
    """Whether that time is the description's, since the provider told none."""
    due: datetime
    """The instant that the warning is due at: a repeat names the same, and is known by it."""


@value(kw_only=True)
class ExpiryMoved(_ExpiryInput):
    trigger: ClassVar = Trigger.EXPIRY_MOVED


@value(kw_only=True)
class Restored(_Input):
    """After a restore from a backup: what the topics show of the time that the database has lost."""

    trigger: ClassVar = Trigger.RESTORED
    version: int
    """The newest that was shown."""
    generation: Generation
    """Of the credential then."""


@value(kw_only=True)
class Disconnect(_Command):
    trigger: ClassVar = Trigger.DISCONNECT


@value(kw_only=True)
class Delete(_Input):
    trigger: ClassVar = Trigger.DELETE


Input: TypeAlias = (
    Register
    | Update
    | SyncStarted
    | SyncSucceeded
    | SyncFailed
    | RefreshRejected
    | StartReauth
    | GrantReceived
    | GrantRefused
    | Cancelled
    | AuthExpired
    | HandedOn
    | Explained
    | HelpAsked
    | Verified
    | GrantShared
    | VerifiedAgain
    | Rejected
    | ProviderUnavailable
    | VerifyExpired
    | SyncExpired
    | ReminderDue
    | ExpiryNear
    | ExpiryMoved
    | Restored
    | Disconnect
    | Delete
)
