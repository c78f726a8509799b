"""One half-received file, held by this process alone: bytes go in, digests come out.

Bytes may come in any order; a journal at the end of the file then tells a later run which
of them are there. No byte beyond the locked size is taken. A part whose write or flush
failed for another reason than space or memory is not kept: nobody knows what the medium holds.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from civsync.core.codes import Code
from civsync.core.disk import Digests, Stamp
from civsync.core.errors import DiskError, IntegrityError, SafetyError
from civsync.core.limits import CHUNK_BYTES
from civsync.core.ranges import Ranges
from civsync.disk.faults import faults_of, translate
from civsync.disk.folder import Folder
from civsync.disk.follower import Follower, UnwrittenError
from civsync.disk.journal import Journal, read_at, write_some_at
from civsync.disk.stamps import settle, stamp_of
from civsync.disk.writeback import WriteBack


class HeldPart:
    """A claimed part, open for reading and writing; owns `fd`.

    Several threads may `write` at places apart; all else is for one thread at a time.
    Whoever takes its file away (publishing, quarantine) sets `gone`. Raises OSError when
    made, CivsyncError afterwards.
    """

    def __init__(self, folder: Folder, name: str, fd: int, *, sha256: str, size: int) -> None:
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.gone = False
        self.spoiled = False
        self._folder = folder
        self._fd: int | None = fd
        self._shown = folder.shown(name)
        self._mutex = threading.Lock()
        self._follower = Follower(self._read_into, self._put, small=size <= CHUNK_BYTES)
        self._write_back = WriteBack(
            fd, self._follower.hashed, self._flushed, durable=folder.durable
        )
        self._journal: Journal | None = None
        self._done = self._find(fd)
        self._follower.advance(self._done.prefix)

    @property
    def done(self) -> Ranges:
        """Which bytes the file holds, or will in a moment if no write fails.

        Those of its prefix are hashed, or about to be.
        """
        return self._done

    @property
    def descriptor(self) -> int | None:
        """The open file; None once it was let go of."""
        return self._fd

    @property
    def stamp(self) -> Stamp:
        """The file's stamp as it is."""
        with faults_of("look at", self._shown):
            return stamp_of(os.fstat(self._open()))

    def write(self, data: memoryview | bytes, at: int) -> None:
        """Put bytes at their place, from offset `at` on.

        They must stay as they are for PIECES_KEPT calls more. Raises DiskError, which may be
        about bytes of calls before; or IntegrityError size-mismatch beyond the locked size.
        """
        rest = memoryview(data).cast("B")
        if at + len(rest) > self.size:
            raise IntegrityError(
                Code.SIZE_MISMATCH,
                f"more bytes came than the {self.size} that the lock says",
                data={"expected": self.size},
            )
        fd = self._trusted()
        try:
            if self._handed_on(rest, at):
                return
            self._prepare(fd, at)
            while rest:
                count = write_some_at(fd, rest, at)
                self._took(rest[:count], at)
                at += count
                rest = rest[count:]
        except OSError as error:
            raise self._write_failed(error) from error

    def restart(self) -> None:
        """Forget everything received: the next byte is byte 0."""
        fd = self._open()
        with faults_of("empty", self._shown):
            self._follower.restart()
            self._write_back.restart()
            self._journal = None
            os.ftruncate(fd, 0)
        self._done = Ranges()

    def digests(self) -> Digests:
        """Hashes of what is held (waits for the hashing thread). Raises DiskError."""
        self._settle()
        try:
            return self._follower.digests()
        except OSError as error:
            self.spoiled |= error.errno != errno.ENOMEM
            raise translate(error, "read", self._shown) from error

    def head(self, size: int) -> bytes:
        """The first `size` bytes, as far as they are there."""
        self._settle()
        fd = self._open()
        with faults_of("read", self._shown):
            return read_at(fd, min(size, self._done.prefix), 0)

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
        fd = self._trusted()
        try:
            self._write_back.stop()
            self._drop_journal(fd)
            self._folder.flush(fd)
        except OSError as error:
            self.spoiled = True
            raise translate(error, "flush", self._shown) from error
        stamp = self.stamp
        settle(self._folder, stamp.mtime_ns)
        return stamp

    def park(self) -> None:
        """Leave the file so that the next claim knows what it holds. Raises OSError."""
        fd = self._open()
        try:
            # What could not be written any more was told to nobody, and is only missing.
            with contextlib.suppress(DiskError):
                self._settle()
            self._write_back.stop()
        except OSError:
            self.spoiled = True
            return
        if self._journal is None or self._done.contiguous:
            self._drop_journal(fd)
        else:
            self._journal.note(self._done)

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._follower.close()
        with contextlib.suppress(OSError):
            self._write_back.stop()
        fd, self._fd = self._fd, None
        if fd is not None:
            # Network disks tell here what they could not store. What was sealed is flushed, and
            # a part that is gone on with is read once more.
            with contextlib.suppress(OSError):
                os.close(fd)

    def _find(self, fd: int) -> Ranges:
        """Find out what the file holds; what nothing can be known of is dropped."""
        length = os.fstat(fd).st_size
        if length <= self.size:
            return Ranges.prefix_of(length)
        found = Journal.find(fd, self.size)
        if found is not None and found[1].spans:
            self._journal = found[0]
            return found[1]
        # No prefix of something longer is known to be a prefix of the right thing.
        os.ftruncate(fd, 0)
        return Ranges()

    @contextlib.contextmanager
    def _in_order(self) -> Iterator[None]:
        """Let one thread at a time ask the hashing thread what it wrote.

        Where it could not, `done` ends where the file does before anybody else looks at it.
        Raises OSError for that.
        """
        with self._mutex:
            try:
                yield
            except UnwrittenError as error:
                self._done = Ranges.prefix_of(error.end)
                raise error.reason from error

    def _handed_on(self, data: memoryview, at: int) -> bool:
        """Let the hashing thread write bytes that come in order, and say whether it does.

        Never beside a journal, which must know what is written when. Raises OSError.
        """
        if self.size <= CHUNK_BYTES:
            return False
        with self._in_order():
            if self._journal is not None or at != self._done.prefix:
                return False
            if not self._follower.take(data, at):
                return False
            self._done = self._done.plus(at, at + len(data))
            self._follower.advance(self._done.prefix)
            return True

    def _put(self, data: memoryview, at: int) -> int:
        """Write some of what was handed on, in the hashing thread. Raises OSError."""
        fd = self._fd
        if fd is None:
            raise _closed()
        count = write_some_at(fd, data, at)
        self._write_back.wrote(Ranges.prefix_of(at + count))
        return count

    def _settle(self) -> None:
        """Return when all that was handed on is written. Raises DiskError."""
        try:
            with self._in_order():
                self._follower.settle()
        except OSError as error:
            raise self._write_failed(error) from error

    def _write_failed(self, error: OSError) -> DiskError | SafetyError:
        need = self.size - self._done.total
        fault = translate(error, "write", self._shown, need=need, have=_free(self._open()))
        self.spoiled |= fault.code is not Code.NO_SPACE and error.errno != errno.ENOMEM
        return fault

    def _prepare(self, fd: int, at: int) -> None:
        """Write what was handed on, and begin a journal before the first byte out of order.

        Also bytes that are just behind the others leave a hole before these are written, which
        the length would call received. Raises OSError.
        """
        with self._in_order():
            if self._journal is not None:
                return
            self._follower.settle()
            if at > self._done.prefix:
                self._journal = Journal.begin(fd, self.size, self._done, self._folder)

    def _took(self, data: memoryview, at: int) -> None:
        with self._mutex:
            self._done = self._done.plus(at, at + len(data))
            # First of all: what was hashed is there, whether the rest goes well or not.
            self._follower.wrote(data, at)
            self._follower.advance(self._done.prefix)
            if self._journal is not None:
                self._journal.wrote(self._done)
            self._write_back.wrote(self._done)

    def _flushed(self, ranges: Ranges) -> None:
        with self._mutex:
            if self._journal is not None:
                self._journal.flushed(ranges)

    def _drop_journal(self, fd: int) -> None:
        # Also the empty room for one that could not be begun, on a disk that was full.
        if os.fstat(fd).st_size != self._done.prefix:
            os.ftruncate(fd, self._done.prefix)
        self._journal = None

    def _read_into(self, buffer: memoryview, at: int) -> int:
        """Read back what was written; raises OSError."""
        fd = self._fd
        if fd is None:
            raise _closed()
        if hasattr(os, "preadv"):
            return os.preadv(fd, [buffer], at)
        # Never under the mutex: who holds it may wait for the hash.
        data = read_at(fd, len(buffer), at)
        buffer[: len(data)] = data
        return len(data)

    def _trusted(self) -> int:
        """Return the descriptor of a file that is still worth something."""
        if self.spoiled:
            # The failure of one connection must not be lost on the others.
            raise DiskError(Code.DISK_FAILED, f"an earlier write to {self._shown} failed")
        return self._open()

    def _open(self) -> int:
        if self._fd is None:
            raise DiskError(Code.DISK_FAILED, f"{self._shown} is not held any more")
        return self._fd


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _free(fd: int) -> int | None:
    if not hasattr(os, "fstatvfs"):
        return None
    try:
        status = os.fstatvfs(fd)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
