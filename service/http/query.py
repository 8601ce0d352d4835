"""What stands in a request's query: pages, instants, filters. What is wrong is told by the parameter's name."""

import base64
import binascii
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

import orjson

from schemas.problems import ProblemCode
from service.http.context import CONNECTOR_ID, Call
from service.http.problems import ApiProblem

PAGE, LARGEST_PAGE = 100, 500
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
PROVIDER = re.compile(r"[a-z0-9-]{1,64}")


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


Word = TypeVar("Word", bound=StrEnum)


def word(call: Call, parameter: str, words: type[Word]) -> Word | None:
    """One of these words; `None` where it isn't asked for."""
    given = call.request.query.get(parameter)
    try:
        return words(given) if given is not None else None
    except ValueError:
        raise wrong(parameter) from None


def words(call: Call, parameter: str, kind: type[Word]) -> tuple[Word, ...] | None:
    """Several of these words, with commas between them; `None` where none is asked for."""
    given = call.request.query.get(parameter)
    if given is None:
        return None
    parts = given.split(",")
    if len(parts) > len(kind):
        raise wrong(parameter)
    try:
        return tuple(kind(part) for part in parts)
    except ValueError:
        raise wrong(parameter) from None


def matching(call: Call, parameter: str, pattern: re.Pattern[str]) -> str | None:
    """What fits this pattern; `None` where it isn't asked for."""
    given = call.request.query.get(parameter)
    if given is not None and not pattern.fullmatch(given):
        raise wrong(parameter)
    return given


def moment(call: Call, parameter: str) -> datetime | None:
    """An instant; `None` where it isn't asked for."""
    given = call.request.query.get(parameter)
    return instant(given, parameter) if given is not None else None


def after_of(call: Call) -> str:
    """The id behind which a page of connectors begins."""
    after = cursor_of(call).get("after", "")
    if not isinstance(after, str) or (after and not CONNECTOR_ID.fullmatch(after)):
        raise wrong("cursor")
    return after


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
