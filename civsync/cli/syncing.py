"""What `civsync sync` does once there may be something to do: aim, look, act, tell."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from civsync.cli.goal import Goal, Means, Mode, NotLockedError, find_goal
from civsync.cli.groups import choose_for
from civsync.cli.in_step import tell_in_step
from civsync.cli.options import Context
from civsync.cli.output import Output, duration_text, error_document, show, size_text
from civsync.cli.plan_text import plan_lines
from civsync.cli.progress import VERBS, choose_display, event_document
from civsync.cli.settings import find_link_mode, state_dir
from civsync.cli.wiring import Disk, open_disk
from civsync.core.codes import Code, ExitCode
from civsync.core.errors import CivsyncError, SafetyError, exit_of
from civsync.core.events import Planned
from civsync.core.groups import GroupWishes, Unselected
from civsync.core.link_mode import LinkMode
from civsync.core.names import SafePath
from civsync.decide.groups import Chosen
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import Allowance
from civsync.disk.settled import note_settled
from civsync.engine.world import glance, look

if TYPE_CHECKING:
    from civsync.engine.run import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the flags of a sync said. `allow_prune` None means any number of files.

    `limit_rate` (None for no limit) and `min_speed` (0 for none) are in bytes a second. `link`
    None means that the user's config decides.
    """

    mode: Mode
    groups: GroupWishes
    only_look: bool
    check: bool
    prune: bool
    prune_first: bool
    prune_unselected: bool
    allow_prune: int | None
    force_modified: bool
    empty_trash: bool
    new_root: bool
    offline: bool
    jobs: int
    connections: int
    limit_rate: int | None
    min_speed: int
    hash_all: bool
    fail_fast: bool
    link: LinkMode | None


def sync(context: Context, wishes: Wishes) -> int:
    """Make the root hold what the lock says, or only show what that would take.

    Returns the exit status. Raises CivsyncError where the run as a whole cannot be done.
    """
    try:
        means = Means(
            groups=wishes.groups,
            offline=wishes.offline,
            write=not wishes.only_look,
            new_root=wishes.new_root,
            jobs=wishes.jobs,
        )
        goal = find_goal(context, wishes.mode, means)
    except NotLockedError as failed:
        return failed.status
    chosen = choose_for(goal, wishes.groups, context.output)
    disk = open_disk(goal.root, accept_new=wishes.new_root)
    allowance = Allowance(
        force_modified=wishes.force_modified,
        prune=wishes.prune,
        prune_unselected=wishes.prune_unselected,
        hashes_to_come=goal.hashes_to_come,
    )
    if wishes.only_look:
        return _only_look(context, goal, chosen, disk, allowance, wishes)
    if not wishes.hash_all:
        world = glance(chosen.lock, disk.store, disk.ledger, allowance, chosen.left_out)
        if world is not None and world.settled and not disk.ledger.unsettled:
            _note(goal, chosen, disk, wishes)
            return tell_in_step(context.output, len(world.plan.actions), world.plan.unselected)
    return _act(context, goal, chosen, disk, allowance, wishes)


def _act(
    context: Context,
    goal: Goal,
    chosen: Chosen,
    disk: Disk,
    allowance: Allowance,
    wishes: Wishes,
) -> int:
    from civsync.cli.acting import Interrupted, Orders, act
    from civsync.engine.run import Manner

    orders = Orders(
        goal=goal,
        chosen=chosen,
        disk=disk,
        allowance=allowance,
        allow_prune=AllowPrune(wishes.allow_prune),
        hash_all=wishes.hash_all,
        min_speed=wishes.min_speed,
        empty_trash=wishes.empty_trash,
        link=find_link_mode(wishes.link),
        manner=Manner(
            jobs=wishes.jobs,
            connections=wishes.connections,
            limit_rate=wishes.limit_rate,
            fail_fast=wishes.fail_fast,
            prune_first=wishes.prune_first,
            offline=wishes.offline,
        ),
    )
    began = time.monotonic()
    ending = act(context, orders)
    if isinstance(ending, Interrupted):
        if context.output.choice.json:
            context.output.event({"event": "interrupted", "exit": int(ending.status)})
        context.output.talk("interrupted; what was received is kept: run again to go on")
        return ending.status
    if ending.exit == ExitCode.OK:
        _note(goal, chosen, disk, wishes)
    return _tell(context.output, ending, chosen.left_out.files, time.monotonic() - began)


def _note(goal: Goal, chosen: Chosen, disk: Disk, wishes: Wishes) -> None:
    """Note that planning again would find nothing to do, so that the next run need not.

    Without pruning something may be left to retire.
    """
    if wishes.prune and goal.lock_sha256:
        note_settled(
            disk.root,
            goal.lock_sha256,
            str(wishes.groups.over(goal.default_groups)),
            files=len({file.path for _, file in chosen.lock.files()}),
            unselected=chosen.left_out.files,
            state_dir=state_dir(),
        )


def _only_look(
    context: Context,
    goal: Goal,
    chosen: Chosen,
    disk: Disk,
    allowance: Allowance,
    wishes: Wishes,
) -> int:
    output = context.output
    with choose_display(output) as display:
        world = look(
            chosen.lock,
            disk.store,
            disk.ledger,
            display,
            allowance=allowance,
            left_out=chosen.left_out,
            hash_all=wishes.hash_all,
        )
    pending = bool(world.plan.pending) or goal.lock_changed
    if output.choice.json:
        output.event(event_document(Planned(plan=world.plan)))
    else:
        for line in plan_lines(world.plan, output):
            output.data(line)
    errors: list[CivsyncError] = [blocked.error for blocked in world.plan.blocked]
    if errors:
        return exit_of(errors)
    try:
        check_prune(world.plan, world.receipt, AllowPrune(wishes.allow_prune))
    except SafetyError as guard:
        output.warn(f"sync would refuse this: {show(guard.message)}")
        output.hint(guard.hint)
    return ExitCode.PENDING if wishes.check and pending else ExitCode.OK


def _tell(output: Output, outcome: "Outcome", unselected: Unselected, seconds: float) -> int:
    if output.choice.json:
        failed = [
            {"path": path, "error": error_document(error)} for path, error in outcome.failures
        ]
        output.event(
            {
                "event": "finished",
                "exit": int(outcome.exit),
                "done": outcome.done,
                "received": outcome.received,
                "failed": failed,
                "unselected": unselected.files,
            }
        )
        return outcome.exit
    for path, error in outcome.failures:
        _tell_failure(output, path, error)
    words = [f"{count:,} {VERBS.get(how, how)}" for how, count in outcome.done.items()]
    cancelled = sum(error.code is Code.CANCELLED for _, error in outcome.failures)
    if cancelled:
        words.append(f"{cancelled:,} cancelled")
    if len(outcome.failures) > cancelled:
        words.append(output.paint(f"{len(outcome.failures) - cancelled:,} failed", "red"))
    speed = ""
    if outcome.received and seconds > 0:
        speed = f", {size_text(outcome.received)} at {size_text(int(outcome.received / seconds))}/s"
    if words:  # otherwise the plan has said that there is nothing to do
        output.talk(f"{', '.join(words)} in {duration_text(seconds)}{speed}")
    return outcome.exit


def _tell_failure(output: Output, path: SafePath, error: CivsyncError) -> None:
    label = output.paint("error:", "red", "bold")
    output.warn_line(f"{label} {show(path)}: {show(error.message)} [{error.code}]")
    output.hint(error.hint, indent="  ")
