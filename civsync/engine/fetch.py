"""Bring one locked file to its final name, whatever happens on the way.

The order of steps is the one that survives a crash: receive into a part, check size,
hash and format, note the intent, publish, note that it is placed.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Digests
from civsync.core.errors import CivsyncError, IntegrityError
from civsync.core.events import FileStarted, Noted
from civsync.core.limits import BATCH_WAIT_S, ERRAND_BYTES, TINY_BYTES
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace
from civsync.core.values import dataclass
from civsync.decide.disposition import bare_name
from civsync.decide.pieces import PieceTuning
from civsync.engine.coming import Coming
from civsync.engine.first_try import Tried
from civsync.engine.hold import Hold, check_payload
from civsync.engine.lanes import Follow, Lane
from civsync.engine.lines import Lines, Single
from civsync.engine.naming import Batch, Fetched, Namer, Whole, most_files
from civsync.engine.network import Network
from civsync.engine.processor import Processor
from civsync.engine.receive import Receiver
from civsync.engine.reception import Reception
from civsync.ports import (
    Clock,
    Errand,
    Ledger,
    Parts,
    PartsOf,
    Reporter,
    Source,
    Store,
    Transport,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything that a fetch needs of the world.

    `parts_of` is for roots that lie on several disks; else all `parts` are the same.
    """

    source: Source
    transport: Transport
    store: Store
    parts: Parts
    parts_of: PartsOf | None = None
    ledger: Ledger
    clock: Clock
    report: Reporter


@dataclass(slots=True, kw_only=True)
class _Begun:
    """A file whose part is held; `free` bytes were free then. `tried` is a try that failed.

    `salvaged` is what `Parts.salvage` said.
    """

    action: Fetch | Replace
    hold: Hold
    reception: Reception
    salvaged: str
    free: int
    tried: Tried | None = None


