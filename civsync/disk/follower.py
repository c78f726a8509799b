"""Hash a file that grows, in a thread of its own, always behind the last byte received.

That thread writes, too, what comes in order: receiving a fast stream is work for a processor,
and so is the rest. Where that is not fast enough, another thread takes the SHA-256 over. What
came out of order is read back out of the page cache.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable

from civsync.core.disk import Digests
from civsync.core.limits import CHUNK_BYTES, PIECES_KEPT
from civsync.core.values import dataclass
from civsync.disk.hashing import Aside, Hasher


class UnwrittenError(Exception):
    """Bytes that were taken could not be written; the file ends at `end`, for `reason`.

    That is an OSError, if it is not a fault of ours.
    """

    def __init__(self, end: int, reason: BaseException) -> None:
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
    raise OSError. A `small` file has no thread; where none can be made, `digests` reads all
    back. One thread at a time may call the methods.
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
        self._error: BaseException | None = None
        self._unwritten: BaseException | None = None

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
            return self._lend(_Lent(data, written=False))

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
        try:
            buffer = memoryview(bytearray(min(CHUNK_BYTES, self._frontier - self._hasher.size)))
            while self._hasher.size < self._frontier:
                self._take(buffer)
        except MemoryError as error:
            raise _meaning(error) from error
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

    def _lend(self, lent: _Lent) -> bool:
        if not self._start():
            return False
        self._lent.append(lent)
        self._reached += len(lent.data)
        return True

    def _raise_unwritten(self) -> None:
        """Raise what kept the thread from writing, once, and go on from where that was."""
        reason, self._unwritten = self._unwritten, None
        if reason is not None:
            self._stop()
            end = self._frontier = self._reached = self._hasher.size
            raise UnwrittenError(end, reason)

    def _start(self) -> bool:
        """Have the thread go on; false where the system allows no more threads."""
        if self._thread is not None:
            self._changed.notify_all()
            return True
        self._stopping = False
        thread = threading.Thread(target=self._follow, name="hash", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

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
        alone = False
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
                    if late and aside is None and not alone:
                        # Bytes come faster than one thread writes and hashes them.
                        aside = _aside()
                        alone = aside is None
                    self._put(lent, aside)
                else:
                    buffer = buffer or memoryview(bytearray(CHUNK_BYTES))
                    self._take(buffer)
                with self._changed:
                    if lent is not None:
                        self._lent.popleft()
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            reason = _meaning(error)
            with self._changed:
                unwritten = bool(self._lent) and not self._lent[0].written
                if unwritten:
                    self._unwritten = reason
                if not unwritten or not isinstance(error, OSError):
                    # Nobody knows how far the hashes are.
                    self._error = reason
                self._lent.clear()
                self._changed.notify_all()
        finally:
            if aside is not None:
                aside.close()

    def _put(self, lent: _Lent, aside: Aside | None) -> None:
        """Hash what was lent, and write it if need be."""
        data, write = lent.data, None if lent.written else self._write
        if aside is not None:
            self._hasher.update_beside(aside, data, write)
        elif write is None:
            self._hasher.update(data)
        else:
            while data:
                count = write(data, self._hasher.size)
                self._hasher.update(data[:count])
                data = data[count:]

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


def _meaning(error: BaseException) -> BaseException:
    """Return the OSError that a lack of memory is, for those who know what to do with one."""
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return error


def _aside() -> Aside | None:
    """Return a thread for the SHA-256; None where the system allows no more of them."""
    try:
        return Aside()
    except RuntimeError:
        return None
