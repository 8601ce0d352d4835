"""The support bundle: everything about one connector that helps to help, in one document, without a secret."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from schemas.api import HistoryEntry, Response
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from schemas.records import Account, ConnectorState, Evidence
from schemas.story import Why

FORMAT: Literal["regrant.support-bundle.v1"] = "regrant.support-bundle.v1"


class BundleProvider(Response):
    """The provider, and which description of it this is."""

    id: str
    title: str
    account_word: str
    admin_word: str
    environment: str | None = Field(description="Nothing where this deployment doesn't have the provider any more.")
    description: str | None = Field(description="A digest of the description: two that are alike have the same.")
    status_page: str | None = None


class BundleConnector(ConnectorState):
    """The connector as it stands, with what only observations change."""

    transient_failures: int
    unavailable: int = Field(description="How often the provider couldn't be asked during this verification.")
    sync_asks: int
    reminders: int
    swapped_at: datetime | None = Field(description="When the current credential came into use.")


class Happening(Response):
    """An entry of the history in words."""

    at: datetime
    text: str
    entry: HistoryEntry
    correlation_id: str | None = Field(default=None, description="The trace id of the request that it came from.")
    causation_id: str | None = Field(default=None, description="The id of the event that said it.")


class Chapter(Response):
    """What happened one after the other, in one attempt or in none."""

    attempt_id: UUID | None
    happenings: list[Happening]


class BundleAttempt(Response):
    """One attempt: who, how far, how it ended."""

    attempt_id: UUID
    opened_at: datetime | None
    opened_by: str
    person: str | None = Field(description="For whom the host opened it, as the host named them.")
    step: Step | None = Field(description="The last step that was reached: where it stopped, if it didn't succeed.")
    status: Literal["open", "connected", "ended", "replaced", "removed", "shared"]
    ended_at: datetime | None
    reason: Reason | None
    because: str | None = Field(description="How it ended, in words.")
    expected_account: Account | None
    seen_account: Account | None
    evidence: Evidence | None = Field(description="What the provider said, where it refused.")


class BundleCredential(Response):
    """The facts about one credential; never a value."""

    generation: int
    status: str
    account_id: str
    scope: str
    rotation: int
    refreshable: bool
    made_at: datetime
    refreshed_at: datetime
    access_expires_at: datetime
    refresh_expires_at: datetime | None
    refresh_estimated: bool
    hard_expires_at: datetime | None
    hard_estimated: bool
    announced_end: datetime | None
    ends_at: datetime | None
    ends_estimated: bool
    attempt_id: UUID


class RequestId(Response):
    """What the provider's own support asks for (`intuit_tid`)."""

    at: datetime
    request_id: str
    status: int | None
    code: str | None


class LogRecord(Response):
    """A record of the log, as it was published, so that the story can be told again from it."""

    transition: dict[str, Any]  # Any: JSON; of the version that wrote it
    sync_request: dict[str, Any] | None  # Any: likewise
    trace: dict[str, Any] | None  # Any: likewise


class SupportBundle(Response):
    """A connector's support bundle."""

    format: Literal["regrant.support-bundle.v1"] = FORMAT
    made_at: datetime
    regrant_version: str
    provider: BundleProvider
    connector: BundleConnector
    state_sentence: str = Field(description="What the state means.")
    why: Why
    timeline: list[Chapter]
    attempts: list[BundleAttempt] = Field(description="The newest first.")
    credentials: list[BundleCredential] = Field(description="The newest first.")
    request_ids: list[RequestId] = Field(description="The newest first.")
    correlation_ids: list[str] = Field(description="Trace ids to look for in logs, the newest first.")
    settings: dict[str, str] = Field(description="Settings that explain what was done when; no secret among them.")
    log: list[LogRecord] = Field(description="The oldest first.")
    notes: list[dict[str, Any]] = Field(description="What was observed or ignored, the oldest first.")  # Any: JSON
    path: list[State] = Field(description="The states that it went through, the oldest first.")
    left_out: bool = Field(description="Whether older records were left out, so that the bundle stays small.")
