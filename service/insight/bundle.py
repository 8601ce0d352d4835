"""Makes a support bundle: reads everything of one moment, puts it in words, and lets no secret out (P25)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from schemas.bundle import (
    FORMAT,
    BundleAttempt,
    BundleConnector,
    BundleCredential,
    BundleProvider,
    LogRecord,
    RequestId,
    SupportBundle,
)
from schemas.ids import AttemptId, ConnectorId, TenantId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from schemas.records import Account
from service.insight.answers import account_body, chapters_body, evidence_body, why_body
from service.insight.entries import Entry
from service.insight.names import Names, ProviderNames, cut
from service.insight.reading import entries_of, glimpse_of
from service.insight.scrub import is_an_id, scrubbed
from service.insight.timeline import timeline
from service.insight.tries import Try, tries
from service.insight.why import Glimpse, why
from service.store import reads, stories
from service.store.pool import Connection
from statemachine.connector import Connector

Json = dict[str, Any]  # Any: what JSON can hold

LARGEST = 1_000_000
"""The most bytes of a bundle."""
NEWEST, ATTEMPTS, IDS = 200, 50, 50


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that is read of a connector, as of one moment."""

    at: datetime
    connector: Connector
    log: stories.Log
    attempts: Sequence[Json]
    credentials: Sequence[Json]
    glimpse: Glimpse | None


