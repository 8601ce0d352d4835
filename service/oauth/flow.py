"""The person's way: handoff, button, provider, callback, and the host's confirmation.

Nothing here decides about a connector: it finds the attempt, checks the browser, and hands inputs to the engine
(never while it holds a connection of the pool, which the engine needs, too). A GET changes nothing; a code is sealed
before anything else happens to it.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

from schemas import api
from schemas.ids import AttemptId, ConnectorId, Generation, TenantId
from schemas.lifecycle import ActorKind, Outcome, Refused, State
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.submission import Actor, NewAttempt, Receipt, ReceivedCode, Submission, Trace
from service.oauth.authorization import authorization_request, hash_of
from service.oauth.callback import BadCallback, Callback, parse_callback
from service.oauth.callback_signature import check_signature
from service.oauth.description import Providers
from service.oauth.keeper import Keeper, Owner
from service.oauth.shown import to_the_host, to_the_window
from service.oauth.window import Begun, Dead, Returned, WindowView
from service.store import attempts
from service.store.attempts import AttemptRow, Request
from service.store.credentials import audit
from service.store.pool import Connection, Pool
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
    """The host's address that gets the completion token of an attempt which pins a new account."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new attempt with its handoff."""

    attempt: api.Attempt


class UnregisteredReturnUrl(Exception):
    """The return address isn't one of the registered ones."""


Window: TypeAlias = WindowView | Dead


class Flow:
    """The steps that people and hosts take."""

    def __init__(
        self, engine: Engine, pool: Pool, keeper: Keeper, providers: Providers, settings: FlowSettings
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._settings = settings

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

        Raises `UnregisteredReturnUrl`.
        """
        if return_url is not None and return_url not in self._settings.return_urls:
            raise UnregisteredReturnUrl
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
        return to_the_host(row) if row else None

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
            if not right_token or row.person_id is None or not hmac.compare_digest(row.person_id, person_id):
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
        """The button: spends the handoff, and makes the authorization request that the browser is sent with."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_handoff(connection, hash_of(handoff))
            if row is None or not row.live:
                return Dead.UNKNOWN
            begun, request = await self._request(connection, row, browser)
            spent = await attempts.begin(connection, hash_of(handoff), request)
        return begun if spent else Dead.USED

    async def callback(self, context: str, raw_query: str, browser: Secret | None) -> Returned | Dead:
        """The person is back from the provider.

        A state that is unknown, expired, used or another browser's leads nowhere, to one and the same answer; the
        browser that began only sees its attempt's page again. No such call reaches the provider.
        """
        config = self._providers.get(context)
        if config is None:
            return Dead.UNKNOWN
        try:
            callback = parse_callback(config.description, raw_query)
            check_signature(config, raw_query)
        except BadCallback:
            return Dead.BAD_REQUEST
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_state(connection, hash_of(callback.state))
            if row is None or row.context != context:
                return Dead.UNKNOWN
            if not _same_browser(row, browser):
                await _refused(connection, row, "callback_of_another_browser")
                return Dead.NOT_THIS_BROWSER
        if not _awaited(row):
            return Returned(row.attempt)
        if callback.code is not None:
            return await self._received(row, callback, callback.code)
        reason = callback.refusal or Reason.PROVIDER_REFUSED
        await self._engine.submit(
            Submission(
                input=GrantRefused(connector=row.connector, attempt=row.attempt, reason=reason),
                actor=_person(row),
            )
        )
        return Returned(row.attempt)

    async def view(self, attempt: AttemptId, browser: Secret | None) -> Window:
        """The attempt's page, for the browser that began it."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        return to_the_window(row, self._providers[row.provider])

    async def again(self, attempt: AttemptId, browser: Secret) -> Begun | Dead:
        """Goes to the provider once more: with the open attempt, or with a new one for the same person and browser."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        if not row.session_fresh:
            return Dead.EXPIRED
        if not (row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None):
            renewed = await self._renewed(row, browser)
            if isinstance(renewed, Dead):
                return renewed
            row = renewed
        async with self._pool.acquire() as connection:
            begun, request = await self._request(connection, row, browser)
            return begun if await attempts.renew_request(connection, row.attempt, request) else Dead.USED

    async def give_up(self, attempt: AttemptId, browser: Secret) -> Window:
        """The person stops."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
        if row is None or not _same_browser(row, browser):
            return Dead.UNKNOWN
        await self._cancel(row, _person(row), Trace())
        return await self.view(attempt, browser)

    # How it is done.

    async def _renewed(self, row: AttemptRow, browser: Secret) -> AttemptRow | Dead:
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
            renewed = await attempts.attempt(connection, id_)
        assert renewed is not None
        return renewed

    async def _request(self, connection: Connection, row: AttemptRow, browser: Secret | None) -> tuple[Begun, Request]:
        config = self._providers[row.provider]
        pinned = row.account.id if row.account else None
        made = authorization_request(config, self._redirect_uri(row.provider), pinned)
        browser = browser or Secret(secrets.token_urlsafe(32))
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
        return Begun(row.attempt, made.url, browser), request

    async def _received(self, row: AttemptRow, callback: Callback, given: Secret) -> Returned:
        """A code came: it is redeemed, or, where it would pin a new account, kept until the host confirms."""
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
        sealed = await self._keeper.seal(key, _owner(row), f"code.{row.attempt}", given)
        if row.completion == "browser":
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

    async def _cancel(self, row: AttemptRow, actor: Actor, trace: Trace) -> Receipt:
        cancelled = Cancelled(connector=row.connector, attempt=row.attempt, step=row.step)
        return await self._engine.submit(Submission(input=cancelled, actor=actor, trace=trace))

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


def _awaited(row: AttemptRow) -> bool:
    """Whether a callback for this attempt still means something."""
    return row.live and row.state is State.AWAITING_AUTH and row.code_sealed is None and row.request_fresh


def _owner(row: AttemptRow) -> Owner:
    """The owner of a code or verifier: no account is proved yet."""
    return Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation))


def _person(row: AttemptRow) -> Actor:
    return Actor(ActorKind.PERSON, row.person_id)


async def _refused(connection: Connection, row: AttemptRow, what: str) -> None:
    await audit(connection, what, row.tenant, row.connector, "stranger", "{}")
