"""The fold: a batch of inputs, in order, through `decide`, into one transaction's worth of rows. Does no I/O."""

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from schemas.ids import AttemptId, ConnectorId, Shard
from schemas.lifecycle import Outcome, Refused, State, Step
from schemas.value import value
from service.engine import records
from service.engine.submission import (
    NewAttempt,
    NewHandoff,
    ProviderPort,
    Receipt,
    ReceivedCode,
    ReportedFailure,
    Submission,
)
from service.store.batch import Batch, Changed, Loaded, LoggedTransition, Note
from service.store.consequences import (
    AttemptEnded,
    AttemptExplained,
    AttemptHandedOn,
    AttemptOpened,
    CodeReceived,
    Consequence,
    CredentialSwapped,
    JobSettled,
    ShredWanted,
    SyncBegan,
    VerificationWanted,
)
from service.store.log import DeadLetter
from service.telemetry.traces import Origin, Span
from statemachine import Connector, Decision, Input, Rules, decide
from statemachine.effects import (
    EndAttempt,
    ExplainAttempt,
    HandOn,
    NoteSyncBegan,
    OpenAttempt,
    RequestSync,
    Shred,
    SwapCredential,
    Verify,
)
from statemachine.inputs import Register, StartReauth, SyncFailed


class Record(Protocol):
    """The Kafka record that an input came from, as it was: what aiokafka hands out."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@value()
class Unreadable:
    """Why a record is no input at all: a dead-letter code, and a detail that holds no value of the record."""

    code: str
    detail: str


@dataclass(eq=False, slots=True)
class Work:
    """One input on its way through the door: from a caller who waits for the answer, or from a record."""

    submission: Submission | Unreadable
    answer: "Future[Receipt] | None" = None
    record: Record | None = None
    origin: Origin | None = None
    span: Span | None = None

    @property
    def connector(self) -> ConnectorId | None:
        return self.submission.input.connector if isinstance(self.submission, Submission) else None


def fold(
    works: Sequence[Work],
    loaded: dict[ConnectorId, Loaded],
    now: datetime,
    rules: Rules,
    providers: ProviderPort,
    public_url: str = "",
    steps: Mapping[AttemptId, Step] = {},
) -> tuple[Batch, list[Receipt | None]]:
    """What the inputs do, one after the other, to the connectors that were loaded.

    `public_url` is what the links of the records begin with; `steps` is how far the attempts came that `replaceable`
    names.
    Returns the batch to store, and a receipt for each caller (`None` for a record, which waits for no answer).
    """
    batch = Batch(pks={id_: one.pk for id_, one in loaded.items() if one.pk is not None})
    before = {id_: one.connector for id_, one in loaded.items()}
    now_is: dict[ConnectorId, Connector] = dict(before)
    receipts: list[Receipt | None] = []
    for work in works:
        if isinstance(work.submission, Unreadable):
            _bury(batch, work.record, now, work.submission.code, work.submission.detail)
            receipts.append(None)
            continue
        id_ = work.submission.input.connector
        decision = _apply(batch, work.submission, now_is[id_], loaded[id_], now, rules, providers, public_url, steps)
        after = now_is[id_] = decision.connector
        if work.answer is not None:
            receipts.append(Receipt(decision.outcome, after, decision.why, after.attempt))
            continue
        receipts.append(None)
        if decision.outcome is Outcome.REFUSED:
            assert isinstance(decision.why, Refused)
            _bury(batch, work.record, now, decision.why, decision.why.sentence)
    for id_, after in now_is.items():
        if after is not before[id_]:
            was = loaded[id_]
            batch.changed.append(Changed(was.pk, was.revision, was.shard, was.connector, after))
    return batch, receipts


def _apply(
    batch: Batch,
    submission: Submission,
    connector: Connector,
    loaded: Loaded,
    now: datetime,
    rules: Rules,
    providers: ProviderPort,
    public_url: str,
    steps: Mapping[AttemptId, Step],
) -> Decision:
    refusal = _precondition(submission, connector, providers)
    if refusal is not None:
        return Decision(Outcome.REFUSED, connector, connector.state, refusal)
    submission = _informed(_judged(submission, connector, providers), connector, steps)
    input_ = submission.input
    assert not isinstance(input_, ReportedFailure)
    decision = decide(connector, input_, now, rules)
    if decision.outcome is Outcome.TRANSITION:
        batch.transitions.append(_logged(decision, submission, loaded, now, public_url))
    elif decision.outcome is Outcome.IGNORED or decision.reason is not None or decision.effects:
        _note(batch, decision, submission, now)
    for effect in decision.effects:
        batch.consequences.extend(_consequences(effect, decision, submission, now))
    if submission.lease is not None:
        batch.consequences.append(JobSettled(submission.lease.job, submission.lease.token))
    return decision


def _precondition(submission: Submission, connector: Connector, providers: ProviderPort) -> Refused | None:
    registered = connector.version > 0
    if registered and submission.tenant is not None and submission.tenant != connector.tenant:
        # Nobody learns what became of another tenant's connector; that an id is taken can't be hidden.
        return Refused.ID_TAKEN if isinstance(submission.input, Register) else Refused.UNKNOWN_CONNECTOR
    if registered and submission.if_version is not None and submission.if_version != connector.version:
        return Refused.VERSION_MISMATCH
    if isinstance(submission.input, Register) and not providers.knows(submission.input.provider):
        return Refused.UNKNOWN_PROVIDER
    return None


def _judged(submission: Submission, connector: Connector, providers: ProviderPort) -> Submission:
    """The submission with a reported failure turned into one with a reason."""
    reported = submission.input
    if not isinstance(reported, ReportedFailure):
        return submission
    judgement = providers.judge(connector.provider, reported.error)
    failed = SyncFailed(
        connector=reported.connector,
        occurred=reported.occurred,
        started=reported.started,
        generation=reported.generation,
        position=reported.position,
        reason=judgement.reason,
    )
    return replace(submission, input=failed, evidence=judgement.evidence)


def replaceable(works: Sequence[Work], loaded: Mapping[ConnectorId, Loaded]) -> set[AttemptId]:
    """The live attempts that a newer one may replace: how far they came, their rows tell alone."""
    asked = (w.submission.input for w in works if isinstance(w.submission, Submission))
    live = (loaded[i.connector].connector.attempt for i in asked if isinstance(i, StartReauth))
    return {attempt for attempt in live if attempt is not None}


def _informed(submission: Submission, connector: Connector, steps: Mapping[AttemptId, Step]) -> Submission:
    """The submission with how far the attempt came that it replaces; one that is opened just now came nowhere yet."""
    input_ = submission.input
    if not isinstance(input_, StartReauth) or connector.attempt is None:
        return submission
    return replace(submission, input=replace(input_, replaced=steps.get(connector.attempt, Step.LINK_OFFERED)))


def _logged(d: Decision, submission: Submission, loaded: Loaded, now: datetime, public_url: str) -> LoggedTransition:
    c = d.connector
    request = next((e for e in d.effects if isinstance(e, RequestSync)), None) if d.effects else None
    state = records.encode(records.connector_state(c))
    record = records.transition(d, submission, now, state, public_url)
    return LoggedTransition(
        shard=loaded.shard,
        at=now,
        connector=c.id,
        tenant=c.tenant,
        version=c.version,
        deleted=c.state is State.DELETED,
        provider=c.provider,
        from_state=d.source,
        to_state=c.state,
        trigger=submission.input.trigger,
        reason=d.reason,
        step=d.step,
        attempt_id=record["attempt_id"],
        record=records.encode(record),
        state=state,
        sync_request=records.encode(records.sync_request(c, request)) if request else None,
        trace=_trace(submission),
    )


def _trace(submission: Submission) -> str | None:
    trace = records.trace(submission.trace)
    return records.encode(trace) if trace else None


def _note(batch: Batch, d: Decision, submission: Submission, now: datetime) -> None:
    evidence = submission.evidence
    batch.notes.append(
        Note(
            at=now,
            connector=d.connector.id,
            outcome=d.outcome,
            trigger=submission.input.trigger,
            why=d.why,
            reason=d.reason or _reason_of(submission.input),
            attempt_id=getattr(submission.input, "attempt", None),
            actor=records.encode(records.actor(submission.actor)),
            evidence=records.encode(records.evidence(evidence)) if evidence else None,
            cause=submission.trace.causation_id,
        )
    )


def _reason_of(input_: Input | ReportedFailure) -> str | None:
    return getattr(input_, "reason", None)


def _bury(batch: Batch, record: Record | None, now: datetime, code: str, detail: str) -> None:
    """Keeps a record that can't be handled as a dead letter, in the log of the partition that it came from."""
    assert record is not None, "callers are answered; only records are buried"
    batch.dead_letters.append(
        DeadLetter(
            shard=Shard(record.partition),
            at=now,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
            code=code,
            detail=detail,
        )
    )


