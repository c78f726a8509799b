"""Who holds a part: names of claims, and whether their owner still lives.

A part is claimed by renaming it to a name that no other process would choose. A kernel lock
on the claimed file tells whether its owner lives; where locks do not work, or may lie, the
process id does. What cannot be told for sure is never written to: its bytes are copied.
"""

import contextlib
import errno
import itertools
import os
import re
import stat
from enum import Enum
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import DiskError, SafetyError
from civsync.core.values import dataclass
from civsync.disk.copying import copy_bytes
from civsync.disk.faults import shown
from civsync.disk.flock import try_lock
from civsync.disk.folder import Folder
from civsync.disk.journal import held_bytes
from civsync.disk.machine import this_host
from civsync.documents.part_journal import JOURNAL_BYTES

_CLAIM: Final = re.compile(
    r"(?P<sha256>[0-9a-f]{64})\.(?P<pid>[0-9]{1,10})-(?P<host>[0-9a-f]{12})-[0-9a-f]{12}\.claim\Z"
)


_48_BITS: Final = (1 << 48) - 1
_NUMBERS: Final = itertools.count(int.from_bytes(os.urandom(6)))
"""Begins anywhere, so that a process id that is used again does not bring a name back."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


class Owner(Enum):
    """What is known of the process that made a claim."""

    ALIVE = "alive"
    DEAD = "dead"
    UNSURE = "unsure"
    """It holds no lock, but may live where its process id means nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim that was found."""

    name: str
    sha256: str
    pid: int
    host: str


def new_claim(sha256: str) -> str:
    """Return a file name for a claim of this process that nobody has used."""
    return f"{sha256}.{os.getpid()}-{this_host()}-{next(_NUMBERS) & _48_BITS:012x}.claim"


def parse_claim(name: str) -> Claim | None:
    """Read the name of a claim; None for any other name."""
    found = _CLAIM.match(name)
    if found is None:
        return None
    return Claim(name=name, sha256=found["sha256"], pid=int(found["pid"]), host=found["host"])


def owner_of(claim: Claim, fd: int) -> Owner:
    """Tell whether the owner of an open claim lives; locks it for this process if not.

    Raises OSError.
    """
    locked = lock_part(fd)
    if locked is False:
        return Owner.ALIVE
    here = claim.host == this_host()
    if here and not is_alive(claim.pid):
        return Owner.DEAD
    if here and locked is None:
        return Owner.ALIVE
    # Process ids are used again, locks of network file systems may lie, and other hosts
    # and containers count their processes for themselves.
    return Owner.UNSURE


def lock_part(fd: int) -> bool | None:
    """Lock an open part, as `try_lock`; Windows could lock a byte of its content only."""
    return None if os.name == "nt" else try_lock(fd)


def claim_part(folder: Folder, sha256: str, size: int, *, orphaned: bool = True) -> tuple[str, int]:
    """Return the name and the descriptor of a file that only we write to.

    Without `orphaned` nobody else is known to have made a claim for it.
    """
    return (
        _claim_idle(folder, sha256, size)
        or (_claim_orphan(folder, sha256, size) if orphaned else None)
        or _create(folder, sha256)
    )


def _claim_idle(folder: Folder, sha256: str, size: int) -> tuple[str, int] | None:
    """Claim the part that somebody released, if there is one."""
    name = part_name(sha256)
    status = folder.find(name)
    if status is None:
        return None
    if stat.S_ISLNK(status.st_mode):
        # civsync makes no links here; what it led to is left alone.
        folder.unlink(name)
        return None
    try:
        fd = folder.open(name, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        # Locked before it is renamed, so that nobody takes the claim for an orphan.
        if lock_part(fd) is False:
            raise busy(sha256)
        mine = new_claim(sha256)
        try:
            folder.rename(name, folder, mine)
        except FileNotFoundError:
            raise busy(sha256) from None
        if not os.path.samestat(folder.stat(mine), os.fstat(fd)):
            raise busy(sha256)
        if os.fstat(fd).st_nlink > 1:
            return _replace_by_copy(folder, sha256, mine, fd, size)
    except BaseException:
        os.close(fd)
        raise
    return mine, fd


def _claim_orphan(folder: Folder, sha256: str, size: int) -> tuple[str, int] | None:
    """Take over the fullest claim whose owner is gone. Raises DiskError root-busy."""
    found = []
    for claim in claims_for(folder, sha256):
        held = held_under(folder, claim.name)
        if held is not None:
            found.append((held, claim))
    for _, claim in sorted(found, key=lambda pair: pair[0], reverse=True):
        try:
            fd = folder.open(claim.name, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            owner = owner_of(claim, fd)
            if owner is Owner.ALIVE:
                raise busy(sha256)
            if owner is Owner.UNSURE or os.fstat(fd).st_nlink > 1:
                return _replace_by_copy(folder, sha256, claim.name, fd, size)
            mine = new_claim(sha256)
            folder.rename(claim.name, folder, mine)
        except BaseException:
            os.close(fd)
            raise
        return mine, fd
    return None


def _create(folder: Folder, sha256: str) -> tuple[str, int]:
    mine = new_claim(sha256)
    fd = folder.open(mine, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    lock_part(fd)
    return mine, fd


def _replace_by_copy(folder: Folder, sha256: str, name: str, fd: int, size: int) -> tuple[str, int]:
    """Claim a copy of `fd`, which is closed, and drop its name.

    An owner that lives after all finds its file gone and tries again; it can spoil nothing.
    """
    # One byte more than a part can have, so that what is too long is seen to be.
    copied = copy_fresh(folder, sha256, fd, size + JOURNAL_BYTES + 1)
    os.close(fd)
    with contextlib.suppress(OSError):
        folder.unlink(name)
    return copied


def copy_fresh(folder: Folder, sha256: str, source: int, size: int) -> tuple[str, int]:
    """Claim a new file with at most `size` bytes of `source`; leaves nothing if it fails."""
    name, fd = _create(folder, sha256)
    try:
        copy_bytes(source, fd, size)
    except BaseException:
        os.close(fd)
        with contextlib.suppress(OSError):
            folder.unlink(name)
        raise
    return name, fd


def carry(source: Folder, name: str, folder: Folder, new: str, *, sha256: str, size: int) -> None:
    """Give a file with this content the name `new` in the parts `folder`: by rename, or a copy.

    A copy, to another disk, leaves the file where it is. Raises OSError.
    """
    try:
        source.rename(name, folder, new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    fd = source.open(name, os.O_RDONLY)
    try:
        copied, target = copy_fresh(folder, sha256, fd, size)
    finally:
        os.close(fd)
    os.close(target)
    folder.rename(copied, folder, new)


def claims_for(folder: Folder, sha256: str) -> list[Claim]:
    """Return all claims on the part for this content."""
    prefix = f"{sha256}."
    names = (name for name in folder.names() if name.startswith(prefix))
    return [claim for name in names if (claim := parse_claim(name)) is not None]


def held_under(folder: Folder, name: str) -> int | None:
    """Return how many bytes the part or claim `name` holds; None if no file has that name."""
    status = folder.find(name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    try:
        fd = folder.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return held_bytes(fd)
    finally:
        os.close(fd)


def drop_idle(folder: Folder, name: str) -> int:
    """Delete an old file of the parts folder unless somebody holds it."""
    fd = folder.open(name, os.O_RDWR)
    try:
        claim = parse_claim(name)
        if claim is not None and owner_of(claim, fd) is Owner.ALIVE:
            return 0
        if claim is None and lock_part(fd) is False:
            return 0
        folder.unlink(name)
    finally:
        os.close(fd)
    return 1


def drop_dead(folder: Folder, claim: Claim) -> None:
    """Delete a claim if its owner is known to be dead. Raises OSError."""
    fd = folder.open(claim.name, os.O_RDONLY)
    try:
        if owner_of(claim, fd) is Owner.DEAD:
            folder.unlink(claim.name)
    finally:
        os.close(fd)


def part_name(sha256: str) -> str:
    """Return the name of a part that nobody holds.

    Raises SafetyError unsafe-path if `sha256` is none: it comes out of a lock.
    """
    if not _SHA256.match(sha256):
        raise SafetyError(
            Code.UNSAFE_PATH, f"{shown(sha256)!r} is not a SHA-256", subject=shown(sha256)
        )
    return f"{sha256}.part"


def busy(sha256: str) -> DiskError:
    """Return the error for a part that somebody else holds."""
    return DiskError(
        Code.ROOT_BUSY, f"the part {sha256[:12]}… is being received already", subject=sha256
    )


def is_alive(pid: int) -> bool:
    """Tell whether a process of this host lives, as far as the system says."""
    if os.name == "nt":
        # Signal 0 would end the process there.
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
