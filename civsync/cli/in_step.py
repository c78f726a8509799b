"""Find out that there is nothing to do before anything is loaded that could do it.

A run with nothing to do is the most common of all (at every start of a machine, in every
CI job), so it gets a way of its own: digests or stamps of the documents, a stat of every file.
What is imported here at the top is all that the plainest of such runs loads.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from civsync.cli.output import Output, count_text
from civsync.cli.settings import Settings, find_documents, find_root, state_dir, user_config
from civsync.cli.texts import blake3_at, digests_of_includes, is_text_at
from civsync.core.exits import ExitCode
from civsync.core.groups import GroupWishes, Unselected
from civsync.disk.root import open_root
from civsync.disk.settled import is_in_place
from civsync.disk.state import read_memo, recall_settled
from civsync.documents.settled import Settled

if TYPE_CHECKING:
    from civsync.core.disk import Declared


def find_in_step(
    settings: Settings, groups: GroupWishes, *, frozen: bool = False
) -> Settled | None:
    """Return what was noted, if manifest, lock, groups and root agree as they did before.

    None means that somebody has to look closely, as always at several roots. With `frozen`
    the lock may be another one than the manifest led to. Raises SafetyError as `open_root`;
    UserError.
    """
    manifest, lock = find_documents(settings)
    folder = os.path.dirname(manifest)
    memo = read_memo(state_dir(), manifest)
    if memo is None or memo.named_roots or memo.manifest_blake3 != blake3_at(manifest):
        return None
    if not frozen and digests_of_includes(folder, memo.includes) != memo.includes:
        return None
    place = find_root(settings, folder, memo.root)
    declared = _declared(settings, place)
    root = open_root(place, state_dir=state_dir(), declared=declared)
    settled = recall_settled(state_dir(), root.beneath.root)
    if settled is None or settled.selection != str(groups.over(memo.default_groups)):
        return None
    if not frozen and settled.lock_sha256 != memo.lock_sha256:
        return None
    if not is_text_at(lock, settled.lock_sha256, settled.lock_stamp):
        return None
    return settled if is_in_place(root, settled) else None


def _declared(settings: Settings, root: str) -> Sequence["Declared"]:
    if not (settings.follow_links or user_config().follow_links):
        return ()
    from civsync.cli.declared import find_declared

    return find_declared(settings, root)


def tell_in_step(output: Output, files: int, unselected: Unselected) -> ExitCode:
    """Say that nothing is to do, and return the exit status for that."""
    if output.choice.json:
        nothing = {"done": {}, "received": 0, "failed": [], "unselected": unselected.files}
        output.event({"event": "finished", "exit": 0, **nothing})
    else:
        for line in _lines(files, unselected):
            output.talk(line)
    return ExitCode.OK


def tell_status(output: Output, files: int, unselected: Unselected) -> ExitCode:
    """Say the same as data, for `status`, and return the exit status for that."""
    for line in _lines(files, unselected):
        output.data(line)
    return ExitCode.OK


def _lines(files: int, unselected: Unselected) -> Iterator[str]:
    yield in_step_text(files)
    if unselected.files:
        from civsync.cli.groups import unselected_text

        yield unselected_text(unselected)


def in_step_text(files: int) -> str:
    """Return the line for a root that holds what is wanted."""
    return f"{count_text(files, 'file')} in place, nothing to do"
