"""What the loopback servers do wrong on purpose, as data.

A `Fault` says which requests it bites and what then happens; the `FaultBook`
counts. Nothing here sends a byte: `civsync.demo.delivery` carries the
misbehaviour out.
"""

import random
import threading
from dataclasses import field
from typing import Literal, TypeAlias

from civsync.core.values import dataclass
from civsync.demo.messages import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """Give this answer instead of the real one; a body of HTML says so in `headers`."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Raw:
    """Send these bytes instead of an answer, then close: bad status lines, header floods."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Close the connection without a byte of answer; `reset` sends RST instead of FIN."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """End the body after `after` bytes.

    With `declared=False` there is no Content-Length, so that the truncated
    answer looks complete.
    """

    after: int
    reset: bool = False
    declared: bool = True


@dataclass(frozen=True, slots=True)
class Excess:
    """Send `extra` bytes after the body.

    `length` says what Content-Length claims: the honest length, the inflated
    one, or nothing at all.
    """

    extra: int
    length: Literal["honest", "inflated", "absent"] = "absent"


@dataclass(frozen=True, slots=True)
class FlipBit:
    """Invert the lowest bit of the byte at offset `at` of the whole file.

    Bites only requests whose range holds that byte.
    """

    at: int


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Answer a ranged request with 200 and the whole file; bites only ranged requests."""


@dataclass(frozen=True, slots=True)
class WrongRange:
    """Send the right bytes under this Content-Range, or none; bites only ranged requests."""

    content_range: str | None


@dataclass(frozen=True, slots=True)
class Gzip:
    """Send the body compressed, with Content-Encoding, whatever the client accepts."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Wait until `released` is set, before the status line or after `after` bytes of the body."""

    released: threading.Event
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Drip:
    """Send the body `chunk` bytes at a time, `rate` bytes a second."""

    rate: float
    chunk: int = 1


@dataclass(frozen=True, slots=True)
class ExpireUrls:
    """Let every signed URL given out so far run out, then answer as usual."""


Action: TypeAlias = (
    Answer
    | Raw
    | Refuse
    | Cut
    | Excess
    | FlipBit
    | IgnoreRange
    | WrongRange
    | Gzip
    | Stall
    | Drip
    | ExpireUrls
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour and the requests that it bites.

    Of the requests to `origin` whose target (path and query) holds `path`, the
    first `skip` are answered properly, the next `times` are bitten, and the
    rest are answered properly again; `times=None` bites for ever.
    """

    does: Action
    origin: Literal["api", "storage"] | None = None
    path: str = ""
    skip: int = 0
    times: int | None = 1

    def fits(self, request: Request) -> bool:
        """Say whether `request` is one of those that this fault counts."""
        if self.origin not in (None, request.origin) or self.path not in request.target:
            return False
        match self.does:
            case IgnoreRange() | WrongRange():
                return request.header("range") is not None
            case FlipBit(at):
                return _may_cover(request.header("range"), at)
            case _:
                return True


def _may_cover(wanted: str | None, at: int) -> bool:
    """Say whether the Range header leaves room for the byte `at`; no header, all bytes."""
    first, dash, last = (wanted or "bytes=0-").removeprefix("bytes=").partition("-")
    if not dash or not first.isdecimal():
        return True
    return int(first) <= at and (not last.isdecimal() or at <= int(last))


@dataclass(slots=True)
class FaultBook:
    """The faults in force, and how often each had its chance. Safe to change while serving."""

    _seen: list[tuple[Fault, int]] = field(default_factory=list)
    _chaos: random.Random = field(default_factory=random.Random)
    _budget: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *faults: Fault) -> None:
        """Put `faults` in force, after those that are."""
        with self._lock:
            self._seen.extend((fault, 0) for fault in faults)

    def clear(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._seen.clear()
            self._budget = 0

    def seed(self, seed: int, budget: int) -> None:
        """Misbehave at random on about every other request until `budget` faults were made.

        The mixture is drop, cut, 500, 429, 503, 200 for 206 and wrong range. The
        same seed gives the same faults to the same order of requests.
        """
        with self._lock:
            self._chaos = random.Random(seed)  # noqa: S311  (a reproducible mixture, no secret)
            self._budget = budget

    @property
    def budget_left(self) -> int:
        """How many random faults are still to come."""
        return self._budget

    def pick(self, request: Request) -> Action | None:
        """Say what to do wrong with `request`, and count it; None for a proper answer.

        Every fault that fits counts the request; the first that is due bites.
        """
        with self._lock:
            bite: Action | None = None
            for place, (fault, seen) in enumerate(self._seen):
                if not fault.fits(request):
                    continue
                self._seen[place] = (fault, seen + 1)
                due = seen >= fault.skip and (
                    fault.times is None or seen < fault.skip + fault.times
                )
                if due and bite is None:
                    bite = fault.does
            if bite is None and self._budget > 0 and self._chaos.random() < 0.5:
                self._budget -= 1
                bite = self._chaos.choice(_mixture(request, self._chaos))
            return bite


def _mixture(request: Request, chaos: random.Random) -> list[Action]:
    mixture: list[Action] = [
        Refuse(),
        Refuse(reset=True),
        Answer(500, (("Content-Type", "application/json"),), b'{"error":"Internal error"}'),
        Answer(429, (("Content-Type", "text/html"), ("Retry-After", "0")), b"<html>slow</html>"),
        Answer(503, (("Content-Type", "text/html"), ("Retry-After", "0")), b"<html>busy</html>"),
        Cut(chaos.randrange(2000)),
        Cut(chaos.randrange(20000), reset=True),
    ]
    if request.origin == "storage" and request.header("range") is not None:
        mixture += [IgnoreRange(), WrongRange("bytes 1-2/3"), WrongRange(None)]
    return mixture
