"""Unite the two sides of a merge conflict in a lock, and tell what truly clashes.

What the manifest wants is not known here: an entry that only one side has is kept, and
goes when the manifest does not name it. Where files lie and in which order they come is
worked out anew from the manifest, so it never clashes.
"""

from dataclasses import dataclass, replace

from civsync.core.lock import Lock, LockedEntry, model_in_key, sort_key
from civsync.core.names import SafePath

_NOWHERE = SafePath("")


@dataclass(frozen=True, slots=True, kw_only=True)
class United:
    """Every entry of both sides; one that clashes stands as it is on our side.

    `clashes` are the keys of entries that both sides changed. Of those that are `unsure`
    not even the files are the same, and neither side's text can be believed: git merges the
    lines of an entry one by one, so a side may have lines of the other.
    """

    lock: Lock
    clashes: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()


def unite(ours: Lock, theirs: Lock) -> United:
    """Return the entries of both sides, and which of them have to be resolved anew."""
    mine = {entry.key: entry for entry in ours.entries}
    others = {entry.key: entry for entry in theirs.entries}
    both = mine.keys() & others.keys()
    clashes = {key for key in both if _essence(mine[key]) != _essence(others[key])}
    unsure = {key for key in clashes if _contents(mine[key]) != _contents(others[key])}
    # Where each side points at another version of one model, both changed one entry.
    alone = [mine.keys() - both, others.keys() - both]
    models = {model_in_key(key) for key in alone[0]} & {model_in_key(key) for key in alone[1]}
    moved = {key for keys in alone for key in keys if model_in_key(key) in models - {None}}
    entries = sorted((others | mine).values(), key=lambda entry: sort_key(entry.key))
    return United(
        lock=Lock(entries=tuple(entries)),
        clashes=frozenset(clashes | moved),
        unsure=frozenset(unsure | moved),
    )


def _contents(entry: LockedEntry) -> set[tuple[int, str]]:
    return {(file.file_id, file.sha256) for file in entry.files}


def _essence(entry: LockedEntry) -> LockedEntry:
    """Return `entry` without what is placed anew offline."""
    files = sorted(entry.files, key=lambda file: (file.version_id, file.file_id))
    return replace(
        entry,
        groups=(),
        priority=0,
        files=tuple(replace(file, path=_NOWHERE) for file in files),
    )
