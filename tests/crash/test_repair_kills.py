"""kill -9 at the k-th call of a repair, or of a rebuilt receipt: nothing is lost by it.

A file under its final name is right, or it is the damaged one that no run has touched yet;
what was damaged is kept; and the same command, run again, ends whole.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.cli import Ran
from support.crash_worlds import FOREIGN, CrashWorld, crash_world, sha256
from support.strace import KILLED, need_strace, run_to_kill

pytestmark = pytest.mark.crash

SMALL = 20_000
ROTTEN, MISSING = "loras/kept.safetensors", "loras/left.safetensors"

EVERY = {"renameat": 1, "unlinkat": 2, "fsync": 5}
"""System calls, and which share of them is tried."""

LEAST = {"renameat": 2, "unlinkat": 2, "fsync": 2}
"""How many kills each has to come to, or nothing was tried."""


def words(world: CrashWorld, *more: str) -> tuple[str, ...]:
    return ("verify", "--lock", world.one.lock.name, "--root", "models", "--jobs", "1", *more)


def sweep(
    world: CrashWorld, command: tuple[str, ...], call: str, step: int, spoil: Callable[[], None]
) -> int:
    """Kill the command at each `step`-th call and run it again; returns how often that was."""
    number, kills = 1, 0
    while True:
        spoil()
        ran = kill(world, command, call, number)
        require_nothing_lost(world)
        if ran.status != KILLED:
            assert ran.status == 0, ran.err
            return kills
        kills += 1
        again = world.project.call(*command)
        assert again.status == 0, again.err
        world.require_converged(world.one)
        number += step


def kill(world: CrashWorld, command: tuple[str, ...], call: str, number: int) -> Ran:
    """Run the command until that call of any of its threads, if it comes to it."""
    inject = f"{call}:signal=KILL:when={number}"
    return run_to_kill(world.project, *command, inject=inject)


def require_nothing_lost(world: CrashWorld) -> None:
    for path, content in world.files().items():
        wanted = sha256(b"mine") if path == FOREIGN else world.one.wanted[path]
        assert content == wanted or path == ROTTEN
    rotten = sha256(rotten_bytes(world))
    kept = (world.project.root / ".civsync" / "quarantine").glob(f"{rotten}.*.retired")
    assert world.files().get(ROTTEN) == rotten or list(kept)


def rotten_bytes(world: CrashWorld) -> bytes:
    return b"rotten" * 100 + world.one.wanted[ROTTEN].encode()


@pytest.mark.fault("4.3/kill", "in a repair")
@pytest.mark.parametrize(
    ("call", "step"),
    [
        *EVERY.items(),
        *(pytest.param(call, 1, marks=pytest.mark.sweep) for call in ("unlinkat", "fsync")),
    ],
)
def test_a_kill_at_every_step_of_a_repair_loses_nothing(
    call: str, step: int, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=SMALL) as world:
        world.finish(world.one)

        def spoil() -> None:
            (world.project.root / ROTTEN).write_bytes(rotten_bytes(world))
            (world.project.root / MISSING).unlink(missing_ok=True)
            world.forget_trash()

        assert sweep(world, words(world, "--repair"), call, step, spoil) >= LEAST[call]
        world.require_converged(world.one)


@pytest.mark.fault("4.3/kill", "in a rebuild")
@pytest.mark.parametrize(("call", "least"), [("renameat", 1), ("linkat", 2)])
def test_a_kill_at_every_step_of_a_rebuild_loses_no_ownership(
    call: str, least: int, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=SMALL) as world:
        world.finish(world.one)
        control = world.project.root / ".civsync"
        before = owned(world)
        number = 1
        while True:
            (control / "receipt.json").write_bytes(b"damaged")
            (control / "notes.jsonl").write_bytes(b"damaged\n")
            command = words(world, "--rebuild", "--yes")
            ran = kill(world, command, call, number)
            assert any(path.read_bytes().startswith(b"damaged") for path in control.glob("*.*"))
            if ran.status != KILLED:
                break
            assert world.project.call(*command).status == 0
            assert owned(world) == before
            number += 1
        assert ran.status == 0, ran.err
        assert number > least
        assert owned(world) == before


def owned(world: CrashWorld) -> dict[str, str]:
    root = open_root(world.project.root, state_dir=world.state_dir)
    return {path: each.sha256 for path, each in DiskLedger(root).read().owned.items()}
