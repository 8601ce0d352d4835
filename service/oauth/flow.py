"""The person's way: handoff, button, provider, callback, and the host's confirmation.

Nothing here decides about a connector: it finds the attempt, checks the browser, and hands inputs to the engine
(never while it holds a connection of the pool, which the engine needs, too). A GET changes nothing; a code is sealed
before anything else happens to it.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

import orjson

from schemas import api
from schemas.ids import AttemptId, ConnectorId, Generation, TenantId
from schemas.lifecycle import ActorKind, Outcome, Refused, State
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.submission import Actor, NewAttempt, Receipt, ReceivedCode, Submission, Trace
from service.oauth.authorization import authorization_request, hash_of
from service.oauth.callback import BadCallback, Callback, issuer_of, parse_callback
from service.oauth.callback_signature import check_signature
from service.oauth.description import Providers
from service.oauth.form_post import Carried, arrive, carry
from service.oauth.keeper import Keeper, Owner
from service.oauth.limits import FlowLimits, Gate
from service.oauth.outbound import Outbound
from service.oauth.pushed import address_for
from service.oauth.shown import to_the_host, to_the_window
from service.oauth.window import Begun, Dead, Returned, WindowView
from service.store import attempts
from service.store.attempts import AttemptRow, Request
from service.store.credentials import audit
from service.store.pool import Connection, Pool
from service.vault.keys import SealBroken
from statemachine.inputs import Cancelled, GrantReceived, GrantRefused, StartReauth

REQUEST_LIFETIME = timedelta(minutes=10)
"""How long a state is good for (S3)."""


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """What a deployment says about the flow."""

    public_url: str
    handoff_lifetime: timedelta
    return_urls: frozenset[str]
    """The addresses that a browser may be sent to, compared exactly."""
    completion_url: str | None
    """The host's address that gets the completion token of an attempt which its backend completes."""
    always_completed_by_the_host: bool
    """Whether the host's backend completes attempts on pinned connectors, too (S8): stricter, never laxer."""
    limits: FlowLimits


@dataclass(frozen=True, slots=True)
class Opened:
    """A new attempt with its handoff."""

    attempt: api.Attempt


class UnregisteredReturnUrl(Exception):
    """The return address isn't one of the registered ones."""


Window: TypeAlias = WindowView | Dead
_Keep: TypeAlias = Callable[[Connection, Request], Awaitable[bool]]
"""Keeps an authorization request, unless the attempt doesn't wait for one any more."""


