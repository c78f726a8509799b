"""A stamp that was made is never also that of what is written afterwards."""

import os
from pathlib import Path

import pytest

from civsync.disk.beneath import Beneath
from civsync.disk.stamps import settle, stamp_of, tick_ns

ROUNDS = 50


@pytest.mark.parametrize("plain", [False, True], ids=["descriptors", "plain"])
def test_a_write_after_a_settled_look_always_has_another_stamp(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "a.bin"
    with Beneath(os.fspath(tmp_path), plain=plain).folder("") as folder:
        for _ in range(ROUNDS):
            path.write_bytes(b"one")
            status = path.stat()
            settle(folder, status.st_mtime_ns)
            with path.open("r+b") as file:
                file.write(b"two")
            assert stamp_of(path.stat()) != stamp_of(status)


def test_what_is_old_or_of_the_future_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    now = path.stat().st_mtime_ns
    with Beneath(os.fspath(tmp_path), plain=True).folder("") as folder:
        # A wait for what is a year off would be seen.
        settle(folder, now + 365 * 24 * 3600 * 10**9)
        settle(folder, now - 100 * tick_ns())


def test_whether_writes_are_marked_leaves_nothing_in_the_folder(tmp_path: Path) -> None:
    with Beneath(os.fspath(tmp_path)).folder("") as folder:
        found = folder.marks_each_write()
        assert folder.marks_each_write() is found
        assert folder.names() == []
    with Beneath(os.fspath(tmp_path), plain=True).folder("") as folder:
        assert not folder.marks_each_write()
