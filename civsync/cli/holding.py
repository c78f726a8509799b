"""Hold an entry of the manifest, or let it go: one key of it, and nothing else."""

from civsync.cli.editing import edit_document, edited, open_documents, spot_of, store
from civsync.cli.entry_names import entry_named
from civsync.cli.found_lock import find_lock
from civsync.cli.options import Context
from civsync.cli.output import show
from civsync.documents.manifest_edit import set_key, unset_key

_KEY = "hold"


def set_hold(context: Context, command: str, name: str, reason: str | bool | None) -> None:
    """Write `reason` (True without one) into an entry, or with None take it out.

    The lock is not touched: no request says whether its entry is held. Raises CivsyncError.
    """
    opened = open_documents(context)
    lock = find_lock(opened.project, opened.lock_data).lock
    entry = entry_named(name, opened.manifest, lock)
    spot = spot_of(opened, entry)
    changes = reason is not None or entry.hold is not None
    data = opened.data
    if reason is not None:
        data = edited(opened, context.output, lambda text: set_key(text, spot, _KEY, reason))
    elif changes:
        data = edited(opened, context.output, lambda text: unset_key(text, spot, _KEY))
    written = data != opened.data
    if written:
        opened.reread(data)
        store(opened, data)
    output, key = context.output, show(entry.key)
    if output.choice.json:
        body = edit_document(opened, command, [entry.key], written=written)
        output.document("civsync.edit", body)
    elif reason is None:
        output.talk(f"{key} is {'no longer' if written else 'not'} held")
    else:
        because = f": {show(reason)}" if isinstance(reason, str) else ""
        output.talk(f"{key} is {'' if written else 'already '}held{because}")
