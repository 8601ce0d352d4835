"""The sharing job: one sign-in repairs the tenant's other failed connectors of its account that need no wider scope.

A job for each of them. It copies the grant, sealed for that connector, and hands it in; the lifecycle decides. Until
then, and if it decides otherwise, nothing of the connector was touched. A copy that isn't taken is retired.
"""

import re
from datetime import timedelta

from schemas.ids import Generation
from schemas.lifecycle import ActorKind, State
from schemas.secret import Secret
from service.engine.submission import Actor, Door, JobLease, Submission
from service.oauth.description import ProviderConfig, Providers
from service.oauth.keeper import Access, Keeper, Owner, found_broken, owner_of
from service.oauth.refresh import ENDED
from service.oauth.verify import trace_of
from service.store import attempts, credentials, sharing
from service.store.attempts import AttemptRow
from service.store.credentials import CredentialRow
from service.store.due import Job, postpone
from service.store.pool import Connection, Pool
from service.store.sharing import Copied
from service.vault.keys import SealBroken
from statemachine.connector import Account
from statemachine.inputs import GrantShared

SOON = timedelta(milliseconds=200)
"""When it is tried again where somebody was refreshing the grant, or anything else had changed since it was read."""
_SHARING = Access("regrant", "share")


class Sharer:
    """Runs jobs of the kind `share`: each is of a connector that failed, and of the attempt that may repair it."""

    def __init__(self, engine: Door, pool: Pool, keeper: Keeper, providers: Providers) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers

    async def run(self, job: Job) -> None:
        """Runs one job to its result. Raises `LeaseLost` when somebody else has taken the job over."""
        assert job.attempt is not None
        async with self._pool.acquire() as connection:
            attempt = await attempts.attempt(connection, job.attempt)
            brought = await sharing.brought(connection, job.attempt)
            copy = await credentials.candidate(connection, job.pk, job.attempt)
            other = await credentials.current(connection, job.pk)
            if attempt is None or self._is_in_vain(brought, copy, other):
                await sharing.give_up(connection, job)
                return
        if copy is None:
            assert brought is not None and other is not None
            copy = await self._copied(job, brought, other)
        if copy is None:
            async with self._pool.acquire() as connection:
                await postpone(connection, job, SOON)
            return
        await self._hand_in(job, attempt, copy, brought.account_name if brought else copy.account_name)

    def _is_in_vain(
        self, brought: CredentialRow | None, copy: CredentialRow | None, other: CredentialRow | None
    ) -> bool:
        """Whether nothing comes of it. A copy that was made is handed in, unless the grant has died since."""
        if brought is None or other is None:
            return copy is None
        return brought.wants_login or (copy is None and not self._is_for(brought, other))

    def _is_for(self, brought: CredentialRow, other: CredentialRow) -> bool:
        """Whether the grant is what the other connector waits for."""
        config = self._providers[brought.provider]
        same = (brought.tenant, brought.provider, brought.account_id) == (
            other.tenant,
            other.provider,
            other.account_id,
        )
        waits = other.state is State.FAILED and other.wants_login
        return config.accounts_may_repeat and same and waits and _scopes(config, other) <= _scopes(config, brought)

    async def _copied(self, job: Job, brought: CredentialRow, other: CredentialRow) -> CredentialRow | None:
        """The grant as the other connector's candidate; `None` where it isn't now what it was when it was read."""
        owner = Owner(other.pk, other.tenant, other.connector, brought.account_id, Generation(other.newest + 1))
        try:
            async with self._pool.acquire() as connection:
                tokens = await self._opened(connection, brought)
        except SealBroken as broken:
            await found_broken(self._engine, self._pool, brought, broken)
            return None
        async with self._pool.acquire() as connection:
            key = await self._keeper.key_of(connection, other.pk)
            sealed = {kind: await self._keeper.seal(key, owner, kind, token) for kind, token in tokens.items()}
            access, refresh, previous = (sealed.get(kind) for kind in _kinds(brought))
            assert access is not None
            copied = Copied(key, access, refresh, previous)
            if not await sharing.copy(connection, job, brought, other, copied, ENDED):
                return None
            return await credentials.candidate(connection, other.pk, brought.attempt)

    async def _opened(self, connection: Connection, brought: CredentialRow) -> dict[str, Secret]:
        """What the grant is made of, by kind."""
        sealed = (brought.access_sealed, brought.refresh_sealed, brought.previous_sealed)
        owner, opened = owner_of(brought), {}
        key = await self._keeper.stored_key(connection, brought.data_key)
        for kind, value in zip(_kinds(brought), sealed, strict=True):
            if value is not None:
                opened[kind] = await self._keeper.opened(connection, key, owner, kind, value, _SHARING)
        return opened

    async def _hand_in(self, job: Job, attempt: AttemptRow, copy: CredentialRow, account_name: str) -> None:
        person = attempt.person_id
        await self._engine.submit(
            Submission(
                input=GrantShared(
                    connector=copy.connector,
                    attempt=copy.attempt,
                    account=Account(copy.account_id, account_name),
                    generation=Generation(copy.generation - 1),
                ),
                actor=Actor(ActorKind.PERSON, person) if person else Actor(ActorKind.REGRANT, "share"),
                lease=JobLease(job.id, str(job.lease)),
                trace=trace_of(job),
            )
        )


def _kinds(row: CredentialRow) -> tuple[str, str, str]:
    """What the seals of a credential are of: its two tokens, and the former refresh token."""
    return f"access_token.{row.rotation}", f"refresh_token.{row.rotation}", f"refresh_token.{row.rotation - 1}"


def _scopes(config: ProviderConfig, row: CredentialRow) -> set[str]:
    """What a credential is good for. No scope in the answer means that all came that was asked for (RFC 6749 5.1)."""
    return set(re.findall(r"[^ ,]+", row.scope)) or set(config.scopes)
