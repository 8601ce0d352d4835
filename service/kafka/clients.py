"""Kafka clients as this service needs them, from its settings."""

import asyncio
import ssl
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from service.settings.model import Kafka

log = structlog.get_logger()

LARGEST_REQUEST = 5 * 1024 * 1024
"""A dead letter of 4 MiB with room around it."""
BATCH_BYTES = 900_000
"""What a batch may hold: a topic's `max.message.bytes`, 1 MiB, is about whole batches. A larger record goes alone."""
TRANSACTION_TIMEOUT_MS = 30_000
STOP_LIMIT_S = 10.0


def make_consumer(kafka: Kafka) -> AIOKafkaConsumer:
    """A consumer of the worker's group. Its range assignor gives a worker the same partitions of every topic."""
    return AIOKafkaConsumer(
        **_connection(kafka),
        group_id=f"{kafka.topic_prefix}regrant",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(RangePartitionAssignor,),
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=LARGEST_REQUEST,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_500,
        max_poll_interval_ms=300_000,
        metadata_max_age_ms=30_000,  # how soon new partitions are seen
    )


def make_producer(kafka: Kafka, transactional_id: str) -> AIOKafkaProducer:
    """A relay's producer: idempotent, and fenced by its transactional id."""
    return AIOKafkaProducer(
        **_connection(kafka),
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        acks="all",
        max_batch_size=BATCH_BYTES,
        max_request_size=LARGEST_REQUEST,
        linger_ms=0,
        request_timeout_ms=20_000,
    )


def make_plain_producer(kafka: Kafka) -> AIOKafkaProducer:
    """A producer for a record now and then: idempotent, without a fence."""
    return AIOKafkaProducer(
        **_connection(kafka),
        enable_idempotence=True,
        acks="all",
        max_batch_size=BATCH_BYTES,
        max_request_size=LARGEST_REQUEST,
        linger_ms=0,
        request_timeout_ms=20_000,
    )


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stops a client; one whose broker is away would flush or leave its group for ever, and is left after a while."""
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await client.stop()
    except (KafkaError, TimeoutError) as error:
        log.warning("kafka_client_left", client=type(client).__name__, error=type(error).__name__)


def make_offsets_reader(kafka: Kafka) -> AIOKafkaConsumer:
    """A consumer of no group, to ask where topics end."""
    return AIOKafkaConsumer(**_connection(kafka))


def make_admin(kafka: Kafka) -> AIOKafkaAdminClient:
    """An admin client, to make and check topics."""
    return AIOKafkaAdminClient(**_connection(kafka), request_timeout_ms=10_000)


def _connection(kafka: Kafka) -> dict[str, Any]:  # Any: keyword arguments of three clients
    given: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap),
        "security_protocol": kafka.security,
    }
    if kafka.security.endswith("SSL"):
        given["ssl_context"] = _tls(kafka)
    if kafka.security.startswith("SASL"):
        assert kafka.password is not None
        given |= {
            "sasl_mechanism": kafka.mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": kafka.password.reveal(),
        }
    return given


def _tls(kafka: Kafka) -> ssl.SSLContext:
    context: ssl.SSLContext = create_ssl_context(
        cafile=str(kafka.ca_file) if kafka.ca_file else None,
        certfile=str(kafka.certificate_file) if kafka.certificate_file else None,
        keyfile=str(kafka.certificate_key_file) if kafka.certificate_key_file else None,
    )
    return context
