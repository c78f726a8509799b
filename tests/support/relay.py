"""Carry connections on: a proxy that knows names which no resolver does, and a second address.

With the proxy a test has hosts with public names, each of them a server on this machine.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Self

_LONGEST_HEAD = 65536
_PATIENCE_S = 30


class _Listener:
    """Accepts connections until the context ends, a thread each."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._host = host
        self._listener = socket.create_server((host, 0), family=family)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def origin(self) -> str:
        """The address that clients are told."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_PATIENCE_S)
        for sock in self._open:
            sock.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _join(self, sock: socket.socket, port: int) -> None:
        """Carry bytes both ways until both sides have ended."""
        other = socket.create_connection(("127.0.0.1", port))
        self._open.append(other)
        self._start(_carry, other, sock)
        _carry(sock, other)


class Forward(_Listener):
    """The server at a port of 127.0.0.1, under another address of this machine."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host)
        self._port = port

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._join(sock, self._port)


class NamingProxy(_Listener):
    """An HTTP proxy that knows the port of each "host:port" in `routes`, and nothing else.

    `heads` are the requests as they came, `asked` what they wanted to be connected with.
    """

    def __init__(self, routes: Mapping[str, int]) -> None:
        super().__init__("127.0.0.1")
        self._routes = routes
        self.heads: list[bytes] = []

    @property
    def asked(self) -> list[str]:
        """What each request wanted to be connected with."""
        return [head.split(b" ", 2)[1].decode() for head in self.heads]

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD:
                byte = sock.recv(1)
                if not byte:
                    return
                head += byte
            self.heads.append(head)
            method, target, _ = head.split(b" ", 2)
            port = self._routes.get(target.decode()) if method == b"CONNECT" else None
            if port is None:
                sock.sendall(b"HTTP/1.1 502 Unknown\r\nContent-Length: 0\r\n\r\n")
                sock.shutdown(socket.SHUT_RDWR)
                return
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            self._join(sock, port)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
