"""The real transport: httpx for small answers, a plain reader in a thread for the bytes.

No redirect is followed, no cookie kept, no `.netrc` read, no credential added: headers
are those of the request. Messages name the origin only, since a path or query may be a
credential and a header is one.
"""

import math
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import anyio
import httpx
from anyio.to_thread import run_sync

from civsync import __version__
from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import (
    API_CONNECTIONS,
    API_IDLE_CONNECTIONS,
    CONNECT_TIMEOUT_S,
    DEFAULT_CONNECTIONS,
    MIN_SPEED,
    MIN_SPEED_WINDOW_S,
    READ_TIMEOUT_S,
)
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.ports import Sink
from civsync.wire.abort import Abort
from civsync.wire.addresses import Addresses
from civsync.wire.bulk import BulkReader
from civsync.wire.connection import Patience
from civsync.wire.route import Routes
from civsync.wire.throttle import Throttle
from civsync.wire.trust import Proxy, make_context

USER_AGENT: Final = f"civsync/{__version__}"

_UNDERSTOOD: Final = frozenset({"", "identity", "gzip"})
"""Codings of an answer. One layer only: nested ones multiply, a megabyte to a terabyte."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a thread ended: with a body, or with something to raise."""

    body: bytes = b""
    error: BaseException | None = None


class HttpTransport:
    """Implements `ports.Transport` over real sockets.

    Timeouts are in seconds, for getting connected and for one silence; there is none for
    the whole. At most `connections` bodies are streamed at once; others wait for their
    turn. `limit_rate` is in bytes a second, for all streamed bodies together, None for no
    limit; `min_speed`, too, for each of them, over the seconds of its window, 0 for no
    floor. With an `api_host` that is not private itself, no body is asked of a private
    address, whatever the name of the host. Connections are made when first needed and kept
    until `aclose`.
    """

    def __init__(
        self,
        *,
        user_agent: str = USER_AGENT,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        read_timeout: float = READ_TIMEOUT_S,
        connections: int = DEFAULT_CONNECTIONS,
        api_host: str | None = None,
        limit_rate: int | None = None,
        min_speed: int = MIN_SPEED,
        min_speed_window: float = MIN_SPEED_WINDOW_S,
    ) -> None:
        self._user_agent = user_agent
        self._connections = connections
        self._timeout = httpx.Timeout(read_timeout, connect=connect_timeout, pool=None)
        self._clients: dict[Proxy | None, httpx.AsyncClient] = {}
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()
        self._streams: anyio.CapacityLimiter | None = None
        self._threads: anyio.CapacityLimiter | None = None
        self._routes = Routes()
        self._throttle = Throttle(limit_rate)
        self._bulk = BulkReader(
            self._trust,
            self._routes,
            user_agent=user_agent,
            patience=Patience(
                connect=connect_timeout,
                silence=read_timeout,
                speed=min_speed,
                window=min_speed_window,
            ),
            addresses=Addresses(api_host),
            throttle=self._throttle,
            kept=connections,
        )

    def limit(self, rate: int | None) -> None:
        """Limit what all streams together receive to `rate` bytes a second, None for no limit.

        Holds from now on, also for what is under way; may be called from any thread.
        """
        self._throttle.limit(rate)

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """Return a small reply whole, whatever its status; see `ports.Transport`."""
        route = self._routes.to(request.url)
        origin = str(route)
        with _translated(origin):
            async with self._client(route.proxy).stream(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
            ) as response:
                head = Head(
                    status=response.status_code, headers=dict(response.headers), url=request.url
                )
                coding = head.header("content-encoding").strip().lower()
                if coding not in _UNDERSTOOD:
                    raise WireError(
                        Code.REPLY_MALFORMED,
                        f"the answer is coded as {coding[:40]!r}",
                        subject=origin,
                    )
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > request.cap:
                        raise WireError(
                            Code.ANSWER_TOO_LARGE,
                            f"the answer is longer than {request.cap} bytes",
                            subject=origin,
                        )
        return HttpAnswer(head=head, body=bytes(body))

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """Pour a body into the sink that `judge` returns; see `ports.Transport`.

        The sink gets views of two buffers in turn: each stays as it is until the next call
        returns.
        """
        abort, begun, over = Abort(), threading.Lock(), threading.Event()

        def work() -> _Ended:
            if not begun.acquire(blocking=False):
                return _Ended()
            try:
                return _Ended(self._bulk.read(url, headers, judge, abort))
            except BaseException as error:  # noqa: BLE001 - raised again by the waiting task
                return _Ended(error=error)
            finally:
                over.set()

        if self._streams is None:
            self._streams = anyio.CapacityLimiter(self._connections)
            self._threads = anyio.CapacityLimiter(math.inf)
        async with self._streams:
            try:
                ended = await run_sync(work, abandon_on_cancel=True, limiter=self._threads)
            except anyio.get_cancelled_exc_class():
                abort.fire()
                # A thread cannot be cancelled: once it has begun, it is always waited for.
                if not begun.acquire(blocking=False):
                    with anyio.CancelScope(shield=True):
                        await run_sync(over.wait, limiter=self._threads)
                raise
        if ended.error is not None:
            raise ended.error
        return ended.body

    async def aclose(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()
        self._bulk.close()

    def _client(self, proxy: Proxy | None) -> httpx.AsyncClient:
        if proxy not in self._clients:
            self._clients[proxy] = httpx.AsyncClient(
                verify=self._trust(),
                proxy=proxy.url if proxy else None,
                # Environment and .netrc are read by `trust`, for both ways alike.
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout,
                limits=httpx.Limits(
                    max_connections=API_CONNECTIONS,
                    max_keepalive_connections=API_IDLE_CONNECTIONS,
                ),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"user-agent": self._user_agent, "accept-encoding": "gzip"},
            )
        return self._clients[proxy]

    def _trust(self) -> ssl.SSLContext:
        with self._context_lock:
            if self._context is None:
                self._context = make_context()
            return self._context


