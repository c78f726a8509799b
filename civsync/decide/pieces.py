"""Deal out what is missing of a file to the connections that receive it.

Pieces are dealt in the order of the file, so that its hash follows closely behind. Nothing
is measured, asked for or written here, and no time is read. Not for several threads at once.
"""

from typing import Final

from civsync.core.limits import (
    LARGE_BUFFER_BYTES,
    PIECE_MAX_BYTES,
    PIECE_MIN_BYTES,
    SEGMENTED_BYTES,
)
from civsync.core.ranges import Ranges
from civsync.core.values import dataclass

_PIECE_S: Final = 2.0
"""Seconds that one connection is busy with one piece: the pause of a round trip between two
pieces is then a small part, and the hash not far behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceTuning:
    """All in bytes. A file of less than `segmented` is received by one connection.

    A piece has between `shortest` and `longest`; the second half of one is worth a request
    of its own from `half` on, which is no less than what may have come of it already and was
    not handed on.
    """

    segmented: int = SEGMENTED_BYTES
    shortest: int = PIECE_MIN_BYTES
    longest: int = PIECE_MAX_BYTES
    half: int = LARGE_BUFFER_BYTES


@dataclass(slots=True, eq=False)
class Lease:
    """One connection's piece: bytes from `start` on, received up to `at`, to end at `end`.

    `end` may come nearer while the piece is received.
    """

    start: int
    at: int
    end: int

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return self.end - self.at


class Pieces:
    """Who receives what of a file of `size` bytes."""

    def __init__(self, size: int, tuning: PieceTuning | None = None) -> None:
        self._size = size
        self._tuning = tuning or PieceTuning()
        self._leases: list[Lease] = []

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is being received."""
        return tuple(self._leases)

    def take(self, done: Ranges, length: int | None = None) -> Lease | None:
        """Lease the first bytes that are neither `done` nor leased; None if there are none.

        At most `length` of them, and never beyond the next byte that is there already.
        """
        taken = done
        for lease in self._leases:
            taken = taken.plus(lease.start, lease.end)
        gap = next(taken.gaps(self._size), None)
        if gap is None:
            return None
        start, end = gap
        return self._lease(start, end if length is None else min(end, start + length))

    @property
    def divisible(self) -> bool:
        """Whether the file is large enough for several connections."""
        return self._size >= self._tuning.segmented

    def length(self, rate: float) -> int:
        """Return how long pieces for a connection of `rate` bytes a second are."""
        tuning = self._tuning
        return int(min(tuning.longest, max(tuning.shortest, rate * _PIECE_S)))

    def split(self) -> Lease | None:
        """Lease the second half of what is left of the piece with most to come.

        None if that is too little.
        """
        longest = max(self._leases, key=lambda lease: lease.left, default=None)
        if longest is None or longest.left < 2 * self._tuning.half:
            return None
        end = longest.end
        longest.end = longest.at + (longest.left + 1) // 2
        return self._lease(longest.end, end)

    def shorten(self, length: int) -> None:
        """Let no piece have more than `length` bytes to come; the rest is dealt out anew."""
        for lease in self._leases:
            lease.end = min(lease.end, lease.at + length)

    def advance(self, lease: Lease, count: int) -> int:
        """Say that `count` more bytes came for `lease`; returns how many of them it takes."""
        taken = min(count, lease.left)
        lease.at += taken
        return taken

    def give_back(self, lease: Lease) -> None:
        """Let others have what is still missing of a piece; may be called twice."""
        if lease in self._leases:
            self._leases.remove(lease)

    def _lease(self, start: int, end: int) -> Lease:
        lease = Lease(start, start, end)
        self._leases.append(lease)
        return lease
