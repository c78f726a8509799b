"""Look at the disk and plan: what is there, what civsync knows of it, what is to do.

Reads only. Files whose stamp is not the remembered one are hashed, several at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from threading import Lock as Mutex

from civsync.core.disk import Inventory, Known, Receipt, Regular, Sight, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.events import Hashing
from civsync.core.limits import DEFAULT_JOBS
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Action, Keep, Plan, Protected, Satisfied
from civsync.decide.groups import NOTHING, LeftOut
from civsync.decide.plan import (
    Allowance,
    make_plan,
    must_hash,
    paths_of_interest,
    recognize,
    wanted_files,
)
from civsync.decide.protection import with_protection
from civsync.ports import Ledger, Reporter, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One look at a root.

    `receipt` has worked into it what this look learned of contents, and what is protected;
    `learned` says whether that is anything new, worth writing down.
    """

    receipt: Receipt
    inventory: Inventory
    plan: Plan
    learned: bool

    @property
    def settled(self) -> bool:
        """Whether nothing is to do and nothing to write down."""
        return not self.learned and not any(map(self._is_news, self.plan.actions))

    def _is_news(self, action: Action) -> bool:
        match action:
            case Keep(stamp=stamp, protect=protect):
                return stamp is not None or protect is not None
            case Protected(owned=owned):
                return self.receipt.owned.get(owned.path) != owned
            case Satisfied(want=want, stamp=stamp):
                known = self.receipt.known.get(want.path)
                return known is None or known.stamp != stamp
            case _:
                return True


def survey(
    lock: Lock, store: Store, receipt: Receipt, left_out: LeftOut = NOTHING
) -> tuple[Inventory, list[SafePath]]:
    """Return what is on disk by stat alone, and the files that must be read to know them."""
    wants = wanted_files(lock)
    inventory = store.survey(paths_of_interest(wants, receipt, left_out))
    return inventory, must_hash(inventory, wants, receipt)


def conclude(
    lock: Lock,
    inventory: Inventory,
    receipt: Receipt,
    contents: dict[SafePath, tuple[str, str, Stamp]],
    allowance: Allowance | None,
    left_out: LeftOut = NOTHING,
) -> World:
    """Plan with everything that is known of the files' contents.

    `contents` maps a path to SHA-256, BLAKE3 and stamp of what was just read there.
    """
    recognized = recognize(inventory, receipt).items()
    complete: dict[SafePath, Sight] = {
        **inventory,
        **{path: regular for path, regular in recognized if regular is not None},
    }
    owned, known = dict(receipt.owned), dict(receipt.known)
    for path, (sha256, blake3, stamp) in contents.items():
        complete[path] = Regular(stamp, sha256)
        mine = owned.get(path)
        if mine is not None and mine.sha256 == sha256:
            owned[path] = replace(mine, stamp=stamp, blake3=blake3)
            known.pop(path, None)
            continue
        known[path] = Known(sha256=sha256, stamp=stamp)
        if mine is not None and mine.stamp == stamp:
            # Bytes rotted under an unchanged stamp: it must not be believed again.
            owned[path] = replace(mine, stamp=Stamp(stamp.size, 0, 0))
    # What is not selected is not read: what became another file is simply not known any more.
    lost = [path for path in known.keys() & left_out.paths if not _has_content(complete, path)]
    for path in {*lost, *(path for path in known if path not in complete)}:
        del known[path]
    read = replace(receipt, owned=owned, known=known)
    told = with_protection(read, lock, left_out, allowance.unprotect if allowance else ())
    return World(
        receipt=told,
        inventory=complete,
        plan=make_plan(lock, complete, told, allowance, left_out),
        learned=bool(contents or lost or told is not read) and told != receipt,
    )


def _has_content(inventory: Inventory, path: SafePath) -> bool:
    sight = inventory.get(path)
    return isinstance(sight, Regular) and sight.sha256 is not None


def glance(
    lock: Lock,
    store: Store,
    ledger: Ledger,
    allowance: Allowance | None = None,
    left_out: LeftOut = NOTHING,
) -> World | None:
    """Plan from stats alone; None if some file must be read to know its content.

    `left_out` goes with a `lock` of selected entries alone.
    """
    receipt = ledger.read()
    inventory, unknown = survey(lock, store, receipt, left_out)
    return None if unknown else conclude(lock, inventory, receipt, {}, allowance, left_out)


def look(
    lock: Lock,
    store: Store,
    ledger: Ledger,
    report: Reporter,
    *,
    allowance: Allowance | None = None,
    left_out: LeftOut = NOTHING,
    hash_all: bool = False,
    jobs: int = DEFAULT_JOBS,
    stop: Event | None = None,
) -> World:
    """Survey the root, hash what must be hashed (`hash_all`: all that is selected), and plan.

    `left_out` goes with a `lock` of selected entries alone. Setting `stop` ends the reading
    soon; what comes back then is not to be used.
    """
    receipt = ledger.read()
    inventory, unknown = survey(lock, store, receipt, left_out)
    if hash_all:
        there = {path for path, sight in inventory.items() if isinstance(sight, Regular)}
        unknown = sorted({*unknown, *(there - left_out.paths)})
    contents = hash_files(unknown, store, report, jobs=jobs, stop=stop) if unknown else {}
    return conclude(lock, inventory, receipt, contents, allowance, left_out)


def hash_files(
    paths: Sequence[SafePath],
    store: Store,
    report: Reporter,
    *,
    jobs: int,
    stop: Event | None = None,
) -> dict[SafePath, tuple[str, str, Stamp]]:
    """Read files in parallel; a file that vanishes or fails meanwhile is left out."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a no-op never hashes

    stop = stop or Event()
    contents: dict[SafePath, tuple[str, str, Stamp]] = {}
    bytes_read = 0
    mutex = Mutex()

    def hash_one(path: SafePath) -> None:
        told = 0

        def tell(count: int) -> None:
            nonlocal told, bytes_read
            if stop.is_set():
                raise _StoppedError
            with mutex:
                bytes_read += count - told
                event = Hashing(done=len(contents), total=len(paths), bytes_done=bytes_read)
            told = count
            report(event)

        try:
            digests, stamp = store.digest(path, tell)
        except (CivsyncError, _StoppedError):
            return
        with mutex:
            contents[path] = (digests.sha256, digests.blake3, stamp)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            for _ in pool.map(hash_one, paths):
                pass
        except BaseException:
            stop.set()
            raise
    return contents


class _StoppedError(Exception):
    """Nobody waits for the content of this file any more."""
