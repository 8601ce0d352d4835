"""The log, connector by connector and version by version: I1, I2, I3, I6 and I8 as far as rows of the log tell."""

from datetime import datetime
from typing import Any

import asyncpg
import orjson

from tests.checker.ledger import BY_TRANSITION, Connector, Ledger, cause_of, digest_json
from tests.checker.lifecycle import ABSENT, LEGAL
from tests.checker.report import Report

GAP_CAP = 1000
"""A version further ahead than this is told and not remembered: a forged one mustn't fill the memory."""


class Reader:
    """Takes the log's rows ordered by connector and version."""

    def __init__(self, ledger: Ledger, report: Report, truncated: bool) -> None:
        self._ledger, self._report, self._truncated = ledger, report, truncated
        self._pk: int | None = None
        self._version = 0
        self._state: str | None = ABSENT
        """The state that the next transition starts from; `None` where that isn't known."""
        self._seq, self._shard = 0, -1
        self._at: datetime | None = None
        self._generation = 0
        self._account: str | None = None

    def take(self, row: asyncpg.Record) -> None:
        """The next row."""
        self._report.counts["transitions"] += 1
        connector = self._ledger.by_pk.get(row["connector"])
        if connector is None:
            self._report.violated("I2", f"connector row {row['connector']}", "a connector", "a log without one")
            return
        if connector.pk != self._pk:
            self._begin(connector, row)
        if not self._follows(connector, row):
            return
        record = orjson.loads(row["record"])
        self._legal(connector, row, record)
        self._order(connector, row)
        self._credential(connector, row["version"], record["connector"])
        self._cause(connector, row)
        self._remember(connector, row, record)

    def end(self) -> None:
        """After the last row: every connector's row is what its newest transition says."""
        for connector in self._ledger.by_pk.values():
            newest = connector.first + len(connector.records) - 1
            if not connector.records and not self._truncated:
                self._report.violated("I2", connector.id, "a log that begins with version 1", "no transition")
            elif connector.records and connector.version != newest:
                self._report.violated("I2", connector.id, f"version {newest}, the log's newest", connector.version)

    def _begin(self, connector: Connector, row: asyncpg.Record) -> None:
        self._pk, self._seq, self._shard, self._at = connector.pk, 0, -1, None
        self._generation, self._account = 0, None
        connector.began = row["at"]
        if self._truncated:
            connector.first, self._version, self._state = row["version"], row["version"] - 1, None
        else:
            self._version, self._state = 0, ABSENT

    def _follows(self, connector: Connector, row: asyncpg.Record) -> bool:
        """I2 and I3: versions are 1, 2, 3…, each once. Returns whether the row can be looked at further."""
        version, expected = row["version"], self._version + 1
        if version == expected:
            return True
        if version < expected:
            self._report.violated("I3", f"{connector.id} version {version}", "once in the log", "twice")
            return False
        self._report.violated("I2", connector.id, f"version {expected} next in the log", version)
        if version - expected > GAP_CAP:
            return False
        for _ in range(version - expected):
            _append(connector, 0, 0, 0)
        self._state = None
        return True

    def _legal(self, connector: Connector, row: asyncpg.Record, record: Any) -> None:  # Any: JSON
        """I1."""
        where = f"{connector.id} version {row['version']}"
        triple = (row["from_state"], row["trigger"], row["to_state"])
        if triple not in LEGAL:
            self._report.violated("I1", where, "a legal transition", " ".join(triple))
        elif self._state is not None and row["from_state"] != self._state:
            self._report.violated("I1", where, f"from {self._state}, where the last one led to", row["from_state"])
        told = (record["connector_id"], record["version"], record["from"], record["trigger"], record["to"])
        stored = (connector.id, row["version"], *triple)
        if told != stored:
            self._report.violated("I1", where, f"a record that says {stored}", told)
        is_newest = row["version"] == connector.version
        if is_newest and connector.state != row["to_state"]:
            self._report.violated("I2", connector.id, f"state {row['to_state']}, by the log", connector.state)
        self._state = row["to_state"]

    def _order(self, connector: Connector, row: asyncpg.Record) -> None:
        """I3: the log's own order, and its clock, are the versions'."""
        where = f"{connector.id} version {row['version']}"
        if row["shard"] == self._shard and row["seq"] <= self._seq:
            self._report.violated("I3", where, f"a seq above {self._seq}", row["seq"])
        if self._at is not None and row["at"] < self._at:
            self._report.violated("I3", where, f"a time not before {self._at}", row["at"])
        self._shard, self._seq, self._at = row["shard"], row["seq"], row["at"]

    def _credential(self, connector: Connector, version: int, state: Any) -> None:  # Any: JSON
        """I8: the generation never goes back, and the account stays."""
        generation, account = state["generation"], (state["account"] or {}).get("id")
        where = f"{connector.id} version {version}"
        if generation < self._generation:
            self._report.violated("I8", where, f"a generation not below {self._generation}", generation)
        if self._account is not None and account != self._account:
            self._report.violated("I8", where, f"account {self._account}, pinned before", account)
        self._generation, self._account = generation, account
        connector.reached = max(connector.reached, generation)
        if version == connector.version and (generation, account) != (connector.generation, connector.account):
            seen = f"generation {connector.generation}, account {connector.account}"
            self._report.violated("I8", connector.id, f"generation {generation}, account {account}, by the log", seen)

    def _cause(self, connector: Connector, row: asyncpg.Record) -> None:
        """I6: an input changes a connector at most once."""
        if row["cause"] is None:
            return
        cause = cause_of(connector.id, row["cause"])
        known = self._ledger.causes.get(cause, 0)
        if known & BY_TRANSITION:
            where = f"{connector.id} version {row['version']}"
            self._report.violated("I6", where, f"one transition by event {row['cause']}", "a second one")
        self._ledger.causes[cause] = known | BY_TRANSITION

    def _remember(self, connector: Connector, row: asyncpg.Record, record: Any) -> None:  # Any: JSON
        _append(connector, row["seq"], digest_json(record), digest_json(record["connector"]))
        if row["sync_request"] is not None:
            connector.requests[row["version"]] = digest_json(orjson.loads(row["sync_request"]))
        self._version = row["version"]


def _append(connector: Connector, seq: int, record: int, state: int) -> None:
    connector.seqs.append(seq)
    connector.records.append(record)
    connector.states.append(state)
    connector.seen.append(0)
