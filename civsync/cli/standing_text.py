"""How entries stand against upstream, as a table for people and as data for scripts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, assert_never

from civsync.cli.output import Output, count_text, error_document, show
from civsync.core.values import dataclass
from civsync.decide.standing import Reason, Standing, VersionFacts, Why

_HEAD: Final = ("MODEL", "LOCKED", "UPGRADE", "NEWEST")
_SHOWN: Final = 20
"""Models of one search that are listed without --verbose."""

_WIDEST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the table; `why` are the remarks, the first on the same line."""

    cells: tuple[str, str, str, str]
    why: tuple[str, ...] = ()


def tell_standings(found: Sequence[Standing], output: Output) -> None:
    """Print what is not current, with --verbose everything, and a summary."""
    verbose = output.choice.verbose
    told = [each for each in found if verbose or not each.is_current]
    rows = [row for each in told for row in _rows(each, verbose=verbose)]
    if rows:
        for line in _table(rows, output):
            output.data(line)
    if all(each.is_current for each in found):
        output.talk("everything is current")
        return
    pending = sum(bool(each.changes) for each in found)
    rest = sum(not each.changes and not each.is_current for each in found)
    summary = [f"an upgrade would change {count_text(pending, 'entry')}"] if pending else []
    if rest:
        summary.append(f"{count_text(rest, 'entry')} would stay behind, for the reason shown")
    output.talk(", ".join(summary))
    if pending:
        output.talk("Run `civsync lock --upgrade`, then `civsync sync`.")


def standing_document(standing: Standing) -> dict[str, object]:
    """Return one entry as data."""
    return {
        "entry": standing.entry.key,
        "place": str(standing.entry.place),
        "current": standing.is_current,
        "locked": [_version_document(each) for each in standing.locked],
        "available": [_version_document(each) for each in standing.available],
        "newest": [_version_document(each) for each in standing.newest],
        "changes": list(standing.changes),
        "came": sorted({each.model_id for each in standing.came}),
        "went": sorted({each.model_id for each in standing.went}),
        "moves": list(standing.moves),
        "reasons": [
            {
                "why": str(each.why),
                "model_id": each.model_id or None,
                "version_id": each.version.version_id if each.version else None,
                "version": each.version.version if each.version else None,
                "rule": each.rule,
                "text": each.text,
                "allowed_from": each.allowed_from or None,
            }
            for each in standing.reasons
        ],
        "error": None if standing.failure is None else error_document(standing.failure),
    }


def _version_document(facts: VersionFacts) -> dict[str, object]:
    return {
        "model_id": facts.model_id,
        "model": facts.model,
        "version_id": facts.version_id,
        "version": facts.version,
        "base_model": facts.base_model,
        "published_at": facts.published_at,
    }


def _rows(standing: Standing, *, verbose: bool) -> Iterator[_Row]:
    search = standing.entry.request.search is not None
    general = [_reason_text(each) for each in standing.reasons if not each.model_id]
    # That it is gone, or waits, is a reason of its own.
    noted = [each for each in standing.changes if each not in ("files", "gone", "waiting")]
    if noted:
        general.append(f"the same files; an upgrade notes what changed: {', '.join(noted)}")
    if search:
        yield _Row(
            cells=(standing.entry.key, "", "", ""), why=(_search_summary(standing), *general)
        )
        general = []
    lines = list(_model_rows(standing, general, indent="  " if search else "", verbose=verbose))
    if not lines and not search:
        yield _Row(cells=(standing.entry.key, "-", "-", "-"), why=tuple(general))
    shown = len(lines) if verbose or not search else _SHOWN
    yield from lines[:shown]
    if len(lines) > shown:
        more = f"  … and {len(lines) - shown:,} more (--verbose shows all)"
        yield _Row(cells=(more, "", "", ""))


