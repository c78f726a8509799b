"""Give whole files their names, many together, and say of each what became of it.

A file alone costs a flush of the notes, of itself and of two directories, one after the
other. Files that are named together share all of these but their own.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.disk import Digests, Owned, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.limits import (
    BATCH_BYTES,
    BATCH_FILES,
    BATCH_SPARE_DESCRIPTORS,
    BATCH_WAIT_S,
)
from civsync.core.plan import Fetch, Replace
from civsync.core.values import dataclass
from civsync.engine.hold import Hold
from civsync.ports import Clock, Ledger, Part, Publication, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that is in place now.

    `how` is "fetched", or what `Parts.salvage` said where the bytes were on this machine.
    """

    owned: Owned
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A file of which all bytes are here, and found to be the right ones; `hold` has its part.

    `how` is as in `Fetched`.
    """

    action: Fetch | Replace
    hold: Hold
    part: Part
    digests: Digests
    how: str

    @property
    def intended(self) -> Owned:
        """What will be owned, but for its stamp."""
        want = self.action.want
        return Owned(
            path=want.path,
            sha256=self.digests.sha256,
            blake3=self.digests.blake3,
            stamp=Stamp(self.digests.size, 0, 0),
            entry=want.entry.key,
            model_id=want.file.model_id,
            version_id=want.file.version_id,
            file_id=want.file.file_id,
            protect=self.action.protect,
        )

    @property
    def publication(self) -> Publication:
        """What the store is asked for."""
        action, path = self.action, self.action.want.path
        if isinstance(action, Fetch):
            return Publication(part=self.part, path=path)
        return Publication(
            part=self.part, path=path, replacing=action.old, old_sha256=action.old_sha256
        )


class Namer:
    """Names files, with the notes that keep ownership through a crash. Any thread may."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def name(self, wholes: Sequence[Whole]) -> list[Fetched | CivsyncError]:
        """Give them their names and let go of their parts; one that fails fails alone. Blocks."""
        try:
            return self._name(wholes)
        finally:
            for whole in wholes:
                whole.hold.release()

    def _name(self, wholes: Sequence[Whole]) -> list[Fetched | CivsyncError]:
        intended = [whole.intended for whole in wholes]
        try:
            self._ledger.intend(*intended)
        except CivsyncError as error:
            if len(wholes) > 1 and error.code is Code.NO_SPACE:
                # There may be room for the notes of some.
                return [each for whole in wholes for each in self._name([whole])]
            return [error for _ in wholes]
        found = self._store.publish([whole.publication for whole in wholes])
        placed = {
            at: replace(intended[at], stamp=stamp)
            for at, stamp in enumerate(found)
            if isinstance(stamp, Stamp)
        }
        unnoted: CivsyncError | None = None
        try:
            if placed:
                self._ledger.placed(*placed.values())
        except CivsyncError as error:
            unnoted = error
        results: list[Fetched | CivsyncError] = []
        for at, (whole, stamp) in enumerate(zip(wholes, found, strict=True)):
            if isinstance(stamp, CivsyncError):
                results.append(stamp)
            else:
                results.append(unnoted or Fetched(owned=placed[at], how=whole.how))
        return results


class Batch:
    """Small files of one errand that wait to get their names together.

    `told` hears what became of each, in the thread that concluded. Safe to share between the
    thread of the errand and one that looks after files which wait for too long.
    """

    def __init__(
        self,
        namer: Namer,
        clock: Clock,
        told: Callable[[Whole, Fetched | CivsyncError], None],
        *,
        files: int = BATCH_FILES,
    ) -> None:
        self._namer = namer
        self._clock = clock
        self._told = told
        self._files = files
        self._mutex = threading.Lock()
        self._naming = threading.Lock()
        self._waiting: list[Whole] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, whole: Whole) -> None:
        """Let a file wait, or, if that makes it enough of them, name all."""
        with self._mutex:
            if not self._waiting:
                self._since = self._clock.monotonic()
            self._waiting.append(whole)
            self._bytes += whole.digests.size
            enough = len(self._waiting) >= self._files or self._bytes >= BATCH_BYTES
        if enough or self.overdue:
            self.conclude()

    @property
    def overdue(self) -> bool:
        """Whether a file has waited for long enough."""
        with self._mutex:
            waited = self._clock.monotonic() - self._since
            return bool(self._waiting) and waited >= BATCH_WAIT_S

    def conclude(self) -> None:
        """Name all that wait; when this returns none does that was here before."""
        with self._naming:
            with self._mutex:
                wholes, self._waiting, self._bytes = self._waiting, [], 0
            if wholes:
                for whole, result in zip(wholes, self._namer.name(wholes), strict=True):
                    self._told(whole, result)


def most_files(errands: int) -> int:
    """Return how many files one of so many errands may let wait: each holds a descriptor."""
    try:
        import resource  # noqa: PLC0415 - exists on POSIX only
    except ImportError:
        return BATCH_FILES
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return BATCH_FILES
    return max(1, min(BATCH_FILES, (limit - BATCH_SPARE_DESCRIPTORS) // errands))
