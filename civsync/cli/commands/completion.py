"""`civsync completion SHELL`: print the script that teaches a shell to complete civsync."""

import click
from click.shell_completion import get_completion_class

from civsync.cli.options import Context, common_options, pass_context
from civsync.core.codes import Code
from civsync.core.errors import UserError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@pass_context
def command(context: Context, shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: `civsync completion bash > ~/.local/share/bash-completion/completions/civsync`
    """
    from civsync.cli.main import civsync

    kind = get_completion_class(shell)
    if kind is None:
        raise UserError(Code.USAGE, f"no completion for {shell}")
    script = kind(civsync, {}, "civsync", "_CIVSYNC_COMPLETE").source()
    if context.output.choice.json:
        context.output.document("civsync.completion", {"shell": shell, "script": script})
        return
    context.output.data(script)
