"""Bring one locked file to its final name, whatever happens on the way.

The order of steps is the one that survives a crash: receive into a part, check size,
hash and format, note the intent, publish, note that it is placed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Digests, Owned, Stamp
from civsync.core.errors import CivsyncError, DiskError, IntegrityError
from civsync.core.events import FileStarted, Noted
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace
from civsync.decide.disposition import bare_name
from civsync.decide.pieces import PieceTuning
from civsync.engine.lanes import Lane
from civsync.engine.lines import Lines
from civsync.engine.receive import Hold, Network, Receiver, check_payload
from civsync.engine.reception import Reception
from civsync.ports import Clock, Ledger, Part, Parts, Reporter, Source, Store, Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything that a fetch needs of the world."""

    source: Source
    transport: Transport
    store: Store
    parts: Parts
    ledger: Ledger
    clock: Clock
    report: Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that is in place now.

    `how` is "fetched", or "restored" where the bytes were on this disk already.
    """

    owned: Owned
    how: str


class Fetcher:
    """Fetches files; one instance serves all workers of a run."""

    def __init__(
        self,
        outside: Outside,
        lines: Lines,
        *,
        workers: int,
        offline: bool,
        pieces: PieceTuning | None = None,
    ) -> None:
        self._out = outside
        self._pieces = pieces
        self._coming: list[tuple[int, Reception]] = []
        self._threads = anyio.CapacityLimiter(workers * 2 + 2)
        network = Network(
            source=outside.source,
            transport=outside.transport,
            clock=outside.clock,
            report=outside.report,
            offline=offline,
        )
        self._receiver = Receiver(network, self._threads, lines)

    async def fetch(
        self, action: Fetch | Replace, copies: Sequence[SafePath], lane: Lane
    ) -> Fetched:
        """Make the file whole under its name.

        `copies` are owned paths below this root that hold the same content. The `lane` is
        left as soon as the bytes are here, so that the next file is received while this
        one is flushed and named. Raises CivsyncError; what was received is kept for the
        next run.
        """
        file = action.want.file
        salvaged, free = False, 0

        def claim() -> AbstractContextManager[Part]:
            nonlocal salvaged, free
            salvaged = self._out.parts.salvage(file.sha256, file.size, copies)
            free = self._out.parts.free_bytes()
            return self._out.parts.claim(file.sha256, file.size)

        hold = Hold(claim, self._threads)
        async with hold as part:
            held = part.done.total
            self._out.report(FileStarted(path=file.path, size=file.size, held=held))
            reception = Reception.of(file, part, self._pieces)
            with self._room_for(file, reception, free):
                await self._receive(file, reception, lane)
            owned = await self._in_thread(lambda: self._conclude(action, reception, hold))
            if owned is None:
                # It came in pieces, and the file may have changed between them: one try
                # from zero tells.
                what = "the copy on this disk" if salvaged else "the resumed download"
                message = f"{what} has another SHA-256; starting from zero"
                self._out.report(Noted(code="part-dropped", message=message, path=file.path))
                await self._in_thread(reception.restart)
                await self._receive(file, reception, lane)
                reception.pieced = False
                owned = await self._in_thread(lambda: self._conclude(action, reception, hold))
        assert owned is not None  # noqa: S101 - nothing is pieced any more
        how = "restored" if salvaged and not reception.received else "fetched"
        return Fetched(owned=owned, how=how)

    async def drop(self, file: LockedFile) -> None:
        """Forget what was received of a file. Raises DiskError."""
        claim = partial(self._out.parts.claim, file.sha256, file.size)
        async with Hold(claim, self._threads) as part:
            await self._in_thread(part.restart)

    @contextmanager
    def _room_for(self, file: LockedFile, reception: Reception, free: int) -> Iterator[None]:
        """Count what is to come of a file while it does; `free` bytes were, an instant ago.

        Raises DiskError no-space if it does not fit beside what else is coming: the disk
        may have filled up since the plan was made.
        """
        need = file.size - reception.part.done.total
        others = sum(size - each.part.done.total for size, each in self._coming)
        have = max(0, free - others)
        if need > have:
            raise DiskError(
                Code.NO_SPACE,
                f"{need} bytes are still to come and {have} are free",
                subject=file.path,
                data={"need": need, "have": have},
            )
        mine = (file.size, reception)
        self._coming.append(mine)
        try:
            yield
        finally:
            self._coming.remove(mine)

    async def _receive(self, file: LockedFile, reception: Reception, lane: Lane) -> None:
        async with lane:
            await self._receiver.receive(file, reception)

    def _conclude(self, action: Fetch | Replace, reception: Reception, hold: Hold) -> Owned | None:
        """Give a whole part its name and let go of it; None if its content is wrong.

        Raises IntegrityError where trying again would not help, too. Blocks.
        """
        file, part = action.want.file, reception.part
        digests = part.digests()
        if digests.sha256 != file.sha256:
            if reception.pieced:
                return None
            where = self._out.parts.quarantine(part, "wrong SHA-256")
            raise _wrong_content(file, digests, where)
        if file.blake3 not in (None, digests.blake3):
            self._out.report(
                Noted(
                    code="blake3-disagrees",
                    message="the SHA-256 is the locked one, but the published BLAKE3 is not",
                    path=file.path,
                )
            )
        check_payload(file, part, self._out.parts)
        if reception.served_as not in ("", bare_name(file.name)):
            message = f"Civitai offers it as {reception.served_as}; the lock names it {file.name}"
            self._out.report(Noted(code="served-name", message=message, path=file.path))
        owned = self._publish(action, part)
        hold.release()
        return owned

    def _publish(self, action: Fetch | Replace, part: Part) -> Owned:
        """Give the part its name, with the notes that keep ownership through a crash."""
        want, digests = action.want, part.digests()
        owned = Owned(
            path=want.path,
            sha256=digests.sha256,
            blake3=digests.blake3,
            stamp=Stamp(digests.size, 0, 0),
            entry=want.entry.key,
            model_id=want.file.model_id,
            version_id=want.file.version_id,
            file_id=want.file.file_id,
        )
        out = self._out
        out.ledger.intend(owned)
        old, content = None, ""
        if isinstance(action, Replace):
            old, content = action.old, action.old_sha256
        stamp = out.store.publish(part, want.path, replacing=old, old_sha256=content)
        owned = replace(owned, stamp=stamp)
        out.ledger.placed(owned)
        return owned

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await run_sync(work, limiter=self._threads)


def _wrong_content(file: LockedFile, digests: Digests, where: str) -> CivsyncError:
    return IntegrityError(
        Code.HASH_MISMATCH,
        f"the download has SHA-256 {digests.sha256}, the lock says {file.sha256}",
        subject=file.path,
        data={"expected": file.sha256, "received": digests.sha256, "kept_at": where},
    )
