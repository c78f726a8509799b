"""What a running sync shows of itself, and the orders that it takes, as values."""

from enum import StrEnum

from civsync.core.names import SafePath
from civsync.core.values import dataclass


class Stage(StrEnum):
    """How far one download of a run is."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferView:
    """One download: `held` of its `size` bytes are there; `entry` is the key of its entry.

    Greater `priority` goes first. `connections` are those that receive just now.
    """

    path: SafePath
    entry: str
    size: int
    held: int
    stage: Stage
    priority: int
    connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A whole run: its downloads in the order of the plan, and the limits in force.

    `limit_rate` is in bytes a second, None for no limit; `received` counts bytes that came
    over the network in this run.
    """

    transfers: tuple[TransferView, ...] = ()
    received: int = 0
    limit_rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Let these downloads rest until `Resume` or the end of the run; None means all."""

    paths: frozenset[SafePath] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on with what was paused; None means all."""

    paths: frozenset[SafePath] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Give these downloads up for this run and drop what was received; None means all."""

    paths: frozenset[SafePath] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prioritize:
    """Let these downloads start before those of a smaller priority."""

    paths: frozenset[SafePath]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Receive at most `rate` bytes a second over all connections; None for no limit."""

    rate: int | None


Order = Pause | Resume | Cancel | Prioritize | Limit
