"""`civsync remove`: take entries out of the manifest and the lock, and retire their files."""

import click

from civsync.cli.editing import (
    Opened,
    edit_document,
    edited,
    open_documents,
    spot_of,
    store,
    then_sync,
)
from civsync.cli.entry_names import entry_named
from civsync.cli.locking import Locking, bring_up_to_date, find_stale, tell_changes
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import count_text, show
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.request import Manifest
from civsync.decide.differences import changes_between
from civsync.decide.stale import needs_network
from civsync.documents.manifest_edit import Spot, remove_entry


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ENTRY...")
@click.option("--no-sync", is_flag=True, help="Leave the files where they are, for now.")
@common_options
@pass_context
def command(context: Context, *, names: tuple[str, ...], no_sync: bool) -> int:
    """Remove entries, named by key, model id, link or the model's name.

    What nothing else asks for is then retired as by `civsync sync`. Comments that can only
    be meant for an entry go with it.
    """
    opened = open_documents(context)
    lock = opened.lock
    entries = {
        entry.key: entry for entry in (entry_named(name, opened.manifest, lock) for name in names)
    }
    spots = sorted(
        (spot_of(opened, entry) for entry in entries.values()),
        key=lambda spot: (spot.section, spot.index),
        reverse=True,
    )
    data = edited(opened, context.output, lambda text: _without(text, spots))
    locking = _locked_again(context, opened.reread(data), lock)
    store(opened, data, locking.data if locking and locking.changed else None)
    _tell(context, opened, list(entries), locking, in_stream=not no_sync)
    return ExitCode.OK if no_sync else then_sync()


def _without(text: str, spots: list[Spot]) -> str:
    """Take out the last first, so that the indexes of the others stay true."""
    for spot in spots:
        text = remove_entry(text, spot)
    return text


def _locked_again(context: Context, manifest: Manifest, lock: Lock | None) -> Locking | None:
    """Return the lock without what went; None where that is left to the next sync.

    That is so where more differs than what was removed, because it would need the network.
    """
    if lock is None or needs_network(find_stale(manifest, lock)):
        return None
    return bring_up_to_date(context, manifest, lock, offline=True)


def _tell(
    context: Context, opened: Opened, keys: list[str], locking: Locking | None, *, in_stream: bool
) -> None:
    output, project = context.output, opened.project
    if output.choice.json:
        body = edit_document(opened, "remove", keys, written=True)
        if locking is not None:
            changes = changes_between(locking.previous or Lock(), locking.lock)
            body["changes"] = [change.document() for change in changes]
        output.document("civsync.edit", body, in_stream=in_stream)
        return
    if locking is not None:
        tell_changes(output, locking)
    output.talk(f"Removed {count_text(len(keys), 'entry')} from {show(project.manifest.name)}")
    if locking is not None and locking.changed:
        output.talk(f"Wrote {show(project.lock.name)}")
