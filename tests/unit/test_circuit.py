"""A dead host is found out once, for all files, and one that comes back is found again."""

import pytest

from civsync.core.codes import Code
from civsync.core.errors import HostDeadError, RegistryError, WireError
from civsync.decide.circuit import TRIP, Circuit
from civsync.decide.retry import GiveUp, decide

HOST = "store.test"
REFUSED = WireError(Code.UNREACHABLE, "refused", subject="https://store.test")


def fail(circuit: Circuit, times: int, *, now: float = 0.0) -> None:
    for _ in range(times):
        circuit.failed(HOST, REFUSED, now)


def test_a_host_that_works_is_asked_freely() -> None:
    circuit = Circuit()
    fail(circuit, TRIP - 1)
    circuit.succeeded(HOST)
    fail(circuit, TRIP - 1)
    assert [circuit.wait(HOST) for _ in range(9)] == [0.0] * 9


def test_after_some_failures_in_a_row_one_at_a_time_looks_whether_it_is_back() -> None:
    circuit = Circuit()
    fail(circuit, TRIP)
    assert circuit.wait(HOST) == 0.0
    assert circuit.wait(HOST) > 0
    circuit.failed(HOST, REFUSED, 1.0)
    assert circuit.wait(HOST) == 0.0
    assert circuit.wait(HOST) > 0
    circuit.succeeded(HOST)
    assert [circuit.wait(HOST) for _ in range(3)] == [0.0] * 3


def test_nobody_waits_for_the_end_of_a_body_that_flows() -> None:
    circuit = Circuit()
    bytes_came: list[int] = []
    fail(circuit, TRIP)
    assert circuit.wait(HOST) == 0.0
    circuit.begun(HOST, lambda: bool(bytes_came))
    assert circuit.wait(HOST) > 0
    bytes_came.append(1)
    assert [circuit.wait(HOST) for _ in range(3)] == [0.0] * 3
    fail(circuit, TRIP)
    assert circuit.wait(HOST) == 0.0
    assert circuit.wait(HOST) > 0


def test_who_looked_and_was_cancelled_lets_another_look() -> None:
    circuit = Circuit()
    fail(circuit, TRIP)
    assert circuit.wait(HOST) == 0.0
    circuit.left(HOST)
    assert circuit.wait(HOST) == 0.0


def test_a_host_from_which_nothing_came_for_long_is_dead_for_everybody() -> None:
    circuit = Circuit(patience=120)
    fail(circuit, TRIP, now=0)
    fail(circuit, 3, now=119)
    assert circuit.wait(HOST) == 0.0
    circuit.failed(HOST, REFUSED, 120)
    errors = []
    for _ in range(2):
        with pytest.raises(WireError) as caught:
            circuit.wait(HOST)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert errors[0].code is Code.UNREACHABLE
    assert HOST in errors[0].message
    assert errors[0].data["failures"] == TRIP + 4
    # Otherwise each of 500 files would try again, as its code suggests, for a minute.
    assert isinstance(decide(errors[0], 1, 0.0), GiveUp)


def test_a_host_that_wants_a_long_rest_twice_is_asked_by_nobody() -> None:
    circuit = Circuit()
    later = WireError(Code.RATE_LIMITED, "in an hour", retry_after=3600.0)
    for _ in range(3):
        circuit.refused(HOST, later)
        assert circuit.wait(HOST) == 0.0
        circuit.succeeded(HOST)
    circuit.refused(HOST, later)
    circuit.refused(HOST, later)
    with pytest.raises(HostDeadError) as caught:
        circuit.wait(HOST)
    assert caught.value.retry_after == 3600


def test_other_hosts_do_not_suffer() -> None:
    circuit = Circuit(patience=0)
    fail(circuit, TRIP)
    assert circuit.wait("other.test") == 0.0


@pytest.mark.parametrize(
    "error",
    [
        WireError(Code.URL_EXPIRED, "expired"),
        WireError(Code.REPLY_MALFORMED, "nonsense"),
        RegistryError(Code.QUOTA, "too much"),
    ],
    ids=lambda error: str(error.code),
)
def test_failures_that_say_nothing_of_the_host_do_not_count(
    error: WireError | RegistryError,
) -> None:
    circuit = Circuit(patience=0)
    for _ in range(TRIP * 3):
        circuit.failed(HOST, error, 0.0)
    assert circuit.wait(HOST) == 0.0
    assert circuit.wait(HOST) == 0.0


def test_a_host_is_doubted_from_its_first_failure_to_its_next_success() -> None:
    circuit = Circuit()
    assert not circuit.doubts(HOST)
    circuit.failed(HOST, REFUSED, 0.0)
    assert circuit.doubts(HOST)
    circuit.succeeded(HOST)
    assert not circuit.doubts(HOST)
