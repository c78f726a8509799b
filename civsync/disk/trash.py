"""Where retired and quarantined files wait: out of sight of every UI, with a way back.

Names end in a suffix that no program loads and start with the content's SHA-256, so that a
file that is wanted again is found without the network. A note beside each says what it
was. Nothing is deleted here before its time.
"""

import contextlib
import io
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from civsync.core.disk import Stamp
from civsync.disk.beneath import Beneath
from civsync.disk.durable import place_new, write_whole
from civsync.disk.folder import Folder
from civsync.disk.hashing import digest_file
from civsync.disk.root import CONTROL
from civsync.disk.stamps import stamp_of
from civsync.documents.json_codec import CodecError, encode, pretty

TRASH: Final = f"{CONTROL}/trash"
QUARANTINE: Final = f"{CONTROL}/quarantine"

UNHASHED: Final = "unhashed"
"""Stands for the SHA-256 of a file that nobody has hashed."""

_NAME: Final = re.compile(
    rf"(?P<sha256>[0-9a-f]{{64}}|{UNHASHED})\.(?P<seconds>[0-9]{{1,12}})\.[0-9a-f]{{12}}\.retired\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """The note beside a retired file. `time` is in UTC, ISO 8601."""

    path: str
    sha256: str
    reason: str
    time: str


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
        """Move a file here, durably; returns where it is, relative to the root.

        None, with the file where it was, if what was moved has another stamp than
        `expected`: somebody put another file there at the last instant.
        """
        with self._beneath.folder(place, make=True) as bin_:
            kept = self._new_name(sha256)
            folder.rename(name, bin_, kept)
            if expected is not None and stamp_of(bin_.stat(kept)) != expected:
                _put_back(bin_, kept, folder, name)
                return None
            self._describe(bin_, kept, folder.shown(name), sha256, reason)
            bin_.sync()
            folder.sync()
            return bin_.shown(kept)

    def link(
        self, folder: Folder, name: str, *, sha256: str, reason: str, expected: Stamp
    ) -> str | None:
        """Give a file a second name here, durably, so that the first can be replaced.

        None, with nothing done, if it has another stamp than `expected`.
        """
        with self._beneath.folder(TRASH, make=True) as bin_:
            kept = self._new_name(sha256)
            folder.link(name, bin_, kept)
            if stamp_of(bin_.stat(kept)) != expected:
                bin_.unlink(kept)
                return None
            self._describe(bin_, kept, folder.shown(name), sha256, reason)
            bin_.sync()
            return bin_.shown(kept)

    def recover(self, sha256: str, size: int, target: Folder, new: str) -> bool:
        """Give a file with this content, if one is here, the name `new` in `target`.

        Files that nobody hashed are hashed if their size is right: they may be what
        somebody changed by hand, and must not be taken for anything else.
        """
        for place in (TRASH, QUARANTINE):
            # One call finds out that there is none, as in every first sync.
            if self._beneath.look(place) is None:
                continue
            with contextlib.suppress(FileNotFoundError), self._beneath.folder(place) as bin_:
                for name in sorted(bin_.names()):
                    if self._fits(bin_, name, sha256, size):
                        bin_.rename(name, target, new)
                        target.sync()
                        with contextlib.suppress(OSError):
                            bin_.unlink(_note_of(name))
                        return True
        return False

    def sweep(self, place: str, before: float) -> int:
        """Delete what came here before that time (Unix seconds); returns the number of files."""
        count = 0
        with contextlib.suppress(FileNotFoundError), self._beneath.folder(place) as bin_:
            for name in bin_.names():
                found = _NAME.match(name)
                if found is None or int(found["seconds"]) >= before:
                    continue
                bin_.unlink(name)
                with contextlib.suppress(OSError):
                    bin_.unlink(_note_of(name))
                count += 1
        return count

    def _fits(self, bin_: Folder, name: str, sha256: str, size: int) -> bool:
        found = _NAME.match(name)
        if found is None or found["sha256"] not in (sha256, UNHASHED):
            return False
        status = bin_.find(name)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        if found["sha256"] == sha256:
            return True
        with io.FileIO(bin_.open(name, os.O_RDONLY), "rb") as file:
            return digest_file(file).sha256 == sha256

    def _new_name(self, sha256: str) -> str:
        return f"{sha256 or UNHASHED}.{int(self._now())}.{os.urandom(6).hex()}.retired"

    def _describe(self, bin_: Folder, kept: str, path: str, sha256: str, reason: str) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))
        note = Retired(path=path, sha256=sha256, reason=reason, time=moment)
        # A file without its note is still safe, and still found by its content.
        with contextlib.suppress(OSError, CodecError):
            write_whole(bin_, _note_of(kept), pretty(encode(note)))


def _note_of(name: str) -> str:
    return f"{name}.note"


def _put_back(bin_: Folder, kept: str, folder: Folder, name: str) -> None:
    # Never over what may stand there by now; then it stays here, which loses nothing.
    with contextlib.suppress(OSError):
        place_new(bin_, kept, folder, name)
