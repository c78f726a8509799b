"""Whole or not at all; and errors that say what to do about the disk."""

import errno
import os
import stat
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.disk.beneath import Beneath
from civsync.disk.durable import place_new, staged, write_whole
from civsync.disk.faults import translate
from support.small_disks import small_disk


@pytest.fixture(params=[False, True], ids=["descriptors", "plain"])
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Beneath:
    return Beneath(os.fspath(tmp_path), plain=request.param)


def test_the_new_content_replaces_the_old_and_nothing_else_is_left(
    beneath: Beneath, tmp_path: Path
) -> None:
    with beneath.folder("a/b", make=True) as folder:
        write_whole(folder, "state.json", b"old")
        write_whole(folder, "state.json", b"new")
        assert folder.names() == ["state.json"]
    assert (tmp_path / "a/b/state.json").read_bytes() == b"new"


@pytest.mark.fault("4.3/no-room", "ENOSPC")
def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m"):
        beneath = Beneath(os.fspath(tmp_path / "disk"))
        with beneath.folder("") as folder:
            write_whole(folder, "state.json", b"old")
            with pytest.raises(OSError, match="No space left"):
                write_whole(folder, "state.json", b"new" * 1_000_000)
            assert folder.names() == ["state.json"]
        assert (tmp_path / "disk/state.json").read_bytes() == b"old"


def test_what_is_staged_and_not_published_changes_nothing(beneath: Beneath) -> None:
    with beneath.folder("a", make=True) as folder:
        write_whole(folder, "state.json", b"old")
        with staged(folder, "state.json", b"new"):
            pass
        assert (folder.names(), folder.read("state.json", 10)) == (["state.json"], b"old")
        with staged(folder, "state.json", b"new") as publish:
            publish()
        assert (folder.names(), folder.read("state.json", 10)) == (["state.json"], b"new")


@pytest.mark.skipif(not hasattr(os, "fchmod"), reason="no permissions as POSIX has them")
def test_permissions_that_are_given_win_over_the_mask(beneath: Beneath, tmp_path: Path) -> None:
    with beneath.folder("") as folder:
        write_whole(folder, "shared.yaml", b"", mode=0o666)
    assert stat.S_IMODE((tmp_path / "shared.yaml").stat().st_mode) == 0o666


def test_a_link_under_the_name_is_replaced_and_not_followed(
    beneath: Beneath, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_bytes(b"theirs")
    (tmp_path / "state.json").symlink_to("precious")
    with beneath.folder("") as folder:
        write_whole(folder, "state.json", b"ours")
    assert (tmp_path / "precious").read_bytes() == b"theirs"


def test_a_new_name_is_given_between_folders_and_never_over_a_file(
    beneath: Beneath, tmp_path: Path
) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    with beneath.folder("") as source, beneath.folder("sub", make=True) as target:
        assert place_new(source, "one", target, "here")
        with pytest.raises(FileExistsError):
            place_new(source, "two", target, "here")
        assert (source.find("one"), target.read("here", 10)) == (None, b"1")
        with pytest.raises(FileExistsError):
            source.rename_new("two", target, "here")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, Code.NO_SPACE),
        (errno.EDQUOT, Code.NO_SPACE),
        (errno.EFBIG, Code.NO_SPACE),
        (errno.EROFS, Code.READ_ONLY),
        (errno.EACCES, Code.READ_ONLY),
        (errno.EPERM, Code.READ_ONLY),
        (errno.ENOTDIR, Code.OBSTACLE),
        (errno.ELOOP, Code.OBSTACLE),
        (errno.EIO, Code.DISK_FAILED),
        (errno.EMFILE, Code.DISK_FAILED),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if type(value) is int else str(value),
)
def test_every_refusal_of_the_system_has_its_code(number: int, code: Code) -> None:
    error = translate(OSError(number, "text"), "write", "loras/a.pt", need=10, have=3)
    assert error.code is code
    assert "loras/a.pt" in error.message
    assert errno.errorcode[number] in error.message


def test_a_path_that_is_no_text_can_still_be_said() -> None:
    translate(OSError(errno.EIO, "text"), "read", os.fsdecode(b"\xff")).message.encode()


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open descriptors cannot be counted here")
    beneath = Beneath(os.fspath(tmp_path))
    with beneath.folder("a/b/c", make=True):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with beneath.folder("a/b/c"):
            pass
        with pytest.raises(FileNotFoundError), beneath.folder("a/x/c"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
