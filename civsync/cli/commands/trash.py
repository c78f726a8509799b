"""`civsync trash list|restore|empty`: look at what left the tree, put it back, or delete it."""

import sys
import time
from collections.abc import Sequence

import click

from civsync.cli.documents import parse_lock
from civsync.cli.options import Context, common_options, pass_context, wait_option
from civsync.cli.output import count_text, error_document, show, size_text
from civsync.cli.project import Project, find_project
from civsync.cli.roots import locate_only
from civsync.cli.texts import read_bytes
from civsync.cli.trash_names import Placed, target_of, trashed_named
from civsync.cli.trash_text import trash_lines, trashed_document
from civsync.cli.turns import in_turn
from civsync.cli.wiring import Disk, open_disk
from civsync.core.codes import Code
from civsync.core.disk import Trashed
from civsync.core.errors import CivsyncError, UserError, exit_of
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.values import dataclass
from civsync.decide.plan import wanted_files
from civsync.documents.ages import parse_age
from civsync.engine.restoring import Restoration, restore


def _age(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read an age. Raises UserError usage."""
    return None if value is None else parse_age(value)


@click.group()
@common_options
def command() -> None:
    """Look at what was retired or replaced, put it back, or delete it for good.

    It waits in .civsync/trash below the root, under names that no program loads, for at least
    seven days; a later sync deletes it. A sync that wants a file again takes it from there.
    """


@command.command("list")
@common_options
@pass_context
def show_list(context: Context) -> None:
    """List what is in trash: when it came, its size, how long it is kept, and where it lay."""
    disk = _open(context, find_project(context.settings))
    trashed = disk.trash.entries()
    output = context.output
    if output.choice.json:
        files = [trashed_document(each) for each in trashed]
        output.document("civsync.trash-list", {"root": str(disk.root.path), "files": files})
        return
    for line in trash_lines(trashed, time.time(), output):
        output.data(line)
    if trashed:
        output.talk(f"{_sum(trashed)} in trash")
    else:
        output.talk("nothing in trash")


@command.command("restore")
@click.argument("names", nargs=-1, required=True, metavar="PATH|ID...")
@click.option(
    "--to", metavar="PATH", help="Where the one file shall go, below the root [where it lay]."
)
@wait_option
@common_options
@pass_context
def restore_files(context: Context, *, names: tuple[str, ...], to: str | None) -> ExitCode:
    """Put files back where they lay, or elsewhere; never over anything.

    A file that the lock wants just there is civsync's again, as one that was adopted. Any
    other is yours: sync leaves it alone.
    """
    if to is not None and len(names) > 1:
        raise UserError(
            Code.USAGE,
            f"--to is for one file, and {len(names)} are named",
            hint="Name them singly.",
        )
    project = find_project(context.settings)
    root = locate_only(context.settings, project)
    disk = open_disk(root.path, context.settings)
    text = read_bytes(project.lock)
    lock = Lock() if text is None else parse_lock(project, text).below(root.name)
    wants = wanted_files(lock)
    trashed = disk.trash.entries()
    found = {name: trashed_named(name, trashed, disk.root.path) for name in names}
    meant = {each.id: (name, each) for name, each in found.items()}
    placed = [
        Placed(name=name, trashed=each, path=target_of(each, to, disk.root.path))
        for name, each in meant.values()
    ]
    disk.root.establish()
    with in_turn(context, disk.root, "civsync trash restore"):
        wishes = [(each.trashed, each.path) for each in placed]
        restoration = restore(wishes, wants, disk.trash, disk.ledger)
    _tell_restored(context, disk, placed, restoration)
    return exit_of(error for _, error in restoration.failures)


@command.command()
@click.option(
    "--older", callback=_age, metavar="AGE", help="Only what is older than this: 30d, 12h, 2w."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; show what would go.")
@wait_option
@common_options
@pass_context
def empty(context: Context, *, older: int | None, yes: bool, dry_run: bool) -> ExitCode:
    """Delete what is in trash, for good.

    Shows it and asks before, and without a terminal wants --yes.
    """
    output = context.output
    disk = _open(context, find_project(context.settings))
    now = time.time()
    trashed = [
        each for each in disk.trash.entries() if older is None or now - each.seconds >= older
    ]
    if dry_run:
        freed = sum(each.frees for each in trashed)
        if output.choice.json:
            _tell_emptied(context, disk, Emptied(gone=trashed, freed=freed), dry=True)
            return ExitCode.OK
        for line in trash_lines(trashed, now, output):
            output.data(line)
        output.talk(f"{_sum(trashed)} to delete" if trashed else "nothing to delete")
        return ExitCode.OK
    if trashed and not yes and not _confirmed(context, trashed, now):
        output.talk("nothing was deleted")
        return ExitCode.OK
    emptied = Emptied()
    if trashed:
        disk.root.establish()
        with in_turn(context, disk.root, "civsync trash empty"):
            emptied = _delete(disk, trashed)
    _tell_emptied(context, disk, emptied, dry=False)
    return exit_of(error for _, error in emptied.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """What was deleted, the bytes that this gave back, and what could not be deleted."""

    gone: Sequence[Trashed] = ()
    freed: int = 0
    failures: Sequence[tuple[Trashed, CivsyncError]] = ()


def _delete(disk: Disk, trashed: Sequence[Trashed]) -> Emptied:
    """Delete what was shown; what came meanwhile was not, and what left meanwhile is in use."""
    there = {each.id for each in disk.trash.entries()}
    gone: list[Trashed] = []
    freed, failures = 0, []
    for each in trashed:
        if each.id not in there:
            continue
        try:
            freed += disk.trash.discard(each)
            gone.append(each)
        except CivsyncError as error:
            failures.append((each, error))
    return Emptied(gone=gone, freed=freed, failures=failures)


def _confirmed(context: Context, trashed: Sequence[Trashed], now: float) -> bool:
    """Show what would go and ask. Raises UserError usage where nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(
            Code.USAGE,
            f"there is no terminal to ask at whether to delete {count_text(len(trashed), 'file')}",
            hint="Say --yes, or look first with --dry-run.",
        )
    for line in trash_lines(trashed, now, context.output, to_stdout=False):
        context.output.warn_line(line)
    question = f"Delete {_sum(trashed)}, for good?"
    return click.confirm(question, default=False, err=True)


def _tell_emptied(context: Context, disk: Disk, emptied: Emptied, *, dry: bool) -> None:
    output, trashed = context.output, emptied.gone
    if output.choice.json:
        body = {
            "root": str(disk.root.path),
            "dry_run": dry,
            "files": [trashed_document(each) for each in trashed],
            "freed": emptied.freed,
            "failed": [
                {"id": each.id, "error": error_document(error)} for each, error in emptied.failures
            ],
        }
        output.document("civsync.trash-empty", body)
        return
    what = f"deleted {_sum(trashed)}" if trashed else "nothing to delete"
    shared = sum(each.size for each in trashed) - emptied.freed
    output.talk(f"{what}; {size_text(shared)} of it have other names, and stay" if shared else what)
    for _, error in emptied.failures:
        output.error(error)


def _tell_restored(
    context: Context, disk: Disk, placed: Sequence[Placed], restoration: Restoration
) -> None:
    output = context.output
    names = {each.trashed.id: each.name for each in placed}
    if output.choice.json:
        body = {
            "root": str(disk.root.path),
            "restored": [
                {
                    "id": each.trashed.id,
                    "path": each.path,
                    "size": each.trashed.size,
                    "sha256": each.sha256,
                    "owned": each.owned,
                }
                for each in restoration.done
            ],
            "failed": [
                {"id": each.id, "name": names[each.id], "error": error_document(error)}
                for each, error in restoration.failures
            ],
        }
        output.document("civsync.trash-restore", body)
        return
    for restored in restoration.done:
        whose = (
            "the lock wants it, and it is civsync's again"
            if restored.owned
            else "the lock does not want it there, so it is yours, and sync leaves it alone"
        )
        output.talk(f"restored {show(restored.path)}: {whose}")
    for _, error in restoration.failures:
        output.error(error)


def _open(context: Context, project: Project) -> Disk:
    """Open the root. The lock is not needed for that, and the manifest only where it names it."""
    return open_disk(locate_only(context.settings, project).path, context.settings)


def _sum(trashed: Sequence[Trashed]) -> str:
    size = size_text(sum(each.size for each in trashed))
    return f"{count_text(len(trashed), 'file')}, {size}"
