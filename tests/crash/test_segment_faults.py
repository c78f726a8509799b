"""Seeded mixtures of faults while several connections receive one file.

Whatever a server does, the file arrives whole, and what it costs is bounded: hardly more than
the file where connections break and hosts are busy, and once the file for each time that
a server gives other bytes than it was asked for.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from civsync.demo.faults import FaultBook
from support.fault_mixtures import BrokenConnections, NotedFaults
from support.segment_driver import Ran
from support.segment_world import SegmentWorld, in_several_worlds, tell

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

MB = 1_000_000
SIZE = 3 * MB
RATE = 4.0 * MB

MIXTURES = 51
"""Of one test; there are four for broken connections and two for forgotten ranges."""

FAULTS = 12
"""At most in one mixture."""

RUNS = 3
"""At most, for a mixture: one may give a file up, with a named error, and keep what came."""

MOST = 1.3
"""Sizes of the file that all runs of a mixture may receive."""

AT_ONCE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """What a mixture came to; bytes in sizes of the file."""

    faults: int
    runs: int
    restarts: int
    connections: int
    taken: float
    sent: float


def _until_done(world: SegmentWorld, seed: int) -> list[Ran]:
    ran: list[Ran] = []
    while not ran or ran[-1].status != 0:
        assert len(ran) < RUNS, ran
        ran.append(world.run(seed=seed))
        assert ran[-1].status not in {1, 5}, ran
        world.require_nothing_wrong()
    return ran


def _mixtures(
    count: int, seed: int, folder: Path, make: Callable[[], FaultBook], most: Callable[[int], float]
) -> list[Mixed]:
    def work(world: SegmentWorld, number: int) -> list[Mixed]:
        return [mix(world, 1000 * (AT_ONCE * seed + number) + each) for each in range(count)]

    def mix(world: SegmentWorld, chosen: int) -> Mixed:
        world.begin()
        faults = world.served.faults
        budget = random.Random(chosen).randint(1, FAULTS)
        faults.seed(chosen, budget)
        ran = _until_done(world, chosen)
        world.require_converged()
        restarts = faults.restarts if isinstance(faults, NotedFaults) else 0
        assert world.taken <= most(restarts), f"seed {chosen}, {restarts} restarts, {ran}"
        return Mixed(
            faults=budget - faults.budget_left,
            runs=len(ran),
            restarts=restarts,
            connections=world.connections,
            taken=world.taken,
            sent=world.sent,
        )

    return in_several_worlds(folder, work, worlds=AT_ONCE, size=SIZE, rate=RATE, faults=make)


def _tell(found: list[Mixed], record_property: Callable[[str, object], None]) -> None:
    several = sum(mixed.connections > 1 for mixed in found)
    tell(
        record_property,
        mixtures=len(found),
        faults=sum(mixed.faults for mixed in found),
        several=several,
        restarts=sum(mixed.restarts for mixed in found),
        above_most=sum(mixed.taken > MOST for mixed in found),
        worst_taken=max(mixed.taken for mixed in found),
        mean_taken=sum(mixed.taken for mixed in found) / len(found),
        worst_sent=max(mixed.sent for mixed in found),
        most_runs=max(mixed.runs for mixed in found),
    )
    # Otherwise nothing of this was about several connections.
    assert several > len(found) / 2


def _break_connections() -> FaultBook:
    return BrokenConnections(longest=SIZE // 4)


@pytest.mark.parametrize("seed", range(4))
def test_broken_connections_and_busy_hosts_cost_hardly_more_than_the_file(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = _mixtures(MIXTURES // AT_ONCE, seed, tmp_path, _break_connections, lambda _: MOST)
    _tell(found, record_property)


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_forgets_ranges_costs_the_file_once_for_each_time(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = _mixtures(
        MIXTURES // AT_ONCE, seed, tmp_path, NotedFaults, lambda restarts: MOST + restarts
    )
    _tell(found, record_property)


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("make", [_break_connections, NotedFaults])
def test_many_mixtures(
    make: Callable[[], FaultBook], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = _mixtures(200, 100, tmp_path, make, lambda restarts: MOST + restarts)
    _tell(found, record_property)
