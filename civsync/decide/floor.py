"""Tell a slow peer from a dead one that still twitches.

A byte now and then keeps every read timeout from firing, for ever. So the bytes are held
against the time that was spent waiting for them; what the receiver itself does meanwhile
(writing, being held back by a limit) is not the peer's fault. No clock here.
"""

import math


class Floor:
    """At least `speed` bytes a second, over each `window` seconds of waiting.

    A speed of 0 is no floor. It is noticed after one window, at most two.
    """

    def __init__(self, speed: int, window: float) -> None:
        self._window = window
        self._least = speed * window
        self._waited = 0.0
        self._received = 0

    @property
    def left(self) -> float:
        """Seconds of waiting after which it breaks if nothing comes."""
        return self._window - self._waited if self._least else math.inf

    def broken(self, received: int, waited: float) -> bool:
        """Add bytes and the seconds that were waited for them; tell whether it is too slow."""
        self._received += received
        self._waited += waited
        if self._received >= self._least:
            self._received, self._waited = 0, 0.0
        return self._waited >= self._window
