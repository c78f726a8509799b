"""Bring one locked file to its final name, whatever happens on the way.

The order of steps is the one that survives a crash: receive into a part, check size,
hash and format, note the intent, publish, note that it is placed. Tries are bounded by
progress: a try that brought bytes never held before starts the count anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never
from urllib.parse import urlsplit

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.disk import Digests, Owned, Stamp
from civsync.core.errors import CivsyncError, IntegrityError, WireError
from civsync.core.events import FileProgress, FileRetrying, FileStarted, Noted, Paused
from civsync.core.limits import FRESH_URLS, REDIRECTS, TRANSFER_ATTEMPTS
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.plan import Fetch, Replace
from civsync.core.wire import SignedUrl
from civsync.decide.formats import HEAD_BYTES, check_format
from civsync.decide.pace import HostPace
from civsync.decide.retry import Again, GiveUp, decide
from civsync.decide.transfer import Append, Drop, Follow, Restart, Verify
from civsync.engine.reception import Conversation, Reception
from civsync.ports import Clock, Ledger, Part, Parts, Reporter, Source, Store, Transport

T = TypeVar("T")

PROGRESS_EVERY_S = 0.1
"""Least time between two progress events of one file."""

MALFORMED_RANGES = 2
"""Unusable answers to a Range request in a row after which the part is dropped: a server that
cannot go on from there would otherwise keep the file from ever being finished."""


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

    def __init__(self, outside: Outside, *, workers: int, offline: bool) -> None:
        self._out = outside
        self._offline = offline
        self._threads = anyio.CapacityLimiter(workers * 2 + 2)
        self._pace = HostPace(spacing=0.0)
        self._admission = anyio.Lock()
        self._admitted: CivsyncError | bool = False

    async def fetch(self, action: Fetch | Replace, copies: Sequence[SafePath]) -> Fetched:
        """Make the file whole under its name.

        `copies` are owned paths below this root that hold the same content. Raises
        CivsyncError; what was received is kept for the next run.
        """
        file = action.want.file
        out = self._out
        salvaged = await self._in_thread(lambda: out.parts.salvage(file.sha256, file.size, copies))
        claim = out.parts.claim(file.sha256, file.size)
        part = await self._in_thread(claim.__enter__)
        try:
            how = "restored" if salvaged and part.held == file.size else "fetched"
            received = await self._receive_verified(file, part)
            owned = await self._in_thread(lambda: self._publish(action, part))
        finally:
            with anyio.CancelScope(shield=True):
                await self._in_thread(lambda: claim.__exit__(None, None, None))
        return Fetched(owned=owned, how=how, received=received)

    async def _receive_verified(self, file: LockedFile, part: Part) -> int:
        """Fill the part until its content is the locked one; return the bytes received."""
        self._out.report(FileStarted(path=file.path, size=file.size, held=part.held))
        reception = Reception(began=part.held)
        fresh = False
        while True:
            await self._receive(file, part, reception)
            digests = await self._in_thread(part.digests)
            if digests.sha256 == file.sha256:
                break
            if fresh or reception.began == 0:
                where = await self._in_thread(
                    lambda: self._out.parts.quarantine(part, "wrong SHA-256")
                )
                raise _wrong_content(file, digests, where)
            # It came in pieces, and the file may have changed between them: one try from
            # zero tells.
            self._out.report(
                Noted(
                    code="part-dropped",
                    message="the resumed download has another SHA-256; starting from zero",
                    path=file.path,
                )
            )
            await self._in_thread(part.restart)
            fresh = True
        await self._check_payload(file, part, digests)
        return reception.received

    async def _check_payload(self, file: LockedFile, part: Part, digests: Digests) -> None:
        if file.blake3 not in (None, digests.blake3):
            self._out.report(
                Noted(
                    code="blake3-disagrees",
                    message="the SHA-256 is the locked one, but the published BLAKE3 is not",
                    path=file.path,
                )
            )
        head = await self._in_thread(lambda: part.head(HEAD_BYTES))
        try:
            check_format(file.name, file.format, head, file.size)
        except IntegrityError:
            await self._in_thread(lambda: self._out.parts.quarantine(part, "wrong format"))
            raise

    async def _receive(self, file: LockedFile, part: Part, reception: Reception) -> None:
        """Receive until the part has the locked size."""
        if part.held < file.size:
            await self._admit(file)
        tries = 0
        fresh_urls = 0
        most = part.held
        refused: SignedUrl | None = None
        while part.held < file.size:
            url: SignedUrl | None = None
            try:
                url = await self._out.source.locate(file, refused=refused)
                refused = None
                await self._stream(url, file, part, reception)
                if part.held < file.size:
                    raise WireError(
                        Code.CONNECTION_LOST, "the body ended too early", subject=file.path
                    )
            except WireError as error:
                # Against the most ever held: a server that makes us start over again and
                # again must not count as one that moves on.
                tries = 0 if part.held > most else tries + 1
                most = max(most, part.held)
                if error.code is Code.URL_EXPIRED:
                    refused = url
                    fresh_urls += 1
                    if fresh_urls > FRESH_URLS:
                        raise
                await self._rest(file, error, tries)
                if error.code is Code.REPLY_MALFORMED and tries >= MALFORMED_RANGES:
                    await self._in_thread(part.restart)

    async def _admit(self, file: LockedFile) -> None:
        """Make sure, once in a run, that the network may be used and that the API key is good.

        Whatever came of it stands for all files of the run.
        """
        if self._offline:
            raise WireError(Code.OFFLINE, "the file must be downloaded", subject=file.path)
        async with self._admission:
            if self._admitted is False:
                try:
                    await self._out.source.check_login()
                    self._admitted = True
                except CivsyncError as error:
                    self._admitted = error
            if isinstance(self._admitted, CivsyncError):
                raise self._admitted

    async def _rest(self, file: LockedFile, error: WireError, tries: int) -> None:
        """Wait as the failure demands, or raise it when trying again is over."""
        if error.code is Code.URL_EXPIRED and tries <= 1:
            return
        decision = decide(
            error, max(tries, 1), self._out.clock.jitter(), attempts=TRANSFER_ATTEMPTS
        )
        if isinstance(decision, GiveUp):
            raise decision.error
        self._out.report(FileRetrying(path=file.path, error=error, delay=decision.delay))
        await self._out.clock.sleep(decision.delay)

    async def _stream(
        self, url: SignedUrl, file: LockedFile, part: Part, reception: Reception
    ) -> None:
        """Pour the bytes at `url` into the part, following redirects by hand."""
        address = url.url
        for _ in range(REDIRECTS + 1):
            host = urlsplit(address).netloc
            await self._wait_for(host)
            conversation = Conversation(file, part, address, reception, self._progress(file))
            headers = {"range": f"bytes={part.held}-"} if part.held else {}
            try:
                await self._out.transport.stream(address, headers, conversation.on_head)
            except WireError as error:
                self._pause(host, error)
                raise
            match conversation.verdict:
                case Follow(location=location):
                    address = location
                case Drop():
                    await self._in_thread(part.restart)
                    raise WireError(
                        Code.CONNECTION_LOST,
                        "the server cannot go on from where the last try ended",
                        subject=file.path,
                    )
                case Append() | Restart() | Verify() | None:
                    return
                case _:
                    assert_never(conversation.verdict)
        raise WireError(Code.BAD_REDIRECT, "too many redirects", subject=file.path)

    async def _wait_for(self, host: str) -> None:
        clock = self._out.clock
        while (wait := self._pace.wait(host, clock.monotonic())) > 0:
            await clock.sleep(wait)

    def _pause(self, host: str, error: WireError) -> None:
        """Let every worker leave a host alone that asked for a rest."""
        match decide(error, 1, self._out.clock.jitter()):
            case Again(delay=delay, shared=True):
                if self._pace.pause(host, self._out.clock.monotonic() + delay):
                    self._out.report(Paused(host=host, seconds=delay, error=error))
            case Again() | GiveUp():
                pass

    def _progress(self, file: LockedFile) -> Callable[[int], None]:
        last = 0.0

        def tell(held: int) -> None:
            nonlocal last
            now = self._out.clock.monotonic()
            if now - last >= PROGRESS_EVERY_S or held == file.size:
                last = now
                self._out.report(FileProgress(path=file.path, size=file.size, held=held))

        return tell

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
