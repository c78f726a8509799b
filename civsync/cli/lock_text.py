"""The difference between two locks, as text and as data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from civsync.cli.output import Output, show, size_text
from civsync.core.lock import Lock, LockedEntry, LockedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one entry: "added", "removed", "changed" or "moved"."""

    kind: str
    key: str
    old: LockedEntry | None
    new: LockedEntry | None

    def document(self) -> dict[str, object]:
        """Return the change as data."""
        return {
            "kind": self.kind,
            "entry": self.key,
            "from": _names(self.old),
            "to": _names(self.new),
            "bytes": sum(file.size for file in self.new.files) if self.new else 0,
        }


def changes_between(old: Lock, new: Lock) -> list[Change]:
    """Return what changed, in the order of the new lock, removed entries last.

    An entry that went and one that came for the same model are one change.
    """
    before = {entry.key: entry for entry in old.entries}
    after = {entry.key for entry in new.entries}
    gone = {_model(entry): entry for entry in old.entries if entry.key not in after}
    changes = []
    for entry in new.entries:
        was = before.get(entry.key) or gone.pop(_model(entry), None)
        if kind := _kind(was, entry):
            changes.append(Change(kind=kind, key=entry.key, old=was, new=entry))
    changes += [
        Change(kind="removed", key=entry.key, old=entry, new=None) for entry in gone.values()
    ]
    return changes


def change_lines(changes: Sequence[Change], output: Output) -> Iterator[str]:
    """Yield the changes for people."""
    limit = len(changes) if output.choice.verbose else 40
    for change in changes[:limit]:
        yield _line(change, output)
    if len(changes) > limit:
        yield f"  … and {len(changes) - limit:,} more (--verbose shows all)"


def _line(change: Change, output: Output) -> str:
    sign, color = {
        "added": ("+", "green"),
        "removed": ("-", "red"),
        "changed": ("~", "yellow"),
        "moved": (">", "blue"),
    }[change.kind]
    entry = change.new or change.old
    if entry is None:
        return ""
    model = entry.files[0].model if entry.files else change.key
    version = _names(change.new or change.old)
    was = _names(change.old) if change.old and change.new else version
    versions = f"{was} → {version}" if was != version else version
    size = size_text(sum(file.size for file in entry.files))
    where = f" at {entry.files[0].path}" if change.kind == "moved" and entry.files else ""
    text = f"{show(model)}  {show(versions)}{show(where)}  {size}"
    return f"  {output.paint(sign, color)} {text}  {output.paint(show(change.key), 'dim')}"


def _kind(old: LockedEntry | None, new: LockedEntry) -> str:
    if old is None:
        return "added"
    if [_content(file) for file in old.files] != [_content(file) for file in new.files]:
        return "changed"
    if [file.path for file in old.files] != [file.path for file in new.files]:
        return "moved"
    return ""


def _model(entry: LockedEntry) -> int | str:
    return entry.files[0].model_id if entry.files and not entry.is_search else entry.key


def _content(file: LockedFile) -> tuple[int, int, str]:
    return (file.version_id, file.file_id, file.sha256)


def _names(entry: LockedEntry | None) -> str:
    return ", ".join(dict.fromkeys(file.version for file in entry.files)) if entry else ""
