"""`regrant dlq`: dead letters, what is wrong with each in words, and what somebody decides of them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from schemas import fleet as bodies
from schemas.fleet import LetterStatus
from service.insight.letters import explain, key_of, shown
from service.kafka.replays import fault_of
from service.oauth.configured import configured_providers
from service.settings import Settings
from service.store import letters as store
from service.terminal.database import connected
from service.terminal.tables import bold, table, when, wrapped


class UnknownLetter(Exception):
    """There is no such dead letter."""

    def __init__(self, id_: str) -> None:
        super().__init__(f"there is no dead letter {id_!r}: `regrant dlq list` shows those that there are")


class Settled(Exception):
    """Somebody has decided on it before."""

    def __init__(self, letter: bodies.LetterExplained) -> None:
        super().__init__(f"{letter.letter_id} is {letter.status} already, by {letter.decided_by}")


async def listed(settings: Settings, status: LetterStatus | None, most: int) -> bodies.Letters:
    """The newest letters of which this became."""
    before = (datetime.now(UTC) + timedelta(days=1), 0, 0)
    async with connected(settings) as connection:
        found, _ = await store.letters(connection, before, None, status, most)
    return bodies.Letters(letters=[bodies.Letter.model_validate(shown(one)) for one in found])


async def explained(settings: Settings, id_: str) -> bodies.LetterExplained:
    """A letter in words. Raises `UnknownLetter`."""
    key = key_of(id_)
    if key is None:
        raise UnknownLetter(id_)
    reads = partial(fault_of, prefix=settings.kafka.topic_prefix)
    async with connected(settings) as connection:
        found = await explain(connection, *key, reads, configured_providers(settings))
    if found is None:
        raise UnknownLetter(id_)
    return found


async def decided(settings: Settings, id_: str, fate: Literal["replay", "drop"], who: str) -> bodies.LetterExplained:
    """Decides what becomes of a letter. Raises `UnknownLetter`, or `Settled` where somebody was sooner."""
    letter = await explained(settings, id_)
    key = key_of(id_)
    assert key is not None
    async with connected(settings) as connection:
        done = await store.decide(connection, *key, fate, who)
    if not done:
        raise Settled(letter)
    return await explained(settings, id_)


def printed_list(told: bodies.Letters) -> list[str]:
    """A line a letter, the newest first."""
    if not told.letters:
        return ["no dead letters"]
    head = ("letter", "when", "what is wrong", "where", "connector", "status")
    rows = [
        (one.letter_id, when(one.at), one.code, one.detail, one.connector_id or "-", one.status) for one in told.letters
    ]
    return table(head, rows)


def printed(told: bodies.LetterExplained) -> list[str]:
    """A letter for people."""
    decision = f", by {told.decided_by} on {when(told.decided_at)}" if told.decided_at else ""
    return [
        f"{bold(told.letter_id)} is {told.status}{decision}",
        f"from {told.topic}, partition {told.partition}, offset {told.offset}, on {when(told.at)}",
        f"about {told.connector_id or 'no connector'}, {told.type or 'of no type that can be read'}",
        *([f"a replay of {told.replay_of}"] if told.replay_of else []),
        "",
        *wrapped(told.words),
        *([f"wrong: {', '.join(told.fields)}"] if told.fields else []),
        *wrapped(f"next: {told.next}"),
    ]
