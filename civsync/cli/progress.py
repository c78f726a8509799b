"""Events of a run as text: plain lines in a log, JSON lines; `bars` draws for a terminal.

Events come from worker threads; every listener takes a lock.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, assert_never

from civsync.cli.output import (
    Output,
    count_text,
    duration_text,
    error_document,
    show,
    size_text,
)
from civsync.cli.plan_text import action_document, plan_lines
from civsync.cli.tally import Tally
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

LOG_EVERY_S = 10.0
"""Time between two progress lines in a log."""

VERBS = {
    "fetched": "downloaded",
    "restored": "restored without the network",
    "reflinked": "reflinked from another root",
    "hardlinked": "hard-linked from another root",
    "copied": "copied from another root",
    "moved": "moved",
    "retired": "retired to trash",
    "recorded": "downloaded to record its hash",
}


class Display(Protocol):
    """Shows how far a run has come."""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        ...

    def hint(self, text: str) -> None:
        """Show what the keys do just now, where keys and a live display are; "" for nothing."""
        ...

    def show_cursor(self, *, shown: bool) -> None:
        """Show the cursor, for who has the terminal next, or hide it again to draw on."""
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
    if not output.live:
        return LogLines(output)
    from civsync.cli.bars import LiveBars

    return LiveBars(output)


class _Plain:
    """What the displays share: they are context managers that own nothing."""

    def __enter__(self) -> Self:
        return self

    def hint(self, text: str) -> None:
        """There is no place that could be redrawn."""

    def show_cursor(self, *, shown: bool) -> None:
        """It was never hidden."""

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

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._clock = clock
        self._began = self._told = clock()
        self._tally = Tally()

    def __call__(self, event: Event) -> None:
        """Say what is worth a line."""
        with self._lock:
            self._tally.take(event)
            tell_common(event, self._output)
            now = self._clock()
            if isinstance(event, FileProgress | FileDone) and now - self._told >= LOG_EVERY_S:
                self._told = now
                self._output.talk(self._tally.line(now - self._began))
            elif isinstance(event, Hashing) and now - self._told >= LOG_EVERY_S:
                self._told = now
                self._output.talk(_reading_line(event, now - self._began))


def _reading_line(event: Hashing, seconds: float) -> str:
    """Return how far the reading is after so many seconds."""
    whole = f" of {size_text(event.bytes_total)}" if event.bytes_total else ""
    speed = f", {size_text(int(event.bytes_done / seconds))}/s" if seconds > 0 else ""
    return (
        f"read {size_text(event.bytes_done)}{whole}, {event.done} of"
        f" {count_text(event.total, 'file')}{speed}"
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
        case Noted(code="paused" | "resumed") if output.live and not output.choice.verbose:
            pass  # the line above the bars says how many are
        case Noted(code="waiting", message=message):
            output.talk(message)
        case Noted(code="paused" | "resumed" | "served-name", message=message, path=path):
            output.talk(f"{show(path or '')}: {show(message)}")
        case Noted(code="not-shared", message=message):
            output.talk(show(message))
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
            actions = [action_document(action) for action in plan.actions]
            return {"event": "planned", "actions": actions, "unselected": plan.unselected.files}
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
