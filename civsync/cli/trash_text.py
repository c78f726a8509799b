"""What is in trash as text and as data."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from civsync.cli.output import Output, count_text, show, size_text
from civsync.core.disk import Trashed
from civsync.core.limits import TRASH_DAYS

_HEAD: Final = ("ID", "SINCE", "SIZE", "KEPT FOR", "REASON", "PATH")
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

_EARLIEST: Final = 2 * _DAY_S
"""Earlier times are in no name of ours, and not every system has a local time for them."""


def trash_lines(
    trashed: Sequence[Trashed], now: float, output: Output, *, to_stdout: bool = True
) -> Iterator[str]:
    """Yield a table, in the order given, as of `now` (Unix seconds); nothing for nothing."""
    if not trashed:
        return
    rows = [_cells(each, now) for each in trashed]
    widths = [max(len(cells[at]) for cells in (_HEAD, *rows)) for at in range(len(_HEAD))]
    yield output.paint(_padded(_HEAD, widths), "bold", to_stdout=to_stdout)
    for cells in rows:
        yield _padded(cells, widths)


def trashed_document(trashed: Trashed) -> dict[str, object]:
    """Return one file in trash as data; times in UTC."""
    return {
        "id": trashed.id,
        "path": trashed.path,
        "size": trashed.size,
        "sha256": trashed.sha256,
        "reason": trashed.reason,
        "since": f"{_moment(trashed.seconds):%Y-%m-%dT%H:%M:%SZ}",
        "kept_until": f"{_moment(_kept_until(trashed)):%Y-%m-%dT%H:%M:%SZ}",
    }


def moment_text(seconds: int) -> str:
    """Return a Unix time as people here read it."""
    return f"{_moment(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(max(seconds, _EARLIEST), UTC)


def _kept_until(trashed: Trashed) -> int:
    return trashed.seconds + TRASH_DAYS * _DAY_S


def _cells(trashed: Trashed, now: float) -> tuple[str, ...]:
    return (
        trashed.id,
        moment_text(trashed.seconds),
        size_text(trashed.size),
        _left_text(_kept_until(trashed) - now),
        show(trashed.reason) or "?",
        show(trashed.path) if trashed.path else "?",
    )


def _left_text(seconds: float) -> str:
    """Return how long something is still kept, rounded down."""
    if seconds <= 0:
        return "next sync"
    if seconds < 2 * _DAY_S:
        return f"{int(seconds // _HOUR_S)} h"
    return count_text(int(seconds // _DAY_S), "day")


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    id_, since, size, kept, reason, path = cells
    return (
        f"{id_:<{widths[0]}}  {since:<{widths[1]}}  {size:>{widths[2]}}  {kept:<{widths[3]}}"
        f"  {reason:<{widths[4]}}  {path}"
    )
