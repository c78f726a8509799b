"""What `civsync verify --rebuild` does: make the receipt anew from the lock and the disk.

No file of the tree is touched. What of the receipt is damaged is kept beside the new one.
"""

import sys
import time
from dataclasses import replace

import click

from civsync.cli.goal import Goal, glance_at_lock, goal_of
from civsync.cli.options import Context
from civsync.cli.output import Output, count_text, size_text
from civsync.cli.progress import choose_display
from civsync.cli.verifying import Finding, NewReceipt, find_faults, tell
from civsync.cli.wiring import Disk, open_disk
from civsync.core.codes import Code
from civsync.core.disk import Regular
from civsync.core.errors import CivsyncError, UserError
from civsync.core.exits import ExitCode
from civsync.core.groups import GroupWishes
from civsync.core.names import SafePath
from civsync.decide.plan import paths_of_interest, wanted_files
from civsync.decide.rebuild import rebuild
from civsync.disk.ledger import Remains
from civsync.disk.lockfile import hold_root
from civsync.engine.world import conclude, hash_files


def rebuild_receipt(context: Context, groups: GroupWishes, *, jobs: int, yes: bool) -> int:
    """Do it, after showing what would become civsync's; returns the exit status.

    Raises UserError usage without the user's word; SafetyError; DiskError.
    """
    if groups:
        raise UserError(Code.USAGE, "--rebuild is about the whole lock, whatever is selected")
    began = time.monotonic()
    output = context.output
    goal = goal_of(glance_at_lock(context))
    disk = open_disk(goal.root, context.settings)
    disk.root.establish()
    with hold_root(disk.root, command="civsync verify --rebuild"):
        remains = disk.ledger.read_remains()
        if not yes and not _agreed(output, goal, disk, remains):
            output.talk("the receipt is left as it is")
            return ExitCode.REFUSED
        rebuilt, finding = _rebuild(output, goal, disk, remains, jobs=jobs)
    tell(output, finding, time.monotonic() - began, rebuilt=rebuilt)
    return finding.exit


def _agreed(output: Output, goal: Goal, disk: Disk, remains: Remains) -> bool:
    """Ask, where files would become civsync's that it does not know to be."""
    if remains.whole:
        return True
    wants = wanted_files(goal.lock)
    sizes = [
        sight.stamp.size
        for path, sight in disk.store.survey(wants).items()
        if isinstance(sight, Regular)
        and sight.stamp.size == wants[path].file.size
        and path not in remains.receipt.owned
    ]
    if not sizes:
        return True
    told = (
        f"the receipt is {'lost' if remains.lost else 'damaged'}:"
        f" up to {count_text(len(sizes), 'file')} ({size_text(sum(sizes))}) would become"
        " civsync's, as far as they hold what the lock wants, also if you put them there"
    )
    if output.choice.json or sys.stdin is None or not sys.stdin.isatty():
        raise UserError(Code.USAGE, told, hint="Run `civsync verify --rebuild --yes`.")
    output.warn(told)
    return click.confirm("Take them over?", err=True)


def _rebuild(
    output: Output, goal: Goal, disk: Disk, remains: Remains, *, jobs: int
) -> tuple[NewReceipt, Finding]:
    wants = wanted_files(goal.lock)
    paths = paths_of_interest(wants, remains.receipt)
    inventory = disk.store.survey(paths)
    sizes = {
        path: sight.stamp.size for path, sight in inventory.items() if isinstance(sight, Regular)
    }
    there = sorted(sizes, key=lambda path: -sizes[path])
    unread: dict[SafePath, CivsyncError] = {}
    with choose_display(output) as display:
        contents = hash_files(
            there,
            disk.store,
            display,
            jobs=jobs,
            size=sum(sizes.values()),
            failed=unread.__setitem__,
        )
    made = rebuild(wants, inventory, remains.receipt, contents, take_over=not remains.whole)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = disk.ledger.keep_damaged(remains.damaged, moment)
    disk.ledger.commit(made.receipt)
    world = conclude(goal.lock, inventory, made.receipt, contents, None)
    return (
        NewReceipt(
            owned=len(made.receipt.owned), taken=made.taken, released=made.released, kept=kept
        ),
        find_faults(goal.lock, replace(world, unread=unread)),
    )
