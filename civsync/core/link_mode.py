"""How bytes that are on this machine already may get into a root, as values."""

from enum import StrEnum

from civsync.core.disk import Stamp
from civsync.core.names import SafePath
from civsync.core.values import dataclass


class LinkMode(StrEnum):
    """What the user allows; whatever is not possible falls back to what comes later here."""

    AUTO = "auto"
    """Reflink; else copy, which is no surprise."""

    REFLINK = "reflink"
    """The same, and a copy is worth a warning."""

    HARDLINK = "hardlink"
    """Reflink; else one more name for the same file, read-only from then on; else copy."""

    COPY = "copy"
    """Copy, so that the blocks are the root's own."""

    OFF = "off"
    """Use nothing from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """Some content below a root of this machine, as it was when it was read there.

    `root` is a real path; `owned` says that civsync placed the file there, or was told to
    adopt it. Nothing of this is more than a hint.
    """

    root: str
    root_id: str
    path: SafePath
    sha256: str
    stamp: Stamp
    owned: bool
