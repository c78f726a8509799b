"""One civsync at a time changes a root, as far as the file system can keep promises.

The kernel's lock is what counts; the note in the file only says who to wait for. Where
locks lie or lack, a file of each process takes their place (`civsync.disk.presence`).
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
from civsync.disk.folder import Folder, close_quietly
from civsync.disk.presence import CrowdedError, be_alone, locks_lie
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
    """Hold an established root; the value tells whether a lock of the kernel protects it.

    Waits up to `wait_s` seconds. Raises DiskError root-busy, naming the holder.
    """
    place = f"{CONTROL}/{_LOCK}"
    me = Holder(pid=os.getpid(), host=platform.node(), command=command)
    with contextlib.ExitStack() as held:
        with faults_of("open", place):
            folder = held.enter_context(root.beneath.folder(CONTROL, make=True))
            fd = folder.open(_LOCK, os.O_RDWR | os.O_CREAT)
        held.callback(close_quietly, fd)
        deadline = time.monotonic() + wait_s
        with faults_of("lock", place):
            locked = _wait(fd, deadline)
            honest = locked and not locks_lie(folder, _LOCK)
            if not honest:
                _wait_to_be_alone(held, folder, me, deadline)
        if locked:
            held.callback(_clear, fd)
            _note(fd, me)
        yield honest


def _wait(fd: int, deadline: float) -> bool:
    while (held := try_lock(fd)) is False:
        if time.monotonic() >= deadline:
            raise _busy(_holder(fd))
        time.sleep(_POLL_S)
    return bool(held)


def _wait_to_be_alone(
    held: contextlib.ExitStack, folder: Folder, me: Holder, deadline: float
) -> None:
    while True:
        try:
            held.enter_context(be_alone(folder, encode(me)))
        except CrowdedError as crowded:
            if time.monotonic() >= deadline:
                raise _busy(_read(crowded.note)) from None
        else:
            return
        time.sleep(_POLL_S)


def _clear(fd: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)


def _note(fd: int, holder: Holder) -> None:
    # The note is advice: a full disk must not keep anybody from working.
    with contextlib.suppress(OSError, CodecError):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        write_all(fd, encode(holder))


def _holder(fd: int) -> Holder | None:
    with contextlib.suppress(OSError):
        os.lseek(fd, 0, os.SEEK_SET)
        return _read(os.read(fd, 4 * KIB))
    return None


def _read(note: bytes) -> Holder | None:
    with contextlib.suppress(CodecError):
        return decode(note, Holder)
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
