"""The texts of documents as they lie on disk: read whole, or only known again."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from typing import TYPE_CHECKING, TypeVar

from civsync.core.errors import UserError
from civsync.core.limits import LOCK_BYTES
from civsync.disk.digest import blake3_of, open_text, sha256_of, text_stamp_of
from civsync.documents.record import digest_of

if TYPE_CHECKING:
    from _typeshed import StrPath

    from civsync.documents.settled import TextStamp

T = TypeVar("T")


def read_bytes(path: "StrPath") -> bytes | None:
    """Return a file's content, or None if it is not there.

    Raises UserError for anything that is there but cannot be read, or is too large for any
    document: nothing is taken into memory to find that out.
    """
    return _read(path, FileIO.readall)


def blake3_at(path: "StrPath") -> str:
    """Return `blake3_of_text` of what `read_bytes` returns, without holding it. Raises as that."""
    return _read(path, blake3_of) or blake3_of_text(None)


def is_text_at(path: "StrPath", sha256: str, stamp: "TextStamp | None") -> bool:
    """Tell whether the text at `path` has this digest; it is not read if it has this stamp.

    Raises as `read_bytes`.
    """
    known = stamp is not None and _read(path, text_stamp_of) == stamp
    return known or (_read(path, sha256_of) or sha256_of_text(None)) == sha256


def _read(path: "StrPath", read: Callable[[FileIO], T]) -> T | None:
    """Return what `read` makes of a file, or None if it is not there. Raises as `read_bytes`."""
    try:
        with open_text(path) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _unreadable(
                    path,
                    "it is a pipe or a device, and reading it could go on for ever",
                    hint="Name a file.",
                )
            if status.st_size > LOCK_BYTES:
                raise _unreadable(
                    path,
                    f"it has {status.st_size:,} bytes, and no document of civsync is that large",
                    hint="Restore it from version control, or name another file.",
                )
            return read(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(
            path,
            f"it cannot be read: {error.strerror}",
            hint="Check the path and its permissions.",
        ) from None


def _unreadable(path: "StrPath", message: str, *, hint: str) -> UserError:
    from civsync.core.codes import Code

    return UserError(Code.CONFIG_INVALID, message, subject=str(path), hint=hint)


def blake3_of_text(text: bytes | None) -> str:
    """Return the BLAKE3 of a document's text, "" for one that is not there."""
    return "" if text is None else digest_of(text)


def sha256_of_text(text: bytes | None) -> str:
    """Return the SHA-256 of a document's text, "" for one that is not there."""
    import hashlib

    return "" if text is None else hashlib.sha256(text).hexdigest()


def digests_of_includes(folder: "StrPath", paths: Iterable[str]) -> Mapping[str, str]:
    """Return the digests of these files by their paths from the manifest's `folder`, as they are.

    "" stands for what is not there or cannot be read.
    """
    digests = {}
    for path in paths:
        try:
            digests[path] = blake3_of_text(read_bytes(os.path.join(folder, path)))
        except UserError:
            digests[path] = ""
    return digests
