"""Ask the hosts of a run politely: spaced, resting when they want a rest, and not for ever.

All downloads of a run share one of these, so that a pause or the death of a host is found
out once and known to all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from civsync.core.errors import CivsyncError, WireError
from civsync.core.events import Paused
from civsync.core.limits import DOWNLOAD_SPACING_S
from civsync.decide.circuit import Circuit
from civsync.decide.pace import HostPace
from civsync.decide.retry import Again, GiveUp, decide
from civsync.ports import Clock, Reporter


class Hosts:
    """When hosts may be asked. Serves many tasks of one event loop."""

    def __init__(
        self, clock: Clock, report: Reporter, *, spacing: float = DOWNLOAD_SPACING_S
    ) -> None:
        self._clock = clock
        self._report = report
        self._pace = HostPace(spacing=spacing)
        self._circuit = Circuit()

    async def admit(self, host: str) -> None:
        """Wait until a request may go to `host`. Raises HostDeadError."""
        while True:
            wait = self._pace.wait(host, self._clock.monotonic()) or self._circuit.wait(host)
            if not wait:
                return
            await self._clock.sleep(wait)

    @contextmanager
    def watched(
        self, host: str, moved: Callable[[], bool], *, whole_host: bool = True
    ) -> Iterator[None]:
        """Learn from the one admitted request that is made inside how the host is.

        `moved` says whether it brought new bytes; a failure then counts for nothing, and the
        others need not wait for the end. `whole_host` says that a rest too long to wait for
        is meant for every file of the host.
        """
        self._circuit.begun(host, moved)
        try:
            yield
        except WireError as error:
            if moved():
                self._circuit.succeeded(host)
            else:
                self._circuit.failed(host, error, self._clock.monotonic())
            self._pause(host, error, whole_host=whole_host)
            raise
        except CivsyncError:
            self._circuit.succeeded(host)
            raise
        except BaseException:
            # Cancelled, or the rest was not wanted any more.
            if moved():
                self._circuit.succeeded(host)
            else:
                self._circuit.left(host)
            raise
        self._circuit.succeeded(host)

    def _pause(self, host: str, error: WireError, *, whole_host: bool) -> None:
        """Let every worker leave a host alone that asked for a rest."""
        match decide(error, 1, self._clock.jitter()):
            case Again(delay=delay, shared=True):
                if self._pace.pause(host, self._clock.monotonic() + delay):
                    self._report(Paused(host=host, seconds=delay, error=error))
            case GiveUp(error=WireError(retry_after=float()) as final) if whole_host:
                self._circuit.condemn(host, final)
            case Again() | GiveUp():
                pass
