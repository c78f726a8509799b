"""Receive the bytes of one file into a part, in as many tries as make progress.

Where the bytes are, which redirects to follow, how long to wait and when to give up is
settled here: tries are bounded by progress, and one that brought bytes never held before
starts the count anew. What the bytes are is not: whoever asked for them judges them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, IntegrityError, WireError
from civsync.core.events import FileProgress, FileRetrying, Paused
from civsync.core.limits import FRESH_URLS, REDIRECTS, TRANSFER_ATTEMPTS
from civsync.core.lock import LockedFile
from civsync.core.wire import SignedUrl
from civsync.decide.formats import HEAD_BYTES, check_format
from civsync.decide.pace import HostPace
from civsync.decide.retry import Again, GiveUp, decide
from civsync.decide.transfer import Drop, Follow
from civsync.engine.reception import Conversation, Glance, Reception
from civsync.ports import Clock, Part, Parts, Reporter, Source, Transport

G = TypeVar("G", bound=Glance)

PROGRESS_EVERY_S = 0.1
"""Least time between two progress events of one file."""

MALFORMED_RANGES = 2
"""Unusable answers to a Range request in a row after which the part is dropped: a server that
cannot go on from there would otherwise keep the file from ever being finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Everything that receiving needs of the world, but for the disk."""

    source: Source
    transport: Transport
    clock: Clock
    report: Reporter
    offline: bool = False


class Receiver:
    """Receives files; one instance serves all workers of a run.

    Blocking work of the disk runs in threads out of `threads`.
    """

    def __init__(self, network: Network, threads: anyio.CapacityLimiter) -> None:
        self._net = network
        self._threads = threads
        self._pace = HostPace(spacing=0.0)
        self._admission = anyio.Lock()
        self._admitted: CivsyncError | bool = False

    async def receive(
        self, file: LockedFile, part: Part, reception: Reception, *, etag: str | None = None
    ) -> None:
        """Receive until the part has the locked size.

        With `etag` no hash will tell whether resumed bytes belong together: what is held
        is then gone on from only where the server confirms that strong tag, and never if
        it is "". Raises CivsyncError, and ReplacedError if a reply has another tag; what
        was received stays in the part.
        """

        async def pour(url: SignedUrl) -> None:
            if etag == "" and part.held:
                await run_sync(part.restart, limiter=self._threads)
            await self._pour(url, file, part, reception, etag or "")

        await self._persist(file, pour, lambda: part.held >= file.size, part)

    async def identify(self, file: LockedFile) -> str:
        """Return the strong ETag that the file has just now, "" where the server gives none.

        Nothing of the body is kept. Raises CivsyncError.
        """
        found: Glance | None = None

        async def look(url: SignedUrl) -> None:
            nonlocal found
            found = await self._converse(url, file, lambda address: Glance(file, address))

        await self._persist(file, look, lambda: found is not None, None)
        return found.etag if found is not None else ""

    async def _persist(
        self,
        file: LockedFile,
        attempt: Callable[[SignedUrl], Awaitable[None]],
        done: Callable[[], bool],
        part: Part | None,
    ) -> None:
        """Call `attempt` with an address that works until all is done, or hope is lost."""
        if not done():
            await self._admit(file)
        tries = 0
        fresh_urls = 0
        most = _held(part)
        refused: SignedUrl | None = None
        while not done():
            url: SignedUrl | None = None
            try:
                url = await self._net.source.locate(file, refused=refused)
                refused = None
                await attempt(url)
            except WireError as error:
                # Against the most ever held: a server that makes us start over again and
                # again must not count as one that moves on.
                tries = 0 if _held(part) > most else tries + 1
                most = max(most, _held(part))
                if error.code is Code.URL_EXPIRED:
                    refused = url
                    fresh_urls += 1
                    if fresh_urls > FRESH_URLS:
                        raise
                await self._rest(file, error, tries)
                if part and error.code is Code.REPLY_MALFORMED and tries >= MALFORMED_RANGES:
                    await run_sync(part.restart, limiter=self._threads)

    async def _admit(self, file: LockedFile) -> None:
        """Make sure, once in a run, that the network may be used and that the API key is good.

        Whatever came of it stands for all files of the run.
        """
        if self._net.offline:
            raise WireError(Code.OFFLINE, "the file must be downloaded", subject=file.path)
        async with self._admission:
            if self._admitted is False:
                try:
                    await self._net.source.check_login()
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
            error, max(tries, 1), self._net.clock.jitter(), attempts=TRANSFER_ATTEMPTS
        )
        if isinstance(decision, GiveUp):
            raise decision.error
        self._net.report(FileRetrying(path=file.path, error=error, delay=decision.delay))
        await self._net.clock.sleep(decision.delay)

    async def _pour(
        self, url: SignedUrl, file: LockedFile, part: Part, reception: Reception, etag: str
    ) -> None:
        """Pour the bytes at `url` into the part. Raises WireError if some are still missing."""
        progress = self._progress(file)
        ended = await self._converse(
            url,
            file,
            lambda address: Conversation(file, part, address, reception, progress, etag=etag),
        )
        if isinstance(ended.verdict, Drop):
            await run_sync(part.restart, limiter=self._threads)
            raise WireError(
                Code.CONNECTION_LOST,
                "the server cannot go on from where the last try ended",
                subject=file.path,
            )
        if part.held < file.size:
            raise WireError(Code.CONNECTION_LOST, "the body ended too early", subject=file.path)

    async def _converse(self, url: SignedUrl, file: LockedFile, begin: Callable[[str], G]) -> G:
        """Ask at `url`, follow redirects by hand, and return the last conversation."""
        address = url.url
        for _ in range(REDIRECTS + 1):
            host = urlsplit(address).netloc
            await self._wait_for(host)
            conversation = begin(address)
            try:
                await self._net.transport.stream(
                    address, conversation.headers(), conversation.on_head
                )
            except WireError as error:
                self._pause(host, error)
                raise
            if not isinstance(conversation.verdict, Follow):
                return conversation
            address = conversation.verdict.location
        raise WireError(Code.BAD_REDIRECT, "too many redirects", subject=file.path)

    async def _wait_for(self, host: str) -> None:
        clock = self._net.clock
        while (wait := self._pace.wait(host, clock.monotonic())) > 0:
            await clock.sleep(wait)

    def _pause(self, host: str, error: WireError) -> None:
        """Let every worker leave a host alone that asked for a rest."""
        match decide(error, 1, self._net.clock.jitter()):
            case Again(delay=delay, shared=True):
                if self._pace.pause(host, self._net.clock.monotonic() + delay):
                    self._net.report(Paused(host=host, seconds=delay, error=error))
            case Again() | GiveUp():
                pass

    def _progress(self, file: LockedFile) -> Callable[[int], None]:
        last = 0.0

        def tell(held: int) -> None:
            nonlocal last
            now = self._net.clock.monotonic()
            if now - last >= PROGRESS_EVERY_S or held == file.size:
                last = now
                self._net.report(FileProgress(path=file.path, size=file.size, held=held))

        return tell


@asynccontextmanager
async def hold(
    claim: AbstractContextManager[Part], threads: anyio.CapacityLimiter
) -> AsyncIterator[Part]:
    """Hold a part, and let go of it also when cancelled. Raises what claiming raises."""
    part = await run_sync(claim.__enter__, limiter=threads)
    try:
        yield part
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(lambda: claim.__exit__(None, None, None), limiter=threads)


def check_payload(file: LockedFile, part: Part, parts: Parts) -> None:
    """Refuse a whole part whose first bytes are not what its name promises. Blocks.

    It goes to quarantine. Raises IntegrityError not-a-model, format-mismatch.
    """
    try:
        check_format(file.name, file.format, part.head(HEAD_BYTES), file.size)
    except IntegrityError:
        parts.quarantine(part, "wrong format")
        raise


def _held(part: Part | None) -> int:
    return 0 if part is None else part.held
