"""What `civsync verify --repair` does: read, set aside what is damaged, fetch it again."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import anyio
from anyio.to_thread import run_sync

from civsync.cli.acting import Interrupted, Orders, transfer, until_signal
from civsync.cli.options import Context
from civsync.cli.progress import Display, choose_display
from civsync.cli.shelves import shelves_of
from civsync.cli.stopping import tend
from civsync.cli.verifying import Finding, Repaired, find_faults, tell
from civsync.core.codes import Code
from civsync.core.disk import Receipt, Regular
from civsync.core.errors import CivsyncError, IntegrityError
from civsync.core.names import SafePath
from civsync.core.plan import Plan
from civsync.core.values import dataclass
from civsync.decide.mending import Mend, mending_plan
from civsync.disk.lockfile import hold_root
from civsync.engine.mending import Cleared, clear
from civsync.engine.run import Outcome
from civsync.engine.space import check_space
from civsync.engine.world import World, look


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """How it is now, and what was done for that."""

    finding: Finding
    repaired: Repaired


def repair(context: Context, orders: Orders, *, full: bool) -> Mended | Interrupted:
    """Read what is selected (`orders.hash_all`: all of it) and put right what is ours.

    Raises CivsyncError where the run as a whole cannot be done.
    """
    return anyio.run(until_signal, context, lambda: _repair(context, orders, full=full))


def tell_repair(context: Context, orders: Orders, *, full: bool) -> int:
    """Repair, and say what came of it; returns the exit status."""
    began = time.monotonic()
    ending = repair(context, orders, full=full)
    if isinstance(ending, Interrupted):
        context.output.talk("interrupted; what was received is kept: run again to go on")
        return ending.status
    seconds = time.monotonic() - began
    tell(context.output, ending.finding, seconds, repaired=ending.repaired)
    return ending.finding.exit


async def _repair(context: Context, orders: Orders, *, full: bool) -> Mended:
    disk, chosen = orders.disk, orders.chosen
    disk.root.establish()
    with (
        choose_display(context.output) as display,
        hold_root(disk.root, command="civsync verify --repair"),
    ):
        tend(context, display)
        stop = threading.Event()
        try:
            world = await run_sync(
                lambda: look(
                    chosen.lock,
                    disk.store,
                    disk.ledger,
                    display,
                    left_out=chosen.left_out,
                    hash_all=orders.hash_all,
                    full=full,
                    jobs=orders.manner.jobs,
                    stop=stop,
                ),
                abandon_on_cancel=True,
            )
        finally:
            stop.set()
        if world.learned or disk.ledger.unsettled:
            await run_sync(disk.ledger.commit, world.receipt)
        finding = find_faults(chosen.lock, world)
        cleared, receipt, failures = Cleared(), world.receipt, {}
        if finding.mends:
            cleared, outcome = await _mend(context, orders, display, world=world, finding=finding)
            receipt, failures = outcome.receipt, dict(outcome.failures)
        whole = await run_sync(_whole, orders, receipt, cleared.ready)
    faults = {
        path: _left(finding.mends, path, error, cleared, failures)
        for path, error in finding.faults.items()
        if path not in whole
    }
    paths = tuple(path for path in finding.faults if path in whole)
    return Mended(
        finding=replace(finding, faults=faults),
        repaired=Repaired(paths=paths, kept=cleared.kept),
    )


async def _mend(
    context: Context, orders: Orders, display: Display, *, world: World, finding: Finding
) -> tuple[Cleared, Outcome]:
    disk, chosen = orders.disk, orders.chosen

    def plan_for(mends: Iterable[Mend]) -> Plan:
        return mending_plan(chosen.lock, world.inventory, world.receipt, chosen.left_out, mends)

    mends = finding.mends.values()
    # Nothing is taken out of the tree for which there is no room to come back.
    for shelf in shelves_of(disk, plan_for(mends)):
        await run_sync(check_space, shelf.plan, shelf.parts)
    cleared = await run_sync(clear, mends, disk.store, display)
    world = replace(world, plan=plan_for(cleared.ready))
    return cleared, await transfer(context, orders, display, world=world)


def _whole(orders: Orders, receipt: Receipt, mends: tuple[Mend, ...]) -> frozenset[SafePath]:
    """Return the paths where the file that was just placed, verified, stands."""
    there = orders.disk.store.survey([mend.path for mend in mends])
    return frozenset(
        mend.path
        for mend in mends
        if (mine := receipt.owned.get(mend.path)) is not None
        and mine.sha256 == mend.want.file.sha256
        and there[mend.path] == Regular(mine.stamp)
    )


def _left(
    mends: Mapping[SafePath, Mend],
    path: SafePath,
    fault: CivsyncError,
    cleared: Cleared,
    failures: Mapping[SafePath, CivsyncError],
) -> CivsyncError:
    """Say why a file is not whole, as the failure of integrity that it is."""
    cause = cleared.failed.get(path) or failures.get(path)
    if path not in mends:
        cause, message = fault, f"left alone: {fault.message}"
    elif cause is None:
        cause, message = fault, "not repaired: the run stopped before"
    else:
        message = f"not repaired: {cause.message}"
    if path in cleared.kept:
        message += f"; the damaged file is kept as {cleared.kept[path]}"
    return IntegrityError(
        Code.DIFFERS,
        message,
        subject=path,
        hint=cause.hint,
        data={**fault.data, "because": str(cause.code), "kept_at": cleared.kept.get(path)},
    )
