"""Decide whether a host that keeps failing is asked again, for all files of a run together.

Otherwise every one of 500 files would find out by its own tries that their storage host is
dead. After TRIP failures in a row one request at a time is let through to see whether the
host is back; the others wait for what becomes of it, but not for the end of a body that
flows. When nothing came for `patience` seconds the host counts as dead for the rest of the
run. No clock is read here.
"""

from collections.abc import Callable
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, HostDeadError, WireError
from civsync.core.limits import HOST_PATIENCE_S
from civsync.core.values import dataclass
from civsync.decide.retry import spell_seconds

TRIP: Final = 6
"""Failures of a host in a row, over all files, after which it is no longer asked freely."""

_REFUSALS: Final = 2
"""Requests in a row for which a host wants a long rest, after which it is not asked any more."""

_LOOK_AGAIN_S: Final = 0.5
"""How often those look again who wait for somebody else's request."""

_OF_THE_HOST: Final = frozenset(
    {Code.UNREACHABLE, Code.TIMED_OUT, Code.CONNECTION_LOST, Code.SERVER_ERROR, Code.RATE_LIMITED}
)


def _nothing() -> bool:
    return False


@dataclass(slots=True)
class _Host:
    """What is known of one host; `open_since` is a time of the clock, None while it answers."""

    failures: int = 0
    open_since: float | None = None
    probing: bool = False
    moved: Callable[[], bool] = _nothing
    dead: WireError | None = None
    refusals: int = 0


class Circuit:
    """What is known of the hosts of one run; one task or thread at a time may call it."""

    def __init__(self, *, patience: float = HOST_PATIENCE_S) -> None:
        self._patience = patience
        self._hosts: dict[str, _Host] = {}

    def wait(self, host: str) -> float:
        """Return 0.0 if a request may go to `host` now, else the seconds after which to ask.

        Whoever gets 0.0 must tell what became of it. Raises HostDeadError.
        """
        known = self._hosts.get(host)
        if known is None or known.open_since is None:
            return 0.0
        if known.dead is not None:
            raise _again(known.dead)
        if known.probing and known.moved():
            self.succeeded(host)
            return 0.0
        if known.probing:
            return _LOOK_AGAIN_S
        known.probing, known.moved = True, _nothing
        return 0.0

    def doubts(self, host: str) -> bool:
        """Tell whether the last that is known of `host` is a failure."""
        return host in self._hosts

    def begun(self, host: str, moved: Callable[[], bool]) -> None:
        """Say how to tell, while a request that was let through is under way, that bytes come."""
        if host in self._hosts:
            self._hosts[host].moved = moved

    def succeeded(self, host: str) -> None:
        """Say that `host` gave something useful."""
        self._hosts.pop(host, None)

    def left(self, host: str) -> None:
        """Say that a request ended without telling anything about `host`."""
        if host in self._hosts:
            self._hosts[host].probing = False

    def failed(self, host: str, error: CivsyncError, now: float) -> None:
        """Say that a request brought nothing. Whose it was waits before the next one."""
        if error.code not in _OF_THE_HOST or not isinstance(error, WireError):
            self.left(host)
            return
        known = self._hosts.setdefault(host, _Host())
        known.failures += 1
        known.probing = False
        if known.failures < TRIP:
            return
        if known.open_since is None:
            known.open_since = now
        if now - known.open_since >= self._patience:
            known.dead = _dead(host, error, known.failures, now - known.open_since)

    def refused(self, host: str, error: WireError) -> None:
        """Say that `host` wants a longer rest than a run waits for, which `error` tells.

        It counts as dead if that is so for several requests in a row: one may be refused for
        a reason of its own.
        """
        known = self._hosts.setdefault(host, _Host())
        known.refusals += 1
        if known.refusals >= _REFUSALS:
            known.open_since, known.dead = 0.0, error


def _dead(host: str, error: WireError, failures: int, seconds: float) -> HostDeadError:
    return HostDeadError(
        error.code,
        f"{host} failed {failures} times in a row, the last {spell_seconds(seconds)}"
        f" for all files: {error.message}",
        subject=error.subject,
        data={**error.data, "host": host, "failures": failures},
    )


def _again(error: WireError) -> HostDeadError:
    """Return a new value: one exception raised in many tasks would share its traceback."""
    return HostDeadError(
        error.code,
        error.message,
        subject=error.subject,
        hint=error.hint,
        data=error.data,
        retry_after=error.retry_after,
    )
