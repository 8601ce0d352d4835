"""R2: a crash anywhere is harmless. The service is killed with SIGKILL at the points of its crash paths.

At every third point in a run, other ones each day; `make soak ARGS="--only r02"` kills at all of them.
"""

from datetime import UTC, datetime

import pytest

from tests.faults.scenarios.r02_kills import kill_at_every_point

pytestmark = pytest.mark.slow

EVERY = 3

NEVER = {
    "service/engine/door.py: Engine.consume: await queue.drained.wait": (
        "the records of two topics that may be in flight don't fill a shard's queue"
    ),
    "service/engine/door.py: Engine._isolate: await self._process": "no caller's input breaks a batch",
    "service/engine/jobs.py: _run: await _postpone (2)": "only a fault of ours breaks a handler",
    **{
        f"service/oauth/refresh.py: Refresher.{point}": why
        for why, points in {
            "a lane has one replica": (
                "_store: await refreshes.holders",
                "_store: await self._holders.usable",
                "_store: enter self._pool.acquire",
                "_store: exit self._pool.acquire",
            ),
            "the database is never cut amidst a refresh": ("_store: await asyncio.sleep",),
            "Intuit has no replay grace": (
                "_former: await self._keeper.opened",
                "_former: enter self._pool.acquire",
                "_former: exit self._pool.acquire",
                "_refreshed: await self._ask (2)",
            ),
            "Intuit always gives a refresh token": ("_refreshed: await self._reject",),
            "no row is tampered with here": (
                "_fly: await self.broken",
                "_refresh: await self.broken",
                "broken: await found_broken",
            ),
        }.items()
        for point in points
    },
    "service/oauth/saved.py: SavedVerifier.find: await self._refresher.broken": "no row is tampered with here",
    "service/oauth/tokens.py: Tokens._opened: await self._refresher.broken": "no row is tampered with here",
    "service/oauth/tokens.py: Tokens._access_token: enter self._pool.acquire": "no row is tampered with here",
    "service/oauth/tokens.py: Tokens._access_token: exit self._pool.acquire": "no row is tampered with here",
    "service/oauth/tokens.py: Tokens._access_token: await self._keeper.stored_key": "no row is tampered with here",
    "service/oauth/tokens.py: Tokens._access_token: await self._keeper.open (2)": "no row is tampered with here",
    "service/store/refreshes.py: holders: await connection.fetch": "a lane has one replica",
    "service/oauth/holders.py: Holders.usable: await found_broken": "no row is tampered with here",
    "service/oauth/holders.py: Holders.resealed: await found_broken": "no row is tampered with here",
    "service/oauth/sharing.py: Sharer._copied: await found_broken": "no row is tampered with here",
    **dict.fromkeys(
        (
            "service/oauth/sharing.py: Sharer.run: await postpone",
            "service/oauth/sharing.py: Sharer.run: enter self._pool.acquire (2)",
            "service/oauth/sharing.py: Sharer.run: exit self._pool.acquire (2)",
        ),
        "nobody refreshes a grant in its first moments, nor does anything else change in them",
    ),
    "service/oauth/verify.py: Verifier._renewed: await self._reject": "no dead grant is imported",
    "service/oauth/keeper.py: Keeper._check: await credentials.others_under_its_key": "every data key opens here",
    "service/oauth/keeper.py: Keeper._check: await self._opens": "every data key opens here",
    "service/oauth/keeper.py: Keeper._opens: await self._vault.check": "every data key opens here",
    "service/store/credentials.py: others_under_its_key: await connection.fetch": "every data key opens here",
    "service/oauth/keeper.py: Keeper.key_of: await credentials.replace_data_key": "no data key is tampered with here",
    "service/oauth/keeper.py: found_broken: await credentials.give_up_data_key": "no row is tampered with here",
    "service/oauth/keeper.py: found_broken: await engine.submit": "no row is tampered with here",
    "service/oauth/keeper.py: found_broken: enter pool.acquire": "no row is tampered with here",
    "service/oauth/keeper.py: found_broken: exit pool.acquire": "no row is tampered with here",
    "service/oauth/verify.py: Verifier.run: await self._reject": "no row is tampered with here",
    "service/oauth/verify.py: Verifier._check: await self._reject": "a lane's connectors may share their company",
    "service/store/credentials.py: give_up_data_key: await connection.execute": "no row is tampered with here",
    "service/store/credentials.py: replace_data_key: await connection.execute": "no data key is tampered with here",
    **dict.fromkeys(
        (
            "service/oauth/returning.py: Returning._note_bad_callback: enter self._pool.acquire",
            "service/oauth/returning.py: Returning._note_bad_callback: exit self._pool.acquire",
            "service/oauth/returning.py: Returning._note_bad_callback: await audit",
            "service/oauth/returning.py: Returning._read: await self._note_bad_callback",
        ),
        "no browser of a lane sends what is no answer; a row of the audit is all that it leaves",
    ),
    **dict.fromkeys(
        (
            "service/oauth/returning.py: Returning.posted: await self._read",
            "service/oauth/returning.py: Returning.posted: enter self._pool.acquire",
            "service/oauth/returning.py: Returning.posted: exit self._pool.acquire",
            "service/oauth/returning.py: Returning.posted: await attempts.attempt_of_state",
            "service/oauth/returning.py: Returning.posted: await carry",
            "service/oauth/returning.py: Returning.posted: await _refused",
            "service/oauth/returning.py: Returning.carried: enter self._pool.acquire",
            "service/oauth/returning.py: Returning.carried: exit self._pool.acquire",
            "service/oauth/returning.py: Returning.carried: await attempts.attempt",
            "service/oauth/returning.py: Returning.carried: await arrive",
            "service/oauth/returning.py: Returning.carried: await _refused",
            "service/oauth/returning.py: Returning.carried: await self._answered",
        ),
        "Intuit answers in the address; a form is only brought to its browser, and changes nothing on the way",
    ),
    "service/oauth/flow.py: Flow._go: await self._refuse": "Intuit takes no pushed requests, so it refuses none",
    **{
        f"service/oauth/importing.py: {point}": "of `regrant import`, a process of its own that is run again"
        for point in (
            "Importer.outcome: await attempts.attempt_of_tenant",
            "Importer.outcome: enter self._pool.acquire",
            "Importer.outcome: exit self._pool.acquire",
            "Importer.register: await self._engine.submit",
            "_refusal: await asyncio.sleep",
            "_refusal: await importer.outcome",
            "_imported: await importer.register",
            "_refusal: await importer.take_in",
            "_refusal: enter asyncio.timeout",
            "_refusal: exit asyncio.timeout",
            "Importer.is_there: await imports.works",
            "Importer.is_there: enter self._pool.acquire",
            "Importer.is_there: exit self._pool.acquire",
            "_imported: await _refusal",
            "_imported: await importer.is_there",
            "import_lines.<locals>.one: await _imported",
            "import_lines.<locals>.one: enter some",
            "import_lines.<locals>.one: exit some",
            "import_lines: await asyncio.gather",
        )
    },
    "service/engine/door.py: Engine._store: await begin_spans": "no traces are wanted here",
    "service/engine/door.py: Engine.join: await self._traceparents": "no traces are wanted here",
    "service/store/imports.py: works: await connection.fetchval": "of `regrant import`, likewise",
    **{
        f"service/store/data_keys.py: {point}": "of `regrant keys`, a process of its own that is run again"
        for point in (
            "counts: await connection.fetch",
            "owners: await connection.fetch",
            "retire: await connection.execute",
            "retire: await connection.execute (2)",
            "retire: await connection.fetchval",
            "retire: enter connection.transaction",
            "retire: exit connection.transaction",
            "retired: await connection.fetch",
        )
    },
    "service/oauth/verification.py: verify: await _wrong": "the simulated Intuit's ID token names the company",
    "service/oauth/verification.py: _wrong: await _proof": "likewise: its proof is asked for at once",
    "service/oauth/verify.py: Verifier.run: await finish": "an attempt's end takes its job along; only a race is here",
}
"""Points that no scenario passes, each with why. A new await is noticed: it is passed, or it has to be named here."""

