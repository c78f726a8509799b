"""kill -9 at random moments while several connections receive one file.

What was received out of order is known by the part's journal alone, so this is where it is
proved: the next run arrives, with the right bytes, and asks for little of it twice.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.segment_world import SegmentWorld, in_several_worlds, tell

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

MB = 1_000_000
SIZE = 3 * MB
RATE = 2.5 * MB
"""Bytes a second of one connection: the file takes four of them half a second."""

KILLS = 51
"""Trials of one test; there are four."""

BEYOND = 1.1
"""Kills come up to this share of a clean run, so that some come just after the end."""

IN_A_ROW = (1, 1, 1, 1, 2, 3)
"""Kills of one trial, by chance."""

MOST = 1.3
"""Sizes of the file that all runs of a trial may receive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How often a run was killed, what that left, and what all runs cost, in sizes of the file."""

    kills: int
    journals: int
    connections: int
    taken: float
    sent: float


def _trials(count: int, seed: int) -> Callable[[SegmentWorld, int], list[Trial]]:
    def run(world: SegmentWorld, number: int) -> list[Trial]:
        chance = random.Random(f"{seed} {number}")
        clean = min(_clean_run(world) for _ in range(2))
        return [_trial(world, chance, clean) for _ in range(count)]

    return run


def _clean_run(world: SegmentWorld) -> float:
    world.begin()
    ran = world.run()
    assert ran.status == 0, ran
    assert ran.received == world.size
    assert world.connections > 1
    world.require_converged()
    return ran.seconds


def _trial(world: SegmentWorld, chance: random.Random, clean: float) -> Trial:
    world.begin()
    kills = journals = 0
    for _ in range(chance.choice(IN_A_ROW)):
        ran = world.run(kill_after=chance.uniform(0, BEYOND * clean))
        assert ran.status in {0, -9}, ran
        kills += ran.status == -9
        journals += world.journaled() is not None
        world.require_nothing_wrong()
    ran = world.run()
    assert ran.status == 0, ran
    world.require_converged()
    assert world.taken <= MOST, f"{kills} kills"
    return Trial(
        kills=kills,
        journals=journals,
        connections=world.connections,
        taken=world.taken,
        sent=world.sent,
    )


@pytest.mark.fault("4.3/kill", "at any moment", "several connections")
@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_costs_little_and_the_next_run_arrives(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _sweep(KILLS, seed, tmp_path, record_property)


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_kills(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _sweep(10 * KILLS, seed, tmp_path, record_property)


def _sweep(
    count: int, seed: int, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    at_once = 3
    run = _trials(count // at_once, seed)
    trials = in_several_worlds(folder, run, worlds=at_once, size=SIZE, rate=RATE)
    journals = sum(trial.journals for trial in trials)
    sent = sum(trial.sent for trial in trials) / len(trials)
    several = sum(trial.connections > 1 for trial in trials)
    tell(
        record_property,
        trials=len(trials),
        kills=sum(trial.kills for trial in trials),
        journals=journals,
        several=several,
        worst_taken=max(trial.taken for trial in trials),
        mean_taken=sum(trial.taken for trial in trials) / len(trials),
        worst_sent=max(trial.sent for trial in trials),
        mean_sent=sent,
    )
    assert sent <= MOST
    # Otherwise nothing of this was about several connections.
    assert several > 0.8 * len(trials)
    assert journals > 0.2 * len(trials)
