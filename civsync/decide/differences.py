"""Compare two locks: what came, what went, what is another version, what only moved.

Nothing is asked and nothing is shown; a fact that differs is told as the two texts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import zip_longest
from types import MappingProxyType
from typing import Final

from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import SafePath
from civsync.core.values import dataclass


class Kind(StrEnum):
    """What became of an entry, a model or a file."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    """Other bytes, or another version."""

    MOVED = "moved"
    """The same bytes at another path."""

    RESTATED = "restated"
    """The same bytes at the same path, of which other things are said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChange:
    """One thing that is said otherwise now; `model_id` is None for a fact of the entry."""

    fact: str
    old: str
    new: str
    model_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file, before and after; None where it was not, or is not any more."""

    old: LockedFile | None
    new: LockedFile | None

    @property
    def kind(self) -> Kind | None:
        """What became of the file; None if nothing did."""
        if self.old is None:
            return Kind.ADDED
        if self.new is None:
            return Kind.REMOVED
        if _content(self.old) != _content(self.new):
            return Kind.CHANGED
        return Kind.MOVED if self.old.places != self.new.places else None

    @property
    def moves(self) -> tuple[tuple[str, str, str], ...]:
        """Where the file lies otherwise: root, path before and path now, "" for none."""
        before = self.old.places if self.old else {}
        after = self.new.places if self.new else {}
        return tuple(
            (root, before.get(root, ""), after.get(root, ""))
            for root in sorted({*before, *after})
            if before.get(root) != after.get(root)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """One model of an entry, before and after; a search has many."""

    model_id: int
    old: tuple[LockedFile, ...] = ()
    new: tuple[LockedFile, ...] = ()

    @property
    def kind(self) -> Kind | None:
        """What became of the model; None if nothing did."""
        if not self.old:
            return Kind.ADDED
        if not self.new:
            return Kind.REMOVED
        if [_content(file) for file in self.old] != [_content(file) for file in self.new]:
            return Kind.CHANGED
        moved = [file.places for file in self.old] != [file.places for file in self.new]
        return Kind.MOVED if moved else None

    @property
    def name(self) -> str:
        """What the model is called now, or was."""
        return (self.new or self.old)[0].model


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one entry."""

    kind: Kind
    key: str
    old: LockedEntry | None
    new: LockedEntry | None

    @property
    def models(self) -> tuple[ModelChange, ...]:
        """The models of both sides in the order of their ids, also those that stayed."""
        before, after = _by_model(self.old), _by_model(self.new)
        return tuple(
            ModelChange(model_id=number, old=before.get(number, ()), new=after.get(number, ()))
            for number in sorted(before.keys() | after.keys())
        )

    @property
    def files(self) -> tuple[FileChange, ...]:
        """The files to which something happened."""
        pairs = (pair for model in self.models for pair in _pairs(model.old, model.new))
        return tuple(pair for pair in pairs if pair.kind is not None)

    @property
    def facts(self) -> tuple[FactChange, ...]:
        """What is said otherwise of an entry that both locks have."""
        if self.old is None or self.new is None:
            return ()
        found = [*_entry_facts(self.old, self.new)]
        for model in self.models:
            if model.old and model.new:
                found.extend(_model_facts(model))
        return tuple(found)

    def document(self) -> dict[str, object]:
        """Return the change in brief, as data."""
        return {
            "kind": self.kind.value,
            "entry": self.key,
            "from": version_names(self.old.files) if self.old else "",
            "to": version_names(self.new.files) if self.new else "",
            "bytes": sum(file.size for file in self.new.files) if self.new else 0,
        }


def changes_between(old: Lock, new: Lock) -> list[Change]:
    """Return what changed, in the order of the new lock, removed entries last.

    An entry that went and one that came for the same model are one change.
    """
    before = {entry.key: entry for entry in old.entries}
    after = {entry.key for entry in new.entries}
    gone: dict[int | str, list[LockedEntry]] = defaultdict(list)
    for entry in old.entries:
        if entry.key not in after:
            gone[_subject(entry)].append(entry)
    changes = []
    for entry in new.entries:
        was = before.get(entry.key)
        if was is None and gone[_subject(entry)]:
            was = gone[_subject(entry)].pop(0)
        kind = _kind(was, entry)
        if kind is not None:
            changes.append(Change(kind=kind, key=entry.key, old=was, new=entry))
    left = [entry for entry in old.entries if entry in gone[_subject(entry)]]
    return [*changes, *(Change(kind=Kind.REMOVED, key=e.key, old=e, new=None) for e in left)]


def bytes_to_download(old: Lock, new: Lock) -> int:
    """Return the size of all content that the new lock has and the old one had not."""
    return _bytes_only_in(new, old)


def bytes_freed(old: Lock, new: Lock) -> int:
    """Return the size of all content that the old lock had and the new one has not."""
    return _bytes_only_in(old, new)


