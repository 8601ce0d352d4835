"""Every record of the input topics against what it caused: I10, I11, and of I6 what dead letters tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord

from tests.checker.envelope import Unreadable
from tests.checker.ledger import BY_NOTE, BY_TRANSITION, DELIVERED, Connector, Ledger, Letter, cause_of, content_of
from tests.checker.lifecycle import DELETED, TAKEN_OFF
from tests.checker.reading import UNREADABLE, Event, read
from tests.checker.report import Report
from tests.checker.topics import INPUTS, Part, Topics

CLOCK_SKEW = timedelta(seconds=30)
"""A run further in the future than this counts as begun by then: a wrong clock mustn't silence what follows."""


async def check_inputs(topics: Topics, ledger: Ledger, report: Report, *, must_be_consumed: bool = False) -> None:
    """Reads every input topic once. `must_be_consumed`: a record that nobody has consumed is a violation."""
    reader = Inputs(topics, ledger, report, must_be_consumed)
    committed = await topics.committed()
    for topic in INPUTS:
        for part in await topics.parts(topic):
            await reader.part(topic, part, committed)
    reader.end()


@dataclass(slots=True)
class Inputs:
    """What is known across partitions."""

    topics: Topics
    ledger: Ledger
    report: Report
    must_be_consumed: bool
    begins: dict[tuple[str, int], int] = field(default_factory=dict)
    ahead: list[tuple[int, str]] = field(default_factory=list)
    """Causes that were found only beyond the consumed offset, unless they were delivered before, too."""
    buried: list[tuple[int, str]] = field(default_factory=list)
    """Events that are dead letters and changed their connector, unless they were delivered twice."""

    async def part(self, topic: str, part: Part, committed: Mapping[tuple[str, int], int]) -> None:
        name = (part.topic, part.partition)
        consumed = self.ledger.offsets.get(name, 0)
        if consumed > part.end:
            self.report.violated("I10", str(part), f"a consumed offset up to {part.end}, the topic's end", consumed)
        if committed.get(name, 0) > consumed:
            self.report.violated("I10", str(part), f"Kafka's committed offset up to {consumed}", committed[name])
        self.begins[name] = part.begin
        unread = 0
        async for record in self.topics.records(part):
            if record.offset < consumed:
                self._consumed(topic, record)
            else:
                unread += 1
                self._not_consumed(topic, record)
        self.report.counts["inputs not consumed yet"] += unread
        if unread and self.must_be_consumed:
            self.report.violated("I10", str(part), "every record consumed in time", f"{unread} that aren't")

    def end(self) -> None:
        """After the last partition."""
        causes = self.ledger.causes
        for cause, where in self.ahead:
            if not causes.get(cause, 0) & DELIVERED:
                self.report.violated("I10", where, "nothing stored of a record that isn't consumed", "what it caused")
        for cause, where in self.buried:
            if not causes.get(cause, 0) & DELIVERED:
                self.report.violated("I6", where, "a transition or a dead letter", "both, of one record")
        for (topic, partition, offset), letter in self.ledger.letters.items():
            if not letter.found and offset >= self.begins.get((topic, partition), 0):
                self.report.violated("I11", f"{topic}[{partition}]@{offset}", "a record that was consumed", "none")
        if any(self.begins.values()):
            return  # what the topics no longer hold may have been anybody's cause
        orphans = sum(1 for known in causes.values() if not known & DELIVERED) - len(self._unique_ahead())
        if orphans > 0:
            self.report.violated("I10", "the log and the notes", "inputs for all that was caused", f"{orphans} without")

    def _unique_ahead(self) -> set[int]:
        return {cause for cause, _ in (*self.ahead, *self.buried) if not self.ledger.causes[cause] & DELIVERED}

    def _not_consumed(self, topic: str, record: ConsumerRecord) -> None:
        event, _ = _read(topic, record)
        if event is not None and cause_of(event.connector, event.id) in self.ledger.causes:
            self.ahead.append((cause_of(event.connector, event.id), _where(record)))
        if (letter := self._letter(record)) is not None:
            letter.found = True
            self.report.violated("I10", _where(record), "nothing stored of a record that isn't consumed", letter.code)

    def _consumed(self, topic: str, record: ConsumerRecord) -> None:
        event, unreadable = _read(topic, record)
        letter = self._letter(record)
        if letter is not None:
            self._dead_letter(record, event, unreadable, letter)
        elif event is None:
            self.report.violated("I11", _where(record), f"a dead letter: {unreadable}", "none")
        else:
            self._handled(record, event)

    def _letter(self, record: ConsumerRecord) -> Letter | None:
        return self.ledger.letters.get((record.topic, record.partition, record.offset))

    # Dead letters.

    def _dead_letter(self, record: ConsumerRecord, event: Event | None, unreadable: str, letter: Letter) -> None:
        self.report.counts["inputs dead letters"] += 1
        letter.found = True
        if content_of(record.key, record.value, record.headers) != letter.content:
            self.report.violated("I11", _where(record), "its key, value and headers untouched", "others")
        if event is None:
            if letter.code != unreadable:
                self.report.violated("I11", _where(record), f"the reason {unreadable}", letter.code)
            return
        if (expected := self._not_refused(event, letter)) is not None:
            self.report.violated("I11", _where(record), expected, letter.code)
        cause = cause_of(event.connector, event.id)
        if self.ledger.causes.get(cause, 0) & BY_TRANSITION:
            self.buried.append((cause, _where(record)))

    def _not_refused(self, event: Event, letter: Letter) -> str | None:
        """What a readable record would have had to be, where this code can't be true."""
        if letter.code not in event.word.refusals:
            codes = ", ".join(sorted(event.word.refusals))
            return f"no dead letter, or one that the lifecycle refuses ({codes})"
        connector = self.ledger.by_id.get(event.connector)
        if letter.code == "unknown_connector" and connector is not None and _was_there(connector, letter.at):
            return f"no dead letter, since {event.connector} was registered before"
        if letter.code == "connector_deleted" and (connector is None or connector.state != DELETED):
            return f"no dead letter, since {event.connector} was never deleted"
        return None

    # All others.

    def _handled(self, record: ConsumerRecord, event: Event) -> None:
        """I10: a consumed record left behind what it caused, or can be told to have been silent."""
        connector = self.ledger.by_id.get(event.connector)
        if connector is None:
            self.report.violated("I11", _where(record), "a dead letter: nobody registered it", "none")
            return
        cause = cause_of(event.connector, event.id)
        known = self.ledger.causes.get(cause, 0)
        if known:
            self.ledger.causes[cause] = known | DELIVERED
        how = "made a transition" if known & BY_TRANSITION else "noted" if known & BY_NOTE else None
        how = how or _silent(event, connector, record)
        if how is None:
            expected = f"what {event.word.trigger} of {connector.id} caused, event {event.id}"
            self.report.violated("I10", _where(record), expected, "nothing, though it is consumed")
            return
        self.report.counts[f"inputs {how}"] += 1


