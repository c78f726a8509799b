"""SHA-256 and BLAKE3 of bytes and of whole files; files that grow are for `follower`."""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

import blake3

from civsync.core.disk import Digests
from civsync.core.limits import CHUNK_BYTES, MIB

_BIG_FILE_BYTES: Final = 64 * MIB
"""A file that was read once is not left in the page cache, from this size on and in such steps."""


class Aside:
    """A thread that does one thing at a time for another one, beside it."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sha256", daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[], object]) -> None:
        """Have something done; `wait` must follow before the next."""
        self._orders.put(work)

    def wait(self) -> None:
        """Return when what was begun is done. Raises what it raised."""
        if (error := self._done.get()) is not None:
            raise error

    def close(self) -> None:
        """End the thread; nothing may be under way."""
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (work := self._orders.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - for whoever waits
                self._done.put(error)
            else:
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

        Meanwhile `aside` computes the SHA-256, which takes longest, and then the BLAKE3, if the
        writing lasts even longer. Raises what `write` or a hash raises, and has taken then what
        was written.
        """
        before = self._sha256.copy(), self._blake3.copy()
        turn = threading.Lock()

        def blake3_once() -> None:
            if turn.acquire(blocking=False):
                self._blake3.update(data)

        def hash_beside() -> None:
            self._sha256.update(data)
            blake3_once()

        aside.begin(hash_beside)
        written = 0
        try:
            try:
                while write is not None and written < len(data):
                    written += write(data[written:], self.size + written)
                blake3_once()
            finally:
                aside.wait()
        except BaseException:
            self._sha256, self._blake3 = before
            self.update(data[:written])
            raise
        self.size += len(data)

    def digests(self) -> Digests:
        """Return the hashes of everything so far; more may follow."""
        return Digests(
            sha256=self._sha256.hexdigest(), blake3=self._blake3.hexdigest(), size=self.size
        )


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
