"""What is handed to the engine, and what it answers."""

from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind, Ignored, Outcome, Refused, Trigger
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from schemas.value import value
from statemachine.connector import Connector
from statemachine.inputs import Input


@value(kw_only=True)
class ReportedFailure:
    """A failed sync whose error is still to be judged: its provider is known once the connector is loaded."""

    trigger: ClassVar = Trigger.SYNC_FAILED
    connector: ConnectorId
    occurred: datetime
    started: datetime | None
    generation: Generation | None
    position: str | None
    error: ProviderError


@value()
class Judgement:
    """What a provider's error means."""

    reason: Reason
    evidence: Evidence


@value()
class Actor:
    """Who caused an input."""

    kind: ActorKind
    id: str | None = None


@value()
class Trace:
    """What ties an input to what came before it; passed on to everything that it causes."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


@value(kw_only=True)
class NewAttempt:
    """Beside `StartReauth`: for whom the attempt is opened. Hashes are SHA-256."""

    person_id: str | None = None
    person_name: str | None = None
    return_url: str | None = None
    browser_hash: bytes | None = None
    """Of the window that goes on with a new attempt."""


@value(kw_only=True)
class NewHandoff:
    """Beside `HandedOn`: the link's hash, and for whom it is. Without an id it is for nobody whom the host knows."""

    hash: bytes
    person_id: str | None
    person_name: str
    lifetime: timedelta


@value(kw_only=True)
class ReceivedCode:
    """Beside `GrantReceived`: the sealed authorization code, and the account that the callback claims."""

    sealed: bytes
    data_key: int
    claimed_account: str | None


@value()
class JobLease:
    """Under which lease a job's result was made: it counts, and ends the job, only while the lease holds."""

    job: int
    token: str


@value(kw_only=True)
class Submission:
    """One input with everything that must be stored together with what it causes."""

    input: Input | ReportedFailure
    actor: Actor
    tenant: TenantId | None = None
    """The caller's tenant: a connector of another tenant is unknown to it."""
    if_version: int | None = None
    """The version that the caller has seen (`If-Match`)."""
    evidence: Evidence | None = None
    attachment: NewAttempt | NewHandoff | ReceivedCode | None = None
    lease: JobLease | None = None
    trace: Trace = Trace()


@value()
class Receipt:
    """What became of a submission. It is stored when this is answered."""

    outcome: Outcome
    connector: Connector
    why: Ignored | Refused | None = None
    attempt: AttemptId | None = None


class Busy(Exception):
    """The shard's queue is full; try again in a moment."""


class LeaseLost(Exception):
    """Somebody else took the job over, so this result of it no longer counts."""


class Door(Protocol):
    """What hands inputs in: the engine, or what speaks to it."""

    async def submit(self, submission: Submission) -> Receipt:
        """As `Engine.submit`."""
        ...


class ProviderPort(Protocol):
    """What the engine asks about providers; the oauth room answers."""

    def knows(self, provider: ProviderId) -> bool:
        """Whether this deployment has the provider."""
        ...

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        """What a provider's error means, by the provider's description."""
        ...
