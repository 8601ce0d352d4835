"""`regrant demo`: everything in one process tree, a line per part, a block of addresses, until Ctrl-C.

`--ci` runs the stories instead, and checks them. Nothing is left behind, also when this process is killed.
"""

import asyncio
import logging
import signal
import socket
import time
import webbrowser
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console

from service.demo import steps as said
from service.demo.embedded.child import Supervisor, free_port
from service.demo.people.run import let_people_go
from service.demo.platform import Platform, Ports, running_platform
from service.demo.servers import running_kafka, running_postgres, servers_of
from service.demo.set_up import connect_drivewell
from service.demo.steps import Steps
from service.demo.stories.report import Report
from service.demo.stories.run import PLATFORMS, run_stories

DEMO = "demo"
SEED = 1
"""Of the people: the same come each time, in the same order."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Wanted:
    """One platform that is to be started."""

    name: str
    ports: Ports
    rules: Mapping[str, str] = field(default_factory=dict)


async def demo(
    *,
    ci: bool,
    json: bool,
    people: int = 0,
    kafka: str | None,
    postgres: str | None,
    port: int = 8080,
    open_browser: bool = False,
    listen: str = "127.0.0.1",
) -> int:
    """Runs the demo; with `people`, so many customers come and go, and what they met is judged.

    `port` is the host application's, those behind it regrant's and the provider's. Their addresses are on 127.0.0.1,
    also where they `listen` on every one of a container, which publishes its ports there.

    Returns the exit code: 0, 1 where a story failed, 130 when the stories were interrupted. Raises what a part raises
    that can't start.
    """
    began = time.monotonic()
    console = said.console_for(json=json)
    task = asyncio.current_task()
    assert task is not None
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is just starting makes it chatty
    with _interrupting(task), closing(Supervisor()) as supervisor, Steps(console) as steps:
        try:
            if ci and not people:
                wanted = [Wanted(name, _any_ports(), rules) for name, rules in PLATFORMS.items()]
                measured = asyncio.Event()
                async with running(supervisor, steps, wanted, kafka, postgres, after=measured) as platforms:
                    report = Report(console, began)
                    await run_stories(platforms, report, measured)
                    return report.close(as_json=json)
            wanted = [Wanted(DEMO, _ports(port))]
            async with running(supervisor, steps, wanted, kafka, postgres, listen=listen) as starting:
                platform = await starting[DEMO]
                async with steps.step("Drivewell's connectors") as step:
                    await connect_drivewell(platform, step.say)
                    step.done("connected; one of them has failed since")
                if people:
                    report = Report(console, began)
                    async with steps.step(f"{people} people") as step:
                        await let_people_go(platform, people, SEED, report, step)
                    code = report.close(as_json=json)
                    if ci:
                        return code
                steps.settle()
                _show_addresses(console, platform)
                if open_browser:
                    webbrowser.open(platform.host.url)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            console.print("\nstopping …")
            task.uncancel()
            return INTERRUPTED if ci else 0
    raise AssertionError("the demo ends by its stories or by an interruption")


@asynccontextmanager
async def running(
    supervisor: Supervisor,
    steps: Steps,
    wanted: Sequence[Wanted],
    kafka: str | None,
    postgres: str | None,
    *,
    after: asyncio.Event | None = None,
    listen: str = "127.0.0.1",
) -> AsyncIterator["dict[str, asyncio.Task[Platform]]"]:
    """All platforms, by name, on one database server and one Kafka; what doesn't need another starts side by side.

    The first platform has the machine for itself until `after` is set; then the others start.
    """
    names = [one.name for one in wanted]
    async with AsyncExitStack() as servers, AsyncExitStack() as platforms, asyncio.TaskGroup() as starting:
        dsns = starting.create_task(servers.enter_async_context(running_postgres(supervisor, steps, postgres, names)))
        brokers = starting.create_task(servers.enter_async_context(running_kafka(supervisor, steps, kafka, names)))

        async def start(one: Wanted) -> Platform:
            if after is not None and one is not wanted[0]:
                await after.wait()
            at = starting.create_task(servers_of(one.name, dsns, brokers))
            platform = running_platform(supervisor, steps, one.name, at, one.ports, one.rules, listen=listen)
            return await platforms.enter_async_context(platform)

        yield {one.name: starting.create_task(start(one)) for one in wanted}


@contextmanager
def _interrupting(task: "asyncio.Task[object]") -> Iterator[None]:
    """SIGINT and SIGTERM cancel the task, so that everything is taken down in order."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _show_addresses(console: Console, platform: Platform) -> None:
    at = platform.simulator.addresses
    console.print()
    for name, address in (
        ("Drivewell, open this", platform.host.url),
        ("regrant's console, for support", f"{platform.host.url}/console"),
        ("regrant, the API", f"{platform.deployment.url}/v1/openapi.json"),
        ("Simulated Intuit, the pages", at.accounts),
        ("Simulated Intuit, the switches", f"{at.accounts}/_sim/"),
        ("Kafka", platform.deployment.bootstrap),
        ("PostgreSQL", platform.deployment.dsn),
    ):
        console.print(f"  {name:<32}{address}")
    console.print("\n  ⋮ → Edit credentials, then olivia@drivewell.example with the password demo. Ctrl-C ends it.\n")


def _ports(first: int) -> Ports:
    """The wished port and the two after it, each replaced by a free one where it is taken."""
    host, regrant, provider = (port if _is_free(port) else free_port() for port in range(first, first + 3))
    return Ports(host, regrant, provider)


def _any_ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
