"""A connection that ends at every tenth of the file, on one connection and on several.

One run arrives all the same, and what came before the cut is not asked for again.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fault_mixtures import CutAt
from support.segment_world import SegmentWorld, segment_world

pytestmark = pytest.mark.crash

MB = 1_000_000
SIZE = 4 * MB
"""Large beside one piece of a body: what came beyond the end of a shortened lease is lost."""
RATE = 8.0 * MB
MOST = 1.3
"""Sizes of the file that several connections may receive; one needs no byte twice."""

TENTHS = range(11)

at_every_tenth = pytest.mark.parametrize("tenth", TENTHS)
in_both_ways = pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])


@pytest.fixture
def cuts(reset: bool, tenth: int) -> CutAt:
    return CutAt(size=SIZE, at=SIZE * tenth // 10, reset=reset)


@pytest.fixture
def alone(tmp_path: Path, cuts: CutAt) -> Iterator[SegmentWorld]:
    with segment_world(
        tmp_path / "project", size=SIZE, rate=None, faults=cuts, driven=False
    ) as world:
        yield world


@in_both_ways
@at_every_tenth
def test_a_cut_of_the_only_connection_costs_no_second_run(alone: SegmentWorld, cuts: CutAt) -> None:
    ran = alone.sync()
    assert ran.status == 0, ran.err
    alone.require_converged()
    assert cuts.cuts >= 1
    # What the server sent says nothing here: RST takes back what is still on its way.
    assert ran.events[-1]["received"] == SIZE


@in_both_ways
def test_cuts_of_several_connections_at_every_tenth_cost_no_second_run(
    reset: bool, tmp_path: Path
) -> None:
    cuts = CutAt(size=SIZE, reset=reset)
    several = 0
    with segment_world(tmp_path / "project", size=SIZE, rate=RATE, faults=cuts) as world:
        for tenth in TENTHS:
            world.begin()
            cuts.aim(SIZE * tenth // 10)
            ran = world.run(seed=tenth)
            assert ran.status == 0, f"{tenth} tenths: {ran}"
            world.require_converged()
            assert cuts.cuts >= 1, f"{tenth} tenths"
            assert world.taken <= MOST, f"{tenth} tenths: {ran}"
            several += world.connections > 1
    assert several > len(TENTHS) / 2
