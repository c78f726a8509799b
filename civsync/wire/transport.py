"""The real transport: httpx for small answers, a plain reader in a thread for the bytes.

No redirect is followed, no cookie kept, no `.netrc` read, no credential added: headers
are those of the request. Messages name the origin only, since a path or query may be a
credential and a header is one.
"""

import math
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import anyio
from anyio.to_thread import run_sync

from civsync import __version__
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.limits import (
    CONNECT_TIMEOUT_S,
    DEFAULT_CONNECTIONS,
    MIN_SPEED,
    MIN_SPEED_WINDOW_S,
    READ_TIMEOUT_S,
)
from civsync.core.values import dataclass
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.ports import Errand, Sink
from civsync.wire.abort import Abort, StoppedError
from civsync.wire.addresses import Addresses
from civsync.wire.bulk import BulkReader
from civsync.wire.connection import Patience
from civsync.wire.route import Routes
from civsync.wire.throttle import Throttle
from civsync.wire.trust import make_context

if TYPE_CHECKING:
    from civsync.wire.answers import Answers

USER_AGENT: Final = f"civsync/{__version__}"


_OVER_S: Final = 0.005
"""How often a thread that was broken off is looked for: waiting for it must not need another."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Returned(Generic[T]):
    """What work in a thread returned."""

    value: T


@dataclass(frozen=True, slots=True)
class _Errand:
    """Implements `ports.Errand`: what one thread reads, and another may break off."""

    bulk: BulkReader
    abort: Abort

    def get(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        return self.bulk.read(url, headers, judge, self.abort)

    def rest(self, seconds: float) -> None:
        self.abort.wait(seconds)


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
        self._patience = Patience(
            connect=connect_timeout,
            silence=read_timeout,
            speed=min_speed,
            window=min_speed_window,
        )
        self._answers: Answers | None = None
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
            patience=self._patience,
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
        if self._answers is None:
            from civsync.wire.answers import Answers  # noqa: PLC0415 - a frozen sync asks nothing

            self._answers = Answers(
                self._trust, self._routes, user_agent=self._user_agent, patience=self._patience
            )
        return await self._answers.ask(request)

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """Pour a body into the sink that `judge` returns; see `ports.Transport`.

        The sink gets views of a few buffers in turn: each stays as it is for PIECES_KEPT
        calls more.
        """
        return await self.errand(lambda errand: errand.get(url, headers, judge))

    async def errand(self, work: Callable[[Errand], T]) -> T:
        """Return what blocking `work` returns; see `ports.Transport`."""
        abort, begun, over = Abort(), threading.Lock(), threading.Event()
        ended: list[_Returned[T] | BaseException] = []

        def run() -> None:
            if not begun.acquire(blocking=False):
                return
            try:
                ended.append(_Returned(work(_Errand(self._bulk, abort))))
            except BaseException as error:  # noqa: BLE001 - raised again by the waiting task
                ended.append(error)
            finally:
                over.set()

        if self._streams is None:
            self._streams = anyio.CapacityLimiter(self._connections)
            self._threads = anyio.CapacityLimiter(math.inf)
        async with self._streams:
            try:
                await run_sync(run, abandon_on_cancel=True, limiter=self._threads)
            except RuntimeError as error:
                # What the work raises comes out below: this is the making of a thread.
                message = "no connection: no more threads are allowed"
                raise WireError(Code.UNREACHABLE, message) from error
            except anyio.get_cancelled_exc_class():
                abort.fire()
                # A thread cannot be cancelled: once it has begun, it is always waited for.
                if not begun.acquire(blocking=False):
                    with anyio.CancelScope(shield=True):
                        while not over.is_set():  # noqa: ASYNC110 - a thread sets it
                            await anyio.sleep(_OVER_S)
                if not ended or isinstance(ended[0], CivsyncError | StoppedError):
                    raise
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0].value

    async def aclose(self) -> None:
        """Close all connections."""
        answers, self._answers = self._answers, None
        if answers is not None:
            await answers.aclose()
        self._bulk.close()

    def _trust(self) -> ssl.SSLContext:
        with self._context_lock:
            if self._context is None:
                self._context = make_context()
            return self._context
