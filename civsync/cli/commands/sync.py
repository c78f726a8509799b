"""`civsync sync`: make the root hold what the lock says, and nothing stale."""

from pathlib import Path
from typing import Final, NamedTuple

import click

from civsync.cli.groups import group_options
from civsync.cli.in_step import find_in_step, tell_in_step
from civsync.cli.options import (
    Context,
    alone,
    common_options,
    in_force,
    no_fsync_option,
    pass_context,
    wait_option,
)
from civsync.cli.settings import in_ci
from civsync.core.errors import UserError
from civsync.core.groups import GroupWishes
from civsync.core.limits import (
    DEFAULT_CONNECTIONS,
    DEFAULT_JOBS,
    MAX_CONNECTIONS,
    MAX_JOBS,
    MIN_SPEED,
)

_SHAPE_A_PLAN: Final = (
    *("plan_to", "check", "dry_run", "locked", "no_locked", "verify", "force_modified"),
    "unprotect",
    *("no_prune", "prune_first", "prune_unselected", "allow_prune"),
    *("group", "only_group", "no_group", "all_groups"),
)
"""What a saved plan says itself, so that beside `--apply` it would be said twice."""


class Rate(NamedTuple):
    """Bytes a second that a flag named; None for no limit."""

    bytes: int | None


def _prune_limit(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read "12" or "all" (None); without the flag nothing beyond the guard may go."""
    if value is None:
        return 0
    if value == "all":
        return None
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither a number of files nor `all`.")
    return int(value)


def _rate(ctx: click.Context, param: click.Parameter, value: str | None) -> Rate | None:
    """Read "20M" or "none"; None without the flag."""
    if value is None:
        return None
    from civsync.documents.sizes import parse_rate

    try:
        return Rate(parse_rate(value))
    except UserError as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from None


@click.command()
@click.option("--locked", is_flag=True, envvar="CIVSYNC_LOCKED", help="Refuse a stale lock.")
@click.option("--no-locked", is_flag=True, envvar="CIVSYNC_NO_LOCKED", help="Even if CI=true.")
@click.option("--frozen", is_flag=True, envvar="CIVSYNC_FROZEN", help="Read only the lock.")
@click.option("--check", is_flag=True, help="Change nothing; exit 2 if there is work.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show the plan.")
@click.option(
    "--plan",
    "plan_to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Change nothing; write the plan to FILE.",
)
@click.option(
    "--apply",
    "apply_from",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Carry out the plan in FILE, or nothing if anything changed since.",
)
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
    "--prune-unselected", is_flag=True, help="Also retire what the selected groups leave out."
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
@click.option(
    "--empty-trash",
    is_flag=True,
    help="If the disk is full, delete from the trash what is oldest and not locked.",
)
@click.option(
    "--unprotect",
    multiple=True,
    metavar="PATH",
    help="End the protection of this file, by its path below the root (repeatable).",
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
    "--connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=DEFAULT_CONNECTIONS,
    show_default=True,
    envvar="CIVSYNC_CONNECTIONS",
    help="Connections over all files; one file has up to 4 where that makes it faster.",
)
@click.option(
    "--limit-rate",
    callback=_rate,
    metavar="RATE",
    envvar="CIVSYNC_LIMIT_RATE",
    help="Receive at most this much a second, over all files: 20M, 500K.",
)
@click.option(
    "--min-speed",
    callback=_rate,
    metavar="RATE",
    envvar="CIVSYNC_MIN_SPEED",
    help="Give up a connection that is slower for 30 s, and ask again [1KiB]; 0 for never.",
)
@click.option(
    "--verify",
    type=click.Choice(["changed", "all"]),
    default="changed",
    show_default=True,
    envvar="CIVSYNC_VERIFY",
    help="Which files on disk to read again.",
)
@click.option(
    "--link",
    type=click.Choice(["auto", "reflink", "hardlink", "copy", "off"]),
    envvar="CIVSYNC_LINK",
    help="How to use what other roots of this machine hold [auto].",
)
@click.option("--keep-going", is_flag=True, help="Go on after a failure (the default).")
@click.option(
    "--fail-fast", is_flag=True, envvar="CIVSYNC_FAIL_FAST", help="Stop at the first failure."
)
@no_fsync_option
@wait_option
@group_options
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
    plan_to: Path | None,
    apply_from: Path | None,
    no_prune: bool,
    prune_first: bool,
    prune_unselected: bool,
    allow_prune: int | None,
    force_modified: bool,
    empty_trash: bool,
    unprotect: tuple[str, ...],
    new_root: bool,
    offline: bool,
    jobs: int,
    connections: int,
    limit_rate: Rate | None,
    min_speed: Rate | None,
    verify: str,
    link: str | None,
    keep_going: bool,
    fail_fast: bool,
    groups: GroupWishes,
) -> int:
    """Make the root hold what civsync.lock says, and nothing stale.

    A lock that the manifest has left behind is first brought up to date, by the smallest
    change; --locked (implied by CI=true) refuses instead, --frozen reads only the lock.

    Entries without `groups` are always selected, others only with one of their groups. What
    is not selected stays as it is.

    --plan never changes the lock. With --apply the plan says what is selected and allowed,
    and what flags and variables say of that is not looked at.
    """
    ctx = click.get_current_context()
    if apply_from is not None:
        alone(ctx, "apply_from", _SHAPE_A_PLAN)
    if plan_to is not None:
        alone(ctx, "plan_to", ("no_locked",))
    mode = in_force(ctx, "locked", "no_locked", "frozen")
    keeping = {
        in_force(ctx, "no_prune", other) for other in ("prune_first", "prune_unselected")
    } == {"no_prune"}
    failing = in_force(ctx, "keep_going", "fail_fast")
    frozen = mode == "frozen"
    locked = mode == "locked" or plan_to is not None or (in_ci() and mode is None)
    only_look = check or dry_run or plan_to is not None
    closely = only_look or apply_from is not None or new_root or prune_unselected
    if not (closely or unprotect or verify == "all" or context.looked):
        settled = find_in_step(context.settings, groups, frozen=frozen)
        if settled is not None:
            return tell_in_step(context.output, settled.files, settled.unselected)
    from civsync.cli.goal import Mode
    from civsync.cli.syncing import Wishes, sync
    from civsync.core.link_mode import LinkMode

    wishes = Wishes(
        mode=Mode.FROZEN if frozen else Mode.LOCKED if locked else Mode.UPDATE,
        groups=groups,
        only_look=only_look,
        check=check,
        prune=not keeping,
        prune_first=prune_first and not keeping,
        prune_unselected=prune_unselected,
        allow_prune=allow_prune,
        force_modified=force_modified,
        empty_trash=empty_trash,
        unprotect=unprotect,
        new_root=new_root,
        offline=offline,
        jobs=jobs,
        connections=connections,
        limit_rate=limit_rate.bytes if limit_rate else None,
        min_speed=MIN_SPEED if min_speed is None else min_speed.bytes or 0,
        hash_all=verify == "all",
        fail_fast=failing == "fail_fast",
        plan_to=plan_to,
        apply_from=apply_from,
        link=LinkMode(link) if link else None,
    )
    return sync(context, wishes)
