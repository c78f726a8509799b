"""Serve a registry on two loopback origins, and tell what was asked of them."""

import contextlib
import ssl
from collections.abc import Iterator

from civsync.demo.api import Api
from civsync.demo.faults import FaultBook
from civsync.demo.http_server import Log, Origin
from civsync.demo.messages import Request
from civsync.demo.registry import Registry
from civsync.demo.storage import Storage

WAIT_SECONDS = 30.0
"""How long a waiting test believes that a request is still to come."""


class Served:
    """A registry that is being served: its addresses, and everything it was asked.

    The API and the storage are different origins (ports), as they are on the
    real site. `requests` grows while clients ask; a request is in it before it
    is answered.
    """

    def __init__(
        self, registry: Registry, *, api_port: int, storage_port: int, tls: ssl.SSLContext | None
    ) -> None:
        self.registry = registry
        self._log = Log()
        self._storage = Storage(registry, lambda: self.storage_url)
        api = Api(registry, lambda: self.api_url, self._storage.sign)
        self._storage_origin = Origin(
            "storage",
            registry=registry,
            log=self._log,
            port=storage_port,
            answer=self._storage.answer,
            expire_urls=self.expire_urls,
            tls=tls,
            rate=lambda: registry.storage_rate,
        )
        try:
            self._api_origin = Origin(
                "api",
                registry=registry,
                log=self._log,
                port=api_port,
                answer=api.answer,
                expire_urls=self.expire_urls,
                tls=tls,
                delay=lambda: registry.api_latency,
            )
        except OSError:
            self._storage_origin.close()
            raise

    @property
    def api_url(self) -> str:
        """The API origin, such as `http://127.0.0.1:40001`."""
        return self._api_origin.url

    @property
    def storage_url(self) -> str:
        """The storage origin."""
        return self._storage_origin.url

    @property
    def faults(self) -> FaultBook:
        """The registry's fault book."""
        return self.registry.faults

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of arrival."""
        with self._log.lock:
            return list(self._log.requests)

    def count(
        self, *, origin: str | None = None, path_prefix: str = "", method: str | None = None
    ) -> int:
        """Count the requests so far that fit all that is given."""
        return sum(
            1
            for request in self.requests
            if origin in (None, request.origin)
            and method in (None, request.method)
            and request.path.startswith(path_prefix)
        )

    def wait_until_asked(
        self, times: int = 1, *, origin: str | None = None, path_prefix: str = ""
    ) -> None:
        """Wait until that many fitting requests have arrived.

        Raises TimeoutError after WAIT_SECONDS.
        """
        with self._log.lock:
            arrived = self._log.lock.wait_for(
                lambda: self.count(origin=origin, path_prefix=path_prefix) >= times, WAIT_SECONDS
            )
        if not arrived:
            raise TimeoutError(f"fewer than {times} requests to {origin or 'any origin'}")

    def connections(self, origin: str) -> int:
        """Count the connections accepted so far by `api` or `storage`."""
        with self._log.lock:
            return self._log.connections.get(origin, 0)

    @property
    def peak_parallel(self) -> int:
        """The most storage requests that ran at once for one signed URL."""
        return self._storage.peak_parallel

    @property
    def running(self) -> int:
        """How many storage requests are being answered with bytes just now."""
        return self._storage.running

    def reset_counts(self) -> None:
        """Forget all requests, connections and peaks."""
        self._log.reset()
        self._storage.reset_counts()

    def expire_urls(self) -> None:
        """Let every signed URL given out so far run out now."""
        self._storage.expire_all()

    def close(self) -> None:
        """Stop both origins and wait for their threads."""
        self._api_origin.close()
        self._storage_origin.close()


@contextlib.contextmanager
def serve(
    registry: Registry,
    *,
    api_port: int = 0,
    storage_port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Served]:
    """Serve `registry` until the context ends; port 0 takes any free one.

    Raises OSError if a port is taken.
    """
    served = Served(registry, api_port=api_port, storage_port=storage_port, tls=tls)
    try:
        yield served
    finally:
        served.close()
