"""One civsync at a time on a root where the kernel's locks lie or lack.

Each puts a file of its own into the control folder and only then looks for those of
others: of two that come at once at least one sees the other, and who sees another goes
away. So it needs nothing of the file system but that names are seen by everybody.

A file whose process is dead does not count. Where that cannot be looked up (on another
host, on Windows), it stops counting when it has not been touched for a while.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from civsync.disk.claims import is_alive
from civsync.disk.durable import write_all
from civsync.disk.flock import try_lock
from civsync.disk.folder import Folder, close_quietly
from civsync.disk.machine import this_host

_HERE: Final = re.compile(
    r"here\.(?P<pid>[0-9]{1,10})-(?P<began>[0-9]{1,20})-(?P<host>[0-9a-f]{12})-[0-9a-f]{12}\Z"
)

_TOUCHED_S: Final = 20.0
"""How often a file is touched while its process works."""

_FORGOTTEN_S: Final = 180.0
"""How far from that of one made just now the time of a file of another host is that does not
count. One in the future is of a clock that was put back since: nobody touches it again.
"""

_BEGAN: Final = 19
"""Which word of `/proc/PID/stat` behind the name is the start of the process (proc(5))."""

_TRIES: Final = 8
_PAUSE_S: Final = 0.05
"""Of two that see each other, both go away; a pause by chance lets one of them come first."""


class CrowdedError(Exception):
    """Somebody else is there. `note` is what the file of that process holds."""

    def __init__(self, note: bytes) -> None:
        super().__init__()
        self.note = note


def locks_lie(folder: Folder, name: str) -> bool:
    """Tell whether a lock on the file `name`, which this process holds, can be had once more.

    Raises OSError.
    """
    fd = folder.open(name, os.O_RDWR)
    try:
        return try_lock(fd) is not False
    finally:
        close_quietly(fd)


@contextmanager
def be_alone(folder: Folder, note: bytes) -> Iterator[None]:
    """Be the only process in this block on this folder, as far as names can tell.

    `note` is what others are told. Raises CrowdedError, OSError.
    """
    name = _come(folder, note)
    ended = threading.Event()
    toucher = threading.Thread(target=_touch, args=(folder, name, ended), daemon=True)
    toucher.start()
    try:
        yield
    finally:
        ended.set()
        toucher.join()
        _go(folder, name)


def _come(folder: Folder, note: bytes) -> str:
    pid, host = os.getpid(), this_host()
    other = None
    for turn in range(_TRIES):
        time.sleep(_PAUSE_S * turn * os.urandom(1)[0] / 255)
        name = f"here.{pid}-{_began(pid)}-{host}-{os.urandom(6).hex()}"
        fd = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                write_all(fd, note)
            finally:
                close_quietly(fd)
            other = _other(folder, name)
        except BaseException:
            _go(folder, name)
            raise
        if other is None:
            return name
        _go(folder, name)
    raise CrowdedError(_note_of(folder, other))


def _go(folder: Folder, name: str) -> None:
    with contextlib.suppress(OSError):
        folder.unlink(name)


def _other(folder: Folder, mine: str) -> str | None:
    """Return the file of a process that may live, and remove those of dead ones."""
    made = folder.stat(mine).st_mtime
    for name in sorted(folder.names()):
        found = _HERE.match(name)
        if found is None or name == mine:
            continue
        status = folder.find(name)
        if status is None:
            continue
        if found["host"] == this_host() and os.name != "nt":
            pid = int(found["pid"])
            lives = is_alive(pid) and found["began"] == str(_began(pid))
        else:
            lives = abs(made - status.st_mtime) < _FORGOTTEN_S
        if lives:
            return name
        _go(folder, name)
    return None


def _note_of(folder: Folder, name: str | None) -> bytes:
    with contextlib.suppress(OSError):
        return folder.read(name or "", 4096)
    return b""


def _touch(folder: Folder, name: str, ended: threading.Event) -> None:
    while not ended.wait(_TOUCHED_S):
        with contextlib.suppress(OSError):
            os.utime(folder.at(name), dir_fd=folder.fd)


def _began(pid: int) -> int:
    """Return when a process began, in a unit of the system; 0 where nothing tells.

    Process ids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        return int(stat.rpartition(")")[2].split()[_BEGAN])
    except (OSError, ValueError, IndexError):
        return 0
