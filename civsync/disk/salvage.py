"""Make whole parts of what is there already: in another home of the root, or under its names."""

import contextlib
import os
import stat

from civsync.core.errors import SafetyError
from civsync.core.names import SafePath
from civsync.disk.beneath import Beneath
from civsync.disk.claims import carry, copy_fresh, part_name
from civsync.disk.folder import Folder
from civsync.disk.root import PARTS


def is_whole(status: os.stat_result | None, size: int) -> bool:
    """Tell whether what was looked at is a file with all its bytes."""
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == size


def carry_whole(beneath: Beneath, here: str, folder: Folder, sha256: str, size: int) -> bool:
    """Take over a whole part that waits in another home than `here`: made before a file moved.

    Raises OSError.
    """
    name = part_name(sha256)
    for home in beneath.homes:
        place = beneath.near(home, PARTS)
        if place == here or not is_whole(beneath.look(f"{place}/{name}"), size):
            continue
        with contextlib.suppress(FileNotFoundError), beneath.folder(place) as other:
            carry(other, name, folder, name, sha256=sha256, size=size)
            with contextlib.suppress(FileNotFoundError):
                other.unlink(name)
            return True
    return False


def copy_whole(beneath: Beneath, path: SafePath, folder: Folder, sha256: str, size: int) -> bool:
    """Make the part a copy of the file at `path`, if that has its size. Raises OSError."""
    parent, _, name = path.rpartition("/")
    with contextlib.suppress(FileNotFoundError, SafetyError):
        with beneath.folder(parent) as source:
            if not is_whole(source.find(name), size):
                return False
            fd = source.open(name, os.O_RDONLY)
        try:
            copied, target = copy_fresh(folder, sha256, fd, size)
        finally:
            os.close(fd)
        os.close(target)
        folder.rename(copied, folder, part_name(sha256))
        return True
    return False
