"""The person's way: the host's handoff, the button, and the request that the browser goes to the provider with.

Nothing here decides about a connector: it finds the attempt, checks the browser, and hands inputs to the engine
(never while it holds a connection of the pool, which the engine needs, too). A GET changes nothing. The way back is in
`returning`.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

from schemas import api
from schemas.ids import AttemptId, ConnectorId, TenantId
from schemas.lifecycle import ActorKind, Outcome, State
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.submission import Actor, NewAttempt, Receipt, Submission, Trace
from service.oauth.authorization import authorization_request, hash_of
from service.oauth.description import Providers
from service.oauth.flow_settings import FlowSettings
from service.oauth.handing_on import HandingOn, refused
from service.oauth.keeper import Keeper
from service.oauth.outbound import Outbound
from service.oauth.pushed import address_for
from service.oauth.shown import to_the_host
from service.oauth.standing import owner_of_attempt, person_of, same_browser
from service.oauth.window import SHOWN_BY_PROVIDERS, Begun, Dead, Returned, WindowView
from service.store import attempts
from service.store.attempts import AttemptRow, Request
from service.store.marks import marks
from service.store.pool import Connection, Pool
from statemachine.inputs import Cancelled, Explained, HelpAsked, StartReauth

REQUEST_LIFETIME = timedelta(minutes=10)
"""How long a state is good for (S3)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new attempt with its handoff."""

    attempt: api.Attempt


class UnregisteredReturnUrl(Exception):
    """The return address isn't one of the registered ones."""


Window: TypeAlias = WindowView | Dead
_Keep: TypeAlias = Callable[[Connection, Request], Awaitable[bool]]
"""Keeps an authorization request, unless the attempt doesn't wait for one any more."""


