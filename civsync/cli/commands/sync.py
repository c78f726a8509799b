"""`civsync sync`: make the root hold what the lock says, and nothing stale."""

import time
from typing import TYPE_CHECKING

import click

from civsync.cli.goal import Goal, Means, Mode, NotLockedError, find_goal
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import (
    Output,
    count_text,
    duration_text,
    error_document,
    show,
    size_text,
)
from civsync.cli.plan_text import plan_lines
from civsync.cli.progress import VERBS, choose_display, event_document
from civsync.cli.settings import in_ci
from civsync.cli.wiring import Disk, open_disk
from civsync.core.codes import Code, ExitCode
from civsync.core.errors import CivsyncError, UserError, exit_of
from civsync.core.events import Planned
from civsync.core.limits import DEFAULT_JOBS, MAX_JOBS
from civsync.core.names import SafePath
from civsync.decide.guard import AllowPrune
from civsync.decide.plan import Allowance
from civsync.engine.world import World, glance, look

if TYPE_CHECKING:
    from civsync.engine.run import Outcome


def _prune_limit(ctx: click.Context, param: click.Parameter, value: str | None) -> AllowPrune:
    """Read "12" or "all"; without the flag nothing beyond the guard may go."""
    if value is None:
        return AllowPrune(0)
    if value == "all":
        return AllowPrune(None)
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither a number of files nor `all`.")
    return AllowPrune(int(value))


@click.command()
@click.option("--locked", is_flag=True, envvar="CIVSYNC_LOCKED", help="Refuse a stale lock.")
@click.option("--no-locked", is_flag=True, envvar="CIVSYNC_NO_LOCKED", help="Even if CI=true.")
@click.option("--frozen", is_flag=True, envvar="CIVSYNC_FROZEN", help="Read only the lock.")
@click.option("--check", is_flag=True, help="Change nothing; exit 2 if there is work.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show the plan.")
@click.option(
    "--no-prune", is_flag=True, envvar="CIVSYNC_NO_PRUNE", help="Keep what is wanted no more."
)
@click.option(
    "--prune-first",
    is_flag=True,
    envvar="CIVSYNC_PRUNE_FIRST",
    help="Retire before downloading, and even if a download fails.",
)
@click.option(
    "--allow-prune",
    callback=_prune_limit,
    metavar="N|all",
    help="Let this many files be retired.",
)
@click.option(
    "--force-modified", is_flag=True, help="Replace files you changed; yours go to trash."
)
@click.option("--new-root", is_flag=True, help="Accept a root that lost its marker.")
@click.option("--offline", is_flag=True, envvar="CIVSYNC_OFFLINE", help="Never use the network.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    default=DEFAULT_JOBS,
    show_default=True,
    envvar="CIVSYNC_JOBS",
    help="Files to download at the same time.",
)
@click.option(
    "--verify",
    type=click.Choice(["changed", "all"]),
    default="changed",
    show_default=True,
    envvar="CIVSYNC_VERIFY",
    help="Which files on disk to read again.",
)
@click.option("--keep-going", is_flag=True, help="Go on after a failure (the default).")
@click.option(
    "--fail-fast", is_flag=True, envvar="CIVSYNC_FAIL_FAST", help="Stop at the first failure."
)
@common_options
@pass_context
def command(
    context: Context,
    *,
    locked: bool,
    no_locked: bool,
    frozen: bool,
    check: bool,
    dry_run: bool,
    no_prune: bool,
    prune_first: bool,
    allow_prune: AllowPrune,
    force_modified: bool,
    new_root: bool,
    offline: bool,
    jobs: int,
    verify: str,
    keep_going: bool,
    fail_fast: bool,
) -> int:
    """Make the root hold what civsync.lock says, and nothing stale.

    A lock that the manifest has left behind is first brought up to date, by the smallest
    change; --locked (implied by CI=true) refuses instead, --frozen reads only the lock.
    """
    _refuse_both(("--locked", locked), ("--no-locked", no_locked), ("--frozen", frozen))
    _refuse_both(("--keep-going", keep_going), ("--fail-fast", fail_fast))
    _refuse_both(("--no-prune", no_prune), ("--prune-first", prune_first))
    mode = Mode.UPDATE
    if frozen:
        mode = Mode.FROZEN
    elif locked or (in_ci() and not no_locked):
        mode = Mode.LOCKED
    only_look = check or dry_run
    try:
        means = Means(offline=offline, write=not only_look, new_root=new_root, jobs=jobs)
        goal = find_goal(context, mode, means)
    except NotLockedError as failed:
        return failed.status
    disk = open_disk(goal.root, accept_new=new_root)
    allowance = Allowance(
        force_modified=force_modified, prune=not no_prune, hashes_to_come=goal.hashes_to_come
    )
    if only_look:
        return _only_look(context, goal, disk, allowance, check=check, hash_all=verify == "all")
    if verify != "all":
        world = glance(goal.lock, disk.store, disk.ledger, allowance)
        if world is not None and world.settled and not disk.ledger.unsettled:
            return _in_step(context.output, world)
    from civsync.cli.acting import Interrupted, Orders, act
    from civsync.engine.run import Manner

    orders = Orders(
        goal=goal,
        disk=disk,
        allowance=allowance,
        allow_prune=allow_prune,
        hash_all=verify == "all",
        manner=Manner(jobs=jobs, fail_fast=fail_fast, prune_first=prune_first, offline=offline),
    )
    began = time.monotonic()
    ending = act(context, orders)
    if isinstance(ending, Interrupted):
        context.output.talk("interrupted; what was received is kept: run again to go on")
        return ending.status
    return _tell(context.output, ending, time.monotonic() - began)


