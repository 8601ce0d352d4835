"""The bodies of the HTTP API: what is sent, and what comes back."""

# Made by from_documents.py: don't edit.
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from regrant_client.shape import Received, Sent
from regrant_client.words import (
    ActorKind,
    Ignored,
    LetterStatus,
    Origin,
    Outcome,
    Reason,
    Remedy,
    State,
    Step,
    Trigger,
    WebhookStatus,
    WhoActs,
)


class Account(Received):
    """What a connector is connected to at its provider."""

    id: str
    name: str


class AccessToken(Received):
    """A fresh access token of the connector's account."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"
    expires_at: AwareDatetime
    generation: int
    """Which credential it is of; sync events name it."""
    rotation: int
    """Which access token of that credential it is, to report it when it is refused."""
    account: Account
    provider: str
    """The id of a provider's description."""


class ActingCount(Received):
    """How many connectors wait for somebody."""

    who_acts: WhoActs
    count: int


class Actor(Received):
    """Who caused a transition."""

    kind: ActorKind
    id: str | None = None


class Arrow(Received):
    """How often connectors went from a state to another; to the same one: a transition that changes something
    else.
    """

    from_: State = Field(alias="from")
    to: State
    last_hour: int
    last_day: int
    per_minute: float
    """Of the last hour."""


class Handoff(Received):
    """The one-time link that takes the person to the attempt."""

    url: str = Field(repr=False)
    expires_at: AwareDatetime


class Attempt(Received):
    """One try of one person to re-authorise one connector."""

    attempt_id: UUID
    connector_id: str
    """The host's id of the connector."""
    status: Literal["open", "ended"]
    step: Step
    completion: Literal["browser", "host"]
    """Who completes it: the browser that began it, or, for a new account, the host's backend."""
    opened_at: AwareDatetime
    expires_at: AwareDatetime
    reason: Reason | None = None
    """How it ended."""
    expected_account: Account | None = None
    seen_account: Account | None = None
    handoff: Handoff | None = None
    """Only in the answer that made it."""


class Evidence(Received):
    """What the provider said, as far as it may be kept: never a body, never a token."""

    at: Literal["api", "token", "network", "callback"]
    status: int | None = None
    code: str | None = None
    """The provider's own error code."""
    request_id: str | None = None
    """The provider's request id (`intuit_tid`)."""


class BundleAttempt(Received):
    """One attempt: who, how far, how it ended."""

    attempt_id: UUID
    opened_at: AwareDatetime | None
    opened_by: str
    person: str | None
    """For whom the host opened it, as the host named them."""
    step: Step | None
    """The last step that was reached: where it stopped, if it didn't succeed."""
    status: Literal["open", "connected", "ended", "replaced", "removed", "shared"]
    ended_at: AwareDatetime | None
    reason: Reason | None
    because: str | None
    """How it ended, in words."""
    expected_account: Account | None
    seen_account: Account | None
    evidence: Evidence | None
    """What the provider said, where it refused."""


class BundleConnector(Received):
    """The connector as it stands, with what only observations change."""

    connector_id: str
    """The host's id of the connector."""
    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    name: str
    state: State
    version: int
    """Counts the connector's transitions, without a gap."""
    since: AwareDatetime
    """When it came into this state."""
    reason: Reason | None = None
    """Why a person is needed, or would be if the attempt failed."""
    remedy: Remedy | None = None
    fallback: State | None = None
    """Where a failed attempt returns to."""
    account: Account | None = None
    generation: int
    """The number of the current credential."""
    attempt_id: UUID | None = None
    """The live attempt."""
    attempt_reason: Reason | None = None
    """How the last attempt ended."""
    deadline: AwareDatetime | None = None
    failed_since: AwareDatetime | None = None
    """The first failure since the last success."""
    last_success: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    """When the credential ends, once its owner was warned; it works until then."""
    expires_estimated: bool = False
    """Whether that time is our estimate, since the provider told none."""
    transient_failures: int
    unavailable: int
    """How often the provider couldn't be asked during this verification."""
    sync_asks: int
    reminders: int
    swapped_at: AwareDatetime | None
    """When the current credential came into use."""


