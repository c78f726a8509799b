"""`civsync lock`: resolve the manifest into the lock."""

from dataclasses import asdict

import click

from civsync.cli.documents import load_manifest, lock_missing
from civsync.cli.entry_names import entries_named
from civsync.cli.found_lock import find_lock, tell_clashes
from civsync.cli.lock_text import change_lines, dropped_roots_text
from civsync.cli.locking import (
    current_lock,
    explain_stale,
    find_stale,
    mend,
    stale_error,
    tell_failures,
    tell_to_record,
    write_if_changed,
)
from civsync.cli.options import Context, common_options, pass_context, wait_option
from civsync.cli.output import count_text, show, size_text
from civsync.cli.project import Project, find_project
from civsync.cli.recording import Recording
from civsync.cli.roots import place_for_parts
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.request import Manifest
from civsync.decide.differences import changes_between


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 3 if the lock is stale.")
@click.option("--dry-run", is_flag=True, help="Resolve and show, but write nothing.")
@click.option("-U", "--upgrade", is_flag=True, help="Move every entry to what is current now.")
@click.option(
    "-P",
    "--upgrade-entry",
    "chosen",
    multiple=True,
    metavar="ENTRY",
    help="Move this entry: a key, a model id, a link or the model's name (repeatable).",
)
@wait_option
@common_options
@pass_context
def command(
    context: Context, *, check: bool, dry_run: bool, upgrade: bool, chosen: tuple[str, ...]
) -> ExitCode:
    """Resolve civsync.yaml into civsync.lock.

    Entries that are locked already stay as they are, unless the manifest changed them or an
    upgrade is asked for.
    """
    project = find_project(context.settings)
    manifest = load_manifest(project)
    if check and (upgrade or chosen or dry_run):
        raise UserError(
            Code.USAGE,
            "--check changes nothing and asks nobody, so it excludes the other flags",
            hint="See `civsync lock --help`.",
        )
    if check:
        return _check(context, project, manifest)
    found = find_lock(project, read_bytes(project.lock), canonical=True)
    wanted = {entry.key for name in chosen for entry in entries_named(name, manifest, found.lock)}
    _tell_held(context, manifest, wanted)
    recording = Recording(root=lambda: place_for_parts(context.settings, project, manifest))
    tell_clashes(context.output, found, manifest)
    locking = mend(
        context,
        manifest,
        found,
        upgrade=(lambda entry: upgrade or entry.key in wanted) if upgrade or wanted else None,
        recording=None if dry_run else recording,
    )
    output = context.output
    if locking.failures:
        tell_failures(output, project, locking)
        return locking.exit
    written = not dry_run and write_if_changed(project, locking)
    changes = changes_between(locking.previous or Lock(), locking.lock)
    files = locking.lock.by_path().values()
    if output.choice.json:
        output.document(
            "civsync.lock-run",
            {
                "written": written,
                "changed": locking.changed,
                "entries": len(locking.lock.entries),
                "files": len(files),
                "bytes": sum(file.size for file in files),
                "clashes": sorted(found.clashes_in(manifest)),
                "to_record": [file.path for file in locking.to_record],
                "notes": [asdict(note) for note in locking.notes],
                "changes": [change.document() for change in changes],
            },
        )
        return ExitCode.OK
    for line in change_lines(changes, output):
        output.talk(line)
    if dropped := dropped_roots_text(locking.previous, locking.lock):
        output.talk(dropped)
    tell_to_record(output, locking)
    total = size_text(sum(file.size for file in files))
    entries = count_text(len(locking.lock.entries), "entry")
    summary = f"{entries}, {count_text(len(files), 'file')}, {total}"
    if written:
        output.talk(f"Wrote {show(project.lock.name)}: {summary}")
    elif locking.changed:
        output.talk(f"Would write {show(project.lock.name)}: {summary}")
    else:
        output.talk(f"{show(project.lock.name)} is up to date: {summary}")
    if not manifest.entries:
        output.talk(f"{show(project.manifest.name)} lists no models yet.")
    return ExitCode.OK


def _tell_held(context: Context, manifest: Manifest, wanted: set[str]) -> None:
    """Say of entries that were named to be moved that their hold is in the way."""
    for entry in manifest.entries:
        if entry.hold is not None and entry.key in wanted:
            key = show(entry.key)
            reason = f": {show(entry.hold)}" if entry.hold else ""
            context.output.warn(
                f"{show(str(entry.place))}: {key} stays, because it is held{reason}"
            )
            context.output.hint(f"`civsync unhold {key}` lets it move.", indent="  ")


def _check(context: Context, project: Project, manifest: Manifest) -> ExitCode:
    lock = current_lock(project)
    if lock is None:
        raise lock_missing(project)
    stales = find_stale(manifest, lock)
    if stales:
        raise stale_error(project, explain_stale(stales))
    if context.output.choice.json:
        context.output.document("civsync.lock-run", {"written": False, "changed": False})
    else:
        context.output.talk(f"{show(project.lock.name)} is up to date")
    return ExitCode.OK
