"""Serve `support.fuse_passthrough` to the kernel, as root, in a process of its own.

Run as `python -m support.fuse_server PLACE BACKING TRAIT...`. It says `ready` on stdout once
it is mounted. A line `N` on stdin means to kill whoever makes the N-th change from then on
(0: nobody), instead of the change; the answer is the number of changes since the last such
line. When stdin ends, it unmounts itself, so it never outlives the test that started it.
"""

import contextlib
import ctypes
import errno
import os
import select
import signal
import sys
from dataclasses import dataclass
from typing import Final

from support.fuse_messages import BUFFER, SILENT, Op, Request, read_request, reply
from support.fuse_passthrough import Passthrough

_CHANGES: Final = frozenset(
    {Op.SETATTR, Op.MKDIR, Op.UNLINK, Op.RMDIR, Op.RENAME, Op.LINK, Op.WRITE, Op.CREATE}
    | {Op.FSYNC, Op.FSYNCDIR}
)
"""What counts as a change of the disk."""

_NOSUID: Final = 2
_NODEV: Final = 4
_MNT_DETACH: Final = 2
"""For mount(2) and umount2(2)."""


@dataclass(slots=True, kw_only=True)
class _Killer:
    """Counts changes, and kills whoever makes the one that was ordered."""

    changes: int = 0
    at: int = 0

    def kills(self, request: Request) -> bool:
        # What the kernel does by itself has no process, and 0 would mean all of this group.
        if request.op not in _CHANGES or request.pid == 0:
            return False
        self.changes += 1
        if self.changes != self.at:
            return False
        os.kill(request.pid, signal.SIGKILL)
        return True

    def order(self, at: int) -> int:
        """Begin to count; returns how many there were before."""
        before, self.changes, self.at = self.changes, 0, at
        return before


def serve(fuse: int, disk: Passthrough, orders: int) -> None:
    """Answer all that comes, until `orders` (a descriptor) ends or nothing is mounted."""
    killer = _Killer()
    while True:
        ready, _, _ = select.select([fuse, orders], [], [])
        if orders in ready:
            # Whoever gives an order waits for its answer, so that lines come one by one.
            line = os.read(orders, 64)
            if not line:
                return
            os.write(1, b"%d\n" % killer.order(int(line)))
        if fuse in ready:
            try:
                data = os.read(fuse, BUFFER)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                # The process that asked is gone, or was told so.
                if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    raise
                continue
            _respond(fuse, disk, killer, read_request(data))


def _respond(fuse: int, disk: Passthrough, killer: _Killer, request: Request) -> None:
    try:
        if killer.kills(request):
            raise OSError(errno.EINTR, "killed")
        answer = reply(request.unique, disk.answer(request))
    except OSError as error:
        answer = reply(request.unique, error=error.errno or errno.EIO)
    if request.op not in SILENT:
        # Nobody waits for the answer any more if the process was killed.
        with contextlib.suppress(FileNotFoundError):
            os.write(fuse, answer)


def main(place: str, backing: str, *traits: str) -> None:
    """Mount, serve and unmount."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.umask(0)
    disk = Passthrough(backing, frozenset(traits))
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    where = os.fsencode(place)
    if libc.mount(b"civsync-test", where, b"fuse", _NOSUID | _NODEV, options.encode()):
        print(f"no: {os.strerror(ctypes.get_errno())}", flush=True)  # noqa: T201 - the protocol
        return
    try:
        os.write(1, b"ready\n")
        serve(fuse, disk, 0)
    finally:
        libc.umount2(where, _MNT_DETACH)


if __name__ == "__main__":
    main(*sys.argv[1:])
