"""Share the connections of a run between its files, and find out how many of them pay."""

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

from civsync.core.limits import DEFAULT_CONNECTIONS
from civsync.core.names import SafePath
from civsync.decide.ramp import Ramp, RampTuning
from civsync.engine.crew import Crew
from civsync.engine.reception import Reception
from civsync.ports import Clock

_LOOKS_A_WINDOW: Final = 7
"""How often the rate is looked at while it is measured once."""


class Single:
    """One connection that receives small files whole, one after the other, in one thread."""

    def __init__(self, count: Callable[[SafePath, int], None]) -> None:
        self._count = count
        self.path: SafePath | None = None
        self._reception: Reception | None = None

    @contextmanager
    def receiving(self, path: SafePath, reception: Reception) -> Iterator[None]:
        """Count what comes for a file while it does inside."""
        self.path, self._reception = path, reception
        try:
            yield
        finally:
            self.path = self._reception = None
            self._count(path, reception.received)

    @property
    def received(self) -> int:
        """Bytes that came of the file that is received just now."""
        reception = self._reception
        return reception.received if reception is not None else 0


class Lines:
    """The connections of one run: each file has one, and helpers share what is left.

    `connections` bounds them all; no more files than that may be received at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        connections: int = DEFAULT_CONNECTIONS,
        tuning: RampTuning | None = None,
    ) -> None:
        self._clock = clock
        self._connections = connections
        self._tuning = tuning or RampTuning()
        self._ramp = Ramp(self._tuning)
        self._crews: list[Crew] = []
        self._singles: list[Single] = []
        self._mutex = threading.Lock()
        self._gone_received = 0
        self._came: Counter[SafePath] = Counter()
        self._wanted = anyio.Event()

    @asynccontextmanager
    async def manned(self, crew: Crew) -> AsyncIterator[None]:
        """Count a crew among those who receive, while it does inside."""
        # What came in an earlier time of this file is counted already.
        crew.counted = crew.reception.received
        try:
            async with crew.gathered():
                self._crews.append(crew)
                self._keep_within()
                if crew.room:
                    self._wanted.set()
                try:
                    yield
                finally:
                    self._crews.remove(crew)
                    self._count(crew)
        finally:
            self._count(crew)  # what helpers brought in their last moment

    @contextmanager
    def single(self) -> Iterator[Single]:
        """Count one connection that receives small files, while it does inside."""
        single = Single(self._add)
        self._singles.append(single)
        self._keep_within()
        try:
            yield single
        finally:
            self._singles.remove(single)

    def _keep_within(self) -> None:
        if self._used > self._connections:
            self._send_away(self._used - self._connections)

    def _count(self, crew: Crew) -> None:
        came = crew.reception.received - crew.counted
        crew.counted += came
        self._add(crew.path, came)

    def _add(self, path: SafePath, received: int) -> None:
        with self._mutex:
            self._gone_received += received
            self._came[path] += received

    def came(self, path: SafePath) -> int:
        """Bytes that came over the network for a file that is not received just now."""
        return self._came[path]

    @property
    def received(self) -> int:
        """Bytes that came over the network so far."""
        coming = (crew.reception.received - crew.counted for crew in self._crews)
        single = sum(each.received for each in self._singles)
        return self._gone_received + sum(coming) + single

    def connections(self) -> dict[SafePath, int]:
        """Return how many connections receive each file just now."""
        singles = {path: 1 for each in self._singles if (path := each.path) is not None}
        return {crew.path: crew.lines for crew in self._crews} | singles

    async def conduct(self) -> None:
        """Add and take away connections until cancelled."""
        while True:
            await self._wanted.wait()
            while any(crew.several for crew in self._crews):
                await self._clock.sleep(self._tuning.window / _LOOKS_A_WINDOW)
                self._look()
            self._wanted = anyio.Event()

    def _look(self) -> None:
        crews = self._crews
        lines = self._used
        change = self._ramp.observe(
            self._clock.monotonic(),
            worked=self._clock.worked(),
            received=self.received,
            lines=lines,
            connecting=any(crew.connecting for crew in crews),
            running=tuple(id(crew) for crew in crews),
            room=min(sum(crew.room for crew in crews), self._connections - lines),
            missing=sum(crew.missing for crew in crews),
        )
        for crew in crews:
            crew.rate = self._ramp.rate / max(1, lines)
        if change < 0:
            self._send_away(-change)
        else:
            self._call(change)

    @property
    def _used(self) -> int:
        return sum(crew.lines for crew in self._crews) + len(self._singles)

    def _call(self, count: int) -> None:
        for _ in range(count):
            # Fewer than when they were counted: a thread may just have learnt that a server
            # knows no ranges.
            helpful = [crew for crew in self._crews if crew.room]
            if helpful:
                max(helpful, key=lambda crew: crew.missing / crew.lines).call()

    def _send_away(self, count: int) -> None:
        for _ in range(count if self._crews else 0):
            crew = max(self._crews, key=lambda crew: crew.helpers)
            crew.dismiss(1)
