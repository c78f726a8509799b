"""Turn what the operating system says into errors that name the file and whose fault it was.

Every `OSError` of the disk ring ends here, once. Nothing is retried here.
"""

import errno
import os
from types import TracebackType
from typing import Final

from civsync.core.errors import DiskError, SafetyError, Scalar

FULL: Final = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)
)
"""What a disk says on which there is no room."""

_DENIED: Final = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))
_WRONG_KIND: Final = frozenset((errno.ENOTDIR, errno.ELOOP, errno.EISDIR))

UNSUPPORTED: Final = frozenset(
    getattr(errno, name)
    for name in ("ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EINVAL", "ENOLCK")
    if hasattr(errno, name)
)
"""What file systems answer to calls that they do not have."""

NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EMLINK}
"""What file systems without hard links (exFAT, some FUSE and network ones) answer to `link`."""


def shown(path: str) -> str:
    """Return `path` as text that can be printed and encoded, whatever bytes it came from."""
    return path.encode("utf-8", "backslashreplace").decode()


def translate(
    error: OSError, doing: str, path: str, *, need: int | None = None, have: int | None = None
) -> DiskError | SafetyError:
    """Return the error for a failed call; `doing` is a verb ("write", "rename").

    `need` and `have` are bytes, where known.
    """
    from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

    name = errno.errorcode.get(error.errno or 0, "unknown error")
    reason = os.strerror(error.errno) if error.errno else str(error)
    message = f"cannot {doing} {shown(path)}: {reason} ({name})"
    data: dict[str, Scalar] = {"path": shown(path), "errno": name}
    if error.errno in FULL:
        if need is not None:
            message += f"; {need} bytes are still to come"
            data["need"] = need
        if have is not None:
            message += f", {have} are free"
            data["have"] = have
        return DiskError(Code.NO_SPACE, message, subject=shown(path), data=data)
    if error.errno in _DENIED:
        return DiskError(Code.READ_ONLY, message, subject=shown(path), data=data)
    if error.errno == errno.EXDEV:
        return SafetyError(Code.UNDECLARED_DISK, message, subject=shown(path), data=data)
    if error.errno in _WRONG_KIND:
        return SafetyError(Code.OBSTACLE, message, subject=shown(path), data=data)
    return DiskError(Code.DISK_FAILED, message, subject=shown(path), data=data)


class faults_of:  # noqa: N801 - used as the function that a context manager usually is
    """Translate whatever the operating system refuses inside the block.

    A class, because every small file passes through many of these, and a generator takes
    three times as long.
    """

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: str) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise translate(error, self._doing, self._path) from error
