"""Find the downloads of a running sync that a person names.

The rules are those of `entry_names`, over what the sync says of itself: no manifest or lock
is read, for they may be other ones by now. A path or the name of a file will do as well.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePath

from civsync.cli.entry_names import suggestion
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.jobs import Download, RunningSync
from civsync.core.names import SafePath
from civsync.documents.links import LinkError, Target, parse_target


def downloads_named(name: str, run: RunningSync) -> tuple[Download, ...]:
    """Return all downloads of `run` that `name` names: by the first rule that finds any.

    The rules: key of the entry, model id, link, name of the model, path (whole, or below the
    root), name of the file. Raises UserError usage where it names none.
    """
    for fits in _rules(name, run.root):
        if found := tuple(each for each in run.downloads if fits(each)):
            return found
    known = list(dict.fromkeys(each.model for each in run.downloads if each.model))
    keys = list(dict.fromkeys(each.entry for each in run.downloads))
    files = [_file_name(each.path) for each in run.downloads]
    raise UserError(
        Code.USAGE,
        f"this sync downloads nothing that is called {name!r}",
        hint=suggestion(name, [*known, *keys, *files], keys) or "It downloads nothing.",
    )


def _rules(name: str, root: str) -> Iterator[Callable[[Download], bool]]:
    folded = name.casefold()
    yield lambda each: each.entry == name
    yield lambda each: each.model_id > 0 and str(each.model_id) == name
    try:
        target = parse_target(name)
    except LinkError:
        pass
    else:
        yield lambda each: _is_linked(each, target)
    yield lambda each: each.model != "" and each.model.casefold() == folded
    paths = {name, _below(root, name)}
    yield lambda each: each.path in paths
    yield lambda each: _file_name(each.path) == name


def _is_linked(download: Download, target: Target) -> bool:
    if target.version_id is not None:
        return download.version_id == target.version_id
    return download.model_id == target.model_id


def _below(root: str, name: str) -> str:
    """Return a path on disk as the lock writes it, "" for one that is not below the root."""
    try:
        return PurePath(name).relative_to(root).as_posix()
    except ValueError:
        return ""


def _file_name(path: SafePath) -> str:
    return path.rpartition("/")[2]
