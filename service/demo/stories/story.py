"""The registry: a story is a function with a number, a title and the platform that it plays on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Story:
    """One story. `alone`: it does something to the provider that all others would feel, so it is told after them."""

    number: int
    title: str
    tell: Tell
    platform: str
    alone: bool


STORIES: list[Story] = []


def story(number: int, title: str, *, platform: str = CALM, alone: bool = False) -> Callable[[Tell], Tell]:
    """Registers a story. Several may share a number: parts of one story that are told side by side."""

    def register(tell: Tell) -> Tell:
        STORIES.append(Story(number, title, tell, platform, alone))
        return tell

    return register
