"""The tree below a root: what is there, and the only ways in which it changes.

A file gets its name whole, flushed and with the content that it was claimed for, or not at
all. Nothing is overwritten or taken away that is not, at that instant, what the caller saw.
"""

import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence

from civsync.core.disk import Digests, Inventory, Stamp
from civsync.core.errors import CivsyncError, IntegrityError, SafetyError
from civsync.core.names import SafePath
from civsync.disk.durable import place_new
from civsync.disk.faults import faults_of
from civsync.disk.folder import Folder
from civsync.disk.hashing import blake3_of_file, digest_file
from civsync.disk.parts import DiskParts
from civsync.disk.publishing import Publishing, in_the_way, modified, obstacle, require
from civsync.disk.root import Root
from civsync.disk.stamps import settle, stamp_of
from civsync.disk.survey import survey
from civsync.disk.trash import QUARANTINE, Trash
from civsync.ports import Publication


class DiskStore:
    """The real `Store`. Safe to share between threads that work on different paths."""

    def __init__(self, root: Root, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._beneath = root.beneath
        self._trash = Trash(root.beneath, now)
        self._publishing = Publishing(root.beneath, self._trash)
        self.linkless = False
        """True once the file system was found to have no hard links (said once, to people)."""

    def survey(self, paths: Iterable[SafePath]) -> Inventory:
        """Return what is at each path, by stat alone; a root that is not there is empty."""
        return survey(self._beneath, paths)

    def digest(
        self,
        path: SafePath,
        progress: Callable[[int], None] | None = None,
        *,
        known: Digests | None = None,
    ) -> tuple[Digests, Stamp]:
        """Read a file; `progress` is told the bytes read so far, of this reading.

        What still has the BLAKE3 of `known` is that; anything else is read once more for
        both hashes. The stamp is from before the first byte was read, so a file that
        changes meanwhile does not have it any more.
        """
        parent, name = _split(path)
        with faults_of("read", path), self._beneath.folder(parent) as folder:
            fd = folder.open(name, os.O_RDONLY)
            with io.FileIO(fd, "rb") as file:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise obstacle(path)
                settle(folder, status.st_mtime_ns)
                stamp = stamp_of(os.fstat(fd))
                if known is not None and known.size == stamp.size:
                    if blake3_of_file(file, progress) == known.blake3:
                        return known, stamp
                    file.seek(0)
                return digest_file(file, progress), stamp

    def publish(self, wanted: Sequence[Publication]) -> list[Stamp | CivsyncError]:
        """Give verified parts their final names, durably; an old file goes to trash first.

        See `civsync.disk.publishing`.
        """
        published = self._publishing.publish(wanted)
        self.linkless |= self._publishing.linkless
        return published

    def move(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        """Rename an unchanged file; nothing may be at the target. Durable.

        Between disks it is copied, verified and published, and then retired where it was.
        Directories that became empty vanish. Raises SafetyError as `publish`; IntegrityError
        hash-mismatch if what was to be copied is not `sha256`; DiskError.
        """
        old_parent, old = _split(source)
        new_parent, new = _split(target)
        with (
            faults_of("move", source),
            self._beneath.folder(old_parent) as away,
            self._beneath.folder(new_parent, make=True) as folder,
        ):
            require(away, old, expected, source)
            renamed = True
            try:
                self.linkless |= not place_new(away, old, folder, new)
            except FileExistsError:
                if not _is_same_file(away, old, folder, new):
                    raise in_the_way(folder, new, target) from None
                _finish_rename(away, old, folder, new)
            except OSError as error:
                if error.errno != errno.EXDEV or not self._is_between_homes(source, target):
                    raise
                renamed = False
            moved = stamp_of(folder.stat(new)) if renamed else None
        if moved is None:
            return self._carry(source, target, expected=expected, sha256=sha256)
        self._remove_empty(old_parent)
        return moved

    def retire(
        self, path: SafePath, *, expected: Stamp, sha256: str, reason: str = "not wanted any more"
    ) -> None:
        """Move an unchanged file into trash and remove directories that became empty.

        Raises SafetyError modified-file, symlinked-directory, obstacle; DiskError.
        """
        parent, name = _split(path)
        with faults_of("retire", path), self._beneath.folder(parent) as folder:
            require(folder, name, expected, path)
            kept = self._trash.take(folder, name, sha256=sha256, reason=reason, expected=expected)
            if kept is None:
                raise modified(path)
        self._remove_empty(parent)

    def set_aside(self, path: SafePath, *, expected: Stamp, sha256: str, reason: str) -> str:
        """Move a damaged file into quarantine, durably; returns where it is, for people.

        Raises SafetyError modified-file, symlinked-directory, obstacle; DiskError.
        """
        parent, name = _split(path)
        with faults_of("quarantine", path), self._beneath.folder(parent) as folder:
            require(folder, name, expected, path)
            kept = self._trash.take(
                folder, name, sha256=sha256, reason=reason, place=QUARANTINE, expected=expected
            )
            if kept is None:
                raise modified(path)
            return kept

    def _is_between_homes(self, source: SafePath, target: SafePath) -> bool:
        return self._beneath.home_of(source) != self._beneath.home_of(target)

    def _carry(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        """Move a file to another disk. A cut leaves it where it was, or in both places."""
        parts = DiskParts(self._root, home=self._beneath.home_of(target))
        parts.salvage(sha256, expected.size, [source])
        with parts.claim(sha256, expected.size) as part:
            (published,) = self.publish([Publication(part=part, path=target)])
            if isinstance(published, IntegrityError):
                # What was copied is of no use: it must not be gone on with.
                part.restart()
            if isinstance(published, CivsyncError):
                raise published
        self.retire(source, expected=expected, sha256=sha256, reason="moved to another disk")
        return published

    def _remove_empty(self, path: str) -> None:
        """Remove `path` and those above it, as far up as they are empty; never the root."""
        while path:
            parent, name = _split(path)
            try:
                with self._beneath.folder(parent) as folder:
                    folder.rmdir(name)
                    folder.sync()
            except (OSError, SafetyError):
                # Not empty, or not ours to remove: either way it stays.
                return
            path = parent


def _split(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name


def _is_same_file(away: Folder, old: str, folder: Folder, new: str) -> bool:
    one, other = away.find(old), folder.find(new)
    return one is not None and other is not None and os.path.samestat(one, other)


def _finish_rename(away: Folder, old: str, folder: Folder, new: str) -> None:
    """Rename where both names lead to one file already.

    Either a disk that folds case takes them for one name, or an earlier move was cut off
    between its two steps and only the old name is left to remove.
    """
    if away.same(folder) and old == new:
        # Only the case of a directory differs, and this disk does not tell them apart.
        return
    if away.same(folder) and not {old, new} <= set(away.names()):
        away.rename(old, folder, new)
    else:
        away.unlink(old)
    folder.sync()
    away.sync()
