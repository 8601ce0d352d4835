"""`regrant demo --people`: one of each temperament on the real service; and what the judgement would notice."""

import time
from dataclasses import replace

from rich.console import Console
from yarl import URL

from schemas.lifecycle import State, Step
from service.demo.people.judged import Met, findings
from service.demo.people.run import let_people_go
from service.demo.people.temperaments import TEMPERAMENTS
from service.demo.people.visitor import Visitor
from service.demo.person import Screen
from service.demo.steps import Step as Line
from service.demo.stories.report import Report
from tests.platforms import platform_on

DEAD_END = Screen(URL("http://127.0.0.1/connect/x"), 200, "ended", True, "Stopped", "Stopped.", (), "", "")
A_WAY_ON = replace(DEAD_END, next_step="Try again")


async def test_p13_p30_people_of_all_temperaments_end_syncing_or_know_the_next_step_and_the_funnel_counts_them(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    report = Report(Console(quiet=True), time.monotonic())
    async with platform_on(database, kafka_bootstrap, topic_prefix) as platform:
        found = await let_people_go(platform, len(TEMPERAMENTS), 1, report, Line("people"))
    assert [finding for finding in found if not finding.holds] == []
    assert len(found) == report.assertions > len(TEMPERAMENTS)


def visit(end: Screen | Exception, state: State, *tries: Step) -> Met:
    visitor = Visitor(None, 1, "quick", "c", "Garage", "1", list(tries))  # type: ignore[arg-type]  # nothing is asked of it
    return Met(visitor, end, state)


def wrong(met: Met, **funnel: int) -> list[str]:
    told = {Step(name): count for name, count in funnel.items()}
    return [finding.sentence for finding in findings([met], told) if not finding.holds]


def test_who_is_left_without_a_next_step_is_noticed() -> None:
    assert wrong(visit(DEAD_END, State.FAILED)) == ["quick 1 is syncing, or knows the next step"]
    assert wrong(visit(A_WAY_ON, State.FAILED)) == []
    assert wrong(visit(DEAD_END, State.HEALTHY)) == []
    assert wrong(visit(TimeoutError(), State.HEALTHY)) == ["quick 1 comes to an end"]


def test_a_funnel_that_counts_one_too_few_or_too_many_is_noticed() -> None:
    two = visit(A_WAY_ON, State.FAILED, Step.LINK_OFFERED, Step.PROVIDER_PAGE)
    assert wrong(two, link_offered=2, provider_page=1) == []
    assert wrong(two, link_offered=2) == ["the funnel counts 1 attempts that reached provider_page"]
    assert wrong(two, link_offered=2, provider_page=1, returned=1) == [
        "the funnel counts 0 attempts that reached returned"
    ]
