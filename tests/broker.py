"""A broker used plainly, without regrant: a topic of one partition, records written and read back."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

LARGEST_VALUE = 4 * 1024 * 1024


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def write(bootstrap: str, topic: str, *values: bytes) -> None:
    """Returns when the broker has acknowledged them all."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=LARGEST_VALUE + 65536, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str) -> list[bytes]:
    """All values that the topic has now."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=LARGEST_VALUE + 65536)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while len(values) < end:
            values.append((await consumer.getone(partition)).value)
        return values
    finally:
        await consumer.stop()
