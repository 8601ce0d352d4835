"""What a handler works with: the caller, the body, and the parts of the service."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import orjson
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping
from pydantic import BaseModel, ValidationError
from yarl import URL

from schemas.ids import AttemptId, ConnectorId
from schemas.lifecycle import Outcome, Refused, State
from schemas.problems import ProblemCode
from schemas.records import Evidence
from schemas.routes import Route
from service.engine.door import Engine
from service.engine.submission import Actor, Receipt, Submission, Trace
from service.http.auth import Caller
from service.http.problems import ApiProblem, refused, trace_id, trace_of
from service.insight.counting import Counter
from service.insight.feed import Feed
from service.insight.letters import FaultOf
from service.oauth.description import Providers
from service.oauth.flow import Flow
from service.oauth.importing import Importer
from service.oauth.saved import SavedVerifier
from service.oauth.tokens import Tokens
from service.store import reads
from service.store.pool import Pool
from service.texts.language import Language, preferred
from statemachine.connector import Connector
from statemachine.inputs import Input

LARGEST_BODY = 256 * 1024
CONNECTOR_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parts:
    """The service, as the API sees it."""

    engine: Engine
    flow: Flow
    tokens: Tokens
    importer: Importer
    saved: SavedVerifier
    providers: Providers
    pool: Pool
    public_url: str
    counter: Counter
    told_settings: Mapping[str, str]
    """The settings that a support bundle tells."""
    fault_of: FaultOf
    feed: Feed
    endpoint_hosts: Mapping[str, str] = field(default_factory=dict)
    """The host of each endpoint that couriers bring to."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, whoever brings it: a socket, or a page of this process."""

    rel_url: URL
    match_info: Mapping[str, str]
    headers: CIMultiDictProxy[str]
    body: bytes
    trace_id: str

    @property
    def query(self) -> MultiMapping[str]:
        return self.rel_url.query

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def request_of(request: web.Request, body: bytes) -> Request:
    """What a socket brought."""
    return Request(request.rel_url, request.match_info, request.headers, body, trace_id(request))


def request_by_name(
    route: Route, params: Mapping[str, str], query: Mapping[str, str], body: object, headers: Mapping[str, str]
) -> Request:
    """What a page of this process asks: the same as a socket would bring. Raises `KeyError` for a missing parameter."""
    path = URL.build(path=route.path.format_map(params), query=dict(query))
    raw = orjson.dumps(body) if body is not None else b""
    given = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json", **headers}))
    return Request(path, params, given, raw, trace_of(given))


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    request: Request
    route: Route
    caller: Caller
    parts: Parts

    @property
    def actor(self) -> Actor:
        return Actor(self.caller.kind, self.caller.subject or None)

    @property
    def trace(self) -> Trace:
        return Trace(self.request.trace_id, None, self.request.headers.get("traceparent"))

    @property
    def connector(self) -> ConnectorId:
        """The id in the path. One that can't be any connector's is unknown, and never gets as far as SQL."""
        given = self.request.match_info["connector_id"]
        if not CONNECTOR_ID.fullmatch(given):
            raise ApiProblem(ProblemCode.UNKNOWN_CONNECTOR)
        return ConnectorId(given)

    @property
    def language(self) -> Language:
        """In which language the answer's words are."""
        return preferred(self.request.headers.get("Accept-Language", ""))

    @property
    def attempt(self) -> AttemptId:
        try:
            return AttemptId(UUID(self.request.match_info["attempt_id"]))
        except ValueError:
            raise ApiProblem(ProblemCode.UNKNOWN_ATTEMPT) from None

    async def found(self, *, even_deleted: bool = False) -> tuple[int, Connector]:
        """The path's connector with its internal key. Raises `ApiProblem` when the caller's tenant has none of it."""
        async with self.parts.pool.acquire() as connection:
            found = await reads.connector(connection, self.connector, self.caller.tenant)
        if found is None or (found[1].state is State.DELETED and not even_deleted):
            raise refused(Refused.UNKNOWN_CONNECTOR)
        return found

    def body(self, model: type[Body]) -> Body:
        """The body. Raises `ApiProblem` naming each wrong field; a value is never echoed."""
        given = self.request.body
        raw = given if given.strip() else b"{}"
        if raw is given and self.request.content_type != "application/json":
            raise ApiProblem(ProblemCode.NOT_JSON)
        try:
            orjson.loads(raw)  # stricter than pydantic: no NaN, no lone surrogate
        except orjson.JSONDecodeError:
            raise ApiProblem(ProblemCode.MALFORMED_REQUEST, "The body isn't valid JSON.") from None
        try:
            # As it came: orjson reads what is nested deeper than it can write.
            return model.model_validate_json(raw)
        except ValidationError as error:
            raise invalid(error) from None

    async def submit(self, input_: Input, evidence: Evidence | None = None) -> Receipt:
        """Hands an input in for the caller's tenant. Raises `ApiProblem` when it is refused."""
        receipt = await self.parts.engine.submit(
            Submission(
                input=input_,
                actor=self.actor,
                tenant=self.caller.tenant,
                if_version=self._if_match(),
                evidence=evidence,
                trace=self.trace,
            )
        )
        if receipt.outcome is Outcome.REFUSED:
            raise refused(receipt.why)
        return receipt

    def _if_match(self) -> int | None:
        given = self.request.headers.get("If-Match")
        if given is None or given.strip() == "*" or not self.route.if_match:
            return None
        version = given.strip().strip('"')
        if not version.isdecimal() or len(version) > 18:
            raise ApiProblem(ProblemCode.VERSION_MISMATCH)
        return int(version)

    def answer(
        self, model: BaseModel | None, *, status: int | None = None, headers: dict[str, str] | None = None
    ) -> web.Response:
        body = model.model_dump_json(by_alias=True).encode() if model is not None else b""
        spoken = {"Content-Language": self.language, "Vary": "Accept-Language"} if self.route.speaks else {}
        return web.Response(
            body=body,
            status=status or self.route.status,
            content_type="application/json" if model is not None else None,
            headers={"Cache-Control": "no-store", **spoken, **(headers or {})},
        )

    def text(self, text: str, media: str) -> web.Response:
        """An answer to read, where the route has one beside its JSON."""
        return web.Response(text=text, content_type=media, charset="utf-8", headers={"Cache-Control": "no-store"})


def invalid(error: ValidationError) -> ApiProblem:
    """Which fields are wrong, as JSON pointers (RFC 6901), and how; never their values."""
    errors = [
        {
            "pointer": "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in found["loc"]),
            "detail": found["msg"] if found["type"] != "value_error" else "is wrong",
            "code": found["type"],
        }
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    fields = ", ".join(e["pointer"] or "the body" for e in errors[:5])
    return ApiProblem(ProblemCode.INVALID_REQUEST, f"Wrong: {fields}.", errors=errors)
