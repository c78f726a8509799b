"""`civsync unhold`: let upgrades move an entry again."""

import click

from civsync.cli.holding import set_hold
from civsync.cli.options import Context, common_options, pass_context


@click.command()
@click.argument("name", metavar="ENTRY")
@common_options
@pass_context
def command(context: Context, *, name: str) -> None:
    """Let upgrades move an entry again: a key, a model id, a link or the model's name.

    The lock does not change; `civsync lock -P ENTRY` moves it.
    """
    set_hold(context, "unhold", name, None)
