"""Say where a connection to a URL leads: to its origin, or to the proxy in front of it."""

from typing import Final
from urllib.parse import urlsplit

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.values import dataclass
from civsync.wire.trust import DEFAULT_PORTS, Proxy, proxy_for

_LOGIN_WANTED: Final = 407


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a connection leads; connections of equal routes are interchangeable."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the origin, for messages."""
        return f"{self.scheme}://{self.authority}"

    def check_login(self, status: int) -> None:
        """Raise WireError unreachable if `status` is the proxy's, who wants another login.

        Over https that comes before there is a connection to the origin.
        """
        if status == _LOGIN_WANTED and self.proxy is not None and self.scheme == "http":
            raise refused_by(self.proxy, status, self)


def refused_by(proxy: Proxy, status: int, route: Route) -> WireError:
    """Return the error for a proxy that answers with `status` and lets nothing through."""
    message = f"the proxy {proxy.host}:{proxy.port} answered {status}"
    return WireError(Code.UNREACHABLE, message, subject=str(route))


class Routes:
    """Finds routes; may be asked from any thread.

    An origin is judged once: to read its address, and the environment for its proxy, takes
    longer than a small request.
    """

    def __init__(self) -> None:
        self._known: dict[str, Route] = {}
        self._proxies: dict[tuple[str, str, int], Proxy | None] = {}

    def to(self, url: str) -> Route:
        """Return the route to `url`, by the proxy that the environment names.

        Raises WireError unreachable for what is no web address, UserError config-invalid
        for a proxy that cannot be used.
        """
        # Scheme, "//" and what stands before the path: equal texts have equal routes.
        origin = "/".join(url.split("/", 3)[:3])
        route = self._known.get(origin)
        if route is None:
            route = self._known[origin] = self._find(origin)
        return route

    def _find(self, url: str) -> Route:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if host is None or parts.scheme not in DEFAULT_PORTS:
            raise WireError(Code.UNREACHABLE, "the address is no http(s) URL")
        origin = (parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port)
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(*origin)
        return Route(scheme=parts.scheme, host=host, port=origin[2], proxy=self._proxies[origin])
