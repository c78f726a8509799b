"""The directory that civsync keeps in step with a lock: is it there, is it the right one?

Opening a root writes nothing. A root that was seen before and has lost its marker is most
likely an unmounted disk, and nothing is done to it without the user's word: filling the
empty mount point, or retiring what seems to be gone, are the mistakes that this prevents
(syncthing's folder marker, after its issue 4345).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from civsync.core.errors import SafetyError
from civsync.core.limits import MIB
from civsync.disk.beneath import ANNEXES, OWN_FOLDER, ROOT_MARKER, Beneath
from civsync.disk.durable import place_new, prove_writable, write_whole
from civsync.disk.faults import faults_of, shown, translate
from civsync.disk.folder import HAS_DIR_FD, Folder
from civsync.disk.state import is_remembered, recall_root, remember_root
from civsync.documents.record import RecordError, number_in, read_record, text_in, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import StrPath

    from civsync.core.disk import Declared
    from civsync.disk.annex import Annex

CONTROL: Final = OWN_FOLDER
RECEIPT: Final = "receipt.json"
NOTES: Final = "notes.jsonl"
PARTS: Final = f"{CONTROL}/parts"
_MARKER: Final = ROOT_MARKER
_SCHEMA: Final = "civsync.root"
_VERSION: Final = 1


class Root:
    """A root that passed the guards. Made by `open_root`.

    `remembered` turns false if the state directory could not note the marker: then a disk
    that is not mounted the next time cannot be told from a new root.
    """

    def __init__(
        self,
        beneath: Beneath,
        state_dir: "StrPath",
        root_id: str | None,
        *,
        accept_new: bool = False,
    ) -> None:
        self.beneath = beneath
        self._state_dir = state_dir
        self._root_id = root_id
        self._accept_new = accept_new
        self.remembered = True

    @property
    def path(self) -> "Path":
        """The real path."""
        from pathlib import Path  # noqa: PLC0415 - a run with nothing to do needs none

        return Path(self.beneath.root)

    @property
    def root_id(self) -> str:
        """The marker's id, "" before `establish` on a new root."""
        return self._root_id or ""

    def establish(self) -> str:
        """Make the root, its control folder and its marker, prove it writable, remember it.

        So, too, for each annex. Called before anything is downloaded. Returns the root id.
        Raises DiskError read-only, no-space.
        """
        with faults_of("make", self.beneath.root):
            self.beneath.make_root()
        with (
            faults_of("write", f"{CONTROL}/{_MARKER}"),
            self.beneath.folder(CONTROL, make=True) as folder,
        ):
            if self._root_id is None:
                # Another civsync may have come first since the root was opened.
                self._root_id = _mark(folder) or _read_marker(self.beneath)
                if self._root_id is None:
                    raise _missing(self.beneath.root, "it has lost its marker")
            else:
                prove_writable(folder)
        if _may_have_annexes(self.beneath):
            from civsync.disk.annexes import establish_annexes  # noqa: PLC0415 - few roots have any

            establish_annexes(self.beneath, self._root_id, accept_new=self._accept_new)
        if not is_remembered(self._state_dir, self.beneath.root, self._root_id):
            self.remembered = remember_root(self._state_dir, self.beneath.root, self._root_id)
        return self._root_id


