"""Put files back out of trash, and make those ours again that the lock wants where they go.

To restore is the user's word about a file. Where the lock wants just these bytes at just this
path the file is owned, as one that was adopted; anywhere else it is the user's, and a sync
leaves it alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.disk import Receipt, Stamp, Trashed
from civsync.core.errors import CivsyncError, DiskError, IntegrityError, SafetyError
from civsync.core.names import SafePath
from civsync.core.plan import Want
from civsync.core.values import dataclass
from civsync.ports import Ledger, TrashCan


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A file that is back; `owned` says whether it is civsync's."""

    trashed: Trashed
    path: SafePath
    sha256: str
    owned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What came of it: files that are back, and those that stay in trash with the reason."""

    done: tuple[Restored, ...] = ()
    failures: tuple[tuple[Trashed, CivsyncError], ...] = ()


def restore(
    wishes: Sequence[tuple[Trashed, SafePath]],
    wants: Mapping[SafePath, Want],
    trash: TrashCan,
    ledger: Ledger,
) -> Restoration:
    """Put each file at its path; `wants` is the lock by path.

    One that fails never stops the others. Blocks. Raises SafetyError state-damaged before
    anything is done, DiskError if the receipt cannot be written; its notes stand in for it.
    """
    receipt = ledger.read()
    done: list[Restored] = []
    failures: list[tuple[Trashed, CivsyncError]] = []
    for trashed, path in wishes:
        try:
            restored, receipt = _restore_one(trashed, path, wants.get(path), receipt, trash, ledger)
        except CivsyncError as error:
            failures.append((trashed, error))
        else:
            done.append(restored)
    if not any(isinstance(error, DiskError) for _, error in failures):
        # After a failure of the disk only the notes know whether a file got its name.
        ledger.commit(receipt)
    return Restoration(done=tuple(done), failures=tuple(failures))


def _restore_one(
    trashed: Trashed,
    path: SafePath,
    want: Want | None,
    receipt: Receipt,
    trash: TrashCan,
    ledger: Ledger,
) -> tuple[Restored, Receipt]:
    """Put one file back; returns the receipt that then holds."""
    digests, stamp = trash.digest(trashed)
    if trashed.sha256 not in (None, digests.sha256):
        raise IntegrityError(
            Code.DIFFERS,
            f"it was retired with SHA-256 {trashed.sha256} and has {digests.sha256} now",
            subject=path,
            hint="It stays in .civsync/trash; take it out by hand if you want it as it is.",
            data={"expected": trashed.sha256, "found": digests.sha256, "size": digests.size},
        )
    if want is not None and want.file.sha256 != digests.sha256:
        raise SafetyError(
            Code.PATH_TAKEN,
            "the lock wants other bytes there",
            subject=path,
            data={"path": path, "expected": want.file.sha256, "found": digests.sha256},
        )
    owned = dict(receipt.owned)
    known = {each: value for each, value in receipt.known.items() if each != path}
    if want is None:
        if owned.pop(path, None) is not None:
            # What was ours at this path is gone, and what comes back is the user's.
            ledger.released(path)
        trash.restore(trashed, path, expected=stamp)
    else:
        unnamed = Stamp(digests.size, 0, 0)
        mine = want.placed(unnamed, digests.blake3, owned.get(path))
        ledger.intend(mine)
        try:
            mine = replace(mine, stamp=trash.restore(trashed, path, expected=stamp))
        except SafetyError:
            if path not in owned:
                # Whatever is in the way there is not ours, even if its bytes are the same.
                ledger.released(path)
            raise
        ledger.placed(mine)
        owned[path] = mine
    restored = Restored(trashed=trashed, path=path, sha256=digests.sha256, owned=want is not None)
    return restored, replace(receipt, owned=owned, known=known)
