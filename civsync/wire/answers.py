"""Small answers of the API, whole, by httpx.

No redirect is followed, no cookie kept, no `.netrc` read, no credential added: headers
are those of the request. Messages name the origin only, since a path or query may be a
credential and a header is one.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import API_CONNECTIONS, API_IDLE_CONNECTIONS
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.wire.connection import Patience
from civsync.wire.route import Routes
from civsync.wire.trust import Proxy

_UNDERSTOOD: Final = frozenset({"", "identity", "gzip"})
"""Codings of an answer. One layer only: nested ones multiply, a megabyte to a terabyte."""


class Answers:
    """Asks for small replies. Clients are made when first needed and kept until `aclose`."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        routes: Routes,
        *,
        user_agent: str,
        patience: Patience,
    ) -> None:
        self._context = context
        self._routes = routes
        self._user_agent = user_agent
        self._timeout = httpx.Timeout(patience.silence, connect=patience.connect, pool=None)
        self._clients: dict[Proxy | None, httpx.AsyncClient] = {}

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
                route.check_login(head.status)
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

    async def aclose(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()

    def _client(self, proxy: Proxy | None) -> httpx.AsyncClient:
        if proxy not in self._clients:
            self._clients[proxy] = httpx.AsyncClient(
                verify=self._context(),
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
