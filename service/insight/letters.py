"""Dead letters in words: what is wrong with a record, what to do about it, and whether a replay would be taken now."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import orjson

from schemas import fleet as api
from schemas.dead_letters import REPLAY_OF, DeadLetterCode
from schemas.fleet import LetterStatus
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.store import letters as store
from service.store import stories
from service.store.letters import LetterRow
from service.store.pool import Connection
from statemachine.connector import Connector

LETTER_ID = re.compile(r"([0-9]{1,6})-([0-9]{1,18})", re.ASCII)
_CONNECTOR = re.compile(rb"[A-Za-z0-9._~-]{1,128}")
_TYPE = re.compile(rb"[A-Za-z0-9._-]{1,100}")

Fault = tuple[DeadLetterCode, str]
"""What is wrong with a record, and where."""
FaultOf = Callable[[LetterRow], Fault | None]
"""Reads a record as this version does; `None`: it can be read."""

_SAY_IT_AGAIN = "Send a corrected record, and drop this one."


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong, what to do, whether a replay helps."""

    words: str
    next: str
    helps: bool


def key_of(text: str) -> tuple[int, int] | None:
    """A letter's place, from its id; `None` for what can't be any letter's."""
    match = LETTER_ID.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def status_of(letter: LetterRow) -> LetterStatus:
    if letter.fate is None:
        return LetterStatus.WAITING
    if letter.fate == "drop":
        return LetterStatus.DROPPED
    return LetterStatus.REPLAYING if letter.sent_at is None else LetterStatus.REPLAYED


def shown(letter: LetterRow) -> dict[str, object]:
    """A letter's facts, as `schemas.fleet.Letter` has them: never a byte of its value."""
    of = _header(letter, REPLAY_OF)
    return {
        "letter_id": f"{letter.shard}-{letter.seq}",
        "at": letter.at,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "connector_id": connector_of(letter),
        "type": _text(_header(letter, "ce_type"), _TYPE),
        "code": letter.code,
        "detail": letter.detail,
        "status": status_of(letter),
        "decided_by": letter.decided_by,
        "decided_at": letter.decided_at,
        "replay_of": _text(of, re.compile(LETTER_ID.pattern.encode())),
    }


def connector_of(letter: LetterRow) -> ConnectorId | None:
    """The connector that the record's key names, if it can be one's id."""
    text = _text(letter.key, _CONNECTOR)
    return ConnectorId(text) if text else None


def fields_of(code: str, detail: str) -> list[str]:
    """The fields that are wrong."""
    match code:
        case DeadLetterCode.SCHEMA:
            return [part.partition(":")[0] for part in detail.split("; ")]
        case DeadLetterCode.UNKNOWN_TYPE | DeadLetterCode.UNKNOWN_VERSION | DeadLetterCode.WRONG_TOPIC:
            return ["type"]
        case DeadLetterCode.WRONG_KEY:
            return ["key"]
        case _:
            return []


def explained(
    letter: LetterRow, fault: Fault | None, connector: Connector | None, providers: Collection[str]
) -> api.LetterExplained:
    """A letter in words: with what this version reads in it, and the connector that it is about, as it stands."""
    told = _explained(letter, fault, connector, providers)
    return api.LetterExplained.model_validate(
        {
            **shown(letter),
            "fields": fields_of(letter.code, letter.detail),
            "words": told.words,
            "next": told.next,
            "replay_helps": told.helps,
        }
    )


def _explained(
    letter: LetterRow, fault: Fault | None, connector: Connector | None, providers: Collection[str]
) -> Explanation:
    code = DeadLetterCode(letter.code)
    name = f"“{connector_of(letter)}”" if connector_of(letter) else "the connector"
    is_there = connector is not None and connector.state is not State.DELETED
    words = f"{code.sentence} {_sentence(letter.detail)}" if letter.detail != code.sentence else code.sentence
    if code is DeadLetterCode.UNMAPPED:
        return Explanation(words, "Correct the adapter's mapping, for the webhooks to come, and drop this one.", False)
    if fault is not None:
        return Explanation(words, _SAY_IT_AGAIN, False)
    match code:
        case DeadLetterCode.UNKNOWN_CONNECTOR if is_there:
            return Explanation(words, f"By now {name} is registered: replay it.", True)
        case DeadLetterCode.UNKNOWN_CONNECTOR:
            return Explanation(words, f"Register {name}, then replay it; or drop it.", False)
        case DeadLetterCode.UNKNOWN_PROVIDER if _provider(letter) in providers:
            return Explanation(words, "By now this deployment has the provider: replay it.", True)
        case DeadLetterCode.UNKNOWN_PROVIDER:
            return Explanation(words, "Add the provider to the settings, then replay it; or drop it.", False)
        case DeadLetterCode.VERIFICATION_RUNNING if connector is None or connector.state is not State.VERIFYING:
            return Explanation(words, "That check has ended: replay it.", True)
        case DeadLetterCode.VERIFICATION_RUNNING:
            return Explanation(words, "The check still runs: replay it when it has ended.", False)
        case DeadLetterCode.LOGIN_DOES_NOT_HELP if connector and connector.reason and connector.reason.offers_login:
            return Explanation(words, "By now a sign-in helps: replay it.", True)
        case DeadLetterCode.LOGIN_DOES_NOT_HELP:
            return Explanation(words, "Mend what the connector's reason says; no sign-in does. Drop it.", False)
        case DeadLetterCode.CONNECTOR_DELETED | DeadLetterCode.ID_TAKEN:
            return Explanation(words, "Use another connector id in new records, and drop this one.", False)
        case DeadLetterCode.VERSION_MISMATCH:
            return Explanation(words, _SAY_IT_AGAIN, False)
        case DeadLetterCode.BROKEN:
            return Explanation(words, "Replay it: the fault may be gone. If it comes back, tell us.", True)
        case _:
            return Explanation(words, "This version of regrant can read it: replay it.", True)


def _sentence(detail: str) -> str:
    text = detail.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def _provider(letter: LetterRow) -> str | None:
    """The provider that the record names."""
    try:
        data = orjson.loads(letter.value or b"{}")
    except orjson.JSONDecodeError:
        return None
    inner = data.get("data", data) if isinstance(data, dict) else None
    return str(inner.get("provider")) if isinstance(inner, dict) else None


def _header(letter: LetterRow, name: str) -> bytes | None:
    return next((value for given, value in letter.headers if given == name), None)


def _text(raw: bytes | None, pattern: re.Pattern[bytes]) -> str | None:
    return raw.decode() if raw is not None and pattern.fullmatch(raw) else None


async def explain(
    connection: Connection, shard: int, seq: int, fault_of: FaultOf, providers: Collection[str]
) -> api.LetterExplained | None:
    """A letter in words; `None` where there is none."""
    letter = await store.letter(connection, shard, seq)
    if letter is None:
        return None
    id_ = connector_of(letter)
    found = await stories.connector_of_any_tenant(connection, id_) if id_ is not None else None
    return explained(letter, fault_of(letter), found[1] if found else None, providers)
