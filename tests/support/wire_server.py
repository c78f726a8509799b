"""A server that sends raw bytes by a script, because frameworks repair the faults we want.

One thread a connection, on 127.0.0.1, with TLS if given a context. Every request is
answered by the next script (the last one is repeated) and recorded whole. Nothing here
sleeps: a script that has to wait waits for an event that the test sets.
"""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import trustme

_LINGER_ZERO = struct.pack("ii", 1, 0)
_STEP_LIMIT_S = 30


@dataclass(frozen=True)
class Seen:
    """One request as it came: its bytes up to the empty line, and which connection it used."""

    raw: bytes
    connection: int

    @property
    def target(self) -> str:
        return self.raw.split(b" ", 2)[1].decode()

    @property
    def method(self) -> str:
        return self.raw.split(b" ", 1)[0].decode()

    def header(self, name: str) -> str | None:
        """The value of a header, None if it was not sent."""
        found = re.search(rb"(?im)^%s:[ \t]*([^\r\n]*)" % re.escape(name.encode()), self.raw)
        return found[1].decode() if found else None


@dataclass(frozen=True)
class Send:
    """Send these bytes, a piece at a time if `piece` says so."""

    data: bytes
    piece: int = 0


@dataclass(frozen=True)
class Endless:
    """Send these bytes again and again, until the peer is gone."""

    data: bytes


@dataclass
class Pause:
    """Say that this point is reached, and go on when the test allows it."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Reset:
    """Close with RST, so that the peer sees a connection reset."""


@dataclass(frozen=True)
class Close:
    """Close in order; over TLS without a farewell."""


@dataclass(frozen=True)
class Tunnel:
    """Carry bytes to and from another port: what a proxy does after CONNECT."""

    port: int


Step = Send | Endless | Pause | Reset | Close | Tunnel
Script = Sequence[Step]


def reply(
    status: int = 200,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    length: int | str | None = -1,
) -> bytes:
    """A whole reply. `length` -1 is that of the body, None leaves the header out."""
    fields = dict(headers or {})
    if length is not None:
        fields["Content-Length"] = str(len(body) if length == -1 else length)
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class WireServer:
    """Use as a context manager; `script` may be called again while it runs."""

    def __init__(
        self, *scripts: Script, tls: ssl.SSLContext | None = None, greeting: bytes = b""
    ) -> None:
        self.requests: list[Seen] = []
        self._scripts: list[Script] = list(scripts)
        self._tls = tls
        self._greeting = greeting
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        # Duplicates, which end the connections on exit, whatever became of the first ones.
        self._open: dict[int, socket.socket] = {}
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return self._connections

    def url(self, path: str = "/file") -> str:
        return self.origin + path

    def script(self, *scripts: Script) -> None:
        """Replace what is still to be answered."""
        with self._lock:
            self._scripts = list(scripts)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open.values():
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_STEP_LIMIT_S)

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
                number = self._connections
                self._open[number] = sock.dup()
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            sock.sendall(self._greeting)
            while (raw := _read_request(sock)) is not None:
                with self._lock:
                    self.requests.append(Seen(raw, number))
                    script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                for step in script:
                    if not self._take(step, sock):
                        return
        except OSError:
            return
        finally:
            with self._lock:
                self._open.pop(number).close()
            sock.close()

    def _take(self, step: Step, sock: socket.socket) -> bool:
        """Do one step; false when the connection is over."""
        match step:
            case Send(data, piece):
                for start in range(0, len(data), piece or len(data) or 1):
                    sock.sendall(data[start : start + (piece or len(data))])
            case Endless(data):
                while True:
                    sock.sendall(data)
            case Pause():
                step.reached.set()
                while not step.go_on.wait(0.02):
                    if self._stopping.is_set():
                        return False
            case Reset():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                return False
            case Close():
                return False
            case Tunnel(port):
                with socket.create_connection(("127.0.0.1", port)) as other:
                    self._start(_carry, other, sock)
                    _carry(sock, other)
                return False
        return True


def _read_request(sock: socket.socket) -> bytes | None:
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            return None
        raw += byte
    return raw


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serve(
    *scripts: Script, tls: ssl.SSLContext | None = None, greeting: bytes = b""
) -> Iterator[WireServer]:
    """Run a server for a `with` block; `greeting` is sent before a request is read."""
    with WireServer(*scripts, tls=tls, greeting=greeting) as server:
        yield server


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A context for a server whose certificate is for `names` (127.0.0.1 without any)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    return context


def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
