import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.decide.pace import HostPace


def test_the_first_request_goes_at_once_and_the_next_waits_for_the_spacing() -> None:
    pace = HostPace(spacing=0.5)
    assert pace.wait("a", 10.0) == 0.0
    assert pace.wait("a", 10.0) == 0.5
    assert pace.wait("a", 10.2) == pytest.approx(0.3)
    assert pace.wait("a", 10.5) == 0.0
    assert pace.wait("a", 10.5) == 0.5


def test_asking_too_early_takes_nothing() -> None:
    pace = HostPace(spacing=0.5)
    pace.wait("a", 0.0)
    assert [pace.wait("a", 0.25) for _ in range(3)] == [0.25, 0.25, 0.25]


def test_hosts_do_not_wait_for_each_other() -> None:
    pace = HostPace(spacing=0.5)
    assert pace.wait("a", 0.0) == 0.0
    pace.pause("a", 99.0)
    assert pace.wait("b", 0.0) == 0.0


def test_without_spacing_only_a_pause_makes_anyone_wait() -> None:
    pace = HostPace()
    assert [pace.wait("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    pace.pause("a", 2.0)
    assert pace.wait("a", 0.5) == 1.5
    assert pace.wait("a", 2.0) == 0.0


def test_a_pause_is_seen_by_those_who_wait_already() -> None:
    pace = HostPace(spacing=1.0)
    pace.wait("a", 0.0)
    assert pace.wait("a", 0.0) == 1.0
    pace.pause("a", 30.0)
    assert pace.wait("a", 1.0) == 29.0


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    pace = HostPace()
    assert pace.pause("a", 30.0)
    assert not pace.pause("a", 10.0)
    assert not pace.pause("a", 30.0)
    assert pace.pause("a", 31.0)
    assert pace.wait("a", 0.0) == 31.0


def test_after_a_pause_the_requests_do_not_come_all_at_once() -> None:
    pace = HostPace(spacing=1.0)
    pace.pause("a", 5.0)
    assert [pace.wait("a", 5.0) for _ in range(3)] == [0.0, 1.0, 1.0]


@given(
    st.floats(min_value=0, max_value=1e9, allow_nan=False),
    st.floats(min_value=1e-9, max_value=1e4, allow_nan=False),
)
def test_whoever_sleeps_as_long_as_told_may_go(now: float, spacing: float) -> None:
    pace = HostPace(spacing=spacing)
    pace.wait("a", now)
    for _ in range(3):
        now += pace.wait("a", now)
    assert pace.wait("a", now) in (0.0, pytest.approx(spacing))


def test_slots_are_booked_one_after_the_other_as_far_as_they_are_near() -> None:
    pace = HostPace(spacing=0.5)
    booked = [pace.book("a", 10.0, within=1.0) for _ in range(4)]
    assert booked == [0.0, 0.5, 1.0, None]
    # Whoever waits in the other way comes after them.
    assert pace.wait("a", 10.0) == 1.5


def test_what_is_not_booked_takes_nothing() -> None:
    pace = HostPace(spacing=0.5)
    pace.pause("a", 30.0)
    assert pace.book("a", 10.0, within=1.0) is None
    assert pace.book("a", 29.5, within=1.0) == 0.5
    assert pace.wait("a", 30.0) == 0.5


def test_a_booking_can_have_a_spacing_of_its_own() -> None:
    pace = HostPace(spacing=0.5)
    assert pace.book("a", 0.0, within=1.0, spacing=0.1) == 0.0
    assert pace.book("a", 0.0, within=1.0) == pytest.approx(0.1)