BY_LUCK = {
    "service/kafka/consume.py: Consumer._positions: await self._engine.store.position": (
        "asked by a consumer without any partition: the one of a lane has them all, unless it takes long to get them"
    ),
    "service/oauth/flow.py: Flow.begin: await self._own (2)": "needs two tabs whose button is pressed in one moment",
    "service/engine/door.py: Engine._process: await asyncio.sleep": "needs another's write between two statements",
    "service/kafka/consume.py: Consumer.run: await asyncio.sleep": "needs a cut amidst a claim",
    "service/kafka/relay.py: Relay.run: await asyncio.sleep": "needs a cut amidst a claim",
    "service/kafka/relay.py: Relay._follow: enter asyncio.timeout": "needs an end within a second of a publication",
    "service/kafka/relay.py: Relay._follow: exit asyncio.timeout": "needs an end within a second of a publication",
    "service/kafka/relay.py: Relay._follow: await self.store.move_watermark (2)": "likewise",
    "service/kafka/relay.py: _to_its_end: await asyncio.wait": "needs an end amidst a publication",
    "service/kafka/relay.py: _to_its_end: await task": "needs an end amidst a publication",
}
"""Points that may or may not be passed in a run: a matter of moments."""


async def test_r02_p07_p08_a_crash_anywhere_is_harmless(postgres_server: str, kafka_bootstrap: str) -> None:
    first = datetime.now(UTC).toordinal() % EVERY
    print(f"points {first}, {first + EVERY}, …")
    deaths = await kill_at_every_point(postgres_server, kafka_bootstrap, part=slice(first, None, EVERY), say=print)
    print(f"{len(deaths.died)} deaths, {deaths.codes} codes, {deaths.interrupted} exchanges interrupted")
    print(*deaths.wrong, sep="\n")  # whole: an assertion cuts them
    assert deaths.wrong == []
    assert deaths.interrupted > 0, "some died with a code on its way"
    assert deaths.never - set(BY_LUCK) == set(NEVER)
    assert not [missed for missed in deaths.missed if not any(name in missed for name in BY_LUCK)]