def version_names(files: Iterable[LockedFile]) -> str:
    """Return the names of the versions that files are of, each once."""
    return ", ".join(dict.fromkeys(file.version for file in files))


def _bytes_only_in(lock: Lock, other: Lock) -> int:
    there = {_bytes_of(file) for _, file in other.files()}
    sizes = {_bytes_of(file): file.size for _, file in lock.files()}
    return sum(size for content, size in sizes.items() if content not in there)


def _bytes_of(file: LockedFile) -> str | int:
    """Return what names the bytes of a file; its id, where no hash is known yet."""
    return file.sha256 or file.file_id


def _kind(old: LockedEntry | None, new: LockedEntry) -> Kind | None:
    if old is None:
        return Kind.ADDED
    if old == new:
        return None
    if sorted(map(_content, old.files)) != sorted(map(_content, new.files)):
        return Kind.CHANGED
    if _places(old) != _places(new):
        return Kind.MOVED
    return Kind.RESTATED


def _places(entry: LockedEntry) -> set[tuple[str, SafePath]]:
    """Return where files of `entry` lie: root and path."""
    return {place for file in entry.files for place in file.places.items()}


def _subject(entry: LockedEntry) -> int | str:
    return entry.files[0].model_id if entry.files and not entry.is_search else entry.key


def _content(file: LockedFile) -> tuple[int, int, str]:
    return (file.version_id, file.file_id, file.sha256)


def _by_model(entry: LockedEntry | None) -> Mapping[int, tuple[LockedFile, ...]]:
    found: dict[int, tuple[LockedFile, ...]] = {}
    for file in entry.files if entry else ():
        found[file.model_id] = (*found.get(file.model_id, ()), file)
    return found


def _pairs(old: Sequence[LockedFile], new: Sequence[LockedFile]) -> Iterator[FileChange]:
    """Pair files: by id, and what is left by kind, in order."""
    rest = {file.file_id: file for file in old}
    strangers = []
    for file in new:
        was = rest.pop(file.file_id, None)
        if was is None:
            strangers.append(file)
        else:
            yield FileChange(old=was, new=file)
    went: dict[tuple[str, str], list[LockedFile]] = defaultdict(list)
    for file in rest.values():
        went[file.type, file.format].append(file)
    came: dict[tuple[str, str], list[LockedFile]] = defaultdict(list)
    for file in strangers:
        came[file.type, file.format].append(file)
    for kind in dict.fromkeys([*came, *went]):
        for one, other in zip_longest(went[kind], came[kind]):
            yield FileChange(old=one, new=other)


def _entry_facts(old: LockedEntry, new: LockedEntry) -> Iterator[FactChange]:
    for fact, text in _OF_ENTRY.items():
        if text(old) != text(new):
            yield FactChange(fact=fact, old=text(old), new=text(new))
    for key in sorted(old.request.keys() | new.request.keys()):
        one, other = old.request.get(key, ""), new.request.get(key, "")
        if one != other:
            yield FactChange(fact=key, old=one, new=other)


def _model_facts(model: ModelChange) -> Iterator[FactChange]:
    same = model.kind is not Kind.CHANGED
    for fact, (text, always) in _OF_FILE.items():
        one, other = _said(model.old, text), _said(model.new, text)
        if one != other and (always or same):
            yield FactChange(fact=fact, old=one, new=other, model_id=model.model_id)


def _said(files: Sequence[LockedFile], text: Callable[[LockedFile], str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, map(text, files))))


def _waiting(entry: LockedEntry) -> str:
    return ", ".join(
        f"{each.version} until {each.until}" if each.until else each.version
        for each in entry.waiting
    )


_OF_ENTRY: Final[Mapping[str, Callable[[LockedEntry], str]]] = MappingProxyType(
    {
        "gone": lambda entry: "yes" if entry.gone else "no",
        "waiting": _waiting,
        "groups": lambda entry: ", ".join(entry.groups),
        "priority": lambda entry: str(entry.priority),
        "protect": lambda entry: "" if entry.protect is None else str(entry.protect).lower(),
    }
)

_OF_FILE: Final[Mapping[str, tuple[Callable[[LockedFile], str], bool]]] = MappingProxyType(
    {
        "name": (lambda file: file.model, True),
        "creator": (lambda file: file.creator, True),
        "type": (lambda file: file.model_type, True),
        "license": (lambda file: file.license or "nothing", True),
        "base_model": (lambda file: file.base_model, True),
        "rating": (lambda file: file.rating, True),
        "version": (lambda file: file.version, False),
        "published_at": (lambda file: file.published_at, False),
        "tag": (lambda file: file.tag, False),
        "file": (lambda file: file.name, False),
        "pickle_scan": (lambda file: file.pickle_scan, False),
        "virus_scan": (lambda file: file.virus_scan, False),
        "owner_version_id": (lambda file: str(file.owner_version_id or ""), False),
    }
)
"""What is compared of a model's files; False for what any other version has of its own."""