def _search_summary(standing: Standing) -> str:
    models = count_text(len({each.model_id for each in standing.available}), "model")
    came = len({each.model_id for each in standing.came})
    went = len({each.model_id for each in standing.went})
    moves = len(standing.moves)
    counts = ((came, "came"), (went, "went"), (moves, "with other versions"))
    told = ", ".join(f"{number} {what}" for number, what in counts if number)
    return f"{models}: {told}" if told else models


def _model_rows(
    standing: Standing, general: Sequence[str], *, indent: str, verbose: bool
) -> Iterator[_Row]:
    versions = (*standing.available, *standing.locked, *standing.newest)
    names = {each.model_id: each.model for each in reversed(versions)}
    search = standing.entry.request.search is not None
    for number, name in sorted(names.items()):
        locked, available, newest = (
            [each for each in group if each.model_id == number]
            for group in (standing.locked, standing.available, standing.newest)
        )
        why = [_reason_text(each) for each in standing.reasons if each.model_id == number]
        if search and not verbose and not why and _ids(locked) == _ids(available):
            continue
        cells = (f"{indent}{name}", _names(locked), _names(available), _names(newest))
        yield _Row(cells=cells, why=(*general, *why))


def _ids(versions: Iterable[VersionFacts]) -> set[int]:
    return {each.version_id for each in versions}


def _names(versions: Sequence[VersionFacts]) -> str:
    if len(versions) > 2:
        return f"{len(versions)} versions"
    return ", ".join(each.version for each in versions) or "-"


def _table(rows: Sequence[_Row], output: Output) -> Iterator[str]:
    shown = [tuple(_short(cell) for cell in row.cells) for row in rows]
    # The key of a search stands alone in its line, and may be as long as it is.
    full = [cells for cells in shown if cells[1]] or shown
    widths = [max(len(head), *(len(c[at]) for c in full)) for at, head in enumerate(_HEAD)]
    yield output.paint(_padded((*_HEAD, "WHY"), widths), "bold", to_stdout=True)
    for row, cells in zip(rows, shown, strict=True):
        first, *others = row.why or ("",)
        if not cells[1]:
            yield f"{show(row.cells[0])}  {show(first)}".rstrip()
        else:
            yield _padded((*cells, show(first)), widths)
        for other in others:
            yield _padded(("", "", "", "", show(other)), widths)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    *columns, last = cells
    padded = [f"{cell:<{width}}" for cell, width in zip(columns, widths, strict=True)]
    return "  ".join([*padded, last]).rstrip()


def _short(cell: str) -> str:
    text = show(cell)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _reason_text(reason: Reason) -> str:
    """Return a reason in words; what it quotes is not escaped yet."""
    version = reason.version.version if reason.version else ""
    when = reason.allowed_from
    match reason.why:
        case Why.HELD:
            return f"{version} is held back: {reason.text}"
        case Why.PINNED:
            return f"pinned; the latest for {_family(reason)} is {version}"
        case Why.TOO_NEW:
            allowed = f", allowed from {when}" if when else ""
            return f"{version} is too new for exclude_newer: {reason.text}{allowed}"
        case Why.EARLY_ACCESS:
            return f"{version} is in early access until {when or 'nobody knows when'}"
        case Why.POLICY:
            # Some refusals begin with the version themselves.
            named = reason.text.startswith("version ")
            return reason.text if named else f"{version}: {reason.text}"
        case Why.UNLOCKABLE | Why.FAILED:
            return reason.text
        case Why.GONE:
            return "gone from Civitai; the locked files stay wanted"
        case Why.UNLISTED:
            return f"{version} is not listed any more"
        case Why.ARCHIVED:
            return "archived by its creator; nothing of it can be downloaded"
        case Why.TAKEN_DOWN:
            return "moderators took its pictures down; the files are still served"
        case _:
            assert_never(reason.why)


def _family(reason: Reason) -> str:
    return (reason.version.base_model if reason.version else "") or "its base model"
