"""What the simulator's token host knows: codes, grants, and the tokens of a grant with their lifetimes.

Pure: the clock and the source of random text come in. Facts: Intuit's OAuth pages, its post on refresh token
policy (November 2025), oauth-jsclient#173 (a code's second exchange kills the grant).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from service.demo.simulator.clock import Clock
from service.demo.simulator.intuit_errors import TokenError, TokenRefused

Mint = Callable[[], str]


class RevokeScope(StrEnum):
    """What revoking one token takes with it. No page of Intuit says which; both can be played."""

    TOKEN = "token"  # the grant of that token
    ACCOUNT = "account"  # every grant of the app at that company


@dataclass(slots=True)
class GrantSettings:
    """Lifetimes and habits of the token host; the defaults are Intuit's."""

    code_life: timedelta = timedelta(minutes=10)
    access_token_life: timedelta = timedelta(seconds=3600)
    refresh_token_life: timedelta = timedelta(seconds=8726400)
    hard_life: timedelta = timedelta(days=5 * 365)
    rotation_interval: timedelta = timedelta(hours=24)  # 0: a new value at every refresh
    previous_token_life: timedelta = timedelta(hours=24)  # 0: dead as soon as there is a newer one
    revoke_scope: RevokeScope = RevokeScope.ACCOUNT
    max_live_grants: int | None = None  # of one person for one account: one more ends the oldest
    reuse_detection: bool = False  # a refresh token that is over, presented again, kills its grant (RFC 9700 4.14.2)


class GrantState(StrEnum):
    LIVE = "live"
    DISCONNECTED = "disconnected"  # by the customer, in QuickBooks: the API says 3100
    REVOKED = "revoked"  # by the app, at the revocation endpoint: the API says 3200
    POISONED = "poisoned"  # its code was exchanged twice, which Intuit takes for theft


@dataclass(slots=True)
class RefreshToken:
    value: str = field(repr=False)
    issued_at: datetime
    dies_at: datetime


@dataclass(slots=True)
class Grant:
    """One consent of one person for one company."""

    id: int
    realm: str
    sub: str
    scopes: frozenset[str]
    consented_at: datetime
    state: GrantState = GrantState.LIVE
    refresh: RefreshToken | None = None
    previous: RefreshToken | None = None
    access: dict[str, datetime] = field(default_factory=dict, repr=False)
    refreshes: int = 0


