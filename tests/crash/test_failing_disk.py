"""Disks that fill up, fail to flush, or take fewer bytes than they say; too few descriptors.

Whatever happens, an item fails with a named error or is in place whole, and a run on a
healthy disk goes on from there.
"""

import subprocess
import threading
from pathlib import Path

import pytest

from civsync.demo.faults import Fault, Stall
from support.cli import command
from support.crash_worlds import CrashWorld, crash_world
from support.small_disks import small_disk
from support.strace import need_strace, run_traced

pytestmark = pytest.mark.crash

NO_SPACE = 8
NAMED = {0, 1, 4, 5, NO_SPACE, 75}


def require_named_failure(status: int, err: str) -> None:
    """Nothing but an error that civsync has a code for may come out."""
    assert status in NAMED, err
    assert "Traceback" not in err
    assert "unexpected failure" not in err


def test_a_flush_that_fails_fails_its_item_and_publishes_nothing_wrong(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        words = world.words(world.one, "--jobs", "1")
        for number in range(1, 12, 2):
            # Once, and much later again: a disk that recovers is the harder case.
            ran = run_traced(world.project, *words, inject=f"fsync:error=EIO:when={number}+40")
            assert ran.status != 0
            require_named_failure(ran.status, ran.err)
            world.require_no_wrong_file()
            world.finish(world.one)
            world.forget_root()


def test_no_file_gets_its_name_while_the_note_of_it_cannot_be_flushed(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        words = world.words(world.one, "--jobs", "4")
        ran = run_traced(world.project, *words, inject="fdatasync:error=EIO")
        require_named_failure(ran.status, ran.err)
        assert ran.status != 0
        assert list(world.files()) == ["loras/mine.safetensors"]
        world.finish(world.one)


def test_without_hard_links_names_are_given_by_rename_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        words = world.words(world.one, "--jobs", "4")
        ran = run_traced(world.project, *words, inject="linkat:error=EPERM")
        assert ran.status == 0, ran.err
        assert ran.err.count("no hard links") == 1
        world.require_converged(world.one)


@pytest.mark.parametrize("fault", ["error=ENOSPC", "error=EIO"])
def test_a_write_that_fails_fails_its_item_and_the_next_run_arrives(
    fault: str, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=100_000) as world:
        for number in (1, 2, 5, 9):
            _sync_with_bad_write(world, f"{fault}:when={number}")
            world.finish(world.one)
            world.forget_root()


def test_a_write_that_lies_never_gives_a_wrong_file_its_name(tmp_path: Path) -> None:
    """It says that 100 bytes were taken, and takes none; notes of civsync's may suffer, too."""
    need_strace()
    with crash_world(tmp_path / "project", size=100_000) as world:
        for number in (1, 2, 5, 9):
            _sync_with_bad_write(world, f"retval=100:when={number}")
            world.forget_root()


def _sync_with_bad_write(world: CrashWorld, fault: str) -> None:
    words = world.words(world.one, "--jobs", "2", "--quiet")
    ran = run_traced(world.project, *words, inject=f"write:{fault}")
    require_named_failure(ran.status, ran.err)
    world.require_no_wrong_file()


def test_thirty_two_descriptors_are_enough_or_the_run_says_so(tmp_path: Path) -> None:
    with crash_world(tmp_path / "project") as world:
        words = command(*world.words(world.one, "--jobs", "16"))
        ran = subprocess.run(
            ["sh", "-c", 'ulimit -n 32; exec "$@"', "sh", *words],
            cwd=world.project.folder,
            env=world.project.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        require_named_failure(ran.returncode, ran.stderr)
        world.require_no_wrong_file()
        world.finish(world.one)


@pytest.mark.parametrize("room", [0, 50_000, 900_000])
def test_a_disk_that_fills_up_half_way_keeps_what_came_and_goes_on_when_freed(
    room: int, tmp_path: Path
) -> None:
    root = tmp_path / "project" / "models"
    with small_disk(root, "size=80m"), crash_world(tmp_path / "project") as world:
        filler = root / "filler.bin"
        _sync_while_filling(world, filler, room)
        filler.unlink()
        world.require_no_wrong_file()
        world.finish(world.one)


def _sync_while_filling(world: CrashWorld, filler: Path, room: int) -> None:
    """Fill the disk up to `room` bytes once the downloads have begun."""
    released = threading.Event()
    world.served.faults.add(Fault(origin="storage", does=Stall(released, after=1000), times=None))
    process = world.project.start(*world.words(world.one, "--jobs", "4"))
    world.served.wait_until_asked(2, origin="storage")
    _fill(filler, room)
    released.set()
    world.served.faults.clear()
    _, err = process.communicate(timeout=60)
    require_named_failure(process.returncode, err)
    assert process.returncode == NO_SPACE, err
    assert "no-space" in err


def _fill(filler: Path, room: int) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            file.truncate(max(0, file.tell() - room))