class BundleCredential(Received):
    """The facts about one credential; never a value."""

    generation: int
    status: str
    account_id: str
    scope: str
    rotation: int
    refreshable: bool
    made_at: AwareDatetime
    refreshed_at: AwareDatetime
    access_expires_at: AwareDatetime
    refresh_expires_at: AwareDatetime | None
    refresh_estimated: bool
    hard_expires_at: AwareDatetime | None
    hard_estimated: bool
    announced_end: AwareDatetime | None
    ends_at: AwareDatetime | None
    ends_estimated: bool
    attempt_id: UUID


class BundleProvider(Received):
    """The provider, and which description of it this is."""

    id: str
    title: str
    account_word: str
    admin_word: str
    environment: str | None
    """Nothing where this deployment doesn't have the provider any more."""
    description: str | None
    """A digest of the description: two that are alike have the same."""
    status_page: str | None = None


class HistoryEntry(Received):
    """One thing that happened: a transition, or an input that was noted or ignored."""

    at: AwareDatetime
    outcome: Outcome
    trigger: Trigger
    version: int | None = None
    """Of a transition."""
    from_: State | None = Field(default=None, alias="from")
    to: State | None = None
    reason: Reason | None = None
    why: Ignored | None = None
    """Why it was ignored."""
    step: Step | None = None
    actor: Actor | None = None
    attempt_id: UUID | None = None
    correlation_id: str | None = None
    """The trace id of the request that it came from."""
    expected_account: Account | None = None
    seen_account: Account | None = None
    evidence: Evidence | None = None


class Happening(Received):
    """An entry of the history in words."""

    at: AwareDatetime
    text: str
    entry: HistoryEntry
    correlation_id: str | None = None
    """The trace id of the request that it came from."""
    causation_id: str | None = None
    """The id of the event that said it."""


class Chapter(Received):
    """What happened one after the other, in one attempt or in none."""

    attempt_id: UUID | None
    happenings: list[Happening]


class CompleteAttempt(Sent):
    """The host's backend confirms that its signed-in user is the one who began the attempt."""

    completion_token: str = Field(repr=False)
    """From the return address's query."""
    person_id: str


class CredentialEnds(Received):
    """When the current credential ends, as far as it is known ahead. It works until then."""

    at: AwareDatetime | None
    """The nearest of these; nothing where no end is known."""
    estimated: bool
    """Whether that is our estimate, since the provider told none."""
    idle_at: AwareDatetime | None
    """When it ends if it isn't used: every refresh moves it on."""
    hard_at: AwareDatetime | None
    """When it ends however much it is used, counted from the consent."""
    hard_estimated: bool
    announced_at: AwareDatetime | None
    """The day on which the provider ends all credentials."""


class Connector(Received):
    """A connector as it stands, with the words of its reason, or of its credential's end where that comes near."""

    connector_id: str
    """The host's id of the connector."""
    tenant_id: str
    """A customer of the host."""
    provider: str
    """The id of a provider's description."""
    name: str
    state: State
    version: int
    """Counts the connector's transitions, without a gap."""
    since: AwareDatetime
    """When it came into this state."""
    reason: Reason | None = None
    """Why a person is needed, or would be if the attempt failed."""
    remedy: Remedy | None = None
    fallback: State | None = None
    """Where a failed attempt returns to."""
    account: Account | None = None
    generation: int
    """The number of the current credential."""
    attempt_id: UUID | None = None
    """The live attempt."""
    attempt_reason: Reason | None = None
    """How the last attempt ended."""
    deadline: AwareDatetime | None = None
    failed_since: AwareDatetime | None = None
    """The first failure since the last success."""
    last_success: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    """When the credential ends, once its owner was warned; it works until then."""
    expires_estimated: bool = False
    """Whether that time is our estimate, since the provider told none."""
    title: str | None = None
    """The reason in a few words."""
    words: str | None = None
    """The reason in a sentence."""
    next: str | None = None
    """What to do about it."""
    offers_login: bool
    """Whether signing in again is offered."""
    transient_failures: int
    """Failures that pass by themselves, since the last success."""
    credential_ends: CredentialEnds | None = None
    """Nothing where there is no credential."""


class ConnectorList(Received):
    """A page of connectors; the next page is in the Link header."""

    connectors: list[Connector]


class ConsoleLink(Received):
    """A link that opens the console once, in one browser."""

    url: str = Field(repr=False)
    expires_at: AwareDatetime


