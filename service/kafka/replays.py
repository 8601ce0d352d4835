"""Replays: dead letters that somebody wants read again go back to the topic and partition that they came from.

At least once: Kafka's word and the note of it are not one. Whatever is replayed may come twice, as every input may.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.dead_letters import REPLAY_OF, DeadLetterCode
from service.kafka.clients import stop
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import decode
from service.store import letters
from service.store.letters import LetterRow
from service.store.pool import TRANSIENT, Pool

log = structlog.get_logger()

POLL_S = 1.0
AT_ONCE = 20
SEND_LIMIT_S = 3.0
"""Less than a transaction may idle: its rows are free again for another worker after that."""


def fault_of(letter: LetterRow, prefix: str) -> tuple[DeadLetterCode, str] | None:
    """What this version finds wrong with a record; `None` where it can be read."""
    try:
        decode(letter.key, letter.value, letter.headers, topic=letter.topic.removeprefix(prefix))
    except BadRecord as bad:
        return bad.code, bad.detail
    return None


class Replayer:
    """Sends what somebody decided to replay, until cancelled."""

    def __init__(self, pool: Pool, make_producer: Callable[[], AIOKafkaProducer]) -> None:
        self._pool = pool
        self._make_producer = make_producer

    async def run(self) -> None:
        while True:
            try:
                if await self._is_wanted():
                    await self._send_all()
            except (KafkaError, TimeoutError, *TRANSIENT) as error:
                log.warning("replays_wait", error=type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def _is_wanted(self) -> bool:
        async with self._pool.acquire() as connection:
            return await letters.are_to_send(connection)

    async def _send_all(self) -> None:
        """With a producer of their own: replays are rare."""
        producer = self._make_producer()
        try:
            await producer.start()
            while await self._send_some(producer):
                pass
        finally:
            await stop(producer)

    async def _send_some(self, producer: AIOKafkaProducer) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            wanted = await letters.to_send(connection, AT_ONCE)
            for letter in wanted:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await producer.send_and_wait(
                        letter.topic,
                        value=letter.value,
                        key=letter.key,
                        partition=letter.partition,
                        headers=_headers(letter),
                    )
                await letters.sent(connection, letter.shard, letter.seq)
                log.info("dead_letter_replayed", topic=letter.topic, letter=f"{letter.shard}-{letter.seq}")
        return bool(wanted)


def _headers(letter: LetterRow) -> list[tuple[str, bytes]]:
    """The record's own, and which letter it is, so that one that fails again can be told apart."""
    own = [(name, value) for name, value in letter.headers if name != REPLAY_OF]
    return [*own, (REPLAY_OF, f"{letter.shard}-{letter.seq}".encode())]
