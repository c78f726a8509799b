"""Disks that fail to read or flush, or take fewer bytes than they say; too few descriptors.

Whatever happens, an item fails with a named error or is in place whole, and a run on a
healthy disk goes on from there.
"""

import os
import subprocess
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.disk.ledger import DiskLedger
from civsync.disk.parts import DiskParts
from support.cli import command
from support.crash_worlds import (
    FOREIGN,
    CrashWorld,
    crash_world,
    require_named_failure,
    sha256,
)
from support.loop_disks import loop_disk
from support.strace import need_strace, run_traced

pytestmark = pytest.mark.crash

WRITES = [("write", 1), ("write", 3), ("pwrite64", 1), ("pwrite64", 2)]
"""The state of civsync is written with the one, and models and the index with the other."""


@pytest.mark.fault("4.3/io-error", "flush")
def test_a_flush_that_fails_fails_its_item_and_publishes_nothing_wrong(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        words = world.words(world.one, "--jobs", "1")
        for number in range(1, 12, 2):
            # Once, and much later again: a disk that recovers is the harder case.
            ran = run_traced(world.project, *words, inject=f"fsync:error=EIO:when={number}+40")
            assert ran.injected
            assert ran.status != 0
            require_named_failure(ran.status, ran.err)
            world.require_no_wrong_file()
            world.finish(world.one)
            world.forget_root()


@pytest.mark.fault("4.3/io-error", "flush")
def test_no_file_gets_its_name_while_the_note_of_it_cannot_be_flushed(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        words = world.words(world.one, "--jobs", "4")
        ran = run_traced(world.project, *words, inject="fdatasync:error=EIO")
        require_named_failure(ran.status, ran.err)
        assert ran.status != 0
        assert list(world.files()) == ["loras/mine.safetensors"]
        world.finish(world.one)


@pytest.mark.fault("4.3/lesser-disk", "no hard links")
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


@pytest.mark.fault("4.3/io-error", "write")
@pytest.mark.fault("4.3/no-room", "ENOSPC")
@pytest.mark.parametrize("fault", ["error=ENOSPC", "error=EIO"])
def test_a_write_that_fails_fails_its_item_and_the_next_run_arrives(
    fault: str, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=100_000) as world:
        for call, number in WRITES:
            _sync_with_bad_write(world, f"{call}:{fault}:when={number}")
            world.finish(world.one)
            world.forget_root()


@pytest.mark.fault("4.3/no-room", "EDQUOT")
@pytest.mark.fault("4.3/scarce", "EMFILE", "ENOMEM")
@pytest.mark.parametrize(
    ("call", "error", "status", "code"),
    [
        ("pwrite64", "EDQUOT", 8, "no-space"),
        ("pwrite64", "ENOMEM", 1, "disk-failed"),
        ("openat", "EMFILE", 1, "disk-failed"),
    ],
)
def test_what_is_used_up_fails_each_item_by_name(
    call: str, error: str, status: int, code: str, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        ran = run_traced(
            world.project,
            *world.words(world.one),
            inject=f"{call}:error={error}",
            paths=[world.project.root / ".civsync" / "parts"] if call == "openat" else [],
        )
        require_named_failure(ran.status, ran.err)
        assert ran.status == status
        assert ran.err.count(f"({error})") == ran.err.count(f"[{code}]") == len(world.one.wanted)
        assert list(world.files()) == [FOREIGN]
        world.finish(world.one)


def test_a_write_that_lies_never_gives_a_wrong_file_its_name(tmp_path: Path) -> None:
    """It says that 100 bytes were taken, and takes none: of a model, a note or the index."""
    need_strace()
    with crash_world(tmp_path / "project", size=100_000) as world:
        for call, number in WRITES:
            _sync_with_bad_write(world, f"{call}:retval=100:when={number}")
            world.forget_root()


def _sync_with_bad_write(world: CrashWorld, inject: str) -> None:
    words = world.words(world.one, "--jobs", "2", "--quiet")
    ran = run_traced(world.project, *words, inject=inject)
    assert ran.injected
    require_named_failure(ran.status, ran.err)
    world.require_no_wrong_file()


@pytest.mark.fault("4.3/scarce", "EMFILE")
def test_thirty_two_descriptors_are_enough_or_the_run_says_so(tmp_path: Path) -> None:
    with crash_world(tmp_path / "project") as world:
        ran = _run_limited(world, "ulimit -n 32", "--jobs", "16")
        require_named_failure(ran.returncode, ran.stderr)
        world.require_no_wrong_file()
        world.finish(world.one)


def _run_limited(world: CrashWorld, limit: str, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", f'{limit}; exec "$@"', "sh", *command(*world.words(world.one, *more))],
        cwd=world.project.folder,
        env=world.project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.fault("4.3/io-error", "read")
@pytest.mark.parametrize("name", ["root.json", "receipt.json", "notes.jsonl"])
def test_state_that_cannot_be_read_stops_the_run_before_it_does_anything(
    name: str, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        _leave_notes(world)
        before = world.files()
        state = world.project.root / ".civsync" / name
        assert state.exists()
        words = world.words(world.other)
        ran = run_traced(world.project, *words, inject="read:error=EIO", paths=[state])
        require_named_failure(ran.status, ran.err)
        assert ran.status != 0
        assert f".civsync/{name}" in ran.err
        assert world.files() == before
        world.finish(world.other)


@pytest.mark.fault("4.3/io-error", "read")
def test_a_file_that_cannot_be_read_is_left_alone_and_the_others_go_on(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        world.finish(world.one)
        changed = world.project.root / "loras" / "changed.safetensors"
        before = changed.stat()
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        words = world.words(world.other)
        ran = run_traced(world.project, *words, inject="read:error=EIO", paths=[changed])
        require_named_failure(ran.status, ran.err)
        assert ran.status != 0
        assert "loras/changed.safetensors" in ran.err
        world.require_no_wrong_file()
        assert (
            world.files()["loras/changed.safetensors"]
            == world.one.wanted["loras/changed.safetensors"]
        )
        world.finish(world.other)


@pytest.mark.fault("4.3/io-error", "read")
def test_a_part_that_cannot_be_read_is_not_gone_on_with(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=100_000) as world:
        kept = safetensors("kept", 100_000)
        root = world.open_root()
        root.establish()
        with DiskParts(root).claim(sha256(kept), len(kept)) as part:
            part.write(kept[:60_000], 0)
        # Which of the two it is depends on how Python was built.
        inject = "preadv,preadv2:error=EIO"
        ran = run_traced(world.project, *world.words(world.one), inject=inject)
        require_named_failure(ran.status, ran.err)
        assert ran.status != 0
        assert "loras/kept.safetensors: cannot read .civsync/parts/" in ran.err
        world.require_no_wrong_file()
        world.finish(world.one)


@pytest.mark.fault("4.3/io-error", "close")
def test_a_close_that_fails_gives_no_wrong_file_a_name(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        control = world.project.root / ".civsync"
        ran = run_traced(
            world.project,
            *world.words(world.one),
            inject="close:error=EIO",
            paths=[control / "notes.jsonl", control / "lock"],
        )
        assert ran.injected
        require_named_failure(ran.status, ran.err)
        world.require_no_wrong_file()
        world.finish(world.one)


@pytest.mark.fault("4.3/io-error", "close")
def test_directories_have_nothing_to_lose_when_their_close_fails(tmp_path: Path) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        root = world.project.root
        ran = run_traced(
            world.project,
            *world.words(world.one),
            inject="close:error=EIO",
            paths=[root, root / "loras", root / ".civsync", root / ".civsync" / "parts"],
        )
        assert ran.injected
        assert "Traceback" not in ran.err
        assert ran.status == 0, ran.err
        world.require_converged(world.one)


@pytest.mark.fault("4.3/lesser-disk", "no flush of directories")
@pytest.mark.fault("4.3/io-error", "flush")
@pytest.mark.parametrize(("error", "status"), [("EINVAL", 0), ("EIO", 1)])
def test_a_disk_that_has_no_flush_for_directories_is_used_and_one_that_fails_is_not(
    error: str, status: int, tmp_path: Path
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        loras = world.project.root / "loras"
        ran = run_traced(
            world.project, *world.words(world.one), inject=f"fsync:error={error}", paths=[loras]
        )
        assert ran.injected
        require_named_failure(ran.status, ran.err)
        assert ran.status == status, ran.err
        world.require_no_wrong_file()
        world.finish(world.one)


@pytest.mark.fault("4.3/denied", "EACCES")
def test_a_root_that_denies_this_user_is_told_before_anything_is_downloaded(
    tmp_path: Path,
) -> None:
    need_strace()
    with crash_world(tmp_path / "project", size=20_000) as world:
        world.served.reset_counts()
        ran = run_traced(
            world.project,
            *world.words(world.one),
            inject="mkdirat:error=EACCES",
            paths=[world.project.root],
        )
        _require_refused_at_once(world, ran.status, ran.err, "EACCES")
        world.finish(world.one)


@pytest.mark.fault("4.3/denied", "immutable")
def test_an_immutable_root_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    root = tmp_path / "project" / "models"
    with (
        loop_disk("ext4", tmp_path / "image", root),
        crash_world(tmp_path / "project", size=20_000) as world,
    ):
        subprocess.run(["chattr", "+i", root], check=True)
        try:
            world.served.reset_counts()
            ran = world.sync(world.one)
        finally:
            subprocess.run(["chattr", "-i", root], check=True)
        _require_refused_at_once(world, ran.status, ran.err, "EPERM")
        world.finish_here(world.one)


def _require_refused_at_once(world: CrashWorld, status: int, err: str, reason: str) -> None:
    assert (status, "[read-only]" in err, f"({reason})" in err) == (8, True, True), err
    assert world.served.requests == []
    assert list(world.files()) == [FOREIGN]


@pytest.mark.fault("4.3/no-room", "EFBIG", "what fits goes on")
def test_files_above_the_limit_of_this_process_fail_alone(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, in blocks of 512 bytes: EFBIG is what a small disk would say."""
    with crash_world(tmp_path / "project", size=100_000) as world:
        ran = _run_limited(world, "ulimit -f 300", "--jobs", "4")
        require_named_failure(ran.returncode, ran.stderr)
        assert ran.returncode == 8
        assert "EFBIG" in ran.stderr
        changed = "loras/changed.safetensors"
        missing = world.one.wanted.keys() - world.files().keys()
        assert missing == {changed}
        world.require_no_wrong_file()
        world.finish(world.one)


def _leave_notes(world: CrashWorld) -> None:
    """Bring the root in step, and leave a note as a run leaves it that was killed."""
    world.finish(world.one)
    ledger = DiskLedger(world.open_root())
    ledger.placed(next(iter(ledger.read().owned.values())))
    ledger.close()
