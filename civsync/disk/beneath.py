"""The tree below a root: each directory on the way is entered by itself, through no link.

With `civsync.disk.folder` this is the only module that touches paths below a root. Every
directory is opened from its parent with O_NOFOLLOW, and the root's own descriptor is held,
so neither a directory swapped for a link nor a disk unmounted in the middle of a run can
lead anywhere else. Systems without such calls look at each component before they use it,
which leaves an instant open.

The root itself may be reached through a link; that is the user's word, resolved once.
"""

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from civsync.disk.folder import HAS_DIR_FD, Folder, close_quietly


class Beneath:
    """The tree below `root`, which need not exist yet. Safe to share between threads.

    `plain` asks for the way without directory descriptors, for systems that lack them.
    """

    def __init__(self, root: str, *, plain: bool = not HAS_DIR_FD) -> None:
        self._root = os.path.realpath(root)
        self._plain = plain
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._keeping = threading.Lock()
        self._kept: dict[str, Folder] = {}

    @property
    def root(self) -> str:
        """The root's real path."""
        return self._root

    def make_root(self) -> None:
        """Make the root and what leads to it. Raises OSError."""
        os.makedirs(self._root, exist_ok=True)

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[Folder]:
        """Open the directory `path` ("" is the root); with `make`, make what is missing.

        Each new directory is made durable in its parent before the next. Raises OSError
        (FileNotFoundError where it does not exist) and SafetyError symlinked-directory or
        obstacle, naming the component.
        """
        folder = self._walk(path, make=make)
        try:
            yield folder
        finally:
            folder.close()

    def kept(self, path: str) -> Folder:
        """Return a directory of civsync's own, open for as long as this lives; made if missing.

        It is walked to once, and again if it was removed, so it is for directories that
        nobody else has a reason to move. Must not be closed: others use it, too. Raises as
        `folder`.
        """
        folder = self._kept.get(path)
        if folder is None or folder.is_removed():
            with self._keeping:
                folder = self._kept.get(path)
                if folder is None or folder.is_removed():
                    folder = self._walk(path, make=True)
                    if folder.fd is not None:
                        self._kept[path] = folder
                        weakref.finalize(self, folder.close)
        return folder

    def look(self, path: str) -> os.stat_result | None:
        """Look at `path` in one call, for seeing only; None if nothing is there.

        Links on the way are followed, so callers look at each directory on the way first.
        """
        try:
            if self._plain:
                return os.stat(os.path.join(self._root, path), follow_symlinks=False)
            return os.stat(path, dir_fd=self._root_fd(), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise

    def look_at_each(self, paths: Iterable[str]) -> Iterator[os.stat_result]:
        """Look at each of `paths` as `look` does, where many are expected to be there.

        Raises OSError for the first that is not.
        """
        if self._plain:
            paths = (os.path.join(self._root, path) for path in paths)
        return map(partial(os.stat, dir_fd=self._root_fd(), follow_symlinks=False), paths)

    def _walk(self, path: str, *, make: bool) -> Folder:
        root_fd = self._root_fd()
        folder = Folder(None if root_fd is None else os.dup(root_fd), self._root, "")
        try:
            for name in path.split("/") if path else ():
                child = _enter(folder, name, make=make)
                folder.close()
                folder = child
        except BaseException:
            folder.close()
            raise
        return folder

    def _root_fd(self) -> int | None:
        if self._plain:
            return None
        with self._mutex:
            if self._fd is None:
                self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
                weakref.finalize(self, close_quietly, self._fd)
            return self._fd


def _enter(folder: Folder, name: str, *, make: bool) -> Folder:
    try:
        return folder.enter(name)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        folder.mkdir(name)
    return folder.enter(name)
