"""`civsync hold`: let no upgrade move an entry, and say why."""

import click

from civsync.cli.holding import set_hold
from civsync.cli.options import Context, common_options, pass_context


@click.command()
@click.argument("name", metavar="ENTRY")
@click.argument("reason", nargs=-1)
@common_options
@pass_context
def command(context: Context, *, name: str, reason: tuple[str, ...]) -> None:
    """Keep an entry at its locked version, whatever is upgraded.

    ENTRY is a key, a model id, a link or the model's name. The REASON is shown wherever a
    newer version is left alone. The lock does not change.
    """
    set_hold(context, "hold", name, " ".join(reason).strip() or True)
