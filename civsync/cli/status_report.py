"""What `civsync status` says once something may have changed: look, plan, compare."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from civsync.cli.goal import Goal, glance_at_lock
from civsync.cli.groups import choose_for
from civsync.cli.options import Context
from civsync.cli.output import Output, count_text, show
from civsync.cli.plan_text import action_document, plan_lines
from civsync.cli.progress import choose_display
from civsync.cli.serving import serve
from civsync.cli.wiring import open_disk
from civsync.core.exits import ExitCode
from civsync.core.groups import GroupWishes
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
)
from civsync.decide.comparison import Comparison, compare
from civsync.decide.witness import fingerprint
from civsync.engine.world import World, glance, look


def report_status(context: Context, groups: GroupWishes, *, exit_code: bool) -> int:
    """Print how each root and the lock differ, and return the exit status."""
    goals = glance_at_lock(context, ahead=True)
    if not context.output.choice.json:
        # Manifest and lock are the same for all roots.
        for line in _stale_lines(goals[0]):
            context.output.data(line)
    return serve(
        context,
        goals,
        lambda goal: _report(context, groups, goal, exit_code=exit_code),
        document="civsync.status",
        to_stdout=True,
    )


def _report(context: Context, groups: GroupWishes, goal: Goal, *, exit_code: bool) -> int:
    output = context.output
    chosen = choose_for(goal, groups, output)
    disk = open_disk(goal.root, context.settings)
    world = glance(chosen.lock, disk.store, disk.ledger, left_out=chosen.left_out)
    if world is None:
        with choose_display(output) as display:
            world = look(chosen.lock, disk.store, disk.ledger, display, left_out=chosen.left_out)
        disk.remember(world)
    found = compare(world.plan, world.inventory, world.receipt)
    changes = [each for each in found if each.by_hand]
    pending = bool(goal.lines or world.plan.pending or world.plan.blocked)
    if output.choice.json:
        output.document(
            "civsync.status",
            {
                "root": str(disk.root.path),
                "lock_stale": list(goal.lines),
                "actions": [action_document(action) for action in world.plan.actions],
                "changed_by_hand": {each.path: each.by_hand for each in changes},
                "files": [_file_document(each) for each in found if each.differs],
                "unselected": world.plan.unselected.files,
            },
        )
    else:
        for line in _lines(world, changes, output):
            output.data(line)
    return ExitCode.PENDING if exit_code and pending else ExitCode.OK


def _file_document(each: Comparison) -> dict[str, object]:
    """Return the three states of a file, and the two differences between them, as data."""
    written, wanted, seen = each.written, each.wanted, each.on_disk
    there = fingerprint(seen)
    size = there.stamp.size if there.stamp else None
    return {
        "path": each.path,
        "written": _content(written.stamp.size, written.sha256) if written else None,
        "on_disk": {"kind": there.kind, "size": size, "sha256": there.sha256},
        "wanted": _content(wanted.size, wanted.sha256) if wanted else None,
        "changed_by_hand": each.by_hand or None,
        "next": action_document(each.action)["action"] if each.action else None,
    }


def _content(size: int, sha256: str) -> dict[str, object]:
    return {"size": size, "sha256": sha256}


def _next(action: Action | None) -> str:
    """Say what the next sync does about a file that was changed by hand."""
    match action:
        case None:
            return "leaves it alone"
        case Keep():
            return "keeps it: it is what the lock wants"
        case Fetch() | Move():
            return "puts it there again"
        case Replace():
            return "replaces it"
        case Release():
            return "lets go of it"
        case Blocked(error=error):
            return f"refuses to touch it [{error.code}]"
        case Satisfied() | Retire() | Protected():
            raise AssertionError(action)
        case _:
            assert_never(action)


def _stale_lines(goal: Goal) -> Iterator[str]:
    if goal.lines:
        yield "The manifest differs from the lock:"
        yield from (f"  {show(line)}" for line in goal.lines)
        if not goal.lock_changed:
            yield "Civitai has to be asked what that leads to (run `civsync lock`). As locked now:"


def _lines(world: World, changes: Sequence[Comparison], output: Output) -> Iterator[str]:
    if changes:
        yield f"Changed since civsync wrote it ({count_text(len(changes), 'file')}):"
        for each in changes:
            yield f"  {show(each.path)}  ({each.by_hand}); the next sync {_next(each.action)}"
    if world.plan.pending or world.plan.blocked:
        yield "Next sync:"
    yield from plan_lines(world.plan, output)
