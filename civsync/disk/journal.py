"""Keep, at the end of a part, the note of which bytes of it are there.

Only parts that are received out of order have one; a part that grows from its first byte on
says by its length what it holds. The first note is on the medium before the first byte is
written out of order, so that a hole is never taken for received zeros.
"""

import os
import threading
from dataclasses import replace
from typing import Final

from civsync.core.limits import KIB, MIB
from civsync.core.ranges import Ranges
from civsync.disk.folder import Folder
from civsync.disk.machine import this_boot
from civsync.documents.part_journal import (
    JOURNAL_BYTES,
    SLOT_BYTES,
    PartNote,
    read_journal,
    write_slot,
)

_NOTE_BYTES: Final = MIB
"""A new note is written after so many bytes, or after a 64th of the file if that is less:
what came since is received again after a kill."""


_POSITION: Final = threading.Lock()
"""Held while the one position of a file is used, where there are no calls that need none."""


class Journal:
    """The note at the end of the open part `fd` of `size` bytes. Raises OSError.

    Its caller lets one thread at a time in.
    """

    def __init__(self, fd: int, size: int, note: PartNote) -> None:
        self._fd = fd
        self._size = size
        self._note = note
        self._noted = note.written.total
        self._every = min(_NOTE_BYTES, max(64 * KIB, size // 64))

    @classmethod
    def begin(cls, fd: int, size: int, held: Ranges, folder: Folder) -> "Journal":
        """Write the first note, durably: `held` is a prefix, which needs none itself.

        The part is in `folder`.
        """
        note = PartNote(number=0, size=size, boot=this_boot(), written=held, flushed=Ranges())
        journal = cls(fd, size, note)
        # With the second slot in one call: a length without a note would say nothing.
        write_at(fd, write_slot(note) + bytes(SLOT_BYTES), size)
        folder.flush(fd)
        if folder.durable:
            journal.flushed(held)
        return journal

    @classmethod
    def find(cls, fd: int, size: int) -> "tuple[Journal, Ranges] | None":
        """Return the journal of a part that has one, and what it says is there."""
        length = os.fstat(fd).st_size
        if length != size + JOURNAL_BYTES:
            return None
        note = read_journal(_tail(fd, length), size)
        if note is None:
            return None
        held = note.held(this_boot())
        # Later notes name this boot: what another one lost must not be in them as written.
        return cls(fd, size, replace(note, written=held)), held

    def wrote(self, written: Ranges) -> None:
        """Take note of what the file holds, now and then."""
        if written.total - self._noted >= self._every:
            self.note(written)

    def note(self, written: Ranges) -> None:
        """Take note of what the file holds, at once."""
        self._noted = written.total
        self._write(
            PartNote(
                number=self._note.number + 1,
                size=self._size,
                boot=this_boot(),
                written=written,
                flushed=self._note.flushed,
            )
        )

    def flushed(self, ranges: Ranges) -> None:
        """Take note of what is on the medium."""
        note = self._note
        self._write(
            PartNote(
                number=note.number + 1,
                size=self._size,
                boot=this_boot(),
                written=note.written,
                flushed=ranges,
            )
        )

    def _write(self, note: PartNote) -> None:
        self._note = note
        write_at(self._fd, write_slot(note), self._size + note.number % 2 * SLOT_BYTES)


def held_bytes(fd: int) -> int:
    """Return how many bytes of its content an open part holds. Raises OSError."""
    length = os.fstat(fd).st_size
    size = length - JOURNAL_BYTES
    if size >= 0:
        note = read_journal(_tail(fd, length), size)
        if note is not None:
            return note.held(this_boot()).total
    return length


def write_at(fd: int, data: memoryview | bytes, at: int) -> None:
    """Write every byte from offset `at` on. Raises OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        count = write_some_at(fd, rest, at)
        at += count
        rest = rest[count:]


def write_some_at(fd: int, data: memoryview, at: int) -> int:
    """Write bytes at offset `at` and return how many; any thread may. Raises OSError."""
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, at)
    with _POSITION:
        os.lseek(fd, at, os.SEEK_SET)
        return os.write(fd, data)


def read_at(fd: int, size: int, at: int) -> bytes:
    """Return up to `size` bytes from offset `at` on; fewer at the end. Raises OSError."""
    data = b""
    while len(data) < size and (more := _read_some_at(fd, size - len(data), at + len(data))):
        data += more
    return data


def _read_some_at(fd: int, size: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, at)
    with _POSITION:
        os.lseek(fd, at, os.SEEK_SET)
        return os.read(fd, size)


def _tail(fd: int, length: int) -> bytes:
    return read_at(fd, JOURNAL_BYTES, length - JOURNAL_BYTES)
