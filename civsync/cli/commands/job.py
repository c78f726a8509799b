"""`civsync job list|pause|resume|cancel|prioritize|limit`: look at and steer running syncs."""

from collections.abc import Callable

import click

from civsync.cli.download_names import downloads_named
from civsync.cli.job_client import Job, Jobs, ask, find_jobs
from civsync.cli.job_text import rate_text, run_document, run_lines
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import count_text, show
from civsync.cli.project import find_project
from civsync.cli.roots import locate, roots_in_manifest
from civsync.core.codes import Code
from civsync.core.control import Cancel, Limit, Order, Pause, Prioritize, Resume
from civsync.core.errors import UserError
from civsync.core.jobs import Declined, Obeyed, RunningSync
from civsync.core.limits import MAX_PRIORITY
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.disk.faults import shown
from civsync.documents.sizes import parse_rate

ALL = "all"


def _rate(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """Read a rate. Raises UserError usage."""
    return parse_rate(value)


@click.group()
@common_options
def command() -> None:
    """Look at the syncs that are downloading now, and steer them.

    ENTRY is a key, a model's id, link or name, the path or name of a file, or `all`. With
    several syncs running, --root or --manifest says which one is meant.
    """


@command.command("list")
@common_options
@pass_context
def show_list(context: Context) -> None:
    """Show your running syncs and how far their downloads are."""
    jobs = find_jobs()
    wanted = _wanted_roots(context)
    runs = [job.run for job in jobs.answered if wanted is None or job.run.root in wanted]
    if context.output.choice.json:
        body = {"runs": [run_document(run) for run in runs], "silent": list(jobs.silent)}
        context.output.document("civsync.job-list", body)
        return
    for reason in jobs.silent:
        context.output.warn(show(reason))
    if not runs:
        context.output.talk(_nobody(jobs))
    for number, run in enumerate(runs):
        if number:
            context.output.data()
        for line in run_lines(run, context.output):
            context.output.data(line)


@command.command()
@click.argument("entry", default=ALL, metavar="[ENTRY|all]")
@common_options
@pass_context
def pause(context: Context, *, entry: str) -> None:
    """Let downloads rest; by default all.

    They rest until `job resume`, and the sync waits for them. What was received is kept,
    whatever becomes of the sync.
    """
    _obey(context, _Wish("pause", "paused", entry, lambda paths: Pause(paths=paths)))


@command.command()
@click.argument("entry", default=ALL, metavar="[ENTRY|all]")
@common_options
@pass_context
def resume(context: Context, *, entry: str) -> None:
    """Go on with what was paused; by default all."""
    _obey(context, _Wish("resume", "resumed", entry, lambda paths: Resume(paths=paths)))


@command.command()
@click.argument("entry", metavar="ENTRY|all")
@common_options
@pass_context
def cancel(context: Context, *, entry: str) -> None:
    """Give downloads up for this run.

    What was received of them is dropped. The next sync offers them again.
    """
    wish = _Wish("cancel", "cancelled", entry, lambda paths: Cancel(paths=paths))
    _obey(context, wish, offered_again=True)


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("entry")
@click.argument("priority", metavar="N", type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY))
@common_options
@pass_context
def prioritize(context: Context, *, entry: str, priority: int) -> None:
    """Let ENTRY start before what has a smaller priority.

    N is 0 for what has no `priority` in the manifest, and may be negative. It holds for this
    run, and stops nothing that is running.
    """

    def order(paths: frozenset[SafePath] | None) -> Order:
        return Prioritize(paths=paths or frozenset(), priority=priority)

    _obey(context, _Wish("prioritize", "given another priority", entry, order, by_path=True))