def _silent(event: Event, connector: Connector, record: ConsumerRecord) -> str | None:
    """Why an event of a sync may have left nothing behind: it was observed. `None` where it may not."""
    if event.word.trigger not in ("sync_started", "sync_succeeded", "sync_failed"):
        return None
    written = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    if event.generation is not None and _is_of_another_credential(event.generation, connector, written):
        return None  # which is ignored, with a note
    if event.word.trigger == "sync_started":
        return "silent: a sync's start"
    if connector.last_run is not None and min(event.run, written + CLOCK_SKEW) <= connector.last_run:
        return "silent: a run that is known, or an older one"
    if connector.swapped is not None and written <= connector.swapped:
        return "silent: of before the credential was swapped"
    if connector.state in TAKEN_OFF:
        return "silent: of a connector that was taken off"
    return None


def _is_of_another_credential(generation: int, connector: Connector, written: datetime) -> bool:
    """Whether the event named a credential that wasn't in use: an older one after the swap, or one never issued."""
    swapped_before = connector.swapped is not None and connector.swapped < written
    return generation > connector.reached or (generation < connector.reached and swapped_before)


def _was_there(connector: Connector, at: datetime) -> bool:
    return connector.began is not None and connector.began < at


def _read(topic: str, record: ConsumerRecord) -> tuple[Event | None, str]:
    """The event, or the code of why it can't be read."""
    try:
        return read(topic, record.key, record.value, record.headers), ""
    except Unreadable as why:
        assert why.code in UNREADABLE
        return None, why.code


def _where(record: ConsumerRecord) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"
