"""How bytes of another root get into one, on file systems that can share blocks or cannot."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.loop_disks import loop_disk
from support.two_roots import Machine, two_roots

pytestmark = pytest.mark.crash

MIB = 1024 * 1024
SIZE = 24 * MIB
NAME = "loras/m0.safetensors"


@contextmanager
def on_disk(kind: str, folder: Path) -> Iterator[Machine]:
    """Two roots on one new disk of this kind; one of them is filled."""
    with (
        loop_disk(kind, folder / "image", folder / "disk") as disk,
        two_roots(disk.place, SIZE) as machine,
    ):
        yield machine


def used(place: Path) -> int:
    """Bytes in use on the disk, as it is once everything is written."""
    subprocess.run(["sync", "--file-system", place], check=True)
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.mark.parametrize(
    ("kind", "mode", "how", "noted"),
    [
        ("ext4", "auto", "copied", {"not-shared": "reflinking was not possible: "}),
        ("ext4", "reflink", "copied", {"link-fallback": "reflinking was not possible: "}),
        ("ext4", "hardlink", "hardlinked", {}),
        ("ext4", "copy", "copied", {}),
        *((kind, "auto", "reflinked", {}) for kind in ("xfs", "btrfs")),
        *((kind, "reflink", "reflinked", {}) for kind in ("xfs", "btrfs")),
        *((kind, "hardlink", "reflinked", {}) for kind in ("xfs", "btrfs")),
        *((kind, "copy", "copied", {}) for kind in ("xfs", "btrfs")),
    ],
)
def test_each_mode_does_what_the_disk_can(
    tmp_path: Path, kind: str, mode: str, how: str, noted: dict[str, str]
) -> None:
    with on_disk(kind, tmp_path) as machine:
        before = used(machine.state)
        ended = machine.sync_other("--link", mode)
        assert (ended.status, ended.done, machine.asked) == (0, {how: 1}, 0)
        assert machine.other.tree == machine.one.tree
        told = {event["code"]: event["message"] for event in ended.events("noted")}
        assert told.keys() == noted.keys()
        for code, message in noted.items():
            assert told[code].startswith(message)
            assert "(ENOTSUP)" in told[code]
        taken = used(machine.state) - before
        assert (taken >= SIZE) == (how == "copied"), f"{taken} bytes were taken"
        one, other = (shop.project.root / NAME for shop in (machine.one, machine.other))
        assert one.samefile(other) == (how == "hardlinked")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_from_one_disk_to_another_is_a_copy_and_says_why(tmp_path: Path, kind: str) -> None:
    with (
        loop_disk(kind, tmp_path / "image", tmp_path / "disk") as disk,
        two_roots(tmp_path, MIB, other=disk.place / "other") as machine,
    ):
        ended = machine.sync_other("--link", "hardlink")
        assert (ended.status, ended.done, machine.asked) == (0, {"copied": 1}, 0)
        (noted,) = ended.events("noted")
        assert noted["code"] == "link-fallback"
        assert (
            "hard-linking was not possible: Invalid cross-device link (EXDEV)" in noted["message"]
        )


def test_what_is_reflinked_needs_no_room(tmp_path: Path) -> None:
    with on_disk("xfs", tmp_path) as machine:
        leave_free(machine.state, 16 * MIB)
        ended = machine.sync_other("--link", "reflink", "--offline")
        assert (ended.status, ended.done) == (0, {"reflinked": 1})
        assert machine.other.tree == machine.one.tree


def test_what_would_be_copied_and_has_no_room_is_told_before_anything_is_done(
    tmp_path: Path,
) -> None:
    with on_disk("ext4", tmp_path) as machine:
        leave_free(machine.state, 16 * MIB)
        ended = machine.sync_other()
        assert (ended.status, ended.error["code"]) == (8, "no-space")
        assert machine.asked == 0
        assert machine.other.parts() == []


def test_a_write_to_one_reflink_is_not_seen_in_the_other(tmp_path: Path) -> None:
    with on_disk("btrfs", tmp_path) as machine:
        assert machine.sync_other().done == {"reflinked": 1}
        right = machine.other.tree
        with (machine.one.project.root / NAME).open("r+b") as file:
            file.write(b"somebody's own")
        assert machine.other.tree == right
        assert machine.other.project.call("verify").status == 0


def leave_free(place: Path, free: int) -> None:
    """Fill the disk up to so many bytes."""
    status = os.statvfs(place)
    with (place / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)
