"""`regrant republish`: both output topics once more, from the log, for a Kafka that has lost them, or a new one."""

from collections.abc import Callable
from functools import partial

from service.kafka.clients import make_producer
from service.kafka.published import Publication
from service.kafka.republish import Republisher
from service.settings import Settings
from service.store import republish as stored
from service.store.pool import open_pool


async def republish(settings: Settings, say: Callable[[str], None], *, new_cluster: bool, rate: float) -> None:
    """Publishes the log and the states once more, at most `rate` records a second. Raises `CannotRepublish`.

    With `new_cluster` the offsets of the former cluster's inputs are forgotten: the new one's are read from their
    beginning.
    """
    pool = await open_pool(settings.database.dsn.reveal(), size=2)
    try:
        async with pool.acquire() as connection:
            if not await stored.begin(connection, new_cluster=new_cluster):
                say("goes on with one that was interrupted")
        publication = Publication(settings.kafka.topic_prefix, settings.http.public_url)
        await Republisher(pool, publication, partial(make_producer, settings.kafka), rate, say).run()
    finally:
        await pool.close()
