"""Two civsyncs on one root: one waits or goes away; and where locks lie, no byte is spoiled."""

import random
import subprocess
import threading
from pathlib import Path

import pytest

from civsync.demo.faults import Fault, Stall
from support.crash_worlds import CrashWorld, Target, crash_world
from support.strace import need_strace, traced

pytestmark = pytest.mark.crash

DONE = 0
REFUSED = 8
BUSY = 75


def test_of_two_syncs_with_different_locks_one_works_and_one_says_who_does(tmp_path: Path) -> None:
    with crash_world(tmp_path / "project") as world:
        released = threading.Event()
        world.served.faults.add(Fault(does=Stall(released), origin="storage"))
        first = _start(world, world.words(world.one))
        try:
            world.served.wait_until_asked(1, origin="storage")
            second = world.sync(world.other)
        finally:
            released.set()
            status, err = _end(first)
        assert second.status == BUSY
        assert f"process {first.pid}" in second.err
        assert status == DONE, err
        world.require_converged(world.one)


@pytest.mark.parametrize("seed", range(2))
def test_two_syncs_at_any_moment_leave_one_of_the_two_trees_to_finish(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    with crash_world(tmp_path / "project") as world:
        world.finish(world.one)
        for _ in range(2):
            pair = [_start(world, world.words(target)) for target in (world.other, world.one)]
            for process in pair:
                status, err = _end(process)
                assert status in {DONE, BUSY}, err
            world.require_no_wrong_file()
            target = chance.choice((world.one, world.other))
            world.finish(target)
            world.forget_trash()


@pytest.mark.parametrize("fault", ["retval=0", "error=ENOLCK", "error=ENOSYS"])
@pytest.mark.parametrize("different", [False, True], ids=["one lock", "two locks"])
def test_where_file_locks_lie_or_lack_two_syncs_spoil_nothing(
    fault: str, different: bool, tmp_path: Path
) -> None:
    need_strace()
    chance = random.Random(f"{fault} {different}")
    with crash_world(tmp_path / "project") as world:
        second = world.other if different else world.one
        pair = [_start_lying(world, world.one, fault)]
        world.served.wait_until_asked(chance.randrange(3), origin="storage")
        pair.append(_start_lying(world, second, fault))
        for process in pair:
            _, err = _end(process)
            assert "Traceback" not in err
            assert "unexpected failure" not in err
        world.require_no_wrong_file()
        ran = world.sync(second)
        if different:
            # Each wrote a receipt without the other's files: those are left alone now.
            assert ran.status in {DONE, REFUSED}, ran.err
            world.require_no_wrong_file()
        else:
            assert ran.status == DONE, ran.err
            assert world.files().items() >= second.wanted.items()


def _start(world: CrashWorld, words: tuple[str, ...]) -> "subprocess.Popen[str]":
    return world.project.start(*words)


def _start_lying(world: CrashWorld, target: Target, fault: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        traced(*world.words(target, "--quiet"), inject=f"flock:{fault}"),
        cwd=world.project.folder,
        env=world.project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err
