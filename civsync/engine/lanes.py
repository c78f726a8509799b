"""How many files are received at once, while others are still being finished."""

from collections.abc import Callable

import anyio

from civsync.core.plan import Fetch, Replace

Follow = Callable[[int], Fetch | Replace | None]
"""Says, in any thread, that the file of a turn is in place, and begins the turn of another.

Returns None if there is none just now that has at most so many bytes.
"""


class Lane:
    """The right to receive one file; entered for as long as bytes may come.

    It may be taken before it is entered. After a failure it is kept, so that nobody else
    begins before that is known to all; whoever took it leaves it then.
    """

    def __init__(self, lanes: anyio.Semaphore) -> None:
        self._lanes = lanes
        self.taken = False
        self.over = False
        """Whether all bytes came, as far as is known by now."""

    async def take(self) -> None:
        """Wait for a place, if this has none yet."""
        if not self.taken:
            await self._lanes.acquire()
            self.taken = True

    def leave(self) -> None:
        """Give the place to somebody else, if this has one."""
        if self.taken:
            self.taken = False
            self._lanes.release()

    async def __aenter__(self) -> None:
        self.over = False
        await self.take()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.over = True
            self.leave()
