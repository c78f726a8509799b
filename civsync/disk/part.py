"""One half-received file, held by this process alone: bytes go in, digests come out.

Counts what it takes and takes no byte beyond the locked size. A part whose write or flush
failed for another reason than space is not kept: nobody knows what the medium holds.
"""

import io
import os

from civsync.core.codes import Code
from civsync.core.disk import Digests, Stamp
from civsync.core.errors import DiskError, IntegrityError
from civsync.disk.durable import flush
from civsync.disk.faults import faults_of, translate
from civsync.disk.folder import Folder
from civsync.disk.hashing import Follower
from civsync.disk.stamps import settle, stamp_of


class HeldPart:
    """A claimed part, open for reading and writing; owns `fd`. One thread at a time may use it.

    Whoever takes its file away (publishing, quarantine) sets `gone`. Raises OSError when
    made, CivsyncError afterwards.
    """

    def __init__(self, folder: Folder, name: str, fd: int, *, sha256: str, size: int) -> None:
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.gone = False
        self.spoiled = False
        self._fd: int | None = fd
        self._shown = folder.shown(name)
        self._follower = Follower(io.FileIO(folder.open(name, os.O_RDONLY), "rb"))
        self._held = os.fstat(fd).st_size
        if self._held > size:
            # No prefix of something longer is known to be a prefix of the right thing.
            os.ftruncate(fd, 0)
            self._held = 0
        os.lseek(fd, self._held, os.SEEK_SET)
        self._follower.advance(self._held)

    @property
    def held(self) -> int:
        """Bytes on disk, all of them hashed or about to be."""
        return self._held

    @property
    def stamp(self) -> Stamp:
        """The file's stamp as it is."""
        with faults_of("look at", self._shown):
            return stamp_of(os.fstat(self._open()))

    def write(self, data: memoryview | bytes) -> None:
        """Append. Raises DiskError, or IntegrityError size-mismatch beyond the locked size."""
        rest = memoryview(data).cast("B")
        if self._held + len(rest) > self.size:
            raise IntegrityError(
                Code.SIZE_MISMATCH,
                f"more bytes came than the {self.size} that the lock says",
                data={"expected": self.size},
            )
        fd = self._open()
        try:
            while rest:
                count = os.write(fd, rest)
                self._held += count
                rest = rest[count:]
        except OSError as error:
            fault = translate(
                error, "write", self._shown, need=self.size - self._held, have=_free(fd)
            )
            self.spoiled = fault.code is not Code.NO_SPACE
            raise fault from error
        finally:
            self._follower.advance(self._held)

    def restart(self) -> None:
        """Forget everything received: the next byte is byte 0."""
        fd = self._open()
        with faults_of("empty", self._shown):
            self._follower.restart()
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        self._held = 0

    def digests(self) -> Digests:
        """Hashes of what is held (waits for the hashing thread)."""
        try:
            return self._follower.digests()
        except OSError as error:
            self.spoiled = True
            raise translate(error, "read", self._shown) from error

    def head(self, size: int) -> bytes:
        """The first `size` bytes."""
        fd = self._open()
        with faults_of("read", self._shown):
            os.lseek(fd, 0, os.SEEK_SET)
            try:
                return _read(fd, min(size, self._held))
            finally:
                os.lseek(fd, self._held, os.SEEK_SET)

    def seal(self) -> Stamp:
        """Make sure that this is the locked content, and that it is on the medium.

        Returns its stamp, which stays when the file gets its name. Raises IntegrityError
        size-mismatch, hash-mismatch; DiskError.
        """
        found = self.digests()
        if found.size != self.size or found.sha256 != self.sha256:
            code = Code.SIZE_MISMATCH if found.size != self.size else Code.HASH_MISMATCH
            raise IntegrityError(
                code,
                "what was received is not what the lock says",
                data={"expected": self.sha256, "found": found.sha256, "size": found.size},
            )
        try:
            flush(self._open())
        except OSError as error:
            self.spoiled = True
            raise translate(error, "flush", self._shown) from error
        settle(self.stamp.mtime_ns)
        return self.stamp

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._follower.close()
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _open(self) -> int:
        if self._fd is None:
            raise DiskError(Code.DISK_FAILED, f"{self._shown} is not held any more")
        return self._fd


def _read(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def _free(fd: int) -> int | None:
    if not hasattr(os, "fstatvfs"):
        return None
    try:
        status = os.fstatvfs(fd)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
