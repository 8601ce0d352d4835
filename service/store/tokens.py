"""Access tokens in the store: read for many at once, and ended when the provider's API has refused one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from schemas.ids import ConnectorId, Generation, TenantId
from service.store.credentials import CredentialRow, DataKey, known
from service.store.pool import Connection

# Many reads in one round trip: each credential once with its data key, and an audit row for each asker who is served,
# in the same transaction. `served` decides what is fresh enough: nine tenths of a lifetime is the most one may ask
# for. The first read of a token has it refreshed ahead, some way before its end, at a moment of its own; a row that
# somebody else holds is left out, so that readers never wait for each other.
READ = """
with found as (
    select w.place, k.*, k.access_expires_at - now() as access_left, now() - k.refreshed_at as since_refresh,
        c.connector_id, c.tenant_id, c.provider, c.state as connector_state, c.reason as connector_reason,
        c.account_name, c.generation as connector_generation, c.account_id as connector_account,
        d.wrapped, d.newest_generation, d.newest_rotation
    from unnest($1::text[], $2::text[]) with ordinality as w (connector_id, tenant_id, place)
    join connector c on c.connector_id = w.connector_id and c.tenant_id = w.tenant_id
    join credential k on k.connector = c.id and k.status = 'current'
    left join data_key d on d.id = k.data_key
),
served as (
    select a.asker, a.caller, f.place, f.id, f.tenant_id, f.connector_id, f.generation, f.rotation, f.refresh_wanted
    from unnest($3::bigint[], $4::text[], $5::interval[]) with ordinality as a (place, caller, min_ttl, asker)
    join found f on f.place = a.place
    where f.access_left > least(a.min_ttl, (f.access_expires_at - f.refreshed_at) * 0.9)
      and f.access_left > interval '0'
      and (f.connector_reason is null or f.connector_reason <> all($6::text[]))
),
audited as (
    insert into audit (what, tenant_id, connector_id, actor, detail)
    select 'token_read', tenant_id, connector_id, caller,
        json_build_object('generation', generation, 'rotation', rotation)
    from served order by asker
),
wanted as (
    update credential k set refresh_wanted = true,
        refresh_due = k.access_expires_at - (k.access_expires_at - k.refreshed_at) * (0.1 + 0.15 * random())
    from (
        select id from credential
        where id in (select id from served where not refresh_wanted) and not refresh_wanted
        for update skip locked
    ) first_read
    where k.id = first_read.id
)
select f.*, (select array_agg(s.asker) from served s where s.place = f.place) as served from found f
"""

# What the provider's API refused isn't served again, by whichever credential holds it: it counts as over.
END_ACCESS = """
update credential set access_expires_at = now()
where status <> 'retiring' and access_expires_at > now() and (grant_id, rotation) = (
    select k.grant_id, k.rotation from credential k join connector c on c.id = k.connector
    where c.connector_id = $1 and c.tenant_id = $2 and k.status = 'current' and k.generation = $3 and k.rotation = $4
)
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants which connector's access token, and for how long it has to be good."""

    connector: ConnectorId
    tenant: TenantId
    min_ttl: timedelta
    caller: str


@dataclass(frozen=True, slots=True)
class Read:
    """A credential that was read for somebody."""

    row: CredentialRow
    key: DataKey | None
    """`None` when it is gone: then the token can't be opened."""
    is_served: bool
    """Its access token is good for as long as was asked, and the audit row is there."""


async def read(connection: Connection, asked: Sequence[Asked], ended: Sequence[str]) -> list[Read | None]:
    """What each asker gets, in one round trip; who is served has its audit row. `None`: there is no credential."""
    wanted = dict.fromkeys((one.connector, one.tenant) for one in asked)
    place_of = {which: place for place, which in enumerate(wanted, start=1)}
    rows = await connection.fetch(
        READ,
        [connector for connector, _ in wanted],
        [tenant for _, tenant in wanted],
        [place_of[one.connector, one.tenant] for one in asked],
        [one.caller for one in asked],
        [one.min_ttl for one in asked],
        ended,
    )
    found = {record["place"]: (known(record), _key(record)) for record in rows}
    served = {asker for record in rows for asker in record["served"] or ()}
    answers: list[Read | None] = []
    for asker, one in enumerate(asked, start=1):
        there = found.get(place_of[one.connector, one.tenant])
        answers.append(Read(*there, is_served=asker in served) if there else None)
    return answers


def _key(record: asyncpg.Record) -> DataKey | None:
    return DataKey(record["data_key"], record["wrapped"]) if record["wrapped"] is not None else None


async def end_access(
    connection: Connection, connector: ConnectorId, tenant: TenantId, generation: Generation, rotation: int
) -> bool:
    """Has an access token never be served again; false when it isn't the one that would be."""
    ended: str = await connection.execute(END_ACCESS, connector, tenant, generation, rotation)
    return ended != "UPDATE 0"
