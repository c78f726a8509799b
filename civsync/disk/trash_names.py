"""Names of files in trash and quarantine, and of the notes beside them.

A name says when the file came and what it holds, and ends in a suffix that no program loads:
SHA-256 (or `unhashed`), Unix seconds, a token that is its id, `retired`.
"""

import os
import re
from typing import Final

from civsync.core.values import dataclass

UNHASHED: Final = "unhashed"
"""Stands for the SHA-256 of a file that nobody has hashed."""

_NOTE: Final = ".note"

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")

# Eleven digits of seconds lead to the year 5138, which every calendar knows.
_NAME: Final = re.compile(
    rf"(?P<sha256>[0-9a-f]{{64}}|{UNHASHED})\.(?P<seconds>[0-9]{{1,11}})"
    r"\.(?P<id>[0-9a-f]{12})\.retired\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashName:
    """The name of a file in trash: `sha256` is "" for what nobody hashed."""

    sha256: str
    seconds: int
    id: str

    def __str__(self) -> str:
        """Return the name itself."""
        return f"{self.sha256 or UNHASHED}.{self.seconds}.{self.id}.retired"


def new_name(sha256: str, now: float) -> TrashName:
    """Return a name that nobody has used; what is no SHA-256 counts for none."""
    known = sha256 if _SHA256.match(sha256) else ""
    return TrashName(sha256=known, seconds=int(now), id=os.urandom(6).hex())


def parse_name(name: str) -> TrashName | None:
    """Read the name of a file in trash; None for any other name, as that of a note."""
    found = _NAME.match(name)
    if found is None:
        return None
    sha256 = "" if found["sha256"] == UNHASHED else found["sha256"]
    return TrashName(sha256=sha256, seconds=int(found["seconds"]), id=found["id"])


def note_of(name: str) -> str:
    """Return the name of the note beside the file `name`."""
    return name + _NOTE


def noted_by(name: str) -> str | None:
    """Return the name of the file that the note `name` is about; None for any other name."""
    file = name.removesuffix(_NOTE)
    return file if file != name and parse_name(file) is not None else None
