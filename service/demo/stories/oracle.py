"""The oracle: what the lifecycle's table alone says that a list of inputs leads to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.ids import ConnectorId
from schemas.lifecycle import Outcome, State
from statemachine.connector import Connector
from statemachine.decide import decide
from statemachine.inputs import Input


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a connector ends, and the states of the transitions on the way."""

    connector: Connector
    path: tuple[State, ...]


def expected(inputs: Iterable[Input]) -> Expected:
    """Each input once, in order, from nothing. Only what doesn't hang on the clock may be compared."""
    connector, path = Connector(ConnectorId("oracle")), []
    for input_ in inputs:
        decision = decide(connector, input_, datetime.now(UTC))
        connector = decision.connector
        if decision.outcome is Outcome.TRANSITION:
            path.append(connector.state)
    return Expected(connector, tuple(path))
