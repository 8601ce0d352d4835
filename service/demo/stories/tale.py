"""What happened to one connector, told as inputs of the lifecycle: what the oracle is asked with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import Step
from schemas.reasons import Reason
from service.demo.deployment import QUICKBOOKS
from service.demo.host.app import TENANT
from statemachine import inputs
from statemachine.connector import Account
from statemachine.inputs import Input

_CONNECTOR = ConnectorId("oracle")


@dataclass(slots=True)
class Tale:
    """Inputs in order; each run begins later than the one before."""

    inputs: list[Input] = field(default_factory=list)
    generation: int = 0
    _attempt: AttemptId = field(default_factory=lambda: AttemptId(uuid4()))

    def registered(self) -> "Tale":
        return self._add(
            inputs.Register(
                connector=_CONNECTOR, tenant=TenantId(TENANT), provider=ProviderId(QUICKBOOKS), name="Books"
            )
        )

    def opened(self) -> "Tale":
        self._attempt = AttemptId(UUID(int=len(self.inputs)))
        return self._add(inputs.StartReauth(connector=_CONNECTOR, attempt=self._attempt))

    def came_back(self) -> "Tale":
        return self._add(inputs.GrantReceived(connector=_CONNECTOR, attempt=self._attempt))

    def verified(self) -> "Tale":
        self.generation += 1
        account = Account("1", "Books")
        return self._add(inputs.Verified(connector=_CONNECTOR, attempt=self._attempt, account=account))

    def interrupted(self) -> "Tale":
        return self._add(
            inputs.Rejected(
                connector=_CONNECTOR,
                attempt=self._attempt,
                reason=Reason.EXCHANGE_INTERRUPTED,
                step=Step.RETURNED,
            )
        )

    def cancelled(self) -> "Tale":
        return self._add(inputs.Cancelled(connector=_CONNECTOR, attempt=self._attempt))

    def synced(self) -> "Tale":
        at, generation = self._now(), Generation(self.generation)
        return self._add(inputs.SyncSucceeded(connector=_CONNECTOR, occurred=at, started=at, generation=generation))

    def refused(self) -> "Tale":
        at, generation = self._now(), Generation(self.generation)
        return self._add(
            inputs.SyncFailed(
                connector=_CONNECTOR, occurred=at, started=at, generation=generation, reason=Reason.TOKEN_REFUSED
            )
        )

    def disconnected(self) -> "Tale":
        return self._add(inputs.Disconnect(connector=_CONNECTOR))

    def deleted(self) -> "Tale":
        return self._add(inputs.Delete(connector=_CONNECTOR))

    def connected(self) -> "Tale":
        return self.registered().opened().came_back().verified().synced()

    def _add(self, input_: Input) -> "Tale":
        self.inputs.append(input_)
        return self

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(microseconds=len(self.inputs))
