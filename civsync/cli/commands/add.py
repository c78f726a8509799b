"""`civsync add`: list models in the manifest, lock them, and download them."""

from collections.abc import Sequence

import click

from civsync.cli.editing import (
    Opened,
    edit_document,
    edited,
    open_documents,
    store,
    then_sync,
)
from civsync.cli.locking import Locking, bring_up_to_date, tell_changes
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import count_text, error_document, show
from civsync.cli.recording import Recording
from civsync.cli.roots import place_for_parts
from civsync.cli.wishes import Wish, Wording, wishes_of
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.request import Manifest
from civsync.decide.differences import changes_between
from civsync.documents.manifest import identity_of
from civsync.documents.manifest_edit import add_entries


@click.command()
@click.argument("items", nargs=-1, metavar="[LINK|AIR]...")
@click.option(
    "--model", "models", type=int, multiple=True, metavar="ID", help="A model's id (repeatable)."
)
@click.option(
    "--version",
    metavar="VERSION",
    help="latest, newest, all, a version's id, or its name.",
)
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="A group to put it in (repeatable)."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="TYPE|GLOB",
    help="A file to take, by type, or by a name with * or a dot (repeatable).",
)
@click.option("--directory", metavar="TEMPLATE", help="Where its files go, below the root.")
@click.option(
    "--allow-pickle", is_flag=True, help="Accept formats that can run code when they are loaded."
)
@click.option("--no-sync", is_flag=True, help="Write manifest and lock, and download nothing.")
@common_options
@pass_context
def command(
    context: Context,
    *,
    items: tuple[str, ...],
    models: tuple[int, ...],
    version: str | None,
    groups: tuple[str, ...],
    files: tuple[str, ...],
    directory: str | None,
    allow_pickle: bool,
    no_sync: bool,
) -> int:
    """Add models to civsync.yaml, given as links to Civitai's pages or as AIRs.

    They are locked, then downloaded as by `civsync sync`. If one cannot be locked, manifest
    and lock stay as they were. Comments and order of the manifest are kept.
    """
    opened = open_documents(context)
    wording = Wording(
        version=version,
        groups=groups,
        files=files,
        directory=directory,
        allow_pickle=allow_pickle,
    )
    wishes = wishes_of(items, models, wording, context.output)
    _refuse_known(wishes, opened.manifest)
    data = edited(
        opened, context.output, lambda text: add_entries(text, [wish.item for wish in wishes])
    )
    manifest = opened.reread(data)
    recording = Recording(
        root=lambda: place_for_parts(context.settings, opened.project, manifest),
        stream=not no_sync,
    )
    locking = bring_up_to_date(context, manifest, opened.lock, recording=recording)
    if locking.failures:
        _tell_failures(context, opened, wishes, locking)
        return locking.exit
    store(opened, data, locking.data if locking.changed else None)
    _tell(context, opened, wishes, locking, in_stream=not no_sync)
    return ExitCode.OK if no_sync else then_sync(groups)


def _refuse_known(wishes: Sequence[Wish], manifest: Manifest) -> None:
    known = {identity_of(entry): f"in {entry.place}" for entry in manifest.entries}
    for wish in wishes:
        identity = identity_of(wish.entry)
        if identity in known:
            raise UserError(
                Code.DUPLICATE_ENTRY,
                f"{wish.entry.key} is asked for already, {known[identity]}",
                subject=wish.name,
                hint="Edit that entry, or move it with `civsync lock -P`.",
            )
        known[identity] = f"by {wish.name}"


def _tell(
    context: Context,
    opened: Opened,
    wishes: Sequence[Wish],
    locking: Locking,
    *,
    in_stream: bool,
) -> None:
    output, project = context.output, opened.project
    if output.choice.json:
        body = edit_document(opened, "add", [wish.entry.key for wish in wishes], written=True)
        changes = changes_between(locking.previous or Lock(), locking.lock)
        body["changes"] = [change.document() for change in changes]
        output.document("civsync.edit", body, in_stream=in_stream)
        return
    tell_changes(output, locking)
    count = count_text(len(wishes), "entry")
    output.talk(f"Added {count} to {show(project.manifest.name)}")
    if locking.changed:
        output.talk(f"Wrote {show(project.lock.name)}")


def _tell_failures(
    context: Context, opened: Opened, wishes: Sequence[Wish], locking: Locking
) -> None:
    """Say what could not be locked: under its name if it is new, else with its place."""
    output = context.output
    names = {wish.entry.key: wish.name for wish in wishes}
    if output.choice.json:
        body = edit_document(opened, "add", [], written=False)
        body["errors"] = [
            {"entry": entry.key, **error_document(error)} for entry, error in locking.failures
        ]
        output.document("civsync.edit", body, in_stream=True)
    for entry, error in locking.failures:
        label = output.paint("error:", "red", "bold")
        where = show(names.get(entry.key, str(entry.place)))
        output.warn_line(f"{label} {where}: {show(error.message)} [{error.code}]")
        output.hint(error.hint, indent="  ")
    documents = f"{opened.project.manifest.name} and {opened.project.lock.name}"
    output.warn_line(f"\nnothing was added; {show(documents)} are as they were")
