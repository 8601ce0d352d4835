"""The topics as they are, with confluent-kafka and without our client: a sync engine that obeys sync requests.

pip install confluent-kafka
KAFKA=localhost:9092 python raw_topics.py
"""

import json
import os
import uuid
from datetime import UTC, datetime

from confluent_kafka import Consumer, Message, Producer

KAFKA, PREFIX = os.environ["KAFKA"], os.environ.get("TOPIC_PREFIX", "")
TRANSITIONS = PREFIX + "connectors.auth.transitions.v1"
REQUESTS = PREFIX + "connectors.sync.requests.v1"
EVENTS = PREFIX + "connectors.sync.events.v1"

consumer = Consumer(
    {
        "bootstrap.servers": KAFKA,
        "group.id": PREFIX + "raw-topics",
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,  # an offset counts once its record is handled
    }
)
# murmur2 is how Kafka's own clients choose a partition; confluent-kafka's default is another.
producer = Producer({"bootstrap.servers": KAFKA, "partitioner": "murmur2_random", "enable.idempotence": True})

seen: dict[tuple[str, str], int] = {}  # (topic, connector) -> version. Keep it in your database.


def is_repeat(message: Message) -> bool:
    """Whether it was here before, or is older than what was. A missing version of a transition is a gap."""
    key = (str(message.topic()), bytes(message.key() or b"").decode())
    version, last = int(dict(message.headers() or [])["ce_sequence"] or 0), seen.get(key)
    if last is not None and version <= last:
        return True
    if last is not None and version > last + 1 and key[0] == TRANSITIONS:
        print(f"{key[1]}: nothing came between {last} and {version}", flush=True)
    seen[key] = version
    return False


def told(message: Message) -> None:
    """A transition: `notice` says whom it should wake."""
    data = json.loads(message.value() or b"")
    print(f"{data['connector_id']}: {data['from']} -> {data['to']} ({data['trigger']})", flush=True)


def sync(message: Message) -> None:
    """A request: run the sync with the access token that POST /v1/connectors/{id}/token answers, and tell how it went.

    A failed run is `io.regrant.sync.failed.v1`, with the provider's answer: {"error": {"at": "api", "status": 401,
    "body": "…"}, …}.
    """
    request = json.loads(message.value() or b"")
    started = datetime.now(UTC)
    outcome = {"started_at": started.isoformat(), "generation": request["generation"]}
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_type": "io.regrant.sync.succeeded.v1",
        "ce_source": "/drivewell/sync-engine",
        "ce_subject": request["connector_id"],
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    producer.produce(
        EVENTS,
        key=request["connector_id"].encode(),
        value=json.dumps(outcome).encode(),
        headers=[(name, value.encode()) for name, value in headers.items()],
    )
    producer.flush()


def main() -> None:
    consumer.subscribe([TRANSITIONS, REQUESTS])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():  # an error here passes by itself: librdkafka goes on
            continue
        if not is_repeat(message):
            (sync if message.topic() == REQUESTS else told)(message)
        consumer.store_offsets(message)  # committed in the background


if __name__ == "__main__":
    main()
