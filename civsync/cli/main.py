"""The command line: finds the command, and turns every ending into the right exit status.

Commands are imported when they run: a sync with nothing to do must not pay for httpx.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import click

from civsync import __version__
from civsync.cli.options import Context, common_options, usage_error, variable_of
from civsync.cli.output import NobodyReadsError, Output, error_document
from civsync.core.errors import CivsyncError, UserError
from civsync.core.exits import ExitCode

COMMANDS: Final = {
    "init": "Write a civsync.yaml to start from.",
    "add": "List models in the manifest, lock and download them.",
    "remove": "Take entries out of the manifest, and retire their files.",
    "import": "List in the manifest what a list of links, or a comfy-lock.yaml, names.",
    "hold": "Let no upgrade move an entry.",
    "unhold": "Let upgrades move an entry again.",
    "lock": "Resolve the manifest into civsync.lock.",
    "sync": "Make the root hold what the lock says.",
    "status": "Show what sync would do, without the network.",
    "verify": "Read every file and compare it with the lock.",
    "adopt": "Take over files that are there already.",
    "list": "List what is locked, or say why a file is.",
    "diff": "Show what differs between two locks.",
    "export": "Print the lock for other programs: addresses, checksums, a bill of materials.",
    "outdated": "Compare the lock with what Civitai shows today.",
    "audit": "Hold the lock against the policy and today's facts.",
    "trash": "Look at what left the tree, put it back, or delete it for good.",
    "auth": "Log in to Civitai, log out, or show who is logged in.",
    "job": "Look at running syncs: pause, resume, cancel, prioritize, limit.",
    "explain": "Say what an error code means and what helps.",
    "schema": "Print a JSON Schema of civsync's documents.",
    "completion": "Print the completion script for a shell.",
    "demo": "Show civsync at work, without network or account.",
}

MODULES: Final = {"import": "import_links"}
"""Commands whose module cannot have their name."""

HABITS: Final = {
    "help": "Run `civsync --help`, or `civsync COMMAND --help`.",
    "version": "Run `civsync --version`.",
    "install": "Run `civsync sync`: it downloads what the manifest asks for.",
    "download": "Run `civsync sync`: it downloads what the manifest asks for.",
    "pull": "Run `civsync sync`: it downloads what the manifest asks for.",
    "update": "Run `civsync lock --upgrade`, look at the changes, then run `civsync sync`.",
    "upgrade": "Run `civsync lock --upgrade`, look at the changes, then run `civsync sync`.",
    "rm": "Run `civsync remove`: it takes entries out of civsync.yaml and retires their files.",
    "uninstall": "Run `civsync remove`: it takes entries out of civsync.yaml and retires"
    " their files.",
    "pin": "Run `civsync hold`: no upgrade moves the entry then.",
    "unpin": "Run `civsync unhold`: upgrades move the entry again.",
    "clean": "Run `civsync sync`: it also retires what is wanted no more.",
    "prune": "Run `civsync sync`: it also retires what is wanted no more.",
    "restore": "Run `civsync trash restore PATH`.",
    "undelete": "Run `civsync trash restore PATH`.",
    "empty": "Run `civsync trash empty`.",
    "check": "Run `civsync status`, `civsync verify` or `civsync lock --check`.",
    "scan": "Run `civsync audit`: it also says what Civitai's scans say today.",
    "own": "Run `civsync adopt`.",
    "claim": "Run `civsync adopt`.",
    "why": "Run `civsync list PATH`: it says which entry wants a file, and why this one.",
    "sbom": "Run `civsync export --format cyclonedx`.",
    "pause": "Run `civsync job pause`.",
    "resume": "Run `civsync job resume`; a sync that has ended is gone on with by `civsync sync`.",
    "cancel": "Run `civsync job cancel`.",
    "jobs": "Run `civsync job list`.",
    "ps": "Run `civsync job list`.",
    "queue": "Run `civsync job list`.",
    "limit": "Run `civsync job limit`.",
    "prioritize": "Run `civsync job prioritize`.",
    "stop": "Run `civsync job pause` or `civsync job cancel`; Ctrl-C or the key q ends a sync.",
    "login": "Run `civsync auth login`.",
    "logout": "Run `civsync auth logout`.",
}
"""Words that people bring from other tools, and what does that here."""

SHOWING: Final = {"list", "diff", "export", "trash", "job", "explain", "schema", "completion"}
"""Commands that only show something: whoever reads no further, as `head`, has what he wants."""

YES: Final = {"1", "true", "t", "yes", "y", "on"}
"""What click takes for yes in the variable of a flag."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a first acquaintance."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        name = MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"civsync.cli.commands.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the nearest one as a hint."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            raise usage_error(f"there is no command {name!r}", hint=_meant(name))
        ctx.obj.command = name
        return super().resolve_command(ctx, args)