def open_root(
    path: "StrPath",
    *,
    state_dir: "StrPath",
    accept_new: bool = False,
    plain: bool = not HAS_DIR_FD,
    declared: Sequence["Declared"] = (),
    durable: bool = True,
) -> Root:
    """Open the root at `path`, which need not exist. Writes nothing.

    `accept_new` is the user's word that this is a new or another disk, `declared` which
    directories lie on other ones. Unless `durable` nothing is ever flushed to the disk. Raises
    SafetyError root-unusable, root-marker-missing, state-damaged, symlinked-directory,
    undeclared-disk, link-unusable; DiskError.
    """
    real = os.path.realpath(path)
    _refuse_files(real)
    annexes: Sequence[Annex] = ()
    if declared:
        from civsync.disk.annexes import open_annexes  # noqa: PLC0415 - few roots have any

        annexes = open_annexes(real, declared, plain=plain)
    beneath = Beneath(real, plain=plain, annexes=annexes, durable=durable)
    found = _read_marker(beneath)
    remembered = recall_root(state_dir, beneath.root)
    if not accept_new:
        if found is None and (remembered is not None or _has_receipt(beneath)):
            raise _missing(beneath.root, "it has lost its marker")
        if found is not None and remembered not in (None, found):
            raise _missing(
                beneath.root,
                f"{shown(beneath.root)} has another marker than the last time: another disk?",
                hint="Mount the disk of last time; if this one is meant, pass --new-root once.",
            )
    if _may_have_annexes(beneath):
        from civsync.disk.annexes import check_annexes  # noqa: PLC0415 - few roots have any

        check_annexes(beneath, found, accept_new=accept_new)
    return Root(beneath, state_dir, found, accept_new=accept_new)


def _refuse_files(root: str) -> None:
    try:
        status = os.stat(root)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        status = None
    except OSError as error:
        raise translate(error, "look at", root) from error
    if status is None or not stat.S_ISDIR(status.st_mode):
        from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

        raise SafetyError(
            Code.ROOT_UNUSABLE,
            f"{shown(root)} is not a directory",
            subject=shown(root),
            data={"root": shown(root)},
        )


def _read_marker(beneath: Beneath) -> str | None:
    place = f"{CONTROL}/{_MARKER}"
    try:
        with beneath.folder(CONTROL) as folder:
            marker = read_record(folder.read(_MARKER, MIB))
        schema, version = text_in(marker, "schema"), number_in(marker, "schema_version")
        root_id = text_in(marker, "root_id")
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise _damaged(f"{place} is no marker: {error}") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _damaged(f"{place} is too large to be a marker") from None
        raise translate(error, "read", place) from error
    if schema != _SCHEMA or not root_id:
        raise _damaged(f"{place} is no marker")
    if version != _VERSION:
        raise _damaged(f"{place} was written by a newer civsync", hint="Upgrade civsync.")
    return root_id


def _mark(folder: Folder) -> str | None:
    """Make the marker; None if there is one by now. Returns the root id."""
    root_id = os.urandom(16).hex()
    marker = {"schema": _SCHEMA, "schema_version": _VERSION, "root_id": root_id}
    temporary = f".{_MARKER}.{os.urandom(6).hex()}.tmp"
    write_whole(folder, temporary, write_record(marker))
    try:
        place_new(folder, temporary, folder, _MARKER)
    except FileExistsError:
        return None
    finally:
        with contextlib.suppress(OSError):
            folder.unlink(temporary)
    return root_id


def _has_receipt(beneath: Beneath) -> bool:
    return _is_there(beneath, RECEIPT)


def _may_have_annexes(beneath: Beneath) -> bool:
    """Tell whether there are annexes now, or may have been the last time."""
    return len(beneath.homes) > 1 or _is_there(beneath, ANNEXES)


def _is_there(beneath: Beneath, name: str) -> bool:
    place = f"{CONTROL}/{name}"
    try:
        return beneath.look(place) is not None
    except OSError as error:
        raise translate(error, "look at", place) from error


def _missing(root: str, message: str, *, hint: str = "") -> SafetyError:
    from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

    return SafetyError(
        Code.ROOT_MARKER_MISSING,
        message,
        subject=shown(root),
        hint=hint,
        data={"root": shown(root)},
    )


def _damaged(message: str, hint: str = "") -> SafetyError:
    from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

    return SafetyError(
        Code.STATE_DAMAGED,
        message,
        subject=f"{CONTROL}/{_MARKER}",
        hint=hint or f"Restore {CONTROL}/{_MARKER}, or delete it and pass --new-root.",
    )
