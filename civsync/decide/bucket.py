"""Share a number of bytes a second among all who receive, first come, first served.

A token bucket without a clock: the time (monotonic seconds) is passed in. Whoever takes
more than is there goes into debt and waits until that is paid, so nothing has to be known
in advance of how much comes.
"""

from typing import Final

BURST_S: Final = 0.1
"""Seconds of the rate that may come at once after a silence."""


class Bucket:
    """A budget of bytes; not for several threads at once.

    `rate` is in bytes a second, None for no limit.
    """

    def __init__(self, rate: int | None, now: float) -> None:
        self._rate = rate
        self._filled_at = now
        self._level = 0.0 if rate is None else rate * BURST_S
        """Bytes that may be taken at once; below zero what was taken and is not yet paid."""
        self._taken = 0

    @property
    def rate(self) -> int | None:
        """Bytes a second, None for no limit."""
        return self._rate

    def change(self, rate: int | None, now: float) -> None:
        """Go on with another rate; what is owed stays owed, but not once a limit is lifted."""
        self._fill(now)
        if self._rate is None or rate is None:
            self._level = 0.0
        self._rate = rate
        self._fill(now)

    def take(self, count: int, now: float) -> int:
        """Take `count` bytes; returns the turn to ask `due` about."""
        self._fill(now)
        self._level -= count
        self._taken += count
        return self._taken

    def due(self, turn: int, now: float) -> float:
        """Return the seconds until what was taken up to this turn is paid; 0.0 if it is.

        To be asked again after that, and after a change of the rate.
        """
        self._fill(now)
        if self._rate is None:
            return 0.0
        # What others took later is not waited for.
        owed = -self._level - (self._taken - turn)
        return max(0.0, owed / self._rate)

    def _fill(self, now: float) -> None:
        if self._rate is None:
            self._level = 0.0
        else:
            grown = self._level + (now - self._filled_at) * self._rate
            self._level = min(grown, self._rate * BURST_S)
        self._filled_at = now
