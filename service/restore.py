"""`regrant restore`: after the database was restored from a backup, while Kafka kept what was published since.

Consumers have seen versions of which the database knows nothing, and drop their ids as repeats. So each connector that
was shown to be further goes on behind what was shown, by a transition that tells how it stands now. Inputs since the
backup are consumed again by themselves, as far as Kafka still has them: the offsets came back with the database.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from schemas.ids import ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind, Outcome, State
from service.app import assemble
from service.engine.door import Engine
from service.engine.submission import Actor, Submission
from service.kafka.shown import Shown, shown_since
from service.settings import Settings
from service.store import restored as stored
from statemachine.inputs import Delete, Disconnect, Input, Register, Restored

MARGIN = timedelta(hours=1)
"""How far the brokers' clocks may be off the database's, and a relay behind."""
US = Actor(ActorKind.OPERATOR, "regrant restore")

Say = Callable[[str], None]


class CannotRestore(Exception):
    """Processes of the service still write to this database."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A connector that consumers know better than the database."""

    id: ConnectorId
    shown: Shown
    is_there: bool

    def inputs(self) -> Sequence[Input]:
        """What brings it behind what was shown, and does again what was meant to last."""
        then = self.shown.snapshot or {}
        generation = Generation(then.get("generation", 0))
        inputs: list[Input] = [Restored(connector=self.id, version=self.shown.version, generation=generation)]
        if not self.is_there:
            tenant, provider = TenantId(then["tenant_id"]), ProviderId(then["provider"])
            inputs.insert(0, Register(connector=self.id, tenant=tenant, provider=provider, name=then["name"]))
        if self.shown.deleted:
            inputs.append(Delete(connector=self.id))
        elif then["state"] == State.DISCONNECTED:
            inputs.append(Disconnect(connector=self.id))
        return inputs

    def told(self) -> str:
        """What is done about it, in a few words."""
        kind = "deleted again" if self.shown.deleted else "disconnected again" if self._is_off() else "goes on"
        return f"{self.id}: {kind} behind version {self.shown.version}{'' if self.is_there else ', registered again'}"

    def _is_off(self) -> bool:
        return self.shown.snapshot is not None and self.shown.snapshot["state"] == State.DISCONNECTED


async def restore(settings: Settings, say: Say, *, dry_run: bool) -> None:
    """Brings connectors behind what was shown of them. May be run again. Raises `CannotRestore`."""
    connection = await asyncpg.connect(settings.database.dsn.reveal(), timeout=10)
    try:
        if running := await stored.connected(connection):
            raise CannotRestore(f"{running} connections of the service's processes are open: end all of them first")
        newest = await stored.newest(connection)
        shown = await shown_since(settings.kafka, newest - MARGIN if newest else None)
        behind = _behind(shown, await stored.versions(connection, shown), say)
        for one in behind:
            say(one.told())
        if not dry_run:
            await stored.raise_epochs(connection)
    finally:
        await connection.close()
    if dry_run:
        say(f"{len(behind)} connectors would be brought behind what was shown of them")
        return
    async with assemble(settings) as service:
        running_engine = asyncio.create_task(service.engine.run(), name="engine")
        try:
            refused = [one.id for one in behind if not await _bring(service.engine, one)]
        finally:
            running_engine.cancel()
            with suppress(asyncio.CancelledError):
                await running_engine
    for id_ in refused:
        say(f"{id_}: refused; is its provider still one of the settings'?")
    say(f"{len(behind) - len(refused)} connectors were brought behind what was shown of them")


def _behind(shown: Mapping[ConnectorId, Shown], versions: Mapping[ConnectorId, int], say: Say) -> list[Behind]:
    found = []
    for id_, one in sorted(shown.items()):
        if one.version <= versions.get(id_, 0):
            continue
        if id_ not in versions and one.snapshot is None:
            say(f"{id_}: was deleted, and is as unknown as before: don't register it again")
            continue
        found.append(Behind(id_, one, id_ in versions))
    return found


async def _bring(engine: Engine, one: Behind) -> bool:
    """Whether all of it was taken."""
    for input_ in one.inputs():
        receipt = await engine.submit(Submission(input=input_, actor=US))
        if receipt.outcome is Outcome.REFUSED:
            return False
    return True
