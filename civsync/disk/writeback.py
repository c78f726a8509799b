"""Write a big file back to the medium while it is received, and give its pages back.

Otherwise gigabytes wait in memory for the one flush at the end, which then takes long, and
a container with a memory limit is killed for pages that nobody needs any more.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Final

from civsync.core.limits import MIB
from civsync.core.ranges import Ranges

_STEP_BYTES: Final = 32 * MIB
"""How much is written before it is flushed; a flush every 32 MiB measured faster than one."""

_ABLE: Final = hasattr(os, "fdatasync") and hasattr(os, "posix_fadvise")


def begin_write_back(fd: int | None) -> None:
    """Let the system begin to write a small file to the medium, where it can; waits for nothing.

    Of many that are flushed one after the other, the first flush then waits for all of them.
    """
    if fd is not None and hasattr(os, "posix_fadvise"):
        # On Linux this does that first (mm/fadvise.c), and drops only what was written before.
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


class WriteBack:
    """Flushes the open file `fd` in a thread of its own, a step behind its writers.

    `hashed` gives the length of the prefix that nobody will read again; `flushed` is told,
    from that thread, what is on the medium. One thread at a time may call the methods. Unless
    `durable` pages are only given back, and nothing is flushed, nor said to be.
    """

    def __init__(
        self,
        fd: int,
        hashed: Callable[[], int],
        flushed: Callable[[Ranges], None],
        *,
        durable: bool = True,
    ) -> None:
        self._fd = fd
        self._hashed = hashed
        self._flushed = flushed
        self._durable = durable
        self._changed = threading.Condition()
        self._written = Ranges()
        self._done = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def wrote(self, written: Ranges) -> None:
        """Say which bytes are written by now. Raises OSError if a flush before failed.

        Such a file must not be trusted: Linux marks the pages clean, and later flushes lie.
        """
        if self._error is not None:
            raise self._error
        if not _ABLE or written.total - self._done < _STEP_BYTES:
            return
        with self._changed:
            self._written = written
            if self._thread is not None:
                self._changed.notify()
                return
            thread = threading.Thread(target=self._work, name="flush", daemon=True)
            # Where the system allows no more threads, the flush at the end does it all.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def stop(self) -> None:
        """End the thread. Raises OSError if a flush failed."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._stopping = True
                self._changed.notify()
            thread.join()
            self._stopping = False
        if self._error is not None:
            raise self._error

    def restart(self) -> None:
        """Forget everything: the file is empty now. Raises OSError."""
        self.stop()
        self._written, self._done = Ranges(), 0

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._stopping and self._written.total - self._done < _STEP_BYTES:
                        self._changed.wait()
                    if self._stopping:
                        return
                    written = self._written
                if self._durable:
                    os.fdatasync(self._fd)
                if hashed := self._hashed():  # 0 would mean the whole file
                    os.posix_fadvise(self._fd, 0, hashed, os.POSIX_FADV_DONTNEED)
                self._done = written.total
                if self._durable:
                    self._flushed(written)
        except OSError as error:
            self._error = error
