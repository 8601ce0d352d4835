"""The table is whole: every cell is decided by name, and the compiled dictionary chooses what the machine chooses."""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from schemas.lifecycle import Outcome, State, Step, Trigger
from schemas.reasons import Reason
from statemachine import actions, guards, inputs, machine
from statemachine.connector import Account, Connector, Rules
from statemachine.decide import decide
from statemachine.table import TABLE, Guard, Row

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
RULES = Rules()
ATTEMPT, OTHER_ATTEMPT = UUID(int=1), UUID(int=2)
CELLS = [(state, trigger) for state in State for trigger in Trigger]


def cell_name(cell: Any) -> str:
    return getattr(cell, "value", str(cell))


def rows_of(state: State, trigger: Trigger) -> list[Row]:
    return [row for row in TABLE if row.trigger is trigger and state in row.sources]


def input_for(trigger: Trigger) -> Any:
    """Any input with this trigger."""
    return next(input_ for input_ in every_input() if input_.trigger is trigger)


# Whole.


def test_p29_there_are_as_many_cells_as_states_times_triggers() -> None:
    assert len(machine.CELLS) == len(State) * len(Trigger) == 208


@pytest.mark.parametrize(("state", "trigger"), CELLS, ids=cell_name)
def test_p29_a_cell_ends_with_its_only_unguarded_row(state: State, trigger: Trigger) -> None:
    rows = machine.CELLS[state, trigger]

    assert [bool(row.when) for row in rows] == [True] * (len(rows) - 1) + [False]
    assert list(rows) == rows_of(state, trigger)


@pytest.mark.parametrize("row", TABLE)
def test_a_row_says_what_its_outcome_needs(row: Row) -> None:
    silent = row.outcome in (Outcome.IGNORED, Outcome.REFUSED)

    assert (row.why is not None) == silent
    assert not (silent and row.actions)
    assert row.to is None or row.outcome is Outcome.TRANSITION


def test_every_trigger_has_one_input_and_every_input_one_trigger() -> None:
    triggers = [kind.trigger for kind in inputs.Input.__args__]

    assert sorted(triggers) == sorted(Trigger)


