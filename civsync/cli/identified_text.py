"""What `civsync init --from` says: which files are described, and why the others are not."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from civsync.cli.output import Output, count_text, show, size_text
from civsync.core.values import dataclass
from civsync.decide.arrange import Arrangement
from civsync.decide.identify import Fate, Left, Match
from civsync.decide.kinds import is_pickle

_COLORS = {Fate.UNKNOWN: "yellow", Fate.SKIPPED: "dim", Fate.REFUSED: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it.

    `elsewhere` says that the manifest cannot name `root`; `remembered` that the next look
    need not read the files; `retiring` are files that civsync placed and nothing wants now.
    """

    manifest: Path
    lock: Path
    root: Path
    elsewhere: bool
    arrangement: Arrangement
    left: tuple[Left, ...]
    ignored: int
    remembered: bool
    retiring: int

    @property
    def matches(self) -> list[Match]:
        """The files that are described, by path."""
        entries = self.arrangement.entries
        found = (match for entry in entries for match in entry.matches)
        return sorted(found, key=lambda match: match.found.path)


def tell(output: Output, report: Report) -> None:
    """Say it as text, or as one document with --json."""
    if output.choice.json:
        output.document("civsync.init", _document(report))
    else:
        for line in _lines(output, report):
            output.data(line)
    _warn(output, report)
    if not output.choice.json:
        _sum_up(output, report)


def _warn(output: Output, report: Report) -> None:
    """Say what a person should know, also in a script."""
    if report.elsewhere:
        root = str(report.root)
        output.warn(f"{show(root)} is no folder below that of the manifest, which cannot name it")
        output.hint(f"Pass --root {shlex.quote(root)} to every command, or set CIVSYNC_ROOT to it.")
    pickles = sum(is_pickle(match.file.name, match.file.format) for match in report.matches)
    if pickles:
        output.warn(
            f"{count_text(pickles, 'described file')} may run code when loaded (pickles):"
            " `allow_pickle: true` stands in the entry"
        )
    if report.retiring:
        output.warn(
            f"{count_text(report.retiring, 'file')} that civsync placed earlier is not described:"
            " the next sync would retire what nothing wants"
        )


def _lines(output: Output, report: Report) -> Iterator[str]:
    """Yield a line for every file that is not described; with --verbose for all."""
    if output.choice.verbose:
        for match in report.matches:
            names = f"{match.model.name}, {match.version.name}"
            also = f" (also version {', '.join(map(str, match.others))})" if match.others else ""
            yield f"described  {show(match.found.path)}: {show(names)}{also}"
    for left in report.left:
        word = output.paint(left.fate.ljust(9), _COLORS[left.fate], to_stdout=True)
        yield f"{word}  {show(left.path)}: {show(left.reason)}"


def _sum_up(output: Output, report: Report) -> None:
    matches, layout = report.matches, report.arrangement.layout
    size = size_text(sum(match.found.size for match in matches))
    output.talk(
        f"Wrote {show(str(report.manifest))} and {show(str(report.lock))} ({layout} layout):"
        f" {count_text(len(matches), 'file')}, {size}, as they lie"
    )
    counts = Counter(left.fate for left in report.left)
    meaning = {
        Fate.UNKNOWN: "not known to Civitai",
        Fate.SKIPPED: "skipped",
        Fate.REFUSED: "refused",
    }
    words = [f"{counts[fate]:,} {text}" for fate, text in meaning.items() if counts[fate]]
    if report.ignored:
        words.append(f"{count_text(report.ignored, 'other file')} ignored")
    if words:
        output.talk(f"Not described: {', '.join(words)}. They stay as they are.")
    if not report.remembered:
        output.talk("What was read could not be noted there: `civsync status` will read it again.")
    root = f" --root {shlex.quote(str(report.root))}" if report.elsewhere else ""
    output.talk(f"Nothing was downloaded or moved. Next: `civsync status{show(root)}`.")


def _document(report: Report) -> dict[str, object]:
    fates: dict[str, object] = {
        fate.value: [
            {"path": left.path, "code": left.code, "reason": left.reason}
            for left in report.left
            if left.fate is fate
        ]
        for fate in Fate
    }
    return {
        "manifest": str(report.manifest),
        "lock": str(report.lock),
        "entries": len(report.arrangement.entries),
        "root": str(report.root),
        "root_in_manifest": not report.elsewhere,
        "layout": report.arrangement.layout,
        "described": [_described(match) for match in report.matches],
        **fates,
        "ignored": report.ignored,
    }


def _described(match: Match) -> dict[str, object]:
    return {
        "path": match.found.path,
        "size": match.found.size,
        "sha256": match.found.sha256,
        "model_id": match.model.id,
        "model": match.model.name,
        "version_id": match.version.id,
        "version": match.version.name,
        "file_id": match.file.id,
        "also_in": list(match.others),
    }
