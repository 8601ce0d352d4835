"""R6: a loss only delays. Each part is taken away under load and given back; the full run is `make soak`."""

import contextlib
from collections.abc import Iterator

import pytest

from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor
from tests.faults.cluster import three_brokers
from tests.faults.postgres import Primary, SmallDisk, Standby, failover_dsn
from tests.faults.proxy import before
from tests.faults.scenarios import r06_loss
from tests.faults.stage import staged

pytestmark = pytest.mark.slow

CONNECTORS = 200


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with contextlib.closing(Supervisor()) as supervisor:
        yield supervisor


async def test_r06_a_broker_that_is_away_only_delays_and_costs_no_memory(
    database: str, topic_prefix: str, supervisor: Supervisor
) -> None:
    broker = EmbeddedKafka(supervisor)
    await broker.start()
    async with staged(database, broker.bootstrap, topic_prefix, seed=6, connectors=CONNECTORS, say=print) as stage:
        process = await stage.fleet.start("all")
        await stage.registered()
        await r06_loss.the_broker_is_killed(stage, broker, 1)
        await r06_loss.memory_stays_while_the_brokers_are_away(stage, process, broker, 15)


async def test_r06_a_database_that_crashes_or_swallows_a_commit_s_answer_only_delays(
    kafka_bootstrap: str, topic_prefix: str, supervisor: Supervisor
) -> None:
    postgres = EmbeddedPostgres(supervisor)
    await postgres.start()
    async with (
        before(postgres.dsn) as proxy,
        staged(
            postgres.dsn,
            kafka_bootstrap,
            topic_prefix,
            seed=66,
            connectors=CONNECTORS,
            service_dsn=proxy.dsn(postgres.dsn),
            say=print,
        ) as stage,
    ):
        await stage.fleet.start()
        await stage.registered()
        await r06_loss.commits_are_stored_and_nobody_is_told(stage, proxy, 3)
        await r06_loss.the_database_crashes(stage, postgres, 2)


async def test_r06_a_full_disk_only_delays(kafka_bootstrap: str, topic_prefix: str, supervisor: Supervisor) -> None:
    postgres = SmallDisk(supervisor)
    await postgres.start()
    async with staged(postgres.dsn, kafka_bootstrap, topic_prefix, seed=666, connectors=CONNECTORS, say=print) as stage:
        process = await stage.fleet.start()
        await stage.registered()
        await r06_loss.the_disk_is_full(stage, postgres, 4)
        assert "DiskFullError" in process.log.read_text(), "the disk wasn't full"


async def test_r06_a_standby_takes_over_and_nothing_is_lost(
    kafka_bootstrap: str, topic_prefix: str, supervisor: Supervisor
) -> None:
    primary = Primary(supervisor)
    await primary.start()
    standby = Standby(supervisor, primary)
    await standby.start()
    await primary.wait_for(standby)
    dsn = failover_dsn(primary, standby)
    async with staged(dsn, kafka_bootstrap, topic_prefix, seed=67, connectors=CONNECTORS, say=print) as stage:
        await stage.fleet.start()
        await stage.registered()
        await r06_loss.the_standby_takes_over(stage, primary, standby)


async def test_r06_a_backlog_of_one_shard_comes_out(database: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=60, connectors=1500, shards=1, say=print) as stage:
        worker = await stage.fleet.start()
        await stage.registered()
        worker.kill()
        for _ in range(3):
            await stage.load.round()
        await stage.fleet.start()
        await stage.until_normal(60)


async def test_r06_one_lost_broker_of_three_only_delays(database: str, topic_prefix: str) -> None:
    async with (
        three_brokers() as cluster,
        staged(database, cluster.bootstrap, topic_prefix, seed=63, connectors=CONNECTORS, say=print) as stage,
    ):
        await stage.fleet.start()
        await stage.registered()
        await r06_loss.one_of_three_brokers_is_killed(stage, cluster, 3)
