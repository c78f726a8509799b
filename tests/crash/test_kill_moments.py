"""kill -9 at random moments of real runs, as ostree tests its updates.

A clean run is timed first; then runs are killed at moments up to 1.1 times of that. After
each kill no wrong or partial file stands under a final name, and running again is all it
takes to arrive: with the whole tree, all of it owned, and the user's own file untouched.
"""

import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from civsync.core.lock import Lock
from civsync.documents.lock import write_lock
from support.crash_worlds import FOREIGN, CrashWorld, Target, crash_world

pytestmark = pytest.mark.crash

KILLS = 10
"""A test; there are five, of which two wait for the sweep."""

ANY_MOMENT = 0.2
"""Share of kills that may fall into the start of the process, before anything is done."""

BEYOND = 1.1
"""Kills come up to this share of a clean run, so that some come just after the end."""


@pytest.mark.fault("4.3/kill", "at any moment")
@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.sweep) for seed in (3, 4))]
)
def test_a_kill_at_any_moment_leaves_no_wrong_file_and_the_next_run_arrives(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    with crash_world(tmp_path / "project") as world:
        whole, acting = _time_clean_runs(world)
        target = world.other
        for _ in range(KILLS):
            target = world.one if target is world.other else world.other
            if chance.random() < 0.3:
                world.forget_root()
            elif chance.random() < 0.6:
                world.forget_trash()
            jobs = chance.choice(("1", "4", "16"))
            if chance.random() < ANY_MOMENT:
                _kill(world, target, jobs, after=chance.uniform(0, BEYOND * whole), planned=False)
            else:
                _kill(world, target, jobs, after=chance.uniform(0, BEYOND * acting), planned=True)
            world.require_no_wrong_file()
            world.require_notes()
            world.finish(target)
        _prune_everything(world)


def _time_clean_runs(world: CrashWorld) -> tuple[float, float]:
    """Return the seconds of a first and a changing sync: as a whole, and after the plan."""
    wholes, actings = [], []
    for target in (world.one, world.other):
        began = time.monotonic()
        process = world.project.start(*world.words(target, "--json", "--jobs", "4"))
        planned = began
        for line in process.stdout or ():
            if '"planned"' in line:
                planned = time.monotonic()
        assert process.wait() == 0
        process.communicate()
        ended = time.monotonic()
        wholes.append(ended - began)
        actings.append(ended - planned)
    return max(wholes), max(actings)


def _kill(world: CrashWorld, target: Target, jobs: str, *, after: float, planned: bool) -> None:
    process = world.project.start(*world.words(target, "--json", "--jobs", jobs))
    assert process.stdout is not None
    if planned:
        for line in process.stdout:
            if '"planned"' in line:
                break
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()
    drain.join()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def _prune_everything(world: CrashWorld) -> None:
    """No ownership was lost on the way: a later prune still retires every file."""
    emptied = world.project.folder / "emptied.lock"
    emptied.write_bytes(write_lock(Lock()))
    gone = Target(lock=emptied, wanted={})
    ran = world.sync(gone, "--allow-prune", "all")
    assert ran.status == 0, ran.err
    assert list(world.files()) == [FOREIGN]
