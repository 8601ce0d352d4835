"""The way back: a callback finds its attempt, its browser is checked, and its code is redeemed, or held for the host.

Nothing here decides about a connector: it hands inputs to the engine, never while it holds a connection of the pool,
which the engine needs, too. A code is sealed before anything else happens to it.
"""

import hmac
import secrets
from contextlib import suppress

import orjson

from schemas.ids import AttemptId, TenantId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.submission import Actor, Receipt, ReceivedCode, Submission, Trace
from service.oauth.authorization import hash_of
from service.oauth.callback import BadCallback, Callback, issuer_of, parse_callback
from service.oauth.callback_signature import check_signature
from service.oauth.description import Providers
from service.oauth.flow_settings import FlowSettings
from service.oauth.form_post import Carried, arrive, carry
from service.oauth.keeper import Keeper
from service.oauth.limits import Gate
from service.oauth.standing import awaited, foreign, owner_of_attempt, person_of, same_browser
from service.oauth.window import Dead, Returned
from service.store import attempts
from service.store.attempts import AttemptRow
from service.store.credentials import audit
from service.store.pool import Connection, Pool
from service.vault.keys import SealBroken
from statemachine.inputs import GrantReceived, GrantRefused


class Returning:
    """What happens from the provider's answer on. `Flow` is this with the way there."""

    def __init__(
        self, engine: Engine, pool: Pool, keeper: Keeper, providers: Providers, settings: FlowSettings
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._settings = settings
        self._gate = Gate(pool, settings.limits)

    # The provider's answer, by the person's browser.

    async def callback(self, context: str, raw_query: str, browser: Secret | None) -> Returned | Dead:
        """The person is back from the provider.

        A state that is unknown, expired, used or another browser's leads nowhere, to one and the same answer; the
        browser that began only sees its attempt's page again. No such call reaches the provider. Raises `TooMany`.
        """
        callback = await self._read(context, raw_query, "query")
        return callback if isinstance(callback, Dead) else await self._answered(context, callback, browser)

    async def newest(self, context: str, browser: Secret) -> AttemptId | None:
        """The newest attempt that this browser began there: where it is led that brings an answer of an older one."""
        async with self._pool.acquire() as connection:
            return await attempts.attempt_of_browser(connection, hash_of(browser), context)

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
                    return await carry(self._keeper, connection, owner_of_attempt(row), row, callback)
            await _refused(connection, row, "callback_of_an_unknown_state")
        return Dead.UNKNOWN

    async def carried(self, context: str, attempt: AttemptId, sealed: str, browser: Secret | None) -> Returned | Dead:
        """The answer that came as a form, with its browser: from here on as `callback`."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, attempt)
            if row is None:
                return Dead.UNKNOWN
            if row.context == context and same_browser(row, browser) and not awaited(row):
                return Returned(row.attempt)  # what it was sealed with may be gone by now
            try:
                callback = await arrive(self._keeper, connection, owner_of_attempt(row), row, sealed)
            except SealBroken:
                await _refused(connection, row, "callback_of_a_broken_seal")
                return Dead.UNKNOWN
        return await self._answered(context, callback, browser)

    # The host's word.

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
            if (why := foreign(row, context, browser)) is not None:
                await _refused(connection, row, f"callback_of_{why}")
                return Dead.NOT_THIS_BROWSER if why == "another_browser" else Dead.UNKNOWN
            assert row is not None
        self._gate.count(row.tenant, row.connector)
        if not awaited(row):
            return Returned(row.attempt)
        if callback.code is not None:
            return await self._received(row, callback, callback.code)
        await self._refuse(row, callback.refusal or Reason.PROVIDER_REFUSED, person_of(row))
        return Returned(row.attempt)

    async def _received(self, row: AttemptRow, callback: Callback, given: Secret) -> Returned:
        """A code came: it is redeemed, or, where it would pin a new account, kept until the host confirms."""
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
        sealed = await self._keeper.seal(key, owner_of_attempt(row), f"code.{row.attempt}", given)
        if not self._by_the_host(row):
            code = ReceivedCode(sealed=sealed, data_key=key.id, claimed_account=callback.claimed_account)
            await self._submit_grant(row, code, person_of(row), Trace())
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

    def _by_the_host(self, row: AttemptRow) -> bool:
        """Whether the host's backend has to complete it: a new account always (S9), others where the host demands."""
        return row.completion == "host" or self._settings.always_completed_by_the_host

    async def _note_bad_callback(self, context: str, bad: BadCallback) -> None:
        detail = orjson.dumps({"provider": context, "why": str(bad)}).decode()
        async with self._pool.acquire() as connection:
            await audit(connection, "callback_refused", None, None, "stranger", detail)


async def _refused(connection: Connection, row: AttemptRow | None, what: str) -> None:
    tenant, connector = (row.tenant, row.connector) if row else (None, None)
    await audit(connection, what, tenant, connector, "stranger", "{}")
