"""One directory, and what can be done with the names in it: no path, no link followed.

A `Folder` is made by `civsync.disk.beneath` alone, which answers for where it lies. Where
the system can (Linux, macOS) it is an open descriptor, so what it means cannot be changed
by renaming things; elsewhere it is a path that was looked at.
"""

import contextlib
import errno
import os
import stat
import sys
from typing import Final

from civsync.core.errors import SafetyError
from civsync.disk.faults import UNSUPPORTED, shown

_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final = getattr(os, "O_DIRECTORY", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0)
"""Keeps an `open` of a named pipe from waiting for ever; regular files do not mind."""

_UNNAMED: Final = getattr(os, "O_TMPFILE", 0)
_TRIALS: Final = 5
"""One in thousands shows another time by chance, because the clock ticked just then."""

HAS_DIR_FD: Final = (
    _NOFOLLOW != 0
    and {os.open, os.stat, os.mkdir, os.unlink, os.rmdir, os.rename, os.link} <= os.supports_dir_fd
    and os.listdir in os.supports_fd
)
_LINK_NOFOLLOW: Final = os.link in os.supports_follow_symlinks


def is_link(status: os.stat_result) -> bool:
    """Tell whether this is a symbolic link, or a junction of Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) != 0


def close_quietly(fd: int) -> None:
    """Close a descriptor through which nothing was written that anybody relies on."""
    with contextlib.suppress(OSError):
        os.close(fd)


class Folder:
    """One directory below the root (or the root). Names are single components.

    `device` is the number of the disk that it is on. Unless `durable` nothing in it is ever
    flushed, on the user's word. All methods raise OSError.
    """

    def __init__(
        self, fd: int | None, real: str, path: str, device: int, *, durable: bool = True
    ) -> None:
        self.fd = fd
        self.real = real
        self.path = path
        self._marks: bool | None = None
        self.device = device
        self.durable = durable

    def shown(self, name: str) -> str:
        """Return the path of `name` relative to the root, for messages."""
        return f"{self.path}/{name}" if self.path else name

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file, never through a link and never waiting for a pipe."""
        if self.fd is None and not flags & os.O_EXCL:
            with contextlib.suppress(FileNotFoundError):
                if is_link(self.stat(name)):
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        flags |= _NOFOLLOW | _BINARY | _NONBLOCK
        return os.open(self.at(name), flags, mode, dir_fd=self.fd)

    def stat(self, name: str) -> os.stat_result:
        """Look at what has this name, a link as a link."""
        return os.stat(self.at(name), dir_fd=self.fd, follow_symlinks=False)

    def find(self, name: str) -> os.stat_result | None:
        """Look at what has this name; None if nothing has."""
        try:
            return self.stat(name)
        except FileNotFoundError:
            return None

    def rename(self, name: str, target: "Folder", new: str) -> None:
        """Give a file another name, over whatever file has it."""
        os.replace(self.at(name), target.at(new), src_dir_fd=self.fd, dst_dir_fd=target.fd)

    def rename_new(self, name: str, target: "Folder", new: str) -> None:
        """Give a file another name if nothing has it, as well as the system can tell.

        Raises FileExistsError.
        """
        if target.find(new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        os.rename(self.at(name), target.at(new), src_dir_fd=self.fd, dst_dir_fd=target.fd)

    def link(self, name: str, target: "Folder", new: str) -> None:
        """Give a file a second name; raises FileExistsError if something has it."""
        os.link(
            self.at(name),
            target.at(new),
            src_dir_fd=self.fd,
            dst_dir_fd=target.fd,
            follow_symlinks=not _LINK_NOFOLLOW,
        )

    def unlink(self, name: str) -> None:
        """Remove a name."""
        os.unlink(self.at(name), dir_fd=self.fd)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        os.rmdir(self.at(name), dir_fd=self.fd)

    def names(self) -> list[str]:
        """Return the names in the directory, in no order."""
        if self.fd is None:
            return os.listdir(self.real)
        # Opened anew: threads that share a descriptor would share the place in the list.
        fd = os.open(".", os.O_RDONLY | _DIRECTORY, dir_fd=self.fd)
        try:
            return os.listdir(fd)
        finally:
            close_quietly(fd)

    def read(self, name: str, cap: int) -> bytes:
        """Return a small file whole; raises OSError (EFBIG) above `cap` bytes."""
        with os.fdopen(self.open(name, os.O_RDONLY), "rb") as file:
            data = file.read(cap + 1)
        if len(data) > cap:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        return data

    def same(self, other: "Folder") -> bool:
        """Tell whether two folders are one directory."""
        if self.fd is None or other.fd is None:
            return os.path.samefile(self.real, other.real)
        return os.path.samestat(os.fstat(self.fd), os.fstat(other.fd))

    def sync(self) -> None:
        """Make the names in this directory durable, where the file system can.

        Some network and FUSE file systems have no fsync for directories (borg degrades the
        same way); there the order of operations is all the protection there is.
        """
        if self.fd is None or not self.durable:
            return
        try:
            os.fsync(self.fd)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise

    def flush(self, fd: int) -> None:
        """Return when the bytes of a file in here are on the medium, as far as anybody can tell.

        After an OSError the file must not be trusted.
        """
        if not self.durable:
            # Each close of a file, be it of a duplicate, lets a network disk tell what it could
            # not store (`flush` of vfs.rst); on others it does nothing.
            os.close(os.dup(fd))
            return
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - exists on POSIX only

            # fsync of macOS stops at the drive's cache.
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
                return
        os.fsync(fd)

    def marks_each_write(self) -> bool:
        """Tell whether a write that follows a look always has another modification time.

        Linux can do that since 6.13 on file systems with multigrain timestamps; elsewhere the
        time stands still for some milliseconds. Tried out, once, on a file without a name.
        """
        if self._marks is None:
            self._marks = False
            if self.fd is not None and _UNNAMED:
                with contextlib.suppress(OSError):
                    fd = os.open(".", os.O_RDWR | _UNNAMED, 0o600, dir_fd=self.fd)
                    try:
                        self._marks = all(_write_is_marked(fd) for _ in range(_TRIALS))
                    finally:
                        os.close(fd)
        return self._marks

    def mkdir(self, name: str) -> None:
        """Make a directory, durably."""
        os.mkdir(self.at(name), dir_fd=self.fd)
        self.sync()

    def enter(self, name: str) -> "Folder":
        """Open the directory with this name.

        Raises SafetyError symlinked-directory or obstacle where it is none, undeclared-disk
        where another disk begins.
        """
        path, real = self.shown(name), os.path.join(self.real, name)
        if self.fd is None:
            status = self.stat(name)
            if is_link(status) or not stat.S_ISDIR(status.st_mode):
                raise _refusal(path, link=is_link(status))
            return Folder(None, real, path, self._same_disk(status, path), durable=self.durable)
        try:
            fd = os.open(name, os.O_RDONLY | _DIRECTORY | _NOFOLLOW, dir_fd=self.fd)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                found = self.find(name)
                raise _refusal(path, link=found is None or is_link(found)) from None
            raise
        try:
            device = self._same_disk(os.fstat(fd), path)
            return Folder(fd, real, path, device, durable=self.durable)
        except BaseException:
            close_quietly(fd)
            raise

    def is_removed(self) -> bool:
        """Tell whether the directory is gone, and only held open here."""
        return self.fd is not None and os.fstat(self.fd).st_nlink == 0

    def _same_disk(self, status: os.stat_result, path: str) -> int:
        if status.st_dev != self.device:
            from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

            raise SafetyError(
                Code.UNDECLARED_DISK,
                f"{shown(path)} is on another disk, and nobody declared that",
                subject=shown(path),
                data={"path": shown(path)},
            )
        return self.device

    def close(self) -> None:
        """Let go of the directory."""
        fd, self.fd = self.fd, None
        if fd is not None:
            close_quietly(fd)

    def at(self, name: str) -> str:
        """Return what a call of the system wants for `name`, beside `dir_fd`."""
        return name if self.fd is not None else os.path.join(self.real, name)


def _write_is_marked(fd: int) -> bool:
    os.write(fd, b"1")
    before = os.fstat(fd).st_mtime_ns
    os.write(fd, b"2")
    return os.fstat(fd).st_mtime_ns != before


def _refusal(path: str, *, link: bool) -> SafetyError:
    from civsync.core.codes import Code  # noqa: PLC0415 - only what failed needs it

    if link:
        return SafetyError(
            Code.SYMLINKED_DIRECTORY,
            f"{shown(path)} is a symbolic link",
            subject=shown(path),
            data={"path": shown(path)},
        )
    return SafetyError(
        Code.OBSTACLE,
        f"{shown(path)} is not a directory",
        subject=shown(path),
        data={"path": shown(path)},
    )
