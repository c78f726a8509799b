"""A saved plan as text and back.

The text is input like a lock: somebody may have edited it. It is believed only as civsync
writes it, to the byte. So no key can stand in it that is not read, none can stand twice, and
the totals that people look at are those of the actions below them.
"""

import re
from collections.abc import Mapping
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.groups import Selection
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.saved_plan import SavedPlan, Step, Terms
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode, pretty

SCHEMA: Final = "civsync.plan"
VERSION: Final = 1

_SHA256: Final = re.compile(r"([0-9a-f]{64})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    schema: str = ""
    schema_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """A `Selection` by its names: that is a tuple, and would be a list."""

    groups: tuple[str, ...] | None
    without: tuple[str, ...]
    ungrouped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """`Terms` in their order, in which they stand in the text."""

    selection: _Selection
    prune: bool
    prune_first: bool
    prune_unselected: bool
    allow_prune: int | None
    force_modified: bool
    hash_all: bool
    unprotect: tuple[SafePath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """As decoded: its paths are `SafePath` by type only until each has been checked."""

    schema: str
    schema_version: int
    root: str
    root_id: str
    lock_sha256: str
    terms: _Terms
    totals: Mapping[str, int]
    actions: tuple[Step, ...]


def write_plan(plan: SavedPlan) -> bytes:
    """Return the one text of `plan`."""
    document = _Document(
        schema=SCHEMA,
        schema_version=VERSION,
        root=plan.root,
        root_id=plan.root_id,
        lock_sha256=plan.lock_sha256,
        terms=_terms_in(plan.terms),
        totals=plan.totals,
        actions=plan.steps,
    )
    return pretty(encode(document))


def is_plan(data: bytes) -> bool:
    """Tell whether `data` says that it is a saved plan, of this version or another."""
    try:
        return decode(data, _Header).schema == SCHEMA
    except CodecError:
        return False


def read_plan(data: bytes, name: str) -> SavedPlan:
    """Return the plan in `data`; `name` is what messages call it.

    Raises UserError plan-invalid.
    """
    try:
        header = decode(data, _Header)
        if header.schema == SCHEMA and header.schema_version > VERSION:
            raise _invalid(name, "it was written by a newer civsync", hint="Upgrade civsync.")
        if (header.schema, header.schema_version) != (SCHEMA, VERSION):
            raise _invalid(name, "it is no plan of civsync")
        document = decode(data, _Document)
    except CodecError as error:
        raise _invalid(name, f"{error} at {error.path}" if error.path else str(error)) from None
    plan = SavedPlan(
        root=document.root,
        root_id=document.root_id,
        lock_sha256=document.lock_sha256,
        terms=_terms_of(document.terms),
        steps=document.actions,
    )
    for step in plan.steps:
        _check(step, name)
    for path in plan.terms.unprotect:
        _check_path(path, name)
    if len({step.path for step in plan.steps}) != len(plan.steps):
        raise _invalid(name, "a path stands in it twice")
    if write_plan(plan) != data:
        raise _invalid(name, "it is not as civsync wrote it")
    return plan


def _terms_in(terms: Terms) -> _Terms:
    return _Terms(
        selection=_Selection(**terms.selection._asdict()),
        prune=terms.prune,
        prune_first=terms.prune_first,
        prune_unselected=terms.prune_unselected,
        allow_prune=terms.allow_prune,
        force_modified=terms.force_modified,
        hash_all=terms.hash_all,
        unprotect=terms.unprotect,
    )


def _terms_of(terms: _Terms) -> Terms:
    return Terms(
        selection=Selection(
            groups=terms.selection.groups,
            without=terms.selection.without,
            ungrouped=terms.selection.ungrouped,
        ),
        prune=terms.prune,
        prune_first=terms.prune_first,
        prune_unselected=terms.prune_unselected,
        allow_prune=terms.allow_prune,
        force_modified=terms.force_modified,
        hash_all=terms.hash_all,
        unprotect=terms.unprotect,
    )


def _check(step: Step, name: str) -> None:
    hashes = [step.sha256, *(each.sha256 for each in (step.now, step.source_now) if each)]
    if not all(map(_SHA256.match, hashes)):
        raise _invalid(name, f"a hash of {step.path!r} is none")
    for path in (step.path, step.source):
        if path is not None:
            _check_path(path, name)


def _check_path(path: SafePath, name: str) -> None:
    try:
        parse_path(path)
    except UnsafePathError as error:
        raise _invalid(name, f"unsafe path: {error}") from None


def _invalid(name: str, message: str, *, hint: str = "") -> UserError:
    return UserError(Code.PLAN_INVALID, message, subject=name, hint=hint)
