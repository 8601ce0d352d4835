"""R2, R7, R9, R10, R13, R14 and S36 at full size, as far as the time allows, for the soak. Each raises `Violation`.

Each takes a PostgreSQL server's address (it makes databases of its own there), a broker's, a seed, and its seconds.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from tests.databases import database_on
from tests.faults.scenarios.r02_kills import kill_at_every_point
from tests.faults.scenarios.r07_repeats import repeated_and_shuffled
from tests.faults.scenarios.r09_shutdown import stop_under_load
from tests.faults.scenarios.r10_poison import poison_among_good, waited
from tests.faults.scenarios.r13_refresh import refreshes_under_kills
from tests.faults.scenarios.s36_rewrap import rewrapped_under_load
from tests.faults.stage import Say, Violation
from tests.fuzz.walk import walked
from tests.loop import Loop, running_loop
from tests.window import running

AtLength: TypeAlias = Callable[[str, str, int, float, Say], Awaitable[None]]

INPUTS, INPUTS_A_PART = 100_000, 5_000
STOPS, STOPS_A_PART = 200, 20
GOOD_RECORDS, GOOD_A_PART = 200_000, 20_000
POISON = 0.01
REFRESHES, REFRESHES_A_PART = 20_000, 2_000
PACE, PACED = 500, 5_000
DATA_KEYS, KILLED_IN_BETWEEN = 100_000, 8
FUZZED, ROUNDS, OF_STRANGERS = 20_000, 10, 1_000
PARSED_A_SECOND = 20
"""What each parser's test gets through, and some more on a busy machine: it decides how many fit the time."""


