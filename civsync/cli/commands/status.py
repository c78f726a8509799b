"""`civsync status`: what sync would do, and what changed since civsync wrote it. Offline."""

import click

from civsync.cli.groups import group_options
from civsync.cli.in_step import find_in_step, tell_status
from civsync.cli.options import Context, common_options, pass_context
from civsync.core.groups import GroupWishes


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit 2 if root and lock are not in step.")
@group_options
@common_options
@pass_context
def command(context: Context, *, exit_code: bool, groups: GroupWishes) -> int:
    """Show what `civsync sync` would do and what was changed by hand, without the network.

    Files whose size, time and inode are known are not read again.
    """
    if not (context.looked or context.output.choice.json):
        settled = find_in_step(context.settings, groups)
        if settled is not None:
            return tell_status(context.output, settled.files, settled.unselected)
    from civsync.cli.status_report import report_status

    return report_status(context, groups, exit_code=exit_code)
