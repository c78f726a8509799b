"""`civsync demo`: the whole job on a registry of its own, without network or account."""

from pathlib import Path

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.core.codes import Code
from civsync.core.errors import UserError

DEFAULT_FOLDER = "civsync-demo"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER)
@click.option("--serve", is_flag=True, help="Keep the registry running afterwards.")
@click.option("--force", is_flag=True, help="Empty a demo folder that is there.")
@common_options
@pass_context
def command(context: Context, *, folder: Path, serve: bool, force: bool) -> int:
    """Show civsync at work in FOLDER, on a registry that it starts on loopback.

    Writes a manifest, locks it, syncs it, changes it, shows the plan, syncs again. FOLDER is
    left for you to play with; --serve keeps the registry running for that.
    """
    from civsync.demo.show import DemoFolderError, show_demo

    try:
        return show_demo(folder, stay=serve, force=force, quiet=context.output.choice.quiet)
    except DemoFolderError as error:
        raise UserError(
            Code.USAGE, str(error), subject=str(folder), hint="Name another folder, or use --force."
        ) from None
