"""The real clock and the real chance."""

import random
import time

import anyio


class SystemClock:
    """Implements the Clock port."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - jitter spreads retries; it guards nothing

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await anyio.sleep(seconds)
