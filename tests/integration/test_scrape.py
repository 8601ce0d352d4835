"""A scrape of a running service, after a connector failed and came back: the metrics hold what that deserves."""

import contextlib

import aiohttp
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.client import Regrant
from service.demo.deployment import Deployment
from service.demo.embedded.child import Supervisor, free_port
from service.demo.events import HostEvents
from service.demo.host.app import PERSON, TENANT
from service.demo.person import Person
from service.demo.simulator import Simulator
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.loop import eventually
from tests.metrics import Samples, labelled, of_answer

QUICKBOOKS = "quickbooks-online"
MOVES = [
    ("absent", "healthy", "register"),
    ("healthy", "failed", "sync_failed"),
    ("failed", "awaiting_auth", "start_reauth"),
    ("awaiting_auth", "verifying", "grant_received"),
    ("verifying", "syncing", "verified"),
    ("syncing", "healthy", "sync_succeeded"),
]


async def test_a_scrape_tells_of_a_connector_that_failed_and_came_back(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    port = free_port()
    with contextlib.closing(Supervisor()) as supervisor:
        async with (
            await Simulator.start() as simulator,
            aiohttp.ClientSession() as session,
            HostEvents(kafka_bootstrap, topic_prefix) as events,
        ):
            deployment = Deployment(
                supervisor,
                "scraped",
                port=free_port(),
                host_url=f"http://127.0.0.1:{free_port()}",
                simulator=simulator,
                bootstrap=kafka_bootstrap,
                dsn=database,
                topic_prefix=topic_prefix,
                settings={"REGRANT_METRICS__PORT": str(port)},
            )
            deployment.make_keys()
            await deployment.migrate()
            await deployment.start()
            regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
            await regrant.post(
                "/v1/connectors",
                {"connector_id": "c1", "provider": QUICKBOOKS, "name": "Books", "connected": True},
            )

            async def is_in(state: State) -> bool:
                return bool((await regrant.get("/v1/connectors/c1"))["state"] == state)

            async def scrape() -> Samples:
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    assert answer.status == 200
                    return of_answer(await answer.text())

            failure = {"reason": Reason.TOKEN_REFUSED}
            await events.send(events.event(channels.SYNC_EVENTS, channels.SYNC_FAILED, "c1", failure))
            await eventually(lambda: is_in(State.FAILED), "the failure is taken")
            attempt = await regrant.post("/v1/connectors/c1/attempts", {"person": PERSON})
            async with Person(OLIVIA, PASSWORD, (deployment.url,)) as olivia:
                authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
                callback = await olivia.sign_in(authorize, company="Drivewell Inc")
                async with olivia.session.get(callback, allow_redirects=False) as answer:
                    completion = URL(answer.headers["Location"])
                async with olivia.session.get(callback.with_query(state="forged", code="x")) as answer:
                    assert answer.status == 404
            body = {"completion_token": completion.query["completion_token"], "person_id": PERSON["id"]}
            await regrant.post(f"/v1/attempts/{attempt['attempt_id']}/complete", body)
            await eventually(lambda: is_in(State.SYNCING), "the credential is swapped")
            done = events.event(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, "c1", {"generation": 1})
            poison = events.event(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, "never-registered", {})
            await events.send(done)
            await events.send(poison)
            await eventually(lambda: is_in(State.HEALTHY), "data flows")

            async def counted() -> Samples | None:
                samples = await scrape()
                steps = labelled(step="data_flowing", outcome="connected", code="")
                letter = samples["regrant_dead_letters_total", labelled(code="unknown_connector")]
                return samples if letter and ("regrant_reauth_step_total", steps) in samples else None

            seen = await eventually(counted, "the attempt is counted from the log, and the letter is one")

            def value(name: str, **labels: str) -> float | None:
                return seen.get((f"regrant_{name}", labelled(**labels)))

            for from_, to, trigger in MOVES:
                moved = {"from_": from_, "to": to, "trigger": trigger, "provider": QUICKBOOKS}
                assert value("transitions_total", **moved) == 1, moved
            assert (
                value("token_requests_total", provider=QUICKBOOKS, grant="authorization_code", outcome="granted") == 1
            )
            assert value("callbacks_total", outcome="returned") == 1
            assert value("callbacks_total", outcome="unknown") == 1
            assert value("dead_letters_total", code="unknown_connector") == 1
            assert value("jobs_total", kind="verify", outcome="done") == 1
            assert value("provider_request_seconds_count", provider=QUICKBOOKS, at="token", status="2xx") == 1
            parts = {part: value("reauth_duration_seconds_count", provider=QUICKBOOKS, part=part) for part in PARTS}
            assert parts == dict.fromkeys(PARTS, 1)
            opened = {"method": "POST", "route": "/v1/connectors/{connector_id}/attempts", "status": "2xx"}
            assert value("http_request_seconds_count", **opened) == 1
            assert value("database_up") == 1 and value("sealed_row_failures_total", found="broken") == 0

            async def settled() -> bool:
                samples = await scrape()
                published = samples[("regrant_published_total", frozenset())]
                lag = samples[("regrant_consumer_lag", labelled(topic=channels.SYNC_EVENTS.topic))]
                return published == len(MOVES) + 1 and lag == 0

            await eventually(settled, "all is published and read")
            text = str(sorted(seen))
            assert "c1" not in text and TENANT not in text
            async with session.get(f"{deployment.url}/metrics") as answer:
                assert answer.status == 404  # never on the public port
            await deployment.stop()


PARTS = ("whole", "owner", "regrant", "provider", "host")
