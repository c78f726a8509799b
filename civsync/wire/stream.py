"""Read a socket that never blocks, and wait for it apart from that.

Whoever reads learns that nothing is there just now, can do something sensible with what
it has, and then waits: so pieces are large where bytes come fast, none is held back where
they come slowly, and the time spent on the peer is known. Heads come in lines, bodies go
straight into the caller's buffer.
"""

import math
import select
import socket
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Final, cast

from civsync.core.limits import KIB
from civsync.decide.floor import Floor

_AHEAD: Final = 16 * KIB
"""Bytes asked for where lines are read; no TLS record holds more."""


class SlowError(Exception):
    """The peer sends less than it must."""


class Stream:
    """What a connected socket sends. Raises what the socket raises.

    `silence` is the longest wait for the next byte, in seconds.
    """

    def __init__(self, sock: socket.socket, *, silence: float) -> None:
        self._sock = sock
        self._read = _reader(sock)
        self._silence = silence
        self._ahead = bytearray()
        """Read together with lines, and not taken yet."""
        self._dry = False
        self._failure: OSError | None = None
        self._floor = Floor(0, silence)
        self._received = 0
        self._wants = select.POLLIN
        self._poll = select.poll()
        self._poll.register(sock, self._wants)

    def is_quiet(self) -> bool:
        """Whether there is nothing to read just now; an end or a failure would be something.

        What there was is lost.
        """
        if self._ahead:
            return False
        if not self._poll.poll(0) and not _pending(self._sock):
            return True
        # What came over the wire may be of TLS alone: a ticket for the next session.
        try:
            return self._receive(memoryview(bytearray(1))) is None
        except OSError:
            return False

    def demand(self, floor: Floor) -> None:
        """From now on hold the peer to this floor, for which lines do not count."""
        self._floor = floor
        self._received = 0

    def read_now(self, view: memoryview) -> int | None:
        """Fill as much of `view` as there is; 0 at the end, None if there is nothing just now."""
        if self._ahead:
            piece = self._ahead[: len(view)]
            view[: len(piece)] = piece
            del self._ahead[: len(piece)]
            self._received += len(piece)
            return len(piece)
        self._raise_failure()
        # Gone through for each TLS record, which is 16 KiB: every call more would be seen.
        read, size, filled = self._read, len(view), 0
        self._dry = False
        try:
            while filled < size:
                count = read(size - filled, view[filled:])
                if not count:
                    # An end that stands behind bytes is seen again by the next call.
                    break
                filled += count
        except OSError as error:
            if not self._means_dry(error):
                if not filled:
                    raise
                self._failure = error
            elif not filled:
                return None
        self._received += filled
        return filled

    def line_now(self, limit: int) -> bytes | None:
        """Return a line with its end, or at most `limit` bytes without one; None if none is whole.

        At the end of the stream it is what is left.
        """
        while (end := self._ahead.find(b"\n", 0, limit) + 1) == 0 and len(self._ahead) < limit:
            room = memoryview(bytearray(_AHEAD))
            # After a request that was just sent there is nothing before the next wait.
            count = None if self._dry else self._receive(room)
            if count is None:
                return None
            if count == 0:
                break
            self._ahead += room[:count]
        line = bytes(self._ahead[: end or limit])
        del self._ahead[: len(line)]
        return line

    def block_now(self, limit: int) -> bytes | None:
        """Return all lines up to and with the next empty one, if they were read ahead.

        They are of at most `limit` bytes; None where that cannot be told at a glance.
        """
        end = self._ahead.find(b"\n\r\n", 0, limit) + 3
        if end < 3 or self._ahead.startswith((b"\r\n", b"\n")):
            return None
        block = bytes(self._ahead[:end])
        if b"\n\n" in block:
            return None
        del self._ahead[:end]
        return block

    def line(self, limit: int, until: float) -> bytes:
        """Return the next line as `line_now`, waiting for it until a time of the clock at most."""
        while (line := self.line_now(limit)) is None:
            if not self.wait(until - monotonic()):
                raise TimeoutError
        return line

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until there may be something to read; false if nothing came in that time.

        Without a time it is the longest silence, and then TimeoutError is raised. Raises
        SlowError if the floor is broken.
        """
        if not self._dry:
            return True
        limit = self._silence if seconds is None else min(seconds, self._silence)
        now = monotonic()
        until = now + limit
        while now < until:
            if self._floor.left <= 0:
                raise SlowError
            patience = min(until - now, self._floor.left)
            found = self._poll.poll(math.ceil(patience * 1000))
            began, now = now, monotonic()
            broken = self._floor.broken(self._received, now - began)
            self._received = 0
            if found and not broken:
                self._dry = False
                return True
        if limit >= self._silence:
            raise TimeoutError
        return False

    def _receive(self, view: memoryview) -> int | None:
        """Read once; None, and dry, if there is nothing just now."""
        self._raise_failure()
        try:
            return self._read(len(view), view)
        except OSError as error:
            if self._means_dry(error):
                return None
            raise

    def _raise_failure(self) -> None:
        """Raise what stood behind bytes that were read before."""
        if self._failure is not None:
            raise self._failure

    def _means_dry(self, error: OSError) -> bool:
        """Tell whether there is nothing just now; then `wait` knows what for."""
        if isinstance(error, (BlockingIOError, ssl.SSLWantReadError)):
            wants = select.POLLIN
        elif isinstance(error, ssl.SSLWantWriteError):
            wants = select.POLLOUT
        else:
            return False
        self._dry = True
        if wants != self._wants:
            self._wants = wants
            self._poll.modify(self._sock, wants)
        return True


def _pending(sock: socket.socket) -> int:
    """Return how many bytes wait inside TLS, where no poll sees them."""
    return sock.pending() if isinstance(sock, ssl.SSLSocket) else 0


def _reader(sock: socket.socket) -> Callable[[int, memoryview], int]:
    """Return the shortest way to read so many bytes into a view."""
    if isinstance(sock, ssl.SSLSocket):
        # Typed as bytes, although with a buffer it is a count.
        return cast("Callable[[int, memoryview], int]", sock.read)

    def read(size: int, view: memoryview) -> int:
        return sock.recv_into(view, size)

    return read
