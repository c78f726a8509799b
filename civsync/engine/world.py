"""Look at the disk and plan: what is there, what civsync knows of it, what is to do.

Reads only. Files whose stamp is not the remembered one are hashed, several at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from threading import Event
from threading import Lock as Mutex
from typing import Final

from civsync.core.disk import Digests, Inventory, Known, Receipt, Regular, Sight, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.events import Hashing
from civsync.core.limits import DEFAULT_JOBS, MIB
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Action, Blocked, Keep, Plan, Protected, Satisfied
from civsync.core.values import dataclass
from civsync.decide.groups import NOTHING, LeftOut
from civsync.decide.plan import (
    Allowance,
    make_plan,
    must_hash,
    paths_of_interest,
    recognize,
    wanted_files,
)
from civsync.decide.proof import proven
from civsync.decide.protection import with_protection
from civsync.ports import Ledger, Reporter, Store

_TELL_BYTES: Final = 8 * MIB
"""How much of a file is read between two events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One look at a root.

    `receipt` has worked into it what this look learned of contents, and what is protected;
    `learned` says whether that is anything new, worth writing down. `before` is the receipt as
    it was read. `unread` are the files that could not be read, whatever is remembered of them.
    """

    before: Receipt
    receipt: Receipt
    inventory: Inventory
    plan: Plan
    learned: bool
    unread: Mapping[SafePath, CivsyncError] = field(default_factory=dict)

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
        before=receipt,
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
    full: bool = False,
    jobs: int = DEFAULT_JOBS,
    stop: Event | None = None,
) -> World:
    """Survey the root, hash what must be hashed (`hash_all`: all that is selected), and plan.

    A file that has the BLAKE3 of the receipt is not hashed with SHA-256, unless `full`.
    `left_out` goes with a `lock` of selected entries alone. Setting `stop` ends the reading
    soon; what comes back then is not to be used.
    """
    receipt = ledger.read()
    inventory, unknown = survey(lock, store, receipt, left_out)
    if hash_all:
        there = {path for path, sight in inventory.items() if isinstance(sight, Regular)}
        unknown = sorted({*unknown, *(there - left_out.paths)})
    unread: dict[SafePath, CivsyncError] = {}
    contents = {}
    if unknown:
        contents = hash_files(
            sorted(unknown, key=lambda path: -_size_of(inventory[path])),
            store,
            report,
            jobs=jobs,
            stop=stop,
            size=sum(_size_of(inventory[path]) for path in unknown),
            known={} if full else proven(wanted_files(lock), receipt),
            failed=unread.__setitem__,
        )
    world = conclude(lock, inventory, receipt, contents, allowance, left_out)
    if not unread:
        return world
    return replace(world, unread=unread, plan=_without_trust(world.plan, unread))


def _without_trust(plan: Plan, unread: Mapping[SafePath, CivsyncError]) -> Plan:
    """Let nothing count as in place that was to be read and could not be."""
    actions = tuple(
        Blocked(want=action.want, error=unread[action.want.path])
        if isinstance(action, Keep | Satisfied) and action.want.path in unread
        else action
        for action in plan.actions
    )
    return replace(plan, actions=actions)


def _size_of(sight: Sight) -> int:
    return sight.stamp.size if isinstance(sight, Regular) else 0


def hash_files(
    paths: Sequence[SafePath],
    store: Store,
    report: Reporter,
    *,
    jobs: int,
    stop: Event | None = None,
    size: int = 0,
    known: Mapping[SafePath, Digests] | None = None,
    failed: Callable[[SafePath, CivsyncError], None] | None = None,
) -> dict[SafePath, tuple[str, str, Stamp]]:
    """Read files in parallel, begun in the order given: the biggest should come first.

    A file that vanishes or fails meanwhile is left out, and `failed` is told. `size` is the
    sum of bytes, where it is known; `known` is as for `Store.digest`.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a no-op never hashes

    stop = stop or Event()
    contents: dict[SafePath, tuple[str, str, Stamp]] = {}
    bytes_read = 0
    mutex = Mutex()

    def hash_one(path: SafePath) -> None:
        nonlocal bytes_read
        told = 0

        def tell(count: int) -> None:
            nonlocal told, bytes_read
            if stop.is_set():
                raise _StoppedError
            if told and count - told < _TELL_BYTES:
                return
            with mutex:
                bytes_read += count - told
                event = Hashing(
                    done=len(contents), total=len(paths), bytes_done=bytes_read, bytes_total=size
                )
            told = count
            report(event)

        try:
            digests, stamp = store.digest(path, tell, known=known.get(path) if known else None)
        except _StoppedError:
            return
        except CivsyncError as error:
            if failed is not None:
                failed(path, error)
            return
        with mutex:
            bytes_read += digests.size - told
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
