"""The one catalogue of reasons: why something happened, who acts, and the words for it.

It feeds problems, events, pages, metrics and help. To add a reason, add an entry here and, where a provider's
answer leads to it, a rule in that provider's description.
"""

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Where the cause lies."""

    OWNER = "owner"
    PROVIDER = "provider"
    HOST = "host"
    REGRANT = "regrant"


class Remedy(StrEnum):
    """What mends it. Only `reauthorise` offers the login; only `wait` leaves a healthy connector alone."""

    REAUTHORISE = "reauthorise"
    FIX_ACCOUNT = "fix_account"
    FIX_CONFIGURATION = "fix_configuration"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of one reason, with `{provider}`, `{account}`, `{expected}`, `{seen}`, `{admin}` open.

    Its words are the English ones; `service/texts/` has those of other languages. No article stands before a name.
    """

    origin: Origin
    remedy: Remedy
    title: str
    words: str
    next: str
    """The first step, and often the only one."""
    takes: str
    """How long it takes until all is well again."""
    then: tuple[str, ...] = ()
    """What comes after the first step: at most two more."""

    @property
    def steps(self) -> tuple[str, ...]:
        """One to three steps, in order."""
        return (self.next, *self.then)


class Reason(StrEnum):
    """The code of a reason; `entry` holds the rest."""

    entry: Entry
    origin: Origin
    remedy: Remedy

    __hash__ = str.__hash__  # as of `Described`

    # Why a connector failed.
    NEVER_CONNECTED = "never_connected"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code, not a password
    GRANT_REVOKED = "grant_revoked"
    REVOKED_AT_PROVIDER = "revoked_at_provider"
    ACCESS_REVOKED = "access_revoked"
    USER_DEACTIVATED = "user_deactivated"
    ACCOUNT_INACTIVE = "account_inactive"
    CLIENT_REJECTED = "client_rejected"
    VAULT_INTEGRITY = "vault_integrity"
    SYNC_DID_NOT_START = "sync_did_not_start"
    # What passes by itself.
    RATE_LIMITED = "rate_limited"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    NETWORK_ERROR = "network_error"
    SYNC_FAULT = "sync_fault"
    # What is known ahead.
    EXPIRING = "expiring"
    # Why an attempt ended.
    ACCESS_DENIED = "access_denied"
    CANCELLED = "cancelled"
    LINK_EXPIRED = "link_expired"
    ATTEMPT_EXPIRED = "attempt_expired"
    PROVIDER_REFUSED = "provider_refused"
    WRONG_ACCOUNT = "wrong_account"
    SEVERAL_ACCOUNTS = "several_accounts"
    ACCOUNT_TAKEN = "account_taken"
    NEEDS_ADMIN = "needs_admin"
    SCOPE_MISSING = "scope_missing"
    PRODUCT_MISSING = "product_missing"
    CODE_REFUSED = "code_refused"
    EXCHANGE_INTERRUPTED = "exchange_interrupted"
    VERIFICATION_TIMED_OUT = "verification_timed_out"
    # Good news.
    CONNECTED = "connected"
    RECOVERED = "recovered"

    @property
    def needs_a_person(self) -> bool:
        """Whether a healthy connector leaves `healthy` for it."""
        return self.remedy is not Remedy.WAIT

    @property
    def offers_login(self) -> bool:
        """Whether signing in again mends it."""
        return self.remedy is Remedy.REAUTHORISE


_SIGN_IN = "Sign in to {provider} again as {admin}."
_SAME_COMPANY = "There choose {account}, and leave every permission ticked."
_GOES_ON = "Nothing more: the sync then starts by itself."
_MINUTES = "About two minutes, with the sign-in to {provider} at hand."
_BY_ITSELF = "Mostly minutes, at an outage some hours; it passes by itself."
_OPERATORS = "As long as our operators need; they were told at once."
_COLLEAGUE = "Two minutes for whoever may do it; until then the connection stays as it was."

