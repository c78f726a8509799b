"""`civsync outdated`: what is locked, what an upgrade would give, and what is newest."""

from datetime import UTC, datetime

import click

from civsync.cli.documents import load_lock, load_manifest
from civsync.cli.entry_names import entries_named
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.project import find_project
from civsync.core.errors import exit_of
from civsync.core.exits import ExitCode


@click.command()
@click.argument("names", metavar="[ENTRY]...", nargs=-1)
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit 2 if `civsync lock --upgrade` would change what the lock says of these entries:"
    " other files, or other facts about the same ones. A newer version that is held, pinned or"
    " must not be locked yet does not count.",
)
@common_options
@pass_context
def command(context: Context, *, names: tuple[str, ...], exit_code: bool) -> int:
    """Compare the lock with what Civitai shows today, and change nothing.

    For each ENTRY (by default all) that is not current: the version that is locked, the one
    that an upgrade would lock, the newest one, and why they differ. With --verbose the
    current ones are shown, too. If an upgrade would fail, the exit status is that of its
    failure.
    """
    project = find_project(context.settings)
    manifest = load_manifest(project)
    lock = load_lock(project)
    chosen = {each.key for name in names for each in entries_named(name, manifest, lock)}
    entries = [each for each in manifest.entries if not names or each.key in chosen]

    # Not before: a slip in a name must not wait for httpx.
    from civsync.cli.asking import ask
    from civsync.cli.standing_text import standing_document, tell_standings
    from civsync.decide.outdated import standings

    found = ask(context, standings(entries, lock, now=datetime.now(UTC)), entries=entries)
    pending = sum(bool(each.changes) for each in found)
    if context.output.choice.json:
        context.output.document(
            "civsync.outdated",
            {
                "pending": pending,
                "current": sum(each.is_current for each in found),
                "entries": [standing_document(each) for each in found],
            },
        )
    else:
        tell_standings(found, context.output)
    failures = [each.failure for each in found if each.failure is not None]
    if failures:
        return exit_of(failures)
    return ExitCode.PENDING if pending and exit_code else ExitCode.OK
