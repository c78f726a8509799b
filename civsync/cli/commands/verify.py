"""`civsync verify`: read every locked file, say which differs, and put it right if told to."""

import time

import click

from civsync.cli.goal import Goal, glance_at_lock
from civsync.cli.groups import choose_for, group_options
from civsync.cli.options import (
    Context,
    common_options,
    in_force,
    no_fsync_option,
    pass_context,
)
from civsync.cli.progress import choose_display
from civsync.cli.serving import serve
from civsync.cli.verifying import find_faults, tell
from civsync.cli.wiring import Disk, note_known_files, open_disk
from civsync.core.codes import Code
from civsync.core.disk import Absent
from civsync.core.errors import UserError
from civsync.core.groups import GroupWishes
from civsync.core.limits import DEFAULT_JOBS, MAX_JOBS
from civsync.core.lock import Lock
from civsync.decide.groups import Chosen, with_placed
from civsync.engine.world import glance, look


@click.command()
@click.option("--quick", is_flag=True, help="Trust size, time and inode where they are known.")
@click.option(
    "--full", is_flag=True, help="SHA-256 of every file, also where the receipt has a BLAKE3."
)
@click.option(
    "--repair",
    is_flag=True,
    help="Put damaged files of civsync's into quarantine, and get them and missing ones again.",
)
@click.option(
    "--offline",
    is_flag=True,
    envvar="CIVSYNC_OFFLINE",
    help="Repair without the network, from what is on this disk.",
)
@click.option(
    "--rebuild", is_flag=True, help="Make the receipt anew from the lock and what is on disk."
)
@click.option("--yes", is_flag=True, help="Let --rebuild take files over without asking.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    default=DEFAULT_JOBS,
    show_default=True,
    envvar="CIVSYNC_JOBS",
    help="Files to read at the same time.",
)
@no_fsync_option
@group_options
@common_options
@pass_context
def command(
    context: Context,
    *,
    quick: bool,
    full: bool,
    repair: bool,
    offline: bool,
    rebuild: bool,
    yes: bool,
    jobs: int,
    groups: GroupWishes,
) -> int:
    """Read every locked file and compare it with the lock.

    That is what is selected; if no flag says which groups, also what is there of others,
    as civsync placed it. Changes no file of the tree unless told to --repair it, and needs
    no network for anything else.
    """
    ctx = click.get_current_context()
    in_force(ctx, "quick", "full", "rebuild")
    in_force(ctx, "repair", "rebuild")
    if yes and not rebuild:
        raise UserError(Code.USAGE, "--yes is for --rebuild alone")
    if rebuild:
        from civsync.cli.rebuilding import rebuild_receipt

        return rebuild_receipt(context, groups, jobs=jobs, yes=yes)

    def work(goal: Goal) -> int:
        return _verify(
            context, groups, goal, quick=quick, full=full, repair=repair, offline=offline, jobs=jobs
        )

    goals = glance_at_lock(context)
    return serve(context, goals, work, document="civsync.verify", to_stdout=True)


def _verify(
    context: Context,
    groups: GroupWishes,
    goal: Goal,
    *,
    quick: bool,
    full: bool,
    repair: bool,
    offline: bool,
    jobs: int,
) -> int:
    """Do it for one root."""
    chosen = choose_for(goal, groups, context.output)
    disk = open_disk(goal.root, context.settings)
    if not groups:
        chosen = _with_placed(goal.lock, chosen, disk)
    if repair:
        from civsync.cli.acting import Orders
        from civsync.cli.repairing import tell_repair
        from civsync.core.limits import MIN_SPEED
        from civsync.decide.guard import AllowPrune
        from civsync.decide.plan import Allowance
        from civsync.engine.run import Manner

        orders = Orders(
            goal=goal,
            chosen=chosen,
            disk=disk,
            allowance=Allowance(),
            allow_prune=AllowPrune(),
            hash_all=not quick,
            empty_trash=False,
            min_speed=MIN_SPEED,
            manner=Manner(jobs=jobs, offline=offline),
        )
        return tell_repair(context, orders, full=full)
    return _look(context, chosen, disk, quick=quick, full=full, jobs=jobs)


def _look(
    context: Context, chosen: Chosen, disk: Disk, *, quick: bool, full: bool, jobs: int
) -> int:
    began = time.monotonic()
    world = None
    if quick:
        world = glance(chosen.lock, disk.store, disk.ledger, left_out=chosen.left_out)
    if world is None:
        with choose_display(context.output) as display:
            world = look(
                chosen.lock,
                disk.store,
                disk.ledger,
                display,
                left_out=chosen.left_out,
                hash_all=not quick,
                full=full,
                jobs=jobs,
            )
    finding = find_faults(chosen.lock, world)
    if world.learned:
        # So that status and sync know it too, also where size and time did not change.
        disk.remember(world)
        note_known_files(disk, world.receipt)
    tell(context.output, finding, time.monotonic() - began)
    return finding.exit


def _with_placed(lock: Lock, chosen: Chosen, disk: Disk) -> Chosen:
    """Add what is not selected, and is there as it is locked as far as the receipt knows.

    What is gone is not missed, and of an older version nothing is known to be wrong.
    """
    if not chosen.left_out.paths:
        return chosen
    owned = disk.ledger.read().owned
    placed = [
        path
        for _, file in lock.files()
        if (path := file.path) in chosen.left_out.paths
        and path in owned
        and owned[path].sha256 == file.sha256
    ]
    there = disk.store.survey(placed)
    kept = {path for path in placed if not isinstance(there[path], Absent)}
    return with_placed(chosen, lock, kept)
