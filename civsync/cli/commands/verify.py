"""`civsync verify`: read every locked file and say which differs."""

import time
from collections.abc import Mapping

import click

from civsync.cli.goal import glance_at_lock
from civsync.cli.groups import choose_for, group_options, unselected_text
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import (
    Output,
    count_text,
    duration_text,
    error_document,
    show,
    size_text,
)
from civsync.cli.progress import choose_display
from civsync.cli.wiring import Disk, note_known_files, open_disk
from civsync.core.codes import Code
from civsync.core.disk import Absent, Regular, Sight
from civsync.core.errors import CivsyncError, IntegrityError, exit_of
from civsync.core.groups import GroupWishes
from civsync.core.limits import DEFAULT_JOBS, MAX_JOBS
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Blocked, Want
from civsync.decide.groups import Chosen, with_placed
from civsync.decide.plan import wanted_files
from civsync.engine.world import World, glance, look


@click.command()
@click.option("--quick", is_flag=True, help="Trust size, time and inode where they are known.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    default=DEFAULT_JOBS,
    show_default=True,
    envvar="CIVSYNC_JOBS",
    help="Files to read at the same time.",
)
@group_options
@common_options
@pass_context
def command(context: Context, *, quick: bool, jobs: int, groups: GroupWishes) -> int:
    """Read every locked file and compare it with the lock.

    That is what is selected; if no flag says which groups, also what is there of others,
    as civsync placed it. Changes no file of the tree, and needs no network.
    """
    output = context.output
    goal = glance_at_lock(context)
    chosen = choose_for(goal, groups, output)
    disk = open_disk(goal.root)
    if not groups:
        chosen = _with_placed(goal.lock, chosen, disk)
    began = time.monotonic()
    world = None
    if quick:
        world = glance(chosen.lock, disk.store, disk.ledger, left_out=chosen.left_out)
    if world is None:
        with choose_display(output) as display:
            world = look(
                chosen.lock,
                disk.store,
                disk.ledger,
                display,
                left_out=chosen.left_out,
                hash_all=not quick,
                jobs=jobs,
            )
    wants = wanted_files(chosen.lock)
    blocked = {
        action.want.path: action.error
        for action in world.plan.actions
        if isinstance(action, Blocked)
    }
    faults: dict[str, CivsyncError] = {}
    for path, want in wants.items():
        error = _fault(want, world.inventory.get(path, Absent()), blocked.get(path))
        if error is not None:
            faults[path] = error
    if world.learned:
        # So that status and sync know it too, also where size and time did not change.
        disk.remember(world.receipt)
        note_known_files(disk, world.receipt)
    _tell(output, world, wants, faults, time.monotonic() - began)
    return exit_of(faults.values())


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


def _fault(want: Want, sight: Sight, blocked: CivsyncError | None) -> CivsyncError | None:
    match sight:
        case Regular(sha256=sha256) if sha256 == want.file.sha256:
            return None
        case Absent():
            return IntegrityError(
                Code.DIFFERS, "missing", subject=want.path, hint="Run `civsync sync`."
            )
        case Regular(stamp=stamp, sha256=sha256):
            held = f"SHA-256 {sha256}" if sha256 else f"{stamp.size} bytes"
            return IntegrityError(
                Code.DIFFERS,
                f"has {held}, the lock says {want.file.sha256} ({want.file.size} bytes)",
                subject=want.path,
                data={"expected": want.file.sha256, "found": sha256, "size": stamp.size},
            )
        case _:
            return blocked


def _tell(
    output: Output,
    world: World,
    wants: Mapping[SafePath, Want],
    faults: dict[str, CivsyncError],
    seconds: float,
) -> None:
    count = len(wants)
    if output.choice.json:
        output.document(
            "civsync.verify",
            {
                "files": count,
                "right": count - len(faults),
                "faults": [
                    {"path": path, "error": error_document(error)} for path, error in faults.items()
                ],
                "unselected": world.plan.unselected.files,
            },
        )
        return
    for path, error in faults.items():
        output.data(
            f"{output.paint('differs', 'red', to_stdout=True)}  {show(path)}: {show(error.message)}"
        )
    # The inventory also holds what is not selected, which was looked at and not read.
    sights = (world.inventory.get(path) for path in wants)
    read = sum(sight.stamp.size for sight in sights if isinstance(sight, Regular))
    right = f"{count - len(faults):,} of {count_text(count, 'file')} as locked"
    output.talk(f"{right}, {size_text(read)} in {duration_text(seconds)}")
    if world.plan.unselected.files:
        output.talk(unselected_text(world.plan.unselected))
    if faults:
        output.talk("Run `civsync sync`: it fetches what is missing and says what stops the rest.")
