"""A notice that asks a connector's owner, and whether it still does: the connector as it stands now decides (P28)."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.ids import ConnectorId, TenantId
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason, Remedy
from service.couriers.endpoint import record_with_notice
from service.store.couriers import LogRow
from statemachine.connector import Connector

SPEAKS_TO_THE_OWNER = tuple(notice.value for notice in Notice if notice.asks_the_owner or notice is Notice.RECOVERED)
"""One of these that comes later says what counts now: another message, or silence."""

_ONES_OWN = (Remedy.REAUTHORISE, Remedy.FIX_ACCOUNT)


@dataclass(frozen=True, slots=True)
class Asking:
    """A transition that asks the connector's owner for something."""

    pk: int
    """The connector's, inside."""
    connector: ConnectorId
    version: int
    notice: Notice
    link: str | None
    """Where the owner signs in, where that helps."""


def askings_of(row: LogRow, tenants: frozenset[TenantId]) -> Iterator[Asking]:
    """What a transition asks its connector's owner; mostly nothing. Without tenants, everybody's."""
    if (tenants and row.tenant not in tenants) or (record := record_with_notice(row)) is None:
        return
    notice = Notice(record["notice"])
    if notice.asks_the_owner:
        yield Asking(row.pk, row.connector, row.version, notice, record["link"])


def why_over(asking: Asking, now: Connector, *, has_newer: bool) -> str | None:
    """Why nobody is to be asked any more, in a few words; `None` while it holds.

    An open attempt changes nothing yet: what it returns to counts. `has_newer`: a later one of `SPEAKS_TO_THE_OWNER`.
    """
    stands = now.fallback if now.state is State.AWAITING_AUTH else now.state
    warned = asking.notice is Notice.EXPIRING
    if stands is not (State.HEALTHY if warned else State.FAILED):
        return f"it is {now.state} now"
    if has_newer:
        return "a newer notice counts"
    if warned:
        return None if now.warned is not None else "its end has moved"
    return None if now.reason is not None and now.reason.remedy in _ONES_OWN else "its owner can't mend it"


def reason_of(asking: Asking, now: Connector) -> Reason:
    """Why the owner is asked, as it is now: a failure's reason may have changed since."""
    if asking.notice is Notice.EXPIRING:
        return Reason.EXPIRING
    assert now.reason is not None, "what has failed has its reason"
    return now.reason