def _meant(name: str) -> str:
    """Say what a word that is no command was probably meant to be, or return ""."""
    from civsync.documents.hints import nearest

    word = nearest(name, [*COMMANDS, *HABITS])
    if word is None:
        return ""
    return HABITS.get(word) or f"Did you mean `civsync {word}`?"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="civsync %(version)s")
@common_options
def civsync() -> None:
    """Keep a folder of AI models in step with a manifest.

    civsync.yaml says what is wanted, civsync.lock says exactly which bytes that is, and
    `civsync sync` makes the disk hold those bytes and nothing stale.
    """


def main(args: Sequence[str] | None = None, *, looked: bool = False) -> ExitCode | int:
    """Run the command line and return its exit status.

    `looked` says that the short way (`civsync.cli.start`) saw that there may be work.
    """
    context = Context()
    context.looked = looked
    status = _run(context, args)
    unheard = context.output.unheard
    if isinstance(unheard, CivsyncError):
        context.output.error(unheard)
    # Changes that are told to nobody are no answer, either.
    answered = status not in {ExitCode.OK, ExitCode.PENDING}
    return status if unheard is None or answered else ExitCode.UNEXPECTED


def _run(context: Context, args: Sequence[str] | None) -> ExitCode | int:
    try:
        status = civsync.main(args=args, prog_name="civsync", standalone_mode=False, obj=context)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.exceptions.NoArgsIsHelpError as bare:
        # Asked for nothing in particular: the overview is the answer, not a fault.
        context.output.data(bare.format_message())
        return ExitCode.OK
    except (click.Abort, KeyboardInterrupt):
        # A sync that is under way ends its own way, and says what was kept.
        context.output.talk("interrupted")
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        return _fail(_usage(error), _output(context, args))
    except CivsyncError as error:
        return _fail(error, _output(context, args))
    except NobodyReadsError:
        return ExitCode.OK if context.command in SHOWING else ExitCode.UNEXPECTED
    except Exception as error:  # noqa: BLE001 - the last border: nothing may end in a traceback
        return _surprise(error, context.output)
    return status if isinstance(status, int) else ExitCode.OK


def _fail(error: CivsyncError, output: Output) -> ExitCode:
    if output.choice.json:
        output.document("civsync.error", {"error": error_document(error)}, in_stream=True)
    output.error(error)
    return error.exit


def _usage(error: click.ClickException) -> UserError:
    ctx: click.Context | None = getattr(error, "ctx", None)
    if ctx is not None and isinstance(error, click.BadParameter) and error.param is not None:
        error.param_hint = error.param_hint or variable_of(ctx, error.param) or None
    message = " ".join(error.format_message().split())
    hint = f"See `{ctx.command_path} --help`." if ctx is not None else ""
    return usage_error(message, hint=hint)


def _output(context: Context, args: Sequence[str] | None) -> Output:
    """Return the output for an error, which may have come before the flags were read."""
    words = sys.argv[1:] if args is None else args
    flag = "--json" in takewhile(lambda word: word != "--", words)
    if flag or os.environ.get("CIVSYNC_JSON", "").strip().lower() in YES:
        context.output.choice = context.output.choice._replace(json=True)
    return context.output


def _surprise(error: Exception, output: Output) -> ExitCode:
    if output.choice.verbose or os.environ.get("CIVSYNC_DEBUG"):
        import traceback

        traceback.print_exception(error)
    output.warn(
        f"unexpected failure: {type(error).__name__}; this is a fault of civsync."
        " Run again with --verbose for the details."
    )
    return ExitCode.UNEXPECTED
