"""A directory as a file system that lacks something: what comes of each request of the kernel.

Nothing is mounted here; that is `support.fuse_server`. All is passed on to the directory,
but for what its traits say:

- `folds`: names are found whatever their case and normal form, and kept as they were made,
  as on APFS, NTFS and exFAT;
- `linkless`: there are no hard links (EPERM), as on exFAT;
- `lockless`: `flock` is answered with ENOSYS;
- `locks-lie`: `flock` is granted to everybody;
- `full-at-close`: a file that is received is taken in full, and its close tells that there was
  no room for it (EDQUOT), as on NFS.

None has files without a name (O_TMPFILE), reflinks or links of the symbolic kind.
"""

import errno
import os
import stat
import struct
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from civsync.disk.root import PARTS
from support.fuse_messages import (
    ATIME_NOW,
    AUTO_INVAL_DATA,
    FLOCK_LOCKS,
    MTIME_NOW,
    SET_ATIME,
    SET_GROUP,
    SET_MODE,
    SET_MTIME,
    SET_OWNER,
    SET_SIZE,
    Op,
    Request,
    attr_out,
    dirent,
    entry_out,
    init,
    open_out,
    statfs_out,
)

FOLDS: Final = "folds"
LINKLESS: Final = "linkless"
LOCKLESS: Final = "lockless"
LOCKS_LIE: Final = "locks-lie"
FULL_AT_CLOSE: Final = "full-at-close"

_OF_THE_KERNEL: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_TRUNC
"""Flags of `open` that the kernel has seen to, or that would be about a link of /proc here."""

_WRITE_IN: Final = 40
"""Bytes before the data of a WRITE."""


