"""Why is it in this state? One paragraph for support: what happened first, what was tried since, what is awaited now.

Made from the log alone, so that it is the same from the database, the topic and a support bundle. What the log doesn't
hold (observations, how far the person is) stands in sentences of its own, marked as such.
"""

from collections.abc import Callable, Sequence

from schemas.lifecycle import State
from service.insight.at_rest import tell_absent, tell_deleted, tell_disconnected, tell_failed
from service.insight.at_work import tell_awaiting, tell_healthy, tell_syncing, tell_verifying
from service.insight.entries import Entry
from service.insight.names import Names
from service.insight.paragraph import Glimpse, Story, Why
from statemachine.connector import Connector

__all__ = ["Glimpse", "Why", "why"]


def why(connector: Connector, entries: Sequence[Entry], names: Names, glimpse: Glimpse | None = None) -> Why:
    """Why the connector is in its state.

    `entries` is its log, oldest first, with or without notes; it may begin late, where older parts are no longer kept.
    """
    log = [entry for entry in entries if entry.after is not None]
    notes = [entry for entry in entries if entry.after is None]
    story = Story(connector, log, notes, names, glimpse if glimpse and glimpse.attempt == connector.attempt else None)
    _TELLERS[connector.state](story)
    return story.told()


_TELLERS: dict[State, Callable[[Story], None]] = {
    State.ABSENT: tell_absent,
    State.HEALTHY: tell_healthy,
    State.FAILED: tell_failed,
    State.AWAITING_AUTH: tell_awaiting,
    State.VERIFYING: tell_verifying,
    State.SYNCING: tell_syncing,
    State.DISCONNECTED: tell_disconnected,
    State.DELETED: tell_deleted,
}
