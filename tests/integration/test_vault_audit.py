"""S40: every access to a secret of a connector leaves a row: who, why, which generation, and never the value."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.lifecycle import State
from schemas.secret import Secret
from service.engine.submission import Submission
from service.vault.envelope import SealContext, WrappedKey
from service.vault.vault import Vault
from statemachine.inputs import Disconnect
from tests.loop import HOST, TENANT, Loop, eventually, running_loop

SERVICE = Path(__file__).parents[2] / "service"

Opening = tuple[str, str, int]
"""Connector, kind of secret, generation."""


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Opening, str]]:
    """Everything that the vault opens from now on, with its value."""
    seen: list[tuple[Opening, str]] = []
    really = Vault.open

    async def noted(self: Vault, key: WrappedKey, context: SealContext, sealed: bytes) -> Secret:
        secret = await really(self, key, context, sealed)
        seen.append(((context.connector, context.kind, context.generation), secret.reveal()))
        return secret

    monkeypatch.setattr(Vault, "open", noted)
    return seen


async def recorded(loop: Loop) -> list[Any]:
    return await loop.pool.fetch(
        "select connector_id, what, actor, detail, tenant_id from audit where what in ('secret_opened', 'token_read')"
    )


def opening_of(row: Any) -> Opening:
    detail = orjson.loads(row["detail"])
    kind = f"access_token.{detail['rotation']}" if row["what"] == "token_read" else detail["kind"]
    return row["connector_id"], kind, detail["generation"]


async def test_s40_a_whole_life_leaves_one_row_for_each_opening(
    loop: Loop, openings: list[tuple[Opening, str]]
) -> None:
    id_ = await loop.connected()
    await loop.token(id_)
    await loop.refreshed(id_)
    await loop.fail(id_)
    await loop.state(id_, State.FAILED)
    await loop.reconnect(id_, company="Acme Ltd")  # another one's: its grant is retired
    await loop.state(id_, State.FAILED)
    await loop.reconnect(id_)
    await loop.state(id_, State.SYNCING)
    await loop.token(id_)
    await loop.service.engine.submit(Submission(input=Disconnect(connector=id_), actor=HOST, tenant=TENANT))

    async def settled() -> bool:
        return await loop.pool.fetchval("select (select count(*) from job) + (select count(*) from credential)") == 0

    await eventually(settled, "everything is revoked and shredded")
    rows = await recorded(loop)
    assert Counter(map(opening_of, rows)) == Counter(opening for opening, _ in openings)
    kinds = {re.split(r"[.]", kind)[0] for (_, kind, _), _ in openings}
    assert kinds == {"code", "verifier", "access_token", "refresh_token"}
    whys = {orjson.loads(row["detail"]).get("why", row["what"]) for row in rows}
    assert {"exchange", "revoke", "token_read", "refresh"} <= whys
    assert {row["actor"] for row in rows if row["what"] == "token_read"} == {"test"}, "the caller is named"
    assert {row["tenant_id"] for row in rows} == {TENANT}
    everything = str([tuple(row.values()) for row in await loop.pool.fetch("select * from audit")])
    assert not [value for _, value in openings if value in everything]


async def test_s40_what_cant_be_recorded_isnt_used(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.pool.execute("alter table audit rename to audit_away")
    before = loop.simulator.journal.total
    for ask in (loop.token, loop.refreshed):
        with pytest.raises(asyncpg.UndefinedTableError):
            await ask(id_)
    assert loop.simulator.journal.total == before
    await loop.pool.execute("alter table audit_away rename to audit")


def test_s40_the_vault_is_opened_by_the_keeper_alone() -> None:
    """A new place that opens goes through the keeper, which records it; a caller of `open` records it himself."""
    by_itself = {"service/oauth/tokens.py"}
    opens = {
        str(path.relative_to(SERVICE.parent))
        for path in SERVICE.rglob("*.py")
        if re.search(r"keeper\.open\(", path.read_text()) or re.search(r"vault\.open\(", path.read_text())
    }
    assert opens <= by_itself | {"service/oauth/keeper.py"}