@command.command()
@click.argument("rate", metavar="RATE|none", callback=_rate)
@common_options
@pass_context
def limit(context: Context, *, rate: int | None) -> None:
    """Receive at most RATE bytes a second, over all files.

    RATE is such as 20M, 500K or 1.5MiB; `none` lifts the limit.
    """
    job = _choose(context, find_jobs())
    _give(job, Limit(rate=rate))
    if context.output.choice.json:
        _tell(context, job.run, "limit", [], 0, limit_rate=rate)
    else:
        now = "no limit any more" if rate is None else f"at most {rate_text(rate)} from now on"
        context.output.talk(f"{show(job.run.root)}: {now}")


@dataclass(frozen=True, slots=True)
class _Wish:
    """An order that is still to be made out of paths; None stands for all where it may."""

    name: str
    done: str
    entry: str
    order: Callable[[frozenset[SafePath] | None], Order]
    by_path: bool = False


def _obey(context: Context, wish: _Wish, *, offered_again: bool = False) -> None:
    """Find the sync and the downloads, give the order, tell what it changed."""
    job = _choose(context, find_jobs())
    every = wish.entry.casefold() == ALL
    meant = job.run.downloads if every else downloads_named(wish.entry, job.run)
    paths = frozenset(each.path for each in meant)
    changed = _give(job, wish.order(None if every and not wish.by_path else paths))
    if context.output.choice.json:
        _tell(context, job.run, wish.name, sorted(paths), changed, limit_rate=job.run.limit_rate)
    elif changed:
        what = f"{count_text(changed, 'download')} {wish.done}"
        again = f"; the next sync offers {'it' if changed == 1 else 'them'} again"
        context.output.talk(f"{show(job.run.root)}: {what}{again if offered_again else ''}")
    else:
        context.output.talk(f"{show(job.run.root)}: nothing there to {wish.name}")


def _give(job: Job, order: Order) -> int:
    """Give an order and return how many downloads it changed. Raises UserError no-job."""
    answer = ask(job.place, order)
    match answer:
        case Obeyed(changed=changed):
            return changed
        case Declined(reason=reason):
            raise UserError(Code.NO_JOB, f"the sync did not take the order: {reason}")
        case _:
            raise UserError(Code.NO_JOB, "the sync did not take the order")


def _tell(
    context: Context,
    run: RunningSync,
    order: str,
    paths: list[SafePath],
    changed: int,
    *,
    limit_rate: int | None,
) -> None:
    body = {
        "order": order,
        "root": run.root,
        "pid": run.pid,
        "paths": paths,
        "changed": changed,
        "limit_rate": limit_rate,
    }
    context.output.document("civsync.job-order", body)


def _choose(context: Context, jobs: Jobs) -> Job:
    """Return the one running sync that is meant. Raises UserError no-job, usage."""
    wanted = _wanted_roots(context)
    found = [job for job in jobs.answered if wanted is None or job.run.root in wanted]
    if not found:
        where = "" if wanted is None else f" at {', '.join(sorted(wanted))}"
        raise UserError(Code.NO_JOB, "; ".join([_nobody(jobs, where), *jobs.silent]))
    if len(found) > 1:
        roots = ", ".join(f"{show(job.run.root)} (process {job.run.pid})" for job in found)
        raise UserError(
            Code.USAGE,
            f"{len(found)} syncs are running",
            hint=f"Say with --root which one is meant: {roots}.",
        )
    return found[0]


def _nobody(jobs: Jobs, where: str = "") -> str:
    """Say that nobody is downloading; a sync can be spoken to only while it does.

    Nothing is claimed of who did not answer.
    """
    who = "no sync that answers" if jobs.silent else "no sync"
    return f"{who} is downloading{where} just now"


def _wanted_roots(context: Context) -> set[str] | None:
    """Return the real paths of the roots that flags or variables name; None without any.

    They are written as a running sync writes its own.
    """
    settings = context.settings
    if settings.root is None and settings.manifest is None:
        return None
    project = find_project(settings)
    located = locate(settings, project, roots_in_manifest(settings, project))
    return {shown(str(each.path.resolve())) for each in located}
