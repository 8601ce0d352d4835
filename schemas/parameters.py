"""The parameters of the API's routes, as the OpenAPI document describes them."""

from schemas.json_schema import JSON
from schemas.route import Filter

PARAMETERS: dict[str, JSON] = {
    "connector_id": {
        "name": "connector_id",
        "in": "path",
        "required": True,
        "description": "The host's id of the connector.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
        "example": "acme.qbo-1",
    },
    "attempt_id": {
        "name": "attempt_id",
        "in": "path",
        "required": True,
        "description": "The id of the attempt.",
        "schema": {"type": "string", "format": "uuid"},
        "example": "6f1c2d0e-6f62-4c39-9f0b-0d3c5b1c9f11",
    },
    "cursor": {
        "name": "cursor",
        "in": "query",
        "description": "Opaque: from the Link header of the page before.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 500},
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "How many at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    },
    "state": {
        "name": "state",
        "in": "query",
        "description": Filter.STATE.sentence,
        "schema": {"$ref": "#/components/schemas/State"},
    },
    "provider": {
        "name": "provider",
        "in": "query",
        "description": Filter.PROVIDER.sentence,
        "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
    },
    "expiring_before": {
        "name": "expiring_before",
        "in": "query",
        "description": Filter.EXPIRING_BEFORE.sentence,
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-12-31T00:00:00Z",
    },
    "if_match": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag that the caller has seen: another version by now is a problem, 412.",
        "schema": {"type": "string", "pattern": '^"[0-9]{1,19}"$'},
        "example": '"2"',
    },
    "accept_language": {
        "name": "Accept-Language",
        "in": "header",
        "description": "In which language the words are (RFC 9110); English where it names none that there is.",
        "schema": {"type": "string"},
        "example": "de-AT, de;q=0.9, en;q=0.5",
    },
    "idempotency_key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeat with the same key within 24 hours gets the first one's answer.",
        "schema": {"type": "string", "pattern": "^[\\x20-\\x7e]{1,200}$"},
    },
    "as_of": {
        "name": "as_of",
        "in": "query",
        "description": Filter.AS_OF.sentence,
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-11-24T08:00:00Z",
    },
    "since": {
        "name": "since",
        "in": "query",
        "description": Filter.SINCE.sentence,
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-11-24T08:00:00Z",
    },
    "until": {
        "name": "until",
        "in": "query",
        "description": Filter.UNTIL.sentence,
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-11-24T08:00:00Z",
    },
    "reason": {
        "name": "reason",
        "in": "query",
        "description": Filter.REASON.sentence,
        "schema": {"$ref": "#/components/schemas/Reason"},
    },
    "origin": {
        "name": "origin",
        "in": "query",
        "description": Filter.ORIGIN.sentence,
        "schema": {"$ref": "#/components/schemas/Origin"},
    },
    "who_acts": {
        "name": "who_acts",
        "in": "query",
        "description": Filter.WHO_ACTS.sentence,
        "schema": {"$ref": "#/components/schemas/WhoActs"},
    },
    "q": {
        "name": "q",
        "in": "query",
        "description": Filter.TEXT.sentence,
        "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[^\\x00-\\x1f\\x7f]+$"},
    },
    "tenant": {
        "name": "tenant",
        "in": "query",
        "description": Filter.OF_TENANT.sentence,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    },
    "within": {
        "name": "within",
        "in": "query",
        "description": Filter.WITHIN.sentence,
        "schema": {"type": "integer", "minimum": 0, "maximum": 3650, "default": 30},
    },
    "status": {
        "name": "status",
        "in": "query",
        "description": Filter.STATUS.sentence,
        "schema": {"$ref": "#/components/schemas/LetterStatus"},
    },
    "topic": {
        "name": "topic",
        "in": "query",
        "description": Filter.TOPIC.sentence,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,249}$"},
    },
    "letter_id": {
        "name": "letter_id",
        "in": "path",
        "required": True,
        "description": "The id of the dead letter, from the list.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,6}-[0-9]{1,18}$"},
        "example": "3-1204",
    },
    "last_event_id": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Opaque: the id of the last event that was read; the stream goes on behind it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,70000}$"},
    },
    "regrant_tenant": {
        "name": "Regrant-Tenant",
        "in": "header",
        "description": "For a token that speaks for the whole fleet: the tenant that the request is about. "
        "A tenant's own token is of its tenant, whatever stands here.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    },
}
