"""Pour the body of a GET into a sink, as fast as one thread reads.

A plain synchronous reader with one reused buffer, because an HTTP library costs two to
four times the CPU. Nothing is followed, retried (but for a kept connection that turned
out to be closed) or inflated here, and no credential is added.
"""

import mmap
import os
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import CHUNK_BYTES, ERROR_BODY_BYTES, LARGE_BUFFER_BYTES, PIECES_KEPT
from civsync.core.wire import Head
from civsync.ports import Sink
from civsync.wire.abort import Abort
from civsync.wire.addresses import Addresses
from civsync.wire.connection import Connection, Patience, Reply, StaleError
from civsync.wire.route import Route, Routes
from civsync.wire.throttle import Throttle

_GATHER_S: Final = 0.02
"""How long received bytes may wait for more: each call of a sink has its price."""

_BUFFERS_A_BODY: Final = 8
"""How many large buffers a body must fill to get them."""

_ORIGINS_KEPT: Final = 4
"""For how many origins there is room for all connections that they may have."""

_OWN_MEMORY: Final = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name == "posix" else {}
"""Without these flags it would be memory for several processes, which is dearer to touch."""


class BulkReader:
    """Reads bodies and keeps idle connections. Its methods may be called from any thread.

    Up to `kept` idle ones are kept for one origin, and four times as many for all: a host may
    send each file to another one.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        routes: Routes,
        *,
        user_agent: str,
        patience: Patience,
        addresses: Addresses,
        throttle: Throttle,
        kept: int,
    ) -> None:
        self._context = context
        self._routes = routes
        self._addresses = addresses
        self._throttle = throttle
        self._kept = kept
        self._headers = {
            "user-agent": user_agent,
            "accept": "*/*",
            "accept-encoding": "identity",
        }
        self._patience = patience
        self._lock = threading.Lock()
        self._bodies = 0
        self._idle: dict[Route, list[Connection]] = {}
        """By the last use of a route, and none without connections."""
        self._closed = False

    def read(
        self,
        url: str,
        headers: Mapping[str, str],
        judge: Callable[[Head], Sink | None],
        abort: Abort,
    ) -> bytes:
        """Do what `Transport.stream` promises, in this thread.

        Raises StoppedError after `abort.fire`, WireError, and what `judge` and sink raise.
        """
        connection, reply = self._send(url, self._headers | dict(headers), abort)
        try:
            abort.check()
            sink = judge(reply.head)
            if sink is None:
                return _read_some(reply, ERROR_BODY_BYTES)
            with self._buffer_size(reply.length) as size:
                _pour(reply, sink, abort, self._throttle, size)
            return b""
        finally:
            abort.release()
            if reply.reusable:
                self._keep(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close what is idle, and from now on whatever comes back."""
        with self._lock:
            self._closed = True
            idle = [each for kept in self._idle.values() for each in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _send(self, url: str, headers: Mapping[str, str], abort: Abort) -> tuple[Connection, Reply]:
        route = self._routes.to(url)
        while True:
            connection = self._take(route) or Connection.open(
                route,
                self._context(),
                abort,
                patience=self._patience,
                addresses=self._addresses,
            )
            try:
                abort.watch(connection.handle)
                return connection, connection.get(url, headers, abort)
            except StaleError:
                # Never of a new connection, so this ends with the last kept one.
                abort.release()
                connection.close()
            except BaseException:
                abort.release()
                connection.close()
                raise

    @contextmanager
    def _buffer_size(self, length: int | None) -> Iterator[int]:
        """Say how large the buffers of a body are while it is received inside.

        A long one that begins alone has large ones: for a single file that is what counts, and
        many would fill the memory. What came beyond the end of a piece that is shortened
        meanwhile is lost, which must be little beside the body.
        """
        long = length is not None and length >= LARGE_BUFFER_BYTES * _BUFFERS_A_BODY
        with self._lock:
            size = LARGE_BUFFER_BYTES if long and not self._bodies else CHUNK_BYTES
            self._bodies += 1
        try:
            yield size if length is None else min(size, length)
        finally:
            with self._lock:
                self._bodies -= 1

    def _take(self, route: Route) -> Connection | None:
        while True:
            with self._lock:
                connection = self._pop(route, newest=True) if route in self._idle else None
            # A quiet connection that has something to say was closed, or is out of step.
            if connection is None or not connection.waiting():
                return connection
            connection.close()

    def _keep(self, connection: Connection) -> None:
        surplus: Connection | None = connection
        with self._lock:
            kept = self._idle.pop(connection.route, [])
            if not self._closed and len(kept) < self._kept:
                kept.append(connection)
                surplus = None
            if kept:
                self._idle[connection.route] = kept
            if sum(map(len, self._idle.values())) > self._kept * _ORIGINS_KEPT:
                surplus = self._pop(next(iter(self._idle)), newest=False)
        if surplus is not None:
            surplus.close()

    def _pop(self, route: Route, *, newest: bool) -> Connection:
        """Take an idle connection of a route that has one; under the lock."""
        kept = self._idle[route]
        connection = kept.pop(-1 if newest else 0)
        if not kept:
            del self._idle[route]
        return connection


def _fresh_buffer(size: int) -> memoryview:
    """Return a buffer whose memory goes back to the system with its last view, if it is large.

    malloc would keep what is freed, for each thread anew: where several connections received
    1 GiB, the peak was 73 MiB instead of 63. Raises WireError where there is none left.
    """
    try:
        if size < CHUNK_BYTES:
            return memoryview(bytearray(size))
        return memoryview(mmap.mmap(-1, size, **_OWN_MEMORY))
    except (OSError, MemoryError) as error:
        message = "no memory is left to receive into"
        raise WireError(Code.CONNECTION_LOST, message) from error


def _pour(reply: Reply, sink: Sink, abort: Abort, throttle: Throttle, size: int) -> None:
    """Give the sink the body in pieces of up to `size` bytes, out of PIECES_KEPT + 1 buffers.

    With a limit, pieces are small and followed by a wait. A piece is handed on soon after
    nothing more came, and before any failure is raised: what came over the wire is never
    lost.
    """
    buffer = _fresh_buffer(size)
    others: deque[memoryview] = deque()
    filled, due = 0, 0.0
    while not reply.ended:
        room = min(throttle.piece, size)
        try:
            count = reply.read_now(buffer[filled : max(room, filled + 1)])
            if count and not filled:
                due = monotonic() + _GATHER_S
            filled += count
            # A full piece does not wait, nor does the end.
            complete = filled >= room or reply.ended
            more = not complete and reply.wait(due - monotonic() if filled else None)
        except WireError:
            if filled:
                sink(buffer[:filled])
            raise
        if filled and not more:
            abort.check()
            sink(buffer[:filled])
            throttle.wait(filled, abort)
            filled = 0
            if not reply.ended:
                others.append(buffer)
                # Made when they are needed: most bodies are one piece.
                fresh = len(others) <= PIECES_KEPT
                buffer = _fresh_buffer(size) if fresh else others.popleft()


def _read_some(reply: Reply, cap: int) -> bytes:
    """Return the first `cap` bytes; what follows a failure is not worth an error of its own."""
    body = bytearray(cap)
    filled = 0
    with memoryview(body) as view:
        try:
            while filled < cap and not reply.ended:
                filled += reply.read_now(view[filled:])
                if filled < cap and not reply.ended:
                    reply.wait()
        except WireError:
            pass
    return bytes(body[:filled])
