"""The power goes while a real sync writes: ext4 and xfs, cut by the kernel's shutdown ioctl.

What is not on the medium then is lost. After mounting again no wrong file has a final name,
every file that was said to be done is there, and running again is all that it takes.
"""

import contextlib
import json
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.crash_worlds import CrashWorld, Target, crash_world, many_small_files
from support.loop_disks import LOG_FLUSHED, LOG_LOST, LoopDisk, loop_disk
from support.segment_world import tell
from support.strace import need_strace, traced

pytestmark = pytest.mark.crash

CUTS = 12
"""A test; there are two for each file system."""

SMALL = 20_000
"""Bytes a file: most of a run is then giving names."""

MANY = 60
"""Files, where many are named together."""

BEGINNING_S = 0.08
STEP_S = 0.01
"""A cut comes up to so long after the plan, or after a file: while something else is done."""

Record = Callable[[str, object], None]

on_both = pytest.mark.parametrize("kind", ["ext4", "xfs"])


@dataclass(kw_only=True)
class Said:
    """What a run said to be done: paths by what became of them."""

    there: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    planned: bool = False
    finished: bool = False

    def take(self, line: str) -> None:
        event = json.loads(line)
        self.planned |= event.get("event") == "planned"
        self.finished |= event.get("event") == "finished" and event["exit"] == 0
        if event.get("event") == "done":
            (self.gone if event["how"] == "retired" else self.there).add(event["path"])


@pytest.mark.fault("4.3/power-loss", "ext4", "xfs")
@on_both
@pytest.mark.parametrize("with_state", [False, True], ids=["root", "root and state"])
def test_a_power_cut_at_any_moment_loses_nothing_that_was_done(
    kind: str, with_state: bool, tmp_path: Path, record_property: Record
) -> None:
    """`with_state`: what civsync remembers of its roots is on the disk that is cut, too."""
    chance = random.Random(f"{kind} {with_state}")
    with cut_world(kind, tmp_path, with_state=with_state) as (disk, world):
        _cut_again_and_again(disk, world, chance, record_property)


@pytest.mark.fault("4.3/power-loss", "ext4", "xfs")
@on_both
def test_a_power_cut_while_files_are_named_together_loses_none_that_was_done(
    kind: str, tmp_path: Path, record_property: Record
) -> None:
    """Many small files, new ones and ones that replace others, in two directories."""
    with (
        loop_disk(kind, tmp_path / "disk.img", tmp_path / "project" / "models") as disk,
        many_small_files(tmp_path / "project", files=MANY, size=2000) as world,
    ):
        # Names come many at a time: a late cut would come after the last of them.
        _cut_again_and_again(disk, world, random.Random(kind), record_property, late=MANY // 6)


def _cut_again_and_again(
    disk: LoopDisk,
    world: CrashWorld,
    chance: random.Random,
    record_property: Record,
    *,
    late: int | None = None,
) -> None:
    """Cut each run after a number of files that is less than `late`, or than all."""
    acknowledged = unfinished = 0
    target = world.other
    for number in range(CUTS):
        target = world.one if target is world.other else world.other
        if chance.random() < 0.4:
            world.forget_root()
        else:
            world.forget_trash()
        # What was there before the run is on the medium.
        disk.come_back()
        jobs = chance.choice(("1", "2", "4"))
        done = chance.randrange(late or len(target.wanted))
        said = _cut(
            disk,
            world.project.start(*world.words(target, "--json", "--jobs", jobs)),
            done=done,
            after=chance.uniform(0, STEP_S if done else BEGINNING_S),
            how=(LOG_FLUSHED, LOG_LOST)[number % 2],
        )
        world.require_no_wrong_file()
        _require_done(world, target, said)
        world.finish_here(target)
        acknowledged += len(said.there) + len(said.gone)
        unfinished += not said.finished
    assert unfinished >= CUTS / 4, "the cuts came too late to cut anything"
    tell(
        record_property,
        cuts=CUTS,
        before_the_end=unfinished,
        acknowledged=acknowledged,
        lost=0,
    )


@on_both
def test_the_cut_does_lose_what_is_not_flushed(
    kind: str, tmp_path: Path, record_property: Record
) -> None:
    """The same run with flushes that lie: otherwise the test above would prove nothing."""
    need_strace()
    with cut_world(kind, tmp_path, with_state=False) as (disk, world):
        lying = traced(
            *world.words(world.one, "--json"),
            inject="fsync,fdatasync:retval=0",
        )
        process = subprocess.Popen(
            lying,
            cwd=world.project.folder,
            env=world.project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = _cut(disk, process, done=0, after=None, how=LOG_LOST)
        assert said.there == set(world.one.wanted)
        kept = world.files()
        lost = {path for path in said.there if kept.get(path) != world.one.wanted[path]}
        assert lost
        tell(record_property, cuts=1, acknowledged=len(said.there), lost=len(lost))


@contextlib.contextmanager
def cut_world(
    kind: str, folder: Path, *, with_state: bool
) -> Iterator[tuple[LoopDisk, CrashWorld]]:
    project = folder / "project"
    place = project if with_state else project / "models"
    with (
        loop_disk(kind, folder / "disk.img", place) as disk,
        crash_world(project, size=SMALL) as world,
    ):
        yield disk, world


def _cut(
    disk: LoopDisk,
    process: "subprocess.Popen[str]",
    *,
    done: int,
    after: float | None,
    how: int,
) -> Said:
    """Cut the power so many seconds after so many files were done (None: after the end).

    What is said later than that is believed, too: nothing can be flushed any more then.
    """
    said = Said()
    out = process.stdout
    assert out is not None
    for line in out:
        said.take(line)
        if said.planned and len(said.there) + len(said.gone) >= done:
            break

    def listen() -> None:
        for line in out:
            said.take(line)

    listener = threading.Thread(target=listen)
    listener.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    disk.cut(how)
    process.kill()
    process.wait()
    listener.join()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    disk.come_back()
    return said


def _require_done(world: CrashWorld, target: Target, said: Said) -> None:
    files = world.files()
    for path in said.there:
        assert files.get(path) == target.wanted[path], f"{path} was done, and is lost"
    for path in said.gone - target.wanted.keys():
        assert path not in files, f"{path} was retired, and came back"
