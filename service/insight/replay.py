"""A support bundle told again from its own records, without any database: the paragraph, the path, the timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.bundle import Chapter, SupportBundle
from schemas.lifecycle import State, Trigger
from schemas.reasons import Reason
from schemas.story import Why
from service.insight.answers import chapters_body, why_body
from service.insight.entries import connector_of_record, in_order, of_note, of_record
from service.insight.names import Names, ProviderNames
from service.insight.timeline import timeline
from service.insight.why import why
from statemachine.connector import Connector


@dataclass(frozen=True, slots=True)
class PathStep:
    """One transition of the path."""

    version: int
    at: datetime
    source: State
    to: State
    trigger: Trigger
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Replay:
    """The story, as the bundle's log tells it."""

    why: Why
    is_the_same: bool
    """Whether the log tells what the bundle's own paragraph says."""
    steps: Sequence[PathStep]
    timeline: Sequence[Chapter]


def replayed(made: SupportBundle) -> Replay:
    """Tells it again, by today's words."""
    connector = _connector(made)
    records = [of_record(one.transition, one.trace) for one in made.log]
    entries = in_order([*records, *map(of_note, made.notes)])
    provider = made.provider
    names = Names.of(connector, ProviderNames(provider.title, provider.account_word, provider.admin_word))
    told = why(connector, entries, names)
    steps = [
        PathStep(entry.version, entry.at, entry.source, entry.to, entry.trigger, entry.reason)
        for entry in entries
        if entry.version is not None and entry.source is not None and entry.to is not None
    ]
    return Replay(
        why_body(connector.id, told),
        told.from_the_log == made.why.from_the_log,
        steps,
        chapters_body(timeline(entries, names)),
    )


def _connector(made: SupportBundle) -> Connector:
    """The connector as the bundle holds it, with what only observations change."""
    told = made.connector
    connector = connector_of_record(told.model_dump(mode="json"))
    connector.transient_failures, connector.unavailable = told.transient_failures, told.unavailable
    connector.sync_asks, connector.reminders = told.sync_asks, told.reminders
    connector.swapped = told.swapped_at
    return connector
