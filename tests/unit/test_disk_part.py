"""What a part that came out of order says of itself after a kill, a crash, and a full disk."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.core.limits import KIB, MIB, PART_DAYS
from civsync.core.ranges import Ranges
from civsync.disk.hashing import Hasher
from civsync.disk.journal import Journal, write_some_at
from civsync.disk.machine import this_boot, this_host
from civsync.disk.part import HeldPart
from civsync.disk.parts import ClaimedPart, DiskParts
from civsync.disk.root import PARTS, Root
from civsync.documents.part_journal import (
    JOURNAL_BYTES,
    SLOT_BYTES,
    PartNote,
    read_journal,
    write_slot,
)
from support.disk_worlds import make_root
from support.small_disks import small_disk

resource = pytest.importorskip("resource", reason="needs limits for processes")

DATA = bytes(range(256)) * (2 * MIB // 256)
SHA256 = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)
ANOTHER_BOOT = "another-boot"
FAR = MIB + 64 * KIB
"""Where bytes are that come out of order."""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return make_root(tmp_path)


def folder_of(root: Root) -> Path:
    folder = root.path / PARTS
    folder.mkdir(exist_ok=True)
    return folder


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(root: Root, data: bytes, *, pid: int = 0, host: str = "", token: str = "0" * 12) -> Path:
    """Leave a claim, of a dead process of this machine if nothing else is said."""
    name = f"{SHA256}.{pid or dead_pid()}-{host or this_host()}-{token}.claim"
    place = folder_of(root) / name
    place.write_bytes(data)
    return place


def note(
    written: Ranges, flushed: Ranges, *, boot: str | None = None, size: int = SIZE, number: int = 4
) -> PartNote:
    boot = this_boot() if boot is None else boot
    return PartNote(number=number, size=size, boot=boot, written=written, flushed=flushed)


def scattered(*notes: PartNote, data: bytes = DATA) -> bytes:
    """A part with these notes in its slots; the first is not the newest one for nothing."""
    slots = [write_slot(each) for each in notes]
    return data + b"".join(slots).ljust(JOURNAL_BYTES, b"\0")


def held_by_the_next(root: Root) -> Ranges:
    with DiskParts(root).claim(SHA256, SIZE) as part:
        return part.done


def finish(root: Root) -> Ranges:
    """Complete the part; returns what it held."""
    with DiskParts(root).claim(SHA256, SIZE) as part:
        held = part.done
        for start, end in tuple(held.gaps(SIZE)):
            part.write(DATA[start:end], start)
        assert part.digests().sha256 == SHA256
    return held


WRITTEN = Ranges(((0, 300 * KIB), (FAR, FAR + 500 * KIB)))
FLUSHED = Ranges(((0, 100 * KIB),))


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")


# --- kills and crashes ------------------------------------------------------------------------


def test_after_a_kill_what_was_noted_as_written_is_gone_on_from(root: Root) -> None:
    parts = DiskParts(root)
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[: 300 * KIB], 0)
        part.write(DATA[FAR : FAR + 500 * KIB], FAR)
        # What a process that is killed now leaves.
        now = (folder_of(root) / part.name).read_bytes()
        assert part.done == WRITTEN
    (folder_of(root) / f"{SHA256}.part").unlink()
    place = leave(root, now)
    inode = place.stat().st_ino
    assert len(now) == SIZE + JOURNAL_BYTES
    assert DiskParts(root).held()[SHA256] == WRITTEN.total
    with DiskParts(root).claim(SHA256, SIZE) as part:
        assert part.stamp.inode == inode
        assert part.done == WRITTEN
    assert finish(root) == WRITTEN


def test_after_a_kill_no_byte_is_claimed_that_was_not_written(root: Root) -> None:
    with DiskParts(root).claim(SHA256, SIZE) as part:
        for number in range(0, 60, 2):
            at = (59 - number) * 30 * KIB
            part.write(DATA[at : at + 10 * KIB], at)
            now = (folder_of(root) / part.name).read_bytes()
            found = read_journal(now[-JOURNAL_BYTES:], SIZE)
            assert found is not None
            for start, end in found.written.spans:
                assert now[start:end] == DATA[start:end]


@pytest.mark.fault("4.3/power-loss", "a part out of order")
@pytest.mark.parametrize(
    ("boot", "expected"),
    [
        pytest.param(None, WRITTEN, id="same boot"),
        pytest.param(ANOTHER_BOOT, FLUSHED, id="another boot"),
        pytest.param("", FLUSHED, id="a boot without a name"),
    ],
)
def test_after_a_power_cut_only_what_was_flushed_is_believed(
    root: Root, boot: str | None, expected: Ranges
) -> None:
    leave(root, scattered(note(WRITTEN, FLUSHED, boot=boot)))
    assert DiskParts(root).held()[SHA256] == expected.total
    assert finish(root) == expected


@pytest.mark.fault("4.3/power-loss", "a part out of order")
def test_what_was_lost_in_a_power_cut_is_not_believed_after_another_kill(root: Root) -> None:
    # The note of the first process, which the power cut ended; then the second one is killed.
    place = leave(root, scattered(note(WRITTEN, FLUSHED, boot=ANOTHER_BOOT)))
    fd = os.open(place, os.O_RDWR)
    try:
        found = Journal.find(fd, SIZE)
        assert found is not None
        journal, held = found
        assert held == FLUSHED
        journal.flushed(FLUSHED)
        again = Journal.find(fd, SIZE)
        assert again is not None
        assert again[1] == FLUSHED
    finally:
        os.close(fd)


def test_what_comes_after_a_power_cut_is_noted(root: Root) -> None:
    place = leave(root, scattered(note(WRITTEN, FLUSHED, boot=ANOTHER_BOOT)))
    with DiskParts(root).claim(SHA256, SIZE) as part:
        part.write(DATA[FAR : FAR + 200 * KIB], FAR)
        now = (folder_of(root) / part.name).read_bytes()
    for each in folder_of(root).iterdir():
        each.unlink()
    place.write_bytes(now)
    assert held_by_the_next(root) == FLUSHED.plus(FAR, FAR + 200 * KIB)


@pytest.mark.parametrize("slot", [0, 1])
def test_with_one_slot_damaged_the_other_is_read(root: Root, slot: int) -> None:
    older, newer = Ranges(((0, 10),)), Ranges(((0, 20), (FAR, FAR + 1)))
    data = bytearray(scattered(note(older, older, number=6), note(newer, older, number=7)))
    at = SIZE + slot * SLOT_BYTES + 100
    data[at] ^= 1
    leave(root, bytes(data))
    assert finish(root) == (newer if slot == 0 else older)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DATA + bytes(JOURNAL_BYTES), id="both slots empty"),
        pytest.param(DATA + b"\xff" * JOURNAL_BYTES, id="both slots damaged"),
        pytest.param(scattered(note(WRITTEN, WRITTEN, size=SIZE - 1)), id="about a smaller file"),
        pytest.param(scattered(note(WRITTEN, WRITTEN, size=SIZE + 1)), id="about a larger file"),
        pytest.param(scattered(note(Ranges(), Ranges())), id="holds nothing"),
        pytest.param(scattered(note(WRITTEN, WRITTEN))[:-1], id="cut off"),
        pytest.param(scattered(note(WRITTEN, WRITTEN)) + b"\0", id="longer"),
        pytest.param(DATA + b"\0", id="one byte longer than the file"),
        pytest.param(DATA * 2, id="twice the file"),
    ],
)
def test_a_part_of_which_nothing_is_known_is_dropped(root: Root, data: bytes) -> None:
    leave(root, data)
    with DiskParts(root).claim(SHA256, SIZE) as part:
        assert part.done == Ranges()
        assert part.digests().size == 0
    assert list(folder_of(root).iterdir()) == []
    leave(root, data)
    assert finish(root) == Ranges()


@pytest.mark.parametrize(
    ("pid", "host"),
    [
        pytest.param(os.getpid(), this_host(), id="pid-used-again"),
        pytest.param(1, "0123456789ab", id="other-host"),
    ],
)
def test_what_an_unknown_process_may_still_hold_is_copied_with_its_journal(
    root: Root, pid: int, host: str
) -> None:
    place = leave(root, scattered(note(WRITTEN, WRITTEN)), pid=pid, host=host)
    with open(place, "r+b") as still_open:
        with DiskParts(root).claim(SHA256, SIZE) as part:
            assert part.done == WRITTEN
            still_open.write(b"a late write of a process that was thought dead")
        still_open.seek(SIZE)
        still_open.write(write_slot(note(Ranges.prefix_of(SIZE), Ranges(), number=99)))
    assert finish(root) == WRITTEN


def test_of_several_leftovers_the_one_that_holds_most_is_taken(root: Root) -> None:
    # The longest file of them holds least.
    few = Ranges(((0, 1000), (FAR, FAR + 1)))
    leave(root, scattered(note(few, few)), token="1" * 12)
    leave(root, DATA[:50_000], token="2" * 12)
    assert held_by_the_next(root) == Ranges.prefix_of(50_000)


def test_a_part_with_holes_that_waited_long_enough_is_swept_but_not_one_that_is_held(
    root: Root,
) -> None:
    parts = DiskParts(root)
    later = time.time_ns() + (PART_DAYS + 1) * 24 * 3600 * 10**9
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[FAR:], FAR)
        assert parts.sweep(later) == 0
    assert DiskParts(root).sweep(later, wanted={SHA256}) == 0
    assert DiskParts(root).sweep(later) == 1
    leave(root, scattered(note(WRITTEN, FLUSHED)))
    assert DiskParts(root).sweep(time.time_ns()) == 0
    assert DiskParts(root).sweep(later) == 1
    assert list(folder_of(root).iterdir()) == []


def test_a_part_that_has_no_holes_any_more_is_as_long_as_what_it_holds(root: Root) -> None:
    with DiskParts(root).claim(SHA256, SIZE) as part:
        part.write(DATA[1000:2000], 1000)
        part.write(DATA[:1000], 0)
    assert (folder_of(root) / f"{SHA256}.part").read_bytes() == DATA[:2000]


# --- disks that say no ------------------------------------------------------------------------


def test_what_is_quarantined_is_what_was_received_and_nothing_else(root: Root) -> None:
    wrong = DATA[:-1] + b"?"
    parts = DiskParts(root)
    with parts.claim(SHA256, SIZE) as part:
        part.write(wrong[FAR:], FAR)
        part.write(wrong[:FAR], 0)
        place = parts.quarantine(part, "the hash is another one")
    assert (root.path / place).read_bytes() == wrong
    found = hashlib.sha256(wrong).hexdigest()
    assert parts.salvage(found, SIZE, ()) == "restored"
    with parts.claim(found, SIZE) as part:
        assert part.digests().sha256 == found


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes fail, and new lengths beyond it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.fault("4.3/no-room", "EFBIG")
@pytest.mark.parametrize(
    "room", [0, JOURNAL_BYTES - SLOT_BYTES, SLOT_BYTES // 2], ids=["none", "one slot", "half"]
)
def test_where_no_journal_can_be_begun_the_bytes_before_it_are_kept(root: Root, room: int) -> None:
    with (
        DiskParts(root).claim(SHA256, SIZE) as part,
        no_file_longer_than(SIZE + room),
    ):
        part.write(DATA[: 300 * KIB], 0)
        with pytest.raises(DiskError) as caught:
            part.write(DATA[FAR : FAR + 10], FAR)
        assert caught.value.code is Code.NO_SPACE
        assert part.done == Ranges.prefix_of(300 * KIB)
    assert DiskParts(root).held()[SHA256] == 300 * KIB
    assert finish(root) == Ranges.prefix_of(300 * KIB)


@pytest.mark.fault("4.3/no-room", "ENOSPC")
def test_where_a_disk_is_too_full_for_a_journal_the_bytes_before_it_are_kept(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small", "size=1m"):
        root = make_root(tmp_path / "small")
        filler = root.path / "filler"
        with DiskParts(root).claim(SHA256, SIZE) as part:
            part.write(DATA[: 300 * KIB], 0)
            part.digests()  # written by now
            with open(filler, "wb", buffering=0) as file:
                fill(file.fileno())
            with pytest.raises(DiskError) as caught:
                part.write(DATA[FAR : FAR + 10], FAR)
            assert caught.value.code is Code.NO_SPACE
            assert part.digests().sha256 == hashlib.sha256(DATA[: 300 * KIB]).hexdigest()
        filler.unlink()
        assert DiskParts(root).held()[SHA256] == 300 * KIB
        assert held_by_the_next(root) == Ranges.prefix_of(300 * KIB)


@pytest.mark.fault("4.3/no-room", "ENOSPC")
@pytest.mark.parametrize("told", ["write", "out of order", "digests", "head", "nothing"])
def test_what_a_full_disk_did_not_take_is_missing_and_nothing_else(
    tmp_path: Path, told: str
) -> None:
    with small_disk(tmp_path / "small", "size=1m"):
        root = make_root(tmp_path / "small")
        filler = root.path / "filler"
        with DiskParts(root).claim(SHA256, SIZE) as part:
            part.write(DATA[: 300 * KIB], 0)
            part.digests()
            with open(filler, "wb", buffering=0) as file:
                fill(file.fileno())
            # Handed to the thread that writes: what becomes of it is told later.
            part.write(DATA[300 * KIB : 400 * KIB], 300 * KIB)
            calls: dict[str, Callable[[], object]] = {
                "write": lambda: [part.write(DATA[at : at + KIB], at) for at in steps],
                "out of order": lambda: part.write(DATA[FAR : FAR + KIB], FAR),
                "digests": part.digests,
                "head": lambda: part.head(100),
            }
            steps = range(400 * KIB, 500 * KIB, KIB)
            if told != "nothing":
                with pytest.raises(DiskError) as caught:
                    calls[told]()
                assert caught.value.code is Code.NO_SPACE
                assert caught.value.data["need"] == SIZE - 300 * KIB
                assert part.done == Ranges.prefix_of(300 * KIB)
                filler.unlink()
                part.write(DATA[300 * KIB : 310 * KIB], 300 * KIB)
                expected = hashlib.sha256(DATA[: 310 * KIB]).hexdigest()
                assert part.digests().sha256 == expected
        filler.unlink(missing_ok=True)
        with DiskParts(root).claim(SHA256, SIZE) as part:
            length = part.done.total
            assert part.done == Ranges.prefix_of(length)
            assert length >= (300 if told == "nothing" else 310) * KIB
            assert part.digests().sha256 == hashlib.sha256(DATA[:length]).hexdigest()


@pytest.mark.fault("4.3/no-room", "ENOSPC")
@pytest.mark.parametrize("seed", range(8))
def test_on_a_full_disk_two_writers_leave_no_hole_that_counts_as_received(
    tmp_path: Path, seed: int
) -> None:
    """One goes on in order while the other begins far behind, and nothing more can be written."""
    together = threading.Barrier(2)

    def write(part: ClaimedPart, start: int, end: int) -> None:
        together.wait()
        for at in range(start, end, 16 * KIB):
            with contextlib.suppress(DiskError):
                part.write(DATA[at : min(end, at + 16 * KIB)], at)

    with small_disk(tmp_path / "small", "size=1m"):
        root = make_root(tmp_path / "small")
        filler = root.path / "filler"
        filler.write_bytes(bytes(seed * 32 * KIB))
        with DiskParts(root).claim(SHA256, SIZE) as part:
            part.write(DATA[: 300 * KIB], 0)
            halves = [(300 * KIB, FAR), (FAR, SIZE)]
            writers = [threading.Thread(target=write, args=(part, *half)) for half in halves]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
        filler.unlink()
        (left,) = [each for each in folder_of(root).iterdir() if SHA256 in each.name]
        content = left.read_bytes()
        held = held_by_the_next(root)
        assert held.total >= 300 * KIB
        for start, end in held.spans:
            assert content[start:end] == DATA[start:end]


def test_what_comes_just_behind_bytes_that_are_not_written_yet_is_written_after_them(
    held: tuple[HeldPart, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in between would leave a hole that the length calls received."""
    part, _ = held
    written: list[int] = []
    asked, handed_on, seen = threading.Event(), threading.Event(), threading.Event()
    real_write, real_prepare, real_settle = write_some_at, part._prepare, part._follower.settle

    def write(fd: int, data: memoryview, at: int) -> int:
        if at == 0:
            seen.wait()
        written.append(at)
        return real_write(fd, data, at)

    def prepare(fd: int, at: int) -> None:
        # By now it was refused: the bytes before it had not come.
        asked.set()
        handed_on.wait()
        monkeypatch.setattr(part._follower, "settle", settle)
        real_prepare(fd, at)

    def settle() -> None:
        seen.set()
        real_settle()

    def come_second() -> None:
        try:
            part.write(DATA[MIB:], MIB)
        finally:
            seen.set()

    monkeypatch.setattr("civsync.disk.part.write_some_at", write)
    monkeypatch.setattr(part, "_prepare", prepare)
    other = threading.Thread(target=come_second)
    other.start()
    asked.wait()
    part.write(DATA[:MIB], 0)
    handed_on.set()
    other.join()
    assert part.digests().sha256 == SHA256
    assert written == [0, MIB]


