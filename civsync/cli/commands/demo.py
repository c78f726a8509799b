"""`civsync demo`: the whole job on a registry of its own, without network or account."""

from pathlib import Path

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.core.codes import Code
from civsync.core.errors import UserError

DEFAULT_FOLDER = "civsync-demo"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--serve", is_flag=True, help="Keep the registry running afterwards.")
@click.option("--force", is_flag=True, help="Start a demo over that is there.")
@common_options
@pass_context
def command(context: Context, *, folder: Path | None, serve: bool, force: bool) -> int:
    """Show civsync at work in FOLDER, on a registry that it starts on loopback.

    Writes a manifest, locks it, syncs it, changes it, shows the plan, syncs again. FOLDER
    [civsync-demo, or civsync-demo-2, ...] is left for you to play with; --serve keeps the
    registry running for that.
    """
    from civsync.demo.show import DemoFolderError, free_folder, show_demo

    choice = context.output.choice
    if choice.json and serve:
        raise UserError(Code.USAGE, "--json and --serve exclude each other")
    if folder is None:
        base = Path(DEFAULT_FOLDER)
        folder = base if force else free_folder(base)
    try:
        status = show_demo(folder, stay=serve, force=force, quiet=choice.quiet or choice.json)
    except DemoFolderError as error:
        raise UserError(
            Code.USAGE, str(error), subject=str(folder), hint="Name another folder, or use --force."
        ) from None
    if choice.json:
        context.output.document("civsync.demo", {"folder": str(folder), "exit": status})
    return status
