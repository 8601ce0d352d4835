"""Dead letters over HTTP: see them, understand one, replay it or drop it. For who speaks for the whole fleet."""

import re
from datetime import UTC, datetime, timedelta

from aiohttp import web

from schemas import fleet as bodies
from schemas.fleet import LetterStatus
from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem
from service.http.query import cursor_of, instant, limit_of, matching, next_page, word, wrong
from service.insight import letters
from service.store import letters as store

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


async def list_letters(call: Call) -> web.Response:
    before, limit = _before(call), limit_of(call)
    topic, status = matching(call, "topic", _TOPIC), word(call, "status", LetterStatus)
    async with call.parts.pool.acquire() as connection:
        found, more = await store.letters(connection, before, topic, status, limit)
    last = found[-1] if found else None
    headers = (
        next_page(call, {"at": last.at.isoformat(), "shard": last.shard, "seq": last.seq}) if more and last else {}
    )
    shown = [bodies.Letter.model_validate(letters.shown(one)) for one in found]
    return call.answer(bodies.Letters(letters=shown), headers=headers)


async def get_letter(call: Call) -> web.Response:
    return call.answer(await _explained(call))


async def replay_letter(call: Call) -> web.Response:
    return await _decided(call, "replay")


async def drop_letter(call: Call) -> web.Response:
    return await _decided(call, "drop")


async def _decided(call: Call, fate: str) -> web.Response:
    shard, seq = _key(call)
    async with call.parts.pool.acquire() as connection:
        decided = await store.decide(connection, shard, seq, fate, call.caller.subject or "operator")
    told = await _explained(call)
    if not decided:
        raise ApiProblem(ProblemCode.LETTER_SETTLED, f"It is {told.status}: {told.status.sentence}")
    return call.answer(told)


async def _explained(call: Call) -> bodies.LetterExplained:
    shard, seq = _key(call)
    parts = call.parts
    async with parts.pool.acquire() as connection:
        found = await letters.explain(connection, shard, seq, parts.fault_of, parts.providers)
    if found is None:
        raise ApiProblem(ProblemCode.UNKNOWN_LETTER)
    return found


def _key(call: Call) -> tuple[int, int]:
    key = letters.key_of(call.request.match_info["letter_id"])
    if key is None:
        raise ApiProblem(ProblemCode.UNKNOWN_LETTER)
    return key


def _before(call: Call) -> tuple[datetime, int, int]:
    """Behind which letter a page begins."""
    cursor = cursor_of(call)
    if not cursor:
        return datetime.now(UTC) + timedelta(days=1), 0, 0
    shard, seq = cursor.get("shard"), cursor.get("seq")
    if not isinstance(shard, int) or not isinstance(seq, int) or not (0 <= shard < 2**31 and 0 <= seq < 2**63):
        raise wrong("cursor")
    return instant(str(cursor.get("at")), "cursor"), shard, seq
