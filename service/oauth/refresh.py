"""Refreshing: one at a time for a grant over all replicas, stored before it is used, and ahead of time.

A grant that several connectors hold is refreshed once for all of them, and a dead verdict reaches each.

`invalid_grant` is ambiguous (S32): it kills a connector only if the stored credential is still the one that was sent.
What no client can close (S33) is the moment between the provider's answer and our commit: a process that dies there
takes the rotated token with it. Then what is stored is sent once more, which a provider with a replay grace answers;
else a person is asked. An interrupted refresh leaves its lease behind, so it is known, and counted by the audit.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

import orjson
import structlog

from schemas.lifecycle import ActorKind, Ignored
from schemas.reasons import LOGIN_MENDS, Reason
from schemas.records import Evidence
from schemas.secret import Secret
from service.engine.submission import Actor, Door, Receipt, Submission
from service.oauth import grant as oauth
from service.oauth.circuit import Circuit
from service.oauth.description import ProviderConfig, Providers
from service.oauth.grant import Grant, Refusal, Unavailable
from service.oauth.holders import Holder, Holders
from service.oauth.keeper import Access, Keeper, found_broken, owner_of
from service.oauth.outbound import Outbound
from service.oauth.verify import refreshed_lifetimes_of
from service.store import credentials, refreshes
from service.store.credentials import CredentialRow, DataKey
from service.store.pool import TRANSIENT, Connection, Pool
from service.store.refreshes import RefreshLease
from service.telemetry import metrics
from service.vault.keys import NoKey, SealBroken
from statemachine.inputs import RefreshRejected

log = structlog.get_logger()

REFRESH_LEASE = timedelta(seconds=15)
"""A call takes 10 s at most, a wait for a late holder a quarter of this: who holds it for longer is dead or asleep."""
WAIT = timedelta(seconds=15)
"""How long to wait for a turn, or for somebody else's refresh."""
POLL_S = 0.1
AT_ONCE = 32
"""Token requests under way to one provider: a wave of askers after an outage stands in line here."""
TICK_S = 1.0
STORE_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0, 10.0)
"""How often, and for how long, a database that is away is waited for with a new token in hand."""

_PASSES: tuple[type[BaseException], ...] = (NoKey, *TRANSIENT)

ENDED: Sequence[str] = LOGIN_MENDS
"""A dead verdict stops every further call, also while somebody is on their way to sign in."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a credential is refreshed. Who joins a refresh that is under way gets what that one was begun for."""

    access: Access
    """What the audit keeps of the refresh token's opening."""
    instead: Mapping[Reason, Reason] = field(default_factory=dict)
    """What a refusal means where the cause tells more than the provider's answer."""
    ended: Sequence[str] = ENDED
    """The reasons that stop it."""


NEEDED = Cause(Access("regrant", "refresh"))
"""Somebody waits for a token, or will soon."""


class NoToken(Enum):
    """Why there is no token to be had."""

    NOT_CONNECTED = "not_connected"
    NEEDS_REAUTHORISATION = "needs_reauthorisation"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    CLIENT_REJECTED = "client_rejected"


@dataclass(frozen=True, slots=True)
class Denied:
    """No token, and when to ask again."""

    why: NoToken
    reason: Reason | None = None
    retry_after: timedelta | None = None


LATER = Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.PROVIDER_UNAVAILABLE, timedelta(seconds=5))


