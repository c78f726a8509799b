"""Unite the two sides of a merge conflict in a lock, and tell what truly clashes.

What the manifest wants is not known here: an entry that only one side has is kept, and
goes when the manifest does not name it. Where files lie and in which order they come is
worked out anew from the manifest, so it never clashes.

Entries look alike, and git may take one for another that was changed: a side then has an
entry twice, or one with the files of another model.
"""

from dataclasses import replace

from civsync.core.lock import Lock, LockedEntry, model_in_key, sort_key
from civsync.core.names import SafePath
from civsync.core.values import dataclass

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
    mine, doubted_mine = _once_each(ours)
    others, doubted_others = _once_each(theirs)
    both = mine.keys() & others.keys()
    doubted = doubted_mine | doubted_others
    clashes = {key for key in both if _essence(mine[key]) != _essence(others[key])} | doubted
    unsure = {key for key in both if _contents(mine[key]) != _contents(others[key])} | doubted
    # Where each side points at another version of one model, both changed one entry.
    alone = [mine.keys() - both, others.keys() - both]
    models = {model_in_key(key) for key in alone[0]} & {model_in_key(key) for key in alone[1]}
    moved = {key for keys in alone for key in keys if model_in_key(key) in models - {None}}
    sound = {key: entry for key, entry in mine.items() if key not in doubted_mine}
    chosen = mine | others | sound
    entries = sorted(chosen.values(), key=lambda entry: sort_key(entry.key))
    return United(
        lock=Lock(entries=tuple(entries)),
        clashes=frozenset(clashes | moved),
        unsure=frozenset(unsure | moved),
    )


def _once_each(side: Lock) -> tuple[dict[str, LockedEntry], set[str]]:
    """Return one entry for each key of a side, and the keys whose entry cannot be believed."""
    found: dict[str, list[LockedEntry]] = {}
    for entry in side.entries:
        found.setdefault(entry.key, []).append(entry)
    chosen: dict[str, LockedEntry] = {}
    doubted: set[str] = set()
    for key, entries in found.items():
        own = [entry for entry in entries if _has_own_files(entry)]
        chosen[key] = (own or entries)[0]
        if not own or any(_essence(entry) != _essence(own[0]) for entry in own):
            doubted.add(key)
    return chosen, doubted


def _has_own_files(entry: LockedEntry) -> bool:
    model = model_in_key(entry.key)
    return model is None or all(file.model_id == model for file in entry.files)


def _contents(entry: LockedEntry) -> set[tuple[int, str]]:
    return {(file.file_id, file.sha256) for file in entry.files}


def _essence(entry: LockedEntry) -> LockedEntry:
    """Return `entry` without what is placed anew offline."""
    files = sorted(entry.files, key=lambda file: (file.version_id, file.file_id))
    return replace(
        entry,
        groups=(),
        priority=0,
        protect=None,
        files=tuple(file.at({"": _NOWHERE}) for file in files),
    )