async def material(connection: Connection, id_: ConnectorId, tenant: TenantId | None = None) -> Material | None:
    """What there is about a connector; `None` where the tenant (or, without one, nobody) has it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if tenant is None:
            found = await stories.connector_of_any_tenant(connection, id_)
        else:
            found = await reads.connector(connection, id_, tenant)
        if found is None:
            return None
        pk, connector = found
        return Material(
            await stories.now(connection),
            connector,
            await stories.log(connection, pk, NEWEST),
            await stories.attempts(connection, pk, ATTEMPTS),
            await stories.credentials(connection, pk),
            await glimpse_of(connection, connector),
        )


def bundle(of: Material, provider: BundleProvider, settings: Mapping[str, str]) -> SupportBundle:
    """The bundle, with the oldest records left out as far as it would be too large."""
    newest = NEWEST
    while True:
        made = _bundle(of, provider, settings, newest)
        if newest <= 1 or len(made.model_dump_json(by_alias=True).encode()) <= LARGEST:
            return made
        newest //= 2


def _bundle(of: Material, provider: BundleProvider, settings: Mapping[str, str], newest: int) -> SupportBundle:
    c = of.connector
    log = stories.Log(of.log.transitions[:newest], of.log.notes[:newest], of.log.more)
    entries = entries_of(log)
    names = Names.of(c, ProviderNames(provider.title, provider.account_word, provider.admin_word))
    made = SupportBundle(
        made_at=of.at,
        regrant_version=version("regrant"),
        provider=provider,
        connector=_connector(c),
        state_sentence=c.state.sentence,
        why=why_body(c.id, why(c, entries, names, of.glimpse)),
        timeline=chapters_body(timeline(entries, names)),
        attempts=list(_attempts(entries, of.attempts, names)),
        credentials=[BundleCredential.model_validate(one) for one in of.credentials],
        request_ids=list(_request_ids(entries)),
        correlation_ids=_first(entry.correlation for entry in reversed(entries)),
        settings=dict(settings),
        log=[
            LogRecord(transition=one.transition, sync_request=one.sync_request, trace=one.trace)
            for one in reversed(log.transitions)
        ],
        notes=list(reversed(log.notes)),
        path=_path(entries),
        left_out=of.log.more or newest < max(len(of.log.transitions), len(of.log.notes)),
    )
    told = scrubbed(made.model_dump(mode="json", by_alias=True), _ours(of, entries, made))
    return SupportBundle.model_validate(told)


def _connector(c: Connector) -> BundleConnector:
    assert c.since is not None, "its row has it"
    return BundleConnector(
        connector_id=c.id,
        tenant_id=c.tenant,
        provider=c.provider,
        name=c.name,
        state=c.state,
        version=c.version,
        since=c.since,
        reason=c.reason,
        remedy=c.reason.remedy if c.reason else None,
        fallback=c.fallback,
        account=account_body(c.account),
        generation=c.generation,
        attempt_id=c.attempt,
        attempt_reason=c.attempt_reason,
        deadline=c.deadline,
        failed_since=c.failed_since,
        last_success=c.last_success,
        expires_at=c.expires_at,
        expires_estimated=c.expires_estimated,
        transient_failures=c.transient_failures,
        unavailable=c.unavailable,
        sync_asks=c.sync_asks,
        reminders=c.reminders,
        swapped_at=c.swapped,
    )


def _attempts(entries: Sequence[Entry], rows: Sequence[Json], names: Names) -> Iterator[BundleAttempt]:
    """The newest first: as the log tells of them, with what their own rows add while these are kept."""
    by_id = {str(row["attempt_id"]): row for row in rows}
    for one in reversed(tries(entries)):
        yield _attempt(one, by_id.pop(str(one.attempt), {}), names)
    for row in by_id.values():  # older than the log that is at hand
        yield _attempt(Try(AttemptId(row["attempt_id"]), None), row, names)


def _attempt(one: Try, row: Json, n: Names) -> BundleAttempt:
    end = one.end
    reason = one.reason or (Reason(row["reason"]) if row.get("reason") else None)
    if reason is Reason.CONNECTED:
        reason = None
    expected = account_body(end.expected if end else None) or _account(row.get("expected_account"))
    seen = account_body(end.seen if end else None) or _account(row.get("seen_account"))
    opened = one.opened
    ended = end.at if end else row.get("ended_at")
    status = one.how if one.how != "open" or ended is None else ("ended" if reason else "connected")
    return BundleAttempt(
        attempt_id=one.attempt,
        opened_at=opened.at if opened else row.get("opened_at"),
        opened_by=n.actor(opened.actor) if opened else "somebody",
        person=cut(row["person_name"]) if row.get("person_name") else None,
        step=_furthest(one.step, Step(row["step"]) if row.get("step") else None),
        status=status,
        ended_at=ended,
        reason=reason,
        because=n.because(reason, end.expected if end else None, end.seen if end else None) if reason else None,
        expected_account=expected,
        seen_account=seen,
        evidence=evidence_body(end.evidence) if end else None,
    )


def _furthest(*steps: Step | None) -> Step | None:
    order = tuple(Step)
    return max((step for step in steps if step), key=order.index, default=None)


def _account(told: Json | None) -> Account | None:
    return Account(id=told["id"], name=told["name"]) if told else None


def _request_ids(entries: Sequence[Entry]) -> Iterator[RequestId]:
    told = [entry for entry in reversed(entries) if entry.evidence and entry.evidence.request_id]
    for entry in told[:IDS]:
        assert entry.evidence is not None and entry.evidence.request_id is not None
        said = entry.evidence
        yield RequestId(at=entry.at, request_id=entry.evidence.request_id, status=said.status, code=said.code)


def _first(ids: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(one for one in ids if one))[:IDS]


def _path(entries: Sequence[Entry]) -> list[State]:
    path: list[State] = []
    for entry in entries:
        if entry.to is not None and (not path or path[-1] is not entry.to):
            path.append(entry.to)
    return path


def _ours(of: Material, entries: Sequence[Entry], made: SupportBundle) -> set[str]:
    """Texts that stay as they are: our ids, what the provider's proof pinned, and ids that have an id's shape."""
    c = of.connector
    given = [entry.evidence.request_id for entry in entries if entry.evidence]
    given += [told for entry in entries for told in (entry.correlation, entry.causation)]
    accounts = [c.account, *(account for entry in entries for account in (entry.expected, entry.seen))]
    ids = {c.id, c.tenant, c.provider, FORMAT, *(account.id for account in accounts if account is not None)}
    ids |= {one for one in given if one and is_an_id(one)}
    ids |= {str(entry.attempt) for entry in entries if entry.attempt}
    ids |= {str(chapter.attempt_id) for chapter in made.timeline if chapter.attempt_id}
    ids |= {str(attempt.attempt_id) for attempt in made.attempts}
    ids |= {credential.account_id for credential in made.credentials}
    return ids
