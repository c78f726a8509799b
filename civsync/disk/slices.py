"""Look at thousands of things in several processes at once.

A call of the system for each of 10,000 files is most of what a run with nothing to do takes,
and the interpreter makes one at a time, in however many threads. A fork shares all that is to be
compared, and costs as much as looking at 500 files.
"""

import os
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Final

_LEAST: Final = 4_000
"""Things that are worth a process."""

_MOST: Final = 8
"""More processes than this wait for the same disk."""


def holds_for_all(check: Callable[[int, int], bool], count: int) -> bool:
    """Tell whether `check(begin, end)` holds for slices that make up `range(count)`.

    It may run in a forked process, so it must only look. False also where it raised there; what
    it raises here is raised. Linux alone forks, and never a process that has other threads.
    """
    slices = min(count // _LEAST, _MOST, _processors())
    if slices < 2 or threading.active_count() > 1:
        return check(0, count)
    bounds = [count * at // slices for at in range(slices + 1)]
    rest = list(pairwise(bounds[1:]))
    started: list[int] = []
    try:
        while rest:
            child = _fork(check, rest[-1])
            if child is None:
                break
            started.append(child)
            rest.pop()
        end = rest[-1][1] if rest else bounds[1]
        held = check(0, end)
    finally:
        # Also of a look that ended early: nobody else would hear of their end.
        ends = [os.waitpid(child, 0)[1] for child in started]
    return held and not any(ends)


def _processors() -> int:
    """Return how many processors this process may use, 1 where it must not fork."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 - so that the type checker sees both platforms
        return 1


def _fork(check: Callable[[int, int], bool], bounds: tuple[int, int]) -> int | None:
    """Return the process that checks this slice; None if there can be none."""
    try:
        child = os.fork()
    except OSError:
        return None
    if child:
        return child
    status = 1
    try:
        status = 0 if check(*bounds) else 1
    finally:
        # Without what a process does at its end: all of that belongs to the other one.
        os._exit(status)
