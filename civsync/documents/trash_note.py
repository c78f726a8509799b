"""The note beside a file in trash: where it lay and why it left, as text and back.

A note is input like any other: it says at which path a file may come back. One that does not
fit its file, or whose path is none that civsync makes, is not believed at all.
"""

from civsync.core.limits import TRASH_REASON_CHARS
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode, pretty


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashNote:
    """A note that fits its file."""

    path: SafePath
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """As it is written. `time` is for people, in UTC; `sha256` "" for what nobody hashed."""

    path: str
    sha256: str
    reason: str
    time: str = ""
    size: int | None = None
    """None in notes of civsync 0.1, which did not say."""


def write_note(*, path: str, sha256: str, size: int, reason: str, time: str) -> bytes:
    """Return the text of a note. Raises CodecError."""
    return pretty(encode(_Document(path=path, sha256=sha256, size=size, reason=reason, time=time)))


def read_note(data: bytes, *, sha256: str, size: int) -> TrashNote | None:
    """Return the note in `data`, None if it is not one for a file of this hash and size."""
    try:
        document = decode(data, _Document)
        path = parse_path(document.path)
    except (CodecError, UnsafePathError):
        return None
    if document.sha256 != sha256 or document.size not in (None, size):
        return None
    return TrashNote(path=path, reason=document.reason[:TRASH_REASON_CHARS])
