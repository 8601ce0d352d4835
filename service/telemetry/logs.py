"""Logs: structlog and the standard library's loggers in one stream, where redaction comes first.

One JSON object a line, or lines for people. What a request or a record is about is bound once with `about` and stands
on every line that is written meanwhile.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from schemas.secret import REDACTED, Secret

MASK = REDACTED

_SECRET_WORDS = frozenset(
    {
        *("token", "secret", "password", "passphrase", "code", "state", "cookie", "authorization", "dsn"),
        *("verifier", "assertion", "key", "jwt", "handoff", "nonce"),
    }
)
# Names that hold such a word, and aren't a secret.
_HARMLESS = frozenset(
    {"status_code", "error_code", "reason_code", "from_state", "to_state", "connector_state", "sqlstate"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Inside texts: what follows `token=` or `"code":`, `Bearer …`, a JWT anywhere, and the password in an address.
_ASSIGNED = re.compile(
    r"""(?ix) \b ((?:access_|refresh_|id_|client_|api_|code_)?
        (?:token|secret|password|code|state|verifier|handoff|cookie|authorization|dsn))
    (["']? \s* [=:] \s* ["']?) [^\s"'&,;})\]]+"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@]+@")

_MAX_DEPTH = 6


def redacted(name: str, value: object, depth: int = 0) -> object:
    """`value` as it may be logged under `name`: secrets masked by type, by name and by their looks in a text."""
    if isinstance(value, Secret) or _is_secret_name(name):
        return value if value is None or isinstance(value, bool) else MASK
    if isinstance(value, str):
        return redacted_text(value)
    if depth >= _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {str(key): redacted(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, bytes | bytearray):
        return f"[{len(value)} bytes]"
    if isinstance(value, Sequence | set | frozenset):
        return [redacted("", inner, depth + 1) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return redacted_text(str(value))


def redacted_text(text: str) -> str:
    """A text without what looks like a secret."""
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _ASSIGNED.sub(rf"\1\2{MASK}", text)
    return _JWT.sub(MASK, text)


def _is_secret_name(name: str) -> bool:
    if name in _HARMLESS:
        return False
    words = [word.lower() for word in _WORDS.findall(name)]
    return any(word in _SECRET_WORDS or word.removesuffix("s") in _SECRET_WORDS for word in words)


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The first processor: nothing behind it ever sees a secret."""
    return {name: value if name in _STRUCTLOG_OWN else redacted(name, value) for name, value in event.items()}


_STRUCTLOG_OWN = frozenset({"exc_info", "stack_info", "_record", "_from_structlog", "positional_args"})


def _redact_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A traceback becomes text after the first processor has run, so it is redacted here."""
    for name in ("exception", "stack"):
        if isinstance(text := event.get(name), str):
            event[name] = redacted_text(text)
    return event


# Libraries that say the same for as long as a broker is away, or would print addresses with what is in them.
_QUIET = {
    "aiokafka": logging.WARNING,
    "aiokafka.consumer.group_coordinator": logging.ERROR,
    "aiokafka.conn": logging.ERROR,
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
}


def set_up_logs(level: str, form: Literal["json", "console"], stream: TextIO | None = None) -> None:
    """Sends structlog's and the standard library's lines to `stream` (or stderr); replaces what was set up before."""
    stream = stream or sys.stderr
    at_least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        _redact,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_exception,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(at_least)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, at_least))


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "console":
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
    return structlog.processors.JSONRenderer(_json)


def _json(event: object, **_: Any) -> str:  # Any: structlog's serializer protocol
    return orjson.dumps(event, default=str).decode()


@contextmanager
def about(**ids: str | int | None) -> Iterator[None]:
    """Binds ids (`trace_id`, `connector_id`, `attempt_id`, …) to every line that is written inside."""
    with structlog.contextvars.bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
        yield
