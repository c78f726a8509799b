"""What is on disk and what civsync owns there, as values."""

from collections.abc import Mapping
from dataclasses import field

from civsync.core.names import SafePath
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file is known again without reading it: bytes, nanoseconds, inode.

    The device number is left out: it changes with every mount.
    """

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing is there."""


@dataclass(frozen=True, slots=True)
class Regular:
    """A regular file; `sha256` is None until its content is known."""

    stamp: Stamp
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that is not a regular file: "directory", "symlink", "special"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A directory on the way, `at`, is none that may be gone through.

    `kind` says why: "symlink", or "disk" where it is on another disk and nobody declared
    that; other kinds are no directory at all.
    """

    at: str
    kind: str = "symlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The user's word that the directory `at`, below the root, lies on another disk.

    `target` is the absolute path that a link at `at` leads to, "" where a disk is mounted
    right there.
    """

    at: SafePath
    target: str = ""


Sight = Absent | Regular | Obstacle | Linked

Inventory = Mapping[SafePath, Sight]
"""What is at each path that somebody cares about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One file that civsync placed or adopted, and what it was when that happened.

    With `protect` no sync takes it away, also when its entry is gone.
    """

    path: SafePath
    sha256: str
    stamp: Stamp
    entry: str = ""
    model_id: int = 0
    version_id: int = 0
    file_id: int = 0
    blake3: str | None = None
    protect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Content of a file that is not ours, remembered so that it need not be read again."""

    sha256: str
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What civsync owns under one root."""

    root_id: str
    owned: Mapping[SafePath, Owned] = field(default_factory=dict)
    known: Mapping[SafePath, Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """A file that was taken out of the tree and waits in trash; `id` is its name for people.

    `path` is where it lay, None where no note says so that can be believed; `sha256` is what
    it was retired with, None where nobody had hashed it. `seconds` is the Unix time at which
    it came. Deleting it gives `frees` bytes back: none where the bytes have another name.
    """

    id: str
    path: SafePath | None
    sha256: str | None
    size: int
    frees: int
    reason: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Content of a byte string: SHA-256, BLAKE3 (lower-case hex) and length."""

    sha256: str
    blake3: str
    size: int
