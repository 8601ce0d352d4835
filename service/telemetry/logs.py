"""Logs: structlog and the standard library's loggers in one stream, where redaction comes first.

One JSON object a line, or lines for people. What a request or a record is about is bound once with `about` and stands
on every line that is written meanwhile.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.telemetry import traces
from service.telemetry.redaction import redacted, redacted_text


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


def _trace_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The span that a line was written in, where there is one."""
    event.update(traces.ids())
    return event


def set_up_logs(level: str, form: Literal["json", "console"], stream: TextIO | None = None) -> None:
    """Sends structlog's and the standard library's lines to `stream` (or stderr); replaces what was set up before."""
    stream = stream or sys.stderr
    at_least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _trace_ids,
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
