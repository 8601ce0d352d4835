"""Lets the people go, and checks that nobody is left without a next step, and that the funnel counts what they did."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from schemas.lifecycle import Step
from service.demo.people.judged import Finding, Met, findings
from service.demo.people.temperaments import TEMPERAMENTS, Temperament
from service.demo.people.visitor import Visitor, failed_connector
from service.demo.person import Screen
from service.demo.platform import Platform
from service.demo.simulator.seed import ACME_LTD, PASSWORD, add_invoices
from service.demo.simulator.world import Role
from service.demo.steps import Step as Line
from service.demo.stories.report import Report

AT_ONCE = 12
_FIRST_REALM = 9_140_000_000_000_000


async def let_people_go(platform: Platform, count: int, seed: int, report: Report, line: Line) -> list[Finding]:
    """`count` people, each with a failed connector of their own, `AT_ONCE` at a time; returns what was found."""
    people = _invited(platform, count, seed)
    gate = asyncio.Semaphore(AT_ONCE)

    async def prepared(visitor: Visitor) -> None:
        async with gate:
            await failed_connector(visitor)

    async with asyncio.TaskGroup() as tasks:
        for visitor, _ in people:
            tasks.create_task(prepared(visitor))
    line.say(f"{count} connectors have failed, and {count} people are let in")
    began = datetime.now(UTC)
    ends: dict[int, Screen | Exception] = {}

    async def visit(visitor: Visitor, temperament: Temperament) -> None:
        async with gate, visitor.at_a_browser():
            try:
                ends[visitor.number] = await temperament(visitor)
            except Exception as error:  # whatever it was, it is this person's end, and counted as a failure
                ends[visitor.number] = error

    async with asyncio.TaskGroup() as tasks:
        for visitor, temperament in people:
            tasks.create_task(visit(visitor, temperament))
    line.done(f"{count} people came")
    met = [Met(visitor, ends[visitor.number], await visitor.state()) for visitor, _ in people]
    found = list(findings(met, await funnel_of(platform, began)))
    for finding in found:
        report.note("people", finding.holds, finding.sentence, finding.detail)
    _show(report.console, met)
    return found


def _invited(platform: Platform, count: int, seed: int) -> list[tuple[Visitor, Temperament]]:
    """The people in a shuffled order, each with a company of their own at the provider; one of each kind at least."""
    kinds = list(itertools.chain.from_iterable([kind] * share for kind, share in TEMPERAMENTS.items()))
    rest = random.Random(seed).choices(kinds, k=max(0, count - len(TEMPERAMENTS)))
    chosen = [*TEMPERAMENTS, *rest][:count]
    random.Random(seed).shuffle(chosen)
    return [(_visitor(platform, number, kind), kind) for number, kind in enumerate(chosen, 1)]


def _visitor(platform: Platform, number: int, kind: Temperament) -> Visitor:
    world, realm, company = platform.simulator.world, str(_FIRST_REALM + number), f"People's Garage {number}"
    visitor = Visitor(platform, number, kind.__name__, f"people-{number:04}", company, realm)
    add_invoices(world, world.add_company(realm, company))
    companies = [(realm, Role.MASTER_ADMIN), (ACME_LTD, Role.COMPANY_ADMIN)]
    world.add_user(visitor.email, PASSWORD, f"Person {number}", companies)
    world.add_user(visitor.assistant, PASSWORD, f"Assistant {number}", [(realm, Role.STANDARD)])
    return visitor


async def funnel_of(platform: Platform, since: datetime) -> dict[Step, int]:
    """How many attempts reached each step since then, as the console says."""
    funnel = await platform.regrant.get(f"/v1/fleet/funnel?since={since.isoformat().replace('+00:00', 'Z')}")
    return {Step(row["step"]): row["reached"] for row in funnel["steps"]}


def _show(console: Console, met: Sequence[Met]) -> None:
    table = Table("temperament", "people", "ended at")
    for kind in TEMPERAMENTS:
        ends = Counter(one.end_name for one in met if one.visitor.temperament == kind.__name__)
        words = ", ".join(f"{count} {name}" for name, count in ends.most_common())
        table.add_row(kind.__name__.replace("_", " "), str(ends.total()), words)
    console.print(table)
