"""The connections that receive one file: one leads, others help while that pays.

The leader's failures are the file's; it retries, waits and gives up. A helper that fails
gives its piece back and is gone. Where it was refused, no other takes its place: storage
hosts refuse more connections than they like, and that must cost neither bytes nor tries.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.lock import LockedFile
from civsync.decide.pieces import Lease
from civsync.engine.reception import (
    AloneError,
    LeaseOverError,
    Reception,
    ReplacedError,
    StartOverError,
    cannot_go_on,
)

_BROKE: Final = frozenset({Code.CONNECTION_LOST, Code.TIMED_OUT, Code.UNREACHABLE})

_REFUSALS: Final = 3
_REFUSED_REST_S: Final = 1.0
"""How often, and after what pause, a host is asked that refuses the leader and serves others."""

_LAST_S: Final = 5.0
"""How long the leader waits for the last pieces of others before it takes them over: one
connection that crawls must not hold the file up while the others have nothing to do."""

Pour = Callable[[Lease], Awaitable[None]]
"""Receives one lease; raises CivsyncError, or what a conversation raises."""


class Crew:
    """Who receives `file`, as far as `reception` has it; `most` bounds the connections.

    Serves tasks of one event loop.
    """

    def __init__(
        self, file: LockedFile, reception: Reception, pour: Pour, *, most: int = 1
    ) -> None:
        self.path = file.path
        self.reception = reception
        self._size = file.size
        self._pour = pour
        self._most = self._allowed = most if reception.pieces.divisible else 1
        self._group: TaskGroup | None = None
        self._helpers: dict[anyio.CancelScope, Lease | None] = {}
        """With the first piece of each, once it has one."""
        self._changed = anyio.Event()
        self._refusals = 0
        self._broken = 0
        self.rate = 0.0
        """Bytes a second of one connection, as last measured."""
        self.counted = 0
        """How many of the bytes received are in the count of the run."""

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        return self._size - self.reception.part.done.total

    @property
    def helpers(self) -> int:
        """Connections beside the leader's that stay."""
        return sum(not scope.cancel_called for scope in self._helpers)

    @property
    def connecting(self) -> bool:
        """Whether the connection of a helper is still being made: it has brought no byte so far."""
        return any(
            first is None or first.at == first.start
            for scope, first in self._helpers.items()
            if not scope.cancel_called
        )

    @property
    def lines(self) -> int:
        """Connections, that of the leader included."""
        return 1 + self.helpers

    @property
    def room(self) -> int:
        """How many more connections may help."""
        # Where ranges mean nothing, a shorter piece would be the whole file once more.
        helpful = self._group is not None and not self.reception.whole
        return max(0, self._most - self.lines) if helpful else 0

    @property
    def several(self) -> bool:
        """Whether others help, or may do so now or after the next address."""
        return bool(self._helpers) or (self._allowed > 1 and not self.reception.whole)

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator[None]:
        """Let helpers come while the leader works inside; they are gone at the end."""
        if self._most == 1:
            yield
            return
        failure: BaseException | None = None
        async with anyio.create_task_group() as self._group:
            try:
                yield
            except (CivsyncError, ReplacedError) as error:
                # Raised below: a task group would wrap it.
                failure = error
            self._group.cancel_scope.cancel()
        self._group = None
        if failure is not None:
            raise failure

    async def lead(self) -> None:
        """Receive until nothing is missing, together with who helps.

        Raises what the leader's own connection raises.
        """
        while (lease := self._next()) is not None or self._helpers:
            if lease is None:
                with anyio.move_on_after(_LAST_S) as patience:
                    await self._changed.wait()
                if patience.cancelled_caught:
                    self.dismiss(self.helpers)
                continue
            try:
                await self._receive(lease)
            except AloneError:
                await self.alone()
            except WireError as error:
                if error.code is Code.URL_EXPIRED and self._helpers:
                    await self._step_back()
                    continue
                if error.code is Code.URL_EXPIRED:
                    # It refused everybody alike: the next address may allow as many as ever.
                    self._most, self._refusals = self._allowed, 0
                raise
            except StartOverError:
                await self.start_over()
                raise cannot_go_on() from None

    async def start_over(self) -> None:
        """Forget all bytes, after everybody else is gone. Raises DiskError."""
        await self.alone()
        await run_sync(self.reception.restart)

    async def _step_back(self) -> None:
        """Wait where the address still serves others: it is not expired, but has too many.

        A host may count a connection for a moment after it was closed; one that refuses
        again and again allows no more than the others.
        """
        self._refusals += 1
        if self._refusals < _REFUSALS:
            with anyio.move_on_after(_REFUSED_REST_S):
                await self._changed.wait()
        else:
            self._most = max(1, self.helpers)
            await self._changed.wait()

    async def alone(self) -> None:
        """Send all helpers away for good, and wait until they are gone."""
        self._most = self._allowed = 1
        self.dismiss(self.helpers)
        while self._helpers:
            await self._changed.wait()

    def call(self) -> None:
        """Let one more connection help; what the others have to do is shortened for it."""
        with self.reception.mutex:
            if self._group is None or not self.room:
                return
            self.reception.pieces.shorten(self.reception.pieces.length(self.rate))
        scope = anyio.CancelScope()
        self._helpers[scope] = None
        self._group.start_soon(self._help, scope)

    def dismiss(self, count: int) -> None:
        """Send the last `count` helpers away; they may take a moment to be gone."""
        staying = [scope for scope in self._helpers if not scope.cancel_called]
        for scope in staying[max(0, len(staying) - count) :]:
            scope.cancel()

    async def _help(self, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                while (lease := self._next()) is not None:
                    self._helpers[scope] = self._helpers[scope] or lease
                    await self._receive(lease)
            except (CivsyncError, AloneError, ReplacedError, StartOverError) as error:
                broke = isinstance(error, WireError) and error.code in _BROKE
                self._broken += broke
                # One that broke says little of how many are allowed; one after the other does.
                if not broke or self._broken > _REFUSALS:
                    self._most = min(self._most, self.helpers)
            finally:
                del self._helpers[scope]
                self._changed.set()
                self._changed = anyio.Event()

    def _next(self) -> Lease | None:
        """Take the next piece; the whole rest if nobody helps, or if ranges mean nothing."""
        pieces, part = self.reception.pieces, self.reception.part
        with self.reception.mutex:
            if not self._helpers or self.reception.whole:
                return pieces.take(part.done)
            return pieces.take(part.done, pieces.length(self.rate)) or pieces.split()

    async def _receive(self, lease: Lease) -> None:
        try:
            await self._pour(lease)
        except LeaseOverError:
            pass
        finally:
            with self.reception.mutex:
                self.reception.pieces.give_back(lease)
