"""kill -9 at the k-th of each kind of system call that changes a disk (SQLite's crash tests).

One run fetches, replaces, swaps, moves, copies and retires, with one worker, so that the
sweep goes through every state in between; the law is that of the random kills.
"""

from pathlib import Path

import pytest

from support.crash_worlds import CrashWorld, Target, crash_world
from support.strace import KILLED, need_strace, run_to_kill

pytestmark = pytest.mark.crash

SMALL = 20_000
"""Bytes a file: the states are the same, and there are many of them."""

EVERY = {
    "linkat": 1,
    "unlinkat": 1,
    "renameat": 1,
    "mkdirat": 1,
    "fdatasync": 1,
    "fsync": 4,
    "write": 3,
    "openat": 40,
    "close": 40,
}
"""System calls, and which share of them is tried: what lies between two renames is much alike."""


LEAST = {
    "linkat": 4,
    "unlinkat": 5,
    "renameat": 3,
    "mkdirat": 1,
    "fdatasync": 1,
    "fsync": 3,
    "write": 2,
    "openat": 10,
    "close": 10,
}
"""How many kills each has to come to, or nothing was tried."""


@pytest.mark.fault(
    "4.3/kill", "link", "unlink", "rename", "mkdir", "open", "write", "flush", "close"
)
@pytest.mark.fault("4.8/interrupted-upgrade", "killed")
@pytest.mark.parametrize(
    ("call", "step"),
    [
        *EVERY.items(),
        *(pytest.param(call, 1, marks=pytest.mark.sweep) for call in ("fsync", "write")),
    ],
)
def test_a_kill_at_every_step_of_a_change_loses_nothing(
    call: str, step: int, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=SMALL) as world:
        world.finish(world.one)
        target = world.other
        kill = 1
        while _kill(world, target, call, kill):
            world.finish_here(target)
            world.forget_trash()
            target = world.one if target is world.other else world.other
            kill += step
        assert kill > step * LEAST[call], f"{call} was hardly ever reached"
        world.require_converged(target)


@pytest.mark.fault("4.3/kill", "link", "rename", "flush")
@pytest.mark.parametrize("call", ["linkat", "renameat", "fdatasync"])
def test_a_kill_at_every_step_of_a_first_sync_loses_nothing(call: str, tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=SMALL) as world:
        kill = 1
        while _kill(world, world.one, call, kill):
            world.finish_here(world.one)
            world.forget_root()
            kill += 1
        assert kill > 1, f"no {call} was ever reached"
        world.require_converged(world.one)


def _kill(world: CrashWorld, target: Target, call: str, number: int) -> bool:
    """Kill a run at that call; False if it came to its end before."""
    words = world.words(target, "--jobs", "1")
    ran = run_to_kill(world.project, *words, inject=f"{call}:signal=KILL:when={number}")
    world.require_no_wrong_file()
    world.require_notes()
    if ran.status == KILLED:
        return True
    assert ran.status == 0, ran.err
    return False
