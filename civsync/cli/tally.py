"""Add up how far the downloads of a run have come. Shows nothing."""

from civsync.cli.output import count_text, duration_text, size_text
from civsync.core.events import (
    Event,
    FileDone,
    FileProgress,
    FileStarted,
    Planned,
    Recording,
)
from civsync.core.names import SafePath


class Tally:
    """Sums over all files. What earlier runs left on disk is told apart: it took no time now."""

    def __init__(self) -> None:
        self._held: dict[SafePath, int] = {}
        self._found: dict[SafePath, int] = {}
        self.total = 0
        self.files_total = 0
        self.files_done = 0

    def take(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Planned(plan=plan):
                self.total, self.files_total = plan.bytes_to_fetch, len(plan.fetches)
            case Recording(files=files, size=size):
                self.total, self.files_total = size, files
            case FileStarted(path=path, held=held):
                self._found.setdefault(path, held)
                self._held[path] = held
            case FileProgress(path=path, held=held):
                self._held[path] = held
            case FileDone(path=path, size=size, received=received, how=how):
                if how not in ("moved", "retired"):
                    self._held[path] = size
                    self._found[path] = max(0, size - received)
                    self.files_done += 1
            case _:
                pass

    @property
    def bytes_in_place(self) -> int:
        """Bytes that are there, those of earlier runs included."""
        return sum(self._held.values())

    @property
    def bytes_found(self) -> int:
        """Bytes that did not have to come over the network in this run."""
        return sum(self._found.values())

    @property
    def bytes_received(self) -> int:
        """Bytes that came over the network in this run."""
        return max(0, self.bytes_in_place - self.bytes_found)

    def line(self, seconds: float) -> str:
        """Return how far it is after so many seconds, as one line of a log."""
        done = self.bytes_in_place
        speed = self.bytes_received / seconds if seconds > 0 else 0.0
        left = f", {duration_text((self.total - done) / speed)} left" if speed > 0 else ""
        share = 100 * done // self.total if self.total else 100
        return (
            f"{share}% {size_text(done)} of {size_text(self.total)},"
            f" {self.files_done} of {count_text(self.files_total, 'file')},"
            f" {size_text(int(speed))}/s{left}"
        )
