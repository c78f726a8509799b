"""Running syncs as text and as data: what `civsync job list` prints."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from civsync.cli.output import Output, count_text, show, size_text
from civsync.core.control import Stage
from civsync.core.jobs import Download, RunningSync
from civsync.core.limits import WAITING_SHOWN

_HEAD = ("STAGE", "HELD", "SIZE", "PRIORITY", "CONNECTIONS", "ENTRY", "FILE")
_UNDER_WAY = (Stage.RUNNING, Stage.PAUSED, Stage.WAITING)
"""Stages that are shown download by download, in this order; the others are counted."""

_COLORS = {Stage.RUNNING: "green", Stage.PAUSED: "yellow", Stage.WAITING: "dim"}


def run_lines(run: RunningSync, output: Output) -> Iterator[str]:
    """Yield one running sync as text: a line for the whole, then a table of its downloads."""
    since = datetime.fromtimestamp(run.started, UTC).astimezone()
    root = output.paint(show(run.root), "bold", to_stdout=True)
    yield f"{root}  process {run.pid}, since {since:%Y-%m-%d %H:%M:%S}  {show(run.command)}"
    yield f"  {', '.join(_sums(run))}"
    by_stage = {stage: [each for each in run.downloads if each.stage is stage] for stage in Stage}
    waiting = by_stage[Stage.WAITING]
    by_stage[Stage.WAITING] = waiting[:WAITING_SHOWN]
    shown = [each for stage in _UNDER_WAY for each in by_stage[stage]]
    if shown:
        yield from _table(shown, output)
    if (more := len(waiting) - WAITING_SHOWN) > 0:
        yield f"  … and {more:,} more waiting"


def run_document(run: RunningSync) -> dict[str, object]:
    """Return one running sync as data."""
    return {
        "root": run.root,
        "pid": run.pid,
        "started": f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": run.command,
        "received": run.received,
        "limit_rate": run.limit_rate,
        "downloads": [
            {
                "path": each.path,
                "entry": each.entry,
                "model": each.model,
                "size": each.size,
                "held": each.held,
                "stage": str(each.stage),
                "priority": each.priority,
                "connections": each.connections,
            }
            for each in run.downloads
        ],
    }


def rate_text(rate: int) -> str:
    """Return a rate as people read it."""
    return f"{size_text(rate)}/s"


def _sums(run: RunningSync) -> Iterator[str]:
    held, size = (sum(getattr(each, name) for each in run.downloads) for name in ("held", "size"))
    yield f"{size_text(held)} of {size_text(size)} there"
    yield f"{size_text(run.received)} received"
    for stage in (Stage.DONE, Stage.FAILED, Stage.CANCELLED):
        if number := sum(each.stage is stage for each in run.downloads):
            yield f"{count_text(number, 'file')} {stage}"
    if run.limit_rate is not None:
        yield f"at most {rate_text(run.limit_rate)}"


def _table(downloads: Sequence[Download], output: Output) -> Iterator[str]:
    rows = [_cells(each) for each in downloads]
    widths = [max(len(cells[at]) for cells in (_HEAD, *rows)) for at in range(len(_HEAD))]
    yield f"  {output.paint(_padded(_HEAD, widths), 'bold', to_stdout=True)}"
    for each, cells in zip(downloads, rows, strict=True):
        stage, line = cells[0], _padded(cells, widths)
        painted = output.paint(stage, _COLORS[each.stage], to_stdout=True)
        yield f"  {painted}{line[len(stage) :]}"


def _cells(download: Download) -> tuple[str, ...]:
    share = 100 * download.held // download.size if download.size else 100
    return (
        str(download.stage),
        f"{min(share, 100)}%",
        size_text(download.size),
        str(download.priority),
        str(download.connections),
        show(download.entry),
        show(download.path),
    )


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    stage, *numbers, entry, path = cells
    first, *middle, before_last, _ = widths
    right = (f"{cell:>{width}}" for cell, width in zip(numbers, middle, strict=True))
    return "  ".join([f"{stage:<{first}}", *right, f"{entry:<{before_last}}", path])
