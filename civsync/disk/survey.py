"""What is at many paths below a root, by stat alone. Opens nothing and writes nothing.

Every directory on the way is looked at first, once: one that is a link, or no directory,
answers for all paths behind it.
"""

import os
import stat
from collections.abc import Iterable
from typing import Final

from civsync.core.disk import Absent, Inventory, Linked, Obstacle, Regular, Sight
from civsync.core.names import SafePath
from civsync.disk.beneath import Beneath
from civsync.disk.faults import translate
from civsync.disk.folder import is_link
from civsync.disk.stamps import stamp_of

_ABSENT: Final = Absent()


def survey(beneath: Beneath, paths: Iterable[SafePath]) -> Inventory:
    """Return what is at each path; below a root that is not there is nothing.

    Raises DiskError; SafetyError link-unusable if an annex is not where it was opened.
    """
    ways: dict[str, Sight | None] = {"": None}
    inventory: dict[SafePath, Sight] = {}
    look = beneath.look
    for path in paths:
        parent = path.rpartition("/")[0]
        way = ways[parent] if parent in ways else _way(beneath, parent, ways)
        if way is not None:
            inventory[path] = way
            continue
        try:
            inventory[path] = _sight(look(path))
        except OSError as error:
            raise translate(error, "look at", path) from error
    return inventory


def _way(beneath: Beneath, parent: str, ways: dict[str, Sight | None]) -> Sight | None:
    """Say what every path below `parent` is if it is not a directory all the way."""
    walked = ""
    for name in parent.split("/"):
        walked = f"{walked}/{name}" if walked else name
        if walked not in ways:
            try:
                if beneath.leads_to_annex(walked):
                    ways[walked] = None
                else:
                    ways[walked] = _way_through(beneath, beneath.look(walked), walked)
            except OSError as error:
                raise translate(error, "look at", walked) from error
        if ways[walked] is not None:
            ways[parent] = ways[walked]
            break
    return ways[parent]


def _sight(status: os.stat_result | None) -> Sight:
    if status is None:
        return _ABSENT
    mode = status.st_mode
    if is_link(status):
        return Obstacle("symlink")
    if stat.S_ISREG(mode):
        return Regular(stamp_of(status))
    return Obstacle("directory" if stat.S_ISDIR(mode) else "special")


def _way_through(beneath: Beneath, status: os.stat_result | None, at: str) -> Sight | None:
    if status is None:
        return _ABSENT
    if is_link(status):
        return Linked(at)
    if stat.S_ISDIR(status.st_mode):
        return None if status.st_dev == beneath.device(at) else Linked(at, "disk")
    return Linked(at, "file" if stat.S_ISREG(status.st_mode) else "special")
