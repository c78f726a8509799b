"""Where retired and quarantined files wait: out of sight of every UI, with a way back.

Names end in a suffix that no program loads and start with the content's SHA-256, so that a
file that is wanted again is found without the network. A note beside each says what it was;
it is on the medium before the file comes, so that no crash parts the two. Nothing is deleted
here before its time.
"""

import contextlib
import io
import os
import stat
import time
from collections.abc import Callable
from typing import Final

from civsync.core.disk import Stamp
from civsync.disk.beneath import Beneath
from civsync.disk.claims import carry
from civsync.disk.durable import place_new, write_whole
from civsync.disk.folder import Folder
from civsync.disk.hashing import digest_file
from civsync.disk.root import CONTROL
from civsync.disk.stamps import stamp_of
from civsync.disk.trash_names import TrashName, new_name, note_of, noted_by, parse_name
from civsync.documents.json_codec import CodecError
from civsync.documents.trash_note import write_note

TRASH: Final = f"{CONTROL}/trash"
QUARANTINE: Final = f"{CONTROL}/quarantine"


class Trash:
    """Both places below one root. Raises OSError; its callers translate."""

    def __init__(self, beneath: Beneath, now: Callable[[], float] = time.time) -> None:
        self._beneath = beneath
        self._now = now

    def take(
        self,
        folder: Folder,
        name: str,
        *,
        sha256: str,
        reason: str,
        place: str = TRASH,
        expected: Stamp | None = None,
    ) -> str | None:
        """Move a file here, durably: in its home; returns where it is, relative to the root.

        None, with the file where it was, if what was moved has another stamp than
        `expected`: somebody put another file there at the last instant.
        """
        with self._beneath.folder(self._beneath.near(folder.path, place), make=True) as bin_:
            kept = self._announce(bin_, folder, name, sha256, reason)
            try:
                folder.rename(name, bin_, kept)
            except OSError:
                drop_note(bin_, kept)
                raise
            status = bin_.find(kept)
            # What is gone again became another file of this run, by its content.
            if expected is not None and status is not None and stamp_of(status) != expected:
                if put_back(bin_, kept, folder, name):
                    drop_note(bin_, kept)
                return None
            bin_.sync()
            folder.sync()
            return bin_.shown(kept)

    def link(
        self, folder: Folder, name: str, *, sha256: str, reason: str, expected: Stamp
    ) -> str | None:
        """Give a file a second name here, durably, so that the first can be replaced.

        None, with nothing done, if it has another stamp than `expected`.
        """
        with self._beneath.folder(self._beneath.near(folder.path, TRASH), make=True) as bin_:
            kept = self._announce(bin_, folder, name, sha256, reason)
            try:
                folder.link(name, bin_, kept)
            except OSError:
                drop_note(bin_, kept)
                raise
            # What is gone again became another file of this run, by its content.
            if stamp_of(bin_.find(kept) or folder.stat(name)) != expected:
                with contextlib.suppress(FileNotFoundError):
                    bin_.unlink(kept)
                drop_note(bin_, kept)
                return None
            bin_.sync()
            return bin_.shown(kept)

    def recover(self, sha256: str, size: int, target: Folder, new: str) -> bool:
        """Give a file with this content, if one is here, the name `new` in `target`.

        Files that nobody hashed are hashed if their size is right: they may be what
        somebody changed by hand, and must not be taken for anything else. What is found on
        another disk stays there, too.
        """
        homes = self._beneath.homes
        for place in (self._beneath.near(h, p) for h in homes for p in (TRASH, QUARANTINE)):
            # One call finds out that there is none, as in every first sync.
            if self._beneath.look(place) is None:
                continue
            with contextlib.suppress(FileNotFoundError), self._beneath.folder(place) as bin_:
                for name in sorted(bin_.names()):
                    if _fits(bin_, name, sha256, size):
                        carry(bin_, name, target, new, sha256=sha256, size=size)
                        target.sync()
                        if bin_.find(name) is None:
                            drop_note(bin_, name)
                        return True
        return False

    def sweep(self, place: str, before: float) -> int:
        """Delete what came here before that time (Unix seconds); returns the number of files.

        Notes whose file went without them go, too. What cannot be deleted stays.
        """
        count = 0
        with contextlib.suppress(FileNotFoundError), self._beneath.folder(place) as bin_:
            names = set(bin_.names())
            for name in names:
                about = noted_by(name)
                if about is not None and about not in names and _is_old(about, before):
                    drop_note(bin_, about)
                elif _is_old(name, before):
                    with contextlib.suppress(OSError):
                        bin_.unlink(name)
                        count += 1
                        drop_note(bin_, name)
        return count

    def _announce(self, bin_: Folder, folder: Folder, name: str, sha256: str, reason: str) -> str:
        """Return the name that a file shall have here, with the note for it written."""
        kept = new_name(sha256, self._now())
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(kept.seconds))
        size, path = folder.stat(name).st_size, folder.shown(name)
        # A file without its note is still safe, and still found by its content: a full disk
        # must not keep anybody from retiring.
        with contextlib.suppress(OSError, CodecError):
            note = write_note(path=path, sha256=kept.sha256, size=size, reason=reason, time=moment)
            write_whole(bin_, note_of(str(kept)), note)
        return str(kept)


def drop_note(bin_: Folder, name: str) -> None:
    """Remove the note about a file that is not here any more; one that stays harms nobody."""
    with contextlib.suppress(OSError):
        bin_.unlink(note_of(name))


def put_back(source: Folder, name: str, target: Folder, old: str) -> bool:
    """Undo a move and tell whether that went well.

    Never over what may stand there by now; then the file stays where it is, which loses
    nothing.
    """
    try:
        place_new(source, name, target, old)
    except OSError:
        return False
    return True


def _is_old(name: str, before: float) -> bool:
    found = parse_name(name)
    return found is not None and found.seconds < before


def _fits(bin_: Folder, name: str, sha256: str, size: int) -> bool:
    found: TrashName | None = parse_name(name)
    if found is None or found.sha256 not in (sha256, ""):
        return False
    status = bin_.find(name)
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return False
    if found.sha256 == sha256:
        return True
    # What cannot be read is no copy of anything, and no reason to fail.
    with (
        contextlib.suppress(OSError),
        io.FileIO(bin_.open(name, os.O_RDONLY), "rb") as file,
    ):
        return digest_file(file).sha256 == sha256
    return False