CATALOGUE: dict[Reason, Entry] = {
    Reason.NEVER_CONNECTED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "Not connected yet",
        "Nobody has signed in to {provider} for this connector yet.",
        "Sign in to {provider} as {admin}.",
        _MINUTES,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.TOKEN_REFUSED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "The sign-in has expired",
        "{provider} no longer accepts the saved sign-in for {account}.",
        _SIGN_IN,
        _MINUTES,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.GRANT_REVOKED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "The connection was ended",
        "The permission for {account} has ended: it was withdrawn at {provider}, or not used for too long.",
        _SIGN_IN,
        _MINUTES,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.REVOKED_AT_PROVIDER: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "Disconnected at {provider}",
        "Somebody ended the connection of {account} at {provider}, which has confirmed it.",
        "If that wasn't meant, sign in to {provider} again as {admin}.",
        _MINUTES,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.ACCESS_REVOKED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "Access to the company was withdrawn",
        "{provider} says that this connection may no longer read {account}.",
        _SIGN_IN,
        _MINUTES,
        (
            _SAME_COMPANY,
            "If {account} isn't offered, ask somebody who is {admin} there to sign in.",
        ),
    ),
    Reason.USER_DEACTIVATED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "The person who connected lost access",
        "The person who connected {account} was removed at {provider}, or is no longer {admin}.",
        "Somebody who is {admin} today signs in to {provider}.",
        _COLLEAGUE,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.ACCOUNT_INACTIVE: Entry(
        Origin.OWNER,
        Remedy.FIX_ACCOUNT,
        "The subscription has ended",
        "{provider} has paused {account}: its subscription ended or a payment is due. Signing in again does not help.",
        "Whoever pays for {account} renews the subscription at {provider}; the syncs then go on by themselves.",
        "Until the subscription is renewed; the next sync after that finds out by itself.",
        ("Check there that {account} opens again. Nobody has to sign in here.",),
    ),
    Reason.CLIENT_REJECTED: Entry(
        Origin.HOST,
        Remedy.FIX_CONFIGURATION,
        "Our connection to the provider is misconfigured",
        "{provider} rejects our own registration, not yours. You have nothing to do.",
        "Our operators were told; the syncs go on when it is mended.",
        _OPERATORS,
        ("Operators: compare the client id, the secret and the return address with the app's settings at {provider}.",),
    ),
    Reason.VAULT_INTEGRITY: Entry(
        Origin.REGRANT,
        Remedy.REAUTHORISE,
        "The saved sign-in can't be used",
        "The saved sign-in for {account} didn't pass our integrity check, so it is not used.",
        _SIGN_IN,
        _MINUTES,
        (
            _SAME_COMPANY,
            _GOES_ON,
        ),
    ),
    Reason.SYNC_DID_NOT_START: Entry(
        Origin.HOST,
        Remedy.FIX_CONFIGURATION,
        "The sync did not run",
        "The sign-in worked, but the sync gave no result in time, although it was asked for several times.",
        "Our operators were told; you don't have to sign in again.",
        _OPERATORS,
        ("Operators: see whether the sync engine reads the sync requests, and why its runs give no result.",),
    ),
    Reason.RATE_LIMITED: Entry(
        Origin.PROVIDER,
        Remedy.WAIT,
        "{provider} asked us to slow down",
        "{provider} limits how often we may ask.",
        "Nothing to do: the next sync tries again.",
        _BY_ITSELF,
    ),
    Reason.PROVIDER_UNAVAILABLE: Entry(
        Origin.PROVIDER,
        Remedy.WAIT,
        "{provider} is unavailable",
        "{provider} doesn't answer at the moment.",
        "Nothing to do: we keep trying.",
        _BY_ITSELF,
        ("If it stays for hours, look at the status page of {provider}.",),
    ),
    Reason.NETWORK_ERROR: Entry(
        Origin.PROVIDER,
        Remedy.WAIT,
        "{provider} couldn't be reached",
        "The way to {provider} was interrupted.",
        "Nothing to do: we keep trying.",
        _BY_ITSELF,
    ),
    Reason.SYNC_FAULT: Entry(
        Origin.HOST,
        Remedy.WAIT,
        "The sync had a problem of its own",
        "The sync failed for a reason that has nothing to do with the sign-in.",
        "Nothing to sign in for: the sync itself reports what is wrong.",
        "As long as the sync needs to be mended; the sign-in stays good.",
    ),
    Reason.EXPIRING: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "The sign-in ends soon",
        "Everything works, but {provider} ends the saved sign-in for {account} at a known time.",
        "Sign in to {provider} again as {admin} before that; nothing stops meanwhile.",
        "About two minutes, at any time before the date.",
        (
            _SAME_COMPANY,
            "Nothing more: the old sign-in works until the new one is proved.",
        ),
    ),
    Reason.ACCESS_DENIED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "You didn't allow the connection",
        "At {provider} the connection was declined, so nothing was changed.",
        "Start again and choose Connect at {provider}.",
        _MINUTES,
        ("If {provider} doesn't let you, ask somebody who is {admin} of {account}.",),
    ),
    Reason.CANCELLED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "You stopped before the end",
        "The window was closed before the sign-in was complete. Nothing was changed.",
        "Start again when it suits you.",
        _MINUTES,
    ),
    Reason.LINK_EXPIRED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "This link can't be used any more",
        "For your safety a link works once and only for a short time.",
        "Go back and choose Edit credentials again.",
        _MINUTES,
        ("Use the new link at once: each one is good for some minutes.",),
    ),
    Reason.ATTEMPT_EXPIRED: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "The time ran out",
        "Nobody came back from {provider} in time. Nothing was changed.",
        "Start again. If {provider} said that you may not, ask somebody who is {admin} there.",
        _MINUTES,
        ("Leave the window open until it says that you are connected.",),
    ),
    Reason.PROVIDER_REFUSED: Entry(
        Origin.PROVIDER,
        Remedy.REAUTHORISE,
        "{provider} refused the sign-in",
        "{provider} sent you back with an error instead of a sign-in. Nothing was changed.",
        "Start again in a few minutes.",
        "Mostly some minutes.",
        ("If it says the same again, tell us the support code on the page.",),
    ),
    Reason.WRONG_ACCOUNT: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "That was another company",
        "You signed in to {seen}; this connector belongs to {expected}. Nothing was changed.",
        "Start again and choose {expected}.",
        _MINUTES,
        ("If {expected} isn't offered, sign out at {provider} first, or ask somebody who is {admin} there.",),
    ),
    Reason.SEVERAL_ACCOUNTS: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "More than one was chosen",
        "You allowed several at {provider}; this connector is for one. Nothing was changed.",
        "Start again and tick only the one that this connector is for.",
        _MINUTES,
    ),
    Reason.ACCOUNT_TAKEN: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "That company is connected already",
        "You signed in to {seen}, which another connection of yours uses already. Nothing was changed.",
        "Start again and choose another company, or go on with the connection that is there.",
        _MINUTES,
    ),
    Reason.NEEDS_ADMIN: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "An administrator has to do this",
        "You signed in to {account}, but you are not {admin} there. Nothing was changed.",
        "Ask somebody who is {admin} of {account} to sign in, or ask for that role.",
        _COLLEAGUE,
        ("Hand the sign-in on to that person: a link for that person alone is made for it.",),
    ),
    Reason.SCOPE_MISSING: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "A permission is missing",
        "A permission that the sync needs was not given. Nothing was changed.",
        "Start again and leave every permission ticked.",
        _MINUTES,
    ),
    Reason.PRODUCT_MISSING: Entry(
        Origin.OWNER,
        Remedy.REAUTHORISE,
        "{provider} has to be set up first",
        "{provider} asked for something to be set up before anybody can be connected. Nothing was changed.",
        "Set it up at {provider}, or ask somebody who is {admin}; then start again.",
        "As long as the set-up at {provider} takes; then about two minutes.",
    ),
    Reason.CODE_REFUSED: Entry(
        Origin.PROVIDER,
        Remedy.REAUTHORISE,
        "The sign-in couldn't be completed",
        "{provider} didn't accept its own sign-in code, mostly because too much time had passed. Nothing was changed.",
        "Start again.",
        _MINUTES,
        ("Go through without a long pause: a sign-in code is good for a minute or two.",),
    ),
    Reason.EXCHANGE_INTERRUPTED: Entry(
        Origin.REGRANT,
        Remedy.REAUTHORISE,
        "The sign-in was interrupted",
        "Something stopped between {provider} and us, and for your safety a sign-in code is used only once.",
        "Continue: {provider} will ask you once more.",
        "Seconds: {provider} mostly asks nothing new.",
    ),
    Reason.VERIFICATION_TIMED_OUT: Entry(
        Origin.PROVIDER,
        Remedy.REAUTHORISE,
        "{provider} didn't answer in time",
        "You signed in, but {provider} was unavailable for so long that we couldn't check it. Nothing was changed.",
        "Start again later.",
        _BY_ITSELF,
        ("If it stays for hours, look at the status page of {provider}.",),
    ),
    Reason.CONNECTED: Entry(
        Origin.OWNER,
        Remedy.WAIT,
        "Connected",
        "The sign-in to {account} works, and the sync was asked to start.",
        "Nothing to do.",
        "The first data comes within minutes.",
    ),
    Reason.RECOVERED: Entry(
        Origin.PROVIDER,
        Remedy.WAIT,
        "It works again",
        "A sync of {account} ended well without anybody signing in.",
        "Nothing to do.",
        "It is done.",
    ),
}

for _reason, _entry in CATALOGUE.items():
    _reason.entry, _reason.origin, _reason.remedy = _entry, _entry.origin, _entry.remedy

LOGIN_MENDS: tuple[str, ...] = tuple(reason.value for reason in Reason if reason.offers_login)
"""The reasons that signing in again mends, as they are stored."""
