"""How the settings of Kafka become clients."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.secret import Secret
from service.kafka.clients import make_admin, make_consumer, make_producer
from service.settings.model import Kafka

Make = Callable[[Kafka], Any]  # Any: aiokafka has no types


@pytest.mark.parametrize("make", [make_admin, make_consumer, lambda kafka: make_producer(kafka, "relay-0")])
@pytest.mark.parametrize("security", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
async def test_every_client_can_be_made_with_every_security(make: Make, security: str) -> None:
    credentials = {"username": "regrant", "password": Secret("hunter2")} if security.startswith("SASL") else {}
    client = make(Kafka.model_validate({"bootstrap": "one:1,two:2", "security": security, **credentials}))
    stop = client.close if make is make_admin else client.stop
    await stop()