class Refresher:
    """Refreshes credentials, for who waits and ahead of time."""

    def __init__(self, engine: Door, pool: Pool, keeper: Keeper, providers: Providers, outbound: Outbound) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound
        self._holders = Holders(engine, pool, keeper)
        self._flights: dict[tuple[int, int], asyncio.Task[Denied | None]] = {}
        self._circuits: dict[str, Circuit] = defaultdict(Circuit)
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._ending = False

    async def newer(self, row: CredentialRow, cause: Cause = NEEDED) -> Denied | None:
        """Sees to it that there is something newer than this; `None`: read again. Who asks meanwhile gets the same."""
        flight = self._flight(row, cause)
        try:
            async with asyncio.timeout(WAIT.total_seconds()):
                return await asyncio.shield(flight)
        except TimeoutError:
            return LATER

    async def broken(self, row: CredentialRow, broken: SealBroken) -> Denied:
        """What is stored isn't what was sealed: the connector fails, and the provider isn't asked (S34)."""
        await found_broken(self._engine, self._pool, row, broken)
        return Denied(NoToken.NEEDS_REAUTHORISATION, Reason.VAULT_INTEGRITY)

    async def run(self, *, ahead: bool) -> None:
        """Refreshes what is due until cancelled, where `ahead`; then lets the refreshes under way end."""
        try:
            while True:
                if ahead:
                    await self._take_due()
                await asyncio.sleep(TICK_S)
        finally:  # a rotated token that isn't stored is a grant that is lost
            self._ending = True
            await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def _take_due(self) -> None:
        room = AT_ONCE - len(self._flights)
        if room <= 0:
            return
        try:
            async with self._pool.acquire() as connection:
                due = await refreshes.take_due(connection, room, ENDED)
        except TRANSIENT as error:
            log.warning("refreshes_wait", error=type(error).__name__)
            return
        for row in due:
            if row.provider in self._providers and self._circuits[row.provider].pause() is None:
                self._flight(row)

    def _flight(self, row: CredentialRow, cause: Cause = NEEDED) -> "asyncio.Task[Denied | None]":
        """This process's one refresh of a credential. It goes on when nobody waits for it any more."""
        which = (row.id, row.rotation)
        flight = self._flights.get(which)
        if flight is None:
            flight = self._flights[which] = asyncio.create_task(self._fly(row, cause), name=f"refresh-{row.id}")
            flight.add_done_callback(lambda _: self._landed(which))
        return flight

    def _landed(self, which: tuple[int, int]) -> None:
        flight = self._flights.pop(which)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            log.warning("refresh_failed", error=type(error).__name__)

    async def _fly(self, row: CredentialRow, cause: Cause) -> Denied | None:
        config = self._providers[row.provider]
        give_up = asyncio.get_running_loop().time() + WAIT.total_seconds()
        async with self._turns[row.provider]:
            while not self._ending:
                if (pause := self._circuits[row.provider].pause()) is not None:
                    return Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.PROVIDER_UNAVAILABLE, pause)
                async with self._pool.acquire() as connection:
                    lease = await refreshes.lease_refresh(connection, row, REFRESH_LEASE, cause.ended)
                    if lease is None and not await refreshes.unchanged(connection, row, cause.ended):
                        return None
                    left_behind = lease is None and await refreshes.left_behind(connection, row)
                if left_behind:
                    return await self.broken(row, SealBroken(f"{row.connector} missed a rotation of its grant"))
                if lease is not None:
                    return await self._refresh(row, lease, config, cause)
                if asyncio.get_running_loop().time() > give_up:
                    return LATER
                await asyncio.sleep(POLL_S)  # another replica refreshes: its result is ours, too
        return LATER

    async def _refresh(
        self, row: CredentialRow, lease: RefreshLease, config: ProviderConfig, cause: Cause
    ) -> Denied | None:
        """Refreshes under the lease, which ends with what is stored, or is given back."""
        try:
            return await self._refreshed(row, lease, config, cause)
        except SealBroken as broken:
            return await self.broken(row, broken)
        finally:
            try:
                async with self._pool.acquire() as connection:
                    await refreshes.release_refresh(connection, row, lease.token)
            except TRANSIENT as error:
                log.warning("refresh_left_to_its_lease", connector=row.connector, error=type(error).__name__)

    async def _refreshed(
        self, row: CredentialRow, lease: RefreshLease, config: ProviderConfig, cause: Cause
    ) -> Denied | None:
        actor = Actor(ActorKind.PROVIDER, row.provider)
        if row.refresh_sealed is None:
            return await self._reject(row, lease, Reason.TOKEN_REFUSED, actor)
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, row.data_key)
            kind = f"refresh_token.{row.rotation}"
            sent = await self._keeper.opened(connection, key, owner_of(row), kind, row.refresh_sealed, cause.access)
            if lease.interrupted:
                await _audit(connection, row, "refresh_taken_over")
        others = await self._holders.usable(one for one in lease.holders if one.id != row.id)  # before anything is sent
        holders = [Holder(mine, key) for mine in lease.holders if mine.id == row.id] + others
        result = await self._ask(config, row, sent)
        if isinstance(result, Refusal):
            former = await self._former(row, key, config, result, sent, cause)
            if former is not None:
                log.warning("former_refresh_token_tried", connector=row.connector, rotation=row.rotation)
                sent, result = former, await self._ask(config, row, former)
        match result:
            case Grant() as grant:
                await self._store(row, lease, holders, config, grant, sent)
                return None
            case Refusal() as refusal:
                if lease.interrupted:
                    await self._settled(row)
                reason = cause.instead.get(refusal.reason, refusal.reason)
                denied = await self._reject(row, lease, reason, actor, refusal.evidence)
                if denied is not None and lease.interrupted and reason.offers_login:
                    await self._tell_lost(row)
                return denied
            case Unavailable() as unavailable:
                pause = unavailable.retry_after or self._circuits[row.provider].pause() or timedelta(seconds=5)
                return Denied(NoToken.PROVIDER_UNAVAILABLE, unavailable.reason, pause)
            case timedelta() as pause:
                return Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.PROVIDER_UNAVAILABLE, pause)

    async def _ask(
        self, config: ProviderConfig, row: CredentialRow, token: Secret
    ) -> Grant | Refusal | Unavailable | timedelta:
        """One token request; how long to wait where the circuit allows none."""
        circuit = self._circuits[config.description.id]
        turn = circuit.enter()
        if isinstance(turn, timedelta):
            return turn
        result = await oauth.refresh(self._outbound, config, token, row.account_id or None)
        match result:
            case Unavailable(reason=Reason.RATE_LIMITED):
                circuit.limited(turn, result.retry_after)
            case Unavailable():
                circuit.failed(turn, result.retry_after)
            case _:
                circuit.answered(turn)
        metrics.CIRCUIT_OPEN.labels(config.description.id).set(not circuit.is_closed)
        if not circuit.is_closed:
            log.warning("circuit_open", provider=config.description.id, pause=circuit.pause())
        return result

    async def _former(
        self, row: CredentialRow, key: DataKey, config: ProviderConfig, refusal: Refusal, sent: Secret, cause: Cause
    ) -> Secret | None:
        """The refresh token before the one that was refused, where the provider may still take it (S33)."""
        is_late = row.since_refresh > config.description.replay_grace
        if not refusal.reason.offers_login or is_late or row.previous_sealed is None:
            return None
        kind = f"refresh_token.{row.rotation - 1}"
        async with self._pool.acquire() as connection:
            former = await self._keeper.opened(connection, key, owner_of(row), kind, row.previous_sealed, cause.access)
        return former if former != sent else None

    async def _store(
        self,
        row: CredentialRow,
        lease: RefreshLease,
        holders: Sequence[Holder],
        config: ProviderConfig,
        grant: Grant,
        sent: Secret,
    ) -> None:
        """Keeps what came, before anybody gets it. A grant is at stake, so a database that is away is waited for."""
        came = time.monotonic()
        for pause in STORE_PAUSES_S:
            try:
                if await self._stored(lease, holders, config, grant, sent):
                    window_ms = round((time.monotonic() - came) * 1000, 1)
                    log.info("refreshed", connector=row.connector, rotation=row.rotation + 1, window_ms=window_ms)
                    return
                async with self._pool.acquire() as connection:
                    rows = await refreshes.holders(connection, row, lease.token)
                # A former holder of the lease has stored what it got, or one more credential holds the grant by now.
                holders = await self._holders.usable(rows)
            except _PASSES as error:
                log.warning("refreshed_waits_for_the_database", connector=row.connector, error=type(error).__name__)
                await asyncio.sleep(pause)
                continue
            if not holders:
                log.warning("refreshed_too_late", connector=row.connector, rotation=row.rotation + 1)
                return
        log.error("refreshed_and_not_stored", connector=row.connector, rotation=row.rotation + 1)

    async def _stored(
        self, lease: RefreshLease, holders: Sequence[Holder], config: ProviderConfig, grant: Grant, sent: Secret
    ) -> bool:
        """Seals and stores what came for everybody who holds the grant; false when that is somebody else by now."""
        sealed = await self._holders.resealed(holders, grant.access_token, grant.refresh_token or sent)
        if not sealed:
            return False
        async with self._pool.acquire() as connection:
            return await refreshes.keep_refreshed(
                connection, lease.token, sealed, refreshed_lifetimes_of(grant, config)
            )

    async def _settled(self, row: CredentialRow) -> None:
        """Waits for a former holder of the lease, which may just be storing what made the provider refuse us."""
        for _ in range(int(REFRESH_LEASE / 4 / timedelta(seconds=POLL_S))):
            async with self._pool.acquire() as connection:
                if not await refreshes.unchanged(connection, row, ()):
                    return
            await asyncio.sleep(POLL_S)

    async def _reject(
        self,
        row: CredentialRow,
        lease: RefreshLease,
        reason: Reason,
        actor: Actor,
        evidence: Evidence | None = None,
    ) -> Denied | None:
        """The credential can't be used, unless somebody has rotated or replaced it since, or is just at it (S32)."""
        async with self._pool.acquire() as connection:
            if not await refreshes.may_judge(connection, row, lease.token):
                return None
        receipt, *_ = await asyncio.gather(
            self._tell_rejected(row, reason, actor, evidence),
            *(self._tell_rejected(one, reason, actor, evidence) for one in lease.holders if one.id != row.id),
        )
        if receipt.why is Ignored.STALE_GENERATION:
            return None
        if reason is Reason.CLIENT_REJECTED:
            return Denied(NoToken.CLIENT_REJECTED, reason, timedelta(minutes=1))
        return Denied(NoToken.NEEDS_REAUTHORISATION, reason)

    async def _tell_rejected(
        self, row: CredentialRow, reason: Reason, actor: Actor, evidence: Evidence | None
    ) -> Receipt:
        rejected = RefreshRejected(connector=row.connector, generation=row.generation, reason=reason)
        return await self._engine.submit(Submission(input=rejected, actor=actor, evidence=evidence))

    async def _tell_lost(self, row: CredentialRow) -> None:
        """A grant died after a refresh that was interrupted: the window that no client can close (S33)."""
        log.error("grant_lost_in_the_window", connector=row.connector, rotation=row.rotation)
        async with self._pool.acquire() as connection:
            await _audit(connection, row, "grant_lost_in_window")


async def _audit(connection: Connection, row: CredentialRow, what: str) -> None:
    detail = {"generation": row.generation, "rotation": row.rotation}
    await credentials.audit(connection, what, row.tenant, row.connector, "regrant", orjson.dumps(detail).decode())