def _consequences(effect: object, d: Decision, submission: Submission, now: datetime) -> Sequence[Consequence]:
    """The rows that carry an effect out."""
    c = d.connector
    match effect:
        case OpenAttempt(attempt):
            given = submission.attachment
            new = given if isinstance(given, NewAttempt) else NewAttempt()
            assert c.deadline is not None
            return [
                AttemptOpened(
                    connector=c.id,
                    attempt=attempt,
                    at=now,
                    expires=c.deadline,
                    completion="browser" if c.account else "host",
                    person_id=new.person_id,
                    person_name=new.person_name,
                    return_url=new.return_url,
                    browser_hash=new.browser_hash,
                    expected=records.encode(records.account(c.account)) if c.account else None,
                )
            ]
        case EndAttempt(attempt, reason):
            seen = records.encode(records.account(d.seen)) if d.seen else None
            return [AttemptEnded(attempt, now, reason, d.replaced or d.step, seen)]
        case HandOn(attempt):
            link = submission.attachment
            assert isinstance(link, NewHandoff)
            return [AttemptHandedOn(attempt, now, link.hash, link.person_id, link.person_name, link.lifetime)]
        case ExplainAttempt(attempt, reason):
            return [AttemptExplained(attempt, reason)]
        case Verify(attempt, after):
            wanted = VerificationWanted(c.id, attempt, now + after, _trace(submission))
            code = submission.attachment
            if isinstance(code, ReceivedCode):
                return [CodeReceived(attempt, code.sealed, code.data_key, code.claimed_account), wanted]
            return [wanted]
        case SwapCredential(attempt, generation):
            return [CredentialSwapped(c.id, attempt, generation, now, _trace(submission))]
        case NoteSyncBegan():
            return [SyncBegan(c.id)]
        case Shred():
            return [ShredWanted(c.id, now)]
        case RequestSync():
            return []  # a column of the log's row
    raise AssertionError(f"an effect without consequences: {effect}")
