"""Story 11: every input comes three times, shuffled across connectors: the same end states as once and in order."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas import channels
from schemas.channels import Channel, Message
from schemas.ids import ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.deployment import QUICKBOOKS
from service.demo.events import Event
from service.demo.host.app import TENANT
from service.demo.stories.oracle import expected
from service.demo.stories.story import story
from service.demo.stories.world import World
from statemachine.inputs import Input, Register, SyncFailed, SyncStarted, SyncSucceeded, Update

CONNECTORS = 24
TIMES = 3
SEED = 11
_OUTCOMES = (None, Reason.TOKEN_REFUSED, Reason.ACCOUNT_INACTIVE, Reason.RATE_LIMITED, Reason.ACCESS_REVOKED)


@dataclass(slots=True)
class Script:
    """What happens to one connector: the records, and the same as inputs for the oracle."""

    id: str
    first: datetime
    commands: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)


@story(11, "Three times each, and shuffled")
async def three_times_shuffled(world: World) -> None:
    chance = random.Random(SEED)
    scripts = [_script(world, number, chance) for number in range(CONNECTORS)]
    await _deliver(world, channels.COMMANDS, [script.commands[:1] for script in scripts], chance)
    await _deliver(world, channels.SYNC_EVENTS, [script.events for script in scripts], chance)
    await _deliver(world, channels.COMMANDS, [script.commands[1:] for script in scripts], chance)
    wrong = []
    for script in scripts:
        oracle = expected(script.inputs).connector
        row = await world.database.fetchrow("select * from connector where connector_id = $1", script.id)
        names = ("version", "state", "reason", "name", "generation", "transient_failures", "last_run", "last_success")
        found = {name: row[name] for name in names} if row else {}
        wanted = {name: getattr(oracle, name) for name in names}
        if found != wanted:
            wrong.append((script.id, found, wanted))
    world.check(
        not wrong, f"{CONNECTORS} connectors end where each input once and in order leads (database)", wrong[:2]
    )
    states = {expected(script.inputs).connector.state for script in scripts}
    world.check(states == {State.HEALTHY, State.FAILED}, "healthy and failed ones are among them", states)
    listed = {
        script.id: (await world.platform.regrant.get(f"/v1/connectors/{script.id}"))["state"] for script in scripts
    }
    oracle_states = {script.id: expected(script.inputs).connector.state.value for script in scripts}
    world.equal(listed, oracle_states, "the API says the same")
    paths = {script.id: [s.value for s in expected(script.inputs).path] for script in scripts}

    def told() -> bool:
        return all(_path(world, id_) == path for id_, path in paths.items())

    await world.until(told, "the topic shows each transition once, in order")


def _path(world: World, id_: str) -> list[str]:
    return [seen.data["to"] for seen in world.topics.of(channels.TRANSITIONS, id_)]


def _script(world: World, number: int, chance: random.Random) -> Script:
    id_ = f"story-11-{number}"
    script = Script(id_, datetime.now(UTC) - timedelta(hours=1))
    connector, name = ConnectorId(id_), f"Shuffled {number}"
    _command(world, script, channels.REGISTER, tenant_id=TENANT, provider=QUICKBOOKS, name=name, connected=True)
    script.inputs.append(
        Register(
            connector=connector, tenant=TenantId(TENANT), provider=ProviderId(QUICKBOOKS), name=name, connected=True
        )
    )
    for run in range(chance.randint(3, 6)):
        began = script.first + timedelta(minutes=run)
        ended = began + timedelta(seconds=30)
        reason = chance.choice(_OUTCOMES)
        _event(world, script, channels.SYNC_STARTED, began, began)
        script.inputs.append(SyncStarted(connector=connector, occurred=began, started=began, generation=Generation(0)))
        if reason is None:
            _event(world, script, channels.SYNC_SUCCEEDED, began, ended)
            script.inputs.append(
                SyncSucceeded(connector=connector, occurred=ended, started=began, generation=Generation(0))
            )
        else:
            _event(world, script, channels.SYNC_FAILED, began, ended, reason=reason.value)
            script.inputs.append(
                SyncFailed(connector=connector, occurred=ended, started=began, generation=Generation(0), reason=reason)
            )
    _command(world, script, channels.UPDATE, name=f"{name}, renamed")
    script.inputs.append(Update(connector=connector, name=f"{name}, renamed"))
    return script


def _command(world: World, script: Script, message: Message, **data: Any) -> None:
    script.commands.append(world.platform.events.event(channels.COMMANDS, message, script.id, data))


def _event(world: World, script: Script, message: Message, began: datetime, at: datetime, **data: Any) -> None:
    told = {"started_at": began.isoformat(), "generation": 0, **data}
    script.events.append(world.platform.events.event(channels.SYNC_EVENTS, message, script.id, told, at))


async def _deliver(world: World, channel: Channel, lists: list[list[Event]], chance: random.Random) -> None:
    """Sends every list's records in order, each three times (a repeat comes at any time after the first)."""
    queues = [_with_repeats(records, chance) for records in lists if records]
    last: dict[int, int] = {}
    while queues:
        queue = chance.choice(queues)
        partition, offset = await world.platform.events.send(queue.pop(0))
        last[partition] = max(offset, last.get(partition, 0))
        queues = [queue for queue in queues if queue]
    topic = world.platform.deployment.topic_prefix + channel.topic

    async def consumed() -> bool:
        rows = await world.database.fetch("select partition, next_offset from input_partition where topic = $1", topic)
        done = {row["partition"]: row["next_offset"] for row in rows}
        return all(done.get(partition, 0) > offset for partition, offset in last.items())

    await world.until(consumed, f"everything in {channel.topic} is consumed")


def _with_repeats(records: list[Event], chance: random.Random) -> list[Event]:
    queue: list[Event] = []
    for record in reversed(records):
        queue.insert(0, record)
        for _ in range(TIMES - 1):
            queue.insert(chance.randint(1, len(queue)), record)
    return queue
