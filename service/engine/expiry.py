"""Known ends become warnings: late or twice is harmless, since each carries the instant that it is due at."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from schemas.ids import ProviderId
from schemas.lifecycle import ActorKind, Ignored, State
from service.engine.door import Engine
from service.engine.submission import Actor, Busy, Submission
from service.store import expiry
from service.store.expiry import Ending
from service.store.pool import TRANSIENT, Pool
from statemachine.inputs import ExpiryMoved, ExpiryNear

log = structlog.get_logger()

TICK_S = 5.0
CAP = 500
PAUSE = timedelta(minutes=15)
"""When an end is looked at again whose connector isn't healthy just now, or whose look wasn't finished."""


async def warn_of_ends(engine: Engine, pool: Pool, announced: Mapping[ProviderId, datetime | None]) -> None:
    """Warns until cancelled. `announced` are the days on which providers end all grants."""
    prepared = False
    while True:
        try:
            if not prepared:
                await prepare(engine, pool, announced)
                prepared = True
            while await warn(engine, pool) == CAP:
                pass
        except TRANSIENT as error:
            log.warning("warnings_wait", error=type(error).__name__)
        await asyncio.sleep(TICK_S)


async def prepare(engine: Engine, pool: Pool, announced: Mapping[ProviderId, datetime | None]) -> None:
    """What the settings and the descriptions say today, for the credentials that are there already."""
    async with pool.acquire() as connection:
        await expiry.set_rule(connection, engine.rules.expiry_warnings)
        for provider, end in announced.items():
            await expiry.announce(connection, provider, end)


async def warn(engine: Engine, pool: Pool) -> int:
    """Looks at what is due once; returns at how many ends."""
    async with pool.acquire() as connection:
        endings = await expiry.take(connection, CAP, PAUSE)
    is_told = await asyncio.gather(*(_tell(engine, one) for one in endings))
    if told := [one for one, told in zip(endings, is_told, strict=True) if told]:
        async with pool.acquire() as connection:
            await expiry.done(connection, told)
    return len(endings)


async def _tell(engine: Engine, one: Ending) -> bool:
    """Whether there is nothing more to say until the next warning."""
    input_ = _input_of(one)
    if input_ is None:
        return True
    if one.state is not State.HEALTHY:
        return False  # it may be healthy again before the end
    try:
        receipt = await engine.submit(Submission(input=input_, actor=Actor(ActorKind.REGRANT, "expiry")))
    except Busy:
        return False
    return receipt.why is not Ignored.NOT_HEALTHY


def _input_of(one: Ending) -> ExpiryNear | ExpiryMoved | None:
    is_new_end = one.plan > one.warned_plan
    if one.due is None or one.ends_at is None:
        moved = one.ends_at is None or (one.warned_of is not None and one.ends_at > one.warned_of)
        if one.warned is None or not is_new_end or not moved:
            return None
        return ExpiryMoved(connector=one.connector, generation=one.generation, plan=one.plan)
    if one.warned is not None and one.due <= one.warned and not is_new_end:
        return None
    return ExpiryNear(
        connector=one.connector,
        generation=one.generation,
        plan=one.plan,
        expires_at=one.ends_at,
        estimated=one.estimated,
        due=one.due,
    )
