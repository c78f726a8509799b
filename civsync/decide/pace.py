"""Keep requests to a host apart, and let all of them rest when the host asks for it.

A state machine without a clock: the time (monotonic seconds) is passed in.
"""

import math
from typing import Final

_INSTANT: Final = 1e-6
"""Waits shorter than this are none; rounding of floats must not make a caller loop."""


class HostPace:
    """When the next request to each host may go out.

    `spacing` is the least time in seconds between two requests to one host; 0 for hosts
    that only share a pause. Not for several threads at once.
    """

    def __init__(self, *, spacing: float = 0.0) -> None:
        self._spacing = spacing
        self._free_at: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}

    def wait(self, host: str, now: float, *, spacing: float | None = None) -> float:
        """Return 0.0 and take the slot if a request to `host` may go now.

        The next one may follow after `spacing` seconds, if that is not the usual time.

        Otherwise return the seconds after which to ask again; nothing is taken then, so a
        pause that begins in the meantime is seen by everyone who waits.
        """
        ready = max(self._free_at.get(host, now), self._rests_until.get(host, now))
        if ready - now > _INSTANT:
            return ready - now
        self._free_at[host] = now + (self._spacing if spacing is None else spacing)
        return 0.0

    def book(
        self, host: str, now: float, *, within: float, spacing: float | None = None
    ) -> float | None:
        """Take the next slot and return the seconds until it; None if it is not `within` so many.

        A pause that begins in the meantime is not seen, so `within` must be an instant.
        """
        ready = max(self._free_at.get(host, now), self._rests_until.get(host, now), now)
        if ready - now > within:
            return None
        self._free_at[host] = ready + (self._spacing if spacing is None else spacing)
        return ready - now

    def pause(self, host: str, until: float) -> bool:
        """Let no request to `host` out before `until`; False if it rests that long already."""
        if until <= self._rests_until.get(host, -math.inf):
            return False
        self._rests_until[host] = until
        return True
