"""What the user's state directory remembers: which marker belongs at a root, and short cuts.

Nothing here is needed to be right: a state directory that is gone, read-only or damaged
costs the guard against unmounted disks and a few milliseconds, never a run.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from civsync import __version__
from civsync.core.groups import Unselected
from civsync.core.limits import MIB
from civsync.disk.faults import shown
from civsync.documents.json_codec import CodecError, decode, encode, pretty

T = TypeVar("T")

_RECORD_BYTES: Final = 1 * MIB
"""Records are a few hundred bytes, with many includes some thousands; this much is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRecord:
    """The marker that was last seen at a path."""

    path: str
    root_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """A manifest that was found to agree with a lock: digests of both texts, and the root.

    `default_groups` are the manifest's, None for all of them. `includes` are the digests of the
    manifests that it includes, by their paths from its folder. `civsync` is the version that
    found it: another one may place files otherwise.
    """

    manifest_sha256: str
    lock_sha256: str
    root: str
    default_groups: tuple[str, ...] | None = ()
    includes: Mapping[str, str] = field(default_factory=dict)
    civsync: str = __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A root that was found to hold all that a selection of a lock wants, and nothing stale.

    The digests are of the texts of that lock and of the receipt, `selection` is the text of
    the groups; `files` counts the paths, `unselected` what the selection leaves out.
    """

    lock_sha256: str
    receipt_sha256: str
    selection: str
    files: int
    unselected: Unselected


def recall_root(state_dir: Path, root: str) -> str | None:
    """Return the root id that was last seen at `root`, a real path; None if never."""
    record = _read(_place(state_dir, "roots", root), RootRecord)
    return None if record is None else record.root_id


def remember_root(state_dir: Path, root: str, root_id: str) -> bool:
    """Note that this marker belongs at `root`; tell whether that was possible."""
    return _write(_place(state_dir, "roots", root), RootRecord(path=shown(root), root_id=root_id))


def known_roots(state_dir: Path) -> list[RootRecord]:
    """Return the roots that were seen so far, in no order; they may be gone by now."""
    folder = os.path.join(state_dir, "roots")
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    records = (_read(os.path.join(folder, name), RootRecord) for name in names)
    return [record for record in records if record is not None]


def read_memo(state_dir: Path, manifest: Path) -> Memo | None:
    """Return what this version of civsync noted for this manifest, if anything."""
    memo = _read(_place(state_dir, "memos", os.path.abspath(manifest)), Memo)
    return memo if memo is not None and memo.civsync == __version__ else None


def write_memo(state_dir: Path, manifest: Path, memo: Memo) -> None:
    """Note `memo` for this manifest; a failure to is ignored."""
    _write(_place(state_dir, "memos", os.path.abspath(manifest)), memo)


def read_settled(state_dir: Path, root: str) -> Settled | None:
    """Return what was noted for the root at `root`, a real path, if anything."""
    return _read(_place(state_dir, "settled", root), Settled)


def write_settled(state_dir: Path, root: str, settled: Settled) -> None:
    """Note `settled` for this root; a failure to is ignored."""
    _write(_place(state_dir, "settled", root), settled)


def _place(state_dir: Path, kind: str, path: str) -> str:
    # A file for each path: two runs on two roots then never write the same record.
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return os.path.join(state_dir, kind, f"{name}.json")


def _read(place: str, kind: type[T]) -> T | None:
    try:
        with open(place, "rb") as file:
            return decode(file.read(_RECORD_BYTES), kind)
    except (OSError, CodecError):
        return None


def _write(place: str, record: RootRecord | Memo | Settled) -> bool:
    temporary = f"{place}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        data = pretty(encode(record))
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            os.replace(temporary, place)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return False
    except (OSError, CodecError):
        return False
    return True
