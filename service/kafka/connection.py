"""How Kafka's clients connect: the same arguments for consumers, producers and the admin client."""

from typing import Any, TypedDict

from aiokafka.helpers import create_ssl_context

from service.settings.model import Kafka


class Connection(TypedDict):
    """Keyword arguments that all of aiokafka's clients take."""

    bootstrap_servers: list[str]
    security_protocol: str
    ssl_context: Any  # ssl.SSLContext; aiokafka has no types
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


def connection(kafka: Kafka) -> Connection:
    """The arguments for `AIOKafkaConsumer(**…)` and its like. Raises `ssl.SSLError` for a file that isn't PEM."""
    encrypted = kafka.security in ("SSL", "SASL_SSL")
    return Connection(
        bootstrap_servers=list(kafka.bootstrap),
        security_protocol=kafka.security,
        ssl_context=create_ssl_context(
            cafile=kafka.ca_file, certfile=kafka.certificate_file, keyfile=kafka.certificate_key_file
        )
        if encrypted
        else None,
        sasl_mechanism=kafka.mechanism,
        sasl_plain_username=kafka.username,
        sasl_plain_password=kafka.password.reveal() if kafka.password else None,
    )
