"""What receiving needs of the world but for the disk, and what it says of a file to all."""

from collections.abc import Callable
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.events import FileProgress
from civsync.core.lock import LockedFile
from civsync.core.values import dataclass
from civsync.ports import Clock, Reporter, Source, Transport

PROGRESS_EVERY_S: Final = 0.1
"""Least time between two progress events of one file."""

DOWNLOAD_ROUTE: Final = "the download route"
"""What the API's side of downloads goes by among the hosts of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Everything that receiving needs of the world, but for the disk."""

    source: Source
    transport: Transport
    clock: Clock
    report: Reporter
    offline: bool = False


def progress_of(file: LockedFile, network: Network) -> Callable[[int], None]:
    """Return what is to be told the bytes held of a file: it reports them, not too often."""
    last = 0.0

    def tell(held: int) -> None:
        nonlocal last
        now = network.clock.monotonic()
        if now - last >= PROGRESS_EVERY_S or held == file.size:
            last = now
            network.report(FileProgress(path=file.path, size=file.size, held=held))

    return tell


def ended_early(file: LockedFile) -> WireError:
    """Return the error for a body that is shorter than what was asked for."""
    return WireError(Code.CONNECTION_LOST, "the body ended too early", subject=file.path)


def too_many_redirects(file: LockedFile) -> WireError:
    """Return the error for a chain of redirects without an end."""
    return WireError(Code.BAD_REDIRECT, "too many redirects", subject=file.path)
