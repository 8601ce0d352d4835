"""What a connector may do, written by hand from the lifecycle's page: the checker's own table."""

from itertools import product

ABSENT, HEALTHY, FAILED, AWAITING, VERIFYING, SYNCING, DISCONNECTED, DELETED = (
    "absent",
    "healthy",
    "failed",
    "awaiting_auth",
    "verifying",
    "syncing",
    "disconnected",
    "deleted",
)
CONNECTED = (HEALTHY, FAILED, AWAITING, VERIFYING, SYNCING)
EXISTING = (*CONNECTED, DISCONNECTED)
ATTEMPTING = (AWAITING, VERIFYING)
TIMED = (AWAITING, VERIFYING, SYNCING)
"""The states that nobody may stay in past the deadline."""
TAKEN_OFF = (DISCONNECTED, DELETED)

Triple = tuple[str, str, str]


def _each(sources: tuple[str, ...], trigger: str, *targets: str) -> set[Triple]:
    return set(product(sources, (trigger,), targets))


def _same(sources: tuple[str, ...], trigger: str) -> set[Triple]:
    return {(state, trigger, state) for state in sources}


LEGAL: frozenset[Triple] = frozenset(
    _each((ABSENT,), "register", HEALTHY, FAILED)
    | _same(EXISTING, "update")
    | _same(EXISTING, "help_asked")
    | _same(EXISTING, "restored")
    | _each(CONNECTED, "restored", FAILED)
    | _each(ATTEMPTING, "restored", DISCONNECTED)
    | _each(CONNECTED, "disconnect", DISCONNECTED)
    | _each(EXISTING, "delete", DELETED)
    # What syncs say.
    | _each((FAILED, SYNCING), "sync_succeeded", HEALTHY)
    | _same(ATTEMPTING, "sync_succeeded")
    | _each((HEALTHY, FAILED, SYNCING), "sync_failed", FAILED)
    | _same(ATTEMPTING, "sync_failed")
    | _each((SYNCING,), "sync_expired", SYNCING, FAILED)
    | _same((FAILED,), "reminder_due")
    | _same((HEALTHY,), "expiry_near")
    | _same((HEALTHY,), "expiry_moved")
    # What refreshing says.
    | _each((HEALTHY, FAILED, SYNCING), "refresh_rejected", FAILED)
    | _same(ATTEMPTING, "refresh_rejected")
    # An attempt, and how it ends: where it fails, back to where the connector came from.
    | _each((HEALTHY, FAILED, SYNCING, DISCONNECTED, *ATTEMPTING), "start_reauth", AWAITING)
    | _each((AWAITING,), "grant_received", VERIFYING)
    | _each((AWAITING,), "grant_refused", HEALTHY, FAILED, DISCONNECTED)
    | _each((AWAITING,), "cancelled", HEALTHY, FAILED, DISCONNECTED)
    | _each((AWAITING,), "auth_expired", HEALTHY, FAILED, DISCONNECTED)
    | _each((VERIFYING,), "verified", SYNCING)
    | _each((FAILED,), "grant_shared", SYNCING)
    # The saved credential, asked about once more.
    | _each((FAILED,), "verified_again", SYNCING, FAILED)
    | _each((HEALTHY,), "verified_again", FAILED)
    | _each((VERIFYING,), "rejected", HEALTHY, FAILED, DISCONNECTED)
    | _each((VERIFYING,), "verify_expired", HEALTHY, FAILED, DISCONNECTED)
)
"""Every (from, trigger, to) that a transition may be."""
