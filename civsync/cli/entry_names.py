"""Find the entries that a person names: by key, model id, link, or the model's name."""

from collections.abc import Sequence

from civsync.cli.output import show
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import Lock
from civsync.core.request import ById, Entry, Manifest
from civsync.documents.hints import did_you_mean
from civsync.documents.links import LinkError, Target, parse_target

_SHOWN = 10
"""Entries that a hint lists."""


def entries_named(name: str, manifest: Manifest, lock: Lock | None) -> tuple[Entry, ...]:
    """Return all entries that `name` names; the names of models are those of the lock.

    A key names one entry. A model id, a link or a model's name may name several, at
    different versions. Raises UserError usage where it names none.
    """
    entries = manifest.entries
    found = (
        [entry for entry in entries if entry.key == name]
        or [entry for entry in entries if str(entry.request.model_id) == name]
        or _linked(name, entries)
        or _called(name, entries, lock or Lock())
    )
    if not found:
        hint = _hint(name, entries, lock or Lock())
        raise UserError(Code.USAGE, f"no entry is called {name!r}", hint=hint)
    return tuple(found)


def entry_named(name: str, manifest: Manifest, lock: Lock | None) -> Entry:
    """Return the one entry that `name` names. Raises UserError usage for none, or several."""
    found = entries_named(name, manifest, lock)
    if len(found) > 1:
        places = ", ".join(f"{entry.key} (line {entry.place.line})" for entry in found)
        raise UserError(
            Code.USAGE,
            f"{name!r} names {len(found)} entries",
            hint=f"Name one of them by its key: {places}.",
        )
    return found[0]


def _linked(name: str, entries: Sequence[Entry]) -> list[Entry]:
    try:
        target = parse_target(name)
    except LinkError:
        return []
    return [entry for entry in entries if _is_linked(entry, target)]


def _is_linked(entry: Entry, target: Target) -> bool:
    request = entry.request
    if target.version_id is not None:
        return request.version == ById(target.version_id)
    return request.search is None and request.model_id == target.model_id


def _called(name: str, entries: Sequence[Entry], lock: Lock) -> list[Entry]:
    folded = name.casefold()
    keys = {
        locked.key
        for locked in lock.entries
        if not locked.is_search and any(file.model.casefold() == folded for file in locked.files)
    }
    return [entry for entry in entries if entry.key in keys]


def _hint(name: str, entries: Sequence[Entry], lock: Lock) -> str:
    keys = [entry.key for entry in entries]
    names = [file.model for locked, file in lock.files() if not locked.is_search]
    return suggestion(name, [*names, *keys], keys) or "The manifest has none."


def suggestion(name: str, known: Sequence[str], keys: Sequence[str]) -> str:
    """Return a hint for a name that names nothing: what was meant, or else which keys there are.

    It is "" where there are none.
    """
    if not keys:
        return ""
    folded = name.casefold()
    part_of = [each for each in known if len(folded) > 2 and folded in each.casefold()]
    meant = f"Did you mean `{part_of[0]}`?" if part_of else did_you_mean(name, known)
    listed = ", ".join(show(key) for key in keys[:_SHOWN])
    return meant or f"The entries are {listed}{', …' if len(keys) > _SHOWN else ''}."
