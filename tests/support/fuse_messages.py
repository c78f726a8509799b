"""The messages of the kernel's FUSE protocol (linux/fuse.h, 7.31) that a small server needs.

Spoken directly, so that no libfuse is needed: a request is a header and a body, a reply a
header and a body. Numbers are those of this machine, in its byte order.
"""

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAJOR: Final = 7
MINOR: Final = 31

FLOCK_LOCKS: Final = 1 << 10
"""In the reply to INIT: `flock` is for the server to answer, not for the kernel."""

AUTO_INVAL_DATA: Final = 1 << 12
"""In the reply to INIT: a file whose time or size changed must be read anew."""

MAX_WRITE: Final = 128 * 1024
BUFFER: Final = MAX_WRITE + 64 * 1024
"""Room for the largest request."""


class Op(IntEnum):
    """What a request asks for. Others are answered with ENOSYS, which kernels take well."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    SETLK = 32
    SETLKW = 33
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


SILENT: Final = frozenset({Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT, Op.DESTROY})
"""Requests that have no reply."""

SET_MODE: Final = 1 << 0
SET_OWNER: Final = 1 << 1
SET_GROUP: Final = 1 << 2
SET_SIZE: Final = 1 << 3
SET_ATIME: Final = 1 << 4
SET_MTIME: Final = 1 << 5
ATIME_NOW: Final = 1 << 7
MTIME_NOW: Final = 1 << 8
"""What a SETATTR sets."""

_HEAD: Final = struct.Struct("=IIQQIIIHH")
_REPLY: Final = struct.Struct("=IiQ")
_ATTR: Final = struct.Struct("=6Q10I")
_ENTRY: Final = struct.Struct("=4QII")
_DIRENT: Final = struct.Struct("=QQII")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: about `node`, made by the thread `pid`."""

    op: int
    unique: int
    node: int
    pid: int
    body: bytes

    def fields(self, form: str) -> tuple[int, ...]:
        """Read the numbers that the body begins with."""
        return struct.unpack_from(f"={form}", self.body)

    def names(self, skip: int = 0) -> list[str]:
        """Read the names behind the first `skip` bytes."""
        return [os.fsdecode(name) for name in self.body[skip:].split(b"\0")[:-1]]


def read_request(data: bytes) -> Request:
    """Read a request as it comes out of `/dev/fuse`."""
    _, op, unique, node, _, _, pid, _, _ = _HEAD.unpack_from(data)
    return Request(op=op, unique=unique, node=node, pid=pid, body=data[_HEAD.size :])


def reply(unique: int, body: bytes = b"", *, error: int = 0) -> bytes:
    """Return the reply to the request `unique`; `error` is an errno."""
    return _REPLY.pack(_REPLY.size + len(body), -error, unique) + body


def init(readahead: int, flags: int) -> bytes:
    """Return the body that answers INIT: with 16 requests waiting at most, and times in ns."""
    return struct.pack(
        "=4I2H2I2H8I", MAJOR, MINOR, readahead, flags, 16, 12, MAX_WRITE, 1, 0, 0, *[0] * 8
    )


def attributes(status: os.stat_result) -> bytes:
    """Return what `stat` said as the protocol's attributes."""
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTR.pack(
        status.st_ino,
        status.st_size,
        status.st_blocks,
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        status.st_mode,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        0,
        status.st_blksize,
        0,
    )


def attr_out(status: os.stat_result) -> bytes:
    """Return the body that answers GETATTR; the kernel must ask again each time."""
    return struct.pack("=QII", 0, 0, 0) + attributes(status)


def entry_out(node: int, status: os.stat_result) -> bytes:
    """Return the body that answers LOOKUP; the kernel must ask again each time."""
    return _ENTRY.pack(node, 0, 0, 0, 0, 0) + attributes(status)


def open_out(handle: int) -> bytes:
    """Return the body that answers OPEN."""
    return struct.pack("=QII", handle, 0, 0)


def statfs_out(status: os.statvfs_result) -> bytes:
    """Return the body that answers STATFS."""
    return struct.pack(
        "=5Q10I",
        status.f_blocks,
        status.f_bfree,
        status.f_bavail,
        status.f_files,
        status.f_ffree,
        status.f_bsize,
        status.f_namemax,
        status.f_frsize,
        *[0] * 7,
    )


def dirent(name: str, inode: int, following: int) -> bytes:
    """Return one entry of a directory, of no told kind; `following` is the next one's offset."""
    raw = os.fsencode(name)
    whole = _DIRENT.pack(inode, following, len(raw), 0) + raw
    return whole + bytes(-len(whole) % 8)
