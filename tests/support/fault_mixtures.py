"""Faults that are chosen while requests come in: by chance, or by what bytes are asked for."""

import re
from dataclasses import dataclass, field

from civsync.demo.faults import Action, Answer, Cut, FaultBook, IgnoreRange, Refuse, WrongRange
from civsync.demo.messages import Request

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class NotedFaults(FaultBook):
    """A fault book that remembers what it did to requests for bytes."""

    made: list[Action] = field(default_factory=list)

    def pick(self, request: Request) -> Action | None:
        """See `FaultBook.pick`."""
        action = super().pick(request)
        if action is not None and request.origin == "storage":
            self.made.append(action)
        return action

    def clear(self) -> None:
        """See `FaultBook.clear`."""
        super().clear()
        self.made.clear()

    @property
    def restarts(self) -> int:
        """How often, at most, that made a client begin the file anew.

        The whole file instead of a range does, and so do two ranges in a row that are not
        the ones that were asked for.
        """
        ignored = sum(isinstance(action, IgnoreRange) for action in self.made)
        wrong = sum(isinstance(action, WrongRange) for action in self.made)
        return ignored + wrong // 2


@dataclass
class BrokenConnections(FaultBook):
    """On about every other request: refusals, cuts and busy hosts, but never other bytes."""

    longest: int = 0

    def pick(self, request: Request) -> Action | None:
        """See `FaultBook.pick`."""
        with self._lock:
            chaos = self._chaos
            if self._budget <= 0 or chaos.random() < 0.5:
                return None
            self._budget -= 1
            busy = (("Retry-After", "0"),)
            return chaos.choice(
                (
                    Refuse(reset=chaos.random() < 0.5),
                    Answer(chaos.choice((500, 502, 504))),
                    Answer(chaos.choice((429, 503)), busy),
                    Cut(chaos.randrange(self.longest)),
                    Cut(chaos.randrange(self.longest), reset=True),
                )
            )


@dataclass
class CutAt(FaultBook):
    """Ends the first bodies that reach the byte `at` just before it, or a single one at byte 0."""

    at: int = 0
    size: int = 0
    reset: bool = False
    most: int = 3
    cuts: int = 0

    def aim(self, at: int) -> None:
        """Cut there from now on, and count anew."""
        with self._lock:
            self.at, self.cuts = at, 0

    def pick(self, request: Request) -> Action | None:
        """See `FaultBook.pick`."""
        if request.origin != "storage":
            return None
        start, end = _asked(request, self.size)
        due = start < self.at <= end if self.at else start == 0
        if not due or self.cuts >= (self.most if self.at else 1):
            return None
        with self._lock:
            self.cuts += 1
        return Cut(self.at - start, reset=self.reset)


def _asked(request: Request, size: int) -> tuple[int, int]:
    wanted = _RANGE.fullmatch(request.header("range") or "bytes=0-")
    assert wanted is not None
    return int(wanted[1]), int(wanted[2]) + 1 if wanted[2] else size
