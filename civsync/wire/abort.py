"""Break off a transfer that another thread is blocked in.

A blocked read is ended by shutting down a plain socket on a *duplicate* of the descriptor.
Shutting an SSLSocket down would take its TLS layer away under the reader, which then
returns raw ciphertext as if it were the body.
"""

import contextlib
import socket
import threading


class StoppedError(Exception):
    """The transfer was broken off by this process; never leaves the wire."""


class Abort:
    """Ends a transfer from another thread, whatever it is blocked in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._fired = False
        self._woken = threading.Event()

    def fire(self) -> None:
        """Break off: a blocked read ends at once, and `check` raises from now on."""
        with self._lock:
            self._fired = True
            if self._handle is not None:
                _shut(self._handle)
        self._woken.set()

    def nudge(self) -> None:
        """Let the `wait` of now, or the next one, end before its time."""
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Sleep for some seconds, or until a nudge. Raises StoppedError after `fire`, at once."""
        self.check()
        self._woken.wait(seconds)
        self._woken.clear()
        self.check()

    def watch(self, handle: socket.socket) -> None:
        """Name the socket to shut down. Raises StoppedError after `fire`."""
        with self._lock:
            self._handle = handle
        self.check()

    def release(self) -> None:
        """Name no socket any more: the one that was watched is closed or in other hands."""
        with self._lock:
            self._handle = None

    def check(self) -> None:
        """Raise StoppedError after `fire`."""
        if self._fired:
            raise StoppedError


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