@pytest.mark.parametrize("module", [guards, actions], ids=["guard", "action"])
def test_each_named_guard_and_action_is_used_in_the_table(module: Any) -> None:
    defined = {
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    used = {function for row in TABLE for function in (*row.when, *row.actions)}

    assert defined <= used
    assert all(guard.__doc__ for row in TABLE for guard in row.when)


# Both choose alike.


class Told:
    """The machine and its dictionary, built from the table with guards that say what they are told to say."""

    def __init__(self) -> None:
        self.says: dict[Guard, bool] = {}
        self.rows = tuple(replace(row, when=tuple(map(self._instead_of, row.when))) for row in TABLE)
        self.original = {id(told): row for told, row in zip(self.rows, TABLE, strict=True)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(machine, "TABLE", self.rows)
            self.machine = machine.build()
            patch.setattr(machine, "MACHINE", self.machine)
            self.cells = machine._compile()

    def _instead_of(self, guard: Guard) -> Guard:
        def answer(connector: Connector, input_: Any, rules: Rules) -> bool:
            return self.says[guard]

        return answer


@pytest.fixture(scope="module")
def built() -> Told:
    return Told()


@pytest.fixture
def told(built: Told, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(machine, "MACHINE", built.machine)
    monkeypatch.setattr(machine, "CELLS", built.cells)
    return built


@pytest.mark.parametrize(("state", "trigger"), CELLS, ids=cell_name)
def test_p29_the_dictionary_chooses_what_the_machine_chooses_whatever_the_guards_say(
    told: Told, state: State, trigger: Trigger
) -> None:
    rows = rows_of(state, trigger)
    asked = list(dict.fromkeys(guard for row in rows for guard in row.when))
    connector, input_ = Connector(id="c", state=state), input_for(trigger)
    taken = set()

    for said in product((False, True), repeat=len(asked)):
        told.says = dict(zip(asked, said, strict=True))
        by_table = next(row for row in rows if all(told.says[guard] for guard in row.when))

        row = machine.chosen(connector, input_, RULES)

        assert row is machine.chosen_by_machine(connector, input_, RULES)
        assert told.original[id(row)] is by_table
        taken.add(by_table)
    assert taken == set(rows)


# Real connectors and inputs reach every row, and both choose alike there, too.


def every_connector() -> Iterator[Connector]:
    """Representatives of every kind of connector that can be."""
    plain = Connector(
        id="c",
        tenant="t",
        provider="p",
        name="n",
        version=3,
        help_asked=ATTEMPT,
        generation=2,
        account=Account("a", "A"),
        swapped=NOW,
        last_run=NOW + timedelta(hours=1),
        last_command=NOW,
        last_command_event="e",
    )
    for state in (State.ABSENT, State.HEALTHY, State.DISCONNECTED, State.DELETED):
        yield replace(plain, state=state)
    yield replace(plain, state=State.HEALTHY, expires_at=NOW + timedelta(days=7), warned=NOW, warned_plan=2)
    unexplained = {"last_attempt": ATTEMPT, "attempt_reason": Reason.ATTEMPT_EXPIRED}
    yield replace(plain, state=State.HEALTHY, **unexplained)
    yield replace(plain, state=State.FAILED, reason=Reason.TOKEN_REFUSED, **unexplained)
    yield replace(plain, state=State.DISCONNECTED, **unexplained)
    yield replace(plain, state=State.HEALTHY, generation=0)
    yield replace(plain, state=State.FAILED, reason=Reason.NEVER_CONNECTED, generation=0)
    for reason in (Reason.TOKEN_REFUSED, Reason.ACCOUNT_INACTIVE):
        yield replace(plain, state=State.FAILED, reason=reason, deadline=NOW)
    for state, (fallback, reason), unavailable in product(
        (State.AWAITING_AUTH, State.VERIFYING),
        (
            (State.HEALTHY, None),
            (State.FAILED, Reason.TOKEN_REFUSED),
            (State.FAILED, Reason.ACCOUNT_INACTIVE),
            (State.DISCONNECTED, None),
        ),
        (0, 1),
    ):
        yield replace(
            plain,
            state=state,
            attempt=ATTEMPT,
            fallback=fallback,
            reason=reason,
            unavailable=unavailable,
            deadline=NOW,
        )
    for asks in (1, RULES.sync_asks):
        yield replace(plain, state=State.SYNCING, deadline=NOW, sync_asks=asks)


def every_input() -> Iterator[Any]:
    """Representatives of every kind of input."""
    of = {"connector": "c"}
    for tenant, connected in product(("t", "other"), (True, False)):
        yield inputs.Register(**of, tenant=tenant, provider="p", name="n", connected=connected)
    for name in ("n", "new"):
        yield inputs.Update(**of, name=name)
    for generation, after in product((None, 1, 2, 3), (timedelta(0), timedelta(hours=1), timedelta(hours=2))):
        run = {**of, "occurred": NOW + after, "generation": generation}
        yield inputs.SyncStarted(**run)
        yield inputs.SyncSucceeded(**run)
        for reason in (Reason.TOKEN_REFUSED, Reason.GRANT_REVOKED, Reason.RATE_LIMITED):
            yield inputs.SyncFailed(**run, reason=reason)
    for generation, reason in product((1, 2), (Reason.TOKEN_REFUSED, Reason.GRANT_REVOKED)):
        yield inputs.RefreshRejected(**of, generation=generation, reason=reason)
    for attempt in (ATTEMPT, OTHER_ATTEMPT):
        yield inputs.StartReauth(**of, attempt=attempt)
        yield inputs.GrantReceived(**of, attempt=attempt)
        yield inputs.GrantRefused(**of, attempt=attempt, reason=Reason.ACCESS_DENIED)
        yield inputs.Cancelled(**of, attempt=attempt)
        yield inputs.HandedOn(**of, attempt=attempt)
        yield inputs.Explained(**of, attempt=attempt, reason=Reason.NEEDS_ADMIN)
        yield inputs.HelpAsked(**of, attempt=attempt, step=Step.PROVIDER_PAGE)
        yield inputs.Verified(**of, attempt=attempt, account=Account("a", "A"))
        yield inputs.Rejected(**of, attempt=attempt, reason=Reason.WRONG_ACCOUNT, step="exchanged")
        yield inputs.ProviderUnavailable(**of, attempt=attempt, reason=Reason.PROVIDER_UNAVAILABLE)
    for generation, account in product((1, 2), (Account("a", "A"), Account("b", "B"))):
        yield inputs.GrantShared(**of, attempt=OTHER_ATTEMPT, generation=generation, account=account)
    for generation, found in product(
        (0, 1, 2), (None, Reason.TOKEN_REFUSED, Reason.GRANT_REVOKED, Reason.PROVIDER_UNAVAILABLE)
    ):
        yield inputs.VerifiedAgain(**of, generation=generation, reason=found)
    for kind, due in product(
        (inputs.AuthExpired, inputs.VerifyExpired, inputs.SyncExpired, inputs.ReminderDue),
        (NOW, NOW - timedelta(seconds=1)),
    ):
        yield kind(**of, due=due)
    for older in ({"said": NOW, "event": "e"}, {"said": NOW - timedelta(hours=1), "event": "d"}):
        yield inputs.Update(**of, **older, name="new")
        yield inputs.StartReauth(**of, **older, attempt=OTHER_ATTEMPT)
        yield inputs.Disconnect(**of, **older)
    for generation, plan, due in product((1, 2), (1, 2, 3), (NOW, NOW + timedelta(hours=1))):
        which = {**of, "generation": generation, "plan": plan}
        yield inputs.ExpiryNear(**which, expires_at=NOW + timedelta(days=7), estimated=False, due=due)
        yield inputs.ExpiryMoved(**which)
    for version, generation in product((1, 9), (1, 9)):
        yield inputs.Restored(**of, version=version, generation=generation)
    yield inputs.Disconnect(**of)
    yield inputs.Delete(**of)


def test_p29_every_row_is_reached_by_a_real_input() -> None:
    reached = {
        (connector.state, id(machine.chosen(connector, input_, RULES)))
        for connector, input_ in product(every_connector(), every_input())
    }
    wanted = {(state, id(row)): row for row in TABLE for state in row.sources}

    assert [row for at, row in wanted.items() if at not in reached] == []


def test_p29_real_inputs_choose_alike_in_the_dictionary_and_in_the_machine() -> None:
    for connector, input_ in product(every_connector(), every_input()):
        assert machine.chosen(connector, input_, RULES) is machine.chosen_by_machine(connector, input_, RULES)


def test_every_input_to_every_connector_is_decided_and_versions_count_transitions() -> None:
    for connector, input_ in product(every_connector(), every_input()):
        before = replace(connector)

        decision = decide(connector, input_, NOW, RULES)

        assert connector == before
        came_from = input_.version if isinstance(input_, inputs.Restored) else before.version
        assert decision.connector.version == (
            came_from + 1 if decision.outcome is Outcome.TRANSITION else before.version
        )
        if decision.why is not None:
            assert decision.connector is connector
