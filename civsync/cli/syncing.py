"""What `civsync sync` does once there may be something to do: aim, look, act, tell."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.goal import Goal, Means, Mode, NotLockedError, find_goals, goal_of
from civsync.cli.groups import choose_for
from civsync.cli.in_step import tell_in_step
from civsync.cli.options import Context
from civsync.cli.outcome_text import tell_outcome
from civsync.cli.output import show
from civsync.cli.plan_text import plan_lines
from civsync.cli.progress import choose_display, event_document
from civsync.cli.serving import serve
from civsync.cli.settings import find_link_mode, state_dir
from civsync.cli.wiring import Disk, open_disk
from civsync.core.disk import Receipt
from civsync.core.errors import CivsyncError, SafetyError, exit_of
from civsync.core.events import Planned
from civsync.core.exits import ExitCode
from civsync.core.groups import GroupWishes, Selection
from civsync.core.link_mode import LinkMode
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.decide.groups import Chosen, choose
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import Allowance
from civsync.disk.settling import note_settled
from civsync.engine.world import World, glance, look

if TYPE_CHECKING:
    from civsync.cli.acting import Witness
    from civsync.core.saved_plan import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the flags of a sync said. `allow_prune` None means any number of files.

    `limit_rate` (None for no limit) and `min_speed` (0 for none) are in bytes a second. `link`
    None means that the user's config decides.
    The plan is written to `plan_to`; the one in `apply_from` is carried out, and then what
    shapes a plan is as that one says. `unprotect` are paths as they were given.
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
    unprotect: tuple[str, ...] = ()
    plan_to: Path | None = None
    apply_from: Path | None = None

    def terms(self, selection: Selection, unprotect: Iterable[SafePath]) -> "Terms":
        """Return what of this shapes a plan."""
        from civsync.core.saved_plan import Terms

        return Terms(
            selection=selection,
            prune=self.prune,
            prune_first=self.prune_first,
            prune_unselected=self.prune_unselected,
            allow_prune=self.allow_prune,
            force_modified=self.force_modified,
            hash_all=self.hash_all,
            unprotect=tuple(sorted(unprotect)),
        )

    def on_terms(self, terms: "Terms") -> "Wishes":
        """Return these wishes with what shapes a plan as `terms` have it."""
        return replace(
            self,
            prune=terms.prune,
            prune_first=terms.prune_first,
            prune_unselected=terms.prune_unselected,
            allow_prune=terms.allow_prune,
            force_modified=terms.force_modified,
            hash_all=terms.hash_all,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a sync is about: the `selection` of the goal's lock, and the disk to have it on."""

    goal: Goal
    selection: Selection
    chosen: Chosen
    disk: Disk
    allowance: Allowance


def sync(context: Context, wishes: Wishes) -> int:
    """Make each root hold what the lock says, or only show what that would take.

    Returns the exit status. Raises CivsyncError where the run as a whole cannot be done.
    """
    if wishes.apply_from is not None:
        return _apply(context, wishes, wishes.apply_from)
    try:
        means = Means(
            groups=wishes.groups,
            offline=wishes.offline,
            write=not wishes.only_look,
            new_root=wishes.new_root,
            jobs=wishes.jobs,
        )
        goals = find_goals(context, wishes.mode, means)
    except NotLockedError as failed:
        return failed.status
    if wishes.plan_to is not None or wishes.unprotect:
        goal_of(goals)
    return serve(
        context,
        goals,
        lambda goal: _sync(context, wishes, goal),
        to_stdout=wishes.only_look,
        fail_fast=wishes.fail_fast,
    )


def _sync(context: Context, wishes: Wishes, goal: Goal) -> int:
    """Do it for one root."""
    chosen = choose_for(goal, wishes.groups, context.output)
    disk = open_disk(goal.root, context.settings, accept_new=wishes.new_root)
    selection = wishes.groups.over(goal.default_groups)
    aim = Aim(
        goal=goal,
        selection=selection,
        chosen=chosen,
        disk=disk,
        allowance=_allowance(goal, wishes, _unprotected(wishes, disk, goal)),
    )
    if wishes.only_look:
        return _only_look(context, aim, wishes)
    if not wishes.hash_all:
        world = glance(chosen.lock, aim.disk.store, aim.disk.ledger, aim.allowance, chosen.left_out)
        if world is not None and _is_settled(world, aim):
            return _tell_settled(context, aim, world, wishes)
    return _act(context, aim, wishes)


def _apply(context: Context, wishes: Wishes, path: Path) -> int:
    """Carry out the plan in a file, as it stands there, or nothing.

    It is compared again once the root is held: this look is for a root that is new, of which
    nothing is made for a plan that is stale, and for a plan that is done.
    """
    from civsync.cli.saved_plans import check_plan, load_plan, refusals

    saved = load_plan(path)
    goal = goal_of(find_goals(context, Mode.FROZEN, Means(groups=GroupWishes(every=True))))
    wishes = wishes.on_terms(saved.terms)
    selection = saved.terms.selection
    aim = Aim(
        goal=goal,
        selection=selection,
        chosen=choose(goal.lock, selection),
        disk=open_disk(goal.root, context.settings, accept_new=wishes.new_root),
        allowance=_allowance(goal, wishes, frozenset(saved.terms.unprotect)),
    )
    check_plan(saved, goal, aim.disk.root, path)
    world = _look(context, aim, wishes) if not aim.disk.root.root_id else None
    if world is None and not wishes.hash_all:
        world = glance(
            aim.chosen.lock, aim.disk.store, aim.disk.ledger, aim.allowance, aim.chosen.left_out
        )
    if world is not None and not refusals(saved, world) and _is_settled(world, aim):
        return _tell_settled(context, aim, world, wishes)
    if world is not None and (failures := refusals(saved, world)):
        from civsync.engine.run import Outcome

        refused = Outcome(failures=failures, receipt=world.receipt)
        return tell_outcome(context.output, refused, aim.chosen.left_out.files, 0)
    return _act(context, aim, wishes, lambda seen: refusals(saved, seen))


