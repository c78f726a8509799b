"""One HTTP/1.1 connection that a thread reads and another thread may break off.

Only GET, only what a download needs; redirects, credentials and retries are for others.
"""

import contextlib
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Final
from urllib.parse import quote, urlsplit

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import KIB
from civsync.core.values import dataclass
from civsync.core.wire import Head
from civsync.decide.floor import Floor
from civsync.wire.abort import Abort
from civsync.wire.addresses import Addresses, connect, look_up
from civsync.wire.framing import Body, CutError, FramingError, RawHead, read_head
from civsync.wire.route import Route, refused_by
from civsync.wire.stream import SlowError, Stream
from civsync.wire.trust import Proxy

_SAFE_IN_TARGET: Final = "!#$%&'()*+,/:;=?@[]~"
_OK: Final = 200


class StaleError(Exception):
    """A kept connection was closed by the peer before it saw the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a peer is waited for, in seconds."""

    connect: float
    """From the look-up of the name to the end of the handshake."""
    silence: float
    """Without a byte, and for the whole head of a reply."""
    speed: int
    """Bytes a second that a body must bring in each `window` of waiting for it; 0 for none."""
    window: float

    @property
    def floor(self) -> Floor:
        """The floor of a body that begins."""
        return Floor(self.speed, self.window)


class Connection:
    """An open connection. All methods raise WireError, or StoppedError after an abort."""

    def __init__(
        self, route: Route, sock: socket.socket, handle: socket.socket, patience: Patience
    ) -> None:
        self.route = route
        self.handle = handle
        self.patience = patience
        self._sock = sock
        self._stream = Stream(sock, silence=patience.silence)
        self._used = False

    @classmethod
    def open(
        cls,
        route: Route,
        context: ssl.SSLContext,
        abort: Abort,
        *,
        patience: Patience,
        addresses: Addresses,
    ) -> "Connection":
        """Connect, through the proxy if there is one, and shake hands, all in one time limit.

        Raises WireError bad-redirect for a host inside somebody's network; see `addresses`.
        """
        until = monotonic() + patience.connect
        with _translated(route, abort, Code.UNREACHABLE):
            if route.proxy is None:
                found = addresses.of(route.host, route.port, abort, until)
            else:
                found = look_up(route.proxy.host, route.proxy.port, abort, until)
            sock, handle = connect(found, abort, until)
        try:
            if route.scheme == "https":
                if route.proxy is not None:
                    with _translated(route, abort, Code.UNREACHABLE):
                        _tunnel(sock, route, route.proxy, until)
                with _translated(route, abort, Code.CONNECTION_LOST, handshake=True):
                    sock.settimeout(_left(until))
                    sock = context.wrap_socket(sock, server_hostname=route.host)
            sock.setblocking(False)
        except BaseException:
            abort.release()
            sock.close()
            handle.close()
            raise
        return cls(route, sock, handle, patience)

    def get(self, url: str, headers: Mapping[str, str], abort: Abort) -> "Reply":
        """Send a request and return its reply, of which only the head was read.

        Raises StaleError if the connection had been used and nothing at all came back.
        """
        was_used, self._used = self._used, True
        with _translated(self.route, abort, Code.CONNECTION_LOST):
            try:
                self._send_all(self._render(url, headers))
                until = monotonic() + self.patience.silence
                stream = self._stream
                raw = read_head(lambda limit: stream.line(limit, until), stream.block_now)
            except (CutError, ConnectionError, ssl.SSLEOFError) as error:
                abort.check()
                if was_used:
                    raise StaleError from error
                raise
            self.route.check_login(raw.status)
            return Reply(self, self._stream, raw, url, abort)

    def waiting(self) -> bool:
        """Tell whether there is something to read just now, the end included."""
        return not self._stream.is_quiet()

    def close(self) -> None:
        """Close without ceremony."""
        self.handle.close()
        self._sock.close()

    def _send_all(self, request: bytes) -> None:
        """Send a request, which nearly always fits into the buffer of the socket at once."""
        try:
            sent = self._sock.send(request)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        if sent < len(request):
            self._sock.settimeout(self.patience.silence)
            self._sock.sendall(request[sent:])
            self._sock.setblocking(False)

    def _render(self, url: str, headers: Mapping[str, str]) -> bytes:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if not target.startswith("/"):
            target = f"/{target}"
        fields = {"host": self.route.authority, **{k.lower(): v for k, v in headers.items()}}
        if self.route.proxy is not None and self.route.scheme == "http":
            target = f"http://{self.route.authority}{target}"
            fields |= _proxy_login(self.route.proxy)
        return _render("GET", quote(target, safe=_SAFE_IN_TARGET), fields)


