"""SHA-256 and BLAKE3 of bytes, of files and of files that still grow: all hashing is here.

A growing file is hashed by a thread of its own, always behind the last byte received, which
writes, too, what comes in order: receiving a fast stream is work for a processor, and so is
the rest. Where that is not fast enough, another thread takes the SHA-256 over. What came out of
order is read back out of the page cache.
"""

import contextlib
import errno
import hashlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Final

import blake3

from civsync.core.disk import Digests
from civsync.core.limits import CHUNK_BYTES, MIB, PIECES_KEPT
from civsync.core.values import dataclass

_BIG_FILE_BYTES: Final = 64 * MIB
"""A file that was read once is not left in the page cache, from this size on and in such steps."""


class Aside:
    """A thread that does one thing at a time for another one, beside it."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sha256", daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[], object]) -> None:
        """Have something done that cannot fail; `wait` must follow before the next."""
        self._orders.put(work)

    def wait(self) -> None:
        """Return when what was begun is done."""
        self._done.get()

    def close(self) -> None:
        """End the thread; nothing may be under way."""
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (work := self._orders.get()) is not None:
            work()
            self._done.put(None)


class Hasher:
    """Both hashes of one stream of bytes."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3.blake3()
        self.size = 0

    def update(self, data: memoryview | bytes) -> None:
        """Take the next bytes."""
        self._sha256.update(data)
        self._blake3.update(data)
        self.size += len(data)

    def update_beside(
        self, aside: Aside, data: memoryview, write: Callable[[memoryview, int], int] | None = None
    ) -> None:
        """Take the next bytes, and write them first where `write` puts bytes at an offset.

        The SHA-256, which takes longest, is computed meanwhile. Raises what `write` raises, and
        has taken then what was written.
        """
        before = self._sha256.copy()
        aside.begin(partial(self._sha256.update, data))
        written = 0
        try:
            while write is not None and written < len(data):
                written += write(data[written:], self.size + written)
            self._blake3.update(data)
        except BaseException:
            aside.wait()
            self._sha256 = before
            self.update(data[:written])
            raise
        aside.wait()
        self.size += len(data)

    def digests(self) -> Digests:
        """Return the hashes of everything so far; more may follow."""
        return Digests(
            sha256=self._sha256.hexdigest(), blake3=self._blake3.hexdigest(), size=self.size
        )


class UnwrittenError(Exception):
    """Bytes that were taken could not be written; the file ends at `end`, for `reason`."""

    def __init__(self, end: int, reason: OSError) -> None:
        super().__init__(end, reason)
        self.end = end
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Lent:
    """Bytes whose turn it is to be hashed; `written` says that the file has them already."""

    data: memoryview
    written: bool


