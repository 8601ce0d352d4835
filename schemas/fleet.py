"""What many connectors tell together: the bodies of `/v1/fleet`. Each figure's definition is in docs/fleet.md."""

from datetime import datetime

from pydantic import Field

from schemas.acting import WhoActs
from schemas.api import Response
from schemas.lifecycle import Described, State, Step
from schemas.reasons import Origin, Reason, Remedy
from schemas.records import ConnectorIdField, ProviderField, TenantIdField


class StateCount(Response):
    """How many connectors of a provider are in a state."""

    provider: ProviderField
    state: State
    count: int = Field(ge=0)


class ReasonCount(Response):
    """How many connectors of a provider failed for a reason."""

    provider: ProviderField
    reason: Reason
    origin: Origin
    remedy: Remedy
    who_acts: WhoActs
    count: int = Field(ge=0)


class ActingCount(Response):
    """How many connectors wait for somebody."""

    who_acts: WhoActs
    count: int = Field(ge=0)


class Arrow(Response):
    """How often connectors went from a state to another; to the same one: a transition that changes something else."""

    from_: State = Field(alias="from")
    to: State
    last_hour: int = Field(ge=0)
    last_day: int = Field(ge=0)
    per_minute: float = Field(ge=0, description="Of the last hour.")


class Fleet(Response):
    """All connectors that the caller speaks for, as they stand or stood. Deleted ones don't count."""

    sentence: str = Field(description="What matters, in one sentence.")
    as_of: datetime
    connectors: int = Field(ge=0)
    acting: list[ActingCount] = Field(description="Who must act, for how many; those that need nobody left out.")
    states: list[StateCount]
    reasons: list[ReasonCount] = Field(description="Of the failed ones.")
    arrows: list[Arrow] = Field(description="Within the hour and the day before `as_of`.")
    counted: bool = Field(description="Whether the arrows hold all of the log; if not, it is still being counted.")


class Drop(Response):
    """Attempts that stopped after a step."""

    provider: ProviderField
    reason: Reason | None = Field(description="How they ended; nothing where a newer attempt took their place.")
    count: int = Field(ge=0)


class FunnelStep(Response):
    """How many attempts reached a step, and what became of those that got no further."""

    step: Step
    reached: int = Field(ge=0, description="Of `failure_seen`: failures, whether somebody opened an attempt or not.")
    stopped: int = Field(ge=0, description="Ended here.")
    replaced: int = Field(ge=0, description="A newer attempt on the connector took their place here.")
    under_way: int = Field(ge=0, description="Still open, and no further by now.")
    drops: list[Drop] = Field(description="The stopped and the replaced ones, most first.")


class ProviderFunnel(Response):
    """The attempts at one provider."""

    provider: ProviderField
    attempts: int = Field(ge=0)
    connected: int = Field(ge=0, description="Ended with data flowing.")
    stopped: int = Field(ge=0)
    replaced: int = Field(ge=0)
    under_way: int = Field(ge=0)


class Funnel(Response):
    """The attempts that were opened in a time, step by step. From `link_offered` on
    `reached = reached next + stopped + replaced + under_way`."""

    since: datetime
    until: datetime
    attempts: int = Field(ge=0, description="Opened in this time; each counts once.")
    troubles: int = Field(ge=0, description="What those were for: several tries to end one trouble count once.")
    steps: list[FunnelStep]
    providers: list[ProviderFunnel]
    counted: bool = Field(description="Whether this holds all of the log; if not, it is still being counted.")


class Span(Response):
    """How long something took, in seconds."""

    mean_s: float = Field(ge=0)
    median_s: float = Field(ge=0)


class ProviderTimes(Response):
    """How long it took until data flowed again, by who took how much of it. Without a provider: at all of them."""

    provider: ProviderField | None
    connected: int = Field(ge=0, description="Attempts that ended with data flowing in this time.")
    whole: Span = Field(description="From the failure (without one: from the link) to data flowing.")
    owner: Span = Field(description="Until the person came back from the provider.")
    regrant: Span = Field(description="From there until the code was sent.")
    provider_took: Span = Field(description="From there until the grant was proved.")
    host: Span = Field(description="From there until the requested sync had ended well.")
    without_support: int = Field(ge=0, description="At the first or second try, and no operator had a hand in it.")
    share_without_support: float | None = Field(ge=0, le=1, description="Of `connected`.")


class Times(Response):
    """How long re-authorising took."""

    since: datetime
    until: datetime
    providers: list[ProviderTimes] = Field(description="The first is of all.")
    counted: bool = Field(description="Whether this holds all of the log; if not, it is still being counted.")


class ErrorCount(Response):
    """One kind of answer of a provider, how often it came, and one of them to ask the provider about."""

    provider: ProviderField
    at: str = Field(description="Which call was refused, as of `Evidence`.")
    status: int | None
    code: str | None = Field(description="The provider's own code.")
    reason: Reason | None = Field(description="What it was taken for.")
    count: int = Field(ge=0)
    first_at: datetime
    last_at: datetime
    request_id: str | None = Field(description="The provider's id of one of these requests.")


class Errors(Response):
    """What providers answered that was no success, most first."""

    since: datetime
    until: datetime
    errors: list[ErrorCount]
    counted: bool = Field(description="Whether this holds all of the log; if not, it is still being counted.")


class NearEnd(Response):
    """A connector whose credential has a known end."""

    tenant_id: TenantIdField
    connector_id: ConnectorIdField
    provider: ProviderField
    state: State
    ends_at: datetime
    estimated: bool = Field(description="Whether that is our estimate, since the provider told none.")
    warned_at: datetime | None = Field(description="When the last warning was due; nothing where none was.")


class Expiring(Response):
    """The nearest known ends, the nearest first; 1000 at most."""

    connectors: list[NearEnd]
    more: bool = Field(description="Whether there are more than these.")


class LetterStatus(Described):
    """What became of a dead letter."""

    WAITING = "waiting", "Nobody has decided yet."
    REPLAYING = "replaying", "It is about to be written to its topic again."
    REPLAYED = "replayed", "It was written to its topic again; if it failed again, that is a new letter."
    DROPPED = "dropped", "Somebody decided that it isn't needed; it is kept."


class Letter(Response):
    """A record that couldn't be handled. Its bytes are on the topic `<topic>.dlq`, and nowhere here."""

    letter_id: str
    at: datetime
    topic: str
    partition: int
    offset: int
    connector_id: str | None = Field(description="The record's key, where it can be a connector's id.")
    type: str | None = Field(description="The record's CloudEvents type, where it names one that can be read.")
    code: str
    detail: str
    status: LetterStatus
    decided_by: str | None
    decided_at: datetime | None
    replay_of: str | None = Field(description="The letter that was replayed as this record.")


class Letters(Response):
    """Dead letters, newest first; the next page is in the Link header."""

    letters: list[Letter]


class LetterExplained(Letter):
    """A dead letter, and what is wrong with it in words."""

    fields: list[str] = Field(description="The fields that are wrong, where some are.")
    words: str = Field(description="What is wrong.")
    next: str = Field(description="What to do about it.")
    replay_helps: bool = Field(description="Whether it would be taken now, as far as that can be told.")
