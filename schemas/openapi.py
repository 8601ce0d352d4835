"""The OpenAPI 3.1 document, made from the route table."""

import re
from itertools import groupby
from operator import attrgetter
from typing import Any

from schemas import samples
from schemas.acting import WhoActs
from schemas.api import Problem
from schemas.fleet import LetterStatus
from schemas.json_schema import JSON, components, enumeration
from schemas.lifecycle import State
from schemas.parameters import PARAMETERS
from schemas.problems import ProblemCode
from schemas.reasons import Origin, Reason
from schemas.routes import ROUTES, Reach, Route, Scope, Tag

_HEADERS: dict[str, JSON] = {
    "ETag": {"description": "The connector's version.", "schema": {"type": "string"}, "example": '"2"'},
    "Link": {
        "description": 'The next page, `rel="next"` (RFC 8288); missing on the last one.',
        "schema": {"type": "string"},
    },
    "Content-Language": {
        "description": "The language of the words.",
        "schema": {"type": "string"},
        "example": "de",
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
}


def openapi(version: str) -> JSON:
    """The document, for the release `version`."""
    models = {route.request for route in ROUTES} | {route.response for route in ROUTES} | {Problem}
    schemas = components(sorted((m for m in models if m), key=attrgetter("__name__")), "#/components/schemas/")
    schemas["ProblemCode"] = enumeration(ProblemCode)
    for kind in (State, Reason, Origin, WhoActs, LetterStatus):  # of parameters, too
        schemas[kind.__name__] = enumeration(kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "regrant",
            "version": version,
            "description": "Brings a failed connector back to life. Errors are problems (RFC 9457). "
            "A token names its tenant: connectors of others don't exist for it. One whose tenant is `*` speaks for the "
            "whole fleet.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [{"name": tag.value} for tag in Tag],
        "paths": {path: _path(path, list(routes)) for path, routes in groupby(_by_path(), attrgetter("path"))},
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "parameters": PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {"bearer": _security_scheme()},
        },
    }


def _by_path() -> list[Route]:
    first = {route.path: n for n, route in reversed(list(enumerate(ROUTES)))}
    return sorted(ROUTES, key=lambda route: first[route.path])


def _path(path: str, routes: list[Route]) -> JSON:
    item: JSON = {}
    if names := re.findall(r"{(\w+)}", path):
        item["parameters"] = [_ref("parameters", name) for name in names]
    return item | {route.method.lower(): _operation(route) for route in routes}


def _operation(route: Route) -> JSON:
    operation: JSON = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag.value],
        "security": [{"bearer": [route.scope.value]}],
    }
    if parameters := _parameters(route):
        operation["parameters"] = [_ref("parameters", name) for name in parameters]
    if route.request is not None:
        is_needed = any(field.is_required() for field in route.request.model_fields.values())
        operation["requestBody"] = {"required": is_needed, "content": _json(route.request.__name__)}
    return operation | {"responses": {str(route.status): _success(route), **_problems(route)}}


def _parameters(route: Route) -> list[str]:
    names = [filter_.value for filter_ in route.filters]
    if route.paged:
        names += ["cursor", "limit"]
    if route.if_match:
        names.append("if_match")
    if route.takes_idempotency_key:
        names.append("idempotency_key")
    if route.speaks:
        names.append("accept_language")
    if route.is_stream:
        names.append("last_event_id")
    if route.reach is not Reach.FLEET:
        names.append("regrant_tenant")
    return names


def _success(route: Route) -> JSON:
    response: JSON = {"description": "Done." if route.response is None else route.summary + "."}
    sent = (("ETag", route.etag), ("Link", route.paged), ("Content-Language", route.speaks))
    headers = [name for name, there in sent if there]
    if headers:
        response["headers"] = {name: _ref("headers", name) for name in headers}
    if route.response is not None:
        response["content"] = _json(route.response.__name__)
        if route.also is not None:
            response["content"][route.also] = {"schema": {"type": "string"}}
    if route.is_stream:
        response["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return response


def _problems(route: Route) -> dict[str, JSON]:
    """One response a status; its problems are told apart by `code`."""
    by_status: dict[int, list[ProblemCode]] = {}
    for code in route.all_problems():
        by_status.setdefault(code.entry.status, []).append(code)
    return {str(status): _problem(by_status[status]) for status in sorted(by_status)}


def _problem(codes: list[ProblemCode]) -> JSON:
    response: JSON = {
        "description": "\n".join(f"- `{code}`: {code.entry.title}. {code.entry.action}" for code in codes),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": [code.value for code in codes]}}},
                    ]
                }
            }
        },
    }
    if codes[0].entry.status in (429, 503):
        response["headers"] = {"Retry-After": _ref("headers", "Retry-After")}
    return response


def _json(model: str) -> JSON:
    return {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{model}"},
            "example": samples.BODIES[model],
        }
    }


def _ref(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _security_scheme() -> JSON:
    scopes = "\n".join(f"- `{scope}`: {scope.sentence}" for scope in Scope)
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": f"A JWT of the host that names its tenant and its scopes:\n{scopes}",
    }
