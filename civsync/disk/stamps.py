"""Stamps: how a file is known again, and when one may be believed.

A stamp is unreliable while the clock tick of its modification time lasts: a second write
of equal length in the same tick leaves the same stamp. git hashes such files again on
every look ("racy git"); here the maker of a stamp waits the tick out instead, a few
milliseconds at most, so every stamp in a receipt can be believed and a second run has
nothing to hash and nothing to write. The modification time itself is never altered.
"""

import os
import sys
import time
from typing import Final

from civsync.core.disk import Stamp
from civsync.disk.folder import Folder

_WORST_TICK_NS: Final = 10_000_000
"""A kernel with 100 timer interrupts a second, the slowest in use."""

_COARSE_NS: Final = 10_000_000
_COARSEST_NS: Final = 2_000_000_000
"""exFAT counts in hundredths of a second, others in seconds, FAT in two of them."""

_REALTIME_COARSE: Final = 5
"""The clock that Linux stamps files with (linux/time.h); Python has no name for it."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp for what `stat` said."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def tick_ns() -> int:
    """Return how long two writes may share a modification time on a local disk."""
    if sys.platform == "linux":
        return int(time.clock_getres(_REALTIME_COARSE) * 1e9)
    else:  # noqa: RET505 - so that the type checker sees both platforms
        return _WORST_TICK_NS


def is_past(time_ns: int) -> bool:
    """Tell whether no write from now on gets this time, whatever the file system.

    For who can do without a stamp: nothing is waited for, and times in the future never are past.
    """
    lasts = _COARSEST_NS if time_ns % _COARSE_NS == 0 else tick_ns()
    return time.time_ns() - time_ns > lasts


def settle(folder: Folder, mtime_ns: int) -> None:
    """Wait until a write to a file in `folder` would get another time than `mtime_ns`.

    It was looked at, so on a file system that marks each write no wait is needed. Times in
    the future are not waited for: no write of today can get one.
    """
    age = time.time_ns() - mtime_ns
    tick = tick_ns()
    if 0 <= age <= tick and not folder.marks_each_write():
        time.sleep((tick - age + 1000) / 1e9)
