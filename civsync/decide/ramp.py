"""Decide how many connections pay, from what is measured while they run.

One more connection gains where something limits each of them, and costs where nothing
does. So the rate of the whole run is measured, connections are added on trial, and what
did not make the run faster by GAIN is taken back. Time and bytes are passed in.
"""

from collections.abc import Hashable
from typing import Final

from civsync.core.limits import MIB
from civsync.core.values import dataclass

GAIN: Final = 1.15
"""A trial must make the run faster by this factor; smaller gains are noise. Measured: twice the
connections gave 1.5 to 2.0 times the rate where that helped at all, and 0.86 to 1.0 where not."""

_LONGEST_REST: Final = 16
"""The rest between trials grows up to so many times the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampTuning:
    """Times in seconds, `enough` in bytes a second.

    After each change the rate may `settle`, then it is measured over a `window`. A trial
    that failed is repeated after a `rest`. With less than `worthwhile` seconds to go, or
    from `enough` on, no trial is made: a hash takes about 1 GB/s of one core, and a disk
    less, so that a faster wire would only wait for them.
    """

    settle: float = 0.3
    window: float = 0.7
    rest: float = 30.0
    worthwhile: float = 3.0
    enough: float = 256.0 * MIB


class Ramp:
    """Watches one run; `observe` is called several times in a window."""

    def __init__(self, tuning: RampTuning) -> None:
        self._tuning = tuning
        self._running: Hashable = None
        self._lines = 0
        self._begins = 0.0
        self._received = 0
        self._trial: tuple[float, int] | None = None
        self._rests_until = 0.0
        self._rest = tuning.rest
        self.rate = 0.0
        """Bytes a second in the last window, over all connections."""

    def observe(
        self, now: float, *, received: int, lines: int, running: Hashable, room: int, missing: int
    ) -> int:
        """Return how many connections to add, or to take back if negative.

        `received` counts all bytes of the run, `lines` the connections that receive,
        `running` says of which files (a change voids what was measured); at most `room`
        connections may be added, and `missing` bytes are to come of the running files.
        """
        if running != self._running or lines != self._lines:
            self._running = running
            self._trial = None
            self._restart(now, received, lines)
            return 0
        if now <= self._begins:
            self._received = received
            return 0
        if now - self._begins < self._tuning.window:
            return 0
        self.rate = (received - self._received) / (now - self._begins)
        change = self._judge_trial(now, lines) or self._propose(now, lines, room, missing)
        self._restart(now, received, lines + change)
        return change

    def _judge_trial(self, now: float, lines: int) -> int:
        if self._trial is None:
            return 0
        rate, before = self._trial
        self._trial = None
        if self.rate >= rate * GAIN:
            return 0
        self._rests_until = now + self._rest
        self._rest = min(self._rest * 2, self._tuning.rest * _LONGEST_REST)
        return before - lines

    def _propose(self, now: float, lines: int, room: int, missing: int) -> int:
        more = min(room, lines)
        short = missing < self.rate * self._tuning.worthwhile
        measured = 0 < self.rate < self._tuning.enough
        if more <= 0 or now < self._rests_until or short or not measured:
            return 0
        self._trial = self.rate, lines
        return more

    def _restart(self, now: float, received: int, lines: int) -> None:
        self._lines = lines
        self._begins = now + self._tuning.settle
        self._received = received
