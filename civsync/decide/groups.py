"""Divide a lock into what a run is about and what it leaves alone.

Nothing is remembered between runs: what is left alone now is what the lock has of it and
what civsync placed for it, wherever that lies. Its files are never fetched, moved,
replaced or retired; those that are not there are not missed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import Final

from civsync.core.codes import Code
from civsync.core.disk import Owned
from civsync.core.errors import UserError
from civsync.core.groups import Selection, Unselected
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.documents.hints import did_you_mean, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What a selection leaves out of a lock: entries by their keys, models, and their files.

    `paths` are those that no selected entry wants, `contents` the SHA-256 of what belongs
    there; `shared` are the contents that a selected entry wants at the same path as well.
    `protection` is what entries say of that, by their keys; `protected_paths` are those of
    files that they protect, also where a selected entry wants them too.
    """

    files: Unselected = field(default_factory=Unselected)
    entries: frozenset[str] = frozenset()
    models: frozenset[int] = frozenset()
    paths: frozenset[SafePath] = frozenset()
    contents: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    selected_entries: frozenset[str] = frozenset()
    selected_models: frozenset[int] = frozenset()
    selected_contents: frozenset[str] = frozenset()
    protection: Mapping[str, bool] = field(default_factory=dict)
    protected_paths: frozenset[SafePath] = frozenset()

    def claims(self, owned: Owned) -> bool:
        """Tell whether an owned file, at a path that nothing selected wants, is left alone.

        That is what is locked there, what was placed for an entry that is left out, and
        what only such entries want. Of an entry that the lock does not have any more (the
        key changes with the version that is asked for) the files wait as long as the model
        is left out.
        """
        if owned.path in self.paths:
            return True
        if owned.entry in self.entries:
            return owned.sha256 in self.contents or owned.sha256 not in self.shared
        if owned.sha256 in self.contents and owned.sha256 not in self.selected_contents:
            return True
        return (
            owned.entry not in self.selected_entries
            and owned.model_id in self.models
            and owned.model_id not in self.selected_models
        )

    def holds_back(self, owned: Owned, wanted: LockedFile) -> bool:
        """Tell whether an owned file that stands where `wanted` belongs is left alone there.

        Another version of the same model is not: what several want there is selected.
        """
        return owned.model_id != wanted.model_id and self.claims(owned)


NOTHING: Final = LeftOut()
"""What is left out where all is selected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A lock of the selected entries alone, and what was left out of it."""

    lock: Lock
    left_out: LeftOut = NOTHING


def choose(lock: Lock, selection: Selection) -> Chosen:
    """Divide `lock`. A file that a selected entry wants, too, is selected."""
    taken = [entry for entry in lock.entries if selection.takes(entry.groups)]
    if len(taken) == len(lock.entries):
        return Chosen(lock=lock)
    rest = [entry for entry in lock.entries if not selection.takes(entry.groups)]
    selected = Lock(entries=tuple(taken))
    files = [file for _, file in selected.files()]
    wanted = {file.path for file in files}
    left_out = [(entry, file) for entry in rest for file in entry.files if file.path not in wanted]
    return Chosen(
        lock=selected,
        left_out=LeftOut(
            files=_count(left_out),
            entries=frozenset(entry.key for entry in rest),
            models=frozenset(file.model_id for entry in rest for file in entry.files),
            paths=frozenset(file.path for _, file in left_out),
            contents=frozenset(file.sha256 for _, file in left_out),
            shared=frozenset(
                file.sha256 for entry in rest for file in entry.files if file.path in wanted
            ),
            selected_entries=frozenset(entry.key for entry in taken),
            selected_models=frozenset(file.model_id for file in files),
            selected_contents=frozenset(file.sha256 for file in files),
            protection={e.key: e.protect for e in rest if e.protect is not None},
            protected_paths=frozenset(f.path for e in rest if e.protect for f in e.files),
        ),
    )


def with_placed(chosen: Chosen, lock: Lock, paths: Collection[SafePath]) -> Chosen:
    """Return `chosen` of `lock` with those of the files left out that are at these paths."""
    rest = [entry for entry in lock.entries if entry.key in chosen.left_out.entries]
    added = [
        replace(entry, files=tuple(file for file in entry.files if file.path in paths))
        for entry in rest
    ]
    left = chosen.left_out.paths - frozenset(paths)
    left_out = [(entry, file) for entry in rest for file in entry.files if file.path in left]
    return Chosen(
        lock=Lock(entries=(*chosen.lock.entries, *added)),
        left_out=replace(chosen.left_out, paths=left, files=_count(left_out)),
    )


def _count(left_out: Collection[tuple[LockedEntry, LockedFile]]) -> Unselected:
    return Unselected(
        files=len({file.path for _, file in left_out}),
        groups=tuple(sorted({group for entry, _ in left_out for group in entry.groups})),
        ungrouped=any(not entry.groups for entry, _ in left_out),
    )


def check_groups(names: Iterable[str], known: Collection[str]) -> None:
    """Raise UserError usage for a name that is not one of the `known` groups."""
    for name in names:
        if name in known:
            continue
        words = sorted(known)
        there = f"The groups are {listed(words)}." if words else "No entry has `groups`."
        raise UserError(
            Code.USAGE,
            f"no entry is in the group {name!r}",
            hint=" ".join(filter(None, [did_you_mean(name, words), there])),
        )
