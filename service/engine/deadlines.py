"""Deadlines become inputs: late or twice is harmless, since each carries the instant that it was set for."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from schemas.lifecycle import ActorKind, State, Step
from service.engine.door import Engine
from service.engine.submission import Actor, Busy, Submission
from service.store.due import Due
from service.store.pool import TRANSIENT
from statemachine.inputs import AuthExpired, Input, ReminderDue, SyncExpired, VerifyExpired

log = structlog.get_logger()

TICK_S = 0.5
CAP = 500
OTHERS_LATENESS = timedelta(seconds=2)
"""When another worker's deadlines are this late, its worker is gone: they are fired here."""


async def fire_deadlines(engine: Engine) -> None:
    """Fires deadlines until cancelled."""
    while True:
        try:
            late = await engine.store.due(sorted(engine.relayed), OTHERS_LATENESS, CAP)
            fired = await asyncio.gather(*(_fire(engine, one) for one in late))
            if len(fired) == CAP:
                continue
        except TRANSIENT as error:
            log.warning("deadlines_wait", error=type(error).__name__)
        await asyncio.sleep(TICK_S)


async def _fire(engine: Engine, one: Due) -> None:
    make = _INPUT_OF.get(one.state)
    if make is None:
        return  # the connector has moved on since it was read
    try:
        await engine.submit(Submission(input=make(one), actor=Actor(ActorKind.REGRANT, "deadline")))
    except Busy:
        return  # it is still due at the next tick


def _auth_expired(one: Due) -> Input:
    return AuthExpired(connector=one.connector, due=one.deadline, step=one.step or Step.LINK_OFFERED)


_INPUT_OF: dict[State, Callable[[Due], Input]] = {
    State.AWAITING_AUTH: _auth_expired,
    State.VERIFYING: lambda one: VerifyExpired(connector=one.connector, due=one.deadline),
    State.SYNCING: lambda one: SyncExpired(connector=one.connector, due=one.deadline),
    State.FAILED: lambda one: ReminderDue(connector=one.connector, due=one.deadline),
}
