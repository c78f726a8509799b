"""Events of a run as text: a live display on a terminal, plain lines in a log, JSON lines.

Events come from worker threads; every listener here takes a lock or leaves it to rich.
"""

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, assert_never

from civsync.cli.output import (
    Output,
    count_text,
    duration_text,
    error_document,
    show,
    size_text,
)
from civsync.cli.plan_text import action_document, plan_lines
from civsync.core.events import (
    Asked,
    Event,
    FileDone,
    FileFailed,
    FileProgress,
    FileRetrying,
    FileStarted,
    Hashing,
    Noted,
    Paused,
    Planned,
    Recording,
)
from civsync.core.names import SafePath

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_EVERY_S = 10.0
"""Time between two progress lines in a log."""

VERBS = {
    "fetched": "downloaded",
    "restored": "restored without the network",
    "moved": "moved",
    "retired": "retired to trash",
    "recorded": "downloaded to record its hash",
}


class Display(Protocol):
    """Shows how far a run has come."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tidy up."""
        ...


def choose_display(output: Output, *, stream: bool = False) -> Display:
    """Return the display that fits terminal and flags; `stream` asks for JSON lines."""
    if output.choice.json:
        return JsonLines(output, stream=stream)
    return LiveBars(output) if output.live else LogLines(output)


class _Plain:
    """What the displays share: they are context managers that own nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class JsonLines(_Plain):
    """Every event as one line of JSON (only with `stream`)."""

    def __init__(self, output: Output, *, stream: bool) -> None:
        self._output = output
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Print the event."""
        if self._stream:
            with self._lock:
                self._output.event(event_document(event))


class LogLines(_Plain):
    """A line for what matters, and one now and then for how far it is."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._began = self._told = time.monotonic()
        self._tally = Tally()

    def __call__(self, event: Event) -> None:
        """Say what is worth a line."""
        with self._lock:
            self._tally.take(event)
            tell_common(event, self._output)
            now = time.monotonic()
            if isinstance(event, FileProgress | FileDone) and now - self._told >= LOG_EVERY_S:
                self._told = now
                self._output.talk(self._tally.line(now - self._began))


class LiveBars:
    """One line for the whole and one for each running file, redrawn in place."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._whole: TaskID | None = None
        self._hashing: TaskID | None = None
        self._files: dict[SafePath, TaskID] = {}
        self._tally = Tally()

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True, highlight=False, markup=False),
            transient=True,
            expand=False,
        )
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Redraw."""
        progress = self._progress
        if progress is None:
            return
        with self._lock:
            self._tally.take(event)
            self._draw(progress, event)
        tell_common(event, self._output)

    def _draw(self, progress: "Progress", event: Event) -> None:
        match event:
            case Planned(plan=plan) if plan.bytes_to_fetch:
                self._whole = progress.add_task("total", total=plan.bytes_to_fetch)
            case Recording(size=size) if size:
                self._whole = progress.add_task("total", total=size)
            case Hashing(done=done, total=total, bytes_done=count):
                if self._hashing is None:
                    self._hashing = progress.add_task("reading", total=None)
                text = f"reading {done + 1 if done < total else total} of {total}"
                progress.update(self._hashing, description=text, completed=count)
            case FileStarted(path=path, size=size, held=held):
                name = shorten(show(path.rpartition("/")[2]))
                self._files[path] = progress.add_task(name, total=size, completed=held)
            case FileProgress(path=path, held=held) if path in self._files:
                progress.update(self._files[path], completed=held)
            case FileDone(path=path) | FileFailed(path=path) if path in self._files:
                progress.remove_task(self._files.pop(path))
            case _:
                pass
        if self._whole is not None:
            progress.update(self._whole, completed=self._tally.bytes_in_place)


class Tally:
    """Sums over all files."""

    def __init__(self) -> None:
        self._held: dict[SafePath, int] = {}
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
            case FileStarted(path=path, held=held) | FileProgress(path=path, held=held):
                self._held[path] = held
            case FileDone(path=path, size=size, how="fetched" | "restored" | "recorded"):
                self._held[path] = size
                self.files_done += 1
            case _:
                pass

    @property
    def bytes_in_place(self) -> int:
        """Bytes received so far, those of earlier runs included."""
        return sum(self._held.values())

    def line(self, seconds: float) -> str:
        """Return how far it is, as one line of a log."""
        done = self.bytes_in_place
        speed = done / seconds if seconds > 0 else 0.0
        left = (self.total - done) / speed if speed > 0 else 0.0
        share = 100 * done // self.total if self.total else 100
        return (
            f"{share}% {size_text(done)} of {size_text(self.total)},"
            f" {self.files_done} of {count_text(self.files_total, 'file')},"
            f" {size_text(int(speed))}/s, {duration_text(left)} left"
        )


def tell_common(event: Event, output: Output) -> None:
    """Say what every text display says in the same words."""
    match event:
        case Planned(plan=plan):
            for line in plan_lines(plan, output):
                output.talk(line)
        case Recording(files=files, size=size):
            output.talk(
                f"Civitai publishes no SHA-256 for {count_text(files, 'file')}: downloading"
                f" {size_text(size)} once to record it"
            )
        case FileDone(path=path, how=how) if output.choice.verbose:
            output.talk(f"{VERBS.get(how, how)}: {show(path)}")
        case FileRetrying(path=path, error=error, delay=delay):
            output.talk(
                f"{show(path)}: {show(error.message)}; trying again in {duration_text(delay)}"
            )
        case Paused(host=host, seconds=seconds):
            output.talk(f"{show(host)} asked for a pause of {duration_text(seconds)}")
        case Noted(message=message, path=path):
            output.warn(f"{show(path) + ': ' if path else ''}{show(message)}")
        case FileDone() | FileFailed() | FileStarted() | FileProgress() | Asked() | Hashing():
            pass
        case _:
            assert_never(event)


def event_document(event: Event) -> dict[str, object]:
    """Return an event as data."""
    match event:
        case Asked(requests=requests, entries=entries):
            return {"event": "asked", "requests": requests, "entries": entries}
        case Hashing(done=done, total=total, bytes_done=count):
            return {"event": "hashing", "done": done, "total": total, "bytes": count}
        case Planned(plan=plan):
            return {"event": "planned", "actions": [action_document(a) for a in plan.actions]}
        case Recording(files=files, size=size):
            return {"event": "recording", "files": files, "bytes": size}
        case FileStarted(path=path, size=size, held=held):
            return {"event": "started", "path": path, "size": size, "held": held}
        case FileProgress(path=path, size=size, held=held):
            return {"event": "progress", "path": path, "size": size, "held": held}
        case FileRetrying(path=path, error=error, delay=delay):
            document = error_document(error)
            return {"event": "retrying", "path": path, "error": document, "delay": delay}
        case FileDone(path=path, how=how, size=size, received=received):
            return {"event": "done", "path": path, "how": how, "size": size, "received": received}
        case FileFailed(path=path, error=error):
            return {"event": "failed", "path": path, "error": error_document(error)}
        case Paused(host=host, seconds=seconds):
            return {"event": "paused", "host": host, "seconds": seconds}
        case Noted(code=code, message=message, path=path):
            return {"event": "noted", "code": code, "message": message, "path": path}
        case _:
            assert_never(event)


def shorten(text: str, width: int = 32) -> str:
    """Cut the middle out of a long name; its end tells most."""
    if len(text) <= width:
        return text
    tail = width // 2
    return f"{text[: width - tail - 1]}…{text[-tail:]}"
