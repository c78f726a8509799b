"""Put replies on a socket, properly or with a fault.

The only module that knows what a misbehaving server looks like on the wire. No
framework lies beneath, because frameworks repair the faults that we want to send.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import assert_never

from civsync.demo.bodies import Body, BytesBody, read
from civsync.demo.faults import (
    Action,
    Answer,
    Cut,
    Drip,
    Excess,
    ExpireUrls,
    FlipBit,
    Gzip,
    IgnoreRange,
    Raw,
    Refuse,
    Stall,
    WrongRange,
)
from civsync.demo.messages import Headers, Reply, Request, compressed, reply_head

_LONGEST_HEAD = 64 * 1024
_RECEIVE = 64 * 1024
_HELD_BACK = 512
_BYTES_AT_ONCE = 16 * 1024
_FILLING = b"\0" * (64 * 1024)


class Hangup(Exception):  # noqa: N818  (it ends a conversation and is no error)
    """The conversation is over; `reset` ends it with RST instead of FIN."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


def hang_up(peer: socket.socket, *, reset: bool) -> None:
    """Close a connection; with `reset` the client sees an abort."""
    if reset:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Conversation:
    """One accepted connection: reads requests, sends replies, carries out faults.

    `closing` is set when the server stops; every wait ends with it.
    """

    def __init__(
        self, peer: socket.socket, closing: threading.Event, expire_urls: Callable[[], None]
    ) -> None:
        self._peer = peer
        self._closing = closing
        self._expire_urls = expire_urls
        self._received = bytearray()

    def next_head(self) -> bytes | None:
        """Read up to a blank line; None when the client has gone."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > _LONGEST_HEAD or not self._receive():
                return None
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        return head

    def next_bytes(self, count: int) -> bytes:
        """Read a request's body. Raises Hangup where it ends early."""
        while len(self._received) < count:
            if not self._receive():
                raise Hangup
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive(self) -> bool:
        data = self._peer.recv(_RECEIVE)
        self._received += data
        return bool(data)

    def answer(
        self,
        request: Request,
        action: Action | None,
        make: Callable[[Request], Reply],
        rate: float | None,
    ) -> None:
        """Answer `request` by `make`, misbehaving as `action` says.

        `rate` limits a proper body, in bytes a second. Raises Hangup when the
        connection must end now.
        """
        match action:
            case Refuse(reset):
                raise Hangup(reset=reset)
            case Raw(data):
                self._peer.sendall(data)
                raise Hangup
            case Answer(status, headers, body):
                reply = Reply(status=status, headers=list(headers), body=BytesBody(body))
                self._send(request, reply, None)
                return
            case ExpireUrls():
                self._expire_urls()
            case Stall(released, None):
                self._wait_for(released)
            case IgnoreRange():
                request = _without_range(request)
            case _:
                pass
        reply = _twisted(make(request), action)
        try:
            self._send(request, reply, action, rate)
        finally:
            _release(reply)  # the place of a broken reply must be free again as well

    def _wait_for(self, released: threading.Event) -> None:
        """Wait for a test's signal, or for the end of the server."""
        while not released.wait(0.05):
            if self._closing.is_set():
                raise Hangup

    def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the client is there: real servers see at once that it left."""
        self._peer.settimeout(seconds)
        try:
            # The plain method: what is on the wire, not inside TLS.
            early = socket.socket.recv(self._peer, 1, socket.MSG_PEEK)
        except TimeoutError:
            return
        finally:
            self._peer.settimeout(None)
        # In the middle of a reply TLS has nothing to say but that it ends.
        if not early or isinstance(self._peer, ssl.SSLSocket) or self._closing.wait(seconds):
            raise Hangup

    def _send(
        self, request: Request, reply: Reply, action: Action | None, rate: float | None = None
    ) -> None:
        length, last = _framing(reply, action)
        headers: Headers = list(reply.headers)
        bodiless = request.method == "HEAD" or reply.status in (204, 304)
        if length is not None:
            headers.append(("Content-Length", str(length)))
        wants_close = (request.header("connection") or "").lower() == "close"
        if last is not None or wants_close:
            headers.append(("Connection", "close"))
        head = reply_head(reply.status, headers)
        if bodiless or reply.start == reply.end:
            _release(reply)
            self._peer.sendall(head)
        else:
            self._send_body(head, reply, action, rate)
        if isinstance(action, Excess):
            for at in range(0, action.extra, len(_FILLING)):
                self._peer.sendall(_FILLING[: action.extra - at])
        if last is not None:
            raise last
        if wants_close:
            raise Hangup

    def _send_body(
        self, head: bytes, reply: Reply, action: Action | None, rate: float | None
    ) -> None:
        start, end = reply.start, reply.end
        pace: tuple[int, float] | None = None
        match action:
            case Cut(after):
                end = min(end, start + after)
            case Drip(rate=slow, chunk=chunk):
                pace = chunk, chunk / slow
            case Stall(released, int(after)):
                middle = min(end, start + after)
                self._peer.sendall(head + read(reply.body, start, middle))
                self._wait_for(released)
                head, start = b"", middle
            case _ if rate is not None:
                chunk = max(1, min(_BYTES_AT_ONCE, int(rate / 20)))
                pace = chunk, chunk / rate
            case _:
                pass
        if pace is None and end - start <= _BYTES_AT_ONCE:
            _release(reply)
            self._peer.sendall(head + read(reply.body, start, end))
            return
        # All but the last bytes, then the place is free, then the last bytes: whoever has
        # read a whole reply may count on it that the server sees it as finished.
        self._peer.sendall(head)
        middle = max(start, end - _HELD_BACK)
        self._push(reply.body, start, middle, pace)
        _release(reply)
        self._push(reply.body, middle, end, pace)

    def _push(self, body: Body, start: int, stop: int, pace: tuple[int, float] | None) -> None:
        """Send the bytes [start, stop), all at once or `pace` = (bytes, seconds) at a time."""
        if pace is None:
            for piece in body.chunks(start, stop):
                self._peer.sendall(piece)
            return
        count, seconds = pace
        for at in range(start, stop, count):
            self._peer.sendall(read(body, at, min(at + count, stop)))
            self._pause(seconds)


def _release(reply: Reply) -> None:
    done, reply.on_last_bytes = reply.on_last_bytes, None
    if done is not None:
        done()


def _framing(reply: Reply, action: Action | None) -> tuple[int | None, Hangup | None]:
    """Say what Content-Length claims (None: no such header) and how the connection ends."""
    honest = reply.end - reply.start
    match action:
        case Cut(reset=reset, declared=declared):
            return (honest if declared else None), Hangup(reset=reset)
        case Excess(_, "honest"):
            return honest, Hangup()
        case Excess(extra, "inflated"):
            return honest + extra, Hangup()
        case Excess():
            return None, Hangup()
        case _:
            return honest, None


def _twisted(reply: Reply, action: Action | None) -> Reply:
    """Change what the reply says or holds, for the faults that lie in it."""
    match action:
        case FlipBit(at) if reply.start <= at < reply.end:
            whole = bytearray(read(reply.body, reply.start, reply.end))
            whole[at - reply.start] ^= 1
            reply.body = BytesBody(bytes(whole))
            reply.start, reply.stop = 0, None
        case WrongRange(content_range) if reply.status == 206:
            reply.headers = [pair for pair in reply.headers if pair[0] != "Content-Range"]
            if content_range is not None:
                reply.headers.append(("Content-Range", content_range))
        case Gzip():
            return compressed(reply)
        case (
            None
            | Answer()
            | Raw()
            | Refuse()
            | Cut()
            | Excess()
            | FlipBit()
            | IgnoreRange()
            | WrongRange()
            | Stall()
            | Drip()
            | ExpireUrls()
        ):
            pass
        case _:
            assert_never(action)
    return reply


def _without_range(request: Request) -> Request:
    headers = tuple(pair for pair in request.headers if pair[0].lower() != "range")
    return Request(
        origin=request.origin,
        method=request.method,
        target=request.target,
        headers=headers,
        body=request.body,
    )
