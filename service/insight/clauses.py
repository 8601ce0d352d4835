"""The reasons as clauses for support: in the third person, where the catalogue's words speak to the owner.

Each one stands behind "because" or a colon. In braces: {provider}, {account} the connector's own, {account_word} what
the provider calls one, {an_admin} who may connect it, {expected} and {seen} the two accounts of a wrong one.
"""

from schemas.reasons import Reason

CLAUSES: dict[Reason, str] = {
    Reason.NEVER_CONNECTED: "nobody has signed in to {provider} for it yet",
    Reason.TOKEN_REFUSED: "{provider} no longer accepts the saved sign-in for {account}",
    Reason.GRANT_REVOKED: "the permission for {account} has ended at {provider}, where it was withdrawn or not "
    "used for too long",
    Reason.REVOKED_AT_PROVIDER: "somebody ended the connection of {account} at {provider}, which has confirmed it",
    Reason.ACCESS_REVOKED: "{provider} no longer lets this connection read {account}",
    Reason.USER_DEACTIVATED: "the person who connected {account} was removed at {provider}, or is no longer "
    "{an_admin} there",
    Reason.ACCOUNT_INACTIVE: "{provider} has paused {account}, since its subscription has ended or a payment is due",
    Reason.CLIENT_REJECTED: "{provider} rejects our own registration (the client id or its secret), which no customer "
    "can mend",
    Reason.VAULT_INTEGRITY: "the saved sign-in for {account} didn't pass the integrity check, so it is not used",
    Reason.SYNC_DID_NOT_START: "the sync that was asked for gave no result in time, however often it was asked for",
    Reason.RATE_LIMITED: "{provider} asked us to slow down",
    Reason.PROVIDER_UNAVAILABLE: "{provider} didn't answer as it should",
    Reason.NETWORK_ERROR: "{provider} couldn't be reached",
    Reason.SYNC_FAULT: "the sync had a fault of its own, which has nothing to do with the sign-in",
    Reason.EXPIRING: "the saved sign-in for {account} is known to end soon",
    Reason.ACCESS_DENIED: "the person declined the connection at {provider}",
    Reason.CANCELLED: "it was given up before the sign-in was complete",
    Reason.LINK_EXPIRED: "its link could no longer be used",
    Reason.ATTEMPT_EXPIRED: "nobody came back from {provider} in time",
    Reason.PROVIDER_REFUSED: "{provider} sent the person back with an error instead of a sign-in",
    Reason.WRONG_ACCOUNT: "the person signed in to {seen}, while the connector belongs to {expected}",
    Reason.SEVERAL_ACCOUNTS: "the person allowed more than one {account_word} at {provider}, and the connector is for "
    "one",
    Reason.ACCOUNT_TAKEN: "the person signed in to {seen}, which another connector of the tenant uses already",
    Reason.NEEDS_ADMIN: "the person who signed in is not {an_admin} of {account}",
    Reason.SCOPE_MISSING: "a permission that the sync needs was not given",
    Reason.PRODUCT_MISSING: "{provider} asked for something to be set up before anybody can be connected",
    Reason.CODE_REFUSED: "{provider} didn't accept its own sign-in code, mostly since too much time had passed",
    Reason.EXCHANGE_INTERRUPTED: "something stopped while the sign-in code was exchanged, and a code is sent only once",
    Reason.VERIFICATION_TIMED_OUT: "{provider} couldn't be asked for so long that the checks ran out of time",
    Reason.CONNECTED: "the sign-in worked",
    Reason.RECOVERED: "a sync ended well without anybody signing in",
}

NEXT_TIME: dict[Reason, str] = {
    Reason.ACCESS_DENIED: "choose Connect at {provider} this time",
    Reason.WRONG_ACCOUNT: "choose {expected} at {provider} this time",
    Reason.SEVERAL_ACCOUNTS: "tick only {account} at {provider} this time",
    Reason.ACCOUNT_TAKEN: "choose another {account_word} at {provider} this time",
    Reason.NEEDS_ADMIN: "it has to be somebody who is {an_admin} there today",
    Reason.SCOPE_MISSING: "leave every permission ticked this time",
    Reason.PRODUCT_MISSING: "set up at {provider} first what it asked for",
    Reason.ATTEMPT_EXPIRED: "ask the person what {provider} showed: it lets nobody but {an_admin} come back",
    Reason.PROVIDER_REFUSED: "wait a few minutes before",
    Reason.VERIFICATION_TIMED_OUT: "wait until {provider} answers again",
    Reason.CODE_REFUSED: "go through {provider}'s pages without a pause this time",
}
"""What is to be done differently in the next attempt, by how the last one ended."""
