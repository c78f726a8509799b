"""Which files `sync --unprotect` names: below the root, and protected there."""

from collections.abc import Sequence
from pathlib import Path

from civsync.cli.wiring import Disk
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import Lock
from civsync.core.names import SafePath, UnsafePathError, parse_path


def find_protected(words: Sequence[str], disk: Disk, lock: Lock) -> frozenset[SafePath]:
    """Return the files that are named, relative to the root or as whole paths below it.

    Raises UserError usage for one that is not protected; SafetyError state-damaged.
    """
    owned = disk.ledger.read().owned
    protecting = {entry.key for entry in lock.entries if entry.protect}
    found = frozenset(_path(word, disk.root.path) for word in words)
    for path in sorted(found):
        mine = owned.get(path)
        if mine is None or not (mine.protect or mine.entry in protecting):
            raise _usage(path, "no file that is protected lies there")
    return found


def _path(word: str, root: Path) -> SafePath:
    path = Path(word)
    if path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    try:
        return parse_path(path.as_posix())
    except UnsafePathError as error:
        raise _usage(word, str(error)) from None


def _usage(word: str, message: str) -> UserError:
    return UserError(
        Code.USAGE,
        message,
        subject=word,
        hint="Name a file by its path below the root, as `civsync status` shows it.",
    )
