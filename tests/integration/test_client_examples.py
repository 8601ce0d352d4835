"""The examples that hosts copy: each runs as it is, as a process of its own, before the real service."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from service.demo.embedded.child import free_port
from tests.loop import eventually
from tests.window import Running, running

CLIENT = Path(__file__).parents[2] / "clients" / "python"
PATIENCE_S = 60.0
"""Interpreters start slowly on a busy machine."""
SIGNED_IN = {"Cookie": "session=olivias-session"}
BUTTON = re.compile(r'<form method="post" action="(?P<to>[^"]+)">(?P<hidden>[^\n]*?)<button>Connect QuickBooks')
HIDDEN = re.compile(r'name="(\w+)" value="([^"]+)"')


@asynccontextmanager
async def example(name: str, *arguments: str, **variables: str) -> AsyncIterator[Path]:
    """Runs `examples/<name>.py` with these variables; yields the file that holds what it prints."""
    printed = Path(variables["FOLDER"]) / f"{name}{'-'.join(arguments)}.txt"
    environment = {**os.environ, **variables, "PYTHONPATH": str(CLIENT / "src")}
    with printed.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CLIENT / "examples" / f"{name}.py"),
            *arguments,
            env=environment,
            cwd=variables["FOLDER"],
            stdout=output,
            stderr=output,
        )
    try:
        yield printed
    except AssertionError as error:
        error.add_note(f"{name} printed:\n{printed.read_text()}")
        raise
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def host(
    database: str, bootstrap: str, prefix: str, folder: Path
) -> AsyncIterator[tuple[Running, dict[str, str], str]]:
    """The service with a worker, what an example is told of it, and the address at which it expects the host."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    web = {"completion_url": f"{origin}/connections/complete", "reconnect_url": f"{origin}/connections/reconnect"}
    async with running(database, bootstrap, prefix, folder, more={"web": web}) as service:
        await service.loop.take_over()
        variables = {
            "CONNECT_URL": service.origin,
            "SIGNING_KEY_FILE": str(service.loop.service.settings.jwt.hs256_key_file),
            "KAFKA": bootstrap,
            "TOPIC_PREFIX": prefix,
            "QUICKBOOKS_URL": service.loop.simulator.addresses.api,
            "PORT": str(port),
            "FOLDER": str(folder),
        }
        yield service, variables, origin


async def asked(
    method: str, address: str, headers: Mapping[str, str] = {}, data: Mapping[str, str] | None = None
) -> tuple[int, str, str, Mapping[str, str]]:
    """Status, text and `Location` of an answer, and its cookies; 0 while nobody listens."""
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, address, headers=headers, data=data, allow_redirects=False) as answer,
        ):
            cookies = {name: morsel.value for name, morsel in answer.cookies.items()}
            return answer.status, await answer.text(), answer.headers.get("Location", ""), cookies
    except aiohttp.ClientConnectionError:
        return 0, "", "", {}


async def pressed(origin: str) -> str:
    """Presses *Connect QuickBooks* on the host's page, as its form says; returns where the browser is sent."""
    _, page, _, cookies = await asked("GET", f"{origin}/connections", SIGNED_IN)
    form = BUTTON.search(page)
    assert form is not None, page
    cookie = "; ".join([SIGNED_IN["Cookie"], *(f"{name}={value}" for name, value in cookies.items())])
    fields = dict(HIDDEN.findall(form["hidden"]))
    status, text, location, _ = await asked("POST", origin + form["to"], {"Cookie": cookie}, fields)
    assert status in (302, 303), (status, text)
    return location


HOSTS = {
    "aiohttp": ("sync_engine", "{id}: 200", [["host_aiohttp"]]),
    "fastapi": ("raw_topics", "{id}: syncing -> healthy (sync_succeeded)", [["host_fastapi"]]),
    "django": (
        "raw_topics",
        "{id}: verifying -> syncing (verified)",
        [["host_django", "serve"], ["host_django", "follow"]],
    ),
}
"""Each with a sync engine and a line that this prints."""


@pytest.mark.parametrize("name", HOSTS)
async def test_a_host_connects_a_person_and_shows_what_kafka_tells(
    name: str, database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    engine, line, commands = HOSTS[name]
    async with (
        host(database, kafka_bootstrap, topic_prefix, tmp_path) as (service, variables, origin),
        AsyncExitStack() as run,
    ):
        sync_engine = await run.enter_async_context(example(engine, **variables))
        for command in commands:
            await run.enter_async_context(example(*command, **variables))

        async def listens() -> bool:
            return (await asked("GET", f"{origin}/connections", SIGNED_IN))[0] == 200

        await eventually(listens, "the host listens", patience_s=PATIENCE_S)
        assert (await asked("GET", f"{origin}/connections"))[0] == 401, "a stranger sees nothing"

        # The person: the host's button, regrant's window, the provider, back to the host, which confirms.
        browser = service.browser()
        link = URL(await pressed(origin)).path
        back = await browser.get(await browser.sign_in(await service.begun(browser, link)))
        assert back.location.startswith(f"{origin}/connections/complete?"), back
        assert (await asked("GET", back.location))[0] == 401, "a stranger completes nothing"
        status, _, location, _ = await asked("GET", back.location, SIGNED_IN)
        assert status in (302, 303) and location.startswith(f"{service.origin}/connect/attempts/")

        # The sync engine obeys; it and the host read that the connector is healthy.
        id_ = await service.loop.pool.fetchval("select connector_id from connector")

        async def healthy() -> bool:
            return f"{id_}: healthy" in (await asked("GET", f"{origin}/connections", SIGNED_IN))[1]

        await eventually(healthy, "the host shows it healthy", patience_s=PATIENCE_S)
        last = line.format(id=id_)
        await eventually(lambda: last in sync_engine.read_text(), "the sync engine tells it", patience_s=PATIENCE_S)

        # The link of a notice leads through the host's login to a fresh handoff.
        notice = f"{origin}/connections/reconnect?provider=quickbooks-online&connector_id={id_}"
        assert (await asked("GET", notice))[0] == 401
        assert (await asked("GET", notice, SIGNED_IN))[2].startswith(f"{service.origin}/connect/")
