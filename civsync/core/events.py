"""What the engine tells while it works. Only the command line turns events into text."""

from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath
from civsync.core.plan import Plan
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """So many `requests` are answered, for `entries` entries; the first event tells of none."""

    requests: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """Files on disk are read to learn their content; `bytes_total` is 0 where nobody knows."""

    done: int
    total: int
    bytes_done: int
    bytes_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan that is carried out next."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Files without a published hash, `size` bytes in all, are downloaded to record it."""

    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStarted:
    """A file begins; `held` of its `size` bytes were there already."""

    path: SafePath
    size: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProgress:
    """A file holds `held` of `size` bytes now. Sent a few times a second at most."""

    path: SafePath
    size: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRetrying:
    """A try failed; another follows after `delay` seconds."""

    path: SafePath
    error: CivsyncError
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDone:
    """An action is complete. `how` is "fetched", "moved", "copied", "recorded", ... ."""

    path: SafePath
    how: str
    size: int
    received: int = 0
    """Bytes that came over the network for it in this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed:
    """An action failed for good in this run."""

    path: SafePath
    error: CivsyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Requests to a host rest for `seconds`, because it asked for it."""

    host: str
    seconds: float
    error: CivsyncError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something a person should know that is no failure; `code` is stable, for scripts."""

    code: str
    message: str
    path: SafePath | None = None


Event = (
    Asked
    | Hashing
    | Planned
    | Recording
    | FileStarted
    | FileProgress
    | FileRetrying
    | FileDone
    | FileFailed
    | Paused
    | Noted
)
