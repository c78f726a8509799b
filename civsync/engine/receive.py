"""Receive the bytes of one file into a part, in as many tries as make progress.

Where the bytes are, which redirects to follow, how long to wait and when to give up is
settled here: tries are bounded by progress, and one that brought bytes never held before
starts the count anew. What the bytes are is not: whoever asked for them judges them.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.events import FileRetrying
from civsync.core.limits import (
    FRESH_URLS,
    REDIRECTS,
    TRANSFER_ATTEMPTS,
    TRANSFER_PATIENCE_S,
    URL_CONNECTIONS,
)
from civsync.core.lock import LockedFile
from civsync.core.wire import SignedUrl
from civsync.decide.pieces import Lease
from civsync.decide.retry import GiveUp, decide
from civsync.decide.transfer import Drop, Follow
from civsync.engine.crew import Crew
from civsync.engine.first_try import FirstTry, Tried
from civsync.engine.hosts import Hosts
from civsync.engine.lines import Lines
from civsync.engine.network import (
    DOWNLOAD_ROUTE,
    Network,
    ended_early,
    progress_of,
    too_many_redirects,
)
from civsync.engine.reception import (
    Conversation,
    Glance,
    Reception,
    StartOverError,
)
from civsync.ports import Errand

G = TypeVar("G", bound=Glance)

MALFORMED_RANGES = 2
"""Unusable answers to a Range request in a row after which the part is dropped: a server that
cannot go on from there would otherwise keep the file from ever being finished."""


class Receiver:
    """Receives files; one instance serves all workers of a run.

    Blocking work of the disk runs in threads out of `threads`.
    """

    def __init__(
        self, network: Network, threads: anyio.CapacityLimiter, lines: Lines | None = None
    ) -> None:
        self._net = network
        self._threads = threads
        self._lines = lines or Lines(network.clock)
        self._hosts = Hosts(network.clock, network.report)
        self._first = FirstTry(network, self._hosts)
        self._admission = anyio.Lock()
        self._admitted: CivsyncError | bool = False

    def receive_now(self, file: LockedFile, reception: Reception, errand: Errand) -> Tried | None:
        """Try once to receive what is missing, in the thread of an errand.

        Nothing is done where that would take more than a try: the bytes are there afterwards,
        or `receive` goes on, which also says how a try ends that failed. Raises CivsyncError
        where no try could help.
        """
        if self._admitted is not True or reception.part.done.total == file.size:
            return None
        return self._first.receive(file, reception, errand)

    async def receive(
        self,
        file: LockedFile,
        reception: Reception,
        *,
        etag: str | None = None,
        tried: Tried | None = None,
    ) -> None:
        """Receive until the part of `reception` has the locked size.

        `tried` is the first try, if that was made before.

        With `etag` no hash will tell whether resumed bytes belong together: what is held
        is then gone on from only where the server confirms that strong tag, and never if
        it is "". Raises CivsyncError, and ReplacedError if a reply has another tag; what
        was received stays in the part.
        """
        part, tag = reception.part, etag or ""
        url: SignedUrl | None = None
        progress = progress_of(file, self._net)

        def begin(address: str, lease: Lease) -> Conversation:
            return Conversation(file, address, lease, reception, progress, etag=tag)

        async def pour(lease: Lease) -> None:
            if url is not None:
                await self._pour(url, file, lease, lambda address: begin(address, lease))

        async def attempt(address: SignedUrl) -> None:
            nonlocal url
            url = address
            if etag == "" and part.done.spans:
                await run_sync(reception.restart, limiter=self._threads)
            await crew.lead()

        # Without a hash nothing could tell that several connections gave bytes of one file.
        crew = Crew(file, reception, pour, most=URL_CONNECTIONS if etag is None else 1)
        if part.done.total < file.size:
            async with self._lines.manned(crew):
                await self._persist(file, attempt, lambda: not crew.missing, crew, tried)

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
        crew: Crew | None,
        tried: Tried | None = None,
    ) -> None:
        """Call `attempt` with an address that works until all is done, or hope is lost."""
        await self._admit(file)
        tries = 0
        fresh_urls = 0
        most = tried.held if tried else _held(crew)
        moved_at = self._net.clock.monotonic()
        url = tried.url if tried else None
        refused: SignedUrl | None = None
        while not done():
            try:
                if tried is not None:
                    error, tried = tried.error, None
                    raise error
                url = url or await self._locate(file, refused)
                refused = None
                await attempt(url)
            except WireError as error:
                now = self._net.clock.monotonic()
                # Against the most ever held: a server that makes us start over again and
                # again must not count as one that moves on.
                if _held(crew) > most:
                    tries, moved_at = 0, now
                else:
                    tries += 1
                most = max(most, _held(crew))
                if now - moved_at > TRANSFER_PATIENCE_S:
                    raise
                if error.code is Code.URL_EXPIRED:
                    refused, url = url, None
                    fresh_urls += 1
                    if fresh_urls > FRESH_URLS:
                        raise
                await self._rest(file, error, tries)
                if crew and error.code is Code.REPLY_MALFORMED and tries >= MALFORMED_RANGES:
                    await crew.start_over()

    async def _locate(self, file: LockedFile, refused: SignedUrl | None) -> SignedUrl:
        await self._hosts.admit(DOWNLOAD_ROUTE)
        with self._hosts.watched(DOWNLOAD_ROUTE, lambda: False):
            return await self._net.source.locate(file, refused=refused)

    async def _admit(self, file: LockedFile) -> None:
        """Make sure, once in a run, that the network may be used and that the API key is good.

        Whatever came of it stands for all files of the run.
        """
        if self._net.offline:
            raise WireError(Code.OFFLINE, "the file must be downloaded", subject=file.path)
        if self._admitted is True:
            return
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
        self,
        url: SignedUrl,
        file: LockedFile,
        lease: Lease,
        begin: Callable[[str], Conversation],
    ) -> None:
        """Pour what a lease lacks into the part. Raises WireError if some is still missing."""
        ended = await self._converse(url, file, begin, lambda: lease.at > lease.start)
        if isinstance(ended.verdict, Drop):
            raise StartOverError
        if lease.left:
            raise ended_early(file)

    async def _converse(
        self,
        url: SignedUrl,
        file: LockedFile,
        begin: Callable[[str], G],
        moved: Callable[[], bool] = lambda: False,
    ) -> G:
        """Ask at `url`, follow redirects by hand, and return the last conversation.

        `moved` says whether that brought bytes.
        """
        address = url.url
        for _ in range(REDIRECTS - url.hops + 1):
            host = urlsplit(address).netloc
            await self._hosts.admit(host)
            conversation = begin(address)
            with self._hosts.watched(host, moved):
                await self._net.transport.stream(
                    address, conversation.headers(), conversation.on_head
                )
            if not isinstance(conversation.verdict, Follow):
                return conversation
            address = conversation.verdict.location
        raise too_many_redirects(file)


def _held(crew: Crew | None) -> int:
    return 0 if crew is None else crew.reception.part.done.total
