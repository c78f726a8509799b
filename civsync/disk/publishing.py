"""Give verified parts their final names, many together: few flushes, and the order of one.

For each file it is the order that survives a power cut: its bytes are on the medium before it
has a name, the name before the part's own name goes, and both before it is said to be there.
What many files share, the flush of a directory, is done once for all of them.
"""

import contextlib
import os
import stat
from collections.abc import Sequence
from types import TracebackType

from civsync.core.codes import Code
from civsync.core.disk import Regular, Stamp
from civsync.core.errors import CivsyncError, DiskError, SafetyError
from civsync.core.names import SafePath
from civsync.disk.beneath import Beneath
from civsync.disk.durable import name_new
from civsync.disk.faults import NO_LINKS, translate
from civsync.disk.folder import Folder
from civsync.disk.parts import ClaimedPart, as_held
from civsync.disk.root import PARTS
from civsync.disk.stamps import stamp_of
from civsync.disk.trash import Trash
from civsync.disk.writeback import begin_write_back
from civsync.ports import Publication


class _Entry:
    """One file on its way to its name, and what became of it.

    What goes wrong inside is kept for the end: it is this file's alone. `named` says that it
    has the name, `spare` that its part has one, too.
    """

    def __init__(self, wanted: Publication) -> None:
        self.held: ClaimedPart = as_held(wanted.part)
        self.path: SafePath = wanted.path
        self.folder, _, self.name = wanted.path.rpartition("/")
        self.old = None
        if wanted.replacing is not None:
            self.old = Regular(wanted.replacing, wanted.old_sha256)
        self.named = self.spare = False
        self.stamp = Stamp(0, 0, 0)
        self.error: CivsyncError | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, OSError):
            error = translate(error, "publish", self.path)
        if isinstance(error, CivsyncError):
            self.error = self.error or error
        return isinstance(error, CivsyncError)


class Publishing:
    """Gives names below one root; `linkless` turns true once a disk has no hard links.

    Each part must have been claimed in the home of its path. Safe to share between threads
    that work on different paths.
    """

    def __init__(self, beneath: Beneath, trash: Trash) -> None:
        self._beneath = beneath
        self._trash = trash
        self.linkless = False

    def publish(self, wanted: Sequence[Publication]) -> list[Stamp | CivsyncError]:
        """Give them their names; see `civsync.ports.Store`.

        The errors are SafetyError foreign-file, modified-file, obstacle,
        symlinked-directory; IntegrityError for a part that is not what it was claimed for;
        DiskError.
        """
        entries = [_Entry(each) for each in wanted]
        if len(entries) > 1 and self._beneath.durable:
            for entry in entries:
                begin_write_back(entry.held.descriptor)
        for entry in entries:
            with entry:
                entry.stamp = entry.held.seal()
        by_folder: dict[str, list[_Entry]] = {}
        for entry in entries:
            if entry.error is None:
                by_folder.setdefault(entry.folder, []).append(entry)
        for folder, group in by_folder.items():
            self._name_in(folder, group)
        self._flush_parts([entry for entry in entries if entry.named])
        return [entry.error or entry.stamp for entry in entries]

    def _name_in(self, path: str, group: list[_Entry]) -> None:
        """Name files of one directory, and flush it once."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self._beneath.folder(path, make=True))
            except (OSError, CivsyncError):
                for entry in group:
                    with entry:
                        raise
                return
            for entry in group:
                with entry:
                    self._name(entry, folder)
            named = [entry for entry in group if entry.named]
            try:
                if named:
                    # The new names are on the medium before the old ones go.
                    folder.sync()
            except OSError:
                for entry in named:
                    with entry:
                        raise
                return
            for entry in named:
                with entry:
                    self._finish(entry, folder)

    def _name(self, entry: _Entry, folder: Folder) -> None:
        held, path, parts = entry.held, entry.path, self._parts(entry)
        if stamp_of(parts.stat(held.name)) != entry.stamp:
            raise DiskError(Code.DISK_FAILED, f"somebody changed the part for {path}", subject=path)
        if os.name == "nt":
            held.close()
        if entry.old is None:
            try:
                entry.spare = name_new(parts, held.name, folder, entry.name)
            except FileExistsError:
                raise in_the_way(folder, entry.name, path) from None
            self.linkless |= not entry.spare
        else:
            self._discard(entry.old, entry, folder)
            parts.rename(held.name, folder, entry.name)
        entry.named = True

    def _discard(self, old: Regular, entry: _Entry, folder: Folder) -> None:
        """Give the old file a name in trash, durably, so that its own can be taken."""
        name, sha256, reason = entry.name, old.sha256 or "", "replaced"
        require(folder, name, old.stamp, entry.path)
        try:
            kept = self._trash.link(folder, name, sha256=sha256, reason=reason, expected=old.stamp)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            # Without links there is an instant with nothing under the name, never a wrong file.
            self.linkless = True
            kept = self._trash.take(folder, name, sha256=sha256, reason=reason, expected=old.stamp)
        if kept is None:
            raise modified(entry.path)

    def _finish(self, entry: _Entry, folder: Folder) -> None:
        """Take the part's own name away, where it still has one."""
        if entry.spare:
            self._parts(entry).unlink(entry.held.name)
        entry.held.gone = True
        entry.stamp = stamp_of(folder.stat(entry.name))

    def _flush_parts(self, named: list[_Entry]) -> None:
        homes: dict[str, list[_Entry]] = {}
        for entry in named:
            homes.setdefault(self._beneath.home_of(entry.path), []).append(entry)
        for group in homes.values():
            try:
                self._parts(group[0]).sync()
            except (OSError, CivsyncError):
                for entry in group:
                    with entry:
                        raise

    def _parts(self, entry: _Entry) -> Folder:
        return self._beneath.kept(self._beneath.near(entry.path, PARTS))


def require(folder: Folder, name: str, expected: Stamp, path: SafePath) -> None:
    """Raise SafetyError modified-file unless a file is as it was seen."""
    status = folder.find(name)
    if status is None or not stat.S_ISREG(status.st_mode) or stamp_of(status) != expected:
        raise modified(path)


def in_the_way(folder: Folder, name: str, path: SafePath) -> SafetyError:
    """Return the error for what has a name already that a file was to get."""
    status = folder.find(name)
    if status is not None and not stat.S_ISREG(status.st_mode):
        return obstacle(path)
    return SafetyError(
        Code.FOREIGN_FILE, f"there is a file at {path} already", subject=path, data={"path": path}
    )


def modified(path: SafePath) -> SafetyError:
    """Return the error for a file that is not as it was seen."""
    return SafetyError(
        Code.MODIFIED_FILE,
        f"{path} was changed since it was looked at",
        subject=path,
        data={"path": path},
    )


def obstacle(path: SafePath) -> SafetyError:
    """Return the error for what is no regular file."""
    return SafetyError(
        Code.OBSTACLE, f"{path} is not a regular file", subject=path, data={"path": path}
    )
