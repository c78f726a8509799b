"""`civsync adopt`: take over files that are there already."""

from collections.abc import Sequence
from typing import assert_never

import click

from civsync.cli.goal import glance_at_lock, goal_of
from civsync.cli.named_files import find_named
from civsync.cli.options import Context, common_options, no_fsync_option, pass_context
from civsync.cli.output import Output, count_text, error_document, show, size_text
from civsync.cli.progress import choose_display
from civsync.cli.wiring import Disk, note_known_files, open_disk
from civsync.core.adoption import Bring, Fate, Leave, Ours, Take
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError, exit_of
from civsync.core.limits import DEFAULT_JOBS, MAX_JOBS
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.decide.adopt import Search
from civsync.decide.plan import wanted_files
from civsync.disk.gathering import gather
from civsync.disk.lockfile import hold_root
from civsync.engine.adopting import Appraisal, appraise, take_over


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--all", "everything", is_flag=True, help="Look at every file below the root.")
@click.option("--move", is_flag=True, help="Move files to where the lock wants them.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would become of them.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    default=DEFAULT_JOBS,
    show_default=True,
    envvar="CIVSYNC_JOBS",
    help="Files to read at the same time.",
)
@no_fsync_option
@common_options
@pass_context
def command(
    context: Context,
    *,
    paths: tuple[str, ...],
    everything: bool,
    move: bool,
    dry_run: bool,
    jobs: int,
) -> int:
    """Take over files below the root that hold what the lock wants.

    Each PATH is a file, or a folder for all that lies in it. A file with the locked content
    at its locked path becomes civsync's own. One under another name is moved into place
    with --move, and only reported without. Everything else is left alone. Needs no network.
    """
    if everything == bool(paths):
        raise UserError(
            Code.USAGE,
            "adopt takes either files and folders, or --all",
            hint="Run `civsync adopt --all --dry-run` to see what there is.",
        )
    goal = goal_of(glance_at_lock(context))
    disk = open_disk(goal.root, context.settings)
    if not disk.root.path.is_dir():
        raise UserError(
            Code.USAGE,
            "there is no such folder, so there is nothing to take over",
            subject=show(str(disk.root.path)),
            hint="Run `civsync sync`: it makes the root and fills it.",
        )
    search, unsafe = _search(disk, goal.lock, paths)

    def look() -> Appraisal:
        with choose_display(context.output) as display:
            return appraise(
                search, goal.lock, disk.store, disk.ledger, display, jobs=jobs, move=move
            )

    if dry_run:
        appraisal = look()
    else:
        disk.root.establish()
        with hold_root(disk.root, command="civsync adopt"):
            appraisal = take_over(look(), disk.store, disk.ledger)
            # So that a sync need not download what lies under another name.
            note_known_files(disk, appraisal.told)
    fates = [*appraisal.fates, *unsafe]
    _tell(context.output, disk, fates, dry_run=dry_run)
    return exit_of(fate.error for fate in fates if isinstance(fate, Leave))


def _search(disk: Disk, lock: Lock, words: Sequence[str]) -> tuple[Search, list[Leave]]:
    """Return what to look at, and what has a locked file's size and an impossible name.

    Without `words` that is everything.
    """
    wants = wanted_files(lock)
    beneath = disk.root.beneath
    named: set[SafePath] = set()
    folders = {""}
    if words:
        named, folders = find_named(words, beneath)
    if not folders:
        return Search(paths=named, named=named), []
    sizes = {want.file.size for want in wants.values()}
    gathered = gather(beneath, lambda _: True)
    found = {path for path, size in gathered.sizes.items() if size in sizes}
    unsafe = [
        each.path
        for each in gathered.passed
        if each.code == "unsafe-name"
        and _lies_in(each.path, folders)
        and (status := beneath.look(each.path)) is not None
        and status.st_size in sizes
    ]
    within = {path for path in {*found, *wants} if _lies_in(path, folders)}
    return Search(paths={*within, *named}, named=named), [_unsafe(path) for path in unsafe]


def _lies_in(path: str, folders: set[str]) -> bool:
    return any(not folder or path.startswith(f"{folder}/") for folder in folders)


def _unsafe(path: str) -> Leave:
    error = SafetyError(
        Code.UNSAFE_PATH,
        "it has the size of a locked file, and a name that civsync gives no file",
        subject=path,
        hint="Rename it to something that every system can have, then run adopt again.",
    )
    return Leave(path=path, error=error)


def _tell(output: Output, disk: Disk, fates: Sequence[Fate], *, dry_run: bool) -> None:
    adopted = [fate for fate in fates if isinstance(fate, Take | Bring)]
    left = [fate for fate in fates if isinstance(fate, Leave)]
    ours = sum(isinstance(fate, Ours) for fate in fates)
    if output.choice.json:
        output.document(
            "civsync.adopt",
            {
                "root": show(str(disk.root.path)),
                "dry_run": dry_run,
                "adopted": [_adopted_document(fate) for fate in adopted],
                "owned": ours,
                "left": [{"path": fate.path, "error": error_document(fate.error)} for fate in left],
            },
        )
        return
    for fate in fates:
        _tell_one(output, fate)
    verb = "to adopt" if dry_run else "adopted"
    size = size_text(sum(fate.want.file.size for fate in adopted))
    words = [f"{count_text(len(adopted), 'file')} {verb} ({size})" if adopted else f"0 {verb}"]
    if left:
        words.append(f"{len(left):,} left alone")
    if ours:
        words.append(f"{ours:,} civsync's own already")
    output.talk(", ".join(words))


def _adopted_document(fate: Take | Bring) -> dict[str, object]:
    source = fate.source if isinstance(fate, Bring) else None
    return {"path": fate.want.path, "size": fate.want.file.size, "from": source}


def _tell_one(output: Output, fate: Fate) -> None:
    match fate:
        case Take(want=want):
            sign = output.paint("=", "green", to_stdout=True)
            output.data(f"  {sign} {show(want.path)}  {size_text(want.file.size)}")
        case Bring(want=want, source=source):
            sign = output.paint(">", "blue", to_stdout=True)
            output.data(f"  {sign} {show(source)} → {show(want.path)}")
        case Leave(path=path, error=error):
            sign = output.paint("!", "red", to_stdout=True)
            output.data(f"  {sign} {show(path)}  {show(error.message)} [{error.code}]")
            output.hint(error.hint, indent="    ")
        case Ours():
            pass
        case _:
            assert_never(fate)
