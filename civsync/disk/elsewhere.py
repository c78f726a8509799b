"""Get wanted content from other roots of this machine instead of the network.

What the index says is held against the disk first: a regular file of that very stamp,
reached through no link. What comes of it is a part like any other, which is hashed before
it gets a name; a hard link is hashed here, because nobody may write to it to mend it.
"""

import errno
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from civsync.core.disk import Digests, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.link_mode import KnownFile, LinkMode
from civsync.core.values import dataclass
from civsync.disk.beneath import Beneath
from civsync.disk.claims import lock_part, new_claim, part_name
from civsync.disk.copying import copy_bytes, reflink
from civsync.disk.faults import FULL, UNSUPPORTED
from civsync.disk.folder import Folder
from civsync.disk.hashing import digest_file
from civsync.disk.root import CONTROL
from civsync.disk.stamps import settle, stamp_of

REFLINKED: Final = "reflinked"
HARDLINKED: Final = "hardlinked"
COPIED: Final = "copied"

_WAYS: Final = {
    LinkMode.AUTO: (REFLINKED, COPIED),
    LinkMode.REFLINK: (REFLINKED, COPIED),
    LinkMode.HARDLINK: (REFLINKED, HARDLINKED, COPIED),
    LinkMode.COPY: (COPIED,),
    LinkMode.OFF: (),
}
"""How to try, in this order."""

_NAMES: Final = {REFLINKED: "reflinking", HARDLINKED: "hard-linking", COPIED: "copying"}

_OTHER_KIND: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})
"""What opening says of a link, and of what is no file."""

_FOR_GOOD: Final = UNSUPPORTED | {errno.EXDEV, errno.ENOTTY}
"""What would be said of the next file of that root, too."""

_WRITABLE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A whole part that was made out of `known`: `how`, under which `name`, with what stamp.

    `digests` are those of a hard link; of other parts nothing is known yet.
    """

    how: str
    known: KnownFile
    name: str
    stamp: Stamp
    digests: Digests | None = None


class Elsewhere:
    """What other roots hold of what a run wants. Safe to share between threads."""

    def __init__(self, places: Mapping[str, Sequence[KnownFile]], mode: LinkMode) -> None:
        self._places = places
        self._ways = _WAYS[mode]
        self._mutex = threading.Lock()
        self._stale: list[KnownFile] = []
        self._refusals: dict[str, str] = {}
        self._hopeless: set[tuple[str, str]] = set()
        self._fallen_back = False
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let nobody wait for a large file any more: what is under way is given up."""
        self._stopping.set()

    @property
    def stale(self) -> tuple[KnownFile, ...]:
        """What the index says and the disk does not."""
        return tuple(self._stale)

    @property
    def fallback(self) -> str:
        """Why something was copied or not used at all, "" if the mode's own way was possible."""
        return "; ".join(self._refusals.values()) if self._fallen_back else ""

    def distrust(self, known: KnownFile) -> None:
        """Take note that a file does not hold what the index says."""
        with self._mutex:
            self._stale.append(known)

    def bring(self, parts: Folder, sha256: str, size: int, *, spending: bool) -> Brought | None:
        """Make a whole part in the folder `parts`; None if nothing here can be used.

        Without `spending` only what takes no space is tried. Raises OSError where this disk
        is full.
        """
        for known in self._places.get(sha256, ()):
            if known.stamp.size != size:
                self.distrust(known)
                continue
            try:
                with _opened(known) as source:
                    brought = self._bring(parts, known, source, spending=spending)
            except _NotThereError:
                self.distrust(known)
            except _StoppedError:
                return None
            except (OSError, CivsyncError) as error:
                # What cannot be read here must not keep it from being downloaded.
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
            else:
                if brought is not None:
                    return brought
        return None

    def _bring(
        self, parts: Folder, known: KnownFile, source: "_Source", *, spending: bool
    ) -> Brought | None:
        for way in self._ways:
            if way == COPIED and not spending:
                return None
            if (way, known.root) in self._hopeless:
                continue
            if way == HARDLINKED and not known.owned:
                self._spare()
                continue
            try:
                if way == HARDLINKED:
                    brought = _link(parts, known, source, self._go_on)
                else:
                    share = len(self._ways) > 1
                    brought = _fill(parts, known, source, way, self._go_on, share=share)
            except OSError as error:
                if error.errno in FULL and way == COPIED:
                    raise
                self._refused(way, known.root, error)
                continue
            self._fallen_back |= way == COPIED
            return brought
        self._fallen_back = True
        return None

    def _spare(self) -> None:
        """Take note of a file of the user's, which a link would make read-only, among the rest."""
        why = f"{_NAMES[HARDLINKED]} was not done: some files there are yours, not civsync's"
        with self._mutex:
            self._refusals.setdefault("yours", why)

    def _refused(self, way: str, root: str, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, "unknown error")
        why = f"{_NAMES[way]} was not possible: {error.strerror} ({name})"
        with self._mutex:
            self._refusals.setdefault(way, why)
            if error.errno in _FOR_GOOD:
                self._hopeless.add((way, root))

    def _go_on(self, _: int = 0) -> None:
        if self._stopping.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """Nobody waits for this file any more."""


