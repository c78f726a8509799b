"""What becomes of files that may be taken over, as values."""

from civsync.core.disk import Stamp
from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath
from civsync.core.plan import Want
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """The locked bytes at their locked path: they become ours as they lie."""

    want: Want
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Bring:
    """The locked bytes under another name, where nothing is yet: move them there, then own them."""

    want: Want
    source: SafePath
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The locked bytes at their locked path, ours already."""

    want: Want
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Left alone, where it is and whose it is; `error` says why and what helps.

    `path` is for people: not every name on a disk is one that civsync would make.
    """

    path: str
    error: CivsyncError


Fate = Take | Bring | Ours | Leave