class Flow:
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
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound
        self._settings = settings
        self._gate = Gate(pool, settings.limits)

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
        handoff = await self.new_handoff(tenant=tenant, attempt=id_, person=person)
        shown = await self.attempt(tenant=tenant, attempt=id_)
        assert shown is not None
        return Opened(shown.model_copy(update={"handoff": handoff}))

    async def new_handoff(self, *, tenant: TenantId, attempt: AttemptId, person: api.Person) -> api.Handoff | None:
        """A handoff for a person; the older ones of the attempt are void. `None`: unknown, or not open any more."""
        handoff = Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
            if row is None or not row.live:
                return None
            lifetime = self._settings.handoff_lifetime
            expires = await attempts.add_handoff(
                connection, hash_of(handoff), attempt, person.id, person.name, lifetime
            )
        return api.Handoff(url=f"{self._settings.public_url}/connect/{handoff.reveal()}", expires_at=expires)

    async def attempt(self, *, tenant: TenantId, attempt: AttemptId) -> api.Attempt | None:
        """The attempt as the host may see it."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
        return to_the_host(row, by_the_host=self._by_the_host(row)) if row else None

    async def complete(
        self,
        *,
        tenant: TenantId,
        attempt: AttemptId,
        completion_token: Secret,
        person_id: str,
        actor: Actor,
        trace: Trace,
    ) -> Receipt | Dead:
        """The host confirms that its signed-in user is the one who began the attempt: only now is the code redeemed."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
            if row is None or row.completion_hash is None or row.code_sealed is None:
                return Dead.UNKNOWN
            right_token = hmac.compare_digest(row.completion_hash, hash_of(completion_token))
            right_person = hmac.compare_digest((row.person_id or "").encode(), person_id.encode())
            if not right_token or row.person_id is None or not right_person:
                await _refused(connection, row, "completion_refused")
                return Dead.UNKNOWN
        return await self._submit_grant(row, None, actor, trace)

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
                return to_the_window(row, self._providers[row.provider]) if row.live else Dead.UNKNOWN
            spent = await attempts.attempt_of_spent_handoff(connection, hash_of(handoff))
        return Returned(spent.attempt) if spent is not None and _same_browser(spent, browser) else Dead.UNKNOWN

    async def begin(self, handoff: Secret, browser: Secret | None) -> Begun | Dead:
        """The button: spends the handoff, and makes the authorization request that the browser is sent with.

        Raises `TooMany` or `ProviderAway`, after which the handoff is as good as before.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_handoff(connection, hash_of(handoff))
        if row is None or not row.live:
            return Dead.UNKNOWN
        self._gate.count(row.tenant, row.connector)

        async def spend(connection: Connection, request: Request) -> bool:
            return await attempts.begin(connection, hash_of(handoff), request) is not None

        return await self._go(row, browser, spend)

    async def callback(self, context: str, raw_query: str, browser: Secret | None) -> Returned | Dead:
        """The person is back from the provider.

        A state that is unknown, expired, used or another browser's leads nowhere, to one and the same answer; the
        browser that began only sees its attempt's page again. No such call reaches the provider. Raises `TooMany`.
        """
        callback = await self._read(context, raw_query, "query")
        return callback if isinstance(callback, Dead) else await self._answered(context, callback, browser)

    def takes_posts(self, context: str) -> bool:
        """Whether this provider's answers come as a form."""
        config = self._providers.get(context)
        return config is not None and config.description.response_mode == "form_post"

    async def posted(self, context: str, raw_body: str) -> Carried | Dead:
        """An answer as a form, from whatever browser: changes nothing, but to be brought to the one that began."""
        callback = await self._read(context, raw_body, "form_post")
        if isinstance(callback, Dead):
            return callback
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_state(connection, hash_of(callback.state))
            if row is not None and row.context == context:
                with suppress(SealBroken):  # shredded meanwhile: as good as unknown
                    return await carry(self._keeper, connection, _owner(row), row, callback)
            await _refused(connection, row, "callback_of_an_unknown_state")
        return Dead.UNKNOWN

    async def carried(self, context: str, attempt: AttemptId, sealed: str, browser: Secret | None) -> Returned | Dead:
        """The answer that came as a form, with its browser: from here on as `callback`."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
            if row is None:
                return Dead.UNKNOWN
            if row.context == context and _same_browser(row, browser) and not _awaited(row):
                return Returned(row.attempt)  # what it was sealed with may be gone by now
            try:
                callback = await arrive(self._keeper, connection, _owner(row), row, sealed)
            except SealBroken:
                await _refused(connection, row, "callback_of_a_broken_seal")
                return Dead.UNKNOWN
        return await self._answered(context, callback, browser)

    async def view(self, attempt: AttemptId, browser: Secret | None) -> Window:
        """The attempt's page, for the browser that began it."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        return to_the_window(row, self._providers[row.provider])

    async def again(self, attempt: AttemptId, browser: Secret) -> Begun | Dead:
        """Goes to the provider once more: with the open attempt, or with a new one for the same person and browser.

        Raises `TooMany` or `ProviderAway`.
        """
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        if not row.session_fresh:
            return Dead.EXPIRED
        self._gate.count(row.tenant, row.connector)
        if not (row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None):
            renewed = await self._renewed(row, browser)
            if isinstance(renewed, Dead):
                return renewed
            row = renewed
        id_ = row.attempt

        async def renew(connection: Connection, request: Request) -> bool:
            return await attempts.renew_request(connection, id_, request)

        return await self._go(row, browser, renew)

    async def give_up(self, attempt: AttemptId, browser: Secret) -> Window:
        """The person stops."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        await self._cancel(row, _person(row), Trace())
        return await self.view(attempt, browser)

    # How it is done.

    async def _read(self, context: str, raw: str, mode: str) -> Callback | Dead:
        """What came back, strictly; a bad one is on record."""
        config = self._providers.get(context)
        if config is None:
            return Dead.UNKNOWN
        try:
            if mode != config.description.response_mode:
                raise BadCallback("an answer in another mode than was asked for")
            callback = parse_callback(config.description, issuer_of(config), raw)
            check_signature(config, raw)
        except BadCallback as bad:
            await self._note_bad_callback(context, bad)
            return Dead.BAD_REQUEST
        return callback

    async def _answered(self, context: str, callback: Callback, browser: Secret | None) -> Returned | Dead:
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_state(connection, hash_of(callback.state))
            if (foreign := _foreign(row, context, browser)) is not None:
                await _refused(connection, row, f"callback_of_{foreign}")
                return Dead.NOT_THIS_BROWSER if foreign == "another_browser" else Dead.UNKNOWN
            assert row is not None
        self._gate.count(row.tenant, row.connector)
        if not _awaited(row):
            return Returned(row.attempt)
        if callback.code is not None:
            return await self._received(row, callback, callback.code)
        await self._refuse(row, callback.refusal or Reason.PROVIDER_REFUSED, _person(row))
        return Returned(row.attempt)

    async def _renewed(self, row: AttemptRow, browser: Secret) -> AttemptRow | Dead:
        await self._gate.check_openings(row.tenant, row.connector)
        id_ = AttemptId(uuid4())
        new = NewAttempt(
            person_id=row.person_id,
            person_name=row.person_name,
            return_url=row.return_url,
            browser_hash=hash_of(browser),
        )
        receipt = await self._engine.submit(
            Submission(input=StartReauth(connector=row.connector, attempt=id_), actor=_person(row), attachment=new)
        )
        if receipt.outcome is Outcome.REFUSED:
            return _DEAD_OF.get(str(receipt.why), Dead.UNKNOWN)
        async with self._pool.acquire() as connection:
            await attempts.carry_session(connection, id_, row.attempt)
            renewed = await attempts.attempt(connection, id_)
        assert renewed is not None
        return renewed

    async def _go(self, row: AttemptRow, browser: Secret | None, keep: _Keep) -> Begun | Dead:
        """Makes the authorization request that the browser goes with, and keeps what its answer is known by.

        Where the provider won't have it, the attempt has ended, and the browser goes to its page.
        """
        config = self._providers[row.provider]
        pinned = row.account.id if row.account else None
        made = authorization_request(config, self._redirect_uri(row.provider), pinned)
        address = await address_for(self._outbound, config, made)
        browser = browser or Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
            verifier = await self._keeper.seal(key, _owner(row), f"verifier.{row.attempt}", made.verifier)
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
                return Dead.USED
        if isinstance(address, Reason):
            await self._refuse(row, address, Actor(ActorKind.PROVIDER))
            address = f"/connect/attempts/{row.attempt}"
        return Begun(row.attempt, address, browser)

    async def _received(self, row: AttemptRow, callback: Callback, given: Secret) -> Returned:
        """A code came: it is redeemed, or, where it would pin a new account, kept until the host confirms."""
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
        sealed = await self._keeper.seal(key, _owner(row), f"code.{row.attempt}", given)
        if not self._by_the_host(row):
            code = ReceivedCode(sealed=sealed, data_key=key.id, claimed_account=callback.claimed_account)
            await self._submit_grant(row, code, _person(row), Trace())
            return Returned(row.attempt)
        token = Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            held = await attempts.hold_code(
                connection, row.attempt, sealed, key.id, callback.claimed_account, hash_of(token)
            )
        if not held or self._settings.completion_url is None:
            return Returned(row.attempt)
        query = f"?attempt_id={row.attempt}&completion_token={token.reveal()}"
        return Returned(row.attempt, Secret(self._settings.completion_url + query))

    async def _submit_grant(self, row: AttemptRow, code: ReceivedCode | None, actor: Actor, trace: Trace) -> Receipt:
        grant = GrantReceived(connector=row.connector, attempt=row.attempt)
        return await self._engine.submit(Submission(input=grant, actor=actor, attachment=code, trace=trace))

    async def _refuse(self, row: AttemptRow, reason: Reason, actor: Actor) -> None:
        refused = GrantRefused(connector=row.connector, attempt=row.attempt, reason=reason)
        await self._engine.submit(Submission(input=refused, actor=actor))

    async def _cancel(self, row: AttemptRow, actor: Actor, trace: Trace) -> Receipt:
        cancelled = Cancelled(connector=row.connector, attempt=row.attempt, step=row.step)
        return await self._engine.submit(Submission(input=cancelled, actor=actor, trace=trace))

    def _by_the_host(self, row: AttemptRow) -> bool:
        """Whether the host's backend has to complete it: a new account always (S9), others where the host demands."""
        return row.completion == "host" or self._settings.always_completed_by_the_host

    async def _note_bad_callback(self, context: str, bad: BadCallback) -> None:
        detail = orjson.dumps({"provider": context, "why": str(bad)}).decode()
        async with self._pool.acquire() as connection:
            await audit(connection, "callback_refused", None, None, "stranger", detail)

    def _redirect_uri(self, context: str) -> str:
        return redirect_uri(self._settings.public_url, context)


