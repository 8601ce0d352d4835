"""What a story becomes in the API and in a support bundle: the bodies of `schemas/`."""

from collections.abc import Sequence

from schemas import api, bundle
from schemas import story as bodies
from schemas.ids import ConnectorId
from schemas.records import Account, Actor
from schemas.records import Evidence as EvidenceBody
from service.insight.entries import Entry, Evidence
from service.insight.paragraph import Why
from service.insight.timeline import Chapter, Happening
from statemachine.connector import Account as Known


def why_body(connector: ConnectorId, told: Why) -> bodies.Why:
    return bodies.Why(
        connector_id=connector,
        state=told.state,
        since=told.since,
        reason=told.reason,
        paragraph=told.paragraph,
        from_the_log=told.from_the_log,
        who_acts=told.who,
        who=told.who_words,
        next=told.next,
        events=[history_entry(event) for event in told.events],
    )


def chapters_body(chapters: Sequence[Chapter]) -> list[bundle.Chapter]:
    return [
        bundle.Chapter(attempt_id=chapter.attempt, happenings=[_happening(one) for one in chapter.happenings])
        for chapter in chapters
    ]


def _happening(one: Happening) -> bundle.Happening:
    return bundle.Happening(
        at=one.entry.at,
        text=one.text,
        entry=history_entry(one.entry),
        correlation_id=one.entry.correlation,
        causation_id=one.entry.causation,
    )


def history_entry(entry: Entry) -> api.HistoryEntry:
    """An entry as the history shows it."""
    return api.HistoryEntry.model_validate(
        {
            "at": entry.at,
            "outcome": entry.outcome,
            "trigger": entry.trigger,
            "version": entry.version,
            "from": entry.source,
            "to": entry.to,
            "reason": entry.reason,
            "why": entry.why,
            "step": entry.step,
            "actor": Actor(kind=entry.actor.kind, id=entry.actor.id),
            "attempt_id": entry.attempt,
            "correlation_id": entry.correlation,
            "expected_account": account_body(entry.expected),
            "seen_account": account_body(entry.seen),
            "evidence": evidence_body(entry.evidence),
        }
    )


def account_body(account: Known | None) -> Account | None:
    return Account(id=account.id, name=account.name) if account else None


def evidence_body(said: Evidence | None) -> EvidenceBody | None:
    if said is None:
        return None
    return EvidenceBody.model_validate(
        {"at": said.at, "status": said.status, "code": said.code, "request_id": said.request_id}
    )
