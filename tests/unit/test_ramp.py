"""How many connections pay, found out on paths that are numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from civsync.decide.ramp import Ramp, RampTuning

MB = 1_000_000
TUNING = RampTuning(
    settle=0.3, window=0.7, rest=30, worthwhile=3, enough=250.0 * MB, light=20.0 * MB
)
TICK = 0.1


@dataclass
class Path:
    """A run whose total rate depends on the connections, and its work on that rate."""

    rate: Callable[[int], float]
    work: Callable[[float], float] = lambda _: 0.0
    missing: float = 1e12
    most: int = 4
    lines: int = 1
    received: float = 0
    worked: float = 0
    makes: float = 0
    """Seconds before a connection that was added brings anything."""
    added: float = -1e12
    bringing: int = 1
    now: float = 100.0
    ramp: Ramp = field(default_factory=lambda: Ramp(TUNING))
    changes: list[int] = field(default_factory=list)

    def run(self, seconds: float, running: object = "a", *, tick: float = TICK) -> None:
        for _ in range(round(seconds / tick)):
            self.now += tick
            connecting = self.now < self.added + self.makes
            rate = self.rate(self.bringing if connecting else self.lines)
            self.received += rate * tick
            self.worked += self.work(rate) * tick
            self.missing -= rate * tick
            change = self.ramp.observe(
                self.now,
                worked=self.worked,
                received=int(self.received),
                lines=self.lines,
                connecting=connecting,
                running=running,
                room=self.most - self.lines,
                missing=int(self.missing),
            )
            if change:
                self.bringing = self.lines
                self.added = self.now if change > 0 else -1e12
                self.lines += change
                self.changes.append(change)


def test_where_each_connection_is_limited_all_are_used() -> None:
    path = Path(lambda lines: 50 * MB * lines)
    path.run(6)
    assert path.changes == [1, 2]
    assert path.lines == 4


def test_where_one_fills_the_line_a_second_is_tried_and_taken_back() -> None:
    path = Path(lambda _: 100 * MB)
    path.run(10)
    assert path.changes == [1, -1]


def test_a_trial_that_failed_is_repeated_after_a_rest_that_grows() -> None:
    path = Path(lambda _: 100 * MB)
    path.run(100)
    assert path.changes == [1, -1] * 3
    path.run(100)
    assert path.changes == [1, -1] * 3
    path.run(100)
    assert path.changes == [1, -1] * 4


def test_what_helps_up_to_a_number_stays_at_that_number() -> None:
    path = Path(lambda lines: 50 * MB * min(lines, 2))
    path.run(10)
    assert path.changes == [1, 2, -2]
    assert path.lines == 2


@pytest.mark.parametrize(
    ("rate", "missing"),
    [
        pytest.param(300 * MB, 1e12, id="fast enough"),
        pytest.param(50 * MB, 150 * MB, id="soon over"),
        pytest.param(0, 1e12, id="nothing comes"),
    ],
)
def test_no_trial_where_it_cannot_pay(rate: float, missing: float) -> None:
    path = Path(lambda _: rate, missing=missing)
    path.run(3 if missing < 1e12 else 10)
    assert path.changes == []


def test_no_trial_without_room() -> None:
    path = Path(lambda lines: 50 * MB * lines, most=1)
    path.run(10)
    assert path.changes == []


@pytest.mark.parametrize(
    ("busy", "lines"),
    [(0.1, 4), (0.17, 4), (0.2, 3), (0.3, 2), (0.34, 2), (0.36, 1), (0.75, 1), (1.0, 1)],
)
def test_no_more_are_tried_than_the_processors_can_follow(busy: float, lines: int) -> None:
    path = Path(lambda lines: 50 * MB * lines, work=lambda rate: min(1, busy * rate / (50 * MB)))
    path.run(10)
    assert path.lines == lines
    assert all(change > 0 for change in path.changes)


def test_the_rate_is_that_of_the_time_between_the_looks_at_it() -> None:
    path = Path(lambda _: 100 * MB)
    for tick in (0.01, 0.25, 0.8):
        path.run(tick, tick=tick)
    assert path.ramp.rate == pytest.approx(100 * MB)


def test_slow_receiving_is_helped_also_while_the_processors_hash_what_was_there() -> None:
    path = Path(lambda lines: 4 * MB * lines, work=lambda _: 0.9)
    path.run(10)
    assert path.lines == 4


def test_a_connection_is_judged_by_what_it_brings_once_it_brings_something() -> None:
    path = Path(lambda lines: 50 * MB * lines, makes=2.5)
    path.run(12)
    assert path.changes == [1, 2]


def test_one_that_never_brings_anything_is_not_judged() -> None:
    path = Path(lambda _: 50 * MB, makes=1e9)
    path.run(60)
    assert path.changes == [1]


def test_another_file_voids_what_was_measured() -> None:
    path = Path(lambda lines: 50 * MB * lines)
    for number in range(20):
        path.run(0.9, running=number)
    assert path.changes == []


def test_a_connection_that_went_by_itself_is_no_failed_trial() -> None:
    path = Path(lambda lines: 50 * MB * lines)
    path.run(1.2)
    assert path.changes == [1]
    path.lines = 1
    path.run(4)
    assert path.changes[1:] == [1, 2]
