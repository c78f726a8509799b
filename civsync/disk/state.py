"""What the user's state directory remembers: which marker belongs at a root, and short cuts.

Nothing here is needed to be right: a state directory that is gone, read-only or damaged
costs the guard against unmounted disks and a few milliseconds, never a run.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from civsync import __version__
from civsync.core.limits import LOCK_BYTES, MIB
from civsync.disk.faults import shown
from civsync.documents.record import (
    RecordError,
    digest_of,
    read_record,
    text_in,
    texts_in,
    write_record,
)
from civsync.documents.settled import Settled, read_settled, write_settled

if TYPE_CHECKING:
    from _typeshed import StrPath

T = TypeVar("T")

_RECORD_BYTES: Final = 1 * MIB
"""Records are a few hundred bytes, with many includes some thousands; this much is not ours."""


class RootRecord(NamedTuple):
    """The marker that was last seen at a path."""

    path: str
    root_id: str


class Memo(NamedTuple):
    """A manifest that was found to agree with a lock: digests of both texts, and the roots.

    `default_groups` are the manifest's, None for all of them. `includes` are the digests of the
    manifests that it includes, by their paths from its folder. `civsync` is the version that
    found it: another one may place files otherwise.
    """

    manifest_blake3: str
    lock_sha256: str
    root: str
    named_roots: Mapping[str, str] = MappingProxyType({})
    default_groups: tuple[str, ...] | None = ()
    includes: Mapping[str, str] = MappingProxyType({})
    civsync: str = __version__


def recall_root(state_dir: "StrPath", root: str) -> str | None:
    """Return the root id that was last seen at `root`, a real path; None if never."""
    record = _read(_place(state_dir, "roots", root), _read_root)
    if record is None:
        record = _read(_place_of_old(state_dir, root), _read_root)
    return None if record is None else record.root_id


def is_remembered(state_dir: "StrPath", root: str, root_id: str) -> bool:
    """Tell whether it is noted, in the place of today, that this marker belongs at `root`."""
    return _read(_place(state_dir, "roots", root), _read_root) == RootRecord(shown(root), root_id)


def remember_root(state_dir: "StrPath", root: str, root_id: str) -> bool:
    """Note that this marker belongs at `root`; tell whether that was possible."""
    record = {"path": shown(root), "root_id": root_id}
    return _write(_place(state_dir, "roots", root), lambda: write_record(record))


def known_roots(state_dir: "StrPath") -> list[RootRecord]:
    """Return the roots that were seen so far, in no order; they may be gone by now."""
    folder = os.path.join(state_dir, "roots")
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    records = (_read(os.path.join(folder, name), _read_root) for name in names)
    return [record for record in records if record is not None]


def read_memo(state_dir: "StrPath", manifest: "StrPath") -> Memo | None:
    """Return what this version of civsync noted for this manifest, if anything."""
    memo = _read(_place(state_dir, "memos", os.path.abspath(manifest)), _read_memo)
    return memo if memo is not None and memo.civsync == __version__ else None


def write_memo(state_dir: "StrPath", manifest: "StrPath", memo: Memo) -> None:
    """Note `memo` for this manifest; a failure to is ignored."""
    record = {
        "manifest_blake3": memo.manifest_blake3,
        "lock_sha256": memo.lock_sha256,
        "root": memo.root,
        "named_roots": dict(memo.named_roots),
        "default_groups": memo.default_groups,
        "includes": dict(sorted(memo.includes.items())),
        "civsync": memo.civsync,
    }
    _write(_place(state_dir, "memos", os.path.abspath(manifest)), lambda: write_record(record))


def recall_settled(state_dir: "StrPath", root: str) -> Settled | None:
    """Return what was noted for the root at `root`, a real path, if anything."""
    return _read(_place(state_dir, "settled", root, "bin"), read_settled, cap=LOCK_BYTES)


def remember_settled(state_dir: "StrPath", root: str, settled: Settled) -> None:
    """Note `settled` for this root, if that is not noted yet; a failure to is ignored."""
    if recall_settled(state_dir, root) != settled:
        _write(_place(state_dir, "settled", root, "bin"), lambda: write_settled(settled))


def _read_root(data: bytes) -> RootRecord:
    record = read_record(data)
    return RootRecord(path=text_in(record, "path"), root_id=text_in(record, "root_id"))


def _read_memo(data: bytes) -> Memo:
    record = read_record(data)
    includes = record.get("includes", {})
    if not isinstance(includes, dict):
        raise RecordError("includes is no object")
    named = record.get("named_roots", {})
    if not isinstance(named, dict):
        raise RecordError("named_roots is no object")
    groups = record.get("default_groups", [])
    return Memo(
        manifest_blake3=text_in(record, "manifest_blake3"),
        lock_sha256=text_in(record, "lock_sha256"),
        root=text_in(record, "root"),
        named_roots={name: text_in(named, name) for name in named},
        default_groups=None if groups is None else texts_in(record, "default_groups"),
        includes={path: text_in(includes, path) for path in includes},
        civsync=text_in(record, "civsync"),
    )


def _place(state_dir: "StrPath", kind: str, path: str, suffix: str = "json") -> str:
    # A file for each path: two runs on two roots then never write the same record.
    name = digest_of(os.fsencode(path))[:32]
    return os.path.join(state_dir, kind, f"{name}.{suffix}")


def _place_of_old(state_dir: "StrPath", root: str) -> str:
    """Return where civsync 0.1.0 noted a root: what it saw there guards the root still."""
    import hashlib  # noqa: PLC0415 - only for a root that is new, or was not used since

    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
    return os.path.join(state_dir, "roots", f"{name}.json")


def _read(place: str, parse: Callable[[bytes], T], *, cap: int = _RECORD_BYTES) -> T | None:
    try:
        with open(place, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            return parse(file.read(size)) if size <= cap else None
    except (OSError, RecordError):
        return None


def _write(place: str, make: Callable[[], bytes]) -> bool:
    temporary = f"{place}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        data = make()
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            os.replace(temporary, place)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return False
    except (OSError, RecordError):
        return False
    return True
