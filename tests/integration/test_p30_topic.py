"""P30: an independent reader of the topic counts what the API's answers say; replays of records change nothing."""

import asyncio
import random
from collections import Counter as Tally
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from schemas import channels
from schemas.lifecycle import Step
from service.engine.tail import Tail
from service.insight import fleet, funnel
from service.insight.counting import Counter
from service.kafka.clients import make_admin, make_producer
from service.kafka.published import Publication
from service.kafka.relay import Relay
from service.kafka.topics import ensure_topics
from service.settings.model import Kafka
from tests.fleets import SHARDS, Herd, engine_on, recounted
from tests.loop import Topics, eventually

DAY = timedelta(days=1)


@pytest.mark.parametrize("seed", [30, 31])
async def test_p30_whoever_counts_the_topics_records_finds_what_the_answers_say(
    database: str, kafka_bootstrap: str, topic_prefix: str, seed: int
) -> None:
    kafka = Kafka(bootstrap=(kafka_bootstrap,), topic_prefix=topic_prefix)
    admin = make_admin(kafka)
    await admin.start()
    await ensure_topics(admin, SHARDS, kafka.replication, True, topic_prefix)
    await admin.close()
    topics, make = Topics(kafka_bootstrap, topic_prefix), partial(make_producer, kafka)
    async with engine_on(database) as (engine, pool), topics.followed():
        herd, publication = Herd(engine, pool, random.Random(seed)), Publication(topic_prefix, "http://127.0.0.1")

        def publish() -> list["asyncio.Task[None]"]:
            relays = [Relay(shard, engine.store, publication, make, Tail()) for shard in engine.tails]
            return [asyncio.create_task(relay.run()) for relay in relays]

        def published() -> int:
            records = topics.records[channels.TRANSITIONS.topic].values()
            return len({(r.key, dict(r.headers)["ce_id"]) for of_one in records for r in of_one})

        publishing = publish()
        await herd.live(300)
        moved = "select bool_and(published_seq > 0) from shard"
        await eventually(lambda: pool.fetchval(moved), "each shard has published something", patience_s=60)
        for task in publishing:  # as when a worker dies: its successor publishes some of it again
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
        await pool.execute("update shard set published_seq = greatest(published_seq - 20, 0)")
        publishing = publish()
        await herd.live(200)
        logged = await pool.fetchval("select count(*) from transition")
        await eventually(lambda: published() == logged, "all of the log is published", patience_s=60)
        for task in publishing:
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)

        keys = topics.records[channels.TRANSITIONS.topic]
        records = [record for key in keys for record in topics.data(channels.TRANSITIONS, key)]
        assert len(records) > logged, "some came twice"
        found, now = recounted(records), datetime.now(UTC)
        told = await funnel.funnel(pool, Counter(pool), None, None, now - DAY, now)
        assert (told.counted, told.attempts) == (True, len(found.attempts))
        assert told.steps[0].reached == found.failures
        assert {s.step.value: s.reached for s in told.steps[1:] if s.reached} == found.reached()
        endings = found.endings()
        for step in told.steps[1:]:
            here = Tally[str | None]()
            for (_, at, ending, _), number in endings.items():
                here[ending] += number if at == step.step else 0
            assert (step.stopped, step.replaced, step.under_way) == (here["stopped"], here["replaced"], here[None])
        assert sum(p.connected for p in told.providers) == found.reached()[Step.DATA_FLOWING]
        stands = await fleet.fleet(pool, Counter(pool), None, None)
        assert {(a.from_.value, a.to.value): a.last_day for a in stands.arrows} == found.arrows
