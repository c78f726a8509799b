"""A small HTTP/1.1 server for the loopback interface: one origin, a thread a connection.

Keeps connections alive, records every request whole before it is answered, and
lets the fault book decide whether the answer is a proper one. It knows nothing
of Civitai and speaks to nobody but 127.0.0.1.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import field, replace
from email.utils import formatdate

from civsync.core.values import dataclass
from civsync.demo.delivery import Conversation, Hangup, hang_up
from civsync.demo.messages import Reply, Request, parse_head, text_reply
from civsync.demo.registry import Registry

_HOST = "127.0.0.1"
_BACKLOG = 256
_JOIN_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(slots=True)
class Log:
    """Everything that was asked of all origins, in the order of arrival."""

    requests: list[Request] = field(default_factory=list)
    connections: dict[str, int] = field(default_factory=dict)
    lock: threading.Condition = field(default_factory=threading.Condition)

    def add(self, request: Request) -> None:
        """Record a request, and wake those who wait for one."""
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()

    def connected(self, origin: str) -> None:
        """Count a connection."""
        with self.lock:
            self.connections[origin] = self.connections.get(origin, 0) + 1

    def reset(self) -> None:
        """Forget everything."""
        with self.lock:
            self.requests.clear()
            self.connections.clear()


class Origin:
    """One listening server; `answer` makes the proper replies.

    `port=0` takes any free port. With `tls` the origin speaks https. `delay`
    tells how many seconds each answer waits, `rate` how many bytes a second a
    body may flow (None: as fast as it can).
    """

    def __init__(
        self,
        name: str,
        *,
        registry: Registry,
        log: Log,
        port: int,
        answer: Callable[[Request], Reply],
        expire_urls: Callable[[], None],
        tls: ssl.SSLContext | None = None,
        delay: Callable[[], float] = lambda: 0.0,
        rate: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._name = name
        self._registry = registry
        self._log = log
        self._answer = answer
        self._expire_urls = expire_urls
        self._tls = tls
        self._delay = delay
        self._rate = rate
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._talks: dict[threading.Thread, socket.socket] = {}
        self._listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
        self.url = f"{'https' if tls else 'http'}://{_HOST}:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, name=f"demo-{name}", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Stop listening, break every connection, and wait until all threads have ended."""
        self._closing.set()
        # A blocked accept() is only woken by a caller on every system.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self._listener.getsockname(), timeout=_JOIN_SECONDS),
        ):
            pass
        self._accepting.join(_JOIN_SECONDS)
        self._listener.close()
        while self._talks:
            with self._lock:
                talks = list(self._talks.items())
            for _, peer in talks:
                with contextlib.suppress(OSError):
                    # The plain method: SSLSocket's own one would pull the TLS state from
                    # under the thread that is using it.
                    socket.socket.shutdown(peer, socket.SHUT_RDWR)
            for thread, _ in talks:
                thread.join(_LOOK_AGAIN_SECONDS)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                continue  # the client gave up before it was accepted
            if self._closing.is_set():
                peer.close()
                return
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            with self._lock:
                self._talks[thread] = peer
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        self._log.connected(self._name)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reset = False
        try:
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
                with self._lock:
                    self._talks[threading.current_thread()] = peer
            talk = Conversation(peer, self._closing, self._expire_urls)
            while self._exchange(talk):
                pass
        except Hangup as end:
            reset = end.reset
        except OSError:
            pass  # the client has gone, or refused our certificate
        finally:
            hang_up(peer, reset=reset)
            with self._lock:
                self._talks.pop(threading.current_thread(), None)

    def _exchange(self, talk: Conversation) -> bool:
        """Read one request and answer it; False when the client is done."""
        head = talk.next_head()
        if head is None or self._closing.is_set():
            return False
        try:
            request = parse_head(self._name, head)
            length = int(request.header("content-length") or 0)
        except ValueError:
            return False
        request = replace(request, body=talk.next_bytes(length))
        self._log.add(request)
        wait = self._delay()
        if wait > 0 and self._closing.wait(wait):
            return False
        action = self._registry.faults.pick(request)
        talk.answer(request, action, self._make, self._rate())
        return True

    def _make(self, request: Request) -> Reply:
        try:
            reply = self._answer(request)
        except Exception as bug:  # noqa: BLE001  (any bug here must look like one to the client)
            reply = text_reply(500, f"bug in the demo server: {bug!r}", "text/plain")
        now = formatdate(self._registry.clock(), usegmt=True)
        reply.headers.append(("Date", now))
        return reply
