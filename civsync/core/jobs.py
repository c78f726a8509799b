"""A running sync as another process sees it, and what the two say to each other, as values."""

from civsync.core.control import Order, Stage
from civsync.core.names import SafePath
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One download of a running sync, with what people call it.

    `entry` is the key of its entry, `model` the name of its model; `held` of `size` bytes are
    there. Greater `priority` goes first. `connections` are those that receive just now.
    """

    path: SafePath
    entry: str
    model: str = ""
    model_id: int = 0
    version_id: int = 0
    size: int
    held: int
    stage: Stage
    priority: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSync:
    """A sync that is under way in process `pid` since `started` (seconds since 1970).

    `root` is the real path; `received` counts bytes of this run; `limit_rate` is in bytes a
    second, None for no limit.
    """

    root: str
    pid: int
    started: int
    command: str
    received: int = 0
    limit_rate: int | None = None
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Ask how far everything is; changes nothing."""


Request = Look | Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The answer to `Look`."""

    run: RunningSync


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """The answer to an order: how many downloads it changed."""

    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The answer to what could not be understood or done; `reason` is a sentence."""

    reason: str


Answer = Seen | Obeyed | Declined
