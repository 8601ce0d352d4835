"""The arrows of the table: which state leads to which other by a published transition, and by which triggers."""

from schemas.lifecycle import Outcome, State, Trigger
from statemachine.table import TABLE


def arrows() -> dict[tuple[State, State], tuple[Trigger, ...]]:
    """Each pair of different states that a transition leads between, with its triggers in the table's order."""
    found: dict[tuple[State, State], list[Trigger]] = {}
    for row in TABLE:
        if row.outcome is not Outcome.TRANSITION or row.to is None:
            continue
        for source in row.sources:
            triggers = found.setdefault((source, row.to), [])
            if source is not row.to and row.trigger not in triggers:
                triggers.append(row.trigger)
    return {pair: tuple(triggers) for pair, triggers in found.items() if triggers}
