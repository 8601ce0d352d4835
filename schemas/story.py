"""The bodies of a connector's story: why it is in its state, for support."""

from datetime import datetime

from pydantic import Field

from schemas.acting import WhoActs
from schemas.api import HistoryEntry, Response
from schemas.lifecycle import State
from schemas.reasons import Reason
from schemas.records import ConnectorIdField


class Why(Response):
    """Why a connector is in its state: one paragraph, and the transitions that prove it."""

    connector_id: ConnectorIdField
    state: State
    since: datetime | None
    reason: Reason | None = None
    paragraph: str = Field(description="What happened first, what was tried since, what is awaited now, in English.")
    from_the_log: str = Field(
        description="The same without what the log doesn't hold: what the transitions topic alone would tell."
    )
    who_acts: WhoActs
    who: str = Field(description="Who that is, in words.")
    next: str = Field(description="What they do.")
    events: list[HistoryEntry] = Field(description="The transitions that prove it, the oldest first; three at most.")
