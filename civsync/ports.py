"""The seams: what the engine needs of the world, as Protocols of at most five methods.

Each has an in-memory twin in the tests and one contract suite that runs on the twin and
on the real adapter. Foreign exceptions end at these seams: whatever is raised is a
CivsyncError (or a cancellation).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from civsync.core.control import Order, RunView
from civsync.core.disk import Digests, Inventory, Owned, Receipt, Stamp, Trashed
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.ranges import Ranges
from civsync.core.values import dataclass
from civsync.core.wire import Head, HttpAnswer, HttpRequest, SignedUrl

if TYPE_CHECKING:
    # Every run needs the ports, and few ask questions.
    from civsync.core.questions import Question, QuestionAnswer

T = TypeVar("T")

Sink = Callable[[memoryview | bytes], None]
"""Takes the next bytes of a body, in order; may raise a CivsyncError to stop it.

A view stays as it is for PIECES_KEPT calls more: then its buffer is used again.
"""


class Clock(Protocol):
    """Time and chance."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    def worked(self) -> float:
        """Return how long this process has worked, as if all the processors it may use were one.

        In seconds; it grows by no more than the time does.
        """
        ...

    def jitter(self) -> float:
        """A number in [0, 1)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class Reporter(Protocol):
    """Listens. May be called from any thread; must never raise or block for long."""

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        ...


class Control(Protocol):
    """Steers a running sync from outside. Called in the event loop; never blocks."""

    def view(self) -> RunView:
        """Return how far everything is."""
        ...

    def obey(self, order: Order) -> int:
        """Carry an order out and return how many downloads it changes (Limit: 0)."""
        ...


class Errand(Protocol):
    """What blocking work has of the wire, in the worker thread that it runs in."""

    def get(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """Do what `Transport.stream` does, in this thread."""
        ...

    def rest(self, seconds: float) -> None:
        """Wait; ended at once by a cancellation, as `get`."""
        ...


class Transport(Protocol):
    """Moves requests and bytes. Follows no redirect and adds no credentials."""

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """Return a small reply whole, whatever its status.

        Raises WireError: unreachable, tls-failed, timed-out, connection-lost,
        reply-malformed, answer-too-large.
        """
        ...

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """Ask for `url` and pour the body into the sink that `judge` returns.

        `judge` sees status and headers before a byte of the body is read. It may raise to
        refuse the body; if it returns None, the body (up to ERROR_BODY_BYTES) is returned
        instead, for errors to be read. With a sink, b"" is returned when the body ended;
        whether it was whole is for the caller to count. Judge and sink run in a worker
        thread. Raises WireError as `ask`, and what `judge` or the sink raise. Cancelling
        ends a blocked read within a second, and no byte reaches the sink after that.
        """
        ...

    async def errand(self, work: Callable[[Errand], T]) -> T:
        """Return what blocking `work` returns, which may receive bodies in its worker thread.

        One body at a time, so it takes the place of one stream. Raises what `work` raises.
        Cancelling ends what it does with the wire within a second, and waits for its end;
        if it returns all the same, that was done, and is returned.
        """
        ...

    def limit(self, rate: int | None) -> None:
        """Let all bodies together come at `rate` bytes a second at most; None for no limit."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Source(Protocol):
    """Something that knows models and can say where the bytes of a locked file are."""

    async def answer(self, question: "Question") -> "QuestionAnswer":
        """Answer one question; retries what is worth retrying.

        Raises RegistryError or WireError when there is no answer to be had.
        """
        ...

    async def locate(self, file: LockedFile, *, refused: SignedUrl | None = None) -> SignedUrl:
        """Return where the bytes are. A URL is used again until given back as `refused`.

        Raises RegistryError (login-needed, early-access, gone, ...) or WireError.
        """
        ...

    def locate_now(self, file: LockedFile, errand: Errand) -> SignedUrl | None:
        """Do what `locate` does, in the thread of an errand; None where that takes more.

        Raises what `locate` raises.
        """
        ...

    async def check_login(self) -> str | None:
        """Return the account's name, or None without a token.

        Raises RegistryError token-refused, or WireError.
        """
        ...


class Part(Protocol):
    """A half-received file that this process alone holds."""

    @property
    def done(self) -> Ranges:
        """Which bytes the file holds, or will in a moment if no write fails."""
        ...

    def write(self, data: memoryview | bytes, at: int) -> None:
        """Put bytes at their place, from offset `at` on; several threads may, at places apart.

        `data` must stay as it is for PIECES_KEPT calls of this thread more. Raises
        DiskError, which may be about bytes of earlier calls, which `done` lacks then; or
        IntegrityError size-mismatch beyond the locked size.
        """
        ...

    def restart(self) -> None:
        """Forget everything received: the next byte is byte 0."""
        ...

    def digests(self) -> Digests:
        """Hashes of the bytes before the first gap (waits for the hashing thread).

        Raises DiskError, also as `write`.
        """
        ...

    def head(self, size: int) -> bytes:
        """The first `size` bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A verified part and the final name that it shall have.

    With `replacing` None nothing may be there; else what is there must still have that stamp.
    `old_sha256` is kept with the old file; what is no SHA-256 means that nobody knows it.
    """

    part: Part
    path: SafePath
    replacing: Stamp | None = None
    old_sha256: str = ""