@contextmanager
def _translated(origin: str) -> Iterator[None]:
    """Turn what httpx raises into WireError.

    httpx gives ConnectError for a name that does not resolve, a refused port and a bad
    certificate alike; only the cause tells them apart.
    """
    try:
        yield
    except httpx.TimeoutException as error:
        raise WireError(Code.TIMED_OUT, "the server is silent", subject=origin) from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        raise _no_connection(error, origin) from error
    except httpx.NetworkError as error:
        raise WireError(Code.CONNECTION_LOST, "the connection broke", subject=origin) from error
    except httpx.RemoteProtocolError as error:
        if "disconnected" in str(error) or "peer closed" in str(error):
            raise WireError(
                Code.CONNECTION_LOST, "the answer ended too early", subject=origin
            ) from error
        raise WireError(Code.REPLY_MALFORMED, "the reply is no HTTP", subject=origin) from error
    except httpx.DecodingError as error:
        raise WireError(
            Code.REPLY_MALFORMED, "the answer cannot be inflated", subject=origin
        ) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise WireError(Code.UNREACHABLE, "the address is no http(s) URL", subject=origin) from None
    except httpx.HTTPError as error:
        # Without its cause: the text of a local error quotes headers, the token among them.
        raise WireError(
            Code.REPLY_MALFORMED, f"the request failed ({type(error).__name__})", subject=origin
        ) from None


def _no_connection(error: httpx.TransportError, origin: str) -> WireError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return WireError(
            Code.TLS_FAILED,
            f"the certificate cannot be verified: {cause.verify_message}",
            subject=origin,
        )
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return WireError(Code.TLS_FAILED, f"no TLS connection: {cause.reason}", subject=origin)
    return WireError(Code.UNREACHABLE, "no connection", subject=origin)
