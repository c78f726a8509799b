"""A plan that was written down, as values: what was to be done, why, and what was there then.

It orders nothing. Whoever applies it plans anew and compares; what differs is not done.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Literal, get_args

from civsync.core.disk import Stamp
from civsync.core.groups import Selection
from civsync.core.names import SafePath
from civsync.core.values import dataclass

Kind = Literal["fetch", "replace", "move", "retire", "release", "protected", "blocked"]
"""What an action does, as `--json` names it. What is in place is no action of a saved plan."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is at a path. `linked` says that a directory on the way is none, or a link.

    Only a file has a `stamp`; its `sha256` is "" where it was not read.
    """

    kind: Literal["absent", "file", "directory", "symlink", "special", "linked"]
    stamp: Stamp | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action: `why` in plain words, `bytes` still to come, `sha256` of what it is about.

    `entry` is the key of who wants the file, or wanted it. `source` is where a move takes it
    from, and `source_now` what is there; `code` says why nothing can be done.
    """

    action: Kind
    path: SafePath
    why: str
    bytes: int
    entry: str
    sha256: str
    code: str
    now: Fingerprint
    source: SafePath | None = None
    source_now: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the flags said that shape a plan. `allow_prune` None means any number of files.

    `unprotect` is sorted.
    """

    selection: Selection = field(default_factory=Selection)
    prune: bool = True
    prune_first: bool = False
    prune_unselected: bool = False
    allow_prune: int | None = 0
    force_modified: bool = False
    hash_all: bool = False
    unprotect: tuple[SafePath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A whole plan. `root_id` is "" for a root that was new; then `root` says which one it is."""

    root: str
    root_id: str
    lock_sha256: str
    terms: Terms
    steps: tuple[Step, ...] = ()

    @property
    def totals(self) -> Mapping[str, int]:
        """How many actions of each kind there are, and how many bytes are to come."""
        counts = Counter(step.action for step in self.steps)
        to_come = sum(step.bytes for step in self.steps)
        return {**{kind: counts[kind] for kind in KINDS}, "bytes": to_come}
