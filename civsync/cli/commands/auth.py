"""`civsync auth login|logout|status`."""

import os
import sys

import anyio
import click

from civsync.cli.credentials import VARIABLES, Credentials, find_credentials
from civsync.cli.key_keeping import forget, keep
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.progress import choose_display
from civsync.cli.settings import find_api_url
from civsync.cli.wiring import open_source
from civsync.core.codes import Code
from civsync.core.errors import RegistryError, UserError
from civsync.core.exits import ExitCode
from civsync.core.secrets import Token


@click.group()
@common_options
def command() -> None:
    """Log in to Civitai, log out, or show who is logged in."""


@command.command()
@click.option("--no-check", is_flag=True, help="Keep the key without asking Civitai about it.")
@common_options
@pass_context
def login(context: Context, *, no_check: bool) -> None:
    """Ask for an API key (or read it from standard input), check it, and keep it.

    Make a key in the settings of your Civitai account. It is kept in the keyring, or in a
    file that only you can read, and sent to the API origin alone.
    """
    api_url = find_api_url(context.settings)
    if sys.stdin.isatty():
        text = click.prompt("Civitai API key", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    try:
        token = Token(text)
    except ValueError as error:
        hint = "Copy the key from your Civitai account settings; in a script, pipe it in."
        raise UserError(Code.USAGE, str(error), hint=hint) from None
    account = None if no_check else anyio.run(_who, context, api_url, token)
    where = keep(token, api_url)
    if context.output.choice.json:
        context.output.document(
            "civsync.auth", {"logged_in": True, "account": account, "kept_in": where}
        )
        return
    context.output.talk(f"Logged in{f' as {account}' if account else ''}; the key is in {where}.")
    for name in VARIABLES:
        if os.environ.get(name):
            context.output.warn(f"{name} is set and wins over the key just kept")


@command.command()
@common_options
@pass_context
def logout(context: Context) -> None:
    """Forget the kept API key."""
    places = forget(find_api_url(context.settings))
    if context.output.choice.json:
        context.output.document("civsync.auth", {"logged_in": False, "removed": list(places)})
        return
    context.output.talk(
        f"Removed the key from {' and '.join(places)}." if places else "No key was kept."
    )


@command.command()
@common_options
@pass_context
def status(context: Context) -> ExitCode:
    """Show whether an API key is configured, where it comes from, and whose it is."""
    api_url = find_api_url(context.settings)
    credentials = find_credentials(api_url)
    account = None
    if credentials is not None:
        try:
            account = anyio.run(_who, context, api_url, credentials.token)
        except RegistryError as error:
            error.subject = credentials.origin
            raise
    if context.output.choice.json:
        body = {
            "logged_in": credentials is not None,
            "account": account,
            "kept_in": credentials.origin if credentials else None,
            "api_url": api_url,
        }
        context.output.document("civsync.auth", body)
    else:
        context.output.data(_describe(credentials, account, api_url))
    return ExitCode.OK if credentials else ExitCode.CREDENTIALS


def _describe(credentials: Credentials | None, account: str | None, api_url: str) -> str:
    if credentials is None:
        return f"Not logged in to {api_url}. Run `civsync auth login`, or set {VARIABLES[0]}."
    return f"Logged in to {api_url} as {account} (key from {credentials.origin})."


async def _who(context: Context, api_url: str, token: Token) -> str | None:
    async with open_source(api_url, token, choose_display(context.output)) as source:
        return await source.check_login()
