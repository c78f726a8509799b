"""One civsync at a time changes a root, as far as the file system can keep promises.

The kernel's lock is what counts; the note in the file only says who to wait for. Where
locks do not work the run goes on without: claims of parts by rename keep it correct, only
wasteful.
"""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.core.limits import KIB
from civsync.disk.durable import write_all
from civsync.disk.faults import faults_of, shown
from civsync.disk.flock import try_lock
from civsync.disk.folder import close_quietly
from civsync.disk.root import CONTROL, Root
from civsync.documents.json_codec import CodecError, decode, encode

_LOCK: Final = "lock"
_POLL_S: Final = 0.1
"""How often a waiting civsync looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a root, for people."""

    pid: int
    host: str
    command: str = ""


@contextmanager
def hold_root(root: Root, *, wait_s: float = 0, command: str = "") -> Iterator[bool]:
    """Hold an established root; the value tells whether a lock really protects it.

    Waits up to `wait_s` seconds. Raises DiskError root-busy, naming the holder.
    """
    place = f"{CONTROL}/{_LOCK}"
    with faults_of("open", place), root.beneath.folder(CONTROL, make=True) as folder:
        fd = folder.open(_LOCK, os.O_RDWR | os.O_CREAT)
    held = False
    try:
        with faults_of("lock", place):
            held = _wait(fd, wait_s)
        if held:
            _note(fd, Holder(pid=os.getpid(), host=platform.node(), command=command))
        yield held
    finally:
        if held:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
        close_quietly(fd)


def _wait(fd: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while (held := try_lock(fd)) is False:
        if time.monotonic() >= deadline:
            raise _busy(_holder(fd))
        time.sleep(_POLL_S)
    return bool(held)


def _note(fd: int, holder: Holder) -> None:
    # The note is advice: a full disk must not keep anybody from working.
    with contextlib.suppress(OSError, CodecError):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        write_all(fd, encode(holder))


def _holder(fd: int) -> Holder | None:
    with contextlib.suppress(OSError, CodecError):
        os.lseek(fd, 0, os.SEEK_SET)
        return decode(os.read(fd, 4 * KIB), Holder)
    return None


def _busy(holder: Holder | None) -> DiskError:
    if holder is None:
        return DiskError(Code.ROOT_BUSY, "another civsync holds this root")
    command = f"`{shown(holder.command)}`" if holder.command else "another civsync"
    return DiskError(
        Code.ROOT_BUSY,
        f"{command} holds this root (process {holder.pid} on {shown(holder.host)})",
        data={"pid": holder.pid, "host": shown(holder.host), "command": shown(holder.command)},
    )
