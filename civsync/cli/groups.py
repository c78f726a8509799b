"""The flags that select groups, and what is said of what they leave out."""

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from civsync.cli.options import in_force
from civsync.cli.output import count_text, show
from civsync.core.groups import GroupWishes, Unselected

if TYPE_CHECKING:
    from civsync.cli.goal import Goal
    from civsync.cli.output import Output
    from civsync.decide.groups import Chosen

F = TypeVar("F", bound=Callable[..., Any])

SHOWN_GROUPS: Final = 6
"""Groups that are named where files are counted; of more only the number is told."""


class _GroupName(click.types.StringParamType):
    """A group; a variable may hold several, with spaces or commas between."""

    name = "group"

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the groups in a variable."""
        return [word for word in re.split(r"[\s,]+", rv) if word]


_GROUP: Final = _GroupName()
_NAMES: Final = ("group", "only_group", "no_group", "all_groups")
_OPTIONS: Final = (
    click.option(
        "-g",
        "--group",
        type=_GROUP,
        multiple=True,
        envvar="CIVSYNC_GROUP",
        metavar="GROUP",
        help="Select this group, too (repeatable).",
    ),
    click.option(
        "--only-group",
        type=_GROUP,
        multiple=True,
        envvar="CIVSYNC_ONLY_GROUP",
        metavar="GROUP",
        help="Select this group, and nothing without a group (repeatable).",
    ),
    click.option(
        "--no-group",
        type=_GROUP,
        multiple=True,
        envvar="CIVSYNC_NO_GROUP",
        metavar="GROUP",
        help="Leave this group out (repeatable).",
    ),
    click.option(
        "--all-groups", is_flag=True, envvar="CIVSYNC_ALL_GROUPS", help="Select every group."
    ),
)


def group_options(function: F) -> F:
    """Add the flags that select groups; the command gets them as one `groups`."""

    @wraps(function)
    @click.pass_context
    def command(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - wraps any command
        for name in _NAMES:
            del kwargs[name]
        return ctx.invoke(function, *args, groups=_read(ctx), **kwargs)

    decorated: Any = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: F = decorated
    return result


def _read(ctx: click.Context) -> GroupWishes:
    """Return what flags and variables said; a flag wins over the variable of an opposite."""
    only = in_force(ctx, "only_group", "group") != "group" and (
        in_force(ctx, "only_group", "all_groups") == "only_group"
    )
    if only:
        wishes = GroupWishes(only=ctx.params["only_group"])
    else:
        wishes = GroupWishes(also=ctx.params["group"], every=ctx.params["all_groups"])
    without: tuple[str, ...] = ctx.params["no_group"]
    if not _by_flag(ctx, "no_group"):
        named = {*wishes.only, *wishes.also} if _by_flag(ctx, "only_group", "group") else set()
        every = wishes.every and _by_flag(ctx, "all_groups")
        without = tuple(group for group in without if not every and group not in named)
    return GroupWishes(also=wishes.also, only=wishes.only, every=wishes.every, without=without)


def _by_flag(ctx: click.Context, *names: str) -> bool:
    return any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in names)


def choose_for(goal: "Goal", groups: GroupWishes, output: "Output") -> "Chosen":
    """Divide the goal's lock. Raises UserError usage for a group that no entry has.

    One among the manifest's default groups is only warned of.
    """
    from civsync.decide.groups import check_groups, choose

    known = {group for entry in goal.lock.entries for group in entry.groups} | goal.groups
    check_groups(groups.names, known)
    for name in goal.default_groups or ():
        if name not in known:
            output.warn(f"no entry is in {show(name)}, which is one of `default_groups`")
    return choose(goal.lock, groups.over(goal.default_groups))


def unselected_text(unselected: Unselected) -> str:
    """Return the line on what is left alone, "" if that is nothing."""
    if not unselected.files:
        return ""
    count, groups = len(unselected.groups), ", ".join(map(show, unselected.groups))
    named = f"{'group' if count == 1 else 'groups'} {groups}"
    if count > SHOWN_GROUPS:
        named = f"{count} groups"
    of = [f"of {named}"] if count else []
    of += ["without a group"] if unselected.ungrouped else []
    verb = "is" if unselected.files == 1 else "are"
    return (
        f"{count_text(unselected.files, 'file')} {' or '.join(of)} {verb} not selected"
        " (--all-groups)"
    )
