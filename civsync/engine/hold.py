"""A part in the hands of a run: claimed, let go of whatever happens, and looked into at its end."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
from anyio.to_thread import run_sync

from civsync.core.errors import IntegrityError
from civsync.core.lock import LockedFile
from civsync.decide.formats import HEAD_BYTES, check_format
from civsync.ports import Part, Parts


class Hold:
    """Holds a part, and lets go of it also when cancelled. Raises what claiming raises."""

    def __init__(
        self,
        claim: Callable[[], AbstractContextManager[Part]],
        threads: anyio.CapacityLimiter,
    ) -> None:
        self._make = claim
        self._threads = threads
        self._claim: AbstractContextManager[Part] | None = None

    async def __aenter__(self) -> Part:
        return await run_sync(self.take, limiter=self._threads)

    async def __aexit__(self, *_: object) -> None:
        await self.let_go()

    async def let_go(self) -> None:
        """Release the part, also when cancelled."""
        if self._claim is not None:
            with anyio.CancelScope(shield=True):
                await run_sync(self.release, limiter=self._threads)

    def take(self) -> Part:
        """Claim the part. Blocks."""
        claim = self._make()
        part = claim.__enter__()
        self._claim = claim
        return part

    def release(self) -> None:
        """Let go of the part, if that was not done yet. Blocks."""
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.__exit__(None, None, None)


def check_payload(file: LockedFile, part: Part, parts: Parts) -> None:
    """Refuse a whole part whose first bytes are not what its name promises. Blocks.

    It goes to quarantine. Raises IntegrityError not-a-model, format-mismatch.
    """
    try:
        check_format(file.name, file.format, part.head(HEAD_BYTES), file.size)
    except IntegrityError:
        parts.quarantine(part, "wrong format")
        raise
