"""A connector as the lifecycle sees it, and the rules (durations and counts) that a deployment sets."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from schemas.value import value


@value()
class Account:
    """What a connector is connected to at its provider, for example a QuickBooks company."""

    id: str
    name: str


@dataclass(slots=True)
class Connector:
    """Everything about one connector that a decision may depend on or change.

    `decide` works on a copy, so whoever holds a connector keeps what it holds.
    """

    id: ConnectorId
    state: State = State.ABSENT
    version: int = 0
    tenant: TenantId = TenantId("")
    provider: ProviderId = ProviderId("")
    name: str = ""
    account: Account | None = None
    generation: Generation = Generation(0)

    reason: Reason | None = None
    """Why a person is needed (or, while an attempt runs, would be needed if it failed)."""
    since: datetime | None = None
    """When the connector came into its state."""
    deadline: datetime | None = None
    """When the input for having waited too long is due, by the database's clock."""

    attempt: AttemptId | None = None
    """The live attempt."""
    fallback: State | None = None
    """Where a failed attempt returns to."""
    attempt_reason: Reason | None = None
    """How the last attempt ended."""
    last_attempt: AttemptId | None = None
    """The attempt that ended last without a grant."""
    help_asked: AttemptId | None = None
    """The last attempt of which the host was asked for help."""
    unavailable: int = 0
    """How often the provider couldn't be asked during this verification."""

    failed_since: datetime | None = None
    """The first failure since the last success: where the requested sync starts from."""
    position: str | None = None
    """The host's own mark of where that first failed sync stood."""
    last_run: datetime | None = None
    """The start of the newest sync run whose outcome is known, by the host's clock."""
    last_success: datetime | None = None
    last_command: datetime | None = None
    """When the newest command that came as a record was said, by the host's clock."""
    last_command_event: str | None = None
    """That record's event id."""
    swapped: datetime | None = None
    """When the current credential came into use."""
    transient_failures: int = 0
    """Failures that pass by themselves, since the last success."""
    sync_asks: int = 0
    """How often a sync with the current credential was asked for without an answer."""
    reminders: int = 0
    """Reminders sent since the connector failed."""
    expires_at: datetime | None = None
    """When the credential ends, once its owner was warned of it."""
    expires_estimated: bool = False
    """Whether that time is the description's, since the provider told none."""
    warned: datetime | None = None
    """The instant that the last warning of that end was due at."""
    warned_plan: int = 0
    """Which of the credential's ends that was, as they are counted."""

    def copied(self) -> "Connector":
        """Another one with the same values. Written out: `copy.copy` takes six times as long."""
        return Connector(
            self.id,
            self.state,
            self.version,
            self.tenant,
            self.provider,
            self.name,
            self.account,
            self.generation,
            self.reason,
            self.since,
            self.deadline,
            self.attempt,
            self.fallback,
            self.attempt_reason,
            self.last_attempt,
            self.help_asked,
            self.unavailable,
            self.failed_since,
            self.position,
            self.last_run,
            self.last_success,
            self.last_command,
            self.last_command_event,
            self.swapped,
            self.transient_failures,
            self.sync_asks,
            self.reminders,
            self.expires_at,
            self.expires_estimated,
            self.warned,
            self.warned_plan,
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things may take, and how often they are tried. A deployment's settings make one."""

    attempt_time: timedelta = timedelta(minutes=30)
    """From opening an attempt to the person's return."""
    verification_time: timedelta = timedelta(minutes=15)
    """From the return to the end of the checks."""
    sync_start_time: timedelta = timedelta(minutes=15)
    """From asking for a sync to its start or outcome."""
    sync_run_time: timedelta = timedelta(hours=6)
    """From a sync's start to its outcome."""
    sync_asks: int = 3
    """How often a sync is asked for before the connector fails with `sync_did_not_start`."""
    clock_skew: timedelta = timedelta(seconds=30)
    """How far the host's clock may be off: a run without a generation that began before the swap plus this is stale."""
    backoff_base: timedelta = timedelta(seconds=1)
    """The first pause before the provider is asked again; it doubles each time."""
    backoff_cap: timedelta = timedelta(minutes=1)
    """The longest pause before the provider is asked again."""
    sync_pause_base: timedelta = timedelta(minutes=1)
    """The first pause before a sync that failed transiently is asked for again; it doubles each time."""
    sync_pause_cap: timedelta = timedelta(hours=1)
    """The longest pause before such a sync is asked for again."""
    reminders: tuple[timedelta, ...] = field(
        default=(timedelta(days=1), timedelta(days=3), timedelta(days=7)),
    )
    """The pauses between a failure and the reminders for it, each counted from the one before."""
    expiry_warnings: tuple[timedelta, ...] = field(
        default=(timedelta(days=30), timedelta(days=14), timedelta(days=7), timedelta(days=1)),
    )
    """How long before the known end of a credential its owner is warned."""

    def backoff(self, tries: int) -> timedelta:
        """The pause after the provider couldn't be asked for the `tries`-th time."""
        return _doubled(self.backoff_base, tries, self.backoff_cap)

    def sync_pause(self, failures: int) -> timedelta:
        """The pause after a sync failed transiently for the `failures`-th time in a row."""
        return _doubled(self.sync_pause_base, failures, self.sync_pause_cap)


def _doubled(base: timedelta, times: int, cap: timedelta) -> timedelta:
    factor: int = 2 ** min(times - 1, 30)
    return min(base * factor, cap)
