"""Download files that nobody published a hash of, once, to record what they are.

What was received is kept as a part under its hash, where a sync finds it. Without a hash
nothing could tell bytes of two files that were spliced together from one, so a half-received
file is only ever gone on from under the strong ETag that it began with.
"""

from collections.abc import Sequence
from functools import partial

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Digests
from civsync.core.errors import CivsyncError, DiskError, IntegrityError, WireError
from civsync.core.events import FileDone, FileFailed, FileStarted, Recording
from civsync.core.limits import DEFAULT_JOBS, SPACE_MARGIN_BYTES
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.values import dataclass
from civsync.decide.unhashed import unhashed_files, with_hashes
from civsync.engine.hold import Hold, check_payload
from civsync.engine.network import Network
from civsync.engine.receive import Receiver
from civsync.engine.reception import Reception, ReplacedError
from civsync.engine.run import STOPS_ALL
from civsync.ports import BlindParts, Part, Parts

REPLACEMENTS = 5
"""How often a file may change on the server while it is received, before we give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`entries` with every hash filled in; or `failures`, entry key to error, and none is."""

    entries: tuple[LockedEntry, ...]
    failures: tuple[tuple[str, CivsyncError], ...] = ()


async def record_hashes(
    entries: Sequence[LockedEntry],
    network: Network,
    parts: Parts,
    blind: BlindParts,
    *,
    jobs: int = DEFAULT_JOBS,
) -> Recorded:
    """Download what has no SHA-256 in `entries`, and return them with it.

    After a failure what is whole by then waits under its provisional name, so that the
    next run need not download it again.
    """
    recorder = _Recorder(network, parts, blind, jobs)
    files = unhashed_files(entries)
    network.report(Recording(files=len(files), size=sum(file.size for file in files)))
    await recorder.receive_all(files, jobs)
    if recorder.failures:
        failed = {
            entry.key: error
            for entry in entries
            for file in entry.files
            if (error := recorder.failures.get(file.file_id)) is not None
        }
        return Recorded(entries=tuple(entries), failures=tuple(failed.items()))
    await recorder.name_all()
    return Recorded(entries=with_hashes(entries, recorder.sha256s))


class _Recorder:
    """State of one run: the hash of every file received, and what failed."""

    def __init__(self, network: Network, parts: Parts, blind: BlindParts, jobs: int) -> None:
        self._report = network.report
        self._parts = parts
        self._blind = blind
        self._threads = anyio.CapacityLimiter(jobs * 2 + 2)
        self._receiver = Receiver(network, self._threads)
        self._names: dict[str, str] = {}
        self.sha256s: dict[int, str] = {}
        self.failures: dict[int, CivsyncError] = {}

    async def receive_all(self, files: Sequence[LockedFile], jobs: int) -> None:
        waiting = iter(sorted(files, key=lambda file: (file.size, file.path)))

        async def work() -> None:
            for file in waiting:
                try:
                    await self._record(file)
                except CivsyncError as error:
                    error.subject = error.subject or file.path
                    self.failures[file.file_id] = error
                    self._report(FileFailed(path=file.path, error=error))
                    if error.code in STOPS_ALL:
                        group.cancel_scope.cancel()
                        return

        async with anyio.create_task_group() as group:
            for _ in range(min(jobs, len(files))):
                group.start_soon(work)

    async def name_all(self) -> None:
        """Put every part where a sync looks for it."""
        for name, sha256 in self._names.items():
            await run_sync(self._blind.name_it, name, sha256, limiter=self._threads)

    async def _record(self, file: LockedFile) -> None:
        etag = await self._receiver.identify(file)
        for _ in range(REPLACEMENTS):
            name = _name_of(file, etag)
            try:
                async with Hold(
                    partial(self._blind.claim_unnamed, name, file.size), self._threads
                ) as part:
                    received = await self._receive(file, part, etag)
                    digests = await run_sync(part.digests, limiter=self._threads)
                    await run_sync(self._check, file, part, digests, limiter=self._threads)
            except ReplacedError as replaced:
                etag = replaced.etag
                continue
            self._names[name] = digests.sha256
            self.sha256s[file.file_id] = digests.sha256
            self._report(
                FileDone(path=file.path, how="recorded", size=file.size, received=received)
            )
            return
        raise WireError(
            Code.REPLY_MALFORMED,
            "the server has another file each time that it is asked",
            subject=file.path,
        )

    async def _receive(self, file: LockedFile, part: Part, etag: str) -> int:
        if not etag and part.done.spans:
            # Nothing says that these bytes are of the file that is there today.
            await run_sync(part.restart, limiter=self._threads)
        await run_sync(self._require_space, file.size - part.done.total, limiter=self._threads)
        self._report(FileStarted(path=file.path, size=file.size, held=part.done.total))
        reception = Reception.of(file, part)
        await self._receiver.receive(file, reception, etag=etag)
        return reception.received

    def _require_space(self, need: int) -> None:
        have = max(0, self._parts.free_bytes() - SPACE_MARGIN_BYTES) if need else 0
        if need > have:
            raise DiskError(
                Code.NO_SPACE,
                f"{need} bytes are still to come and {have} are free",
                data={"need": need, "have": have},
            )

    def _check(self, file: LockedFile, part: Part, digests: Digests) -> None:
        """Refuse what is known to be wrong even so. Blocks."""
        if file.blake3 not in (None, digests.blake3):
            where = self._parts.quarantine(part, "wrong BLAKE3")
            raise IntegrityError(
                Code.HASH_MISMATCH,
                f"the download has BLAKE3 {digests.blake3}, Civitai publishes {file.blake3}",
                subject=file.path,
                data={"expected": file.blake3, "received": digests.blake3, "kept_at": where},
            )
        check_payload(file, part, self._parts)


def _name_of(file: LockedFile, etag: str) -> str:
    return f"{file.source_version_id}/{file.file_id}/{file.size}/{etag}"
