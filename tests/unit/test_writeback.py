"""A big file is flushed while it comes, its pages go, and no failed flush is forgotten."""

import contextlib
import ctypes
import mmap
import os
import sys
import threading
from pathlib import Path

import pytest

from civsync.core.limits import MIB
from civsync.core.ranges import Ranges
from civsync.disk.writeback import WriteBack

STEP = 32 * MIB
PIECE = MIB

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="flushes as Linux does"),
]


class Flushes:
    """What was said to be on the medium."""

    def __init__(self) -> None:
        self.ranges: list[Ranges] = []
        self._changed = threading.Condition()

    def __call__(self, ranges: Ranges) -> None:
        with self._changed:
            self.ranges.append(ranges)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ranges) >= count, timeout=30)


def write(fd: int, start: int, end: int) -> None:
    data = bytes(range(256)) * (PIECE // 256)
    for at in range(start, end, PIECE):
        os.pwrite(fd, data, at)


def resident(fd: int, size: int) -> int:
    """How many bytes of a file are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    with mmap.mmap(fd, size, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
        anchor = ctypes.c_char.from_buffer(mapped)
        address = ctypes.c_void_p(ctypes.addressof(anchor))
        failed = libc.mincore(address, ctypes.c_size_t(size), pages)
        del anchor
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def needs_pages(folder: Path) -> None:
    """Skip where files are nothing but pages, or where giving pages back does nothing."""
    probe = os.open(folder / "probe", os.O_RDWR | os.O_CREAT)
    try:
        write(probe, 0, 4 * MIB)
        os.fdatasync(probe)
        os.posix_fadvise(probe, 0, 4 * MIB, os.POSIX_FADV_DONTNEED)
        if resident(probe, 4 * MIB):
            pytest.skip(f"the file system of {folder} keeps its pages, whatever is asked")
    finally:
        os.close(probe)


@pytest.fixture
def fd(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)


def test_nothing_is_flushed_before_there_is_enough(fd: int) -> None:
    flushes = Flushes()
    back = WriteBack(fd, lambda: 0, flushes)
    write(fd, 0, PIECE)
    back.wrote(Ranges.prefix_of(STEP - 1))
    back.stop()
    assert flushes.ranges == []
    os.close(fd)


def test_pages_of_what_is_flushed_and_hashed_are_given_back(tmp_path: Path, fd: int) -> None:
    needs_pages(tmp_path)
    flushes = Flushes()
    size = 3 * STEP
    hashed = 2 * STEP
    back = WriteBack(fd, lambda: hashed, flushes)
    for number in (1, 2, 3):
        write(fd, (number - 1) * STEP, number * STEP)
        back.wrote(Ranges.prefix_of(number * STEP))
        flushes.wait_for(number)
    back.stop()
    assert flushes.ranges == [Ranges.prefix_of(number * STEP) for number in (1, 2, 3)]
    # What is not hashed is still to be read: it stays.
    assert STEP <= resident(fd, size) <= STEP + 4 * MIB
    os.close(fd)


def test_pages_that_nobody_hashed_yet_stay(tmp_path: Path, fd: int) -> None:
    needs_pages(tmp_path)
    flushes = Flushes()
    back = WriteBack(fd, lambda: 0, flushes)
    write(fd, 0, STEP)
    back.wrote(Ranges.prefix_of(STEP))
    flushes.wait_for(1)
    back.stop()
    assert resident(fd, STEP) == STEP
    os.close(fd)


def test_what_came_out_of_order_is_told_as_it_was_before_the_flush(fd: int) -> None:
    flushes = Flushes()
    back = WriteBack(fd, lambda: 0, flushes)
    far = Ranges(((0, PIECE), (2 * STEP, 3 * STEP)))
    back.wrote(far)
    flushes.wait_for(1)
    back.wrote(Ranges.prefix_of(3 * STEP))
    flushes.wait_for(2)
    back.stop()
    assert flushes.ranges == [far, Ranges.prefix_of(3 * STEP)]
    os.close(fd)


def test_where_no_more_threads_may_be_made_nothing_is_flushed_until_one_may(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    flushes = Flushes()
    back = WriteBack(fd, lambda: 0, flushes)
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        back.wrote(Ranges.prefix_of(STEP))
        back.stop()
    assert flushes.ranges == []
    back.wrote(Ranges.prefix_of(2 * STEP))
    flushes.wait_for(1)
    back.stop()
    assert flushes.ranges == [Ranges.prefix_of(2 * STEP)]
    os.close(fd)


def test_after_a_restart_as_much_is_needed_as_at_the_beginning(fd: int) -> None:
    flushes = Flushes()
    back = WriteBack(fd, lambda: 0, flushes)
    back.wrote(Ranges.prefix_of(STEP))
    flushes.wait_for(1)
    back.restart()
    back.wrote(Ranges.prefix_of(STEP - 1))
    back.wrote(Ranges.prefix_of(STEP))
    flushes.wait_for(2)
    back.stop()
    back.stop()
    assert len(flushes.ranges) == 2
    os.close(fd)


def wait_for_failure(back: WriteBack) -> None:
    """Write until that is refused."""
    with contextlib.suppress(OSError):
        while True:
            back.wrote(Ranges())


def test_a_failed_flush_is_told_at_the_next_write_and_at_the_end_and_not_repeated() -> None:
    # A pipe cannot be flushed.
    reader, writer = os.pipe()
    flushes = Flushes()
    looked: list[int] = []

    def hashed() -> int:
        looked.append(1)
        return 0

    back = WriteBack(writer, hashed, flushes)
    back.wrote(Ranges.prefix_of(STEP))
    wait_for_failure(back)
    for total in (STEP, 2 * STEP, 9 * STEP):
        with pytest.raises(OSError, match="Invalid argument"):
            back.wrote(Ranges.prefix_of(total))
    for stop in (back.stop, back.stop, back.restart):
        with pytest.raises(OSError, match="Invalid argument"):
            stop()
    assert (flushes.ranges, looked) == ([], [])
    os.close(reader)
    os.close(writer)


def test_a_note_that_fails_after_a_flush_is_told_as_well(fd: int) -> None:
    def note(_: Ranges) -> None:
        raise OSError(28, "full")

    back = WriteBack(fd, lambda: 0, note)
    back.wrote(Ranges.prefix_of(STEP))
    wait_for_failure(back)
    with pytest.raises(OSError, match="full"):
        back.wrote(Ranges.prefix_of(STEP))
    with pytest.raises(OSError, match="full"):
        back.stop()
    os.close(fd)
