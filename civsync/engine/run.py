"""Carry out a plan: moves first, then downloads side by side, then what leaves the tree.

A failed item never stops the others (unless asked to); what leaves the tree leaves last,
and only if nothing failed before, so that an interrupted upgrade keeps the old file.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import field, replace
from typing import TypeVar, assert_never

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Receipt, Regular
from civsync.core.errors import CivsyncError, DiskError, exit_of
from civsync.core.events import Event, FileDone, FileFailed, Noted
from civsync.core.exits import ExitCode
from civsync.core.limits import DEFAULT_CONNECTIONS, DEFAULT_JOBS
from civsync.core.names import SafePath
from civsync.core.plan import (
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
)
from civsync.core.values import dataclass
from civsync.decide.pieces import PieceTuning
from civsync.decide.ramp import RampTuning
from civsync.engine.belongings import Belongings
from civsync.engine.downloads import Downloads, Work
from civsync.engine.fetch import Fetcher, Outside
from civsync.engine.lanes import Follow, Lane
from civsync.engine.lines import Lines
from civsync.engine.naming import Fetched
from civsync.ports import Control

A = TypeVar("A")

STOPS_ALL = frozenset({Code.QUOTA, Code.TOKEN_REFUSED})
"""Failures that every further download of the run would share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to carry a plan out. `limit_rate` is in bytes a second, and already in force."""

    jobs: int = DEFAULT_JOBS
    connections: int = DEFAULT_CONNECTIONS
    limit_rate: int | None = None
    ramp: RampTuning = field(default_factory=RampTuning)
    pieces: PieceTuning = field(default_factory=PieceTuning)
    fail_fast: bool = False
    prune_first: bool = False
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: paths done by kind, and what failed, in the order of the paths.

    `received` counts all bytes that came over the network, also for what failed.
    """

    done: dict[str, int] = field(default_factory=dict)
    received: int = 0
    failures: tuple[tuple[SafePath, CivsyncError], ...] = ()
    receipt: Receipt

    @property
    def exit(self) -> ExitCode:
        """The exit status of the run."""
        return exit_of(error for _, error in self.failures)


