"""What stands in a request's query: pages, instants, filters. What is wrong is told by the parameter's name."""

import base64
import binascii
import re
from datetime import UTC, datetime

import orjson

from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem

PAGE, LARGEST_PAGE = 100, 500
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


def cursor_of(call: Call) -> dict[str, object]:
    """What an earlier page's Link header said; opaque to callers."""
    given = call.request.query.get("cursor")
    if given is None:
        return {}
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(given))
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        decoded = None
    if not isinstance(decoded, dict):
        raise wrong("cursor")
    return decoded


def instant(text: str, parameter: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise wrong(parameter)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one that isn't in the calendar in UTC
        raise wrong(parameter) from None


def limit_of(call: Call) -> int:
    """How many entries a page holds at most."""
    given = call.request.query.get("limit", str(PAGE))
    if not _LIMIT.fullmatch(given) or int(given) > LARGEST_PAGE:
        raise wrong("limit")
    return int(given)


def wrong(parameter: str) -> ApiProblem:
    return ApiProblem(ProblemCode.INVALID_REQUEST, f"Wrong: the query parameter {parameter}.")


def next_page(call: Call, cursor: dict[str, object]) -> dict[str, str]:
    encoded = base64.urlsafe_b64encode(orjson.dumps(cursor)).decode()
    return {"Link": f'<{call.request.rel_url.update_query(cursor=encoded)}>; rel="next"'}