class _NotThereError(Exception):
    """The file that was known is not there any more, or is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A known file, open for reading, and where it lies."""

    folder: Folder
    name: str
    fd: int


@contextmanager
def _opened(known: KnownFile) -> Iterator[_Source]:
    """Open a known file, if it is what it was.

    Raises _NotThereError if it is not, OSError where nobody can tell.
    """
    beneath = Beneath(known.root)
    if beneath.look(CONTROL) is None:
        # A disk that is not mounted just now keeps its rows.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), known.root)
    parent, _, name = known.path.rpartition("/")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(beneath.folder(parent))
            fd = folder.open(name, os.O_RDONLY)
        except (FileNotFoundError, CivsyncError):
            raise _NotThereError from None
        except OSError as error:
            if error.errno in _OTHER_KIND:
                raise _NotThereError from None
            raise
        stack.callback(os.close, fd)
        if not _is(fd, known.stamp):
            raise _NotThereError
        yield _Source(folder=folder, name=name, fd=fd)


def is_linked_name(name: str) -> bool:
    """Tell whether a file in the parts folder is a hard link made here."""
    return name.endswith(".link")


def _fill(
    parts: Folder,
    known: KnownFile,
    source: _Source,
    way: str,
    go_on: Callable[[], None],
    *,
    share: bool,
) -> Brought:
    """Reflink or copy into a new part. Leaves nothing if it fails."""
    name = new_claim(known.sha256)
    fd = parts.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        lock_part(fd)
        if way == REFLINKED:
            reflink(source.fd, fd)
        else:
            os.lseek(source.fd, 0, os.SEEK_SET)
            copy_bytes(source.fd, fd, known.stamp.size, share=share, go_on=go_on)
        stamp = stamp_of(os.fstat(fd))
        if stamp.size != known.stamp.size or not _is(source.fd, known.stamp):
            raise _NotThereError
        parts.rename(name, parts, part_name(known.sha256))
    except BaseException:
        parts.unlink(name)
        raise
    finally:
        os.close(fd)
    return Brought(how=way, known=known, name=part_name(known.sha256), stamp=stamp)


def _link(
    parts: Folder, known: KnownFile, source: _Source, go_on: Callable[[int], None]
) -> Brought:
    """Give the file one more name among the parts, once its content is proved; read-only.

    Leaves nothing if it fails.
    """
    name = f"{known.sha256}.{os.urandom(6).hex()}.link"
    source.folder.link(source.name, parts, name)
    try:
        if not os.path.samestat(parts.stat(name), os.fstat(source.fd)):
            raise _NotThereError
        settle(source.folder, known.stamp.mtime_ns)
        os.lseek(source.fd, 0, os.SEEK_SET)
        with io.FileIO(source.fd, "rb", closefd=False) as file:
            digests = digest_file(file, go_on)
        if digests.sha256 != known.sha256 or not _is(source.fd, known.stamp):
            raise _NotThereError
        _make_read_only(source.fd)
    except BaseException:
        parts.unlink(name)
        raise
    return Brought(how=HARDLINKED, known=known, name=name, stamp=known.stamp, digests=digests)


def _make_read_only(fd: int) -> None:
    """Keep programs from changing the file under one name without knowing of the others."""
    if not hasattr(os, "fchmod"):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if mode & _WRITABLE:
        os.fchmod(fd, mode & ~_WRITABLE)


def _is(fd: int, stamp: Stamp) -> bool:
    status = os.fstat(fd)
    return stat.S_ISREG(status.st_mode) and stamp_of(status) == stamp
