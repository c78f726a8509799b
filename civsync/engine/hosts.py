"""Ask the hosts of a run politely: spaced, resting when they want a rest, and not for ever.

All downloads of a run share one of these, so that a pause or the death of a host is found
out once and known to all.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from civsync.core.errors import CivsyncError, WireError
from civsync.core.events import Paused
from civsync.core.limits import BRIEF_S, DOWNLOAD_SPACING_S
from civsync.decide.circuit import Circuit
from civsync.decide.pace import HostPace
from civsync.decide.retry import Again, GiveUp, decide
from civsync.ports import Clock, Reporter


class Hosts:
    """When hosts may be asked. Serves many tasks of one event loop, and threads beside them."""

    def __init__(
        self, clock: Clock, report: Reporter, *, spacing: float = DOWNLOAD_SPACING_S
    ) -> None:
        self._clock = clock
        self._report = report
        self._pace = HostPace(spacing=spacing)
        self._circuit = Circuit()
        self._mutex = threading.Lock()

    async def admit(self, host: str) -> None:
        """Wait until a request may go to `host`. Raises HostDeadError."""
        while True:
            now = self._clock.monotonic()
            with self._mutex:
                wait = self._pace.wait(host, now) or self._circuit.wait(host)
            if not wait:
                return
            await self._clock.sleep(wait)

    def admit_now(self, host: str, rest: Callable[[float], None]) -> bool:
        """Do what `admit` does in a thread, where `rest` waits; False where that takes long.

        So it does for a host that rests, and for one that failed the last time.
        """
        with self._mutex:
            if self._circuit.doubts(host):
                return False
            wait = self._pace.book(host, self._clock.monotonic(), within=BRIEF_S)
        if wait:
            rest(wait)
        return wait is not None

    @contextmanager
    def watched(self, host: str, moved: Callable[[], bool]) -> Iterator[None]:
        """Learn from the one admitted request that is made inside how the host is.

        `moved` says whether it brought new bytes; a failure then counts for nothing, and the
        others need not wait for the end.
        """
        with self._mutex:
            self._circuit.begun(host, moved)
        try:
            yield
        except BaseException as error:
            with self._mutex:
                self._learn(host, error, moved())
            if isinstance(error, WireError):
                self._pause(host, error)
            raise
        with self._mutex:
            self._circuit.succeeded(host)

    def _learn(self, host: str, error: BaseException, moved: bool) -> None:
        if moved or (isinstance(error, CivsyncError) and not isinstance(error, WireError)):
            self._circuit.succeeded(host)
        elif isinstance(error, WireError):
            self._circuit.failed(host, error, self._clock.monotonic())
        else:
            # Cancelled, or the rest was not wanted any more.
            self._circuit.left(host)

    def _pause(self, host: str, error: WireError) -> None:
        """Let every worker leave a host alone that asked for a rest."""
        match decide(error, 1, self._clock.jitter()):
            case Again(delay=delay, shared=True):
                with self._mutex:
                    paused = self._pace.pause(host, self._clock.monotonic() + delay)
                if paused:
                    self._report(Paused(host=host, seconds=delay, error=error))
            case GiveUp(error=WireError() as final, shared=True):
                with self._mutex:
                    self._circuit.refused(host, final)
            case Again() | GiveUp():
                pass