class Follower:
    """Hashes a file that grows, in a thread that stays behind its writers.

    Bytes that belong just where the hash has come to are hashed from the writer's own
    buffer, the others are read back: `read` fills a buffer with what the file holds at an
    offset, `write` puts bytes at one, in the thread; both say how many that was and may
    raise OSError. A `small` file has no thread. One thread at a time may call the methods.
    """

    def __init__(
        self,
        read: Callable[[memoryview, int], int],
        write: Callable[[memoryview, int], int],
        *,
        small: bool = False,
    ) -> None:
        self._read = read
        self._write = write
        self._small = small
        self._hasher = Hasher()
        self._changed = threading.Condition()
        self._frontier = 0
        self._reached = 0
        """Where the hash has come to once all that is lent is hashed."""
        self._lent: deque[_Lent] = deque()
        self._catching_up = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._unwritten: OSError | None = None

    def take(self, data: memoryview, at: int) -> bool:
        """Write bytes at `at` and hash them, if it is their turn; else do nothing: false.

        They must stay as they are for PIECES_KEPT calls more, and need not be written yet when
        this returns. Raises UnwrittenError, once, where that failed with what was taken
        before; all that was taken behind the end that it tells is forgotten then.
        """
        if self._small:
            return False
        with self._changed:
            self._wait_while(lambda: len(self._lent) > PIECES_KEPT - 1)
            self._raise_unwritten()
            if at != self._reached or self._error is not None:
                return False
            self._lend(_Lent(data, written=False))
            return True

    def settle(self) -> None:
        """Return when all that was taken is written. Raises UnwrittenError as `take`."""
        if not self._small:
            with self._changed:
                self._wait_while(lambda: bool(self._lent))
                self._raise_unwritten()

    def wrote(self, data: memoryview | bytes, at: int) -> None:
        """Lend bytes that were just written at `at`, if it is their turn to be hashed.

        They must stay as they are for PIECES_KEPT calls more.
        """
        if self._small:
            if at == self._hasher.size:
                self._hasher.update(data)
            return
        with self._changed:
            self._wait_while(lambda: len(self._lent) > PIECES_KEPT - 1)
            near = 0 < at - self._reached <= CHUNK_BYTES
            # Behind a hole there is nothing to wait for: who fills it may wait for this call.
            if near and at <= self._frontier and self._thread is not None:
                self._catching_up = True
                self._changed.notify_all()
                self._wait_while(lambda: self._reached < at)
                self._catching_up = False
            if at == self._reached and self._error is None and self._unwritten is None:
                self._lend(_Lent(memoryview(data), written=True))

    def advance(self, frontier: int) -> None:
        """Say that the bytes before `frontier` are written and stay as they are."""
        with self._changed:
            self._frontier = frontier
            if not self._small and self._behind() >= CHUNK_BYTES and self._error is None:
                self._start()

    def hashed(self) -> int:
        """How many bytes from the start were hashed; any thread may ask."""
        return self._hasher.size

    def digests(self) -> Digests:
        """Return the hashes of all bytes before the frontier. Raises OSError; as `take`."""
        self._stop()
        self._raise_unwritten()
        if self._error is not None:
            raise self._error
        buffer = memoryview(bytearray(min(CHUNK_BYTES, self._frontier - self._hasher.size)))
        while self._hasher.size < self._frontier:
            self._take(buffer)
        return self._hasher.digests()

    def restart(self) -> None:
        """Forget everything; the file is empty now."""
        self._stop()
        self._hasher = Hasher()
        self._frontier = self._reached = 0
        self._error = self._unwritten = None

    def close(self) -> None:
        """Stop; nothing is read from here on."""
        self._stop()

    def _lend(self, lent: _Lent) -> None:
        self._lent.append(lent)
        self._reached += len(lent.data)
        self._start()

    def _raise_unwritten(self) -> None:
        """Raise what kept the thread from writing, once, and go on from where that was."""
        reason, self._unwritten = self._unwritten, None
        if reason is not None:
            self._stop()
            end = self._frontier = self._reached = self._hasher.size
            raise UnwrittenError(end, reason)

    def _start(self) -> None:
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._follow, name="hash", daemon=True)
            self._thread.start()
        else:
            self._changed.notify_all()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            thread.join()

    def _behind(self) -> int:
        """How much there is to be read back."""
        return self._frontier - self._reached

    def _wait_while(self, busy: Callable[[], bool]) -> None:
        while busy() and self._error is None and self._unwritten is None:
            self._changed.wait()

    def _follow(self) -> None:
        aside: Aside | None = None
        buffer: memoryview | None = None
        try:
            while True:
                with self._changed:
                    while not self._due():
                        if self._stopping:
                            return
                        self._changed.wait()
                    lent = self._lent[0] if self._lent else None
                    late = len(self._lent) > 1
                if lent is not None:
                    if late and aside is None:
                        # Bytes come faster than one thread writes and hashes them.
                        aside = Aside()
                    if not self._put(lent, aside):
                        return
                else:
                    buffer = buffer or memoryview(bytearray(CHUNK_BYTES))
                    self._take(buffer)
                with self._changed:
                    if lent is not None:
                        self._lent.popleft()
                    self._changed.notify_all()
        except OSError as error:
            with self._changed:
                self._error = error
                self._lent.clear()
                self._changed.notify_all()
        finally:
            if aside is not None:
                aside.close()

    def _put(self, lent: _Lent, aside: Aside | None) -> bool:
        """Hash what was lent, and write it if need be; false if that failed for some of it."""
        data, write = lent.data, None if lent.written else self._write
        try:
            if aside is not None:
                self._hasher.update_beside(aside, data, write)
            elif write is None:
                self._hasher.update(data)
            else:
                while data:
                    count = write(data, self._hasher.size)
                    self._hasher.update(data[:count])
                    data = data[count:]
        except OSError as error:
            with self._changed:
                self._unwritten = error
                self._lent.clear()
                self._changed.notify_all()
            return False
        return True

    def _due(self) -> bool:
        if self._lent:
            return True
        least = 1 if self._catching_up else CHUNK_BYTES
        return self._behind() >= least and not self._stopping

    def _take(self, buffer: memoryview) -> None:
        at = self._hasher.size
        count = self._read(buffer[: self._frontier - at], at)
        if not count:
            raise OSError(errno.EIO, "the file is shorter than what was written to it")
        self._hasher.update(buffer[:count])
        self._reached = self._hasher.size


def digest_file(file: io.FileIO, progress: Callable[[int], None] | None = None) -> Digests:
    """Read `file` from where it stands to its end and return its hashes.

    `progress` is told the bytes read so far. Raises OSError.
    """
    hasher = Hasher()
    _read_through(file, hasher.update, progress)
    return hasher.digests()


def blake3_of_file(file: io.FileIO, progress: Callable[[int], None] | None = None) -> str:
    """Return the BLAKE3 alone, as `digest_file` does, in less than half of its time."""
    hasher = blake3.blake3()
    _read_through(file, hasher.update, progress)
    return hasher.hexdigest()


def _read_through(
    file: io.FileIO,
    take: Callable[[memoryview], object],
    progress: Callable[[int], None] | None,
) -> None:
    """Pass a file on in pieces. A big one leaves the page cache while it is read, step by step.

    What else is in memory is worth more than a hundred gigabytes that nobody reads twice.
    """
    buffer = memoryview(bytearray(CHUNK_BYTES))
    size = released = 0
    while count := file.readinto(buffer):
        take(buffer[:count])
        size += count
        if size - released >= _BIG_FILE_BYTES:
            _release(file, released, size)
            released = size
        if progress is not None:
            progress(size)
    if released:
        _release(file, released, size)


def _release(file: io.FileIO, begin: int, end: int) -> None:
    """Put these bytes out of the page cache; a hint, and no more."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)
