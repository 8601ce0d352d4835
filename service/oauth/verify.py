"""The verification job: exchanges the code at most once, checks whose grant it is, and hands the result in.

Each step is durable before the next: a crash anywhere leaves a job that another process takes over, and the one thing
that can't be known (whether a code that was sent was redeemed) ends the attempt with `exchange_interrupted`.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import orjson
import structlog

from schemas.ids import Generation
from schemas.lifecycle import ActorKind, State, Step
from schemas.reasons import Reason
from schemas.records import Evidence
from service.engine.door import Engine
from service.engine.submission import Actor, JobLease, LeaseLost, Submission, Trace
from service.oauth import grant as oauth
from service.oauth.description import ProviderConfig, Providers
from service.oauth.flow import redirect_uri
from service.oauth.grant import Grant, Refusal, Unavailable
from service.oauth.keeper import Access, Keeper, Owner, owner_of
from service.oauth.outbound import Outbound
from service.oauth.verification import Rejection, VerifiedAccount, verify
from service.store import attempts, credentials, imports
from service.store.attempts import AttemptRow
from service.store.credentials import CredentialRow, Lifetimes
from service.store.due import Job, finish
from service.store.pool import Pool
from service.telemetry import metrics
from service.vault.keys import SealBroken
from statemachine.connector import Account
from statemachine.inputs import Input, ProviderUnavailable, Rejected, Verified

log = structlog.get_logger()

_EXCHANGING, _CHECKING = Access("regrant", "exchange"), Access("regrant", "check")

SHORTEST = timedelta(minutes=1)
"""An imported access token that is over sooner is refreshed before it is used for the checks."""


class Verifier:
    """Runs jobs of the kind `verify`."""

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        keeper: Keeper,
        providers: Providers,
        outbound: Outbound,
        public_url: str,
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound
        self._public_url = public_url

    async def run(self, job: Job) -> None:
        """Runs one job to its result. Raises `LeaseLost` when somebody else has taken the job over."""
        assert job.attempt is not None
        async with self._pool.acquire() as connection:
            row = await attempts.attempt(connection, job.attempt)
            if row is None or not row.live or row.state is not State.VERIFYING:
                await finish(connection, job)
                return
            stored = await credentials.candidate(connection, row.pk, row.attempt)
        config = self._providers[row.provider]
        try:
            if stored is None:
                exchanged = await self._exchange(job, row, config)
                if exchanged is None:
                    return
                stored, grant = exchanged
            else:
                grant = await self._opened(stored)
                if stored.borrowed and stored.access_left < SHORTEST:
                    renewed = await self._renewed(job, row, config, stored, grant)
                    if renewed is None:
                        return
                    grant = renewed
            await self._check(job, row, config, stored, grant)
        except SealBroken as broken:
            metrics.SEALED_ROWS.labels("broken").inc()
            log.error("vault_integrity", connector=row.connector, attempt=str(row.attempt), found=str(broken))
            await self._reject(job, row, Reason.VAULT_INTEGRITY, row.step)

    async def _exchange(self, job: Job, row: AttemptRow, config: ProviderConfig) -> tuple[CredentialRow, Grant] | None:
        """The grant, stored; `None` when the result is handed in already."""
        if row.exchange_begun_at is not None:
            # Whoever began it is gone, and nothing was stored: whether the code was redeemed can't be known.
            await self._reject(job, row, Reason.EXCHANGE_INTERRUPTED, Step.RETURNED)
            return None
        if row.data_key is None or row.code_sealed is None or row.verifier_sealed is None:
            raise SealBroken("the code or its verifier was shredded")
        owner = Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation))
        open_ = self._keeper.opened
        async with self._pool.acquire() as connection:
            # Opened first: a key that isn't there now must not cost the one exchange.
            key = await self._keeper.stored_key(connection, row.data_key)
            code = await open_(connection, key, owner, f"code.{row.attempt}", row.code_sealed, _EXCHANGING)
            verifier = await open_(connection, key, owner, f"verifier.{row.attempt}", row.verifier_sealed, _EXCHANGING)
            if not await attempts.begin_exchange(connection, row.attempt, job.id, job.lease):
                raise LeaseLost
        uri = redirect_uri(self._public_url, row.provider)
        match await oauth.exchange(
            self._outbound, config, code=code, verifier=verifier, redirect_uri=uri, account=row.claimed_account
        ):
            case Grant() as grant:
                return await self._store(job, row, config, grant), grant
            case Unavailable(sent=False) as unavailable:
                async with self._pool.acquire() as connection:
                    await attempts.undo_exchange(connection, row.attempt)
                await self._wait(job, row, unavailable)
            case Unavailable() as unavailable:
                evidence = Evidence(at="token", status=unavailable.status, request_id=unavailable.request_id)
                await self._reject(job, row, Reason.EXCHANGE_INTERRUPTED, Step.RETURNED, evidence=evidence)
            case Refusal() as refusal:
                reason = refusal.reason if refusal.reason is Reason.CLIENT_REJECTED else Reason.CODE_REFUSED
                await self._reject(job, row, reason, Step.RETURNED, evidence=refusal.evidence)
        return None

    async def _store(self, job: Job, row: AttemptRow, config: ProviderConfig, grant: Grant) -> CredentialRow:
        """Keeps the new grant sealed beside the old one, as the attempt's candidate."""
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, row.pk)
            owner = Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation + 1))
            access = await self._keeper.seal(key, owner, "access_token.0", grant.access_token)
            refresh = (
                await self._keeper.seal(key, owner, "refresh_token.0", grant.refresh_token)
                if grant.refresh_token
                else None
            )
            kept = await credentials.add_candidate(
                connection,
                pk=row.pk,
                generation=owner.generation,
                attempt=row.attempt,
                key=key,
                access_sealed=access,
                refresh_sealed=refresh,
                lifetimes=lifetimes_of(grant, config),
                scope=grant.scope or "",
                job=job.id,
                lease=job.lease,
            )
            if not kept:
                raise LeaseLost
            await attempts.set_step(connection, row.attempt, Step.EXCHANGED)
            stored = await credentials.candidate(connection, row.pk, row.attempt)
        assert stored is not None
        return stored

    async def _opened(self, stored: CredentialRow) -> Grant:
        owner = owner_of(stored)
        open_ = self._keeper.opened
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, stored.data_key)
            access = await open_(connection, key, owner, "access_token.0", stored.access_sealed, _CHECKING)
            refresh = None
            if stored.refresh_sealed is not None:
                refresh = await open_(connection, key, owner, "refresh_token.0", stored.refresh_sealed, _CHECKING)
        return Grant(access_token=access, refresh_token=refresh, scope=stored.scope or None)

    async def _renewed(
        self, job: Job, row: AttemptRow, config: ProviderConfig, stored: CredentialRow, grant: Grant
    ) -> Grant | None:
        """An imported grant with an access token that works, stored before it is used; `None`: handed in already."""
        assert grant.refresh_token is not None
        account = row.account.id if row.account else row.claimed_account
        match await oauth.refresh(self._outbound, config, grant.refresh_token, account):
            case Unavailable() as unavailable:
                await self._wait(job, row, unavailable)
            case Refusal() as refusal:
                await self._reject(job, row, refusal.reason, Step.RETURNED, evidence=refusal.evidence)
            case Grant() as came:
                owner, kept = owner_of(stored), came.refresh_token or grant.refresh_token
                async with self._pool.acquire() as connection:
                    key = await self._keeper.stored_key(connection, stored.data_key)
                    access = await self._keeper.seal(key, owner, "access_token.0", came.access_token)
                    refresh = await self._keeper.seal(key, owner, "refresh_token.0", kept)
                    lifetimes = refreshed_lifetimes_of(came, config)
                    await imports.renew_borrowed(connection, stored, access, refresh, lifetimes)
                return Grant(came.access_token, kept, scope=came.scope or grant.scope)
        return None

    async def _check(
        self, job: Job, row: AttemptRow, config: ProviderConfig, stored: CredentialRow, grant: Grant
    ) -> None:
        expected = row.account
        result = await verify(
            self._outbound,
            config,
            grant,
            expected=expected,
            claimed=row.claimed_account,
            nonce=row.nonce,
            reached=partial(self._reached, row),
        )
        match result:
            case VerifiedAccount(account, granted_by):
                if await self._prove(row, stored, grant, account.id, granted_by) and not config.accounts_may_repeat:
                    await self._reject(job, row, Reason.ACCOUNT_TAKEN, Step.EXCHANGED, seen=account)
                    return
                await self._hand_in(job, row, Verified(connector=row.connector, attempt=row.attempt, account=account))
            case Rejection() as rejection:
                if rejection.seen is not None:
                    await self._prove(row, stored, grant, rejection.seen.id, None)
                await self._reject(
                    job, row, rejection.reason, rejection.step, seen=rejection.seen, evidence=rejection.evidence
                )
            case Unavailable() as unavailable:
                await self._wait(job, row, unavailable)

    async def _reached(self, row: AttemptRow, step: Step) -> None:
        """Lets the person's window follow the checks."""
        async with self._pool.acquire() as connection:
            await attempts.set_step(connection, row.attempt, step)

    async def _prove(
        self, row: AttemptRow, stored: CredentialRow, grant: Grant, account: str, granted_by: str | None
    ) -> bool:
        """Seals the grant anew, now that it is known whose it is.

        Returns whether another connector of the tenant is active on that account (S17).
        """
        owner = replace(owner_of(stored), account=account)
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, stored.data_key)
        access = await self._keeper.seal(key, owner, "access_token.0", grant.access_token)
        refresh = (
            await self._keeper.seal(key, owner, "refresh_token.0", grant.refresh_token) if grant.refresh_token else None
        )
        async with self._pool.acquire() as connection, connection.transaction():
            taken = await attempts.account_taken(connection, row, account)
            await credentials.prove_candidate(connection, stored, account, access, refresh, granted_by)
        return taken

    # Handing in.

    async def _reject(
        self,
        job: Job,
        row: AttemptRow,
        reason: Reason,
        step: Step,
        *,
        seen: Account | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        rejected = Rejected(connector=row.connector, attempt=row.attempt, reason=reason, step=step, seen=seen)
        await self._hand_in(job, row, rejected, evidence)

    async def _wait(self, job: Job, row: AttemptRow, unavailable: Unavailable) -> None:
        waiting = ProviderUnavailable(
            connector=row.connector,
            attempt=row.attempt,
            reason=unavailable.reason,
            retry_after=unavailable.retry_after,
        )
        evidence = Evidence(at="network", status=unavailable.status, request_id=unavailable.request_id)
        await self._hand_in(job, row, waiting, evidence)

    async def _hand_in(self, job: Job, row: AttemptRow, input_: Input, evidence: Evidence | None = None) -> None:
        await self._engine.submit(
            Submission(
                input=input_,
                actor=Actor(ActorKind.PROVIDER, row.provider),
                evidence=evidence,
                lease=JobLease(job.id, str(job.lease)),
                trace=trace_of(job),
            )
        )


def trace_of(job: Job) -> Trace:
    """What the job's cause passed on."""
    kept = orjson.loads(job.trace) if job.trace else {}
    return Trace(kept.get("correlationid"), kept.get("causationid"), kept.get("traceparent"))


def lifetimes_of(grant: Grant, config: ProviderConfig) -> Lifetimes:
    """How long a new grant is good for: as the answer says, else as the provider's description does."""
    known = config.description.lifetimes
    return Lifetimes(
        access=grant.access_expires_in or known.access,
        refresh=grant.refresh_expires_in or known.refresh_idle,
        hard=grant.hard_expires_in or known.refresh_hard,
        refresh_estimated=grant.refresh_expires_in is None,
        hard_estimated=grant.hard_expires_in is None,
        announced_end=known.announced_end,
    )


def refreshed_lifetimes_of(grant: Grant, config: ProviderConfig) -> Lifetimes:
    """How long a refreshed grant is good for. A hard end counts from the consent: a refresh moves none by itself."""
    return replace(lifetimes_of(grant, config), hard=grant.hard_expires_in)
