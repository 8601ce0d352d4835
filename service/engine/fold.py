"""The fold: a batch of inputs, in order, through `decide`, into one transaction's worth of rows. Does no I/O."""

from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from schemas.ids import ConnectorId, Shard
from schemas.lifecycle import Outcome, Refused
from schemas.records import Evidence
from service.engine import records
from service.engine.submission import (
    NewAttempt,
    ProviderPort,
    Receipt,
    ReceivedCode,
    ReportedFailure,
    Submission,
)
from service.store.batch import Batch, DeadLetter, Loaded, LoggedTransition, Note
from service.store.consequences import (
    AttemptEnded,
    AttemptOpened,
    CodeReceived,
    Consequence,
    CredentialSwapped,
    JobSettled,
    ShredWanted,
    VerificationWanted,
)
from statemachine import Connector, Decision, Input, Rules, decide
from statemachine.effects import EndAttempt, OpenAttempt, RequestSync, Shred, SwapCredential, Verify
from statemachine.inputs import Register, SyncFailed


@dataclass(frozen=True, slots=True)
class Record:
    """The Kafka record that an input came from, as it was."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
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

    @property
    def connector(self) -> ConnectorId | None:
        return self.submission.input.connector if isinstance(self.submission, Submission) else None


def fold(
    works: Sequence[Work], loaded: dict[ConnectorId, Loaded], now: datetime, rules: Rules, providers: ProviderPort
) -> tuple[Batch, list[Receipt | None]]:
    """What the inputs do, one after the other, to the connectors that were loaded.

    Returns the batch to store, and for each input its receipt (`None` for an unreadable record).
    """
    batch = Batch(pks={id_: one.pk for id_, one in loaded.items() if one.pk is not None})
    before = {id_: one.connector for id_, one in loaded.items()}
    now_is: dict[ConnectorId, Connector] = dict(before)
    receipts: list[Receipt | None] = []
    for work in works:
        if isinstance(work.submission, Unreadable):
            _bury(batch, work, loaded, now, work.submission.code, work.submission.detail)
            receipts.append(None)
            continue
        submission = work.submission
        connector = now_is[submission.input.connector]
        receipt = _apply(batch, submission, connector, loaded[connector.id], now, rules, providers)
        now_is[connector.id] = receipt.connector
        if receipt.outcome is Outcome.REFUSED and work.record is not None and receipt.why is not None:
            _bury(batch, work, loaded, now, receipt.why, receipt.why.sentence)
        receipts.append(receipt)
    batch.changed = [replace(loaded[id_], connector=after) for id_, after in now_is.items() if after is not before[id_]]
    return batch, receipts


def _apply(
    batch: Batch,
    submission: Submission,
    connector: Connector,
    loaded: Loaded,
    now: datetime,
    rules: Rules,
    providers: ProviderPort,
) -> Receipt:
    refusal = _precondition(submission, connector, providers)
    if refusal is not None:
        return Receipt(Outcome.REFUSED, connector, refusal)
    submission = _judged(submission, connector, providers)
    input_ = submission.input
    assert not isinstance(input_, ReportedFailure)
    decision = decide(connector, input_, now, rules)
    after = decision.connector
    if decision.outcome is Outcome.TRANSITION:
        batch.transitions.append(_logged(decision, submission, loaded, now))
    elif decision.outcome is Outcome.IGNORED or decision.reason is not None:
        _note(batch, decision, submission, loaded, now)
    for effect in decision.effects:
        batch.consequences.extend(_consequences(effect, decision, submission, now))
    if submission.lease is not None:
        batch.consequences.append(JobSettled(submission.lease.job, submission.lease.token))
    return Receipt(decision.outcome, after, decision.why, after.attempt)


def _precondition(submission: Submission, connector: Connector, providers: ProviderPort) -> Refused | None:
    registered = connector.version > 0 and not isinstance(submission.input, Register)  # whose answer is in the table
    if registered and submission.tenant is not None and submission.tenant != connector.tenant:
        return Refused.UNKNOWN_CONNECTOR
    if submission.if_version is not None and submission.if_version != connector.version:
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


def _logged(d: Decision, submission: Submission, loaded: Loaded, now: datetime) -> LoggedTransition:
    request = next((e for e in d.effects if isinstance(e, RequestSync)), None)
    record = records.transition(d, submission, now)
    return LoggedTransition(
        shard=loaded.shard,
        at=now,
        connector=d.connector.id,
        version=d.connector.version,
        from_state=d.source,
        to_state=d.connector.state,
        trigger=submission.input.trigger,
        reason=d.reason,
        step=d.step,
        attempt_id=record["attempt_id"],
        record=records.encode(record),
        sync_request=records.encode(records.sync_request(d.connector, request)) if request else None,
        trace=_trace(submission),
    )


def _trace(submission: Submission) -> str | None:
    trace = submission.trace
    if trace.correlation_id is None and trace.causation_id is None and trace.traceparent is None:
        return None
    return records.encode(
        {
            "correlationid": trace.correlation_id,
            "causationid": trace.causation_id,
            "traceparent": trace.traceparent,
        }
    )


def _note(batch: Batch, d: Decision, submission: Submission, loaded: Loaded, now: datetime) -> None:
    evidence: Evidence | None = submission.evidence
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
        )
    )


def _reason_of(input_: Input | ReportedFailure) -> str | None:
    return getattr(input_, "reason", None)


def _bury(batch: Batch, work: Work, loaded: dict[ConnectorId, Loaded], now: datetime, code: str, detail: str) -> None:
    """Keeps a record that can't be handled as a dead letter, in the log of the partition that it came from."""
    record = work.record
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
            return [AttemptEnded(attempt, now, reason, d.step if attempt != c.attempt else None, seen)]
        case Verify(attempt, after):
            wanted = VerificationWanted(c.id, attempt, now + after, _trace(submission))
            code = submission.attachment
            if isinstance(code, ReceivedCode):
                return [CodeReceived(attempt, code.sealed, code.data_key, code.claimed_account), wanted]
            return [wanted]
        case SwapCredential(attempt, generation):
            return [CredentialSwapped(c.id, attempt, generation, now)]
        case Shred():
            return [ShredWanted(c.id, now)]
        case RequestSync():
            return []  # a column of the log's row
    raise AssertionError(f"an effect without consequences: {effect}")
