"""Where the tests' PostgreSQL and Apache Kafka come from: the environment, Docker, or our own child processes."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor

POSTGRES_VARIABLE = "REGRANT_TEST_POSTGRES"
KAFKA_VARIABLE = "REGRANT_TEST_KAFKA"


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


def chosen(variable: str, environment: dict[str, str], docker_there: bool) -> str:
    """Where a server comes from: `environment`, `docker` or `embedded`."""
    if environment.get(variable):
        return "environment"
    return "docker" if docker_there else "embedded"


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    match chosen(POSTGRES_VARIABLE, dict(os.environ), docker_answers()):
        case "environment":
            yield os.environ[POSTGRES_VARIABLE]
        case "docker":
            with postgres_container() as dsn:
                yield dsn
        case _:
            with contextlib.closing(Supervisor()) as supervisor:
                server = EmbeddedPostgres(supervisor, settings={"fsync": "off"})
                asyncio.run(server.start())
                yield server.dsn


@contextmanager
def kafka() -> Iterator[str]:
    """The address of an Apache Kafka broker."""
    match chosen(KAFKA_VARIABLE, dict(os.environ), docker_answers()):
        case "environment":
            yield os.environ[KAFKA_VARIABLE]
        case "docker":
            with kafka_container() as bootstrap:
                yield bootstrap
        case _:
            with contextlib.closing(Supervisor()) as supervisor:
                server = EmbeddedKafka(supervisor)
                asyncio.run(server.start())
                yield server.bootstrap


@contextmanager
def postgres_container() -> Iterator[str]:
    """PostgreSQL by testcontainers."""
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer("postgres:18", driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def kafka_container() -> Iterator[str]:
    """Apache Kafka by testcontainers."""
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer("confluentinc/cp-kafka:8.1.0").with_kraft() as container:
        yield container.get_bootstrap_server()
