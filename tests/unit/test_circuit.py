"""The circuit in time that a test owns: when it opens, for how long, and who may try."""

from dataclasses import dataclass
from datetime import timedelta

from service.oauth.circuit import FAILURES, LIMITED_FOR, LONGEST_PAUSE, TRIAL, Circuit, Turn


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, time: timedelta) -> None:
        self.now += time.total_seconds()


def made() -> tuple[Clock, Circuit]:
    clock = Clock()
    return clock, Circuit(clock, lambda: 0.5)


def entered(circuit: Circuit) -> Turn:
    turn = circuit.enter()
    assert not isinstance(turn, timedelta), turn
    return turn


def opened(circuit: Circuit) -> None:
    for _ in range(FAILURES):
        circuit.failed(entered(circuit))


def test_a_few_failures_in_a_row_open_it() -> None:
    _, circuit = made()
    for _ in range(FAILURES - 1):
        circuit.failed(entered(circuit))
    assert circuit.pause() is None
    circuit.failed(entered(circuit))
    assert circuit.pause() == timedelta(seconds=1)


def test_an_answer_in_between_keeps_it_closed() -> None:
    _, circuit = made()
    for _ in range(3 * FAILURES):
        circuit.failed(entered(circuit))
        circuit.answered(entered(circuit))
    assert circuit.is_closed


def test_after_the_pause_one_may_try_and_the_others_wait_for_how_it_goes() -> None:
    clock, circuit = made()
    opened(circuit)
    clock.passes(timedelta(seconds=1))
    trial = entered(circuit)
    assert isinstance(circuit.enter(), timedelta)
    circuit.answered(trial)
    assert circuit.is_closed
    entered(circuit)


def test_each_failed_trial_makes_the_pause_longer_up_to_a_bound() -> None:
    clock, circuit = made()
    opened(circuit)
    pauses = []
    for _ in range(10):
        pause = circuit.pause()
        assert pause is not None
        pauses.append(pause.total_seconds())
        clock.passes(pause)
        circuit.failed(entered(circuit))
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert max(pauses) == LONGEST_PAUSE.total_seconds()


def test_a_trial_that_nobody_hears_of_again_doesnt_shut_it_for_ever() -> None:
    clock, circuit = made()
    opened(circuit)
    clock.passes(timedelta(seconds=1))
    entered(circuit)
    clock.passes(TRIAL)
    circuit.answered(entered(circuit))
    assert circuit.is_closed


def test_calls_that_were_under_way_when_it_opened_neither_lengthen_the_pause_nor_close_it() -> None:
    _, circuit = made()
    under_way = [entered(circuit) for _ in range(40)]
    for turn in under_way[:30]:
        circuit.failed(turn)
    for turn in under_way[30:]:
        circuit.answered(turn)
    assert circuit.pause() == timedelta(seconds=1)


def test_a_limit_opens_it_at_once_for_as_long_as_the_provider_says() -> None:
    clock, circuit = made()
    late = entered(circuit)
    circuit.limited(entered(circuit), timedelta(minutes=10))
    circuit.answered(late)
    circuit.limited(late, timedelta(seconds=1))  # said before the other one, and heard after it
    assert circuit.pause() == timedelta(minutes=10)
    clock.passes(timedelta(minutes=10))
    circuit.limited(entered(circuit), None)
    assert circuit.pause() == LIMITED_FOR
