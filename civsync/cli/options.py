"""Flags that every command takes, before or after the command's name."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from civsync.cli.output import Output, OutputChoice
from civsync.cli.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


class Context:
    """What the flags seen so far said; later flags win."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.output = Output(OutputChoice())

    def take(self, values: dict[str, Any]) -> None:
        """Work in the flags of one level (the group's, then the command's)."""
        old, choice = self.settings, self.settings.output
        choice = OutputChoice(
            json=bool(values["json"]) or choice.json,
            quiet=bool(values["quiet"]) or choice.quiet,
            verbose=bool(values["verbose"]) or choice.verbose,
            progress=not values["no_progress"] and choice.progress,
            color=values["color"] or choice.color,
        )
        self.settings = Settings(
            manifest=values["manifest"] or old.manifest,
            lock=values["lock_path"] or old.lock,
            root=values["root"] or old.root,
            api_url=values["api_url"] or old.api_url,
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
        context.take(own)
        return ctx.invoke(function, *args, **kwargs)

    decorated: Any = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: F = decorated
    return result


def _env(name: str) -> str | None:
    return f"CIVSYNC_{name}"


_NAMES = (
    "manifest",
    "lock_path",
    "root",
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
    click.option("--root", type=_PATH, envvar=_env("ROOT"), help="The directory to keep in step."),
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
