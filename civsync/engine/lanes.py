"""How many files are received at once, while others are still being finished."""

from typing import Protocol

import anyio

from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace


class Follow(Protocol):
    """How small files follow one another in one turn. Any thread may call it."""

    def whole(self) -> None:
        """Say that the file of this turn is whole and waits for its name: nobody breaks it off."""
        ...

    def following(self, most: int) -> Fetch | Replace | None:
        """Begin the turn of another file; None if none just now has at most so many bytes."""
        ...

    def ended(self, path: SafePath, error: CivsyncError | None) -> None:
        """Say what became of a file that waited for its name: it is in place, or failed."""
        ...


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
