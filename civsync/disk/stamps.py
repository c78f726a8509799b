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


def settle(folder: Folder, mtime_ns: int) -> None:
    """Wait until a write to a file in `folder` would get another time than `mtime_ns`.

    It was looked at, so on a file system that marks each write no wait is needed. Times in
    the future are not waited for: no write of today can get one.
    """
    if _left_of_tick(mtime_ns) > 0 and not folder.marks_each_write():
        wait_out(mtime_ns)


def wait_out(time_ns: int) -> None:
    """Wait until a write would get another time than `time_ns`, whatever the file system.

    Times in the future are not waited for, as in `settle`.
    """
    while (left := _left_of_tick(time_ns)) > 0:
        time.sleep(left / 1e9)


def _left_of_tick(time_ns: int) -> int:
    age = time.time_ns() - time_ns
    return tick_ns() - age + 1000 if age >= 0 else 0
