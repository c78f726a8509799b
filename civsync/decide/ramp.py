"""Decide how many connections pay, from what is measured while they run.

One more connection gains where something limits each of them, and costs where nothing
does, most where the processors are what is short. So the rate of the whole run is measured,
connections are added on trial, no more than the processors can follow, and what did not make
the run faster by GAIN is taken back. Time, work and bytes are passed in.
"""

from collections.abc import Hashable
from typing import Final

from civsync.core.limits import MIB
from civsync.core.values import dataclass

GAIN: Final = 1.15
"""A trial must make the run faster by this factor; smaller gains are noise. Measured: twice the
connections gave 1.5 to 2.0 times the rate where that helped at all, and 0.86 to 1.0 where not."""

_PROCESSORS_FULL: Final = 0.7
"""The part of the processors' time from which on more connections gain nothing. Work grows with
the rate, and a server or others on the machine want some. On two processors, one connection that
used 0.4 to 0.6 of their time was as fast as two; for a second two looked up to 1.27 times as
fast, since bytes that come out of order are not hashed yet."""

_LONGEST_REST: Final = 16
"""The rest between trials grows up to so many times the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampTuning:
    """Times in seconds, `enough` and `light` in bytes a second.

    After each change the rate may `settle`, then it is measured over a `window`. A trial
    that failed is repeated after a `rest`. With less than `worthwhile` seconds to go, or
    from `enough` on, no trial is made: a hash takes about 1 GB/s of one core, and a disk
    less, so that a faster wire would only wait for them. Below `light` receiving is not what
    keeps processors busy: it takes 4 to 7 CPU seconds a GiB, hashes included; what an earlier
    run left of a file may be hashed meanwhile.
    """

    settle: float = 0.3
    window: float = 0.7
    rest: float = 30.0
    worthwhile: float = 3.0
    enough: float = 256.0 * MIB
    light: float = 64.0 * MIB


class Ramp:
    """Watches one run; `observe` is called several times in a window."""

    def __init__(self, tuning: RampTuning) -> None:
        self._tuning = tuning
        self._running: Hashable = None
        self._lines = 0
        self._begins = 0.0
        self._since = 0.0, 0, 0.0
        self._trial: tuple[float, int] | None = None
        self._rests_until = 0.0
        self._rest = tuning.rest
        self.rate = 0.0
        """Bytes a second in the last window, over all connections."""

    def observe(
        self,
        now: float,
        *,
        worked: float,
        received: int,
        lines: int,
        connecting: bool,
        running: Hashable,
        room: int,
        missing: int,
    ) -> int:
        """Return how many connections to add, or to take back if negative.

        `worked` is `Clock.worked()`, `received` counts all bytes of the run, `lines` the
        connections that receive; `connecting` says that one of them has brought no byte
        so far, and `running` of which files (a change voids what was measured). At most `room`
        connections may be added, and `missing` bytes are to come of the running files.
        """
        if running != self._running or lines != self._lines:
            self._running = running
            self._trial = None
            self._restart(now, lines)
        elif connecting:
            # Far away, one needs several round trips before it can show what it brings.
            self._restart(now, lines)
        if now <= self._begins:
            self._since = now, received, worked
            return 0
        if now - self._begins < self._tuning.window:
            return 0
        began, received_before, worked_before = self._since
        self.rate = (received - received_before) / (now - began)
        busy = (worked - worked_before) / (now - began)
        most = min(room, lines, self._followed(lines, busy))
        change = self._judge_trial(now, lines) or self._propose(now, lines, most, missing)
        self._since = now, received, worked
        self._restart(now, lines + change)
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

    def _propose(self, now: float, lines: int, more: int, missing: int) -> int:
        short = missing < self.rate * self._tuning.worthwhile
        measured = 0 < self.rate < self._tuning.enough
        if more <= 0 or now < self._rests_until or short or not measured:
            return 0
        self._trial = self.rate, lines
        return more

    def _restart(self, now: float, lines: int) -> None:
        self._lines = lines
        self._begins = now + self._tuning.settle

    def _followed(self, lines: int, busy: float) -> int:
        """Return how many more connections the processors can follow."""
        if busy <= 0 or self.rate < self._tuning.light:
            return lines
        return int(lines * (_PROCESSORS_FULL / busy - 1))
