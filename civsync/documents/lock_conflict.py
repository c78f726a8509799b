"""Part a lock with conflict markers into the two texts that git could not merge.

Only the markers are read here, as git writes them: of any length from seven on, with or
without the base between the two sides, with either end of line. Nothing is decided; that a
side is a lock has to be seen by reading it.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from civsync.core.codes import Code
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.values import dataclass

_MARKER: Final = re.compile(rb"(?P<run><{7,}|\|{7,}|={7,}|>{7,})(?: [^\r\n]*)?\r?\n?\Z")
"""A whole line that is a marker (git's Documentation/gitattributes, "conflict-marker-size")."""


TAKE_ONE_SIDE: Final = (
    "Settle the conflict in version control, or take one side whole with `git checkout --ours`,"
    " then run `civsync lock`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both texts, whole; `line` is that of the first marker."""

    ours: bytes
    theirs: bytes
    line: int


class _At(Enum):
    """Where in a conflict a line stands."""

    OUTSIDE = auto()
    OURS = auto()
    BASE = auto()
    THEIRS = auto()


def split_conflict(data: bytes, *, name: str = "civsync.lock") -> Sides | None:
    """Return both sides of a text with conflict markers, None for one without.

    The base, where git wrote it, is left out. Raises DocumentError lock-conflict for markers
    that do not belong together.
    """
    if b"<<<<<<<" not in data and b">>>>>>>" not in data:
        return None
    sides: dict[_At, list[bytes]] = {_At.OURS: [], _At.THEIRS: []}
    at, length, first, opened = _At.OUTSIDE, 0, 0, 0
    for number, line in enumerate(_lines(data), start=1):
        found = _MARKER.fullmatch(line)
        if found is None or (at is _At.BASE and len(found["run"]) != length):
            # The base of a merge with several bases has longer markers of its own in it.
            for side in _BELONGS[at]:
                sides[side].append(line)
            continue
        sign = found["run"][:1]
        fits = at is _At.OUTSIDE or len(found["run"]) == length
        following = _NEXT.get((at, sign)) if fits else None
        if following is None:
            raise _broken(name, number, "this conflict marker has no match")
        if at is _At.OUTSIDE:
            length, opened, first = len(found["run"]), number, first or number
        at = following
    if at is not _At.OUTSIDE:
        raise _broken(name, opened, "this conflict has no end")
    if not first:
        return None
    ours, theirs = (b"".join(sides[side]) for side in (_At.OURS, _At.THEIRS))
    return Sides(ours=ours, theirs=theirs, line=first)


_NEXT: Final = {
    (_At.OUTSIDE, b"<"): _At.OURS,
    (_At.OURS, b"|"): _At.BASE,
    (_At.OURS, b"="): _At.THEIRS,
    (_At.BASE, b"="): _At.THEIRS,
    (_At.THEIRS, b">"): _At.OUTSIDE,
}

_BELONGS: Final = {
    _At.OUTSIDE: (_At.OURS, _At.THEIRS),
    _At.OURS: (_At.OURS,),
    _At.BASE: (),
    _At.THEIRS: (_At.THEIRS,),
}
"""Which sides have a line that is no marker."""


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield lines with their ends; only LF ends one, as for git."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _broken(name: str, line: int, message: str) -> DocumentError:
    place = Place(document=name, line=line)
    problem = Problem(code=Code.LOCK_CONFLICT, message=message, place=place, hint=TAKE_ONE_SIDE)
    return DocumentError([problem])
