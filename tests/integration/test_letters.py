"""Dead letters: explained with the field that is wrong, replayed through Kafka or dropped, by somebody with a name."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.problems import ProblemCode
from service.app import replayer_of, web_app
from tests.integration.test_api import Host, problem
from tests.loop import Loop, eventually, running_loop

LETTERS = "/v1/dead-letters"


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        replaying = asyncio.create_task(replayer_of(loop.service).run())
        yield loop
        replaying.cancel()
        await asyncio.gather(replaying, return_exceptions=True)


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(web_app(loop.service, "api", asyncio.Event())), key_file.read_bytes().strip())


async def asked(host: Host, path: str, method: str = "GET") -> Any:
    answer = await host.call(method, path, tenant="*")
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def letters(host: Host, count: int, query: str = "") -> list[Any]:
    async def there() -> Any:
        found = (await asked(host, f"{LETTERS}{query}"))["letters"]
        return found if len(found) == count else None

    return await eventually(there, f"{count} dead letters")  # type: ignore[no-any-return]


async def test_a_letter_that_can_be_taken_by_now_is_replayed_and_taken(host: Host, loop: Loop) -> None:
    await loop.fail(ConnectorId("late"), generation=None)
    (letter,) = await letters(host, 1)
    path = f"{LETTERS}/{letter['letter_id']}"
    assert (letter["code"], letter["status"], letter["connector_id"]) == ("unknown_connector", "waiting", "late")
    told = await asked(host, path)
    assert told["replay_helps"] is False and told["next"].startswith("Register “late”")

    await loop.register("late", connected=True)
    told = await asked(host, path)
    assert told["replay_helps"] is True and "replay it" in told["next"]
    replayed = await asked(host, f"{path}/replay", "POST")
    assert (replayed["status"], replayed["decided_by"]) == ("replaying", "backend")

    await loop.state(ConnectorId("late"), State.FAILED)
    assert (await letters(host, 1, "?status=replayed"))[0]["letter_id"] == letter["letter_id"]
    assert (await asked(host, f"{LETTERS}?status=waiting"))["letters"] == []
    again = await host.call("POST", f"{path}/replay", tenant="*")
    assert "replayed" in (await problem(again, ProblemCode.LETTER_SETTLED))["detail"]
    audited = await loop.pool.fetch("select what, actor, detail from audit where what like 'dead_letter%'")
    assert [(row["what"], row["actor"]) for row in audited] == [("dead_letter_replay", "backend")]
    assert orjson.loads(audited[0]["detail"]) == {"letter": letter["letter_id"]}


async def test_a_letter_that_fails_again_is_a_new_letter_that_names_the_first(host: Host, loop: Loop) -> None:
    await loop.produce(channels.SYNC_EVENTS, "books", channels.SYNC_FAILED.type, {"started_at": "yesterday"})
    (first,) = await letters(host, 1)
    told = await asked(host, f"{LETTERS}/{first['letter_id']}")
    assert told["fields"][0] == "started_at" and told["replay_helps"] is False
    assert told["words"].startswith("A field is missing or wrong") and "yesterday" not in str(told)

    await asked(host, f"{LETTERS}/{first['letter_id']}/replay", "POST")
    second, _ = await letters(host, 2)
    assert (second["replay_of"], second["code"], second["status"]) == (first["letter_id"], "schema", "waiting")
    assert (second["topic"], second["partition"]) == (first["topic"], first["partition"])
    # Replayed once more it names the one that it was.
    await asked(host, f"{LETTERS}/{second['letter_id']}/replay", "POST")
    assert (await letters(host, 3))[0]["replay_of"] == second["letter_id"]


async def test_a_dropped_letter_is_kept_with_who_dropped_it(host: Host, loop: Loop) -> None:
    await loop.produce(channels.SYNC_EVENTS, "books", channels.SYNC_FAILED.type, None, value=b"\xff not json")
    (letter,) = await letters(host, 1)
    told = await asked(host, f"{LETTERS}/{letter['letter_id']}/drop", "POST")
    assert (told["status"], told["decided_by"], told["code"]) == ("dropped", "backend", "malformed")
    for decision in ("drop", "replay"):
        answer = await host.call("POST", f"{LETTERS}/{letter['letter_id']}/{decision}", tenant="*")
        await problem(answer, ProblemCode.LETTER_SETTLED)
    assert await loop.pool.fetchval("select count(*) from dead_letter") == 1
    assert await loop.pool.fetchval("select count(*) from audit where what = 'dead_letter_drop'") == 1


async def test_of_many_who_decide_at_once_one_does(host: Host, loop: Loop) -> None:
    await loop.produce(channels.SYNC_EVENTS, "books", "no.such.type", {})
    (letter,) = await letters(host, 1)
    path = f"{LETTERS}/{letter['letter_id']}"
    answers = await asyncio.gather(
        *(host.call("POST", f"{path}/{what}", tenant="*") for what in ("drop", "replay") * 4)
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7


async def test_letters_come_page_by_page_and_by_topic(host: Host, loop: Loop) -> None:
    for number in range(5):
        await loop.fail(ConnectorId(f"c{number}"))
    await loop.produce(channels.COMMANDS, "c9", "no.such.type", {})
    await letters(host, 6)
    page, seen = f"{LETTERS}?limit=2", list[str]()
    while page:
        answer = await host.call("GET", page, tenant="*")
        seen += [one["letter_id"] for one in (await answer.json())["letters"]]
        link = answer.headers.get("Link")
        page = link[1 : link.index(">")] if link else ""
    assert len(seen) == len(set(seen)) == 6
    commands = loop.topics.prefix + channels.COMMANDS.topic
    (only,) = await letters(host, 1, f"?topic={commands}")
    assert only["type"] == "no.such.type"


async def test_an_id_that_is_none_is_an_unknown_letter(host: Host) -> None:
    for id_ in ("0-1", "999999-999999999999999999", "1", "x-y", "-1-1", "1-1%00"):
        for method, more in (("GET", ""), ("POST", "/replay"), ("POST", "/drop")):
            answer = await host.call(method, f"{LETTERS}/{id_}{more}", tenant="*")
            await problem(answer, ProblemCode.UNKNOWN_LETTER)
