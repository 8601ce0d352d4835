"""The decision: what an input does to a connector, by the table."""

from datetime import datetime

from schemas.lifecycle import Ignored, Notice, Outcome, Refused, State, Step
from schemas.reasons import Reason
from schemas.value import value
from statemachine.actions import Draft
from statemachine.connector import Account, Connector, Rules
from statemachine.effects import Effect
from statemachine.inputs import Input
from statemachine.machine import chosen


@value()
class Decision:
    """What follows from one input, as data."""

    outcome: Outcome
    connector: Connector
    """The connector afterwards; the very one that was given where nothing changed."""
    source: State
    """The state before."""
    why: Ignored | Refused | None = None
    reason: Reason | None = None
    step: Step | None = None
    replaced: Step | None = None
    notice: Notice | None = None
    expected: Account | None = None
    seen: Account | None = None
    effects: tuple[Effect, ...] = ()


_DEFAULT_RULES = Rules()


def decide(connector: Connector, input_: Input, now: datetime, rules: Rules = _DEFAULT_RULES) -> Decision:
    """What `input_` does to `connector` at the instant `now` (the database's clock, with a time zone).

    Pure: the connector that is given stays as it is.
    """
    row = chosen(connector, input_, rules)
    if not row.actions and row.to is None:
        return Decision(row.outcome, connector, connector.state, row.why)
    draft = Draft(connector.copied(), now, rules)
    after = draft.connector
    if row.outcome is Outcome.TRANSITION:
        after.version += 1
        if row.to is not None:
            after.state, after.since, after.deadline = row.to, now, None
    for action in row.actions:
        action(draft, input_)
    return Decision(
        row.outcome,
        after,
        connector.state,
        reason=draft.reason,
        step=draft.step,
        replaced=draft.replaced,
        notice=draft.notice,
        expected=draft.expected,
        seen=draft.seen,
        effects=tuple(draft.effects),
    )
