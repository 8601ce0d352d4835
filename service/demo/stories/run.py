"""Tells all stories, those that don't disturb each other side by side, and counts the log against the topic."""

import asyncio
import importlib
import pkgutil
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from schemas import channels
from service.demo import stories
from service.demo.platform import Platform
from service.demo.stories.report import Report
from service.demo.stories.story import PLATFORMS, STORIES, Story, When
from service.demo.stories.topics import Topics
from service.demo.stories.world import StoryStopped, World

__all__ = ["PLATFORMS", "run_stories"]

SIDE_BY_SIDE = 5
STORY_LIMIT_S = 150
LOG_LIMIT_S = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """A platform with what the stories look at."""

    platform: Platform
    topics: Topics
    database: "asyncpg.Pool[asyncpg.Record]"
    at_once: asyncio.Semaphore


async def run_stories(
    platforms: "Mapping[str, asyncio.Task[Platform]]", report: Report, measured: asyncio.Event
) -> None:
    """Tells every story once, as soon as its platform runs; sets `measured` when those that measure time are told.

    Whatever goes wrong in one is a failed assertion of it, and the others go on.
    """
    for module in pkgutil.iter_modules(stories.__path__):
        importlib.import_module(f"{stories.__name__}.{module.name}")
    async with asyncio.TaskGroup() as telling:
        for platform in platforms.values():
            telling.create_task(_tell_all_of(platform, report, measured))


async def _tell_all_of(starting: "asyncio.Task[Platform]", report: Report, measured: asyncio.Event) -> None:
    """The stories of one platform: what measures time, then the others side by side, then what would disturb them."""
    async with _stage(await starting) as stage:
        told = [one for one in sorted(STORIES, key=lambda one: one.number) if one.platform == stage.platform.name]
        for one in told:
            if one.when is When.FIRST:
                await _tell(one, stage, report)
        measured.set()
        async with asyncio.TaskGroup() as telling:
            for one in told:
                if one.when is When.SIDE_BY_SIDE:
                    telling.create_task(_tell(one, stage, report))
        for one in told:
            if one.when is When.LAST:
                await _tell(one, stage, report)
        await _count(stage, report)


@asynccontextmanager
async def _stage(platform: Platform) -> AsyncIterator[Stage]:
    deployment = platform.deployment
    topics = Topics(deployment.bootstrap, deployment.topic_prefix)
    following = asyncio.create_task(topics.follow())
    try:
        async with asyncpg.create_pool(deployment.dsn, min_size=1, max_size=6) as database:
            yield Stage(platform, topics, database, asyncio.Semaphore(SIDE_BY_SIDE))
    finally:
        if following.done():
            following.result()  # it broke, which is why the stories saw nothing more
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _tell(story: Story, stage: Stage, report: Report) -> None:
    world = World(str(story.number), stage.platform, stage.topics, stage.database, report)
    async with stage.at_once:
        try:
            async with asyncio.timeout(STORY_LIMIT_S):
                await story.tell(world)
        except StoryStopped:
            return  # the failed assertion is in the report
        except Exception as error:
            # The border of a story: whatever it was is a failure of this story, said with where it happened.
            report.note(world.story, False, story.title, _where(error))


def _where(error: BaseException) -> str:
    frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__}: {error} (at {' > '.join(frames[-4:])})"


async def _count(stage: Stage, report: Report) -> None:
    """The rows of the log against the distinct events on the topic: what is missing after a while is lost."""
    rows: int = await stage.database.fetchval("select count(*) from transition")
    try:
        async with asyncio.timeout(LOG_LIMIT_S):
            while len(stage.topics.event_ids(channels.TRANSITIONS)) < rows:
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass  # counted below
    first = min(seen.at for records in stage.topics.records[channels.TRANSITIONS.topic].values() for seen in records)
    report.timings[f"first transition of {stage.platform.name}, after the command"] = first - report.began
    report.add_log(rows, rows - len(stage.topics.event_ids(channels.TRANSITIONS)))
