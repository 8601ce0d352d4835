"""Switches that make a host misbehave: for one endpoint, one company, the next N requests, or until lifted."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Host(StrEnum):
    ACCOUNTS = "accounts"
    OAUTH = "oauth"
    API = "api"


class FaultKind(StrEnum):
    STATUS = "status"  # answer `status`, with `retry_after` seconds if given
    SLOW = "slow"  # wait `seconds`, or until the fault is lifted, then go on
    HTML = "html"  # 200 with a page where JSON is due
    BODY = "body"  # 200 (or `status`) with `body` as `content_type`
    EDIT = "edit"  # a true JSON answer with `fields` changed; null takes one away
    DROP = "drop"  # do what is asked, then cut the line without an answer
    REFUSE = "refuse"  # cut the line before anything is done
    CLIENT_SECRET = "client_secret"  # the client's authentication fails: `invalid_client`


@dataclass(slots=True, eq=False)
class Fault:
    """One switch. `remaining` None means until it is lifted."""

    kind: FaultKind
    host: Host
    endpoint: str | None = None
    realm: str | None = None
    remaining: int | None = None
    status: int | None = None
    retry_after: str | None = None
    seconds: float = 0.0
    body: str = ""
    content_type: str = "application/json"
    fields: dict[str, Any] = field(default_factory=dict)  # Any: free JSON
    id: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def matches(self, host: Host, endpoint: str, realm: str | None) -> bool:
        return (
            self.host is host
            and self.endpoint in (None, endpoint)
            and self.realm in (None, realm)
            and self.remaining != 0
        )


class Faults:
    """The switches that are on, in the order they were thrown."""

    def __init__(self) -> None:
        self.on: list[Fault] = []
        self._ids = itertools.count(1)

    def throw(self, kind: FaultKind | str, host: Host | str, **rest: Any) -> Fault:
        """Switch a fault on. `rest` are the fields of `Fault` (`endpoint`, `realm`, `remaining`, `status` ...)."""
        fault = Fault(FaultKind(kind), Host(host), id=next(self._ids), **rest)
        self.on.append(fault)
        return fault

    def lift(self, fault_id: int) -> bool:
        """Switch one off and let go whom it holds. False if there is none."""
        for fault in self.on:
            if fault.id == fault_id:
                fault.lifted.set()
                self.on.remove(fault)
                return True
        return False

    def lift_all(self) -> None:
        for fault in self.on:
            fault.lifted.set()
        self.on.clear()

    def take(self, host: Host, endpoint: str, realm: str | None) -> list[Fault]:
        """The faults for one request: every slow one, then the first of another kind. Uses one of their count."""
        hits = [fault for fault in self.on if fault.matches(host, endpoint, realm)]
        slow = [fault for fault in hits if fault.kind is FaultKind.SLOW]
        other = [fault for fault in hits if fault.kind is not FaultKind.SLOW][:1]
        for fault in (taken := slow + other):
            if fault.remaining is not None:
                fault.remaining -= 1
        return taken
