"""The difference between two locks, as lines for people and as data."""

from collections.abc import Iterator, Sequence
from typing import Final

from civsync.cli.output import Output, count_text, show, size_text
from civsync.core.lock import Lock, LockedFile, RootedFile
from civsync.decide.differences import (
    Change,
    FactChange,
    Kind,
    ModelChange,
    bytes_freed,
    bytes_to_download,
    changes_between,
    version_names,
)
from civsync.documents.hints import listed

SHOWN_CHANGES: Final = 40
"""Changed entries shown without --verbose."""

SHOWN_MODELS: Final = 20
"""Models of one search shown without --verbose."""

_SIGNS: Final = {
    Kind.ADDED: ("+", "green"),
    Kind.REMOVED: ("-", "red"),
    Kind.CHANGED: ("~", "yellow"),
    Kind.MOVED: (">", "blue"),
    Kind.RESTATED: ("=", "cyan"),
}


def change_lines(
    changes: Sequence[Change], output: Output, *, to_stdout: bool = False
) -> Iterator[str]:
    """Yield the changes for people, who read them on stderr unless `to_stdout`."""
    limit = len(changes) if output.choice.verbose else SHOWN_CHANGES
    for change in changes[:limit]:
        yield from _lines(change, output, to_stdout=to_stdout)
    if len(changes) > limit:
        yield f"  … and {len(changes) - limit:,} more (--verbose shows all)"


def dropped_roots_text(old: Lock | None, new: Lock) -> str:
    """Return what is to be known of roots that the new lock does not have, "" if it has all."""
    dropped = sorted({*(old.roots if old else ())} - {*new.roots})
    if not dropped or not new.roots:
        return ""
    return (
        f"No root is called {listed(dropped, last='or')} any more: a folder that no other name"
        " stands for now stays as it is, and no sync looks at it"
    )


def change_sum(old: Lock, new: Lock, changes: Sequence[Change]) -> str:
    """Return the changes in one line: how many of which kind, and how many bytes."""
    counts = [(kind, sum(change.kind is kind for change in changes)) for kind in Kind]
    parts = [f"{count:,} {kind.value}" for kind, count in counts if count]
    if not parts:
        return "no difference"
    sizes = [
        (bytes_to_download(old, new), "to download"),
        (bytes_freed(old, new), "freed"),
    ]
    bytes_said = [f"{size_text(size)} {word}" for size, word in sizes if size]
    return "; ".join(filter(None, [", ".join(parts), ", ".join(bytes_said)]))


def fact_text(fact: FactChange) -> str:
    """Return "license: a → b", for people."""
    return f"{show(fact.fact)}: {show(fact.old) or 'none'} → {show(fact.new) or 'none'}"


def diff_document(old: Lock, new: Lock) -> dict[str, object]:
    """Return everything that differs, as data."""
    return {
        "download_bytes": bytes_to_download(old, new),
        "freed_bytes": bytes_freed(old, new),
        "changes": [_document(change) for change in changes_between(old, new)],
    }


def _lines(change: Change, output: Output, *, to_stdout: bool) -> Iterator[str]:
    sign, color = _SIGNS[change.kind]
    entry = change.new or change.old
    if entry is None:
        return
    files = entry.files
    version = version_names(files)
    was = version_names(change.old.files) if change.old and change.new else version
    size = size_text(sum(file.size for file in files))
    key = output.paint(show(change.key), "dim", to_stdout=to_stdout)
    sign = output.paint(sign, color, to_stdout=to_stdout)
    if entry.is_search:
        yield f"  {sign} {key}  {count_text(len({f.model_id for f in files}), 'model')}  {size}"
        yield from _models(change, output, to_stdout=to_stdout)
    else:
        versions = f"{was} → {version}" if was != version else version
        where = _where(change) if change.kind is Kind.MOVED else ""
        model = files[0].model if files else change.key
        yield f"  {sign} {show(model)}  {show(versions)}{show(where)}  {size}  {key}"
    if change.kind is Kind.ADDED and not entry.is_search:
        for each in entry.waiting:
            until = f" until {show(each.until)}" if each.until else ""
            waits = f"{show(each.version)} is left for later: early access{until}"
            yield f"      {output.paint(waits, 'dim', to_stdout=to_stdout)}"
    for fact in change.facts:
        name = f"{_name_of(change, fact)}: " if entry.is_search and fact.model_id else ""
        yield f"      {output.paint(name + fact_text(fact), 'dim', to_stdout=to_stdout)}"


def _where(change: Change) -> str:
    """Return where the first file that moved lies now, in which root if there are several."""
    now = [
        f"{path} in {root}" if root else path
        for pair in change.files[:1]
        for root, _, path in pair.moves
        if path
    ]
    return f" at {', '.join(now)}" if now else ", in fewer roots"


def _models(change: Change, output: Output, *, to_stdout: bool) -> Iterator[str]:
    """Yield which models of a search came, went, or are others now."""
    if change.old is None or change.new is None:
        return
    changed = [model for model in change.models if model.kind is not None]
    limit = len(changed) if output.choice.verbose else SHOWN_MODELS
    for model in changed[:limit]:
        yield f"      {_model_line(model, output, to_stdout=to_stdout)}"
    if len(changed) > limit:
        yield f"      … and {len(changed) - limit:,} more models (--verbose shows all)"


def _model_line(model: ModelChange, output: Output, *, to_stdout: bool) -> str:
    sign, color = _SIGNS[model.kind or Kind.RESTATED]
    files = model.new or model.old
    was, version = version_names(model.old or files), version_names(files)
    versions = f"{was} → {version}" if was != version else version
    size = size_text(sum(file.size for file in files))
    painted = output.paint(sign, color, to_stdout=to_stdout)
    return f"{painted} {show(model.name)}  {show(versions)}  {size}"


def _name_of(change: Change, fact: FactChange) -> str:
    return show(next((m.name for m in change.models if m.model_id == fact.model_id), ""))


def _document(change: Change) -> dict[str, object]:
    return {
        **change.document(),
        "old_entry": change.old.key if change.old else "",
        "models": [
            {
                "kind": model.kind.value,
                "model_id": model.model_id,
                "name": model.name,
                "from": version_names(model.old),
                "to": version_names(model.new),
            }
            for model in change.models
            if model.kind is not None
        ],
        "files": [
            {"kind": pair.kind.value, "from": _file(pair.old), "to": _file(pair.new)}
            for pair in change.files
            if pair.kind is not None
        ],
        "facts": [
            {"fact": fact.fact, "model_id": fact.model_id, "from": fact.old, "to": fact.new}
            for fact in change.facts
        ],
    }


def _file(file: LockedFile | None) -> dict[str, object] | None:
    if file is None:
        return None
    return {
        "path": file.path,
        **({"paths": dict(file.paths)} if isinstance(file, RootedFile) else {}),
        "size": file.size,
        "sha256": file.sha256,
        "model_id": file.model_id,
        "version_id": file.version_id,
        "file_id": file.file_id,
        "version": file.version,
        "base_model": file.base_model,
        "license": file.license,
    }
