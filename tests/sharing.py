"""Connectors of one account that fail together, and what a sign-in for one of them makes of the others."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson

from schemas.api import AccessToken
from schemas.ids import AttemptId, ConnectorId, TenantId
from schemas.lifecycle import ActorKind, State
from schemas.reasons import Reason
from service.app import Service
from service.demo.simulator.grants import Grant, IssuedTokens, RevokeScope
from service.demo.simulator.seed import DRIVEWELL_INC, OLIVIA
from service.demo.simulator.world import ACCOUNTING
from service.engine.submission import Actor, Submission
from service.oauth.importing import import_lines
from service.oauth.refresh import Denied
from service.store.due import Job
from statemachine.inputs import SyncFailed
from tests.integration.test_tokens import rotates
from tests.loop import QUICKBOOKS, TENANT, Loop, eventually

STRANGERS = TenantId("acme")
MINUTE = timedelta(minutes=1)
HOST = Actor(ActorKind.HOST, "test")


async def connected(loop: Loop, *names: str, realm: str = DRIVEWELL_INC, **more: str) -> list[ConnectorId]:
    """Connectors that work, each with a grant of its own that the host has brought."""
    lines = []
    for name in names:
        tokens = loop.simulator.world.grant_without_pages(OLIVIA, realm, frozenset({ACCOUNTING}))
        said = {
            "tenant_id": TENANT,
            "connector_id": name,
            "provider": QUICKBOOKS,
            "name": name,
            "refresh_token": tokens.refresh_token,
            "access_token": tokens.access_token,
            "expires_at": (datetime.now(UTC) + tokens.expires_in).isoformat(),
            "account_id": realm,
            **more,
        }
        lines.append(orjson.dumps(said))
    told: list[str] = []
    assert await import_lines(loop.service.importer, lines, told.append) == 0, told
    return [ConnectorId(name) for name in names]


async def fail(loop: Loop, *ids: ConnectorId, reason: Reason = Reason.TOKEN_REFUSED) -> None:
    for id_ in ids:
        failed = SyncFailed(connector=id_, occurred=datetime.now(UTC) + MINUTE, reason=reason)
        await loop.service.engine.submit(Submission(input=failed, actor=HOST))
        await loop.state(id_, State.FAILED)


async def signed_in(loop: Loop, id_: ConnectorId) -> Any:
    """Somebody signs in for a connector; returns the attempt, once it and everything that it shared is done."""
    attempt, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    await loop.returned(begun, await loop.signed_in(begun))
    await loop.state(id_, State.SYNCING)

    async def settled() -> bool:
        return bool(await loop.pool.fetchval("select count(*) = 0 from job"))

    await eventually(settled, "every job is done")
    return attempt


async def repaired(loop: Loop, *names: str) -> list[ConnectorId]:
    """Connectors of one tenant and account that live on the grant which the first one's sign-in brought."""
    ids = await connected(loop, *names)
    await fail(loop, *ids)
    await signed_in(loop, ids[0])
    for id_ in ids:
        await loop.state(id_, State.SYNCING)
    return ids


async def log_of(loop: Loop, id_: ConnectorId) -> list[Any]:
    rows = await loop.pool.fetch(
        "select t.* from transition t join connector c on c.id = t.connector"
        " where c.connector_id = $1 order by version",
        id_,
    )
    assert [row["version"] for row in rows] == list(range(1, len(rows) + 1))
    return list(rows)


async def credentials(loop: Loop, *ids: ConnectorId) -> list[Any]:
    return [await loop.current(id_) for id_ in ids]


async def fresh(service: Service, id_: ConnectorId, tenant: TenantId = TENANT) -> AccessToken | Denied:
    return await service.tokens.access_token(tenant, id_, MINUTE, "test")


def works_once(loop: Loop) -> Counter[str]:
    """From now on a refresh token works once, and kills its grant when it comes again. Returns how often each came."""
    rotates(loop, grace=timedelta())
    loop.simulator.world.settings.grants.reuse_detection = True
    presented: Counter[str] = Counter()
    grants, refresh = loop.simulator.world.grants, loop.simulator.world.grants.refresh

    def seen(value: str) -> IssuedTokens:
        presented[value] += 1
        return refresh(value)

    grants.refresh = seen  # type: ignore[method-assign]  # to see every refresh token that comes
    return presented


def revokes_tokens(loop: Loop) -> None:
    """The provider's revocation ends the grant of the token that it is given, and no other."""
    loop.simulator.world.settings.grants.revoke_scope = RevokeScope.TOKEN
    known = loop.service.providers._configs
    described = known[QUICKBOOKS].description.model_copy(update={"revoke_scope": "token"})
    known[QUICKBOOKS] = replace(known[QUICKBOOKS], description=described)


async def share(loop: Loop, id_: ConnectorId, attempt: AttemptId, *, held: bool = False) -> Job:
    """A job that may repair a connector by an earlier sign-in; `held`: by a process that isn't here."""
    lease = uuid4() if held else None
    row = await loop.pool.fetchrow(
        "insert into job (kind, connector, attempt_id, run_at, lease_token, lease_until)"
        " select 'share', id, $2, now(), $3, now() + case when $3::uuid is null then null else interval '1 minute' end"
        " from connector where connector_id = $1 returning id, connector",
        id_,
        attempt,
        lease,
    )
    return Job(row["id"], "share", row["connector"], id_, attempt, 1, lease or uuid4(), None)


def shared_grant(loop: Loop) -> Grant:
    """The grant that the last sign-in brought, as the provider knows it."""
    return loop.simulator.world.grants.all[-1]


async def belongs(loop: Loop, id_: ConnectorId, realm: str) -> None:
    """A connector that has been of that account all along, without the seals that would say so."""
    await loop.pool.execute("update connector set account_id = $2 where connector_id = $1", id_, realm)
    await loop.pool.execute(
        "update credential set account_id = $2 where connector = (select id from connector where connector_id = $1)",
        id_,
        realm,
    )


async def shredded(loop: Loop, id_: ConnectorId) -> None:
    pk = (await loop.row(id_))["id"]
    left = "select (select count(*) from credential where connector = $1) + (select count(*) from data_key"
    left += " where connector = $1) + (select count(*) from job where connector = $1) = 0"
    await eventually(lambda: loop.pool.fetchval(left, pk), f"{id_} is shredded")
