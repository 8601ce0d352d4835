"""The registry: a story is a function with a number, a title and the platform that it plays on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from service.demo.stories.world import World

Tell: TypeAlias = Callable[[World], Awaitable[None]]

CALM, HASTY, MORTAL = "calm", "hasty", "mortal"
PLATFORMS: dict[str, dict[str, str]] = {
    # As an operator would run it.
    CALM: {},
    # Short deadlines, so that what takes hours is over in seconds.
    HASTY: {"attempt_time": "PT6S", "reminders": ",".join(["PT1S"] * 60)},
    # Its service is killed.
    MORTAL: {},
}


class When(Enum):
    """In which order a platform's stories are told."""

    FIRST = "first"  # it measures time, so nothing else should run
    SIDE_BY_SIDE = "side by side"
    LAST = "last"  # it does something to the provider that all others would feel


@dataclass(frozen=True, slots=True)
class Story:
    """One story."""

    number: int
    title: str
    tell: Tell
    platform: str
    when: When


STORIES: list[Story] = []


def story(number: int, title: str, *, platform: str = CALM, when: When = When.SIDE_BY_SIDE) -> Callable[[Tell], Tell]:
    """Registers a story. Several may share a number: parts of one story that are told side by side."""

    def register(tell: Tell) -> Tell:
        STORIES.append(Story(number, title, tell, platform, when))
        return tell

    return register
