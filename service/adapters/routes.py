"""`POST /v1/adapters/{name}`: a sender's webhook, proved by its own signature instead of a host's token.

Senders try again for hours when they are told that something is wrong, and then switch their webhook off. So what they
can't mend is taken, and ends in the dead letters, where an operator sees why; they are refused only while we can't take
anything, or when they aren't who they should be.
"""

import hashlib
from collections.abc import Mapping

import orjson
import structlog
from aiohttp import web

from schemas.problems import ProblemCode
from service.adapters.configured import Adapter
from service.adapters.mapping import Ignored, Said, Unmapped
from service.adapters.producing import EventProducer
from service.adapters.signatures import is_from_the_sender
from service.http.api import body_of
from service.http.problems import ApiProblem
from service.kafka.cloudevents import Header
from service.kafka.decode import UNMAPPED_TYPE, UNMAPPED_WHY
from service.store import reads
from service.store.pool import Pool
from service.telemetry import metrics

log = structlog.get_logger()

_OUTCOMES: dict[type, str] = {Said: "queued", Ignored: "ignored", Unmapped: "unmapped"}
_NOT_SIGNED = "The request isn't proved by the secret of an adapter of that name."


class Receiving:
    """The adapters of a process."""

    def __init__(self, adapters: Mapping[str, Adapter], producer: EventProducer, pool: Pool) -> None:
        self._adapters, self._producer, self._pool = adapters, producer, pool

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/v1/adapters/{name}", self.receive)
        app.router.add_post("/v1/adapters/{name}/{secret}", self.receive)
        app.on_cleanup.append(self._close)

    async def _close(self, _: web.Application) -> None:
        await self._producer.close()

    async def receive(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        adapter = self._adapters.get(request.match_info["name"])
        in_address = request.match_info.get("secret", "")
        if adapter is None or not is_from_the_sender(
            adapter.mapping.signed, adapter.secrets, request.headers, in_address, body
        ):
            raise ApiProblem(ProblemCode.UNAUTHENTICATED, _NOT_SIGNED)  # the same for a name that there isn't
        said = await self._put_through(adapter, body)
        metrics.ADAPTER_WEBHOOKS.labels(adapter.name, _OUTCOMES[type(said)]).inc()
        return _taken(said)

    async def _put_through(self, adapter: Adapter, body: bytes) -> "Said | Ignored | Unmapped":
        said = adapter.mapping.read(body, adapter.prefix)
        match said:
            case Unmapped():
                log.warning("webhook_unmapped", adapter=adapter.name, why=said.why)
                attributes = _attributes(adapter, body, UNMAPPED_TYPE)
                await self._producer.send(None, body, [*attributes, (f"ce_{UNMAPPED_WHY}", said.why.encode())])
            case Said():
                if adapter.ignores_unknown and not await self._is_known(said.connector):
                    return Ignored("unknown_connector")
                headers = [
                    *_attributes(adapter, body, said.message.type),
                    ("ce_subject", said.connector.encode()),
                    ("ce_time", said.occurred.encode()),
                    ("content-type", b"application/json"),
                ]
                await self._producer.send(said.connector, orjson.dumps(said.data), headers)
        return said

    async def _is_known(self, connector: str) -> bool:
        if "\0" in connector:
            return False
        async with self._pool.acquire() as connection:
            return await reads.is_known(connection, connector)


def _attributes(adapter: Adapter, body: bytes, type_: str) -> list[Header]:
    """What CloudEvents wants. A webhook that comes again has the same id."""
    id_ = hashlib.sha256(adapter.name.encode() + b"\0" + body).hexdigest()[:32]
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", type_.encode()),
        ("ce_id", id_.encode()),
        ("ce_source", f"/adapters/{adapter.name}".encode()),
    ]


def _taken(said: "Said | Ignored | Unmapped") -> web.Response:
    told = {"outcome": "ignored", "why": said.why} if isinstance(said, Ignored) else {"outcome": "queued"}
    return web.json_response(told, status=202, headers={"Cache-Control": "no-store"})
