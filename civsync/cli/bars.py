"""The live display of a terminal: one line for the whole and one for each running file."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from civsync.cli.output import Output, count_text, show, size_text
from civsync.cli.progress import tell_common
from civsync.cli.tally import Tally
from civsync.core.events import (
    Asked,
    Event,
    FileDone,
    FileFailed,
    FileProgress,
    FileStarted,
    Hashing,
    Noted,
    Planned,
    Recording,
)
from civsync.core.names import SafePath

_NAME_WIDTH: Final = 32
_LEAST_NAME_WIDTH: Final = 12
"""Columns for the name of a file, where there is room and where there is none."""

_NUMBERS_WIDTH: Final = 45
"""Columns for all else: "999.9/999.9 MiB", "999.9 MiB/s", "0:00:00", blanks, a short bar."""


class LiveBars:
    """Redraws in place, and leaves nothing behind but the lines that every display tells."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._progress: _Rows | None = None
        self._whole: TaskID | None = None
        self._asking: TaskID | None = None
        self._hashing: TaskID | None = None
        self._files: dict[SafePath, TaskID] = {}
        self._name_width = _NAME_WIDTH
        self._tally = Tally()

    def __enter__(self) -> Self:
        console = Console(
            file=cast("TextIO", _Screen(sys.stderr)),
            highlight=False,
            markup=False,
            no_color=not self._output.colored,
        )
        self._name_width = name_width(console.width)
        # Of a line that is too long the bar gives way, never a number.
        self._progress = _Rows(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Bytes(binary_units=True, table_column=Column(no_wrap=True)),
            _Speed(table_column=Column(no_wrap=True)),
            _TimeLeft(compact=True, table_column=Column(no_wrap=True)),
            console=console,
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
        if progress is not None:
            with self._lock:
                self._tally.take(event)
                self._draw(progress, event)
        tell_common(event, self._output)

    def hint(self, text: str) -> None:
        """Show `text` above the bars, in place of the last one."""
        if self._progress is not None:
            self._progress.headline = Text(text, style="dim" if self._output.colored else "")
            self._progress.refresh()

    def show_cursor(self, *, shown: bool) -> None:
        """Give the terminal its cursor back, or take it again while this draws."""
        if self._progress is not None and (shown or self._progress.live.is_started):
            self._progress.console.show_cursor(shown)

    def _draw(self, progress: Progress, event: Event) -> None:
        match event:
            case Asked(requests=requests):
                text = f"asking Civitai, {count_text(requests, 'answer')} so far"
                if self._asking is None:
                    self._asking = progress.add_task(text, total=None, has_bytes=False)
                progress.update(self._asking, description=text)
            case Planned() | Recording():
                if self._asking is not None:
                    progress.remove_task(self._asking)
                    self._asking = None
                if self._hashing is not None:
                    progress.remove_task(self._hashing)
                    self._hashing = None
                if self._tally.total:
                    self._whole = progress.add_task("total", total=self._tally.total)
            case Hashing(done=done, total=total, bytes_done=count, bytes_total=size):
                if self._hashing is None:
                    self._hashing = progress.add_task("reading", total=size or None)
                text = f"reading {done + 1 if done < total else total} of {total}"
                progress.update(self._hashing, description=text, completed=count)
            case FileStarted(path=path, size=size, held=held) if path not in self._files:
                name = shorten(show(path.rpartition("/")[2]), self._name_width)
                self._files[path] = progress.add_task(name, total=size, completed=held)
            case FileProgress(path=path, held=held) if path in self._files:
                progress.update(self._files[path], completed=held)
            case FileDone(path=path) | FileFailed(path=path) if path in self._files:
                progress.remove_task(self._files.pop(path))
            case Noted(code="paused", path=path) if path is not None and path in self._files:
                progress.remove_task(self._files.pop(path))
            case _:
                pass
        if self._whole is not None:
            # What earlier runs left counts for nothing: it would look like speed.
            progress.update(
                self._whole,
                completed=self._tally.bytes_received,
                total=self._tally.total - self._tally.bytes_found,
                moves=bool(self._files),
            )


class _Screen:
    """A terminal that may go away: what it cannot show any more is lost, and no failure."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a stream has
        return getattr(self._stream, name)


class _Rows(Progress):
    """The bars, with a line above them if there is something to say."""

    headline = Text("")

    def get_renderables(self) -> Iterator[RenderableType]:
        if self.headline:
            yield self.headline
        yield from super().get_renderables()


class _Bytes(DownloadColumn):
    """Bytes of bytes; nothing for what is not counted in bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields.get("has_bytes", True) else Text("")


class _Speed(ProgressColumn):
    """Bytes a second, in the units that everything else is told in."""

    def render(self, task: Task) -> Text:
        speed = (task.finished_speed or task.speed) if _moves(task) else None
        return Text(f"{size_text(int(speed))}/s" if speed else "", style="progress.data.speed")


class _TimeLeft(TimeRemainingColumn):
    """How long it will still take; nothing while everything is paused."""

    def render(self, task: Task) -> Text:
        return super().render(task) if _moves(task) else Text("")


def _moves(task: Task) -> bool:
    return bool(task.fields.get("moves", True))


def name_width(columns: int) -> int:
    """Return how long a name may be beside the numbers, on a terminal of so many columns."""
    return min(_NAME_WIDTH, max(_LEAST_NAME_WIDTH, columns - _NUMBERS_WIDTH))


def shorten(text: str, width: int = _NAME_WIDTH) -> str:
    """Cut the middle out of a long name; its end tells most."""
    if len(text) <= width:
        return text
    tail = width // 2
    return f"{text[: width - tail - 1]}…{text[-tail:]}"