def _only_look(
    context: Context, goal: Goal, disk: Disk, allowance: Allowance, *, check: bool, hash_all: bool
) -> int:
    output = context.output
    with choose_display(output) as display:
        world = look(
            goal.lock, disk.store, disk.ledger, display, allowance=allowance, hash_all=hash_all
        )
    pending = bool(world.plan.pending) or goal.lock_changed
    if output.choice.json:
        output.event(event_document(Planned(plan=world.plan)))
    else:
        for line in plan_lines(world.plan, output):
            output.data(line)
    errors = [blocked.error for blocked in world.plan.blocked]
    if errors:
        return exit_of(errors)
    return ExitCode.PENDING if check and pending else ExitCode.OK


def _in_step(output: Output, world: World) -> int:
    count = len(world.plan.actions)
    if output.choice.json:
        output.event({"event": "finished", "exit": 0, "done": {}, "received": 0, "failed": []})
    else:
        output.talk(f"{count_text(count, 'file')} in place, nothing to do")
    return ExitCode.OK


def _tell(output: Output, outcome: "Outcome", seconds: float) -> int:
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
            }
        )
        return outcome.exit
    for path, error in outcome.failures:
        _tell_failure(output, path, error)
    words = [f"{count:,} {VERBS.get(how, how)}" for how, count in outcome.done.items()]
    if outcome.failures:
        words.append(output.paint(f"{len(outcome.failures):,} failed", "red"))
    speed = ""
    if outcome.received and seconds > 0:
        speed = f", {size_text(outcome.received)} at {size_text(int(outcome.received / seconds))}/s"
    output.talk(f"{', '.join(words) or 'Nothing to do'} in {duration_text(seconds)}{speed}")
    return outcome.exit


def _tell_failure(output: Output, path: SafePath, error: CivsyncError) -> None:
    label = output.paint("error:", "red", "bold")
    output.warn_line(f"{label} {show(path)}: {show(error.message)} [{error.code}]")
    output.hint(error.hint, indent="  ")


def _refuse_both(*flags: tuple[str, bool]) -> None:
    given = [name for name, value in flags if value]
    if len(given) > 1:
        raise UserError(Code.USAGE, f"{given[0]} and {given[1]} exclude each other")
