"""Slow is what brings too little in a whole window of waiting, and nothing else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.decide.floor import Floor

Steps = list[tuple[int, float]]
"""Bytes, and the seconds that were waited for them."""


def broken_at(speed: int, steps: Steps) -> int | None:
    """The number of the step at which a floor over 30 s breaks."""
    floor = Floor(speed, 30.0)
    for number, (received, waited) in enumerate(steps, 1):
        if floor.broken(received, waited):
            return number
    return None


@pytest.mark.parametrize(
    ("steps", "number"),
    [
        pytest.param([(1, 0.0625)] * 1000, 480, id="a byte every 62.5 ms"),
        pytest.param([(0, 10.0)] * 5, 3, id="nothing at all"),
        pytest.param([(1023, 1.0)] * 100, 30, id="just below"),
        pytest.param([(1024, 1.0)] * 100, None, id="just as much"),
        pytest.param([(0, 1.0)] * 29 + [(30 * 1024, 0.5)], None, id="all at the end of a window"),
        pytest.param([(0, 29.0), (30 * 1024, 0.5)] * 9, None, id="bursts"),
        pytest.param([(1, 0.0)] * 10_000, None, id="whoever is not waited for is not slow"),
        pytest.param(
            [(100_000_000, 1.0), (1, 10.0), (1, 10.0), (1, 10.0)], 4, id="fast does not save up"
        ),
    ],
)
def test_a_floor_of_a_kibibyte_a_second(steps: Steps, number: int | None) -> None:
    assert broken_at(1024, steps) == number


def test_a_floor_of_zero_never_breaks() -> None:
    assert broken_at(0, [(0, 1000.0)] * 10) is None
    assert Floor(0, 30.0).left == math.inf


def test_a_silence_breaks_it_after_what_is_left_of_the_window() -> None:
    floor = Floor(1024, 30.0)
    assert not floor.broken(10, 12.0)
    assert floor.left == 18.0
    assert floor.broken(0, floor.left)
    assert floor.left == 0.0


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 10)), max_size=200))
def test_it_breaks_only_where_a_whole_window_really_was_too_slow(steps: Steps) -> None:
    number = broken_at(100, steps)
    if number is None:
        return
    tail: Steps = []
    for step in reversed(steps[:number]):
        tail.append(step)
        if sum(waited for _, waited in tail) >= 30.0 - 1e-6:
            break
    assert sum(received for received, _ in tail) < 100 * 30