def redirect_uri(public_url: str, context: str) -> str:
    """The one redirect URI of a provider configuration (S11); nothing in a request can change it (S23)."""
    return f"{public_url}/oauth/callback/{context}"


_DEAD_OF: dict[str, Dead] = {
    Refused.LOGIN_DOES_NOT_HELP: Dead.LOGIN_DOES_NOT_HELP,
    Refused.VERIFICATION_RUNNING: Dead.VERIFICATION_RUNNING,
}


def _same_browser(row: AttemptRow, browser: Secret | None) -> bool:
    if row.browser_hash is None or browser is None:
        return False
    return hmac.compare_digest(row.browser_hash, hash_of(browser))


def _foreign(row: AttemptRow | None, context: str, browser: Secret | None) -> str | None:
    """Why a callback isn't the answer to this browser's request; `None` where it is."""
    if row is None:
        return "an_unknown_state"
    if row.context != context:
        return "another_provider"
    return None if _same_browser(row, browser) else "another_browser"


def _awaited(row: AttemptRow) -> bool:
    """Whether a callback for this attempt still means something."""
    return row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None and row.request_fresh


def _owner(row: AttemptRow) -> Owner:
    """The owner of a code or verifier: no account is proved yet."""
    return Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation))


def _person(row: AttemptRow) -> Actor:
    return Actor(ActorKind.PERSON, row.person_id)


async def _refused(connection: Connection, row: AttemptRow | None, what: str) -> None:
    tenant, connector = (row.tenant, row.connector) if row else (None, None)
    await audit(connection, what, tenant, connector, "stranger", "{}")
