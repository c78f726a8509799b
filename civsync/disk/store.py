"""The tree below a root: what is there, and the only ways in which it changes.

A file gets its name whole, flushed and with the content that it was claimed for, or not at
all. Nothing is overwritten or taken away that is not, at that instant, what the caller saw.
"""

import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterable

from civsync.core.codes import Code
from civsync.core.disk import Digests, Inventory, Regular, Stamp
from civsync.core.errors import DiskError, IntegrityError, SafetyError
from civsync.core.names import SafePath
from civsync.disk.durable import place_new
from civsync.disk.faults import NO_LINKS, faults_of
from civsync.disk.folder import Folder
from civsync.disk.hashing import blake3_of_file, digest_file
from civsync.disk.parts import PARTS, ClaimedPart, DiskParts, as_held
from civsync.disk.root import Root
from civsync.disk.stamps import settle, stamp_of
from civsync.disk.survey import survey
from civsync.disk.trash import QUARANTINE, Trash
from civsync.ports import Part


class DiskStore:
    """The real `Store`. Safe to share between threads that work on different paths."""

    def __init__(self, root: Root, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._beneath = root.beneath
        self._trash = Trash(root.beneath, now)
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
                    raise _obstacle(path)
                settle(folder, status.st_mtime_ns)
                stamp = stamp_of(os.fstat(fd))
                if known is not None and known.size == stamp.size:
                    if blake3_of_file(file, progress) == known.blake3:
                        return known, stamp
                    file.seek(0)
                return digest_file(file, progress), stamp

    def publish(
        self, part: Part, path: SafePath, *, replacing: Stamp | None, old_sha256: str = ""
    ) -> Stamp:
        """Give a verified part its final name, durably; the old file goes to trash first.

        It must have been claimed in the home of `path`. Raises SafetyError foreign-file,
        modified-file, obstacle, symlinked-directory; IntegrityError if the part is not what
        it was claimed for; DiskError.
        """
        held = as_held(part)
        stamp = held.seal()
        parent, name = _split(path)
        with (
            faults_of("publish", path),
            self._beneath.folder(parent, make=True) as folder,
        ):
            parts = self._beneath.kept(self._beneath.near(path, PARTS))
            if stamp_of(parts.stat(held.name)) != stamp:
                raise DiskError(
                    Code.DISK_FAILED, f"somebody changed the part for {path}", subject=path
                )
            if os.name == "nt":
                held.close()
            if replacing is None:
                self._publish_new(held, parts, folder, name, path)
            else:
                old = Regular(replacing, old_sha256)
                self._publish_over(held, parts, folder, name, path, old)
            held.gone = True
            return stamp_of(folder.stat(name))

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
            _require(away, old, expected, source)
            renamed = True
            try:
                self.linkless |= not place_new(away, old, folder, new)
            except FileExistsError:
                if not _is_same_file(away, old, folder, new):
                    raise _in_the_way(folder, new, target) from None
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
            _require(folder, name, expected, path)
            kept = self._trash.take(folder, name, sha256=sha256, reason=reason, expected=expected)
            if kept is None:
                raise _modified(path)
        self._remove_empty(parent)

    def set_aside(self, path: SafePath, *, expected: Stamp, sha256: str, reason: str) -> str:
        """Move a damaged file into quarantine, durably; returns where it is, for people.

        Raises SafetyError modified-file, symlinked-directory, obstacle; DiskError.
        """
        parent, name = _split(path)
        with faults_of("quarantine", path), self._beneath.folder(parent) as folder:
            _require(folder, name, expected, path)
            kept = self._trash.take(
                folder, name, sha256=sha256, reason=reason, place=QUARANTINE, expected=expected
            )
            if kept is None:
                raise _modified(path)
            return kept

    def _is_between_homes(self, source: SafePath, target: SafePath) -> bool:
        return self._beneath.home_of(source) != self._beneath.home_of(target)

    def _carry(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        """Move a file to another disk. A cut leaves it where it was, or in both places."""
        parts = DiskParts(self._root, home=self._beneath.home_of(target))
        parts.salvage(sha256, expected.size, [source])
        with parts.claim(sha256, expected.size) as part:
            try:
                stamp = self.publish(part, target, replacing=None)
            except IntegrityError:
                # What was copied is of no use: it must not be gone on with.
                part.restart()
                raise
        self.retire(source, expected=expected, sha256=sha256, reason="moved to another disk")
        return stamp

    def _publish_new(
        self, held: ClaimedPart, parts: Folder, folder: Folder, name: str, path: SafePath
    ) -> None:
        try:
            self.linkless |= not place_new(parts, held.name, folder, name)
        except FileExistsError:
            raise _in_the_way(folder, name, path) from None

    def _publish_over(
        self,
        held: ClaimedPart,
        parts: Folder,
        folder: Folder,
        name: str,
        path: SafePath,
        old: Regular,
    ) -> None:
        _require(folder, name, old.stamp, path)
        sha256, reason = old.sha256 or "", "replaced"
        try:
            kept = self._trash.link(folder, name, sha256=sha256, reason=reason, expected=old.stamp)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            # Without links there is an instant with nothing under the name, never a wrong file.
            self.linkless = True
            kept = self._trash.take(folder, name, sha256=sha256, reason=reason, expected=old.stamp)
        if kept is None:
            raise _modified(path)
        parts.rename(held.name, folder, name)
        folder.sync()
        parts.sync()

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


def _require(folder: Folder, name: str, expected: Stamp, path: SafePath) -> None:
    status = folder.find(name)
    if status is None or not stat.S_ISREG(status.st_mode) or stamp_of(status) != expected:
        raise _modified(path)


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


def _in_the_way(folder: Folder, name: str, path: SafePath) -> SafetyError:
    status = folder.find(name)
    if status is not None and not stat.S_ISREG(status.st_mode):
        return _obstacle(path)
    return SafetyError(
        Code.FOREIGN_FILE, f"there is a file at {path} already", subject=path, data={"path": path}
    )


def _modified(path: SafePath) -> SafetyError:
    return SafetyError(
        Code.MODIFIED_FILE,
        f"{path} was changed since it was looked at",
        subject=path,
        data={"path": path},
    )


def _obstacle(path: SafePath) -> SafetyError:
    return SafetyError(
        Code.OBSTACLE, f"{path} is not a regular file", subject=path, data={"path": path}
    )
