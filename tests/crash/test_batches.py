"""Small files get their names together: what that saves, and what a failure in the middle does.

That no kill and no cut of the power loses any of them is shown where that is shown for files
that come alone.
"""

from pathlib import Path

import pytest

from civsync.core.limits import MIB
from civsync.demo.artifacts import lazy_safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import serve
from support.cli import Project, Ran
from support.crash_worlds import FOREIGN, CrashWorld, many_small_files, require_named_failure
from support.strace import KILLED, calls_of, need_strace, run_to_kill, run_traced

pytestmark = pytest.mark.crash

FILES = 70
SIZE = 2000

FLUSHES = ("fsync", "fdatasync")
ALL_FLUSHES = (*FLUSHES, "sync", "syncfs", "sync_file_range", "msync")


def test_small_files_share_all_flushes_but_their_own(tmp_path: Path) -> None:
    need_strace()
    with many_small_files(tmp_path / "project", files=FILES, size=SIZE) as world:
        ran, calls = flushes_of(world, tmp_path)
        assert ran.status == 0, ran.err
        parts = [path for _, _, path in calls if path.endswith(".claim")]
        assert len(parts) == len(set(parts)) == FILES
        # One after the other they took three times as many.
        assert len(calls) - FILES < FILES
        world.require_converged(world.one)


def test_without_flushes_not_one_is_made_by_the_whole_process(tmp_path: Path) -> None:
    need_strace()
    with many_small_files(tmp_path / "project", files=12, size=SIZE) as world:
        ran, calls = flushes_of(world, tmp_path, "--no-fsync")
        assert (ran.status, calls) == (0, []), ran.err
        world.require_converged(world.one)


def test_without_flushes_none_is_made_for_the_lock_and_a_big_file_either(tmp_path: Path) -> None:
    need_strace()
    registry = Registry()
    model = registry.add_model("big", type="LORA")
    model.add_version().add_file("big.safetensors", lazy_safetensors("big", 40 * MIB))
    with serve(registry) as served:
        project = Project(tmp_path / "project", served.api_url)
        project.write(f"model: {model.id}")
        log = tmp_path / "calls.log"
        ran, calls = calls_of(project, "sync", "--no-fsync", calls=ALL_FLUSHES, log=log)
        assert (ran.status, calls) == (0, []), ran.err
        assert (project.root / "loras" / "big.safetensors").stat().st_size == 40 * MIB
        assert (project.folder / "civsync.lock").exists()


def flushes_of(
    world: CrashWorld, folder: Path, *more: str
) -> tuple[Ran, list[tuple[str, str, str]]]:
    words = world.words(world.one, "--jobs", "1", *more)
    return calls_of(world.project, *words, calls=ALL_FLUSHES, log=folder / "calls.log")


@pytest.mark.fault("4.3/io-error", "flush")
def test_of_files_named_together_the_one_that_cannot_be_flushed_fails_alone(
    tmp_path: Path,
) -> None:
    need_strace()
    with many_small_files(tmp_path / "project", files=12, size=SIZE) as world:
        _, calls = flushes_of(world, tmp_path)
        world.forget_root()
        by_thread: dict[str, list[str]] = {}
        for thread, call, path in calls:
            if call == "fsync":
                by_thread.setdefault(thread, []).append(path)
        # The thread that brought most of them; strace counts the calls of each by itself.
        mine = max(by_thread.values(), key=lambda paths: sum(map(is_part, paths)))
        ninth = [at for at, path in enumerate(mine, start=1) if is_part(path)][8]
        words = world.words(world.one, "--jobs", "1")
        inject = f"fsync:error=EIO:when={ninth}"
        ran = run_traced(world.project, *words, inject=inject)
        require_named_failure(ran.status, ran.err)
        assert ran.err.count("[disk-failed]") == 1
        world.require_no_wrong_file()
        assert len(world.files()) == len({*world.one.wanted, FOREIGN}) - 1
        world.finish(world.one)


def is_part(path: str) -> bool:
    return path.endswith(".claim")


@pytest.mark.fault("4.3/kill", "link", "flush")
def test_what_was_whole_when_the_process_was_killed_is_not_downloaded_again(
    tmp_path: Path,
) -> None:
    need_strace()
    with many_small_files(tmp_path / "project", files=12, size=SIZE) as world:
        words = world.words(world.one, "--jobs", "1")
        # Only files that are named together come to a second one in one thread.
        ran = run_to_kill(world.project, *words, inject="linkat:signal=KILL:when=2")
        assert ran.status == KILLED
        world.require_no_wrong_file()
        world.served.reset_counts()
        world.finish(world.one)
        assert world.served.count(origin="storage") == 0


@pytest.mark.fault("4.3/kill", "link", "unlink", "flush")
@pytest.mark.fault("4.8/interrupted-upgrade", "killed")
@pytest.mark.parametrize(("call", "least"), [("linkat", 2), ("unlinkat", 3), ("fsync", 6)])
def test_a_kill_at_every_step_of_naming_several_files_loses_nothing(
    call: str, least: int, tmp_path: Path
) -> None:
    """Half are new, and half replace what is there; there are `least` kills or more."""
    need_strace()
    with many_small_files(tmp_path / "project", files=6, size=SIZE) as world:
        world.finish(world.one)
        kill, target = 1, world.other
        while True:
            for path in ("loras/small-4.safetensors", "vae/small-1.safetensors"):
                (world.project.root / path).unlink()
            words = world.words(target, "--jobs", "1")
            ran = run_to_kill(world.project, *words, inject=f"{call}:signal=KILL:when={kill}")
            world.require_no_wrong_file()
            world.require_notes()
            if ran.status != KILLED:
                break
            world.finish_here(target)
            world.forget_trash()
            target = world.one if target is world.other else world.other
            kill += 1
        assert ran.status == 0, ran.err
        assert kill > least, f"{call} was hardly ever reached"
        world.require_converged(target)
