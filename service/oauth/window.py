"""What the person's window is told about an attempt: values only, for the pages in `service/web`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.ids import AttemptId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from schemas.secret import Secret
from service.texts.language import Language
from statemachine.connector import Account

SHOWN_BY_PROVIDERS = (Reason.NEEDS_ADMIN, Reason.ACCOUNT_INACTIVE, Reason.PRODUCT_MISSING, Reason.PROVIDER_REFUSED)
"""What a provider's own page may have said, from which nobody is sent back."""


@dataclass(frozen=True, slots=True)
class ProviderWords:
    """How to speak of a provider, from its description."""

    name: str
    account: str
    """What an account is called, for example "company"."""
    admin: str
    """The role of an admin, for example "Organization Admin"."""
    prerequisites: tuple[str, ...]
    others: Mapping[Language, "ProviderWords"] = field(default_factory=dict)
    """The same in other languages, where the description says it."""

    def spoken(self, language: Language) -> "ProviderWords":
        """The words in a language; English ones where the description has none."""
        return self.others.get(language, self)


@dataclass(frozen=True, slots=True)
class WindowView:
    """Everything that the window may show about an attempt. Holds no secret."""

    attempt: AttemptId
    connector_name: str
    tenant: str
    provider: ProviderWords
    account: Account | None
    """The account that the connector belongs to; `None` while it was never connected."""
    person_name: str | None
    """For whom the host opened the attempt."""
    return_url: str | None
    step: Step
    state: State
    """The connector's state."""
    failure: Reason | None
    """Why the connector needs somebody."""
    live: bool
    """Whether this is the connector's live attempt."""
    succeeded: bool
    """Whether this attempt's grant is in use."""
    ending: Reason | None
    """How the attempt ended, where it did without success."""
    expected: Account | None
    seen: Account | None
    unavailable: int
    """How often the provider couldn't be asked during this verification."""
    returned_at: datetime | None
    expires_at: datetime
    replaced: bool = False
    """Whether a newer attempt ended this one."""
    handed_on: str | None = None
    """To which colleague its person handed it."""
    taken_off: bool = False
    """Whether the connector was disconnected meanwhile."""
    repaired: bool = False
    """Whether somebody else's attempt repaired the connector meanwhile."""
    help_asked: bool = False
    """Whether its person has asked the host for help."""
    may_hand_on: bool = False
    """Whether a colleague could complete it in a browser of their own (S9)."""


class Dead(StrEnum):
    """Why a handoff, a state or a window leads nowhere. Strangers get one answer for all of them (S24)."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    SESSION_OVER = "session_over"
    """Of the browser that began: so long ago that the host has to be asked again."""
    USED = "used"
    NOT_THIS_BROWSER = "not_this_browser"
    STALE_ANSWER = "stale_answer"
    """Of a browser of ours: to a request that a newer one has replaced."""
    BAD_REQUEST = "bad_request"
    LOGIN_DOES_NOT_HELP = "login_does_not_help"
    VERIFICATION_RUNNING = "verification_running"


@dataclass(frozen=True, slots=True)
class Begun:
    """The button was pressed: send the browser to the provider, and give it the cookie."""

    attempt: AttemptId
    url: str = field(repr=False)
    """Holds the state, where the request wasn't pushed; the attempt's page, where the provider wouldn't have it."""
    browser: Secret


@dataclass(frozen=True, slots=True)
class HandedOn:
    """The sign-in is a colleague's now."""

    colleague: str
    url: Secret
    """The one-time link."""
    lifetime: timedelta
    """How long it works from now on."""
    view: WindowView
    """Of the attempt that was handed on."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The person is back: show the attempt's page (or go to the host's completion address)."""

    attempt: AttemptId
    completion_url: Secret | None = None
    """Where the host completes an attempt that would pin a new account; holds a one-time token."""
