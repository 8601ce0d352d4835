"""A consumer of the transitions, as a process: for each, when its input was sent and when it was seen here."""

import asyncio
import signal
import sys
import time

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition


async def main() -> None:
    bootstrap, topic, partitions = orjson.loads(sys.argv[1])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50, isolation_level="read_uncommitted")
    await consumer.start()
    seen: list[tuple[int, int]] = []
    try:
        all_ = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(all_)
        await consumer.seek_to_end(*all_)
        for partition in all_:
            await consumer.position(partition)
        print("listens", flush=True)
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=50)
            now = time.time_ns()
            for records in fetched.values():
                for record in records:
                    cause = next(value for name, value in record.headers if name == "ce_causationid")
                    seen.append((int(cause), now))
    finally:
        await consumer.stop()
    sys.stdout.buffer.write(orjson.dumps(seen))


if __name__ == "__main__":
    uvloop.run(main())
