"""What civsync owns below a root: a receipt that is whole, and a journal that leads to the next.

The receipt is rewritten at the end of a run; until then each change is one appended line,
flushed before a file gets its name, so that a crash never makes a file of civsync's a
stranger and ten thousand files do not cost ten thousand rewrites. Reading writes nothing.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Sequence

from civsync.core.codes import Code
from civsync.core.disk import Owned, Receipt, Regular
from civsync.core.errors import DiskError, SafetyError
from civsync.core.limits import LOCK_BYTES
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.disk.durable import write_all, write_whole
from civsync.disk.faults import NO_LINKS, faults_of, translate
from civsync.disk.folder import Folder
from civsync.disk.root import CONTROL, NOTES, RECEIPT, Root
from civsync.disk.store import DiskStore
from civsync.documents.receipt import (
    Intended,
    Note,
    Placed,
    Released,
    read_notes,
    read_receipt,
    replay,
    write_note,
    write_receipt,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What can still be believed of receipt and notes.

    `damaged` are the names of those that cannot, `lost` says that there is no receipt.
    """

    receipt: Receipt
    damaged: tuple[str, ...] = ()
    lost: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged or lost."""
        return not (self.damaged or self.lost)


class DiskLedger:
    """The real `Ledger`. Safe to share between threads; one process writes at a time."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._beneath = root.beneath
        self._store = DiskStore(root)
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._end = 0
        self.unsettled = False
        """True if the last `read` had to work in notes, which a `commit` makes an end of."""

    def read(self) -> Receipt:
        """Return the receipt, with what an interrupted run left behind worked in.

        Raises SafetyError state-damaged; DiskError.
        """
        text = self._load(RECEIPT)
        receipt = Receipt(root_id=self._root.root_id)
        if text is not None:
            receipt = read_receipt(text, f"{CONTROL}/{RECEIPT}")
        notes = read_notes(self._load(NOTES) or b"", f"{CONTROL}/{NOTES}")
        self.unsettled = bool(notes)
        return self._worked_in(receipt, notes)

    def read_remains(self) -> Remains:
        """Return what can be believed, for a receipt to be made anew of.

        Raises SafetyError state-damaged only for what a newer civsync wrote; DiskError.
        """
        damaged: list[str] = []
        receipt, lost = Receipt(root_id=self._root.root_id), False
        notes: tuple[Note, ...] = ()
        try:
            text = self._load(RECEIPT)
            lost = text is None
            if text is not None:
                receipt = read_receipt(text, f"{CONTROL}/{RECEIPT}")
        except (SafetyError, DiskError) as error:
            _require_damage(error)
            damaged.append(RECEIPT)
        try:
            notes = read_notes(self._load(NOTES) or b"", f"{CONTROL}/{NOTES}")
        except (SafetyError, DiskError) as error:
            _require_damage(error)
            damaged.append(NOTES)
        receipt = self._worked_in(receipt, notes)
        return Remains(receipt=receipt, damaged=tuple(damaged), lost=lost)

    def keep_damaged(self, names: Iterable[str], moment: str) -> tuple[str, ...]:
        """Keep damaged documents beside, as `NAME.damaged-MOMENT`; returns where they are.

        The next `commit` replaces what still has the old name. Raises DiskError.
        """
        kept: list[str] = []
        with (
            faults_of("keep", f"{CONTROL}/{RECEIPT}"),
            self._beneath.folder(CONTROL, make=True) as folder,
        ):
            for name in names:
                new = f"{name}.damaged-{moment}"
                if folder.find(new) is not None:
                    new = f"{new}-{os.urandom(4).hex()}"
                try:
                    folder.link(name, folder, new)
                except OSError as error:
                    if error.errno not in NO_LINKS:
                        raise
                    folder.rename_new(name, folder, new)
                kept.append(folder.shown(new))
            folder.sync()
        return tuple(kept)

    def intend(self, *owned: Owned) -> None:
        """Note durably, with one flush, that these files are about to get their names."""
        self._append([Intended(owned=each) for each in owned], durable=True)

    def placed(self, *owned: Owned) -> None:
        """Note that these files have their names, with their final stamps."""
        self._append([Placed(owned=each) for each in owned], durable=False)

    def released(self, path: SafePath) -> None:
        """Note that a path is not ours any more."""
        self._append([Released(path=path)], durable=False)

    def commit(self, receipt: Receipt) -> None:
        """Write the whole receipt, durably, and forget the notes that led to it.

        After a crash between the two the notes are worked in once more, which changes
        nothing.
        """
        place = f"{CONTROL}/{RECEIPT}"
        with (
            self._mutex,
            faults_of("write", place),
            self._beneath.folder(CONTROL, make=True) as folder,
        ):
            write_whole(folder, RECEIPT, write_receipt(receipt))
            self._close_notes()
            with contextlib.suppress(FileNotFoundError):
                folder.unlink(NOTES)

    def close(self) -> None:
        """Let go of the journal; it stays, and goes on with the next note."""
        with self._mutex:
            self._close_notes()

    def _load(self, name: str) -> bytes | None:
        place = f"{CONTROL}/{name}"
        try:
            with self._beneath.folder(CONTROL) as folder:
                return folder.read(name, LOCK_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise _damaged(place, "is too large") from None
            if error.errno in (errno.ELOOP, errno.EISDIR):
                raise _damaged(place, "is not a regular file") from None
            raise translate(error, "read", place) from error

    def _worked_in(self, receipt: Receipt, notes: Sequence[Note]) -> Receipt:
        if notes:
            receipt, intents = replay(receipt, notes)
            for intent in intents:
                receipt = self._settle_intent(receipt, intent)
        # The marker says which root this is: a receipt cannot, it may have been copied.
        return Receipt(root_id=self._root.root_id, owned=receipt.owned, known=receipt.known)

    def _settle_intent(self, receipt: Receipt, intent: Owned) -> Receipt:
        """Own the file that was about to be placed, if it was."""
        path = intent.path
        try:
            if not isinstance(self._store.survey([path])[path], Regular):
                return receipt
            digests, stamp = self._store.digest(path)
        except SafetyError:
            return receipt
        if digests.sha256 != intent.sha256:
            return receipt
        ours = Owned(
            path=path,
            sha256=intent.sha256,
            stamp=stamp,
            entry=intent.entry,
            model_id=intent.model_id,
            version_id=intent.version_id,
            file_id=intent.file_id,
            blake3=digests.blake3,
            protect=intent.protect,
        )
        known = {key: each for key, each in receipt.known.items() if key != path}
        return Receipt(root_id=receipt.root_id, owned={**receipt.owned, path: ours}, known=known)

    def _append(self, notes: Sequence[Note], *, durable: bool) -> None:
        lines = b"".join(map(write_note, notes))
        with self._mutex, faults_of("write", f"{CONTROL}/{NOTES}"):
            fd = self._notes()
            try:
                write_all(fd, lines)
                if durable and self._beneath.durable:
                    _flush(fd)
                self._end += len(lines)
            except OSError:
                # Half a line in the middle would damage all that follows it.
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, self._end)
                self._close_notes()
                raise

    def _notes(self) -> int:
        if self._fd is None:
            with self._beneath.folder(CONTROL, make=True) as folder:
                self._fd = _open_notes(folder)
            self._end = os.lseek(self._fd, 0, os.SEEK_END)
        return self._fd

    def _close_notes(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _damaged(place: str, what: str) -> SafetyError:
    return SafetyError(Code.STATE_DAMAGED, f"{place} {what}", subject=place)


def _require_damage(error: SafetyError | DiskError) -> None:
    """Raise `error` unless it says that a document is damaged."""
    damaged = error.code is Code.STATE_DAMAGED and not error.data.get("newer")
    if not damaged and error.data.get("errno") != "EIO":
        raise error


def _open_notes(folder: Folder) -> int:
    """Open the journal behind its last whole line."""
    there = folder.find(NOTES)
    if there is not None and there.st_nlink > 1:
        # A second name (in a backup made of hard links, say) is not to see what follows.
        write_whole(folder, NOTES, folder.read(NOTES, LOCK_BYTES))
    fd = folder.open(NOTES, os.O_RDWR | os.O_CREAT)
    try:
        folder.sync()
        size = os.fstat(fd).st_size
        if size:
            end = folder.read(NOTES, LOCK_BYTES).rfind(b"\n") + 1
            if end != size:
                os.ftruncate(fd, end)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _flush(fd: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)
