"""Disks that have no room left: for bytes, for files, or for one more of something.

The room grows from nothing, so that each phase of a run is the one that fails once. What
fails has a name, no wrong file stands under any other, and with room again a plain run is
all that it takes.
"""

import threading
from itertools import count
from pathlib import Path

import pytest

from civsync.demo.faults import Fault, Stall
from support.crash_worlds import CrashWorld, Target, crash_world, require_named_failure
from support.small_disks import change_small_disk, small_disk

pytestmark = pytest.mark.crash

NO_SPACE = 8
SMALL = 20_000
PAGE = 4096
PLENTY = 5000
"""Inodes that are enough for everything."""


@pytest.mark.fault("4.3/no-room", "ENOSPC")
@pytest.mark.parametrize("room", [0, 50_000, 900_000])
def test_a_disk_that_fills_up_half_way_keeps_what_came_and_goes_on_when_freed(
    room: int, tmp_path: Path
) -> None:
    root = tmp_path / "project" / "models"
    with small_disk(root, "size=80m"), crash_world(tmp_path / "project") as world:
        filler = root / "filler.bin"
        status, err = _sync_while_filling(world, filler, room)
        filler.unlink()
        assert status == NO_SPACE, err
        _require_full_or_whole(world, world.one, status, err)
        world.finish(world.one)


@pytest.mark.fault("4.3/no-room", "ENOSPC")
def test_a_disk_with_any_room_left_fails_by_name_or_takes_it_all(tmp_path: Path) -> None:
    """The last steps are those of notes and of the receipt, when all files have their names."""
    root = tmp_path / "project" / "models"
    with (
        small_disk(root, "size=80m"),
        crash_world(tmp_path / "project", size=SMALL) as world,
    ):
        filler = root / "filler.bin"
        files: set[int] = set()
        for room in count(0, 2 * PAGE):
            status, err = _sync_while_filling(world, filler, room, jobs=1)
            filler.unlink()
            _require_full_or_whole(world, world.one, status, err)
            files.add(len(world.files()))
            if status == 0:
                break
            world.finish_here(world.one)
            world.forget_root()
        # The user's own alone, then with ever more of the six.
        assert {1, 7} <= files
        assert len(files) > 4


def _sync_while_filling(
    world: CrashWorld, filler: Path, room: int, *, jobs: int = 4
) -> tuple[int, str]:
    """Fill the disk up to `room` bytes once the downloads have begun; return how it ended."""
    released = threading.Event()
    world.served.reset_counts()
    world.served.faults.add(Fault(origin="storage", does=Stall(released, after=1000), times=None))
    process = world.project.start(*world.words(world.one, "--jobs", str(jobs)))
    world.served.wait_until_asked(min(jobs, 2), origin="storage")
    _fill(filler, room)
    released.set()
    world.served.faults.clear()
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def _fill(filler: Path, room: int) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            file.truncate(max(0, file.tell() - room))


@pytest.mark.fault("4.3/no-room", "no inodes left")
def test_a_first_sync_with_any_number_of_inodes_fails_by_name_or_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "project" / "models"
    with crash_world(tmp_path / "project", size=SMALL) as world:
        failed = 0
        for inodes in count(4):
            world.forget_root()
            with small_disk(root, f"size=80m,nr_inodes={inodes}"):
                world.place_foreign()
                ran = world.sync(world.one, "--jobs", "1")
                _require_full_or_whole(world, world.one, ran.status, ran.err)
                if ran.status == 0:
                    break
                failed += 1
                change_small_disk(root, f"nr_inodes={PLENTY}")
                world.finish_here(world.one)
        assert failed > 6


@pytest.mark.fault("4.3/no-room", "no inodes left")
def test_a_change_with_any_number_of_inodes_fails_by_name_or_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "project" / "models"
    options = f"size=80m,nr_inodes={PLENTY}"
    with small_disk(root, options), crash_world(tmp_path / "project", size=SMALL) as world:
        world.finish_here(world.one)
        target = world.other
        for spare in count():
            used = sum(1 for _ in root.rglob("*")) + 1
            change_small_disk(root, f"nr_inodes={used + spare}")
            ran = world.sync(target, "--jobs", "1")
            _require_full_or_whole(world, target, ran.status, ran.err)
            change_small_disk(root, f"nr_inodes={PLENTY}")
            world.finish_here(target)
            if ran.status == 0:
                break
            world.forget_trash()
            target = world.one if target is world.other else world.other
        assert spare > 3


def _require_full_or_whole(world: CrashWorld, target: Target, status: int, err: str) -> None:
    require_named_failure(status, err)
    world.require_no_wrong_file()
    if status == 0:
        world.require_converged(target)
    else:
        assert "no-space" in err