class Store(Protocol):
    """The tree below one root. All paths are relative; no link below the root is followed.

    Methods block; the engine calls them in worker threads. They raise DiskError or
    SafetyError.
    """

    def survey(self, paths: Iterable[SafePath]) -> Inventory:
        """Return what is at each path, by stat alone."""
        ...

    def digest(
        self,
        path: SafePath,
        progress: Callable[[int], None] | None = None,
        *,
        known: Digests | None = None,
    ) -> tuple[Digests, Stamp]:
        """Read a file; `progress` is told the bytes read so far, of this reading.

        `known` is what the file was when both its hashes were made: if it still has that
        size and that BLAKE3 it is returned without computing the SHA-256.
        """
        ...

    def publish(self, wanted: Sequence[Publication]) -> Sequence[Stamp | CivsyncError]:
        """Give verified parts their final names, durably; an old file goes to trash first.

        Returns for each its stamp, or why it has no name that can be relied on, which says
        nothing of the others: SafetyError foreign-file, modified-file, for two. Nothing is
        raised. Many together cost far fewer flushes than one after the other.
        """
        ...

    def move(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        """Rename an unchanged file; nothing may be at the target. Durable.

        `sha256` is its content, which is verified where it has to be copied to another disk.
        """
        ...

    def retire(
        self, path: SafePath, *, expected: Stamp, sha256: str, reason: str = "not wanted any more"
    ) -> None:
        """Move an unchanged file into trash and remove directories that became empty.

        `sha256` and `reason`, a few words for people, are kept with it.
        """
        ...


class Quarantine(Protocol):
    """Where damaged files wait for somebody to look at them. Blocks."""

    def set_aside(self, path: SafePath, *, expected: Stamp, sha256: str, reason: str) -> str:
        """Take a file out of the tree, durably; returns where it is, for people.

        It must still have the stamp `expected`; `sha256` is its content, "" if it cannot
        be read. Raises SafetyError modified-file; DiskError.
        """
        ...


class Parts(Protocol):
    """Half-received files below the root, named by the SHA-256 they shall have."""

    def claim(self, sha256: str, size: int) -> AbstractContextManager[Part]:
        """Hold the part for this content, with the bytes that earlier runs received.

        On leaving, a part that was not published is kept for the next run. Raises
        DiskError root-busy if another process holds it just now.
        """
        ...

    def salvage(
        self, sha256: str, size: int, candidates: Sequence[SafePath], *, spending: bool = True
    ) -> str:
        """Make a whole part out of what this machine has, `candidates` of this root for one.

        If the next `claim` will hold `size` bytes (which the caller still verifies), it says
        how: "restored" where they were below this root, else "reflinked", "hardlinked" or
        "copied"; else "". Without `spending` only what takes no more space is tried elsewhere.
        """
        ...

    def quarantine(self, part: Part, reason: str) -> str:
        """Take a whole but wrong part out of the way; returns where it is, for people."""
        ...

    def held(self) -> Mapping[str, int]:
        """Bytes already received, SHA-256 to their number."""
        ...

    def free_bytes(self) -> int:
        """Free space for this user on the disk of the parts."""
        ...


PartsOf = Callable[[SafePath], Parts]
"""Gives the parts on the disk that a path is on; they are the same for all paths there."""


class BlindParts(Protocol):
    """Parts of files whose SHA-256 is not known before they are received."""

    def claim_unnamed(self, name: str, size: int) -> AbstractContextManager[Part]:
        """Hold the part that goes by `name`, any text, as `Parts.claim` does by a hash.

        It cannot be published. Raises DiskError root-busy.
        """
        ...

    def name_it(self, name: str, sha256: str) -> None:
        """Let the released part `name`, whole, be what `Parts.claim` finds under `sha256`.

        It replaces a part that is there. Without a part `name` nothing happens. Raises
        DiskError, SafetyError unsafe-path.
        """
        ...


class TrashCan(Protocol):
    """What was taken out of the tree below one root and waits to be deleted.

    Methods block. They raise DiskError or SafetyError.
    """

    def entries(self) -> Sequence[Trashed]:
        """Return what is there, the oldest first."""
        ...

    def digest(
        self, trashed: Trashed, progress: Callable[[int], None] | None = None
    ) -> tuple[Digests, Stamp]:
        """Read a file; `progress` is told the bytes read so far, in all."""
        ...

    def restore(self, trashed: Trashed, path: SafePath, *, expected: Stamp) -> Stamp:
        """Move an unchanged file into the tree; nothing may be at `path`. Durable.

        Raises SafetyError path-taken, modified-file.
        """
        ...

    def discard(self, trashed: Trashed) -> int:
        """Delete a file for good; returns the bytes that this gave back, 0 if it had gone."""
        ...


class Ledger(Protocol):
    """Remembers what civsync owns. Blocks; raises DiskError or SafetyError."""

    def read(self) -> Receipt:
        """Return the receipt, with what an interrupted run left behind worked in."""
        ...

    def intend(self, *owned: Owned) -> None:
        """Note durably, with one flush, that these files are about to get their names.

        Their stamps are those of the parts. A crash after this loses no ownership.
        """
        ...

    def placed(self, *owned: Owned) -> None:
        """Note that these files have their names, with their final stamps."""
        ...

    def released(self, path: SafePath) -> None:
        """Note that a path is not ours any more."""
        ...

    def commit(self, receipt: Receipt) -> None:
        """Write the whole receipt, durably, and forget the notes that led to it."""
        ...
