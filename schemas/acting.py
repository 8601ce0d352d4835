"""Who has to act on a connector: one word for the story, the fleet's counts and the console."""

from schemas.lifecycle import Described, State
from schemas.reasons import Reason, Remedy


class WhoActs(Described):
    """Who must do the next thing."""

    OWNER = "owner", "The customer: somebody who may, at the provider."
    PERSON = "person", "Whoever has the link of the open attempt."
    HOST = "host", "The host: its backend or its sync engine."
    OPERATOR = "operator", "Whoever operates this service or the host."
    PROVIDER = "provider", "The provider, which can't be asked just now."
    REGRANT = "regrant", "This service, by itself."
    NOBODY = "nobody", "Nothing is to be done."


def who_acts(state: State, reason: Reason | None, *, warned: bool = False, unavailable: bool = False) -> WhoActs:
    """Who acts on a connector of this state and reason; `warned` of its end, the provider `unavailable` to checks."""
    match state:
        case State.HEALTHY:
            return WhoActs.OWNER if warned else WhoActs.NOBODY
        case State.FAILED:
            return _MENDS[reason.remedy] if reason else WhoActs.OPERATOR
        case State.AWAITING_AUTH:
            return WhoActs.PERSON
        case State.VERIFYING:
            return WhoActs.PROVIDER if unavailable else WhoActs.REGRANT
        case State.SYNCING:
            return WhoActs.HOST
        case State.ABSENT | State.DISCONNECTED | State.DELETED:
            return WhoActs.NOBODY


_MENDS = {
    Remedy.REAUTHORISE: WhoActs.OWNER,
    Remedy.FIX_ACCOUNT: WhoActs.OWNER,
    Remedy.FIX_CONFIGURATION: WhoActs.OPERATOR,
    Remedy.WAIT: WhoActs.NOBODY,
}
