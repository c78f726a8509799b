"""What `civsync status` says once something may have changed: look, plan, compare."""

from collections.abc import Iterator, Mapping

from civsync.cli.goal import Goal, glance_at_lock
from civsync.cli.groups import choose_for
from civsync.cli.options import Context
from civsync.cli.output import Output, count_text, show
from civsync.cli.plan_text import action_document, plan_lines
from civsync.cli.progress import choose_display
from civsync.cli.wiring import open_disk
from civsync.core.codes import ExitCode
from civsync.core.disk import Absent, Regular
from civsync.core.groups import GroupWishes
from civsync.core.names import SafePath
from civsync.engine.world import World, glance, look


def report_status(context: Context, groups: GroupWishes, *, exit_code: bool) -> int:
    """Print how root and lock differ, and return the exit status."""
    output = context.output
    goal = glance_at_lock(context, ahead=True)
    chosen = choose_for(goal, groups, output)
    disk = open_disk(goal.root)
    world = glance(chosen.lock, disk.store, disk.ledger, left_out=chosen.left_out)
    if world is None:
        with choose_display(output) as display:
            world = look(chosen.lock, disk.store, disk.ledger, display, left_out=chosen.left_out)
        disk.remember(world.receipt)
    changes = dict(_changed_by_hand(world))
    pending = bool(goal.lines or world.plan.pending or world.plan.blocked)
    if output.choice.json:
        output.document(
            "civsync.status",
            {
                "root": str(disk.root.path),
                "lock_stale": list(goal.lines),
                "actions": [action_document(action) for action in world.plan.actions],
                "changed_by_hand": changes,
                "unselected": world.plan.unselected.files,
            },
        )
    else:
        for line in _lines(goal, world, changes, output):
            output.data(line)
    return ExitCode.PENDING if exit_code and pending else ExitCode.OK


def _changed_by_hand(world: World) -> Iterator[tuple[SafePath, str]]:
    """Yield owned files that are not what civsync wrote, with what became of them."""
    for path, owned in sorted(world.receipt.owned.items()):
        sight = world.inventory.get(path, Absent())
        if isinstance(sight, Absent):
            yield path, "deleted"
        elif not isinstance(sight, Regular):
            yield path, "replaced by something that is no file"
        elif sight.sha256 != owned.sha256:
            yield path, "modified"


def _lines(
    goal: Goal, world: World, changes: Mapping[SafePath, str], output: Output
) -> Iterator[str]:
    if goal.lines:
        yield "The manifest differs from the lock:"
        yield from (f"  {show(line)}" for line in goal.lines)
        if not goal.lock_changed:
            yield "Civitai has to be asked what that leads to (run `civsync lock`). As locked now:"
    if changes:
        yield f"Changed since civsync wrote it ({count_text(len(changes), 'file')}):"
        yield from (f"  {show(path)}  ({what})" for path, what in changes.items())
    if world.plan.pending or world.plan.blocked:
        yield "Next sync:"
    yield from plan_lines(world.plan, output)
