"""Where the tests' PostgreSQL and Apache Kafka come from: the environment, Docker, or our own child processes."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor
from service.demo.embedded.kafka import LARGEST_RECORD
from tests.planted.marking import MARKER

HEAP_MB = 512
"""Of the broker that all tests of a run share: each leaves its topics there, some thousands in all."""
Source: TypeAlias = Literal["environment", "docker", "embedded"]

POSTGRES_VARIABLE = "REGRANT_TEST_POSTGRES"
KAFKA_VARIABLE = "REGRANT_TEST_KAFKA"
POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"

# Tests don't outlive a crash of their machine.
_POSTGRES_SETTINGS = {"fsync": "off", "max_connections": "200", "max_wal_size": "256MB"}

MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""In bytes, of what two servers of tests need."""


def in_memory() -> Path | None:
    """Where files are kept in memory, if there is room: each test's database is copied there in a fifth of the time."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


def docker_answers() -> bool:
    """Whether a Docker daemon is there."""
    import docker
    import docker.errors

    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    try:
        client = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        return False
    with contextlib.closing(client):
        return bool(client.ping())


def chosen(variable: str, environment: Mapping[str, str], docker_there: bool) -> Source:
    """Where a server comes from."""
    if environment.get(variable):
        return "environment"
    return "docker" if docker_there else "embedded"


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    match chosen(POSTGRES_VARIABLE, os.environ, docker_answers()):
        case "environment":
            yield os.environ[POSTGRES_VARIABLE]
        case "docker":
            with postgres_container() as dsn:
                yield dsn
        case "embedded":
            with contextlib.closing(Supervisor(in_memory())) as supervisor:
                server = EmbeddedPostgres(supervisor, settings=_POSTGRES_SETTINGS)
                asyncio.run(server.start())
                # It asks for no password; this one is there to be hunted for, as in `tests.markers`.
                yield server.dsn.replace("postgres@", f"postgres:{MARKER}-password@")


@contextmanager
def kafka() -> Iterator[str]:
    """The address of an Apache Kafka broker."""
    match chosen(KAFKA_VARIABLE, os.environ, docker_answers()):
        case "environment":
            yield os.environ[KAFKA_VARIABLE]
        case "docker":
            with kafka_container() as bootstrap:
                yield bootstrap
        case "embedded":
            with contextlib.closing(Supervisor()) as supervisor:
                server = EmbeddedKafka(supervisor, heap_mb=HEAP_MB)
                asyncio.run(server.start())
                yield server.bootstrap


@contextmanager
def postgres_container() -> Iterator[str]:
    """PostgreSQL by testcontainers."""
    from testcontainers.community.postgres import PostgresContainer

    settings = " ".join(f"-c {name}={value}" for name, value in _POSTGRES_SETTINGS.items())
    with PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(f"postgres {settings}") as container:
        yield container.get_connection_url()


@contextmanager
def kafka_container() -> Iterator[str]:
    """Apache Kafka by testcontainers, with what the tests rely on set as our own node has it."""
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(KAFKA_IMAGE).with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_MESSAGE_MAX_BYTES", str(LARGEST_RECORD))
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
    container.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
    with container:
        yield container.get_bootstrap_server()
