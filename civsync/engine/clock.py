"""The real clock and the real chance."""

import os
import random
import time

import anyio

from civsync.engine.processor import allowed_processors


class SystemClock:
    """Implements the Clock port."""

    def __init__(self) -> None:
        self._processors = len(allowed_processors()) or os.cpu_count() or 1
        self._random = random.Random()  # noqa: S311 - jitter spreads retries; it guards nothing

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def worked(self) -> float:
        """Return how long this process has worked, as if all the processors it may use were one.

        The quota of a container is not seen: under one there is less left than it seems.
        """
        return time.process_time() / self._processors

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await anyio.sleep(seconds)
