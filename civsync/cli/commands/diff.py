"""`civsync diff`: what differs between two locks, for a reviewer."""

from pathlib import Path

import click

from civsync.cli.documents import lock_missing
from civsync.cli.git import lock_at_revision
from civsync.cli.lock_markdown import markdown_lines
from civsync.cli.lock_text import change_lines, change_sum, diff_document
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.project import Project, find_project
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.values import dataclass
from civsync.decide.differences import changes_between
from civsync.documents.lock import read_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two locks, and what it is called."""

    name: str
    lock: Lock


@click.command()
@click.argument("locks", nargs=-1, metavar="[A [B]]", type=click.Path(path_type=Path))
@click.option(
    "--git", "revisions", metavar="REV", help="Compare with this revision of git, or REV..REV."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "json"]),
    help="What is printed [text]; Markdown is for a pull request.",
)
@click.option("--exit-code", is_flag=True, help="Exit 2 if the locks differ.")
@common_options
@pass_context
def command(
    context: Context,
    *,
    locks: tuple[Path, ...],
    revisions: str | None,
    style: str | None,
    exit_code: bool,
) -> ExitCode:
    """Show what differs between two locks: A and B, or A and civsync.lock.

    Without A it is the lock in git's HEAD that civsync.lock is compared with.
    """
    if len(locks) > 2 or (locks and revisions is not None):
        raise UserError(
            Code.USAGE,
            "at most two locks can be compared, or one with a revision of git",
            hint="See `civsync diff --help`.",
        )
    project = find_project(context.settings)
    old, new = _of_git(project, revisions or "HEAD") if not locks else _of_disk(project, locks)
    changes = changes_between(old.lock, new.lock)
    output = context.output
    if output.choice.json or style == "json":
        body = {"old": old.name, "new": new.name, **diff_document(old.lock, new.lock)}
        output.document("civsync.diff", body)
    elif style == "markdown":
        for line in markdown_lines(old.lock, new.lock, changes):
            output.data(line)
    else:
        for line in change_lines(changes, output, to_stdout=True):
            output.data(line)
        output.data(change_sum(old.lock, new.lock, changes))
    return ExitCode.PENDING if exit_code and changes else ExitCode.OK


def _of_git(project: Project, revisions: str) -> tuple[_Side, _Side]:
    if "..." in revisions:
        raise UserError(
            Code.USAGE,
            f"{revisions!r} means a common ancestor, which is not looked for",
            hint="Write REV..REV; `git merge-base` names the ancestor.",
        )
    first, dots, second = revisions.partition("..")
    old = _at(project, first or "HEAD")
    return old, _at(project, second or "HEAD") if dots else _on_disk(project)


def _of_disk(project: Project, locks: tuple[Path, ...]) -> tuple[_Side, _Side]:
    old, *rest = [_named(path) for path in locks]
    return old, rest[0] if rest else _on_disk(project)


def _at(project: Project, revision: str) -> _Side:
    name = f"{revision}:{project.lock.name}"
    data = lock_at_revision(project.lock, revision)
    return _Side(name=name, lock=read_lock(data, name=name))


def _on_disk(project: Project) -> _Side:
    data = read_bytes(project.lock)
    if data is None:
        raise lock_missing(project)
    return _Side(name=project.lock.name, lock=read_lock(data, name=project.lock.name))


def _named(path: Path) -> _Side:
    data = read_bytes(path)
    if data is None:
        raise UserError(
            Code.LOCK_MISSING, "there is no such lock", subject=str(path), hint="Check the path."
        )
    return _Side(name=str(path), lock=read_lock(data, name=str(path)))