Steered = Callable[[Control], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _unsteered(_: Control) -> AsyncIterator[None]:
    yield


async def carry_out(
    plan: Plan,
    receipt: Receipt,
    outside: Outside,
    manner: Manner,
    steered: Steered = _unsteered,
    *,
    make_room: Callable[[], object] | None = None,
) -> Outcome:
    """Do what `plan` says and write the receipt, also when cancelled half-way.

    `steered` is entered while files are downloaded, with what orders to that go to;
    `make_room` is called in a thread before, once what goes first is retired. What failed is
    in the outcome. Raises CivsyncError only if `make_room` did, or if nothing failed but the
    receipt could not be written; the ledger's notes stand in for it until the next run.
    """
    run = _Run(receipt, outside, manner, steered)
    surprised = False
    try:
        await run.carry_out(plan, make_room)
    except Exception as error:
        surprised = not isinstance(error, CivsyncError)
        raise
    finally:
        # After a fault of ours only the notes know which files got their names: they stay.
        if not surprised:
            with anyio.CancelScope(shield=True):
                await run.commit()
    return run.outcome()


class _Run:
    """State of one run: what is owned by now, and what failed."""

    def __init__(
        self, receipt: Receipt, outside: Outside, manner: Manner, steered: Steered
    ) -> None:
        self._out = outside
        self._steered = steered
        self._manner = manner
        self._belongings = Belongings(receipt)
        self._failures: dict[SafePath, CivsyncError] = {}
        self._stopped = False
        self._unwritten: CivsyncError | None = None
        self._done: list[str] = []
        self._finished: set[SafePath] = set()
        self._lines = Lines(outside.clock, connections=manner.connections, tuning=manner.ramp)
        # Each file that is received needs a connection.
        jobs = min(manner.jobs, manner.connections)
        self._downloads = Downloads(
            work=Work(
                fetch=self._fetch,
                drop=self._drop,
                failed=self._give_up,
                must_stop=self._must_stop,
                limit=outside.transport.limit,
                report=outside.report,
            ),
            lines=self._lines,
            jobs=jobs,
            fail_fast=manner.fail_fast,
            limit_rate=manner.limit_rate,
        )
        self._fetcher = Fetcher(
            replace(outside, report=self._overhear),
            self._lines,
            workers=jobs,
            offline=manner.offline,
            copies=self._copies_for,
            placed=self._placed,
            pieces=manner.pieces,
            # To stop at the first failure, what became of a file is known before the next one.
            one_by_one=manner.fail_fast,
        )
        self._one_content_at_a_time: dict[str, anyio.Lock] = {}

    async def carry_out(self, plan: Plan, make_room: Callable[[], object] | None) -> None:
        moves: list[Move] = []
        fetches: list[Fetch | Replace] = []
        retires: list[Retire] = []
        for action in plan.actions:
            match action:
                case Keep():
                    self._belongings.refresh(action)
                case Protected(owned=owned):
                    self._belongings.keep(owned)
                case Satisfied(want=want, stamp=stamp):
                    self._belongings.know(want.file, stamp)
                case Blocked(want=want, error=error):
                    self._fail(want.path, error)
                case Release():
                    self._release(action)
                case Move():
                    moves.append(action)
                case Fetch() | Replace():
                    fetches.append(action)
                case Retire():
                    retires.append(action)
                case _:
                    assert_never(action)
        if self._manner.prune_first:
            await self._retire_all(retires)
        if make_room is not None:
            await run_sync(make_room)
        for move in moves:
            if self._must_stop():
                break
            await self._attempt(move.want.path, self._move, move)
        await self._fetch_all(fetches)
        await run_sync(self._forget_old_spellings, fetches)
        if not self._manner.prune_first:
            await self._retire_unless_failed(retires)

    def _overhear(self, event: Event) -> None:
        """Pass an event on; how far files are is also known here."""
        self._downloads.listen(event)
        self._out.report(event)

    def outcome(self) -> Outcome:
        if self._unwritten is not None and not self._failures:
            raise self._unwritten
        return Outcome(
            done=dict(sorted(Counter(self._done).items())),
            received=self._lines.received,
            failures=tuple(sorted(self._failures.items())),
            receipt=self._belongings.receipt(),
        )

    async def commit(self) -> None:
        if not self._belongings.changed:
            return
        if any(isinstance(error, DiskError) for error in self._failures.values()):
            # A disk that failed may have given a name all the same: only the notes say that
            # such a file is ours, so they stay until the next look has read it.
            return
        try:
            await run_sync(self._out.ledger.commit, self._belongings.receipt())
        except CivsyncError as error:
            self._unwritten = error
            message = f"the receipt is not written yet: {error.message}"
            self._out.report(Noted(code="receipt-postponed", message=message))

    def _release(self, action: Release) -> None:
        path = action.owned.path
        self._belongings.leave(path)
        if not action.missing:
            message = "changed since civsync placed it, and not wanted any more: left to you"
            self._out.report(Noted(code="released", message=message, path=path))

    async def _move(self, action: Move) -> None:
        source, target = action.source, action.want.path
        file = action.want.file
        moved = replace(
            source,
            path=target,
            entry=action.want.entry.key,
            model_id=file.model_id,
            version_id=file.version_id,
            file_id=file.file_id,
            protect=action.protect,
        )
        await run_sync(self._out.ledger.intend, moved)
        stamp = await run_sync(
            lambda: self._out.store.move(
                source.path, target, expected=source.stamp, sha256=source.sha256
            )
        )
        moved = replace(moved, stamp=stamp)
        self._belongings.leave(source.path)
        self._belongings.place(moved)
        await run_sync(self._out.ledger.placed, moved)
        self._finish("moved", target, file.size)

    async def _fetch_all(self, fetches: Sequence[Fetch | Replace]) -> None:
        if not fetches:
            return
        async with self._steered(self._downloads), anyio.create_task_group() as tended:
            tended.start_soon(self._fetcher.tend)
            await self._downloads.run(fetches)
            tended.cancel_scope.cancel()
        if left := self._downloads.untried:
            message = f"{left} more to download, not tried after that failure"
            self._out.report(Noted(code="not-tried", message=message))

    def _forget_old_spellings(self, fetches: Sequence[Fetch | Replace]) -> None:
        """Disown what was replaced under another spelling, on a disk that takes both for one.

        The next look would find that out, but would have to write it down then.
        """
        replaced = [each.want.path for each in fetches if isinstance(each, Replace)]
        old = self._belongings.spelled_as(path for path in replaced if path in self._finished)
        with suppress(CivsyncError):
            for path, sight in (self._out.store.survey(list(old)) if old else {}).items():
                if isinstance(sight, Regular) and sight.stamp == old[path].stamp:
                    self._out.ledger.released(path)
                    self._belongings.leave(path)

    async def _fetch(self, action: Fetch | Replace, lane: Lane, follow: Follow) -> None:
        lock = self._lock_of(action.want.file.sha256)
        if lock.locked():
            # Who receives these bytes may need a place once more before it is through.
            lane.leave()
        async with lock:
            await lane.take()
            await self._fetcher.fetch(action, lane, follow)

    def _placed(self, fetched: Fetched) -> None:
        """Take note of a file that is in place; called in any thread."""
        self._belongings.place(fetched.owned)
        path, size = fetched.owned.path, fetched.owned.stamp.size
        # Also what came before it was paused.
        self._finish(fetched.how, path, size, self._lines.came(path))

    async def _drop(self, action: Fetch | Replace) -> None:
        lock = self._lock_of(action.want.file.sha256)
        if lock.locked():
            return  # these bytes are received for another path
        async with lock:
            await self._fetcher.drop(action.want.file)

    def _lock_of(self, sha256: str) -> anyio.Lock:
        return self._one_content_at_a_time.setdefault(sha256, anyio.Lock())

    def _copies_for(self, action: Fetch | Replace) -> list[SafePath]:
        """Return the paths of ours that hold the content of a file; called in any thread."""
        return self._belongings.copies_of(action.want.file.sha256, action.want.path)

    async def _retire_unless_failed(self, retires: list[Retire]) -> None:
        if not retires:
            return
        if self._failures:
            what = "1 file" if len(retires) == 1 else f"{len(retires)} files"
            message = f"{what} to retire: not before everything else is in place"
            self._out.report(Noted(code="retire-postponed", message=message))
            return
        await self._retire_all(retires)

    async def _retire_all(self, retires: list[Retire]) -> None:
        for retire in retires:
            await self._attempt(retire.owned.path, self._retire, retire)

    async def _retire(self, action: Retire) -> None:
        owned = action.owned
        await run_sync(
            lambda: self._out.store.retire(
                owned.path,
                expected=owned.stamp,
                sha256=owned.sha256,
                reason=_reason_of(action),
            )
        )
        self._belongings.leave(owned.path)
        await run_sync(self._out.ledger.released, owned.path)
        self._finish("retired", owned.path, owned.stamp.size)

    async def _attempt(
        self, path: SafePath, work: Callable[[A], Awaitable[None]], action: A
    ) -> None:
        try:
            await work(action)
        except CivsyncError as error:
            self._give_up(path, error)

    def _finish(self, how: str, path: SafePath, size: int, received: int = 0) -> None:
        self._finished.add(path)
        self._done.append(how)
        self._out.report(FileDone(path=path, how=how, size=size, received=received))

    def _give_up(self, path: SafePath, error: CivsyncError) -> None:
        """Take note that something failed that was begun, and may have left an intent."""
        if error.code is Code.FOREIGN_FILE and not self._belongings.owns(path):
            # What is in the way there is not ours, even if its bytes are the intended ones.
            with suppress(CivsyncError):
                self._out.ledger.released(path)
        self._fail(path, error)

    def _fail(self, path: SafePath, error: CivsyncError) -> None:
        """Take note of a failure; called in any thread."""
        self._failures[path] = error
        if self._manner.fail_fast or error.code in STOPS_ALL:
            self._stopped = True
        self._out.report(FileFailed(path=path, error=error))

    def _must_stop(self) -> bool:
        return self._stopped


def _reason_of(action: Retire) -> str:
    """Say in the words of the plan why a file leaves the tree."""
    if action.replaced:
        return "replaced"
    return "not selected" if action.unselected else "not wanted any more"
