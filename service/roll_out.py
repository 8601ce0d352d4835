"""`regrant migrate`: the database and the topics of this version, what is to come, and the same for a DBA."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from service.help.passages import edition
from service.kafka.clients import make_admin
from service.kafka.topics import ensure_topics
from service.settings import Settings
from service.store import migrate as migrations
from service.store import passages
from service.store.migrate import Step
from service.store.pool import Connection


class TopicsUnfit(Exception):
    """The topics aren't as they must be; the message names each and how to mend it."""


async def migrate(settings: Settings, *, post: bool = False) -> list[str]:
    """Brings the database and the topics to this version; returns what was done, in lines.

    With `post` it does what waits until no process of an older version runs. Raises `CannotMigrate` and `TopicsUnfit`.
    """
    async with _connected(settings) as connection:
        applied = await migrations.migrate(connection, shards=settings.shards, post=post)
        lines = [f"applied {name}" for name in applied]
        await passages.keep(connection, edition())
    if not post:
        lines += await _topics(settings)
    return lines or ["nothing to do"]


async def script(settings: Settings, *, post: bool = False) -> str:
    """What `migrate` would run on the database now, for psql."""
    async with _connected(settings) as connection:
        blocks = await migrations.plan(connection, shards=settings.shards, post=post)
    return migrations.script(blocks) if blocks else "-- nothing to do"


async def planned(settings: Settings) -> list[Step]:
    """All migrations of this version, and when each was applied here."""
    async with _connected(settings) as connection:
        return await migrations.steps(connection)


def printed(steps: Sequence[Step]) -> list[str]:
    """The migrations for people, a line each."""
    width = max(len(step.migration.name) for step in steps)
    return [f"{s.migration.name:<{width}}  {s.applied:%Y-%m-%d %H:%M}" if s.applied else _to_come(s) for s in steps]


def _to_come(step: Step) -> str:
    when = "regrant migrate" if step.migration.phase == "pre" else "regrant migrate --post, after the roll-out"
    return f"{step.migration.name}  to come: {when}"


def as_json(steps: Sequence[Step]) -> str:
    """The same for programs."""
    told = [
        {"name": s.migration.name, "phase": s.migration.phase, "applied": s.applied.isoformat() if s.applied else None}
        for s in steps
    ]
    return json.dumps(told, indent=2)


async def _topics(settings: Settings) -> list[str]:
    kafka = settings.kafka
    admin = make_admin(kafka)
    await admin.start()
    try:
        findings = await ensure_topics(
            admin, settings.shards, kafka.replication, kafka.create_topics, kafka.topic_prefix
        )
    finally:
        await admin.close()
    if faults := [f"{finding.topic} {finding.sentence}" for finding in findings if finding.is_fault]:
        raise TopicsUnfit("; ".join(faults))
    return [f"{finding.topic} {finding.sentence}" for finding in findings]


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Connection]:
    """A connection without the limits of those that serve: a migration takes its time."""
    connection = await asyncpg.connect(settings.database.dsn.reveal(), timeout=10)
    try:
        yield connection
    finally:
        await connection.close()
