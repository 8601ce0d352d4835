"""What all tests share: real servers, one of each a session; a fresh database and fresh topics a test."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from tests import markers, servers
from tests.databases import database_on, dropped, make_schema
from tests.leftovers import left_behind, names_of_ours

_DOCKER = "docker"


def pytest_configure(config: pytest.Config) -> None:
    """Secrets carry a marker from here on, and are hunted for."""
    markers.pytest_configure(config)


@pytest.fixture(scope="session")
def marker_hunt(pytestconfig: pytest.Config) -> markers.Hunt:
    return pytestconfig.stash[markers.HUNT]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need Docker are left out, visibly, where no daemon answers: they test a way that isn't taken there."""
    needing = [item for item in items if item.get_closest_marker(_DOCKER)]
    if needing and not servers.docker_answers():
        config.stash[_LEFT_OUT] = [item.nodeid for item in needing]
        items[:] = [item for item in items if item not in needing]


_LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for nodeid in config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(f"not collected: {nodeid} (no Docker daemon answers)")
    for report in terminalreporter.stats.get("rerun", []):  # with `--reruns`: a second try hides nothing of the first
        terminalreporter.write_sep("_", f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("skipped tests are not allowed here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = names_of_ours()
    yield
    changed = left_behind(before, names_of_ours())
    assert not changed, f"this file of tests changed for all that come after it: {', '.join(changed)}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the session."""
    with servers.postgres() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def kafka_bootstrap(marker_hunt: markers.Hunt) -> Iterator[str]:
    """The address of an Apache Kafka broker that lives as long as the session."""
    with servers.kafka() as bootstrap:
        yield bootstrap
        asyncio.run(markers.look_into_topics(marker_hunt, bootstrap))


@pytest.fixture(scope="session")
def schema(postgres_server: str) -> Iterator[str]:
    """The name of a database that has this version's schema and nothing in it: others are copies of it."""
    name = asyncio.run(make_schema(postgres_server))
    yield name
    asyncio.run(dropped(postgres_server, name))


@pytest.fixture
async def database(postgres_server: str, schema: str) -> AsyncIterator[str]:
    """The address of a database of the test's own, with this version's schema. `migrate` adds its shards."""
    async with database_on(postgres_server, schema) as dsn:
        yield dsn


@pytest.fixture
async def empty_database(postgres_server: str) -> AsyncIterator[str]:
    """The address of a database of the test's own, without a schema."""
    async with database_on(postgres_server) as dsn:
        yield dsn


@pytest.fixture
def topic_prefix() -> str:
    """What stands before the test's own topics."""
    return f"t{uuid.uuid4().hex[:10]}."
