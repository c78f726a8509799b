"""Which bytes of a file are there: a set of half-open ranges, as an immutable value."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Ranges:
    """Disjoint ranges (start, end) in bytes, `end` excluded; sorted, and never adjacent."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> "Ranges":
        """Unite any ranges."""
        found = cls()
        for start, end in spans:
            found = found.plus(start, end)
        return found

    @classmethod
    def prefix_of(cls, length: int) -> "Ranges":
        """Return the first `length` bytes."""
        return cls(((0, length),)) if length else cls()

    @property
    def total(self) -> int:
        """The number of bytes."""
        if len(self.spans) == 1:  # nearly always, and asked for many times a file
            ((start, end),) = self.spans
            return end - start
        return sum(end - start for start, end in self.spans)

    @property
    def prefix(self) -> int:
        """How many bytes are there from byte 0 on without a gap."""
        return self.spans[0][1] if self.spans and self.spans[0][0] == 0 else 0

    @property
    def contiguous(self) -> bool:
        """Whether there is nothing but a prefix."""
        return self.prefix == self.total

    def plus(self, start: int, end: int) -> "Ranges":
        """Return these bytes and those of one more range."""
        if start >= end:
            return self
        spans = self.spans
        first = bisect_left(spans, start, key=lambda span: span[1])
        last = bisect_right(spans, end, key=lambda span: span[0])
        if first < last:
            start, end = min(start, spans[first][0]), max(end, spans[last - 1][1])
        return Ranges((*spans[:first], (start, end), *spans[last:]))

    def gaps(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield what is missing of a file of `size` bytes, in its order."""
        at = 0
        for start, end in self.spans:
            if at < min(start, size):
                yield at, min(start, size)
            at = end
        if at < size:
            yield at, size
