"""Hold back the readers of all connections together, so that a rate is kept.

A reader that waits does not read, its window fills, and TCP makes the peer send slower:
the rate is that of the wire, not only that of the disk.
"""

import threading
from time import monotonic
from typing import Final

from civsync.core.limits import CHUNK_BYTES, KIB, LARGE_BUFFER_BYTES
from civsync.decide.bucket import BURST_S, Bucket
from civsync.wire.abort import Abort

_LEAST_PIECE: Final = 4 * KIB
"""Bytes that are read at once however low the limit: a call for each byte would cost more."""


class Throttle:
    """One limit for all transfers of a process. Its methods may be called from any thread.

    `rate` is in bytes a second, None for no limit.
    """

    def __init__(self, rate: int | None = None) -> None:
        self._lock = threading.Lock()
        self._bucket = Bucket(rate, monotonic())
        self._waiting: set[Abort] = set()

    @property
    def piece(self) -> int:
        """The most bytes to read before the next `wait`."""
        rate = self._bucket.rate
        if rate is None:
            return LARGE_BUFFER_BYTES
        return min(max(int(rate * BURST_S), _LEAST_PIECE), CHUNK_BYTES)

    def limit(self, rate: int | None) -> None:
        """Go on with another rate, at once and for those who wait too."""
        with self._lock:
            self._bucket.change(rate, monotonic())
            for abort in self._waiting:
                abort.nudge()

    def wait(self, count: int, abort: Abort) -> None:
        """Block until the `count` bytes just received are within the rate.

        Raises StoppedError after `abort.fire`, at once.
        """
        if self._bucket.rate is None:
            return
        with self._lock:
            turn = self._bucket.take(count, monotonic())
            self._waiting.add(abort)
        try:
            while (seconds := self._due(turn)) > 0:
                abort.wait(seconds)
        finally:
            with self._lock:
                self._waiting.discard(abort)

    def _due(self, turn: int) -> float:
        with self._lock:
            return self._bucket.due(turn, monotonic())
