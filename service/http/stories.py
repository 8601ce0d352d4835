"""A connector's story over HTTP: why it is in its state."""

from aiohttp import web

from schemas import api, story
from schemas.lifecycle import Refused, State
from schemas.records import Account, Actor, Evidence
from service.http.context import Call
from service.http.problems import refused
from service.insight.entries import Entry
from service.insight.names import ProviderNames
from service.insight.reading import Known, known
from statemachine.connector import Connector


async def get_why(call: Call) -> web.Response:
    found = await _known(call)
    told = found.why(names_of(call, found.connector))
    return call.answer(
        story.Why(
            connector_id=found.connector.id,
            state=told.state,
            since=told.since,
            reason=told.reason,
            paragraph=told.paragraph,
            from_the_log=told.from_the_log,
            who_acts=told.who,
            who=told.who_words,
            next=told.next,
            events=[shown(event) for event in told.events],
        )
    )


async def _known(call: Call) -> Known:
    async with call.parts.pool.acquire() as connection:
        found = await known(connection, call.connector, call.caller.tenant)
    if found is None or found.connector.state is State.DELETED:
        raise refused(Refused.UNKNOWN_CONNECTOR)
    return found


def names_of(call: Call, connector: Connector) -> ProviderNames:
    """What the connector's provider is called; a provider that was taken from the settings keeps its id."""
    config = call.parts.providers.get(connector.provider)
    if config is None:
        return ProviderNames(connector.provider)
    words = config.description.words
    return ProviderNames(words.title, words.account, words.admin)


def shown(entry: Entry) -> api.HistoryEntry:
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
            "expected_account": Account(id=entry.expected.id, name=entry.expected.name) if entry.expected else None,
            "seen_account": Account(id=entry.seen.id, name=entry.seen.name) if entry.seen else None,
            "evidence": Evidence.model_validate(
                {name: getattr(entry.evidence, name) for name in ("at", "status", "code", "request_id")}
            )
            if entry.evidence
            else None,
        }
    )
