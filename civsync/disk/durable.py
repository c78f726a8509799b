"""Writing that survives a power cut: whole or not at all, and said to be done only when it is.

A failed fsync is never repeated in hope: Linux marks the pages clean, so the second call
would lie (the PostgreSQL "fsyncgate"). Callers drop what could not be flushed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator

from civsync.disk.faults import NO_LINKS
from civsync.disk.folder import Folder


def write_all(fd: int, data: memoryview | bytes) -> None:
    """Write every byte: a write may be shorter than asked. Raises OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_whole(folder: Folder, name: str, data: bytes, *, mode: int | None = None) -> None:
    """Put `data` under `name`, replacing it: a reader sees the old or the new, never a mixture.

    `mode` are the permissions of the new file, where they are not those of any new one.
    Raises OSError; then the old content stands and nothing is left behind.
    """
    with staged(folder, name, data, mode=mode) as publish:
        publish()


@contextlib.contextmanager
def staged(
    folder: Folder, name: str, data: bytes, *, mode: int | None = None
) -> Iterator[Callable[[], None]]:
    """Write `data` to the medium, and give a function that lets it replace `name`.

    What could fail for want of space has then succeeded. Without that call nothing is
    changed and nothing left behind. Raises OSError.
    """
    temporary = f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = folder.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def publish() -> None:
        folder.rename(temporary, folder, name)
        folder.sync()

    try:
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(fd, mode)
            write_all(fd, data)
            folder.flush(fd)
        finally:
            os.close(fd)
        yield publish
    finally:
        with contextlib.suppress(OSError):
            folder.unlink(temporary)


def prove_writable(folder: Folder) -> None:
    """Make a file and remove it again. Raises OSError."""
    probe = f".{os.urandom(4).hex()}.tmp"
    os.close(folder.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    folder.unlink(probe)


def name_new(folder: Folder, name: str, target: Folder, new: str) -> bool:
    """Give a file one more name, never over anything; nothing is flushed.

    False where the file system has no links, so that it has no other name any more. Raises
    OSError, FileExistsError.
    """
    try:
        folder.link(name, target, new)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        folder.rename_new(name, target, new)
        return False
    return True


def place_new(folder: Folder, name: str, target: Folder, new: str) -> bool:
    """Give a file the name `new` in `target`, durably, and never over anything.

    False where the file system has no links, so that "nothing is there" was looked up an
    instant before instead of being part of the same step. Raises OSError, FileExistsError.
    """
    linked = name_new(folder, name, target, new)
    # The new name is on the medium before the old one goes.
    target.sync()
    if linked:
        folder.unlink(name)
    if linked or not folder.same(target):
        folder.sync()
    return linked
