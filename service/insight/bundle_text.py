"""A support bundle as Markdown, to read, and to paste into a ticket."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from schemas.bundle import BundleAttempt, BundleCredential, SupportBundle
from service.insight.names import cut

_SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|#~"})


def markdown(bundle: SupportBundle) -> str:
    """The bundle for a reader: the answer first, then what proves it; the log's records are in the JSON alone."""
    return "\n".join(_lines(bundle)) + "\n"


def _lines(b: SupportBundle) -> Iterator[str]:
    c, why = b.connector, b.why
    yield f"# Support bundle: {_md(c.connector_id)}"
    yield ""
    yield f"Made {_at(b.made_at)} by regrant {_md(b.regrant_version)} (`{b.format}`)."
    yield ""
    yield "## Why is it in this state?"
    yield ""
    yield _md(why.paragraph)
    yield ""
    yield f"**Who acts:** {_md(why.who)} ({why.who_acts}). **Next:** {_md(why.next)}"
    yield ""
    yield from _table(
        ("version", "at", "what happened", "from", "to", "reason"),
        [(str(e.version), _at(e.at), e.trigger, e.from_ or "-", e.to or "-", e.reason or "-") for e in why.events],
    )
    yield "## The connector"
    yield ""
    yield from _table(("", ""), _facts(b))
    yield "## Attempts"
    yield ""
    if b.attempts:
        yield from _table(
            ("opened", "by", "for", "reached", "status", "because", "expected", "seen", "ended"),
            [_attempt(one) for one in b.attempts],
        )
    else:
        yield "None is known."
        yield ""
    yield "## Credentials"
    yield ""
    yield from _table(
        ("number", "status", "account", "made", "refreshed", "access ends", "ends", "scope"),
        [_credential(one) for one in b.credentials],
    )
    yield "## Ids to ask for"
    yield ""
    said = [f"`{i.request_id}` ({_at(i.at)}, HTTP {i.status or '-'}, code {_md(i.code or '-')})" for i in b.request_ids]
    yield f"The provider's request ids: {', '.join(said) or 'none'}."
    yield ""
    yield f"Our trace ids: {', '.join(f'`{one}`' for one in b.correlation_ids) or 'none'}."
    yield ""
    yield "## Timeline"
    yield ""
    if b.left_out:
        yield "Older entries are left out."
        yield ""
    for chapter in b.timeline:
        yield f"### {f'Attempt {chapter.attempt_id}' if chapter.attempt_id else 'Outside of attempts'}"
        yield ""
        for one in chapter.happenings:
            version = f" (version {one.entry.version})" if one.entry.version else ""
            yield f"- {_at(one.at)}: {_md(one.text)}{version}"
        yield ""
    yield "## Settings"
    yield ""
    yield from _table(("name", "value"), sorted(b.settings.items()))


def _facts(b: SupportBundle) -> list[tuple[str, str]]:
    c, p = b.connector, b.provider
    account = f"{c.account.name} (id {c.account.id})" if c.account else "none yet"
    deployed = p.environment or "not deployed any more"
    return [
        ("name", c.name),
        ("tenant", c.tenant_id),
        ("provider", f"{p.title} ({p.id}, {deployed}, description {p.description or '-'})"),
        (p.account_word, account),
        ("state", f"{c.state} since {_at(c.since)}: {b.state_sentence}"),
        ("reason", c.reason or "-"),
        ("last attempt ended with", c.attempt_reason or "-"),
        ("deadline", _at(c.deadline)),
        ("failing since", _at(c.failed_since)),
        ("last success", _at(c.last_success)),
        ("credential", f"number {c.generation}, in use since {_at(c.swapped_at)}"),
        ("failures that pass by themselves", str(c.transient_failures)),
        ("path", " → ".join(b.path) or "-"),
    ]


def _attempt(one: BundleAttempt) -> tuple[str, ...]:
    return (
        _at(one.opened_at),
        one.opened_by,
        one.person or "-",
        one.step or "-",
        one.status,
        one.because or "-",
        f"{one.expected_account.name} ({one.expected_account.id})" if one.expected_account else "-",
        f"{one.seen_account.name} ({one.seen_account.id})" if one.seen_account else "-",
        _at(one.ended_at),
    )


def _credential(one: BundleCredential) -> tuple[str, ...]:
    estimated = " (estimated)" if one.ends_estimated else ""
    return (
        str(one.generation),
        one.status,
        one.account_id,
        _at(one.made_at),
        f"{_at(one.refreshed_at)} (number {one.rotation})",
        _at(one.access_expires_at),
        f"{_at(one.ends_at)}{estimated}",
        one.scope,
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        yield "None."
        yield ""
        return
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(_md(cell) for cell in row)} |"
    yield ""


def _at(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at else "-"


def _md(text: str) -> str:
    """A text on one line, whose signs mean nothing to Markdown."""
    return cut(text, 1000).translate(_SPECIAL)
