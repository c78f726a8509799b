"""The downloads of a run: which goes next, and what a person orders while they run.

Greater priority first, then small files first, so that something is usable soon. What the
work itself is, and what a failure means for the run, is for others.
"""

import heapq
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import field
from typing import Final, assert_never

import anyio

from civsync.core.codes import Code
from civsync.core.control import (
    Cancel,
    Limit,
    Order,
    Pause,
    Prioritize,
    Resume,
    RunView,
    Stage,
    TransferView,
)
from civsync.core.errors import CivsyncError, UserError
from civsync.core.events import Event, FileProgress, FileStarted, Noted
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace
from civsync.core.values import dataclass
from civsync.engine.lanes import Follow, Lane
from civsync.engine.lines import Lines
from civsync.ports import Reporter

_FINISHERS: Final = 4
"""Files that are flushed and named while as many as allowed are received."""

_OVER: Final = frozenset({Stage.DONE, Stage.FAILED, Stage.CANCELLED})


@dataclass(slots=True, eq=False)
class Item:
    """One download of the run."""

    action: Fetch | Replace
    priority: int
    stage: Stage = Stage.WAITING
    held: int = 0
    cancelled: bool = False
    lane: Lane | None = None
    scope: anyio.CancelScope | None = None

    @property
    def path(self) -> SafePath:
        """Where the file goes."""
        return self.action.want.path

    @property
    def receiving(self) -> bool:
        """Whether bytes may come; a file that is only being named is let be."""
        lane = self.lane  # which a turn that ends in a thread takes away at any moment
        return self.stage is Stage.RUNNING and lane is not None and not lane.over


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with an item. `fetch` and `drop` raise CivsyncError.

    While `fetch` works on it a small file may be followed by the next, by the rules of
    `Follow`: then that is the file of this turn, also for its errors. `failed` is called in
    any thread.
    """

    fetch: Callable[[Fetch | Replace, Lane, Follow], Awaitable[None]]
    drop: Callable[[Fetch | Replace], Awaitable[None]]
    failed: Callable[[SafePath, CivsyncError], None]
    must_stop: Callable[[], bool]
    limit: Callable[[int | None], None]
    report: Reporter


@dataclass(slots=True)
class _Turn:
    """What one worker is about, and how to break it off; `item` is None in between.

    Those in `whole` have all their bytes, and wait for their names.
    """

    item: Item | None
    lane: Lane
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    whole: dict[SafePath, Item] = field(default_factory=dict)

    def enter(self, item: Item) -> None:
        self.item = item
        item.lane, item.scope = self.lane, self.scope


@dataclass(slots=True)
class Downloads:
    """Implements `ports.Control` over the downloads of one run."""

    work: Work
    lines: Lines
    jobs: int
    fail_fast: bool = False
    limit_rate: int | None = None
    _items: dict[SafePath, Item] = field(default_factory=dict)
    _of_content: dict[str, list[Item]] = field(default_factory=dict)
    _heap: list[tuple[int, int, SafePath, int, Item]] = field(default_factory=list)
    _given_up: list[Item] = field(default_factory=list)
    """Cancelled while nobody worked on them, and not dropped yet."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _open: int = 0
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever looks at the queue or at stages: some turns end in threads."""

    async def run(self, actions: Sequence[Fetch | Replace]) -> None:
        """Carry all of them out; returns when none can go on any more."""
        for action in actions:
            item = Item(action, action.want.entry.priority)
            self._items[item.path] = item
            self._of_content.setdefault(action.want.file.sha256, []).append(item)
            self._push(item)
        self._open = len(self._items)
        lanes = anyio.Semaphore(self.jobs)
        async with anyio.create_task_group() as conducted:
            conducted.start_soon(self.lines.conduct)
            async with anyio.create_task_group() as group:

                async def worker() -> None:
                    await self._work(lanes)
                    if self.fail_fast and self.work.must_stop():
                        # Otherwise what is under way ends in order: its addresses are paid for.
                        group.cancel_scope.cancel()

                # To stop at the first failure, what is done must be known before more begins.
                workers = self.jobs + (0 if self.fail_fast else _FINISHERS)
                for _ in range(min(workers, len(self._items))):
                    group.start_soon(worker)
                group.start_soon(self._drop_given_up)
            conducted.cancel_scope.cancel()

    @property
    def untried(self) -> int:
        """How many downloads never began."""
        return sum(item.stage not in _OVER for item in self._items.values())

    def listen(self, event: Event) -> None:
        """Take note of how far a file is; may be called from any thread."""
        if isinstance(event, FileStarted | FileProgress) and event.path in self._items:
            self._items[event.path].held = event.held

    def view(self) -> RunView:
        """Return how far everything is."""
        connections = self.lines.connections()
        return RunView(
            transfers=tuple(
                TransferView(
                    path=item.path,
                    entry=item.action.want.entry.key,
                    size=item.action.want.file.size,
                    held=item.held,
                    stage=item.stage,
                    priority=item.priority,
                    connections=connections.get(item.path, 0) if item.receiving else 0,
                )
                for item in self._items.values()
            ),
            received=self.lines.received,
            limit_rate=self.limit_rate,
        )

    def obey(self, order: Order) -> int:
        """Carry an order out; see `civsync.ports.Control`."""
        with self._mutex:
            changed = self._obey(order)
        self._wake()
        return changed

    def _obey(self, order: Order) -> int:
        match order:
            case Pause(paths=paths):
                return sum(map(self._pause, self._selected(paths)))
            case Resume(paths=paths):
                return sum(map(self._resume, self._selected(paths)))
            case Cancel(paths=paths):
                return sum(map(self._cancel, self._selected(paths)))
            case Prioritize(paths=paths, priority=priority):
                return sum(self._prioritize(item, priority) for item in self._selected(paths))
            case Limit(rate=rate):
                self.limit_rate = rate
                self.work.limit(rate)
                return 0
            case _:
                assert_never(order)

    async def _work(self, lanes: anyio.Semaphore) -> None:
        while self._open and not self.work.must_stop():
            changed, lane = self._changed, Lane(lanes)
            await lane.take()
            try:
                with self._mutex:
                    item = self._next()
                if item is not None:
                    await self._carry_out(_Turn(item, lane))
            finally:
                lane.leave()
            if item is None:
                # Without a place: a file that comes a second time needs one.
                await changed.wait()

    async def _drop_given_up(self) -> None:
        """Drop at once what is cancelled while nobody works on it: that needs no place."""
        while self._open and not self.work.must_stop():
            changed = self._changed
            while self._given_up:
                await self._drop(self._given_up.pop())
                with self._mutex:
                    self._open -= 1
                self._wake()
            await changed.wait()

    def _next(self, fits: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """Take the next download, if there is one just now, and if it `fits`."""
        while self._heap and not self.work.must_stop():
            rank, _, _, _, item = self._heap[0]
            current = item.stage is Stage.WAITING and rank == -item.priority
            if current and not fits(item):
                return None
            heapq.heappop(self._heap)
            if current:
                item.stage = Stage.RUNNING
                return item
        return None

    async def _carry_out(self, turn: _Turn) -> None:
        try:
            if turn.item is not None:
                turn.enter(turn.item)
                with turn.scope:
                    await self._attempt(turn, turn.item.action)
            item = turn.item
            if item is not None and item.cancelled and item.stage is not Stage.DONE:
                await self._drop(item)
        finally:
            with self._mutex:
                self._leave(turn)
            self._wake()

    async def _attempt(self, turn: _Turn, action: Fetch | Replace) -> None:
        try:
            await self.work.fetch(action, turn.lane, _Following(self, turn))
        except CivsyncError as error:
            if turn.item is None:
                raise  # of no file: the turns of those that wait for a name would never end
            if not turn.item.cancelled:
                turn.item.stage = Stage.FAILED
                self.work.failed(turn.item.path, error)
        else:
            if turn.item is not None:
                turn.item.stage = Stage.DONE

    def wait_for_name(self, turn: _Turn) -> None:
        """Let the file of a turn be: only its name is missing."""
        with self._mutex:
            item, turn.item = turn.item, None
            if item is not None:
                item.lane = item.scope = None
                # Whoever paused or cancelled it in this instant comes too late.
                item.stage = Stage.RUNNING
                turn.whole[item.path] = item

    def named(self, turn: _Turn, path: SafePath, error: CivsyncError | None) -> None:
        """End the turn of a file that waited for its name."""
        with self._mutex:
            item = turn.whole.pop(path)
            item.stage = Stage.DONE if error is None else Stage.FAILED
            self._open -= 1
        if error is not None:
            self.work.failed(path, error)

    def follow(self, turn: _Turn, most: int) -> Fetch | Replace | None:
        """Begin the turn of a file of at most `most` bytes, if there is one just now."""

        def fits(item: Item) -> bool:
            file = item.action.want.file
            # Bytes that several files need are received for one of them at a time.
            alone = len(self._of_content[file.sha256]) == 1
            return alone and file.size <= most

        with self._mutex:
            item = None if turn.scope.cancel_called else self._next(fits)
            if item is None:
                return None
            turn.enter(item)
            return item.action

    def _leave(self, turn: _Turn) -> None:
        item, turn.item = turn.item, None
        if item is None:
            return
        item.lane = item.scope = None
        if item.stage in _OVER:
            self._open -= 1
        elif item.stage is Stage.WAITING:
            self._push(item)

    async def _drop(self, item: Item) -> None:
        try:
            what = "stays for another file with the same content"
            if not self._shared(item):
                what = "is dropped"
                await self.work.drop(item.action)
            item.held = 0
            message = f"cancelled; what was received {what}"
            raise UserError(Code.CANCELLED, message, subject=item.path)
        except CivsyncError as error:
            item.stage = Stage.CANCELLED
            self.work.failed(item.path, error)

    def _shared(self, item: Item) -> bool:
        """Tell whether another download, which goes on, needs the same bytes."""
        return any(
            not other.cancelled and other.stage not in _OVER
            for other in self._of_content[item.action.want.file.sha256]
        )

    def _selected(self, paths: frozenset[SafePath] | None) -> list[Item]:
        return [item for item in self._items.values() if paths is None or item.path in paths]

    def _pause(self, item: Item) -> bool:
        if item.cancelled or (item.stage is not Stage.WAITING and not item.receiving):
            return False
        item.stage = Stage.PAUSED
        if item.scope is not None:
            item.scope.cancel()
        self.work.report(Noted(code="paused", message="paused", path=item.path))
        return True

    def _resume(self, item: Item) -> bool:
        if item.stage is not Stage.PAUSED or item.cancelled:
            return False
        item.stage = Stage.WAITING
        if item.scope is None:  # else it is not out of its last try yet, and queued then
            self._push(item)
        self.work.report(Noted(code="resumed", message="resumed", path=item.path))
        return True

    def _cancel(self, item: Item) -> bool:
        named = item.stage is Stage.RUNNING and not item.receiving
        if item.stage in _OVER or item.cancelled or named:
            return False
        item.cancelled = True
        item.stage = Stage.PAUSED
        if item.scope is not None:
            item.scope.cancel()
        else:
            self._given_up.append(item)
        return True

    def _prioritize(self, item: Item, priority: int) -> bool:
        if item.stage in _OVER or item.priority == priority:
            return False
        item.priority = priority
        if item.stage is Stage.WAITING and item.scope is None:
            self._push(item)
        return True

    def _push(self, item: Item) -> None:
        size = item.action.want.file.size
        rank = -item.priority
        heapq.heappush(self._heap, (rank, size, item.path, next(self._numbers), item))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@dataclass(frozen=True, slots=True)
class _Following:
    """Implements `Follow` for one turn."""

    downloads: Downloads
    turn: _Turn

    def whole(self) -> None:
        self.downloads.wait_for_name(self.turn)

    def following(self, most: int) -> Fetch | Replace | None:
        return self.downloads.follow(self.turn, most)

    def ended(self, path: SafePath, error: CivsyncError | None) -> None:
        self.downloads.named(self.turn, path, error)
