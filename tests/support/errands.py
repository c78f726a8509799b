"""Errands for transports in memory: what is asked in a thread is answered in the event loop."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.from_thread
from anyio.to_thread import run_sync

from civsync.core.wire import Head
from civsync.ports import Errand, Sink

T = TypeVar("T")

Stream = Callable[
    [str, Mapping[str, str], Callable[[Head], Sink | None]], Coroutine[Any, Any, bytes]
]


@dataclass(frozen=True, slots=True)
class LoopErrand:
    """Streams by `stream`, which runs in the event loop, and rests for no time at all."""

    stream: Stream

    def get(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """See `civsync.ports.Errand`."""
        return anyio.from_thread.run(self.stream, url, headers, judge)

    def rest(self, seconds: float) -> None:
        """See `civsync.ports.Errand`."""


async def run_errand(stream: Stream, work: Callable[[Errand], T]) -> T:
    """Do what `civsync.ports.Transport.errand` promises."""
    return await run_sync(work, LoopErrand(stream))