class Contact(Received):
    """Somebody whom e-mail asks."""

    address: str = Field(repr=False)
    language: str
    refused_at: AwareDatetime | None
    """When a mail server last said for good that it takes nothing for this address. It is tried again with the
    next notice.
    """


class Contacts(Received):
    """A connector's contacts, by address."""

    contacts: list[Contact]


class Drop(Received):
    """Attempts that stopped after a step."""

    provider: str
    """The id of a provider's description."""
    reason: Reason | None
    """How they ended; nothing where a newer attempt took their place."""
    count: int


class ErrorCount(Received):
    """One kind of answer of a provider, how often it came, and one of them to ask the provider about."""

    provider: str
    """The id of a provider's description."""
    at: str
    """Which call was refused, as of `Evidence`."""
    status: int | None
    code: str | None
    """The provider's own code."""
    reason: Reason | None
    """What it was taken for."""
    count: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    request_id: str | None
    """The provider's id of one of these requests."""


class Errors(Received):
    """What providers answered that was no success, most first."""

    since: AwareDatetime
    until: AwareDatetime
    errors: list[ErrorCount]
    counted: bool
    """Whether this holds all of the log; if not, it is still being counted."""


class NearEnd(Received):
    """A connector whose credential has a known end."""

    tenant_id: str
    """A customer of the host."""
    connector_id: str
    """The host's id of the connector."""
    provider: str
    """The id of a provider's description."""
    state: State
    ends_at: AwareDatetime
    estimated: bool
    """Whether that is our estimate, since the provider told none."""
    warned_at: AwareDatetime | None
    """When the last warning was due; nothing where none was."""


class Expiring(Received):
    """The nearest known ends, the nearest first; 1000 at most."""

    connectors: list[NearEnd]
    more: bool
    """Whether there are more than these."""


class StateCount(Received):
    """How many connectors of a provider are in a state."""

    provider: str
    """The id of a provider's description."""
    state: State
    count: int


class ReasonCount(Received):
    """How many connectors of a provider failed for a reason."""

    provider: str
    """The id of a provider's description."""
    reason: Reason
    origin: Origin
    remedy: Remedy
    who_acts: WhoActs
    count: int


class Fleet(Received):
    """All connectors that the caller speaks for, as they stand or stood. Deleted ones don't count."""

    sentence: str
    """What matters, in one sentence."""
    as_of: AwareDatetime
    connectors: int
    acting: list[ActingCount]
    """Who must act, for how many; those that need nobody left out."""
    states: list[StateCount]
    reasons: list[ReasonCount]
    """Of the failed ones."""
    arrows: list[Arrow]
    """Within the hour and the day before `as_of`."""
    counted: bool
    """Whether the arrows hold all of the log; if not, it is still being counted."""


class FunnelStep(Received):
    """How many attempts reached a step, and what became of those that got no further."""

    step: Step
    reached: int
    """Of `failure_seen`: failures, whether somebody opened an attempt or not."""
    stopped: int
    """Ended here."""
    replaced: int
    """A newer attempt on the connector took their place here."""
    under_way: int
    """Still open, and no further by now."""
    drops: list[Drop]
    """The stopped and the replaced ones, most first."""


class ProviderFunnel(Received):
    """The attempts at one provider."""

    provider: str
    """The id of a provider's description."""
    attempts: int
    connected: int
    """Ended with data flowing."""
    stopped: int
    replaced: int
    under_way: int


class Funnel(Received):
    """The attempts that were opened in a time, step by step. From `link_offered` on `reached = reached next +
    stopped + replaced + under_way`.
    """

    since: AwareDatetime
    until: AwareDatetime
    attempts: int
    """Opened in this time; each counts once."""
    troubles: int
    """What those were for: several tries to end one trouble count once."""
    steps: list[FunnelStep]
    providers: list[ProviderFunnel]
    counted: bool
    """Whether this holds all of the log; if not, it is still being counted."""


