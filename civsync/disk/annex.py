"""A directory below the root that lies elsewhere, on the user's word: opened once, never followed.

Its descriptor is held. The link (or the mount) in the tree is only looked at, each time that
the directory is entered, to see that it still leads to the same place: other programs go
through it, so a file that they would not find has no right to its name.
"""

import os
import weakref

from civsync.core.codes import Code
from civsync.core.disk import Declared
from civsync.core.errors import SafetyError
from civsync.disk.faults import shown
from civsync.disk.folder import Folder, close_quietly


class Annex:
    """One such directory; `at` is its path below the root, `real` where it lies. Owns `fd`.

    `status` is what the directory was when it was opened. Safe to share between threads.
    """

    def __init__(
        self, declared: Declared, real: str, fd: int | None, status: os.stat_result
    ) -> None:
        self.at: str = declared.at
        self.real = real
        self.device = status.st_dev
        self._linked = bool(declared.target)
        self._status = status
        self._fd = fd
        if fd is not None:
            weakref.finalize(self, close_quietly, fd)

    def enter(self, folder: Folder, name: str) -> Folder:
        """Open the directory, which `folder` has under `name`.

        Raises SafetyError link-unusable if the name leads elsewhere by now; OSError.
        """
        self.require(folder, name)
        fd = None if self._fd is None else os.dup(self._fd)
        return Folder(fd, self.real, self.at, self.device, durable=folder.durable)

    def require(self, folder: Folder, name: str) -> None:
        """Raise SafetyError link-unusable unless `name` in `folder` leads here."""
        try:
            found = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=self._linked)
        except OSError as error:
            raise unusable(self.at, f"cannot be followed: {error.strerror}") from None
        if not os.path.samestat(found, self._status):
            raise unusable(self.at, f"does not lead to {shown(self.real)}, as was declared")

    def look(self, path: str) -> os.stat_result:
        """Look at `path`, which is relative to this directory. Raises OSError."""
        if self._fd is None:
            return os.stat(os.path.join(self.real, path), follow_symlinks=False)
        return os.stat(path, dir_fd=self._fd, follow_symlinks=False)


def unusable(at: str, what: str) -> SafetyError:
    """Return the error for a declared directory that is not what was declared."""
    return SafetyError(
        Code.LINK_UNUSABLE,
        f"{shown(at)}, declared to lie on another disk, {what}",
        subject=shown(at),
        data={"path": shown(at)},
    )