class Flow(HandingOn):
    """The steps that people and hosts take."""

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        keeper: Keeper,
        providers: Providers,
        outbound: Outbound,
        settings: FlowSettings,
    ) -> None:
        super().__init__(engine, pool, keeper, providers, settings)
        self._outbound = outbound

    # The host's calls.

    async def open(
        self,
        *,
        tenant: TenantId,
        connector: ConnectorId,
        person: api.Person,
        return_url: str | None,
        actor: Actor,
        trace: Trace,
    ) -> Opened | Receipt:
        """Opens an attempt and its handoff; a receipt only where that is refused.

        Raises `UnregisteredReturnUrl` or `TooMany`.
        """
        if return_url is not None and return_url not in self._settings.return_urls:
            raise UnregisteredReturnUrl
        await self._gate.check_openings(tenant, connector)
        id_ = AttemptId(uuid4())
        new = NewAttempt(person_id=person.id, person_name=person.name, return_url=return_url)
        receipt = await self._engine.submit(
            Submission(
                input=StartReauth(connector=connector, attempt=id_),
                actor=actor,
                tenant=tenant,
                attachment=new,
                trace=trace,
            )
        )
        if receipt.outcome is Outcome.REFUSED:
            return receipt
        handoff = await self._first_handoff(id_, person.id, person.name, self._settings.handoff_lifetime)
        shown = await self.attempt(tenant=tenant, attempt=id_)
        assert shown is not None
        return Opened(shown.model_copy(update={"handoff": handoff}))

    async def attempt(self, *, tenant: TenantId, attempt: AttemptId) -> api.Attempt | None:
        """The attempt as the host may see it."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
        return to_the_host(row, by_the_host=self._by_the_host(row)) if row else None

    async def cancel(self, *, tenant: TenantId, attempt: AttemptId, actor: Actor, trace: Trace) -> Receipt | None:
        """Ends an open attempt. `None`: unknown to this tenant."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
        return await self._cancel(row, actor, trace) if row else None

    # The window.

    async def look(self, handoff: Secret, browser: Secret | None) -> Window | Returned:
        """What a handoff leads to. Changes nothing: mail scanners and link previews may look.

        The browser that spent it (the back button, a reload) finds back to its attempt.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_handoff(connection, hash_of(handoff))
        if row is not None:
            return self._view(row) if row.live else Dead.UNKNOWN
        return await self._own(handoff, browser)

    async def begin(self, handoff: Secret, browser: Secret | None) -> Begun | Returned | Dead:
        """The button: spends the handoff, and makes the authorization request that the browser is sent with.

        In a second tab of the browser that spent it, it leads to the attempt, as the link does.
        Raises `TooMany` or `ProviderAway`, after which the handoff is as good as before.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_handoff(connection, hash_of(handoff))
        if row is None or not row.live:
            return await self._own(handoff, browser)
        self._gate.count(row.tenant, row.connector)

        async def spend(connection: Connection, request: Request) -> bool:
            return await attempts.begin(connection, hash_of(handoff), request) is not None

        return await self._go(row, browser, spend) or await self._own(handoff, browser)

    async def view(self, attempt: AttemptId, browser: Secret | None) -> Window:
        """The attempt's page, for the browser that began it."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not same_browser(row, browser):
            return Dead.UNKNOWN
        return self._view(row)

    async def again(self, attempt: AttemptId, browser: Secret) -> Begun | Returned | Dead:
        """Goes to the provider once more: with the open attempt, or with a new one for the same person and browser.

        Where that can't be, the attempt's page says why.
        Raises `TooMany` or `ProviderAway`.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not same_browser(row, browser):
            return Dead.UNKNOWN
        if not row.session_fresh:
            return Dead.SESSION_OVER
        self._gate.count(row.tenant, row.connector)
        if not (row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None):
            renewed = await self._renewed(row, browser)
            if isinstance(renewed, (Dead, Returned)):
                return renewed
            row = renewed
        id_ = row.attempt

        async def renew(connection: Connection, request: Request) -> bool:
            return await attempts.renew_request(connection, id_, request)

        return await self._go(row, browser, renew) or Returned(attempt)

    async def marks(self, ids: Collection[AttemptId]) -> Mapping[AttemptId, str]:
        """For each attempt that there is: something that differs after every write to it or its connector."""
        async with self._pool.acquire() as connection:
            return await marks(connection, ids)

    async def give_up(self, attempt: AttemptId, browser: Secret, reason: Reason = Reason.CANCELLED) -> Window:
        """The person stops; `reason` is what they say that the provider showed, instead of sending them back.

        Said after the deadline, it explains the attempt.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not same_browser(row, browser):
            return Dead.UNKNOWN
        if row.live:
            await self._cancel(row, person_of(row), Trace(), reason)
        elif reason in SHOWN_BY_PROVIDERS:
            explained = Explained(connector=row.connector, attempt=attempt, reason=reason)
            await self._engine.submit(Submission(input=explained, actor=person_of(row)))
        return await self.view(attempt, browser)

    async def ask_help(self, attempt: AttemptId, browser: Secret) -> Window:
        """The person asks the host for help, which the log tells: of one attempt once, however often it is pressed."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not same_browser(row, browser):
            return Dead.UNKNOWN
        asked = HelpAsked(connector=row.connector, attempt=attempt, step=row.step)
        await self._engine.submit(Submission(input=asked, actor=person_of(row)))
        return await self.view(attempt, browser)

    # How it is done.

    async def _own(self, handoff: Secret, browser: Secret | None) -> Returned | Dead:
        """The attempt that this browser spent the handoff for."""
        async with self._pool.acquire() as connection:
            spent = await attempts.attempt_of_spent_handoff(connection, hash_of(handoff))
        return Returned(spent.attempt) if spent is not None and same_browser(spent, browser) else Dead.UNKNOWN

    async def _renewed(self, row: AttemptRow, browser: Secret) -> AttemptRow | Returned | Dead:
        await self._gate.check_openings(row.tenant, row.connector)
        id_ = AttemptId(uuid4())
        new = NewAttempt(
            person_id=row.person_id,
            person_name=row.person_name,
            return_url=row.return_url,
            browser_hash=hash_of(browser),
        )
        receipt = await self._engine.submit(
            Submission(input=StartReauth(connector=row.connector, attempt=id_), actor=person_of(row), attachment=new)
        )
        if receipt.outcome is Outcome.REFUSED:
            return refused(row, receipt.why)
        async with self._pool.acquire() as connection:
            await attempts.carry_session(connection, id_, row.attempt)
            renewed = await attempts.attempt(connection, id_)
        assert renewed is not None
        return renewed

    async def _go(self, row: AttemptRow, browser: Secret | None, keep: _Keep) -> Begun | None:
        """Makes the authorization request that the browser goes with, and keeps what its answer is known by.

        `None` where that can't be kept any more: the attempt waits for nobody, or another tab was faster.
        Where the provider won't have it, the attempt has ended, and the browser goes to its page.
        """
        await self._engine.join(row.pk)
        config = self._providers[row.provider]
        pinned = row.account.id if row.account else None
        made = authorization_request(config, self._redirect_uri(row.provider), pinned)
        address = await address_for(self._outbound, config, made)
        browser = browser or Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
            verifier = await self._keeper.seal(key, owner_of_attempt(row), f"verifier.{row.attempt}", made.verifier)
            request = Request(
                browser_hash=hash_of(browser),
                state_hash=hash_of(made.state),
                context=row.provider,
                nonce=made.nonce,
                verifier_sealed=verifier,
                data_key=key.id,
                lifetime=REQUEST_LIFETIME,
            )
            if not await keep(connection, request):
                return None
        if isinstance(address, Reason):
            await self._refuse(row, address, Actor(ActorKind.PROVIDER))
            address = f"/connect/attempts/{row.attempt}"
        return Begun(row.attempt, address, browser)

    async def _cancel(self, row: AttemptRow, actor: Actor, trace: Trace, reason: Reason = Reason.CANCELLED) -> Receipt:
        cancelled = Cancelled(connector=row.connector, attempt=row.attempt, step=row.step, reason=reason)
        return await self._engine.submit(Submission(input=cancelled, actor=actor, trace=trace))

    def _redirect_uri(self, context: str) -> str:
        return redirect_uri(self._settings.public_url, context)


def redirect_uri(public_url: str, context: str) -> str:
    """The one redirect URI of a provider configuration (S11); nothing in a request can change it (S23)."""
    return f"{public_url}/oauth/callback/{context}"
