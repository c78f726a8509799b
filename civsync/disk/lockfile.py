"""One civsync at a time changes a root, as far as the file system can keep promises.

The kernel's lock is what counts; the note in the file only says who to wait for. Where
locks lie or lack, a file of each process takes their place (`civsync.disk.presence`).
"""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.core.limits import KIB
from civsync.core.values import dataclass
from civsync.disk.durable import write_all
from civsync.disk.faults import faults_of, shown
from civsync.disk.flock import try_lock
from civsync.disk.folder import Folder, close_quietly
from civsync.disk.presence import CrowdedError, be_alone, locks_lie
from civsync.disk.root import CONTROL, Root
from civsync.documents.json_codec import CodecError, decode, encode

_LOCK: Final = "lock"
POLL_S: Final = 0.1
"""How often a waiting civsync looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a root, for people. `since` is in seconds of the epoch, 0 where nobody said."""

    pid: int
    host: str
    command: str = ""
    since: int = 0


@contextmanager
def hold_root(
    root: Root,
    *,
    wait_s: float = 0,
    command: str = "",
    waiting: Callable[[DiskError], None] | None = None,
) -> Iterator[bool]:
    """Hold an established root; the value tells whether a lock of the kernel protects it.

    Waits up to `wait_s` seconds; `waiting` is then told once what it waits for. Raises
    DiskError root-busy, naming the holder.
    """
    place = f"{CONTROL}/{_LOCK}"
    me = Holder(pid=os.getpid(), host=platform.node(), command=command, since=int(time.time()))
    queue = _Queue(deadline=time.monotonic() + wait_s, waiting=waiting)
    with contextlib.ExitStack() as held:
        with faults_of("open", place):
            folder = held.enter_context(root.beneath.folder(CONTROL, make=True))
            fd = folder.open(_LOCK, os.O_RDWR | os.O_CREAT)
        held.callback(close_quietly, fd)
        with faults_of("lock", place):
            locked = _wait(fd, queue)
            honest = locked and not locks_lie(folder, _LOCK)
            if not honest:
                _wait_to_be_alone(held, folder, me, queue)
        # A file with a second name is somebody else's, too: its content is left alone.
        if locked and os.fstat(fd).st_nlink == 1:
            held.callback(_clear, fd)
            _note(fd, me)
        yield honest


@dataclass(slots=True, kw_only=True)
class _Queue:
    """Waits until `deadline`, a time of the monotonic clock; `waiting` is told once for what."""

    deadline: float
    waiting: Callable[[DiskError], None] | None

    def look_again(self, holder: Holder | None) -> None:
        """Wait a moment for the end of the holder. Raises DiskError root-busy when it is late."""
        busy = _busy(holder)
        if time.monotonic() >= self.deadline:
            raise busy
        if self.waiting is not None:
            self.waiting(busy)
            self.waiting = None
        time.sleep(POLL_S)


def _wait(fd: int, queue: _Queue) -> bool:
    while (held := try_lock(fd)) is False:
        queue.look_again(_holder(fd))
    return bool(held)


def _wait_to_be_alone(
    held: contextlib.ExitStack, folder: Folder, me: Holder, queue: _Queue
) -> None:
    while True:
        try:
            held.enter_context(be_alone(folder, encode(me)))
        except CrowdedError as crowded:
            note = crowded.note
        else:
            return
        queue.look_again(_read(note))


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
    since = _since(holder)
    return DiskError(
        Code.ROOT_BUSY,
        f"{command} holds this root (process {holder.pid} on {shown(holder.host)}"
        f"{f', since {since:%Y-%m-%d %H:%M:%S}' if since else ''})",
        data={
            "pid": holder.pid,
            "host": shown(holder.host),
            "command": shown(holder.command),
            "since": since.isoformat() if since else None,
        },
    )


def _since(holder: Holder) -> datetime | None:
    """Return when the holder began, in the local time zone; None for no time that there is."""
    if holder.since <= 0:
        return None
    try:
        return datetime.fromtimestamp(holder.since, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