@dataclass(slots=True)
class Code:
    """An authorization code, and what it was given for."""

    value: str = field(repr=False)
    redirect_uri: str
    code_challenge: str | None
    nonce: str | None
    realm_claim: bool
    issued_at: datetime
    grant: Grant
    used: bool = False


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a token answer says. Lifetimes are those left, as Intuit gives them."""

    grant: Grant
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: timedelta
    refresh_expires_in: timedelta
    refresh_hard_expires_in: timedelta
    code: Code | None = None


class Grants:
    """All codes, grants and tokens of the one registered client."""

    def __init__(self, clock: Clock, mint: Mint, settings: GrantSettings) -> None:
        self._clock = clock
        self.mint = mint
        self.access_token_of: Callable[[Grant], str] = lambda _grant: f"eyJhbGciOiJkaXIi.{mint()}"
        self.settings = settings
        self.all: list[Grant] = []
        self._codes: dict[str, Code] = {}
        self._by_token: dict[str, Grant] = {}

    def issue_code(
        self,
        *,
        realm: str,
        sub: str,
        scopes: frozenset[str],
        redirect_uri: str,
        code_challenge: str | None = None,
        nonce: str | None = None,
        realm_claim: bool = False,
    ) -> str:
        """Consent was given: the code that goes back in the redirect."""
        now = self._clock()
        grant = Grant(len(self.all) + 1, realm, sub, scopes, now)
        self.all.append(grant)
        code = Code(
            value=f"XAB1{self.mint()}",
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            nonce=nonce,
            realm_claim=realm_claim,
            issued_at=now,
            grant=grant,
        )
        self._codes[code.value] = code
        return code.value

    def realm_of_code(self, value: str) -> str | None:
        code = self._codes.get(value)
        return code.grant.realm if code else None

    def realm_of_token(self, value: str) -> str | None:
        grant = self._by_token.get(value)
        return grant.realm if grant else None

    def redeem(self, value: str, *, redirect_uri: str, code_verifier: str | None) -> IssuedTokens:
        """Exchange a code (RFC 6749 4.1.3, RFC 7636 4.6). TokenRefused: `invalid_grant`.

        A code that comes a second time also kills what the first time gave.
        """
        code = self._codes.get(value)
        if code is None:
            raise TokenRefused(TokenError.INVALID_GRANT)
        if code.used:
            code.grant.state = GrantState.POISONED
            raise TokenRefused(TokenError.INVALID_GRANT)
        now = self._clock()
        if (
            now - code.issued_at > self.settings.code_life
            or code.grant.state is not GrantState.LIVE
            or redirect_uri != code.redirect_uri
            or not _verifier_fits(code.code_challenge, code_verifier)
        ):
            raise TokenRefused(TokenError.INVALID_GRANT)
        code.used = True
        self._end_the_oldest(code.grant)
        return self._answer(code.grant, now, code)

    def refresh(self, value: str) -> IssuedTokens:
        """A new access token; the refresh token's value changes when its interval is over.

        The previous value still works for a while, and is answered with the current one.
        """
        grant = self._by_token.get(value)
        if grant is None or value in grant.access:
            raise TokenRefused(TokenError.INVALID_GRANT, "Incorrect or invalid refresh token")
        now = self._clock()
        presented = next(
            (known for known in (grant.refresh, grant.previous) if known is not None and known.value == value),
            None,
        )
        if self.settings.reuse_detection and (presented is None or presented.dies_at <= now):
            grant.state = GrantState.POISONED
        if grant.state is not GrantState.LIVE or presented is None or presented.dies_at <= now:
            raise TokenRefused(TokenError.INVALID_GRANT, "Token has been expired or revoked.")
        if grant.consented_at + self.settings.hard_life <= now:
            raise TokenRefused(TokenError.INVALID_GRANT)
        grant.refreshes += 1
        if presented is grant.refresh and now - presented.issued_at >= self.settings.rotation_interval:
            self._rotate(grant, now)
        return self._answer(grant, now, None)

    def grant_for_access_token(self, value: str) -> tuple[Grant, bool] | None:
        """The grant of an access token and whether the token is still good; None if nobody issued it."""
        grant = self._by_token.get(value)
        if grant is None or value not in grant.access:
            return None
        return grant, grant.access[value] > self._clock()

    def revoke(self, token: str) -> None:
        """The app gives a token back: TokenRefused if it isn't one, or is dead already."""
        grant = self._by_token.get(token)
        if grant is None or grant.state is not GrantState.LIVE:
            raise TokenRefused(TokenError.INVALID_GRANT, "Token invalid")
        if self.settings.revoke_scope is RevokeScope.TOKEN:
            grant.state = GrantState.REVOKED
            return
        for other in self.live(grant.realm):
            other.state = GrantState.REVOKED

    def live(self, realm: str) -> list[Grant]:
        return [grant for grant in self.all if grant.realm == realm and grant.state is GrantState.LIVE]

    def disconnect(self, realm: str) -> int:
        """The customer disconnects the app in QuickBooks. Returns how many grants died."""
        dying = self.live(realm)
        for grant in dying:
            grant.state = GrantState.DISCONNECTED
        return len(dying)

    def expire_access_tokens(self, realm: str) -> int:
        """Every access token of the company is over now. Returns how many were alive."""
        now = self._clock()
        ended = 0
        for grant in self.live(realm):
            for token, dies_at in grant.access.items():
                if dies_at > now:
                    grant.access[token] = now
                    ended += 1
        return ended

    def expire_refresh_tokens(self, realm: str) -> int:
        """As if nobody had refreshed for 100 days. Access tokens live on until their own end."""
        dying = self.live(realm)
        now = self._clock()
        for grant in dying:
            for known in (grant.refresh, grant.previous):
                if known is not None:
                    known.dies_at = now
        return len(dying)

    def _answer(self, grant: Grant, now: datetime, code: Code | None) -> IssuedTokens:
        if grant.refresh is None:
            self._rotate(grant, now)
        assert grant.refresh is not None
        access_token = self.access_token_of(grant)
        grant.access[access_token] = now + self.settings.access_token_life
        self._by_token[access_token] = grant
        return IssuedTokens(
            grant=grant,
            access_token=access_token,
            refresh_token=grant.refresh.value,
            expires_in=self.settings.access_token_life,
            refresh_expires_in=grant.refresh.dies_at - now,
            refresh_hard_expires_in=grant.consented_at + self.settings.hard_life - now,
            code=code,
        )

    def _end_the_oldest(self, new: Grant) -> None:
        most = self.settings.max_live_grants
        if most is None:
            return
        mine = [grant for grant in self.live(new.realm) if grant.sub == new.sub and (grant.refresh or grant is new)]
        for grant in mine[:-most]:
            grant.state = GrantState.REVOKED

    def _rotate(self, grant: Grant, now: datetime) -> None:
        grant.previous = grant.refresh
        if grant.previous is not None:
            grant.previous.dies_at = min(grant.previous.dies_at, now + self.settings.previous_token_life)
        value = f"RT1-{self.mint()}"
        grant.refresh = RefreshToken(value, now, now + self.settings.refresh_token_life)
        self._by_token[value] = grant


def _verifier_fits(challenge: str | None, verifier: str | None) -> bool:
    if challenge is None:
        return True
    if verifier is None:
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
