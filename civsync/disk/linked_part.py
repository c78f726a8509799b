"""A part that is one more name of somebody's file: it can be published, and never be written to.

Writing would change the file under all its names. So it is opened for reading alone, was
hashed before it became a part, and gets its name only if it is the same file, unchanged.
"""

import os

from civsync.core.codes import Code
from civsync.core.disk import Digests, Stamp
from civsync.core.errors import DiskError
from civsync.core.ranges import Ranges
from civsync.disk.faults import faults_of
from civsync.disk.folder import Folder
from civsync.disk.journal import read_at
from civsync.disk.stamps import settle, stamp_of


class LinkedPart:
    """A whole part with the content `digests`, read when the file had this `stamp`; owns `fd`.

    Whoever takes its name away (publishing, quarantine) sets `gone`.
    """

    def __init__(
        self, folder: Folder, name: str, fd: int, *, digests: Digests, stamp: Stamp
    ) -> None:
        self.name = name
        self.sha256 = digests.sha256
        self.size = digests.size
        self.gone = False
        self._fd: int | None = fd
        self._folder = folder
        self._shown = folder.shown(name)
        self._digests = digests
        self._stamp = stamp
        self._done = Ranges.prefix_of(digests.size)

    @property
    def done(self) -> Ranges:
        """Which bytes are there: all."""
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

    def write(self, data: memoryview | bytes, at: int) -> None:  # noqa: ARG002 - a Part's
        """Refuse: raises DiskError."""
        raise DiskError(Code.DISK_FAILED, f"{self._shown} is a hard link, and never written to")

    def restart(self) -> None:
        """Forget the bytes; there will be no others."""
        self._done = Ranges()

    def digests(self) -> Digests:
        """Return the hashes, as read when it was linked."""
        return self._digests

    def head(self, size: int) -> bytes:
        """The first `size` bytes."""
        with faults_of("read", self._shown):
            return read_at(self._open(), min(size, self.size), 0)

    def seal(self) -> Stamp:
        """Make sure that this still is the file that was hashed, and that it is on the medium.

        Returns its stamp. Raises DiskError.
        """
        fd = self._open()
        with faults_of("flush", self._shown):
            self._folder.flush(fd)
        settle(self._folder, self._stamp.mtime_ns)
        stamp = self.stamp
        if stamp != self._stamp:
            raise DiskError(Code.DISK_FAILED, f"somebody changed {self._shown} meanwhile")
        return stamp

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _open(self) -> int:
        if self._fd is None:
            raise DiskError(Code.DISK_FAILED, f"{self._shown} is not held any more")
        return self._fd
