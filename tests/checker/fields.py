"""The data of each input record: for each field whether a value fits, after the JSON Schemas of the contract."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from tests.checker.envelope import Json, demand, parse

Fits = Callable[[Json], bool]


def _text(most: int, least: int = 0, pattern: str | None = None) -> Fits:
    shape = re.compile(pattern or ".*", re.DOTALL)
    return lambda v: isinstance(v, str) and least <= len(v) <= most and shape.fullmatch(v) is not None


def _whole(least: int, most: float = float("inf")) -> Fits:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most


def _number(v: Json) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and v >= 0


def _one_of(*values: str) -> Fits:
    return lambda v: isinstance(v, str) and v in values


def _or_null(fits: Fits) -> Fits:
    return lambda v: v is None or fits(v)


def _bool(v: Json) -> bool:
    return isinstance(v, bool)


def _uuid(v: Json) -> bool:
    try:
        return isinstance(v, str) and UUID(v) is not None
    except ValueError:
        return False


# Reading more than RFC 3339 is no violation: a space for the T, no seconds, seconds since 1970 as a string.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt _]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[-+\u2212]\d\d:?\d\d)", re.ASCII)
_SECONDS = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def _instant(text: str) -> datetime | None:
    try:
        if _INSTANT.fullmatch(text):
            spelled = text.upper().replace("_", "T").replace("\u2212", "-")
            return datetime.fromisoformat(spelled).astimezone(UTC)
        return datetime.fromtimestamp(float(text), UTC) if _SECONDS.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _is_instant(v: Json) -> bool:
    return isinstance(v, str) and _instant(v) is not None


REASONS = (
    "token_refused",
    "grant_revoked",
    "access_revoked",
    "user_deactivated",
    "account_inactive",
    "client_rejected",
    "rate_limited",
    "provider_unavailable",
    "network_error",
    "sync_fault",
)
"""What a host may give as a failed sync's reason."""

_ERROR: dict[str, Fits] = {
    "status": _or_null(_whole(100, 599)),
    "body": _text(65_536),
    "request_id": _or_null(_text(200)),
    "retry_after_s": _or_null(_number),
}


def _error(v: Json) -> bool:
    return (
        isinstance(v, dict)
        and _one_of("api", "token", "network")(v.get("at"))
        and all(fits(v[name]) for name, fits in _ERROR.items() if name in v)
    )


_NO_NUL = r"[^\x00]*"
_ID = r"[A-Za-z0-9._~-]{1,128}"
_RUN: dict[str, Fits] = {"started_at": _or_null(_is_instant), "generation": _or_null(_whole(0))}
_FIELDS: dict[str, dict[str, Fits]] = {
    "sync_started": _RUN,
    "sync_succeeded": _RUN,
    "sync_failed": _RUN
    | {
        "error": _or_null(_error),
        "reason": _or_null(_one_of(*REASONS)),
        "position": _or_null(_text(1000, pattern=_NO_NUL)),
    },
    "register": {
        "tenant_id": _text(128, pattern=_ID),
        "provider": _text(64, pattern=r"[a-z0-9-]{1,64}"),
        "name": _text(200, 1, r"[^\x00-\x1f\x7f]+"),
        "connected": _bool,
    },
    "update": {"name": _text(200, 1, r"[^\x00-\x1f\x7f]+")},
    "start_reauth": {"attempt_id": _uuid},
    "disconnect": {},
    "delete": {},
}
_NEEDED = {"register": ("tenant_id", "provider", "name"), "update": ("name",), "start_reauth": ("attempt_id",)}


def body_of(trigger: str, data: bytes | Json | None) -> dict[str, Json]:
    """The data, which fits its schema. Fields of a newer producer are allowed."""
    body = {} if data is None else parse(data) if isinstance(data, bytes) else data
    fields = _FIELDS[trigger]
    demand(isinstance(body, dict), "schema")
    demand(all(fits(body[name]) for name, fits in fields.items() if name in body), "schema")
    demand(all(name in body for name in _NEEDED.get(trigger, ())), "schema")
    if trigger == "sync_failed":
        demand(body.get("reason") is not None or body.get("error") is not None, "schema")
    return body


def run_of(body: Mapping[str, Json]) -> datetime | None:
    started = body.get("started_at")
    return _instant(started) if isinstance(started, str) else None
