"""How an attempt stands to whoever comes back: whether it is theirs, still waits, and whose its secrets are. Pure."""

import hmac

from schemas.ids import Generation
from schemas.lifecycle import ActorKind, State
from schemas.secret import Secret
from service.engine.submission import Actor
from service.oauth.authorization import hash_of
from service.oauth.keeper import Owner
from service.store.attempts import AttemptRow


def same_browser(row: AttemptRow, browser: Secret | None) -> bool:
    """Whether it is the browser that pressed the button (S4)."""
    if row.browser_hash is None or browser is None:
        return False
    return hmac.compare_digest(row.browser_hash, hash_of(browser))


def foreign(row: AttemptRow | None, context: str, browser: Secret | None) -> str | None:
    """Why a callback isn't the answer to this browser's request; `None` where it is."""
    if row is None:
        return "an_unknown_state"
    if row.context != context:
        return "another_provider"
    return None if same_browser(row, browser) else "another_browser"


def awaited(row: AttemptRow) -> bool:
    """Whether a callback for this attempt still means something."""
    return row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None and row.request_fresh


def owner_of_attempt(row: AttemptRow) -> Owner:
    """The owner of a code or verifier: no account is proved yet."""
    return Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation))


def person_of(row: AttemptRow) -> Actor:
    """The person for whom the attempt was begun."""
    return Actor(ActorKind.PERSON, row.person_id)