async def r02(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R2: SIGKILL at every await of the crash paths, before it and behind it, in an order from the seed."""
    until, round_ = time.monotonic() + at_most_s, 0
    while round_ == 0 or time.monotonic() < until:
        deaths = await kill_at_every_point(
            server,
            bootstrap,
            whens=("before", "after"),
            seed=seed + round_,
            at_most_s=until - time.monotonic(),
            say=say,
        )
        say(f"{len(deaths.died)} deaths, {deaths.codes} codes, {deaths.interrupted} exchanges interrupted")
        _nothing_wrong("a crash did harm", deaths.wrong)
        round_ += 1


async def r07(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R7: inputs that come one to ten times, shuffled, some of them stale: as the oracle says."""
    until, inputs, deliveries = time.monotonic() + at_most_s, 0, 0
    async with _loop(server, bootstrap) as loop:
        while inputs < INPUTS and (not inputs or time.monotonic() < until):
            run = await repeated_and_shuffled(loop, seed=seed + inputs, inputs=INPUTS_A_PART)
            _nothing_wrong("an input had another effect than its one", run.wrong)
            inputs, deliveries = inputs + run.inputs, deliveries + run.deliveries
    say(f"{inputs} inputs, {deliveries} deliveries")


async def r09(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R9: SIGTERM under load, again and again."""
    until, stops, slowest, callbacks = time.monotonic() + at_most_s, 0, 0.0, 0
    while stops < STOPS and (not stops or time.monotonic() < until):
        told = await stop_under_load(server, bootstrap, seed=seed + stops, stops=STOPS_A_PART)
        _nothing_wrong("a callback was dropped", told.dropped)
        _nothing_wrong("it didn't exit 0", [str(code) for code in told.exit_codes if code != 0])
        slowest, callbacks = max(slowest, *told.seconds), callbacks + told.callbacks
        stops += STOPS_A_PART
    say(f"{stops} ends, {callbacks} callbacks, the slowest end took {slowest:.2f} s")


async def r10(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R10: 1 % poison of every kind; and what it costs the others: p99 with it and without, in turn."""
    until, sent, poison = time.monotonic() + at_most_s, 0, 0
    while sent < GOOD_RECORDS and (not sent or time.monotonic() < until):
        async with _loop(server, bootstrap) as loop:  # its letters are counted, so each part has topics of its own
            run = await poison_among_good(
                loop, seed=seed + sent, good_records=GOOD_A_PART, share=POISON, connectors=1_000
            )
        _nothing_wrong("poison among good records", run.wrong)
        sent, poison = sent + run.good, poison + len(run.poison)
    say(f"{sent} good records, {poison} poisonous ones of {len(run.kinds)} kinds")
    async with _loop(server, bootstrap) as loop:
        for turn, share in enumerate((0, POISON, 0, POISON)):
            took = await waited(loop, seed=seed + turn, records=PACED, a_second=PACE, share=share)
            say(f"{share:.0%} poison: a good record is published after p50 {took.p50:.0f} ms, p99 {took.p99:.0f} ms")


async def s36(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """S36: a hundred thousand data keys come under a new key while tokens are refreshed, over kills in between."""
    async with _loop(server, bootstrap) as loop:
        told = await rewrapped_under_load(loop, data_keys=DATA_KEYS, kills=KILLED_IN_BETWEEN)
    _nothing_wrong("the change of keys was noticed", told.wrong)
    say(
        f"{told.data_keys} data keys wrapped anew over {told.kills} kills; {told.refreshes} refreshes meanwhile, none "
        f"failed, the slowest took {told.slowest_s:.2f} s"
    )


async def r13(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R13, P20: refresh tokens that work once, replicas that are killed: with a replay grace, and without."""
    until, refreshes, part = time.monotonic() + at_most_s, 0, 0
    while refreshes < REFRESHES and (part < 2 or time.monotonic() < until):
        grace = timedelta(minutes=30) if part % 2 == 0 else timedelta()
        async with database_on(server) as dsn:
            told = await refreshes_under_kills(
                dsn,
                bootstrap,
                f"soak{uuid4().hex[:8]}.",
                seed=seed + part,
                refreshes=REFRESHES_A_PART,
                replicas=4,
                connectors=50,
                grace=grace,
                say=say,
            )
        _nothing_wrong("a refresh went wrong", told.wrong)
        _nothing_wrong("a grant was lost outside the window", told.lost[0 if grace else told.in_the_window :])
        if told.repeated > told.interrupted:
            raise Violation("refresh tokens were sent again without a death", [str(told)])
        refreshes, part = refreshes + told.refreshes, part + 1


async def r14(server: str, bootstrap: str, seed: int, at_most_s: float, say: Say) -> None:
    """R14: every parser, operation, callback and page with whatever may come, from strangers and another tenant."""
    until, part = time.monotonic() + at_most_s * 0.6, 0
    operations = strangers = 0
    while min(operations, strangers) < FUZZED and (part == 0 or time.monotonic() < until):
        with tempfile.TemporaryDirectory() as folder:
            async with (
                database_on(server) as dsn,
                running(dsn, bootstrap, f"soak{uuid4().hex[:8]}.", Path(folder)) as service,
            ):
                left = until - time.monotonic()
                told = await walked(service, seed=seed + part, rounds=ROUNDS, of_strangers=OF_STRANGERS, at_most_s=left)
        operations, strangers, part = operations + told.operations, strangers + told.strangers, part + 1
        say(f"{operations} requests for operations, {strangers} of strangers")
    examples = max(1_000, min(FUZZED, int(at_most_s * 0.4 * PARSED_A_SECOND)))
    await _parsers(examples)
    say(f"{examples} examples for each parser")


async def _parsers(examples: int) -> None:
    """The tests of the parsers, which are pytest's, with more examples."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "tests/fuzz/test_r14_parsers.py"]
    pytest = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "REGRANT_FUZZ_EXAMPLES": str(examples)}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await pytest.communicate()
    _nothing_wrong("a parser", said.decode(errors="replace").splitlines()[-20:] if pytest.returncode else [])


ALL: tuple[AtLength, ...] = (r02, r07, r09, r10, r13, r14, s36)


def _nothing_wrong(what: str, wrong: Sequence[str]) -> None:
    if wrong:
        raise Violation(what, list(wrong))


@asynccontextmanager
async def _loop(server: str, bootstrap: str) -> AsyncIterator[Loop]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            database_on(server) as dsn,
            running_loop(dsn, bootstrap, f"soak{uuid4().hex[:8]}.", Path(folder)) as loop,
        ):
            yield loop