def _allowance(goal: Goal, wishes: Wishes, unprotect: frozenset[SafePath]) -> Allowance:
    return Allowance(
        force_modified=wishes.force_modified,
        prune=wishes.prune,
        prune_unselected=wishes.prune_unselected,
        hashes_to_come=goal.hashes_to_come,
        unprotect=unprotect,
    )


def _unprotected(wishes: Wishes, disk: Disk, goal: Goal) -> frozenset[SafePath]:
    if not wishes.unprotect:
        return frozenset()
    from civsync.cli.protection import find_protected

    return find_protected(wishes.unprotect, disk, goal.lock)


def _is_settled(world: World, aim: Aim) -> bool:
    return world.settled and not aim.disk.ledger.unsettled


def _tell_settled(context: Context, aim: Aim, world: World, wishes: Wishes) -> int:
    _note(aim, wishes, world.receipt)
    files = len(world.plan.actions) - len(world.plan.protected)
    return tell_in_step(context.output, files, world.plan.unselected)


def _act(context: Context, aim: Aim, wishes: Wishes, witness: "Witness | None" = None) -> int:
    from civsync.cli.acting import Interrupted, Orders, act
    from civsync.engine.run import Manner

    orders = Orders(
        goal=aim.goal,
        chosen=aim.chosen,
        disk=aim.disk,
        allowance=aim.allowance,
        allow_prune=AllowPrune(wishes.allow_prune),
        hash_all=wishes.hash_all,
        min_speed=wishes.min_speed,
        empty_trash=wishes.empty_trash,
        witness=witness,
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
        _note(aim, wishes, ending.receipt)
    seconds = time.monotonic() - began
    return tell_outcome(context.output, ending, aim.chosen.left_out.files, seconds)


def _note(aim: Aim, wishes: Wishes, receipt: Receipt) -> None:
    """Note that planning again from `receipt` would find nothing to do, so that nobody need.

    Without pruning something may be left to retire. At one of several roots nobody looks for it.
    """
    if wishes.prune and aim.goal.lock_sha256 and not aim.goal.at.name:
        note_settled(
            aim.disk.root,
            aim.goal.project.lock,
            str(aim.selection),
            lock_sha256=aim.goal.lock_sha256,
            receipt=receipt,
            files=len({file.path for _, file in aim.chosen.lock.files()}),
            unselected=aim.chosen.left_out.files,
            state_dir=state_dir(),
        )


def _look(context: Context, aim: Aim, wishes: Wishes) -> World:
    with choose_display(context.output) as display:
        return look(
            aim.chosen.lock,
            aim.disk.store,
            aim.disk.ledger,
            display,
            allowance=aim.allowance,
            left_out=aim.chosen.left_out,
            hash_all=wishes.hash_all,
        )


def _only_look(context: Context, aim: Aim, wishes: Wishes) -> int:
    output = context.output
    world = _look(context, aim, wishes)
    pending = bool(world.plan.pending) or aim.goal.lock_changed
    if output.choice.json:
        output.event(event_document(Planned(plan=world.plan)))
    else:
        for line in plan_lines(world.plan, output):
            output.data(line)
    guard = _guard(world, wishes)
    if wishes.plan_to is not None:
        _store(context, aim, world, wishes, wishes.plan_to, guard)
    errors: list[CivsyncError] = [blocked.error for blocked in world.plan.blocked]
    if errors:
        return exit_of(errors)
    if guard is not None:
        output.warn(f"sync would refuse this: {show(guard.message)}")
        output.hint(guard.hint)
    return ExitCode.PENDING if wishes.check and pending else ExitCode.OK


def _guard(world: World, wishes: Wishes) -> SafetyError | None:
    try:
        check_prune(world.plan, world.receipt, AllowPrune(wishes.allow_prune))
    except SafetyError as guard:
        return guard
    return None


def _store(
    context: Context,
    aim: Aim,
    world: World,
    wishes: Wishes,
    path: Path,
    guard: SafetyError | None,
) -> None:
    """Write the plan down. Raises SafetyError prune-guard: that one would be refused later."""
    from civsync.cli.saved_plans import store_plan
    from civsync.core.saved_plan import SavedPlan
    from civsync.decide.witness import steps_of

    if guard is not None:
        raise guard
    saved = SavedPlan(
        root=str(aim.disk.root.path),
        root_id=aim.disk.root.root_id,
        lock_sha256=aim.goal.lock_sha256,
        terms=wishes.terms(aim.selection, aim.allowance.unprotect),
        steps=steps_of(world.plan, world.inventory),
    )
    store_plan(path, saved, durable=context.settings.durable)
    context.output.talk(f"Wrote {show(str(path))}")