@needs_proc
def test_a_failed_write_of_the_thread_spoils_the_part(held: tuple[HeldPart, int]) -> None:
    part, fd = held
    part.write(DATA[:KIB], 0)
    part.digests()
    with unwritable(fd):
        part.write(DATA[KIB:MIB], KIB)
        with pytest.raises(DiskError) as caught:
            part.digests()
    assert caught.value.code is Code.DISK_FAILED
    assert part.done == Ranges.prefix_of(KIB)
    assert part.spoiled
    with pytest.raises(DiskError):
        part.write(DATA[KIB:MIB], KIB)


@needs_proc
@pytest.mark.parametrize("failure", [MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("start", [0, MIB], ids=["in order", "scattered"])
def test_what_was_received_stays_although_it_could_not_be_hashed(
    root: Root, start: int, failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    def receive() -> None:
        with DiskParts(root).claim(SHA256, SIZE) as part:
            part.write(DATA[start : start + MIB], start)
            part.write(DATA[MIB - start :][:MIB], MIB - start)
            part.digests()

    with monkeypatch.context() as short:
        for way in ("update", "update_beside"):
            short.setattr(Hasher, way, fail)
        with pytest.raises((DiskError, failure)):
            receive()
    opened = [each for each in Path("/proc/self/fd").iterdir() if SHA256 in str(each.resolve())]
    assert opened == []
    # In order nothing counts as written before it is hashed.
    assert held_by_the_next(root).total == (SIZE if start else 0)
    finish(root)


def test_a_descriptor_whose_close_fails_is_let_go_of_all_the_same(
    held: tuple[HeldPart, int],
) -> None:
    part, fd = held
    part.write(DATA, 0)
    assert part.digests().sha256 == SHA256
    os.close(fd)  # that of the part itself fails now, as one of a network disk may
    part.close()
    assert part.descriptor is None


def fill(fd: int) -> None:
    step = 64 * KIB
    while step:
        try:
            os.write(fd, bytes(step))
        except OSError:
            step //= 2


@pytest.fixture
def held(root: Root) -> Iterator[tuple[HeldPart, int]]:
    """A part over a descriptor that the test knows."""
    folder_of(root)
    with root.beneath.folder(PARTS) as folder:
        fd = os.open(root.path / PARTS / "a", os.O_RDWR | os.O_CREAT)
        part = HeldPart(folder, "a", fd, sha256=SHA256, size=SIZE)
        try:
            yield part, fd
        finally:
            part.close()


@contextmanager
def unwritable(fd: int) -> Iterator[None]:
    """Let writes to a descriptor fail, as those to a broken medium do."""
    spare = os.dup(fd)
    closed = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.dup2(closed, fd)
    try:
        yield
    finally:
        os.dup2(spare, fd)
        os.close(spare)
        os.close(closed)


@needs_proc
def test_a_part_with_a_failed_write_takes_no_more_bytes_and_is_not_published(
    held: tuple[HeldPart, int],
) -> None:
    # With several connections, the failure of one must not be lost on the others.
    part, fd = held
    part.write(DATA, 0)
    part.digests()  # written by now
    with unwritable(fd), pytest.raises(DiskError) as caught:
        part.write(DATA[FAR:], FAR)
    assert caught.value.code is Code.DISK_FAILED
    assert part.digests().sha256 == SHA256
    with pytest.raises(DiskError):
        part.write(DATA[FAR:], FAR)
    with pytest.raises(DiskError):
        part.seal()
    assert part.spoiled


@needs_proc
def test_a_note_that_cannot_be_written_fails_the_write_and_nothing_that_is_held_is_lost_track_of(
    held: tuple[HeldPart, int],
) -> None:
    part, _ = held
    part.write(DATA[FAR : FAR + KIB], FAR)
    with (
        no_file_longer_than(SIZE),
        pytest.raises(DiskError) as caught,
    ):
        part.write(DATA[:MIB], 0)
    assert caught.value.code is Code.NO_SPACE
    assert part.done == Ranges(((0, MIB), (FAR, FAR + KIB)))
    assert part.digests().sha256 == hashlib.sha256(DATA[:MIB]).hexdigest()


# --- systems with less ---------------------------------------------------------------------


@pytest.mark.timeout(20)
def test_where_files_have_one_position_only_several_threads_do_not_wait_for_each_other(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows; what is close behind a prefix that is read back was waited for.
    for call in ("pread", "preadv", "pwrite"):
        monkeypatch.delattr(os, call)
    with DiskParts(root).claim(SHA256, SIZE) as part:
        part.write(DATA[: 64 * KIB], 0)
        part.write(DATA[128 * KIB : FAR], 128 * KIB)
        part.write(DATA[64 * KIB : 128 * KIB], 64 * KIB)
        part.write(DATA[FAR : FAR + KIB], FAR)
        part.write(DATA[FAR + KIB :], FAR + KIB)
        assert part.digests().sha256 == SHA256
