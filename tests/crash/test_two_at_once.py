"""Two civsyncs on one root: one waits or goes away; and where locks lie, no byte is spoiled."""

import random
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from civsync.demo.faults import Fault, Stall
from support.crash_worlds import FOREIGN, CrashWorld, Target, crash_world, sha256
from support.strace import INJECTED, need_strace, traced

pytestmark = pytest.mark.crash

DONE = 0
BUSY = 75


@pytest.mark.fault("4.4/two-civsyncs", "while the first works")
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


@pytest.mark.fault("4.4/two-civsyncs", "at any moment")
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


@pytest.mark.fault("4.4/locks-that-lie", "granted to all", "ENOLCK", "ENOSYS")
@pytest.mark.parametrize(
    ("crowd", "fault"),
    [(2, "retval=0"), (4, "retval=0"), (2, "error=ENOLCK"), (4, "error=ENOSYS")],
)
def test_where_file_locks_lie_or_lack_the_outcome_is_one_of_the_two_locks(
    crowd: int, fault: str, tmp_path: Path
) -> None:
    """One of them has a newer lock, and all of them start from the same tree."""
    need_strace()
    chance = random.Random(f"{fault} {crowd}")
    with crash_world(tmp_path / "project", size=50_000) as world:
        for begun in (False, True):
            if begun:
                world.finish(world.one)
                world.forget_trash()
            world.served.reset_counts()
            newer = chance.randrange(crowd)
            some = []
            for number in range(crowd):
                if number == 1 and chance.random() < 0.5 and not begun:
                    world.served.wait_until_asked(chance.randrange(3), origin="storage")
                target = world.other if number == newer else world.one
                log = tmp_path / f"{number}.log"
                some.append((target, _start_lying(world, target, fault, log)))
            ended = [(target, *_end(process)) for target, process in some]
            _require_no_honest_lock(tmp_path.glob("*.log"))
            for _, status, err in ended:
                assert status in {DONE, BUSY}, err
            done = [target for target, status, _ in ended if status == DONE]
            assert done
            world.require_no_wrong_file()
            wholes = [{**target.wanted, FOREIGN: sha256(b"mine")} for target in done]
            assert world.files() in wholes
            world.finish(some[newer][0])
            world.forget_root()


def _start(world: CrashWorld, words: tuple[str, ...]) -> "subprocess.Popen[str]":
    return world.project.start(*words)


def _start_lying(
    world: CrashWorld, target: Target, fault: str, log: Path
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        traced(*world.words(target, "--quiet"), inject=f"flock:{fault}", log=log),
        cwd=world.project.folder,
        env=world.project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _require_no_honest_lock(logs: Iterable[Path]) -> None:
    lines = [line for log in logs for line in log.read_text("utf-8", "replace").splitlines()]
    answers = [line for line in lines if "flock" in line and "<unfinished" not in line]
    assert answers
    assert [line for line in answers if INJECTED not in line] == []


def _end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err
