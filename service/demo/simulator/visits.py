"""A visit: one person's way through the provider's pages, from the authorization request to the redirect back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

MOST_VISITS = 1_000


class Step(StrEnum):
    EMAIL = "email"
    PASSWORD = "password"  # a step's name; the choice of the passkey is here, too
    PASSKEY = "passkey"
    COMPANY = "company"
    CONSENT = "consent"
    REFUSED = "refused"  # a page of the provider's own; nobody is sent back
    DONE = "done"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The checked parameters of RFC 6749 4.1.1, RFC 7636 4.3 and OpenID Connect Core 3.1.2.1."""

    redirect_uri: str
    state: str
    scopes: frozenset[str]
    code_challenge: str | None
    nonce: str | None
    realm_claim: bool


@dataclass(slots=True)
class Visit:
    id: str
    request: AuthorizationRequest
    step: Step = Step.EMAIL
    email: str = ""
    realm: str = ""
    error: str = ""


class Visits:
    """Open visits by id; the oldest make room."""

    def __init__(self) -> None:
        self._open: dict[str, Visit] = {}

    def begin(self, request: AuthorizationRequest) -> Visit:
        while len(self._open) >= MOST_VISITS:
            del self._open[next(iter(self._open))]
        visit = Visit(secrets.token_urlsafe(16), request)
        self._open[visit.id] = visit
        return visit

    def find(self, visit_id: str) -> Visit | None:
        return self._open.get(visit_id)

    def clear(self) -> None:
        self._open.clear()
