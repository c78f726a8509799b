"""Keep threads on one processor that take turns anyway.

Threads that run Python share one lock. Spread over several processors, each hand-over of it
wakes another one, which costs more than the few microseconds of work in between: 2,000 files
of 100 KB took 7.1 s on two processors and 5.1 s on one. Where much is done without that
lock, as for larger files, several are better.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STAT = "/proc/thread-self/stat"
_PROCESSOR_FIELD = 36
"""Of the fields behind the name, counted from 0: where the thread ran last (proc(5))."""


class Processor:
    """One processor that several threads are kept on; where the system cannot, nothing is done.

    It is the one on which the scheduler has the first of them, and may be another after
    the last of them has left.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._threads = 0
        self._chosen = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Keep this thread there while it is inside."""
        before = allowed_processors()
        if len(before) < 2:
            yield
            return
        with self._mutex:
            if self._threads == 0:
                self._chosen = _current(before)
            self._threads += 1
        try:
            _allow({self._chosen})
            yield
        finally:
            _allow(before)
            with self._mutex:
                self._threads -= 1


def allowed_processors() -> set[int]:
    """Return the processors that this thread may use; none where nobody can tell."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    try:
        return os.sched_getaffinity(0)
    except OSError:
        return set()


def _allow(processors: set[int]) -> None:
    # Some sandboxes forbid it; then things are as they were.
    with suppress(OSError):
        os.sched_setaffinity(0, processors)


def _current(allowed: set[int]) -> int:
    """Return where this thread runs, or else any processor that is allowed."""
    try:
        with open(_STAT, encoding="ascii", errors="replace") as file:
            found = int(file.read().rpartition(")")[2].split()[_PROCESSOR_FIELD])
    except (OSError, ValueError, IndexError):
        return min(allowed)
    return found if found in allowed else min(allowed)
