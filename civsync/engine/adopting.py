"""Take over files that are there: look, read, decide, move what shall be moved, own.

Nothing is written over and no byte of a file is changed. A file that cannot be moved stays
where it is, and stops no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from civsync.core.adoption import Bring, Fate, Leave, Ours, Take
from civsync.core.codes import Code
from civsync.core.disk import Inventory, Known, Owned, Receipt, Regular, Sight, Stamp
from civsync.core.errors import CivsyncError, DiskError, SafetyError
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.decide.adopt import Search, decide_adoption, targets_to_read, worth_reading
from civsync.decide.plan import recognize, wanted_files
from civsync.engine.world import hash_files
from civsync.ports import Ledger, Reporter, Store

Contents = Mapping[SafePath, tuple[str, str, Stamp]]
"""SHA-256, BLAKE3 and stamp of what was read, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What was found and what is to become of it; nothing is done yet."""

    receipt: Receipt
    fates: Sequence[Fate]
    contents: Contents = field(default_factory=dict)

    @property
    def told(self) -> Receipt:
        """The receipt, with what was read of files that stay where they are and whose they are."""
        moved = {fate.source for fate in self.fates if isinstance(fate, Bring)}
        read = {
            path: Known(sha256=sha256, stamp=stamp)
            for path, (sha256, _, stamp) in self.contents.items()
            if path not in moved and path not in self.receipt.owned
        }
        return replace(self.receipt, known={**self.receipt.known, **read})


def appraise(
    search: Search,
    lock: Lock,
    store: Store,
    ledger: Ledger,
    report: Reporter,
    *,
    jobs: int,
    move: bool,
) -> Appraisal:
    """Read what may be a locked file, several at a time, and decide. Changes nothing.

    Raises DiskError, SafetyError.
    """
    receipt = ledger.read()
    wants = wanted_files(lock)
    inventory = store.survey(sorted({*search.paths, *wants}))
    sights: dict[SafePath, Sight] = {**inventory, **_recognized(inventory, receipt)}
    contents: dict[SafePath, tuple[str, str, Stamp]] = {}
    failed: list[Fate] = []
    for paths in (worth_reading, targets_to_read):
        unread = [path for path in paths(search, wants, sights) if not _is_read(sights[path])]
        read = hash_files(unread, store, report, jobs=jobs) if unread else {}
        sights |= {path: Regular(stamp, sha256) for path, (sha256, _, stamp) in read.items()}
        contents |= read
        failed += [_unreadable(path) for path in unread if path not in read]
    skipped = {each.path for each in failed if isinstance(each, Leave)}
    search = replace(search, paths=[path for path in search.paths if path not in skipped])
    fates = decide_adoption(search, wants, sights, receipt, move=move)
    return Appraisal(receipt=receipt, fates=(*failed, *fates), contents=contents)


def take_over(appraisal: Appraisal, store: Store, ledger: Ledger) -> Appraisal:
    """Own what is to be owned, moving what is to be moved, and write the receipt.

    Returns what became of each file. Whoever calls holds the root, and has since before
    the appraisal. Raises DiskError if the receipt cannot be written; the ledger's notes
    stand in for it until the next run.
    """
    owned, known = dict(appraisal.receipt.owned), dict(appraisal.receipt.known)
    fates: list[Fate] = []
    for fate in appraisal.fates:
        match fate:
            case Take(want=want, stamp=stamp) | Ours(want=want, stamp=stamp):
                blake3 = _blake3_of(want.path, appraisal)
                owned[want.path] = want.placed(stamp, blake3, owned.get(want.path))
                known.pop(want.path, None)
            case Bring(want=want, source=source):
                try:
                    owned[want.path] = _bring(fate, appraisal, store, ledger)
                except CivsyncError as error:
                    fates.append(Leave(path=source, error=error))
                    continue
                owned.pop(source, None)
                known.pop(source, None)
                known.pop(want.path, None)
            case Leave():
                pass
        fates.append(fate)
    receipt = replace(appraisal.receipt, owned=owned, known=known)
    if receipt != appraisal.receipt:
        ledger.commit(receipt)
    return replace(appraisal, receipt=receipt, fates=fates)


def _bring(fate: Bring, appraisal: Appraisal, store: Store, ledger: Ledger) -> Owned:
    before = appraisal.receipt.owned.get(fate.source) or appraisal.receipt.owned.get(fate.want.path)
    mine = fate.want.placed(fate.stamp, _blake3_of(fate.source, appraisal), before)
    ledger.intend(mine)
    try:
        stamp = store.move(fate.source, mine.path, expected=fate.stamp, sha256=mine.sha256)
    except SafetyError as error:
        if error.code is Code.FOREIGN_FILE and mine.path not in appraisal.receipt.owned:
            # What is in the way there is not ours, even if its bytes are the intended ones.
            ledger.released(mine.path)
        raise
    mine = replace(mine, stamp=stamp)
    ledger.placed(mine)
    return mine


def _blake3_of(path: SafePath, appraisal: Appraisal) -> str | None:
    if path in appraisal.contents:
        return appraisal.contents[path][1]
    mine = appraisal.receipt.owned.get(path)
    return mine.blake3 if mine is not None else None


def _recognized(inventory: Inventory, receipt: Receipt) -> dict[SafePath, Sight]:
    """Return what is known without reading: what is ours. Taking over needs a look of its own."""
    found = recognize(inventory, replace(receipt, known={})).items()
    return {path: regular for path, regular in found if regular is not None}


def _is_read(sight: Sight) -> bool:
    return isinstance(sight, Regular) and sight.sha256 is not None


def _unreadable(path: SafePath) -> Leave:
    return Leave(path=path, error=DiskError(Code.DISK_FAILED, "it cannot be read", subject=path))
