"""Flags that every command takes, before or after the command's name."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from civsync.cli.output import Output, OutputChoice
from civsync.cli.settings import Settings
from civsync.core.errors import UserError
from civsync.core.limits import MAX_WAIT_S

if TYPE_CHECKING:
    from civsync.core.control import Limit

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


class _Paths(click.types.StringParamType):
    """A text with paths; a variable may hold several, parted as in PATH."""

    envvar_list_splitter = os.pathsep


class _Root(click.Path):
    """A directory, or the name of one of several; a variable holds one, whatever is in it."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the one value of a variable."""
        return [rv]


class Context:
    """What the flags seen so far said; later flags win."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.output = Output(OutputChoice())
        self.command = ""
        self.wait_s = 0
        """How long to wait for another civsync that holds the root."""
        self.looked = False
        """Whether it was seen before the command ran that there may be work for it."""
        self.account: str | None = None
        """Whose the API key is, once Civitai said so in this run."""
        self.limit: Limit | None = None
        """The speed as it was when the downloads of a root ended; it holds for the next root."""
        self.before_exit: list[Callable[[], None]] = []
        """What to put right before the process stops, or ends without unwinding."""
        self.after_stop: list[Callable[[], None]] = []
        """What to do again when a stopped process goes on in the foreground."""

    def take(self, values: dict[str, Any]) -> None:
        """Work in the flags of one level (the group's, then the command's)."""
        old, choice = self.settings, self.settings.output
        said = values["quiet"] or values["verbose"]
        choice = OutputChoice(
            json=bool(values["json"]) or choice.json,
            quiet=bool(values["quiet"]) if said else choice.quiet,
            verbose=bool(values["verbose"]) if said else choice.verbose,
            progress=not values["no_progress"] and choice.progress,
            color=values["color"] or choice.color,
        )
        self.settings = Settings(
            manifest=values["manifest"] or old.manifest,
            lock=values["lock_path"] or old.lock,
            roots=values["root"] or old.roots,
            api_url=values["api_url"] or old.api_url,
            follow_links=values["follow_links"] or old.follow_links,
            durable=old.durable,
            output=choice,
        )
        self.output.choice = choice


def common_options(function: F) -> F:
    """Add the flags that are the same everywhere; the command gets none of them itself."""

    @wraps(function)
    @click.pass_context
    def command(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - wraps any command
        context: Context = ctx.obj
        own = {name: kwargs.pop(name) for name in _NAMES}
        volume = in_force(ctx, "quiet", "verbose")
        own |= {name: name == volume for name in ("quiet", "verbose")}
        if ctx.parent is not None:
            # The outermost level has read the variables; here they would beat its flags.
            own = {name: value if _by_flag(ctx, name) else None for name, value in own.items()}
        context.take(own)
        return ctx.invoke(function, *args, **kwargs)

    decorated: Any = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: F = decorated
    return result


def wait_option(function: F) -> F:
    """Add the flag that says how long to wait for a root; the command finds it in its context."""
    option = click.option(
        "--wait",
        type=click.IntRange(0, MAX_WAIT_S),
        default=0,
        metavar="S",
        envvar=_env("WAIT"),
        expose_value=False,
        callback=_take_wait,
        help="Wait up to so many seconds for another civsync that holds the root [0].",
    )
    return option(function)


def _take_wait(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    context = ctx.find_object(Context)
    if context is not None:
        context.wait_s = value


def no_fsync_option(function: F) -> F:
    """Add the flag that leaves out all flushes; the command finds it in its settings.

    It loosens a guard, so no variable stands for it.
    """
    option = click.option(
        "--no-fsync",
        is_flag=True,
        expose_value=False,
        callback=_take_no_fsync,
        help="Never flush to disk: for machines that are thrown away, never for your own.",
    )
    return option(function)


def _take_no_fsync(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    context = ctx.find_object(Context)
    if context is not None and value:
        context.settings = context.settings._replace(durable=False)


def usage_error(message: str, *, hint: str = "") -> UserError:
    """Return the error for a command line that is wrong."""
    from civsync.core.codes import Code

    return UserError(Code.USAGE, message, hint=hint)


def in_force(ctx: click.Context, *names: str) -> str | None:
    """Return which one of some flags that exclude each other holds; None where none was given.

    Flags win over variables. Raises UserError usage for two flags, or two variables.
    """
    given = [name for name in names if ctx.params[name]]
    given = [name for name in given if _by_flag(ctx, name)] or given
    if len(given) > 1:
        spelled = {param.name: param for param in ctx.command.params}
        first, second = (_spell(ctx, spelled[name]) for name in given[:2])
        raise usage_error(
            f"{first} and {second} exclude each other",
            hint=f"See `{ctx.command_path} --help`.",
        )
    return given[0] if given else None


def alone(ctx: click.Context, name: str, others: Sequence[str]) -> None:
    """Raise UserError usage if one of the `others` was given as a flag beside `name`."""
    given = next((other for other in others if _by_flag(ctx, other)), None)
    if given is not None:
        spelled = {param.name: param for param in ctx.command.params}
        raise usage_error(
            f"{_spell(ctx, spelled[name])} and {_spell(ctx, spelled[given])} exclude each other",
            hint=f"See `{ctx.command_path} --help`.",
        )


def variable_of(ctx: click.Context, param: click.Parameter) -> str:
    """Return the name of the variable that a value came from, or "" if it came from a flag."""
    source = ctx.get_parameter_source(param.name or "")
    return str(param.envvar) if source is ParameterSource.ENVIRONMENT else ""


def _spell(ctx: click.Context, param: click.Parameter) -> str:
    return variable_of(ctx, param) or param.opts[-1]


def _by_flag(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _env(name: str) -> str | None:
    return f"CIVSYNC_{name}"


_NAMES = (
    "manifest",
    "lock_path",
    "root",
    "follow_links",
    "api_url",
    "json",
    "quiet",
    "verbose",
    "no_progress",
    "color",
)
_OPTIONS = (
    click.option(
        "--manifest", type=_PATH, envvar=_env("MANIFEST"), help="The manifest [civsync.yaml]."
    ),
    click.option(
        "--lock", "lock_path", type=_PATH, envvar=_env("LOCK"), help="The lock [civsync.lock]."
    ),
    click.option(
        "--root",
        type=_Root(path_type=str),
        multiple=True,
        metavar="PATH|NAME[=PATH]",
        envvar=_env("ROOT"),
        help="The directory to keep in step; of several, which (repeatable), and where it is.",
    ),
    click.option(
        "--follow-links",
        type=_Paths(),
        multiple=True,
        metavar="DIR[=TARGET]",
        envvar=_env("FOLLOW_LINKS"),
        help="This directory below the root is a link to TARGET, or a mounted disk (repeatable).",
    ),
    click.option("--api-url", envvar=_env("API_URL"), help="The API origin [https://civitai.com]."),
    click.option("--json", is_flag=True, envvar=_env("JSON"), help="Print JSON on stdout."),
    click.option("-q", "--quiet", is_flag=True, envvar=_env("QUIET"), help="Say only errors."),
    click.option("-v", "--verbose", is_flag=True, envvar=_env("VERBOSE"), help="Say more."),
    click.option(
        "--no-progress", is_flag=True, envvar=_env("NO_PROGRESS"), help="No live progress display."
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        envvar=_env("COLOR"),
        help="Color the output [auto; NO_COLOR is obeyed].",
    ),
)


pass_context = click.make_pass_decorator(Context)
