"""What is logged, and what must never be: redaction by type, by name, and by looks (S25, S26)."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from aiohttp import web

from schemas.secret import Secret
from service.http.access import runner_of
from service.telemetry.logs import MASK, about, redacted, redacted_text, set_up_logs

PLANTED = "s3cr3t-M4RK3R-value"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """JSON logs at debug level, as read so far; the loggers are put back as they were."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "name",
    [
        *("token", "access_token", "refreshToken", "client_secret", "password", "code", "code_verifier", "state"),
        *("Cookie", "Set-Cookie", "Authorization", "dsn", "DATABASE_DSN", "jwt", "tokens", "id_token_hint", "api_key"),
    ],
)
def test_a_value_under_a_secret_name_is_masked_however_deep(lines: Lines, name: str) -> None:
    structlog.get_logger("t").info("x", **{name: PLANTED}, outer={"inner": [{name: PLANTED}]})
    assert PLANTED not in json.dumps(lines())
    assert lines()[0][name] == MASK


def test_what_is_only_named_alike_stays_readable() -> None:
    for name in ("status_code", "from_state", "connector_id", "reason", "encoded", "statement", "monkey"):
        assert redacted(name, "visible") == "visible"


def test_a_secret_is_masked_under_any_name_and_in_any_container(lines: Lines) -> None:
    secret = Secret(PLANTED)
    structlog.get_logger("t").info("got", thing=secret, many=[secret, (secret,), {"a": secret}], tale=f"<{secret}>")
    assert PLANTED not in json.dumps(lines())


@pytest.mark.parametrize(
    "text",
    [
        f"GET /oauth/callback/q?code={PLANTED}&state={PLANTED} failed",
        f"Authorization: Bearer {PLANTED}",
        f"postgresql://regrant:{PLANTED}@db.example.com/regrant is away",
        f"{{'refresh_token': '{PLANTED}'}}",
        f'{{"client_secret":"{PLANTED}","a":1}}',
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{PLANTED}.c2ln",
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    assert PLANTED not in redacted_text(text)


def test_a_traceback_shows_no_secret(lines: Lines) -> None:
    try:
        raise ValueError(f"can't connect to postgresql://u:{PLANTED}@db/x with token={PLANTED}")
    except ValueError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("foreign").exception("failed, too")
    first, second = lines()
    assert PLANTED not in json.dumps([first, second])
    assert "ValueError" in first["exception"] and "ValueError" in second["exception"]


@pytest.mark.parametrize(
    "bad",
    [
        f"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; regrant-window={PLANTED}\x01",
        f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\x00{PLANTED}",
        f"GET /oauth/callback/q?state={PLANTED}&code={'a' * 10_000} HTTP/1.1\r\nHost: a",
        f"GE/T /oauth/callback/q?state={PLANTED} HTTP/1.1\r\nHost: a",
    ],
    ids=["cookie", "authorization", "line too long", "no method"],
)
async def test_s26_a_request_that_is_no_http_is_logged_without_what_it_held(
    lines: Lines, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    """aiohttp puts the offending line into its own log. No handler sees it, whoever installed it."""
    runner = runner_of(web.Application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(f"{bad}\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
    finally:
        await runner.cleanup()
    told = [line for line in lines() if line["logger"].startswith("aiohttp.server")]
    assert [line["event"] for line in told] == ["bad_request"]
    assert PLANTED not in json.dumps(lines())
    assert PLANTED not in caplog.text


def test_lines_of_other_libraries_come_in_the_same_form_and_redacted(lines: Lines) -> None:
    logging.getLogger("aiohttp.server").error("Error at %s", f"/cb?code={PLANTED}", extra={"cookie": PLANTED})
    (line,) = lines()
    assert PLANTED not in json.dumps(line)
    assert (line["level"], line["logger"]) == ("error", "aiohttp.server")


def test_the_chatter_of_libraries_is_limited_and_access_logs_are_off(lines: Lines) -> None:
    logging.getLogger("aiokafka.consumer.fetcher").info("chatter")
    logging.getLogger("aiokafka.consumer.group_coordinator").warning("again and again while the broker is away")
    logging.getLogger("aiohttp.access").info("GET /?code=1")
    logging.getLogger("aiokafka").warning("kept")
    assert [line["event"] for line in lines()] == ["kept"]


def test_ids_that_are_bound_stand_on_every_line_meanwhile(lines: Lines) -> None:
    with about(trace_id="t-1", connector_id="c-1", attempt_id=None):
        structlog.get_logger("t").info("inside")
        logging.getLogger("aiohttp.server").warning("inside, too")
    structlog.get_logger("t").info("outside")
    inside, foreign, outside = lines()
    for line in (inside, foreign):
        assert (line["trace_id"], line["connector_id"]) == ("t-1", "c-1")
        assert "attempt_id" not in line
    assert "trace_id" not in outside


def test_the_level_is_kept_and_the_console_form_is_for_people() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("warning", "console", stream)
    structlog.get_logger("t").info("hidden")
    structlog.get_logger("t").warning("shown", token=PLANTED)
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    text = stream.getvalue()
    assert "hidden" not in text and PLANTED not in text
    assert "shown" in text and not text.lstrip().startswith("{")