class GivenUp(Received):
    """An event that an endpoint didn't accept in all tries, while it accepted others."""

    given_up_id: str
    """Of this endpoint's; by it the event is sent again."""
    endpoint: str
    tenant_id: str
    """A customer of the host."""
    connector_id: str
    """The host's id of the connector."""
    version: int
    """The transition, as in the connector's history."""
    at: AwareDatetime
    since: AwareDatetime
    tries: int
    failure: str
    asked_at: AwareDatetime | None
    """Somebody wants it sent once more since then; it is tried at once."""


class History(Received):
    """What happened to a connector, newest first; the next page is in the Link header."""

    entries: list[HistoryEntry]


class ImportCredential(Sent):
    """A grant that the host has already. Its account is proved by the provider before it counts."""

    refresh_token: str = Field(repr=False)
    """From now on only regrant refreshes it."""
    access_token: str | None = Field(default=None, repr=False)
    """For the checks, while it works; without it the refresh token is used at once."""
    expires_at: AwareDatetime | None = None
    """When the access token expires."""
    account_id: str | None = None
    """The account that it is of, for example the realm."""
    scope: str | None = None
    """What was granted, where it is known."""


class Letter(Received):
    """A record that couldn't be handled. Its bytes are on the topic `<topic>.dlq`, and nowhere here."""

    letter_id: str
    at: AwareDatetime
    topic: str
    partition: int
    offset: int
    connector_id: str | None
    """The record's key, where it can be a connector's id."""
    type: str | None
    """The record's CloudEvents type, where it names one that can be read."""
    code: str
    detail: str
    status: LetterStatus
    decided_by: str | None
    decided_at: AwareDatetime | None
    replay_of: str | None
    """The letter that was replayed as this record."""


class LetterExplained(Received):
    """A dead letter, and what is wrong with it in words."""

    letter_id: str
    at: AwareDatetime
    topic: str
    partition: int
    offset: int
    connector_id: str | None
    """The record's key, where it can be a connector's id."""
    type: str | None
    """The record's CloudEvents type, where it names one that can be read."""
    code: str
    detail: str
    status: LetterStatus
    decided_by: str | None
    decided_at: AwareDatetime | None
    replay_of: str | None
    """The letter that was replayed as this record."""
    fields: list[str]
    """The fields that are wrong, where some are."""
    words: str
    """What is wrong."""
    next: str
    """What to do about it."""
    replay_helps: bool
    """Whether it would be taken now, as far as that can be told."""


class Letters(Received):
    """Dead letters, newest first; the next page is in the Link header."""

    letters: list[Letter]


class LogRecord(Received):
    """A record of the log, as it was published, so that the story can be told again from it."""

    transition: dict[str, Any]
    sync_request: dict[str, Any] | None
    trace: dict[str, Any] | None


class NewContact(Sent):
    """Somebody whom e-mail should ask."""

    address: str = Field(repr=False)
    """Such as robin@example.com: an address alone, without a name."""
    language: str = "en"
    """The tag of a language, such as `de` or `pt-BR`; where there are no texts in it, English."""


class Person(Sent):
    """The host's signed-in user who asks."""

    id: str
    """The host's id of the user."""
    name: str
    """Shown to whoever opens the link."""


class OpenAttempt(Sent):
    """Let a person sign in again."""

    person: Person
    return_url: str | None = None
    """Where the browser goes afterwards: one of the registered addresses."""


class OpenConsole(Sent):
    """Let somebody of the host's own staff look at the console."""

    person: Person


class ProviderInfo(Received):
    """A provider, as its description says."""

    id: str
    """The id of a provider's description."""
    name: str
    account_word: str
    admin_word: str
    prerequisites: list[str]


class ProviderList(Received):
    """All providers of this deployment."""

    providers: list[ProviderInfo]


class Span(Received):
    """How long something took, in seconds."""

    mean_s: float
    median_s: float


class ProviderTimes(Received):
    """How long it took until data flowed again, by who took how much of it. Without a provider: at all of them."""

    provider: str | None
    connected: int
    """Attempts that ended with data flowing in this time."""
    whole: Span
    """From the failure (without one: from the link) to data flowing."""
    owner: Span
    """Until the person came back from the provider."""
    regrant: Span
    """From there until the code was sent."""
    provider_took: Span
    """From there until the grant was proved."""
    host: Span
    """From there until the requested sync had ended well."""
    without_support: int
    """At the first or second try, and no operator had a hand in it."""
    share_without_support: float | None
    """Of `connected`."""


