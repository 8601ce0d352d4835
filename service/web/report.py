"""The support report of an attempt: what support asks a person for, told by us, free of secrets. Pure.

Its words are English, for support; what stood on the person's screen stands in it as it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol

from schemas.ids import AttemptId
from service.insight.facts import AttemptFacts
from service.insight.names import cut
from service.insight.scrub import is_an_id, scrubbed_text
from service.oauth.window import WindowView
from service.texts.language import Language
from service.web.saying import support_code
from service.web.screen import Screen
from statemachine.connector import Account

LONGEST = 1000
"""The most characters of one line."""


class Facts(Protocol):
    """What the window needs of `service.insight.facts.AttemptsFacts`."""

    async def of(self, attempt: AttemptId) -> AttemptFacts: ...


@dataclass(frozen=True, slots=True)
class Report:
    """A report, to copy and to download."""

    attempt: AttemptId
    text: str
    sent: bool
    """Whether the host has got it already."""


def report(view: WindowView, screen: Screen, facts: AttemptFacts, language: Language, now: datetime) -> Report:
    """The report of an attempt whose person sees this screen now."""
    lines = list(_lines(view, screen, facts, language, now))
    width = max(len(name) for name, _ in lines)
    ids = {str(view.attempt), *filter(is_an_id, (*facts.trace_ids, *facts.request_ids))}
    ids |= {account.id for account in (view.account, view.expected, view.seen) if account}
    text = "\n".join(
        f"{name and name + ':':<{width + 1}} {cut(scrubbed_text(told, ids), LONGEST)}" for name, told in lines
    )
    return Report(view.attempt, text, view.help_asked)


def _lines(
    view: WindowView, screen: Screen, facts: AttemptFacts, language: Language, now: datetime
) -> Iterator[tuple[str, str]]:
    stopped = next((line.label for line in screen.lines if line.status in ("failed", "now")), None)
    yield "report", f"regrant {version('regrant')}, {_at(now)}"
    yield "support code", support_code(view.attempt)
    yield "attempt", str(view.attempt)
    yield "connection", view.connector_name
    yield "workspace", view.tenant
    yield "provider", view.provider.name
    yield "screen", f"{screen.name}, in {language}"
    yield "it says", screen.title
    for words in (*screen.words, *([screen.next] if screen.next else [])):
        yield "", words
    yield "step reached", f"{view.step.value} ({view.step.sentence.rstrip('.').lower()})"
    if stopped:
        yield "stopped at", stopped
    yield "state", view.state.value
    yield "ended with", view.ending.value if view.ending else "connected" if view.succeeded else "it hasn't ended"
    yield "failed with", view.failure.value if view.failure else "-"
    yield "account expected", _account(view.expected or view.account)
    yield "account seen", _account(view.seen)
    yield "opened", _at(facts.opened_at)
    yield "came back", _at(view.returned_at)
    yield "ended", _at(facts.ended_at)
    yield "expires", _at(view.expires_at)
    yield "provider's ids", _listed(facts.request_ids)
    yield "our trace ids", _listed(facts.trace_ids)


def _account(account: Account | None) -> str:
    return f"{account.name} (id {account.id})" if account else "-"


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids) or "-"


def _at(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at else "-"
