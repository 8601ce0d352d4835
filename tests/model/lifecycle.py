"""Three states of the lifecycle, and three triggers: enough to have versions, observations, attempts and deadlines.

`test_r03_model_is_the_code.py` holds every cell against `statemachine.table`.
"""

from typing import NamedTuple

HEALTHY, FAILED, AWAITING = "healthy", "failed", "awaiting_auth"
SYNC_FAILED, START_REAUTH, AUTH_EXPIRED = "sync_failed", "start_reauth", "auth_expired"

TRANSITION, OBSERVATION, IGNORED = "transition", "observation", "ignored"


class Connector(NamedTuple):
    """A connector's row. `revision` counts every write, `version` the transitions."""

    state: str
    fallback: str | None = None
    attempt: int | None = None
    deadline: int | None = None
    """The instant it was set for; each setting has one of its own, so the version that set it stands for it."""
    version: int = 1
    revision: int = 1


class Input(NamedTuple):
    """What may change a connector."""

    cause: str
    """Where it came from: a record, the caller, a deadline."""
    trigger: str
    connector: int
    attempt: int | None = None
    due: int | None = None
    """The instant that a deadline's input was set for."""

    @property
    def is_record(self) -> bool:
        return self.cause.startswith("record")


def decide(c: Connector, i: Input, *, instant_matters: bool = True) -> tuple[str, Connector]:
    """What an input does: its outcome, and the connector afterwards."""
    match c.state, i.trigger:
        case "healthy", "sync_failed":
            return _moves(c, FAILED)
        case "failed", "sync_failed":
            return OBSERVATION, c
        case "awaiting_auth", "sync_failed":
            return (OBSERVATION, c) if c.fallback == FAILED else _moves(c._replace(fallback=FAILED), AWAITING)
        case "awaiting_auth", "start_reauth" if c.attempt == i.attempt:
            return IGNORED, c
        case state, "start_reauth":
            fallback = c.fallback if state == AWAITING else state
            opened = c._replace(fallback=fallback, attempt=i.attempt, deadline=c.version + 1)
            return _moves(opened, AWAITING)
        case "awaiting_auth", "auth_expired" if c.deadline == i.due or not instant_matters:
            assert c.fallback is not None
            return _moves(c._replace(fallback=None, attempt=None, deadline=None), c.fallback)
        case _, "auth_expired":
            return IGNORED, c
    raise AssertionError(f"{c.state} on {i.trigger}")


def _moves(c: Connector, to: str) -> tuple[str, Connector]:
    return TRANSITION, c._replace(state=to, version=c.version + 1)
