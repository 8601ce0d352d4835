"""Two tenants of one running service: what the victim has, and whether any of it reached the other, or was touched."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from schemas.lifecycle import State
from service.demo.simulator.seed import PASSWORD
from service.demo.simulator.world import Role
from tests.loop import eventually
from tests.window import QUICKBOOKS, Running

VICTIM, WALKER = "qx7zk-victim", "walker"
MARK = "qx7zk"
"""Stands in every id and name of the victim's, and in nothing else."""
PEOPLE = {VICTIM: {"id": f"u-{MARK}", "name": f"Vera {MARK}"}, WALKER: {"id": "u-walt", "name": "Walt"}}
COMPANIES = {VICTIM: ("9130357766598801", f"Ledgers of {MARK}"), WALKER: ("9130357766598802", "Walker Ltd")}


@dataclass
class Known:
    """A connector and one of its attempts, for the parameters of a path."""

    connector_id: str
    attempt_id: str
    letter_id: str = "0-1"
    endpoint: str = "host"
    given_up_id: str = "1-c"

    def of(self, names: Any) -> dict[str, str]:
        return {name: getattr(self, name) for name in names}


@dataclass
class Tenants:
    """The service, with what each of the two has."""

    service: Running
    victims: list[Known]
    """A connected one, one with an open attempt, one whose attempt was cancelled, and one that was deleted."""
    connected: Known
    """The walker's."""
    secrets: list[bytes]
    """What stands in no answer to the walker."""
    before: dict[str, list[str]] = field(default_factory=dict)

    async def victims_rows(self) -> dict[str, list[str]]:
        """Everything that is stored of the victim, by table."""
        dump = await self.service.dump()
        pks = {row["id"] for row in dump["connector"] if row["tenant_id"] == VICTIM}
        attempts = {row["attempt_id"] for row in dump["attempt"] if row["tenant_id"] == VICTIM}

        def is_victims(row: dict[str, Any]) -> bool:
            if "tenant_id" in row:
                return bool(row["tenant_id"] == VICTIM)
            return row.get("connector") in pks or row.get("attempt_id") in attempts

        rows = {table: sorted(repr(row) for row in found if is_victims(row)) for table, found in dump.items()}
        made_again = [table for table in rows if table.startswith("tally")]  # from the log, whenever somebody asks
        return {table: found for table, found in rows.items() if found and table not in made_again}

    async def untouched(self) -> list[str]:
        """What is no longer as it was at the victim's."""
        after = await self.victims_rows()
        return [
            f"{table}: {row}"
            for table in self.before.keys() | after.keys()
            for row in set(self.before.get(table, ())) ^ set(after.get(table, ()))
        ]


async def two_tenants(service: Running) -> Tenants:
    """Both tenants, each with a connector that is in use; the victim has more."""
    connected = {tenant: await _connected(service, tenant) for tenant in (VICTIM, WALKER)}
    opened, cancelled, deleted = [await open_one(service, VICTIM) for _ in range(3)]
    assert (await _told(service, "POST", f"/v1/attempts/{cancelled.attempt_id}/cancel"))["status"] == "ended"
    await _told(service, "DELETE", f"/v1/connectors/{deleted.connector_id}")
    victims = [connected[VICTIM], opened, cancelled, deleted]
    token = await _told(service, "POST", f"/v1/connectors/{victims[0].connector_id}/token", {})
    said = [MARK, token["access_token"], COMPANIES[VICTIM][0], *(known.attempt_id for known in victims)]
    tenants = Tenants(service, victims, connected[WALKER], [text.encode() for text in said])
    await eventually(lambda: _is_idle(service), "the jobs of the beginning are done")
    tenants.before = await tenants.victims_rows()
    assert {"connector", "attempt", "handoff", "transition", "credential", "data_key", "audit"} <= set(tenants.before)
    return tenants


async def open_one(service: Running, tenant: str) -> Known:
    """A connector that was never connected, with an open attempt."""
    id_ = f"{MARK if tenant == VICTIM else 'walk'}-{uuid4().hex[:8]}"
    body = {"connector_id": id_, "provider": QUICKBOOKS, "name": COMPANIES[tenant][1]}
    await _told(service, "POST", "/v1/connectors", body, tenant=tenant)
    attempt, _ = await service.opened(id_, tenant=tenant, person=PEOPLE[tenant])
    return Known(id_, attempt)


async def _connected(service: Running, tenant: str) -> Known:
    """A connector whose tokens are in use, of a company of its own."""
    realm, company = COMPANIES[tenant]
    world, email = service.loop.simulator.world, f"{tenant}@host.example"
    world.add_company(realm, company)
    world.add_user(email, PASSWORD, PEOPLE[tenant]["name"], [(realm, Role.MASTER_ADMIN)])
    known, browser = await open_one(service, tenant), service.browser()
    attempt, link = await service.opened(known.connector_id, tenant=tenant, person=PEOPLE[tenant])
    callback = await browser.sign_in(await service.begun(browser, link), email=email, company=company)
    back = await browser.get(callback)
    token = back.location.partition("completion_token=")[2]
    status, told = await service.complete(attempt, token, tenant=tenant, person=PEOPLE[tenant]["id"])
    assert status == 200, told
    await service.loop.state(known.connector_id, State.SYNCING)  # type: ignore[arg-type]  # an id all the same
    return Known(known.connector_id, attempt)


async def _told(service: Running, method: str, path: str, body: object = None, *, tenant: str = VICTIM) -> Any:
    status, told = await service.api(method, path, body, tenant=tenant)
    assert status < 300, (method, path, told)
    return told


async def _is_idle(service: Running) -> bool:
    return await service.loop.pool.fetchval("select count(*) = 0 from job") is True
