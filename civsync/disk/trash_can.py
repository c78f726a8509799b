"""What waits in the trash of a root, for people: looked at, put back, deleted for good.

All that stands in the folder is input: names that are not ours, what is no regular file and
notes that do not fit their file count for nothing. Quarantine is not looked at.
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from civsync.core.codes import Code
from civsync.core.disk import Digests, Stamp, Trashed
from civsync.core.errors import SafetyError
from civsync.core.limits import TRASH_NOTE_BYTES
from civsync.core.names import SafePath
from civsync.disk.durable import place_new
from civsync.disk.faults import faults_of
from civsync.disk.folder import Folder
from civsync.disk.hashing import digest_file
from civsync.disk.root import Root
from civsync.disk.stamps import settle, stamp_of
from civsync.disk.trash import TRASH, drop_note, put_back
from civsync.disk.trash_names import TrashName, note_of, parse_name
from civsync.documents.trash_note import TrashNote, read_note


class DiskTrashCan:
    """The real `TrashCan`: of all homes of the root, or of these."""

    def __init__(self, root: Root, homes: Sequence[str] | None = None) -> None:
        self._beneath = root.beneath
        homes = self._beneath.homes if homes is None else homes
        self._places = tuple(self._beneath.near(home, TRASH) for home in homes)

    def entries(self) -> tuple[Trashed, ...]:
        """Return what is there, the oldest first."""
        found: list[Trashed] = []
        for place in self._places:
            with (
                faults_of("look through", place),
                contextlib.suppress(FileNotFoundError),
                self._beneath.folder(place) as bin_,
            ):
                for text in bin_.names():
                    name, status = parse_name(text), bin_.find(text)
                    if name is not None and status is not None and stat.S_ISREG(status.st_mode):
                        found.append(_describe(bin_, name, status))
        return tuple(sorted(found, key=lambda each: (each.seconds, each.id)))

    def digest(
        self, trashed: Trashed, progress: Callable[[int], None] | None = None
    ) -> tuple[Digests, Stamp]:
        """Read a file; the stamp is from before the first byte was read."""
        with faults_of("read", place_of(trashed)), self._folder(trashed) as bin_:
            fd = bin_.open(_name_of(trashed), os.O_RDONLY)
            with io.FileIO(fd, "rb") as file:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise _changed(trashed)
                settle(bin_, status.st_mtime_ns)
                stamp = stamp_of(os.fstat(fd))
                return digest_file(file, progress), stamp

    def restore(self, trashed: Trashed, path: SafePath, *, expected: Stamp) -> Stamp:
        """Give an unchanged file a name in the tree, durably, and never over anything.

        A file stays on its disk. Raises SafetyError path-taken, modified-file,
        symlinked-directory, obstacle, and undeclared-disk for a path on another disk; DiskError.
        """
        parent, _, new = path.rpartition("/")
        name = _name_of(trashed)
        with (
            faults_of("restore", path),
            self._folder(trashed) as bin_,
            self._beneath.folder(parent, make=True) as folder,
        ):
            if stamp_of(bin_.stat(name)) != expected:
                raise _changed(trashed)
            try:
                place_new(bin_, name, folder, new)
            except FileExistsError:
                if not os.path.samestat(bin_.stat(name), folder.stat(new)):
                    raise _taken(path) from None
                # An earlier try was cut off between its two steps.
                bin_.unlink(name)
                bin_.sync()
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                raise _elsewhere(trashed, path) from None
            stamp = stamp_of(folder.stat(new))
            if stamp != expected:
                put_back(folder, new, bin_, name)
                raise _changed(trashed)
            drop_note(bin_, name)
            return stamp

    def discard(self, trashed: Trashed) -> int:
        """Delete a file for good; returns the bytes that this gave back, 0 if it had gone."""
        name = _name_of(trashed)
        with faults_of("delete", place_of(trashed)), self._folder(trashed) as bin_:
            status = bin_.find(name)
            if status is None or not stat.S_ISREG(status.st_mode):
                return 0
            bin_.unlink(name)
            drop_note(bin_, name)
            return _frees(status)

    def _folder(self, trashed: Trashed) -> AbstractContextManager[Folder]:
        """Open the trash that holds a file, or the first one if it is gone."""
        name, look = _name_of(trashed), self._beneath.look
        several = self._places if len(self._places) > 1 else ()
        holding = (place for place in several if look(f"{place}/{name}") is not None)
        return self._beneath.folder(next(holding, self._places[0]))


def place_of(trashed: Trashed) -> str:
    """Return where a file in trash is, below the root."""
    return f"{TRASH}/{_name_of(trashed)}"


def _name_of(trashed: Trashed) -> str:
    return str(TrashName(sha256=trashed.sha256 or "", seconds=trashed.seconds, id=trashed.id))


def _describe(bin_: Folder, name: TrashName, status: os.stat_result) -> Trashed:
    note = _note(bin_, name, status.st_size)
    return Trashed(
        id=name.id,
        path=note.path if note else None,
        sha256=name.sha256 or None,
        size=status.st_size,
        frees=_frees(status),
        reason=note.reason if note else "",
        seconds=name.seconds,
    )


def _note(bin_: Folder, name: TrashName, size: int) -> TrashNote | None:
    text = note_of(str(name))
    with contextlib.suppress(OSError):
        status = bin_.find(text)
        # Nothing else has a size, and a pipe could be waited for.
        if status is not None and stat.S_ISREG(status.st_mode):
            return read_note(bin_.read(text, TRASH_NOTE_BYTES), sha256=name.sha256, size=size)
    return None


def _frees(status: os.stat_result) -> int:
    return status.st_size if status.st_nlink == 1 else 0


def _taken(path: SafePath) -> SafetyError:
    return SafetyError(
        Code.PATH_TAKEN, "something is there already", subject=path, data={"path": path}
    )


def _elsewhere(trashed: Trashed, path: SafePath) -> SafetyError:
    return SafetyError(
        Code.UNDECLARED_DISK,
        f"{trashed.id} is in the trash of another disk than {path}",
        subject=path,
        hint="Give it a path on the disk that it lay on.",
        data={"path": path},
    )


def _changed(trashed: Trashed) -> SafetyError:
    place = place_of(trashed)
    return SafetyError(
        Code.MODIFIED_FILE,
        f"{place} was changed since it was looked at",
        subject=place,
        hint="See with `civsync trash list` what is in trash now.",
        data={"path": place},
    )
