"""What a request of the window says: its link, its attempt, its form. What isn't one of ours is nothing."""

import re
from uuid import UUID

from aiohttp import web

from schemas.ids import AttemptId
from schemas.secret import Secret
from service.oauth.callback import MAX_QUERY

_HANDOFF = re.compile(r"[A-Za-z0-9_-]{20,200}")
CARRIED = re.compile(r"answer=([A-Za-z0-9_-]{20,7500})")
_FORM = "application/x-www-form-urlencoded"


def handoff_of(request: web.Request) -> Secret | None:
    value = request.match_info["handoff"]
    return Secret(value) if _HANDOFF.fullmatch(value) else None


async def form_of(request: web.Request) -> str:
    """The body of an answer as it came; empty, which is none, where it isn't a plain form or has a query beside it."""
    plain = request.content_type == _FORM and request.charset in (None, "utf-8", "UTF-8")
    if not plain or request.query_string or "Content-Encoding" in request.headers:
        return ""
    if (request.content_length or 0) > MAX_QUERY:
        return ""
    body = await request.read()
    return body.decode() if body.isascii() else ""


def attempt_of(request: web.Request) -> AttemptId | None:
    try:
        return AttemptId(UUID(request.match_info["attempt"]))
    except ValueError:  # no id at all leads where an unknown one leads
        return None


def page_of(request: web.Request) -> str:
    """Where a page of this request can be had by GET: its own address, or the attempt's. Empty: its own."""
    attempt = attempt_of(request) if "attempt" in request.match_info else None
    return f"/connect/attempts/{attempt}" if attempt and request.method == "POST" else ""


def route_of(request: web.Request) -> str:
    """The route's pattern: never the path, which holds a handoff, nor the query, which holds a code."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
