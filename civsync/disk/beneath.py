"""The tree below a root: each directory on the way is entered by itself, through no link.

With `civsync.disk.folder` this is the only module that touches paths below a root. Every
directory is opened from its parent with O_NOFOLLOW, and the root's own descriptor is held,
so neither a directory swapped for a link nor a disk unmounted in the middle of a run can
lead anywhere else. Systems without such calls look at each component before they use it,
which leaves an instant open.

The root itself may be reached through a link; that is the user's word, resolved once. So is
an annex: a directory below it that lies on another disk.
"""

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from civsync.disk.folder import HAS_DIR_FD, Folder, close_quietly

if TYPE_CHECKING:
    from civsync.disk.annex import Annex

OWN_FOLDER: Final = ".civsync"
"""The control folder of a root, and of each annex: files are renamed within a file system
only. No safe name starts with a dot, so no lock can lead into it.
"""

ROOT_MARKER: Final = "root.json"
"""Says, in the control folder of a root, that it is one."""

ANNEXES: Final = "annexes.json"
"""Says, in the control folder of a root, which annexes it has."""


class Beneath:
    """The tree below `root`, which need not exist yet. Safe to share between threads.

    `plain` asks for the way without directory descriptors, for systems that lack them. None
    of the `annexes` lies below another one. Unless `durable` nothing below is ever flushed.
    """

    def __init__(
        self,
        root: str,
        *,
        plain: bool = not HAS_DIR_FD,
        annexes: Sequence["Annex"] = (),
        durable: bool = True,
    ) -> None:
        self._root = os.path.realpath(root)
        self._plain = plain
        self.durable = durable
        self._annexes = {annex.at: annex for annex in annexes}
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._keeping = threading.Lock()
        self._kept: dict[str, Folder] = {}

    @property
    def root(self) -> str:
        """The root's real path."""
        return self._root

    @property
    def homes(self) -> tuple[str, ...]:
        """The directories that have a control folder each: "" (the root) and the annexes."""
        return ("", *self._annexes)

    def home_of(self, path: str) -> str:
        """Return the home on whose file system `path` lies."""
        found = self._annex_over(path) if self._annexes else None
        return found.at if found is not None else ""

    def near(self, path: str, place: str) -> str:
        """Return `place`, a path of civsync's own, in the home of `path`."""
        home = self.home_of(path)
        return f"{home}/{place}" if home else place

    def place(self, home: str) -> str:
        """Return the real path of a home."""
        return self._annexes[home].real if home else self._root

    def device(self, path: str) -> int:
        """Return the number of the disk that `path` belongs on. Raises OSError."""
        home = self.home_of(path)
        if home:
            return self._annexes[home].device
        root_fd = self._root_fd()
        return (os.stat(self._root) if root_fd is None else os.fstat(root_fd)).st_dev

    def leads_to_annex(self, path: str) -> bool:
        """Tell whether `path` is an annex. Raises SafetyError link-unusable; OSError."""
        annex = self._annexes.get(path)
        if annex is None:
            return False
        parent, _, name = path.rpartition("/")
        with self.folder(parent) as folder:
            annex.require(folder, name)
        return True

    def make_root(self) -> None:
        """Make the root and what leads to it. Raises OSError."""
        os.makedirs(self._root, exist_ok=True)

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[Folder]:
        """Open the directory `path` ("" is the root); with `make`, make what is missing.

        Each new directory is made durable in its parent before the next. Raises OSError
        (FileNotFoundError where it does not exist) and SafetyError symlinked-directory,
        obstacle, undeclared-disk or link-unusable, naming the component.
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
            annex = self._annex_over(path) if self._annexes else None
            if annex is not None and path != annex.at:
                return annex.look(path[len(annex.at) + 1 :])
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

        Only for trees without annexes: none is told from another directory. Raises OSError
        for the first that is not.
        """
        if self._plain:
            paths = (os.path.join(self._root, path) for path in paths)
        return map(partial(os.stat, dir_fd=self._root_fd(), follow_symlinks=False), paths)

    def _walk(self, path: str, *, make: bool) -> Folder:
        root_fd = self._root_fd()
        device = (os.stat(self._root) if root_fd is None else os.fstat(root_fd)).st_dev
        fd = None if root_fd is None else os.dup(root_fd)
        folder = Folder(fd, self._root, "", device, durable=self.durable)
        try:
            for name in path.split("/") if path else ():
                annex = self._annexes.get(folder.shown(name)) if self._annexes else None
                if annex is None:
                    child = _enter(folder, name, make=make)
                else:
                    child = annex.enter(folder, name)
                folder.close()
                folder = child
        except BaseException:
            folder.close()
            raise
        return folder

    def _annex_over(self, path: str) -> "Annex | None":
        for at, annex in self._annexes.items():
            if path.startswith(at) and path[len(at) : len(at) + 1] in ("", "/"):
                return annex
        return None

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
