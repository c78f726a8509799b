"""Housekeeping: what waited long enough in trash, quarantine and parts goes for good."""

import contextlib
from collections.abc import Collection
from typing import Final

from civsync.core.errors import SafetyError
from civsync.core.limits import PART_DAYS, TRASH_DAYS
from civsync.disk.beneath import Beneath
from civsync.disk.claims import drop_idle, parse_claim
from civsync.disk.elsewhere import is_linked_name
from civsync.disk.root import PARTS
from civsync.disk.trash import QUARANTINE, TRASH, Trash

_DAY_S: Final = 24 * 3600


def sweep_home(
    beneath: Beneath, trash: Trash, home: str, now_ns: int, wanted: Collection[str]
) -> int:
    """Delete what waited long enough in one home, as `DiskParts.sweep` says; count the files."""
    count, near = 0, beneath.near
    with contextlib.suppress(OSError, SafetyError):
        limit_s = now_ns / 1e9 - TRASH_DAYS * _DAY_S
        count += trash.sweep(near(home, TRASH), limit_s)
        limit_s = now_ns / 1e9 - PART_DAYS * _DAY_S
        count += trash.sweep(near(home, QUARANTINE), limit_s)
    limit_ns = now_ns - PART_DAYS * _DAY_S * 1_000_000_000
    with (
        contextlib.suppress(OSError, SafetyError),
        beneath.folder(near(home, PARTS)) as folder,
    ):
        for name in folder.names():
            status = folder.find(name)
            if status is None:
                continue
            if is_linked_name(name):
                # Made by a run that is over, and made again in an instant.
                folder.unlink(name)
                count += 1
                continue
            # A claim with a second name was published; only its own removal was cut off.
            published = status.st_nlink > 1 and parse_claim(name) is not None
            idle = status.st_mtime_ns < limit_ns and name.split(".", 1)[0] not in wanted
            if published or idle:
                count += drop_idle(folder, name)
    return count