class ReasonInfo(Received):
    """An entry of the reason catalogue."""

    code: Reason
    remedy: Remedy
    title: str
    words: str
    next: str
    takes: str
    """How long it takes until all is well again."""
    steps: list[str]
    """One to three steps, in order; `next` is the first."""


class ReasonList(Received):
    """The reason catalogue."""

    reasons: list[ReasonInfo]


class RefusedToken(Sent):
    """An access token that the provider's API refused (401), as the answer that held it named it."""

    generation: int
    rotation: int


class RegisterConnector(Sent):
    """A new connector of the caller's tenant."""

    connector_id: str
    """The host's id of the connector."""
    provider: str
    """The id of a provider's description."""
    name: str
    """What people call the connector."""
    connected: bool = False
    """The host has a working credential of its own."""


class RequestId(Received):
    """What the provider's own support asks for (`intuit_tid`)."""

    at: AwareDatetime
    request_id: str
    status: int | None
    code: str | None


class SetContacts(Sent):
    """All contacts of a connector. An address that stands twice, in upper or lower case, counts once: the last
    one.
    """

    contacts: list[NewContact]


class Why(Received):
    """Why a connector is in its state: one paragraph, and the transitions that prove it."""

    connector_id: str
    """The host's id of the connector."""
    state: State
    since: AwareDatetime | None
    reason: Reason | None = None
    paragraph: str
    """What happened first, what was tried since, what is awaited now, in English."""
    from_the_log: str
    """The same without what the log doesn't hold: what the transitions topic alone would tell."""
    who_acts: WhoActs
    who: str
    """Who that is, in words."""
    next: str
    """What they do."""
    events: list[HistoryEntry]
    """The transitions that prove it, the oldest first; three at most."""


class SupportBundle(Received):
    """A connector's support bundle."""

    format: Literal["regrant.support-bundle.v1"] = "regrant.support-bundle.v1"
    made_at: AwareDatetime
    regrant_version: str
    provider: BundleProvider
    connector: BundleConnector
    state_sentence: str
    """What the state means."""
    why: Why
    timeline: list[Chapter]
    attempts: list[BundleAttempt]
    """The newest first."""
    credentials: list[BundleCredential]
    """The newest first."""
    request_ids: list[RequestId]
    """The newest first."""
    correlation_ids: list[str]
    """Trace ids to look for in logs, the newest first."""
    settings: dict[str, str]
    """Settings that explain what was done when; no secret among them."""
    log: list[LogRecord]
    """The oldest first."""
    notes: list[dict[str, Any]]
    """What was observed or ignored, the oldest first."""
    path: list[State]
    """The states that it went through, the oldest first."""
    left_out: bool
    """Whether older records were left out, so that the bundle stays small."""


class Times(Received):
    """How long re-authorising took."""

    since: AwareDatetime
    until: AwareDatetime
    providers: list[ProviderTimes]
    """The first is of all."""
    counted: bool
    """Whether this holds all of the log; if not, it is still being counted."""


class TokenRequest(Sent):
    """Ask for an access token."""

    min_ttl_s: int = 60
    """How long it must still be valid, in seconds; nine tenths of the provider's lifetime at most."""
    refused: RefusedToken | None = None
    """The token that the provider refused: nobody gets it again, and a new one is asked for."""


class UpdateConnector(Sent):
    """A connector's new name."""

    name: str
    """What people call the connector."""


class WebhookEndpoint(Received):
    """An endpoint of the settings."""

    name: str
    """Its name in the settings; `@mail` is the server that takes e-mail."""
    host: str
    """The host of its address."""
    status: WebhookStatus
    to_read: int
    """Entries of the log that it has still to come to."""
    waiting: int
    """Connectors whose events wait, since an earlier one wasn't accepted."""
    waiting_since: AwareDatetime | None
    """The oldest event that waits so, since when it does."""
    accepted_at: AwareDatetime | None
    """When it last accepted something."""
    failing_since: AwareDatetime | None
    failure: str | None
    """What goes wrong, while something does."""
    given_up: int
    """Events that it never accepted, in all."""


class Webhooks(Received):
    """The endpoints, and the newest events that each never accepted, 50 at most."""

    endpoints: list[WebhookEndpoint]
    given_up: list[GivenUp]