class Reply:
    """A reply: its head, and a body that is read piece by piece.

    All methods raise WireError, or StoppedError after an abort.
    """

    def __init__(
        self, connection: Connection, stream: Stream, raw: RawHead, url: str, abort: Abort
    ) -> None:
        self._route = connection.route
        self._patience = connection.patience
        self._stream = stream
        self._abort = abort
        self._body = Body(stream, raw)
        self._keeps = raw.keeps and self._body.delimited
        self.head = Head(status=raw.status, headers=raw.fields, url=url)
        stream.demand(self._patience.floor)

    @property
    def length(self) -> int | None:
        """Bytes of the whole body, None where only its end tells."""
        return self._body.length

    @property
    def ended(self) -> bool:
        """Whether the body is over."""
        return self._body.ended

    @property
    def reusable(self) -> bool:
        """Whether the body is over and the connection can carry another request."""
        return self._body.ended and self._keeps

    def read_now(self, view: memoryview) -> int:
        """Fill the start of `view` with what is there; 0 for nothing just now, or the end.

        Raises WireError connection-lost if the body is shorter than its own framing says.
        """
        try:
            count = self._body.read_now(view)
        except (*_FAILURES, CutError, FramingError) as error:
            self._abort.check()
            raise _meaning(error, self._route, Code.CONNECTION_LOST) from error
        # What was read after an abort may be anything but the body.
        self._abort.check()
        return count or 0

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until there may be more of the body; false if nothing came in that time.

        Without a time it is as long as the patience lasts. Raises WireError timed-out for
        a peer that is silent or too slow.
        """
        try:
            return self._stream.wait(seconds)
        except SlowError as error:
            self._abort.check()
            speed, window = self._patience.speed / KIB, self._patience.window
            raise WireError(
                Code.TIMED_OUT,
                f"slower than {speed:.1f} KiB/s for {window:g} s",
                subject=str(self._route),
            ) from error
        except TimeoutError as error:
            self._abort.check()
            raise _meaning(error, self._route, Code.TIMED_OUT) from error


def _tunnel(sock: socket.socket, route: Route, proxy: Proxy, until: float) -> None:
    """Ask the proxy for a way to the origin."""
    host = f"[{route.host}]" if ":" in route.host else route.host
    target = f"{host}:{route.port}"
    sock.settimeout(_left(until))
    sock.sendall(_render("CONNECT", target, {"host": target, **_proxy_login(proxy)}))
    sock.setblocking(False)
    stream = Stream(sock, silence=_left(until))
    status = read_head(lambda limit: stream.line(limit, until)).status
    if status != _OK:
        raise refused_by(proxy, status, route)


def _left(until: float) -> float:
    """Return the seconds that are left. Raises TimeoutError if there are none."""
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _proxy_login(proxy: Proxy) -> dict[str, str]:
    if proxy.login is None:
        return {}
    return {"proxy-authorization": f"Basic {b64encode(proxy.login.encode()).decode()}"}


def _render(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    if any(char in line for line in lines for char in "\r\n\0"):
        raise ValueError("a header with a line break")
    return "\r\n".join(lines).encode("latin-1")


@contextlib.contextmanager
def _translated(
    route: Route, abort: Abort, lost: Code, *, handshake: bool = False
) -> Iterator[None]:
    """Turn what sockets, TLS and framing raise into WireError; `lost` is the usual code."""
    try:
        yield
    except (*_FAILURES, CutError, FramingError) as error:
        abort.check()
        raise _meaning(error, route, lost, handshake=handshake) from error


def _meaning(error: Exception, route: Route, lost: Code, *, handshake: bool = False) -> WireError:
    """Say what a failure of socket, TLS or framing means; `lost` is the usual code."""
    code = lost
    match error:
        case CutError():
            message = "the reply ended too early"
        case FramingError():
            code, message = Code.REPLY_MALFORMED, f"the reply makes no sense: {error}"
        case ssl.SSLCertVerificationError():
            code = Code.TLS_FAILED
            message = f"the certificate cannot be verified: {error.verify_message}"
        case TimeoutError():
            code, message = Code.TIMED_OUT, "the server is silent"
        case ssl.SSLError() if handshake and not isinstance(error, _CUT_SHORT):
            code, message = Code.TLS_FAILED, f"no TLS connection: {error.reason}"
        case _:
            what = "no connection" if lost is Code.UNREACHABLE else "the connection broke"
            reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
            message = f"{what}: {reason}"
    return WireError(code, message, subject=str(route))


_FAILURES: Final = (OSError, UnicodeError)
_CUT_SHORT: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
