"""A scrape of a running service, after a connector failed and came back: the metrics hold what that deserves."""

from schemas import channels
from schemas.lifecycle import State
from service.demo.embedded.child import free_port
from service.demo.host.app import TENANT
from tests.deployed import deployed
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
    async with deployed(database, kafka_bootstrap, topic_prefix, {"REGRANT_METRICS__PORT": str(port)}) as whole:
        await whole.deployment.start()
        session = whole.session

        async def scrape() -> Samples:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert answer.status == 200
                return of_answer(await answer.text())

        await whole.register("c1")
        await whole.fail("c1")
        await whole.state("c1", State.FAILED)
        callback = await whole.sign_in("c1")
        async with session.get(callback.with_query(state="forged", code="x")) as answer:
            assert answer.status == 404
        await whole.state("c1", State.SYNCING)
        await whole.succeed("c1")
        await whole.succeed("never-registered")
        await whole.state("c1", State.HEALTHY)

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
        assert value("token_requests_total", provider=QUICKBOOKS, grant="authorization_code", outcome="granted") == 1
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
        async with session.get(f"{whole.deployment.url}/metrics") as answer:
            assert answer.status == 404  # never on the public port
        await whole.deployment.stop()


PARTS = ("whole", "owner", "regrant", "provider", "host")
