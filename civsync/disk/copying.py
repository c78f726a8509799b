"""Copy a file's bytes on this machine, sharing them where the file system can."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Final

from civsync.core.limits import MIB
from civsync.disk.durable import write_all
from civsync.disk.faults import UNSUPPORTED

_STEP_BYTES: Final = 64 * MIB
_FICLONE: Final = 0x40049409
"""linux/fs.h: let a file have the blocks of another one, until either is written to."""

_FALL_BACK: Final = UNSUPPORTED | {errno.EXDEV, errno.EPERM}


def reflink(source: int, target: int) -> None:
    """Let the empty open file `target` have all bytes of `source`, without copying a block.

    Raises OSError where the system or the file system cannot. There is a call for this on
    macOS, too, which is not used yet.
    """
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    else:  # noqa: RET506 - so that the type checker sees both platforms
        import fcntl  # noqa: PLC0415 - exists on POSIX only

        fcntl.ioctl(target, _FICLONE, source)


def copy_bytes(
    source: int,
    target: int,
    size: int,
    *,
    share: bool = True,
    go_on: Callable[[], None] = lambda: None,
) -> int:
    """Copy at most `size` bytes between two open files, from where they stand.

    Returns how many there were. With `share` the system may do it, and btrfs and xfs then
    share the blocks instead of copying them. `go_on` is called before each step, and may
    raise to stop. Raises OSError.
    """
    done = 0
    if share and hasattr(os, "copy_file_range"):
        try:
            while done < size:
                go_on()
                count = os.copy_file_range(source, target, min(_STEP_BYTES, size - done))
                if not count:
                    break
                done += count
        except OSError as error:
            if error.errno not in _FALL_BACK:
                raise
    # Also after a copy that stopped early: some file systems say 0 where they cannot.
    while done < size and (data := os.read(source, min(MIB, size - done))):
        go_on()
        write_all(target, data)
        done += len(data)
    return done
