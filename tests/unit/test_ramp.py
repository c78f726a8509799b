"""How many connections pay, found out on paths that are numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from civsync.decide.ramp import Ramp, RampTuning

MB = 1_000_000
TUNING = RampTuning(settle=0.3, window=0.7, rest=30, worthwhile=3, enough=250.0 * MB)
TICK = 0.1


@dataclass
class Path:
    """A run on a path whose total rate depends on the number of connections."""

    rate: Callable[[int], float]
    missing: float = 1e12
    most: int = 4
    lines: int = 1
    received: float = 0
    now: float = 100.0
    ramp: Ramp = field(default_factory=lambda: Ramp(TUNING))
    changes: list[int] = field(default_factory=list)

    def run(self, seconds: float, running: object = "a") -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.received += self.rate(self.lines) * TICK
            self.missing -= self.rate(self.lines) * TICK
            change = self.ramp.observe(
                self.now,
                received=int(self.received),
                lines=self.lines,
                running=running,
                room=self.most - self.lines,
                missing=int(self.missing),
            )
            self.lines += change
            if change:
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
