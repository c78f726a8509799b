"""The half-received files below a root, each held by one process at a time.

A part is named by the SHA-256 it shall have. It is claimed by renaming it, so there is one
winner even where file locks lie; a part with more than one name, or whose owner may live
elsewhere, is copied first and never written to. What a dead process left is taken over.
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath
from civsync.disk.claims import (
    busy,
    claim_part,
    claims_for,
    drop_dead,
    drop_idle,
    held_under,
    parse_claim,
    part_name,
)
from civsync.disk.elsewhere import Brought, Elsewhere
from civsync.disk.faults import faults_of
from civsync.disk.folder import Folder
from civsync.disk.linked_part import LinkedPart
from civsync.disk.part import HeldPart
from civsync.disk.root import PARTS, Root
from civsync.disk.salvage import carry_whole, copy_whole, is_whole
from civsync.disk.sweeping import sweep_home
from civsync.disk.trash import QUARANTINE, TRASH, Trash
from civsync.ports import Part

RESTORED: Final = "restored"
"""What was salvaged out of this root itself."""

ClaimedPart = HeldPart | LinkedPart


class DiskParts:
    """The real `Parts`, of the root itself or of another `home` below it.

    Safe to share between threads.
    """

    def __init__(
        self,
        root: Root,
        now: Callable[[], float] = time.time,
        *,
        home: str = "",
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._root = root
        self._now = now
        self._home = home
        self._beneath = root.beneath
        self._place = self._beneath.near(home, PARTS)
        self._trash = Trash(root.beneath, now)
        self._elsewhere = elsewhere
        self._brought: dict[str, Brought] = {}
        self._others: dict[str, DiskParts] = {}
        self._mutex = threading.Lock()
        self._here: set[str] = set()
        self._claimed_before: frozenset[str] | None = None

    def near(self, path: SafePath) -> "DiskParts":
        """Return the parts in the home of `path`: always the same ones."""
        return self._of(self._beneath.home_of(path))

    @contextmanager
    def claim(self, sha256: str, size: int) -> Iterator[ClaimedPart]:
        """Hold the part for this content, with the bytes that earlier runs received.

        Raises DiskError root-busy if somebody else holds it, SafetyError unsafe-path if
        `sha256` is none.
        """
        name = part_name(sha256)
        with self._alone(sha256):
            brought = self._brought.pop(sha256, None)
            with faults_of("open", f"{self._place}/{name}"):
                part = self._open(sha256, size, brought)
            try:
                yield part
            finally:
                self._judge(part, brought)
                self._release(part)

    def claim_unnamed(self, name: str, size: int) -> AbstractContextManager[ClaimedPart]:
        """Hold the part that goes by `name`, as `claim` does; see `civsync.ports.BlindParts`."""
        return self.claim(_stand_in(name), size)

    def name_it(self, name: str, sha256: str) -> None:
        """Let the released part `name` be the one that `claim` finds under `sha256`."""
        old, new = part_name(_stand_in(name)), part_name(sha256)
        with faults_of("rename", f"{self._place}/{old}"):
            folder = self._folder()
            if folder.find(old) is not None:
                folder.rename(old, folder, new)

    def salvage(
        self, sha256: str, size: int, candidates: Sequence[SafePath], *, spending: bool = True
    ) -> str:
        """Make a whole part out of trash, quarantine, a copy of one of `candidates`, or elsewhere.

        So, too, of a whole part in another home. Raises DiskError (no-space, for one).
        """
        name = part_name(sha256)
        brought = self._brought.get(sha256)
        if brought is not None:
            return brought.how
        with faults_of("look through", TRASH):
            folder = self._folder()
            if is_whole(folder.find(name), size) or self._trash.recover(sha256, size, folder, name):
                return RESTORED
            if carry_whole(self._beneath, self._place, folder, sha256, size):
                return RESTORED
            if any(copy_whole(self._beneath, path, folder, sha256, size) for path in candidates):
                return RESTORED
        if self._elsewhere is None:
            return ""
        with faults_of("make", f"{self._place}/{name}"):
            brought = self._elsewhere.bring(folder, sha256, size, spending=spending)
        if brought is None:
            return ""
        self._brought[sha256] = brought
        return brought.how

    def quarantine(self, part: Part, reason: str) -> str:
        """Take a whole but wrong part out of the way; returns where it is, for people."""
        held = as_held(part)
        found = held.digests().sha256
        with faults_of("move", f"{self._place}/{held.name}"):
            folder = self._folder()
            if isinstance(held, HeldPart):
                held.park()  # without the journal, which is none of its bytes
            if os.name == "nt":
                held.close()
            place = self._trash.take(
                folder, held.name, sha256=found, reason=reason, place=QUARANTINE
            )
        held.gone = True
        return place or QUARANTINE

    def held(self) -> dict[str, int]:
        """Bytes already received, SHA-256 to their number: in all homes on this disk."""
        found: dict[str, int] = {}
        for home in self.homes:
            place = self._beneath.near(home, PARTS)
            with (
                faults_of("look at", place),
                contextlib.suppress(FileNotFoundError),
                self._beneath.folder(place) as folder,
            ):
                for name in folder.names():
                    sha256 = name.partition(".")[0]
                    found[sha256] = max(found.get(sha256, 0), held_under(folder, name) or 0)
        return found

    @property
    def homes(self) -> tuple[str, ...]:
        """The homes that share the space of this disk. Raises DiskError."""
        homes = self._beneath.homes
        if len(homes) == 1:
            return homes
        with faults_of("look at", self._place):
            here = self._beneath.device(self._home)
            return tuple(home for home in homes if self._beneath.device(home) == here)

    def free_bytes(self) -> int:
        """Free space for this user on the disk of the parts, be the root there or not yet."""
        place = self._beneath.place(self._home)
        with faults_of("measure", place):
            while True:
                try:
                    return _free(place)
                except FileNotFoundError:
                    if place == os.path.dirname(place):
                        raise
                    place = os.path.dirname(place)

    def sweep(self, now_ns: int, *, wanted: Collection[str] = frozenset()) -> int:
        """Delete what waited long enough in parts, trash and quarantine; count the files.

        So in all homes of the root. Parts for the SHA-256s in `wanted`, and those that
        somebody holds, stay. What cannot be deleted stays, too: this is housekeeping, and
        never fails a run.
        """
        beneath, trash = self._beneath, self._trash
        return sum(sweep_home(beneath, trash, home, now_ns, wanted) for home in beneath.homes)

    def _may_be_orphaned(self, sha256: str) -> bool:
        """Tell whether there may be a claim that another process left, or still has.

        The folder is listed once: for each of ten thousand files it would take longer than
        all else. A process that comes later waits for the lock of the root; where locks do
        not work both receive the file, which costs bytes and spoils nothing.
        """
        with self._mutex:
            if self._claimed_before is None:
                claims = map(parse_claim, self._folder().names())
                self._claimed_before = frozenset(each.sha256 for each in claims if each)
            return sha256 in self._claimed_before

    @contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        with self._mutex:
            if sha256 in self._here:
                raise busy(sha256)
            self._here.add(sha256)
        try:
            yield
        finally:
            with self._mutex:
                self._here.discard(sha256)

    def _open(self, sha256: str, size: int, brought: Brought | None) -> ClaimedPart:
        """Claim the part, or the hard link that stands in for it. Raises as `claim`, OSError."""
        folder = self._folder()
        if brought is not None and brought.digests is not None:
            fd = folder.open(brought.name, os.O_RDONLY)
            return LinkedPart(
                folder, brought.name, fd, digests=brought.digests, stamp=brought.stamp
            )
        orphaned = self._may_be_orphaned(sha256)
        claimed, fd = claim_part(folder, sha256, size, orphaned=orphaned)
        try:
            return HeldPart(folder, claimed, fd, sha256=sha256, size=size)
        except BaseException:
            os.close(fd)
            raise

    def _judge(self, part: ClaimedPart, brought: Brought | None) -> None:
        """Distrust where bytes came from if others had to be received in their place."""
        if brought is None or self._elsewhere is None:
            return
        with contextlib.suppress(CivsyncError):
            if part.stamp != brought.stamp:
                self._elsewhere.distrust(brought.known)

    def _release(self, part: ClaimedPart) -> None:
        if part.gone:
            part.close()
            self._drop_others(part.sha256)
            return
        if isinstance(part, LinkedPart):
            part.close()
            with contextlib.suppress(OSError, CivsyncError):
                self._folder().unlink(part.name)
            return
        try:
            # Whatever fails here leaves a claim of a dead owner, which the next run takes over.
            with contextlib.suppress(OSError, CivsyncError):
                folder = self._folder()
                name = part_name(part.sha256)
                other = held_under(folder, name) or 0
                part.park()
                if os.name == "nt":
                    part.close()
                if part.spoiled or not part.done.spans or other > part.done.total:
                    folder.unlink(part.name)
                else:
                    folder.rename(part.name, folder, name)
        finally:
            part.close()

    def _drop_others(self, sha256: str) -> None:
        """Delete what dead processes received of a content whose whole part was taken away.

        One whose owner may live is left to it: it finds out by itself that it comes late.
        """
        with contextlib.suppress(OSError, CivsyncError):
            folder = self._folder()
            if folder.find(part_name(sha256)) is not None:
                drop_idle(folder, part_name(sha256))
            if self._may_be_orphaned(sha256):
                for claim in claims_for(folder, sha256):
                    drop_dead(folder, claim)

    def _folder(self) -> Folder:
        return self._beneath.kept(self._place)

    def _of(self, home: str) -> "DiskParts":
        if home == self._home:
            return self
        with self._mutex:
            if home not in self._others:
                self._others[home] = DiskParts(
                    self._root, self._now, home=home, elsewhere=self._elsewhere
                )
            return self._others[home]


def _stand_in(name: str) -> str:
    """Return what stands for the SHA-256 in the name of a part whose hash is not known.

    No model has it, so nothing that is received under it can ever be published.
    """
    return hashlib.sha256(b"civsync part without a name\0" + name.encode()).hexdigest()


def as_held(part: Part) -> ClaimedPart:
    """Return `part` as what `DiskParts.claim` gave out; another kind is a programming error."""
    if not isinstance(part, HeldPart | LinkedPart):
        raise TypeError("this part was claimed elsewhere")
    return part


def _free(place: str) -> int:
    if hasattr(os, "statvfs"):
        status = os.statvfs(place)
        return status.f_bavail * status.f_frsize
    import shutil  # noqa: PLC0415 - it loads every archive module, for Windows alone

    return shutil.disk_usage(place).free