def _way_to(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def fold(name: str) -> str:
    """Return what is the same for all names that are one name here."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


@dataclass(slots=True, kw_only=True)
class _Node:
    """An entry that the kernel knows: `fd` leads to it, by no name; `known` is how often."""

    fd: int
    key: tuple[int, str, int]
    known: int = 0

    @property
    def way(self) -> str:
        return f"/proc/self/fd/{self.fd}"


class Passthrough:
    """The file system; `answer` says what comes of a request. Raises OSError for a refusal.

    As libfuse does it, each name is a node of its own, so that a rename that only changes
    the case of a name is none from a file to itself, which kernels do not pass on.
    """

    def __init__(self, backing: str, traits: frozenset[str]) -> None:
        self._traits = traits
        top = _Node(fd=os.open(backing, os.O_PATH), key=(0, "", 0), known=1)
        self._nodes = {1: top}
        self._by_key: dict[tuple[int, str, int], int] = {}
        self._last = 1
        self._listed: dict[int, list[bytes]] = {}
        self._answers: Mapping[int, Callable[[Request], bytes]] = {
            Op.INIT: self._init,
            Op.LOOKUP: lambda r: self._entry(r.node, r.names()[0]),
            Op.FORGET: lambda r: self._forget(r.node, *r.fields("Q")),
            Op.BATCH_FORGET: self._forget_batch,
            Op.INTERRUPT: lambda _: b"",
            Op.DESTROY: lambda _: b"",
            Op.GETATTR: lambda r: attr_out(os.fstat(self._nodes[r.node].fd)),
            Op.SETATTR: self._setattr,
            Op.MKDIR: self._mkdir,
            Op.UNLINK: lambda r: self._drop(r, os.unlink),
            Op.RMDIR: lambda r: self._drop(r, os.rmdir),
            Op.RENAME: self._rename,
            Op.LINK: self._link,
            Op.OPEN: self._open,
            Op.CREATE: self._create,
            Op.READ: self._read,
            Op.WRITE: self._write,
            Op.FLUSH: self._flush,
            Op.FSYNC: self._fsync,
            Op.RELEASE: self._release,
            Op.OPENDIR: self._opendir,
            Op.READDIR: self._readdir,
            Op.FSYNCDIR: self._fsync,
            Op.RELEASEDIR: self._release,
            Op.STATFS: lambda r: statfs_out(os.statvfs(self._nodes[r.node].way)),
            Op.SETLK: self._flock,
            Op.SETLKW: self._flock,
        }

    def answer(self, request: Request) -> bytes:
        """Carry out a request."""
        known = self._answers.get(request.op)
        if known is None:
            raise OSError(errno.ENOSYS, "not here")
        return known(request)

    def _init(self, request: Request) -> bytes:
        _, _, readahead, _ = request.fields("4I")
        asked = bool(self._traits & {LOCKLESS, LOCKS_LIE})
        return init(readahead, AUTO_INVAL_DATA | (FLOCK_LOCKS if asked else 0))

    # --- names ---

    def _stored(self, parent: int, name: str) -> str:
        """Return the name as it was made, or as it was asked for where nothing has it."""
        node = self._nodes[parent]
        if FOLDS in self._traits and not _is_there(node.fd, name):
            wanted = fold(name)
            return next((each for each in os.listdir(node.way) if fold(each) == wanted), name)
        return name

    def _entry(self, parent: int, name: str) -> bytes:
        fd = os.open(
            self._stored(parent, name), os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[parent].fd
        )
        status = os.fstat(fd)
        key = (parent, name, status.st_ino)
        found = self._by_key.get(key)
        if found is None:
            self._last = found = self._last + 1
            self._nodes[found] = _Node(fd=fd, key=key)
            self._by_key[key] = found
        else:
            os.close(fd)
        self._nodes[found].known += 1
        return entry_out(found, status)

    def _forget(self, number: int, times: int) -> bytes:
        node = self._nodes[number]
        node.known -= times
        if node.known <= 0:
            os.close(node.fd)
            del self._nodes[number]
            if self._by_key.get(node.key) == number:
                del self._by_key[node.key]
        return b""

    def _forget_batch(self, request: Request) -> bytes:
        (count, _) = request.fields("2I")
        numbers = request.fields(f"2I{2 * count}Q")[2:]
        for number, times in zip(numbers[::2], numbers[1::2], strict=True):
            self._forget(number, times)
        return b""

    def _mkdir(self, request: Request) -> bytes:
        mode, _ = request.fields("2I")
        (name,) = request.names(8)
        os.mkdir(self._stored(request.node, name), mode, dir_fd=self._nodes[request.node].fd)
        return self._entry(request.node, name)

    def _drop(self, request: Request, how: Callable[..., None]) -> bytes:
        stored = self._stored(request.node, request.names()[0])
        how(stored, dir_fd=self._nodes[request.node].fd)
        return b""

    def _rename(self, request: Request) -> bytes:
        (target,) = request.fields("Q")
        old, new = request.names(8)
        away, there = self._nodes[request.node].fd, self._nodes[target].fd
        source, taken = self._stored(request.node, old), self._stored(target, new)
        inode = os.stat(source, dir_fd=away, follow_symlinks=False).st_ino
        # What else has the name is replaced under its own spelling; a file that has it itself
        # takes the new one.
        itself = source == taken and os.path.samestat(os.fstat(away), os.fstat(there))
        os.rename(source, new if itself else taken, src_dir_fd=away, dst_dir_fd=there)
        number = self._by_key.pop((request.node, old, inode), None)
        if number is not None:
            self._nodes[number].key = (target, new, inode)
            self._by_key[target, new, inode] = number
        return b""

    def _link(self, request: Request) -> bytes:
        if LINKLESS in self._traits:
            raise OSError(errno.EPERM, "no links here")
        (source,) = request.fields("Q")
        (name,) = request.names(8)
        stored = self._stored(request.node, name)
        os.link(self._nodes[source].way, stored, dst_dir_fd=self._nodes[request.node].fd)
        return self._entry(request.node, name)

    # --- content ---

    def _setattr(self, request: Request) -> bytes:
        node = self._nodes[request.node]
        fields = request.fields("2I6Q8I")
        valid, size, atime, mtime = fields[0], fields[3], fields[5], fields[6]
        atime_ns, mtime_ns, mode = fields[8], fields[9], fields[11]
        if valid & SET_MODE:
            os.chmod(node.way, stat.S_IMODE(mode))
        if valid & (SET_OWNER | SET_GROUP):
            owner = fields[13] if valid & SET_OWNER else -1
            os.chown(node.way, owner, fields[14] if valid & SET_GROUP else -1)
        if valid & SET_SIZE:
            os.truncate(node.way, size)
        if valid & (SET_ATIME | SET_MTIME):
            before, now = os.fstat(node.fd), time.time_ns()
            accessed, modified = before.st_atime_ns, before.st_mtime_ns
            if valid & SET_ATIME:
                accessed = now if valid & ATIME_NOW else atime * 10**9 + atime_ns
            if valid & SET_MTIME:
                modified = now if valid & MTIME_NOW else mtime * 10**9 + mtime_ns
            os.utime(node.way, ns=(accessed, modified))
        return attr_out(os.fstat(node.fd))

    def _open(self, request: Request) -> bytes:
        (flags,) = request.fields("I")
        return open_out(os.open(self._nodes[request.node].way, flags & ~_OF_THE_KERNEL))

    def _create(self, request: Request) -> bytes:
        flags, mode = request.fields("2I")
        (name,) = request.names(16)
        stored = self._stored(request.node, name)
        flags = flags & ~_OF_THE_KERNEL | os.O_CREAT | flags & os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(stored, flags, mode, dir_fd=self._nodes[request.node].fd)
        return self._entry(request.node, name) + open_out(fd)

    def _read(self, request: Request) -> bytes:
        fd, offset, size = request.fields("2QI")
        return os.pread(fd, size, offset)

    def _write(self, request: Request) -> bytes:
        fd, offset, size = request.fields("2QI")
        data = request.body[_WRITE_IN : _WRITE_IN + size]
        return struct.pack("=II", os.pwrite(fd, data, offset), 0)

    def _flush(self, request: Request) -> bytes:
        (fd,) = request.fields("Q")
        if FULL_AT_CLOSE in self._traits and os.path.dirname(_way_to(fd)).endswith(PARTS):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return b""

    def _fsync(self, request: Request) -> bytes:
        """Leave it at that: no power is cut here, and many flushes would only take time."""
        return b""

    def _release(self, request: Request) -> bytes:
        (fd,) = request.fields("Q")
        self._listed.pop(fd, None)
        os.close(fd)
        return b""

    def _opendir(self, request: Request) -> bytes:
        return open_out(os.open(self._nodes[request.node].way, os.O_RDONLY | os.O_DIRECTORY))

    def _readdir(self, request: Request) -> bytes:
        fd, offset, size = request.fields("2QI")
        if offset == 0:
            self._listed[fd] = [
                dirent(name, os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino, number)
                for number, name in enumerate(os.listdir(fd), 1)
            ]
        body = b""
        for entry in self._listed[fd][offset:]:
            if len(body) + len(entry) > size:
                break
            body += entry
        return body

    def _flock(self, request: Request) -> bytes:
        if LOCKLESS in self._traits:
            raise OSError(errno.ENOSYS, "no locks here")
        return b""


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
