"""Importing: a grant that a host has already becomes a connector's credential, once the provider has proved it.

It takes the way of a person's grant, without the person: an attempt, a sealed candidate, the checks, the swap. Nothing
old is touched before the new one is proved, and a refused import is shredded and never revoked: it is still the host's.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import ValidationError

from schemas.api import ImportCredential, ImportLine
from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind, Outcome, Refused
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.submission import Actor, NewAttempt, Receipt, Submission, Trace
from service.oauth.description import Providers
from service.oauth.keeper import Keeper, Owner
from service.oauth.refresh import ENDED
from service.store import attempts, imports
from service.store.credentials import Lifetimes
from service.store.pool import Pool
from statemachine.inputs import GrantReceived, Register, StartReauth

NO_TOKEN = Secret("")
LINES_AT_ONCE = 8
POLL_S = 0.1
PATIENCE = timedelta(minutes=2)
"""How long the checks of a line are waited for: a provider that is away takes longer, and they go on all the same."""

HOST = Actor(ActorKind.HOST, "import")


class Importer:
    """Takes grants in."""

    def __init__(self, engine: Engine, pool: Pool, keeper: Keeper, providers: Providers) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers

    async def take_in(
        self, tenant: TenantId, connector: ConnectorId, brought: ImportCredential, actor: Actor, trace: Trace
    ) -> AttemptId | Refused:
        """Seals a grant and has it checked; how that ends is told by the attempt. Refused: by the lifecycle."""
        id_ = AttemptId(uuid4())
        started = await self._submit(
            StartReauth(connector=connector, attempt=id_), tenant, actor, trace, NewAttempt(person_name="import")
        )
        if started.outcome is Outcome.REFUSED:
            assert isinstance(started.why, Refused)
            return started.why
        if await self._kept(tenant, id_, brought):
            await self._submit(GrantReceived(connector=connector, attempt=id_), tenant, actor, trace)
        return id_

    async def outcome(self, tenant: TenantId, attempt: AttemptId) -> Reason | None:
        """How the checks ended; `None` while they haven't."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, attempt, tenant)
        return row.reason if row is not None and row.ended_at is not None else None

    async def is_there(self, line: ImportLine) -> bool:
        """Whether the line's connector works already: its grant may be one that was imported, and used up since."""
        id_, tenant, provider = ConnectorId(line.connector_id), TenantId(line.tenant_id), ProviderId(line.provider)
        async with self._pool.acquire() as connection:
            return await imports.works(connection, id_, tenant, provider, line.account_id, ENDED)

    async def register(self, line: ImportLine) -> Refused | None:
        """The line's connector, registered where it is new."""
        registered = Register(
            connector=ConnectorId(line.connector_id),
            tenant=TenantId(line.tenant_id),
            provider=ProviderId(line.provider),
            name=line.name,
        )
        receipt = await self._engine.submit(Submission(input=registered, actor=HOST, tenant=TenantId(line.tenant_id)))
        return receipt.why if isinstance(receipt.why, Refused) else None

    async def _submit(
        self,
        input_: StartReauth | GrantReceived,
        tenant: TenantId,
        actor: Actor,
        trace: Trace,
        attachment: NewAttempt | None = None,
    ) -> Receipt:
        return await self._engine.submit(
            Submission(input=input_, actor=actor, tenant=tenant, attachment=attachment, trace=trace)
        )

    async def _kept(self, tenant: TenantId, id_: AttemptId, brought: ImportCredential) -> bool:
        """Whether the sealed grant waits beside the attempt; not when somebody has opened a newer one meanwhile."""
        async with self._pool.acquire() as connection:
            row = await attempts.attempt_of_tenant(connection, id_, tenant)
            assert row is not None
            key = await self._keeper.key_of(connection, row.pk)
        owner = Owner(row.pk, row.tenant, row.connector, "", Generation(row.generation + 1))
        access = await self._keeper.seal(key, owner, "access_token.0", brought.access_token or NO_TOKEN)
        refresh = await self._keeper.seal(key, owner, "refresh_token.0", brought.refresh_token)
        known = self._providers[row.provider].description.lifetimes
        lifetimes = Lifetimes(known.access, known.refresh_idle, known.refresh_hard, True, True, known.announced_end)
        claimed = brought.account_id or (row.account.id if row.account else None)
        async with self._pool.acquire() as connection:
            return await imports.add_borrowed(
                connection,
                row,
                key,
                owner.generation,
                access,
                refresh,
                _left(brought),
                lifetimes,
                brought.scope or "",
                claimed,
            )


def _left(brought: ImportCredential) -> timedelta:
    """How long the access token is good for, by the host's word; none where it isn't said."""
    if brought.access_token is None or brought.expires_at is None:
        return timedelta()
    return max(brought.expires_at - datetime.now(UTC), timedelta())


async def import_lines(importer: Importer, lines: Sequence[bytes], say: Callable[[str], None]) -> int:
    """Imports a grant a line (JSON, `ImportLine`), and says how each ended. Returns how many were refused.

    A file can be imported again: what works already is left alone, since its refresh token may have been used up.
    """
    some, refused = asyncio.Semaphore(LINES_AT_ONCE), 0

    async def one(number: int, text: bytes) -> None:
        nonlocal refused
        async with some:
            is_refused, how = await _imported(importer, text)
        refused += is_refused
        say(f"line {number}: {how}")

    await asyncio.gather(*(one(number, text) for number, text in enumerate(lines, start=1) if text.strip()))
    return refused


async def _imported(importer: Importer, text: bytes) -> tuple[bool, str]:
    """Whether a line is refused, and how it ended."""
    try:
        line = ImportLine.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = sorted({".".join(map(str, one["loc"])) + " " + one["type"] for one in found})
        return True, f"refused: {', '.join(wrong)}"
    # In the file's order: of two lines for one connector, the first has it.
    if (why := await importer.register(line)) is not None:
        return True, f"refused: {line.connector_id}: {why.value}"
    if await importer.is_there(line):
        return False, "there already"
    refusal = await _refusal(importer, line)
    return (False, "imported") if refusal is None else (True, f"refused: {line.connector_id}: {refusal}")


async def _refusal(importer: Importer, line: ImportLine) -> str | None:
    """Why a line's grant doesn't count; never a value of it."""
    tenant = TenantId(line.tenant_id)
    taken = await importer.take_in(tenant, ConnectorId(line.connector_id), line, HOST, Trace())
    if isinstance(taken, Refused):
        return taken.value
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while (reason := await importer.outcome(tenant, taken)) is None:  # noqa: ASYNC110 - may end elsewhere
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return f"still being checked, attempt {taken}"
    return None if reason is Reason.CONNECTED else reason.value