class Fetcher:
    """Fetches files; one instance serves all workers of a run.

    `copies` gives the owned paths below this root that hold the content of a file already,
    `placed` is told of each file that is in place. Both are called in any thread. Small files
    get their names together, but for `one_by_one`.
    """

    def __init__(
        self,
        outside: Outside,
        lines: Lines,
        *,
        workers: int,
        offline: bool,
        copies: Callable[[Fetch | Replace], Sequence[SafePath]],
        placed: Callable[[Fetched], None],
        pieces: PieceTuning | None = None,
        one_by_one: bool = False,
    ) -> None:
        self._out = outside
        self._lines = lines
        self._copies = copies
        self._placed = placed
        self._pieces = pieces or PieceTuning()
        # What may be worth several connections is not hurried through by one.
        self._small = min(ERRAND_BYTES, self._pieces.segmented - 1)
        self._coming: dict[Parts, Coming] = {}
        self._processor = Processor()
        self._namer = Namer(outside.store, outside.ledger)
        self._batches: list[Batch] = []
        self._together = 1 if one_by_one else most_files(workers)
        self._threads = anyio.CapacityLimiter(workers * 2 + 2)
        network = Network(
            source=outside.source,
            transport=outside.transport,
            clock=outside.clock,
            report=outside.report,
            offline=offline,
        )
        self._receiver = Receiver(network, self._threads, lines)

    async def fetch(self, action: Fetch | Replace, lane: Lane, follow: Follow) -> None:
        """Make the file whole under its name, and small ones that `follow` it, too.

        The `lane` is left as soon as the bytes are here, so that the next file is received
        while this one is flushed and named. Raises CivsyncError for the file of the last
        turn; what was received is kept for the next run.
        """
        if action.want.file.size > self._small:
            begun: _Begun | None = await self._in_thread(lambda: self._begin(action))
        else:
            begun = await self._hurry(action, follow)
        if begun is not None:
            try:
                whole = await self._go_on(begun, lane)
                (result,) = await self._in_thread(lambda: self._namer.name([whole]))
            finally:
                await begun.hold.let_go()
            if isinstance(result, CivsyncError):
                raise result
            self._placed(result)

    async def tend(self) -> None:
        """Let no small file wait long for its name while the next one is slow to come.

        Ends when cancelled.
        """
        while True:
            await anyio.sleep(BATCH_WAIT_S)
            for batch in tuple(self._batches):
                if batch.overdue:
                    await self._in_thread(batch.conclude)

    async def drop(self, file: LockedFile) -> None:
        """Forget what was received of a file. Raises DiskError."""
        async with self._hold(file) as part:
            await self._in_thread(part.restart)

    async def _hurry(self, action: Fetch | Replace, follow: Follow) -> _Begun | None:
        """Bring small files to their names by one errand; returns one that takes more than that.

        Each step of each file in a thread of its own would cost more than the files.
        """
        tiny = action.want.file.size <= TINY_BYTES
        most = min(TINY_BYTES, self._small) if tiny else self._small

        def tell(whole: Whole, result: Fetched | CivsyncError) -> None:
            failure = result if isinstance(result, CivsyncError) else None
            if isinstance(result, Fetched):
                self._placed(result)
            follow.ended(whole.action.want.path, failure)

        batch = Batch(self._namer, self._out.clock, tell, files=self._together)

        def bring_all(errand: Errand, single: Single) -> _Begun | None:
            following: Fetch | Replace | None = action
            try:
                while following is not None:
                    brought = self._bring(following, errand, single)
                    if isinstance(brought, _Begun):
                        return brought
                    follow.whole()
                    batch.add(brought)
                    following = follow.following(most)
                return None
            finally:
                batch.conclude()

        def bring_tiny(errand: Errand, single: Single) -> _Begun | None:
            with self._processor.shared():
                return bring_all(errand, single)

        self._batches.append(batch)
        try:
            with self._lines.single() as single:
                bring = bring_tiny if tiny else bring_all
                return await self._out.transport.errand(lambda errand: bring(errand, single))
        finally:
            self._batches.remove(batch)

    def _bring(self, action: Fetch | Replace, errand: Errand, single: Single) -> Whole | _Begun:
        begun = self._begin(action)
        file, reception = action.want.file, begun.reception
        try:
            with (
                single.receiving(file.path, reception),
                self._room_for(file, reception, begun.free),
            ):
                begun.tried = self._receiver.receive_now(file, reception, errand)
            whole = self._check(begun) if reception.part.done.total == file.size else None
        except BaseException:
            begun.hold.release()
            raise
        return whole or begun

    def _begin(self, action: Fetch | Replace) -> _Begun:
        """Claim the part, with what is there of it already. Blocks."""
        file = action.want.file
        parts = self._parts_of(file)
        salvaged = parts.salvage(file.sha256, file.size, self._copies(action))
        free = parts.free_bytes()
        hold = self._hold(file)
        part = hold.take()
        self._out.report(FileStarted(path=file.path, size=file.size, held=part.done.total))
        reception = Reception.of(file, part, self._pieces)
        return _Begun(action=action, hold=hold, reception=reception, salvaged=salvaged, free=free)

    async def _go_on(self, begun: _Begun, lane: Lane) -> Whole:
        file, reception = begun.action.want.file, begun.reception
        with self._room_for(file, reception, begun.free):
            await self._receive(file, reception, lane, begun.tried)
        whole = await self._in_thread(lambda: self._check(begun))
        if whole is None:
            # It came in pieces, and the file may have changed between them: one try from
            # zero tells.
            what = "the copy on this machine" if begun.salvaged else "the resumed download"
            message = f"{what} has another SHA-256; starting from zero"
            self._out.report(Noted(code="part-dropped", message=message, path=file.path))
            await self._in_thread(reception.restart)
            await self._receive(file, reception, lane)
            reception.pieced = False
            whole = await self._in_thread(lambda: self._check(begun))
        assert whole is not None  # noqa: S101 - nothing is pieced any more
        return whole

    async def _receive(
        self, file: LockedFile, reception: Reception, lane: Lane, tried: Tried | None = None
    ) -> None:
        async with lane:
            await self._receiver.receive(file, reception, tried=tried)

    def _check(self, begun: _Begun) -> Whole | None:
        """Look at what all bytes are together; None if another try may bring the right ones.

        Raises IntegrityError where trying again would not help. Blocks.
        """
        action, reception = begun.action, begun.reception
        file, part = action.want.file, reception.part
        digests = part.digests()
        if digests.sha256 != file.sha256:
            if reception.pieced:
                return None
            where = self._parts_of(file).quarantine(part, "wrong SHA-256")
            raise _wrong_content(file, digests, where)
        if file.blake3 not in (None, digests.blake3):
            self._out.report(
                Noted(
                    code="blake3-disagrees",
                    message="the SHA-256 is the locked one, but the published BLAKE3 is not",
                    path=file.path,
                )
            )
        check_payload(file, part, self._parts_of(file))
        if reception.served_as not in ("", bare_name(file.name)):
            message = f"Civitai offers it as {reception.served_as}; the lock names it {file.name}"
            self._out.report(Noted(code="served-name", message=message, path=file.path))
        how = begun.salvaged if begun.salvaged and not reception.received else "fetched"
        return Whole(action=action, hold=begun.hold, part=part, digests=digests, how=how)

    def _hold(self, file: LockedFile) -> Hold:
        claim = self._parts_of(file).claim
        return Hold(partial(claim, file.sha256, file.size), self._threads)

    def _parts_of(self, file: LockedFile) -> Parts:
        of = self._out.parts_of
        return self._out.parts if of is None else of(file.path)

    def _room_for(
        self, file: LockedFile, reception: Reception, free: int
    ) -> AbstractContextManager[None]:
        """Count what is to come of a file on its disk. Raises as `Coming.room_for`."""
        coming = self._coming.setdefault(self._parts_of(file), Coming())
        return coming.room_for(file, reception, free)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await run_sync(work, limiter=self._threads)


def _wrong_content(file: LockedFile, digests: Digests, where: str) -> CivsyncError:
    return IntegrityError(
        Code.HASH_MISMATCH,
        f"the download has SHA-256 {digests.sha256}, the lock says {file.sha256}",
        subject=file.path,
        data={"expected": file.sha256, "received": digests.sha256, "kept_at": where},
    )
