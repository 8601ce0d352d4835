"""Jobs: durable work with the outside, never inside a transaction, always under a lease.

Whoever commits a job runs it at once; any other process takes it over when the lease ends. A handler hands its result
in as a submission with the lease, or ends the job itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeAlias

import orjson
import structlog

from service.engine.door import Engine
from service.engine.submission import Busy, LeaseLost
from service.store.due import Job
from service.store.pool import TRANSIENT
from service.telemetry import metrics, traces
from service.vault.keys import NoKey

log = structlog.get_logger()

Handler: TypeAlias = Callable[[Job], Awaitable[None]]

LEASE = timedelta(seconds=10)
"""How soon another process takes over from one that died. A handler that runs on has its lease renewed."""
RENEW_EVERY_S = 3.0
HANDLER_LIMIT = timedelta(seconds=60)
"""Its calls to the outside are capped at 10 s each."""
POLL_S = 0.5
CONCURRENCY = 32

_PASSES: tuple[type[BaseException], ...] = (Busy, NoKey, *TRANSIENT)


async def run_jobs(engine: Engine, handlers: Mapping[str, Handler]) -> None:
    """Runs jobs until cancelled; those under way are given the time to end."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            room = CONCURRENCY - len(running)
            leased = await _lease(engine, room) if room else []
            for job in leased:
                task = asyncio.create_task(_run(engine, handlers[job.kind], job), name=f"job-{job.kind}-{job.id}")
                running.add(task)
                task.add_done_callback(running.discard)
            if not leased:
                await engine.job_wanted.wait(POLL_S)
    finally:
        await asyncio.gather(*running)


async def _lease(engine: Engine, room: int) -> list[Job]:
    try:
        return await engine.store.lease_jobs(room, LEASE)
    except TRANSIENT as error:
        log.warning("jobs_wait", error=type(error).__name__)
        return []


async def _run(engine: Engine, handler: Handler, job: Job) -> None:
    """Runs one job. Whatever goes wrong, the job stays: it is tried again, later each time."""
    outcome = "broke"
    renewing = asyncio.create_task(_keep_lease(engine, job), name=f"lease-{job.id}")
    try:
        async with asyncio.timeout(HANDLER_LIMIT.total_seconds()):
            parent = orjson.loads(job.trace).get("traceparent") if job.trace else None
            about: traces.Attributes = {"regrant.connector_id": job.connector, "regrant.tries": job.tries}
            with (
                metrics.JOBS_RUNNING.track_inprogress(),
                traces.span(f"job {job.kind}", parent=parent, attributes=about),
            ):
                await handler(job)
        outcome = "done"
    except LeaseLost:
        outcome = "lost"
        log.info("job_lease_lost", kind=job.kind, job=job.id)
    except _PASSES as error:
        outcome = "waits"
        log.warning("job_waits", kind=job.kind, job=job.id, error=type(error).__name__)
        await _postpone(engine, job)
    except Exception:
        log.exception("job_broke", kind=job.kind, job=job.id)
        await _postpone(engine, job)
    finally:
        metrics.JOBS.labels(job.kind, outcome).inc()
        renewing.cancel()


async def _keep_lease(engine: Engine, job: Job) -> None:
    """Renews the lease until cancelled. A lease that is lost stops nothing: no result under it counts."""
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        try:
            await engine.store.renew(job, LEASE)
        except TRANSIENT as error:
            log.warning("lease_not_renewed", job=job.id, error=type(error).__name__)


async def _postpone(engine: Engine, job: Job) -> None:
    try:
        await engine.store.postpone(job, timedelta(seconds=min(2**job.tries, 300)))
    except TRANSIENT as error:
        log.warning("job_left_to_its_lease", job=job.id, error=type(error).__name__)
