"""A rate is kept by everyone together, whatever the pieces and whoever comes when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.decide.bucket import BURST_S, Bucket


def test_a_tenth_of_a_second_comes_at_once_and_the_rest_is_waited_for() -> None:
    bucket = Bucket(1000, 0.0)
    assert bucket.due(bucket.take(100, 0.0), 0.0) == 0.0
    assert bucket.due(bucket.take(250, 0.0), 0.0) == 0.25


def test_a_silence_saves_up_no_more_than_the_burst() -> None:
    bucket = Bucket(1000, 0.0)
    assert bucket.due(bucket.take(600, 1000.0), 1000.0) == 0.5


def test_everyone_waits_for_those_before_and_for_nobody_after() -> None:
    bucket = Bucket(1000, 0.0)
    first, second, third = (bucket.take(count, 0.0) for count in (100, 500, 1000))
    assert [bucket.due(turn, 0.0) for turn in (first, second, third)] == [0.0, 0.5, 1.5]
    assert [bucket.due(turn, 0.5) for turn in (first, second, third)] == [0.0, 0.0, 1.0]


def test_without_a_limit_nobody_waits() -> None:
    bucket = Bucket(None, 0.0)
    assert bucket.due(bucket.take(10**12, 0.0), 0.0) == 0.0


@pytest.mark.parametrize(
    ("rate", "due"), [(2000, 0.5), (500, 2.0), (None, 0.0)], ids=["faster", "slower", "lifted"]
)
def test_who_waits_already_waits_at_the_new_rate(rate: int | None, due: float) -> None:
    bucket = Bucket(1000, 0.0)
    turn = bucket.take(1600, 0.0)
    assert bucket.due(turn, 0.5) == 1.0
    bucket.change(rate, 0.5)
    assert bucket.due(turn, 0.5) == due
    assert bucket.rate == rate


def test_a_limit_that_begins_in_the_middle_counts_from_then_on() -> None:
    bucket = Bucket(None, 0.0)
    turn = bucket.take(10**9, 0.0)
    bucket.change(1000, 5.0)
    assert bucket.due(turn, 5.0) == 0.0
    assert bucket.due(bucket.take(1000, 5.0), 5.0) == 1.0


def test_a_lower_rate_takes_back_what_was_saved_for_a_higher_one() -> None:
    bucket = Bucket(1_000_000, 0.0)
    bucket.change(1000, 0.0)
    assert bucket.due(bucket.take(1100, 0.0), 0.0) == 1.0


@given(
    st.integers(1, 10**9),
    st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 100)), min_size=1, max_size=30),
)
def test_whoever_waits_as_told_never_beats_the_rate(
    rate: int, steps: list[tuple[int, float]]
) -> None:
    bucket, now, total = Bucket(rate, 0.0), 0.0, 0
    for count, pause in steps:
        now += pause
        now += bucket.due(bucket.take(count, now), now)
        total += count
        assert total <= (rate * (now + BURST_S)) * (1 + 1e-6) + 1
