"""The table of metrics: named alike, with labels that stay few, and a page that is made from it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from schemas.dead_letters import DeadLetterCode
from schemas.lifecycle import State
from service.http.access import access_log
from service.http.scrape import scrape_app
from service.telemetry import metrics
from service.telemetry.document import PAGE, page
from service.telemetry.metric import TABLE, Metric
from tests.metrics import grown, here, labelled, of_answer

every_metric = pytest.mark.parametrize("metric", TABLE.values(), ids=lambda metric: metric.name)


def test_the_page_of_metrics_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page()
    assert all(f"`{name}`" in page() for name in TABLE)


@every_metric
def test_a_metric_is_named_by_prometheus_s_conventions(metric: Metric) -> None:
    assert metric.name.startswith("regrant_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".") or metric.name == "regrant_build_info"
    assert bool(metric.buckets) == (metric.kind == "histogram")


@every_metric
def test_no_label_grows_with_the_fleet(metric: Metric) -> None:
    assert not any(word in name for name in metric.labels for word in ("connector", "tenant", "attempt", "path", "_id"))


def test_what_is_known_beforehand_begins_at_nothing_so_that_a_rate_sees_the_first() -> None:
    names = {labels for name, labels in here() if name == "regrant_dead_letters_total"}
    assert labelled(code="malformed") in names and len(names) == len(DeadLetterCode)
    assert ("regrant_batch_retries_total", labelled(why="database")) in here()


def test_the_ages_of_states_are_those_in_which_somebody_waits() -> None:
    labels = TABLE["regrant_state_age_seconds"].labels["state"]
    assert set(labels) == {s.value for s in State} - {"absent", "healthy", "disconnected", "deleted"}


async def test_a_stranger_s_words_become_no_label(aiohttp_client: Callable[..., Awaitable[Any]]) -> None:
    app = web.Application(middlewares=[access_log])
    client, before = await aiohttp_client(app), here()
    for word in ("PROPFIND", "MKCOL"):  # a server's parser knows these and some more; ours answers none of them
        await client.request(word, f"/{word}")
    counted = grown(before, here(), "regrant_http_request_seconds_count")
    assert counted == {labelled(method="other", route="none", status="4xx"): 2}


async def test_a_scrape_is_answered_as_it_is_asked_for(aiohttp_client: Callable[..., Awaitable[Any]]) -> None:
    asked = []

    async def fresh() -> None:
        asked.append(1)

    client = await aiohttp_client(scrape_app(fresh))
    async with client.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        assert ("regrant_relay_lag_seconds", frozenset()) in of_answer(await answer.text())
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")
    assert len(asked) == 2


def test_a_label_that_isn_t_in_the_table_is_no_label() -> None:
    with pytest.raises(ValueError, match="Incorrect label"):
        metrics.TRANSITIONS.labels("healthy")
