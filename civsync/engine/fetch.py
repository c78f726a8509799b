"""Bring one locked file to its final name, whatever happens on the way.

The order of steps is the one that survives a crash: receive into a part, check size,
hash and format, note the intent, publish, note that it is placed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Digests, Owned, Stamp
from civsync.core.errors import CivsyncError, IntegrityError
from civsync.core.events import FileStarted, Noted
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace
from civsync.decide.pieces import PieceTuning
from civsync.engine.lines import Lines
from civsync.engine.receive import Network, Receiver, check_payload, hold
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
    """A file that is in place now; `received` bytes came over the network for it.

    `how` is "fetched", or "restored" where the bytes were on this disk already.
    """

    owned: Owned
    how: str
    received: int


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
        self._threads = anyio.CapacityLimiter(workers * 2 + 2)
        network = Network(
            source=outside.source,
            transport=outside.transport,
            clock=outside.clock,
            report=outside.report,
            offline=offline,
        )
        self._receiver = Receiver(network, self._threads, lines)

    async def fetch(self, action: Fetch | Replace, copies: Sequence[SafePath]) -> Fetched:
        """Make the file whole under its name.

        `copies` are owned paths below this root that hold the same content. Raises
        CivsyncError; what was received is kept for the next run.
        """
        file = action.want.file
        out = self._out
        salvaged = await self._in_thread(lambda: out.parts.salvage(file.sha256, file.size, copies))
        async with hold(out.parts.claim(file.sha256, file.size), self._threads) as part:
            received = await self._receive_verified(file, part, salvaged=salvaged)
            owned = await self._in_thread(lambda: self._publish(action, part))
        how = "restored" if salvaged and not received else "fetched"
        return Fetched(owned=owned, how=how, received=received)

    async def _receive_verified(self, file: LockedFile, part: Part, *, salvaged: bool) -> int:
        """Fill the part until its content is the locked one; return the bytes received.

        A part may be `salvaged`: made of bytes that were on this disk already.
        """
        self._out.report(FileStarted(path=file.path, size=file.size, held=part.done.total))
        reception = Reception.of(file, part, self._pieces)
        fresh = False
        while True:
            await self._receiver.receive(file, reception)
            digests = await self._in_thread(part.digests)
            if digests.sha256 == file.sha256:
                break
            if fresh or not reception.pieced:
                where = await self._in_thread(
                    lambda: self._out.parts.quarantine(part, "wrong SHA-256")
                )
                raise _wrong_content(file, digests, where)
            # It came in pieces, and the file may have changed between them: one try from
            # zero tells.
            what = "the copy on this disk" if salvaged else "the resumed download"
            message = f"{what} has another SHA-256; starting from zero"
            self._out.report(Noted(code="part-dropped", message=message, path=file.path))
            await self._in_thread(reception.restart)
            fresh = True
        if file.blake3 not in (None, digests.blake3):
            self._out.report(
                Noted(
                    code="blake3-disagrees",
                    message="the SHA-256 is the locked one, but the published BLAKE3 is not",
                    path=file.path,
                )
            )
        await self._in_thread(lambda: check_payload(file, part, self._out.parts))
        return reception.received

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
        replacing = action.old if isinstance(action, Replace) else None
        owned = replace(owned, stamp=out.store.publish(part, want.path, replacing=replacing))
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
