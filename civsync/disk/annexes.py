"""Find the directories that a user declared to lie on other disks, and prove whose they are.

A declaration is believed for what it says and no more: the directory must lead to just that
place, which must belong to no other root. Each gets a control folder with a marker of its own,
and the root remembers which of its directories have one, so that a disk that is not mounted,
or a declaration that was forgotten, is never taken for a directory that somebody emptied.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from civsync.core.codes import Code
from civsync.core.disk import Declared
from civsync.core.errors import SafetyError
from civsync.core.limits import MIB
from civsync.core.values import dataclass
from civsync.disk.annex import Annex, unusable
from civsync.disk.beneath import ANNEXES, OWN_FOLDER, ROOT_MARKER, Beneath
from civsync.disk.durable import place_new, prove_writable, write_whole
from civsync.disk.faults import faults_of, shown, translate
from civsync.disk.folder import Folder, is_link
from civsync.documents.record import (
    RecordError,
    number_in,
    read_record,
    text_in,
    texts_in,
    write_record,
)

_MARKER: Final = "annex.json"
_MARKER_SCHEMA: Final = "civsync.annex"
_RECORD_SCHEMA: Final = "civsync.annexes"
_VERSION: Final = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """Says in an annex which root it belongs to, and where."""

    root_id: str
    at: str


def open_annexes(root: str, declared: Sequence[Declared], *, plain: bool) -> list[Annex]:
    """Open what was declared below `root`, a real path. Writes nothing.

    Raises SafetyError link-unusable, symlinked-directory, obstacle; DiskError.
    """
    bare = Beneath(root, plain=plain)
    found: list[Annex] = []
    for each in sorted(declared, key=lambda each: each.at):
        parent, _, name = each.at.rpartition("/")
        try:
            with bare.folder(parent) as folder:
                annex = _open(folder, name, each, root)
        except FileNotFoundError:
            raise unusable(each.at, "is not there") from None
        except OSError as error:
            raise translate(error, "look at", each.at) from error
        for other in found:
            if _is_within(annex.at, other.at) or (
                _is_within(annex.real, other.real) or _is_within(other.real, annex.real)
            ):
                raise unusable(annex.at, f"and {shown(other.at)}, too, lie one within the other")
        found.append(annex)
    return found


def check_annexes(beneath: Beneath, root_id: str | None, *, accept_new: bool) -> None:
    """Refuse what is not the annexes of last time: too few, or other ones. Writes nothing.

    `accept_new` is the user's word that they are new. Raises SafetyError undeclared-disk,
    root-marker-missing, link-unusable, state-damaged; DiskError.
    """
    recorded = set(_recorded(beneath))
    if accept_new:
        return
    annexes = beneath.homes[1:]
    for at in sorted(recorded.difference(annexes)):
        raise SafetyError(
            Code.UNDECLARED_DISK,
            f"{shown(at)} was on another disk the last time, and nobody declared that now",
            subject=shown(at),
            hint="Declare it as then; if it is an ordinary directory now, pass --new-root once.",
            data={"path": shown(at)},
        )
    for at in annexes:
        marker = _marker_of(beneath, at)
        if marker is None and at in recorded:
            raise SafetyError(
                Code.ROOT_MARKER_MISSING,
                f"the directory of {shown(at)} has lost its marker",
                subject=shown(beneath.place(at)),
                data={"root": shown(beneath.place(at))},
            )
        if marker is not None and (marker.root_id, marker.at) != (root_id, at):
            raise _of_another(at)


def establish_annexes(beneath: Beneath, root_id: str, *, accept_new: bool) -> None:
    """Give each annex its marker, prove it writable, and remember which there are.

    One that another root gave its own since `check_annexes` is refused as there. Raises
    DiskError read-only, no-space; SafetyError as `check_annexes`.
    """
    annexes = beneath.homes[1:]
    for at in annexes:
        marker = _Marker(root_id=root_id, at=at)
        control = beneath.near(at, OWN_FOLDER)
        known = _marker_of(beneath, at) == marker
        with (
            faults_of("write", f"{control}/{_MARKER}"),
            beneath.folder(control, make=True) as folder,
        ):
            data = _written(_MARKER_SCHEMA, root_id=root_id, at=at)
            if known:
                prove_writable(folder)
            elif accept_new:
                write_whole(folder, _MARKER, data)
            else:
                _mark(folder, data)
                if _marker_of(beneath, at) != marker:
                    raise _of_another(at)
    if set(_recorded(beneath)) != set(annexes):
        record = _written(_RECORD_SCHEMA, directories=sorted(annexes))
        with (
            faults_of("write", f"{OWN_FOLDER}/{ANNEXES}"),
            beneath.folder(OWN_FOLDER, make=True) as folder,
        ):
            write_whole(folder, ANNEXES, record)


def _open(folder: Folder, name: str, declared: Declared, root: str) -> Annex:
    """Open one. Raises OSError, SafetyError link-unusable."""
    at, status = declared.at, folder.stat(name)
    if declared.target:
        real = os.path.realpath(declared.target)
        _refuse_roots(at, root, real)
    else:
        real = os.path.join(folder.real, name)
        if is_link(status):
            raise unusable(at, "is a symbolic link: say where it leads, as DIR=TARGET")
    try:
        status = os.stat(real)
        if not stat.S_ISDIR(status.st_mode):
            raise unusable(at, f"does not lead to a directory: {shown(real)}")
        fd = None
        if folder.fd is not None:
            fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            status = os.fstat(fd)
    except OSError as error:
        raise unusable(
            at, f"leads to {shown(real)}, which cannot be opened: {error.strerror}"
        ) from None
    annex = Annex(declared, real, fd, status)
    annex.require(folder, name)
    if not declared.target and not _is_mounted(folder, fd, status):
        raise unusable(at, "has no disk mounted on it")
    if os.path.lexists(os.path.join(real, OWN_FOLDER, ROOT_MARKER)):
        raise unusable(at, f"is a root of its own: {shown(real)}")
    return annex


def _refuse_roots(at: str, root: str, real: str) -> None:
    """Refuse a target whose files something of civsync keeps already."""
    if _is_within(real, root) or _is_within(root, real):
        raise unusable(at, f"leads into the root itself, or to what is above it: {shown(real)}")
    above = os.path.dirname(real)
    while above != os.path.dirname(above):
        for marker in (ROOT_MARKER, _MARKER):
            if os.path.lexists(os.path.join(above, OWN_FOLDER, marker)):
                raise unusable(at, f"leads into what another root keeps: {shown(above)}")
        above = os.path.dirname(above)


def _is_mounted(folder: Folder, fd: int | None, status: os.stat_result) -> bool:
    if status.st_dev != folder.device:
        return True
    # A directory bound from the same file system has its number.
    if fd is None or folder.fd is None:
        return False
    mounts = [_mount_of(each) for each in (fd, folder.fd)]
    return None not in mounts and mounts[0] != mounts[1]


def _mount_of(fd: int) -> str | None:
    """Return what Linux says of the mount that an open directory is on (proc(5), fdinfo)."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            return next((line for line in file if line.startswith("mnt_id:")), None)
    except (OSError, ValueError):
        return None


def _is_within(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip(os.sep) + os.sep)


def _of_another(at: str) -> SafetyError:
    return unusable(at, "belongs to another root, or to another directory of this one")


def _mark(folder: Folder, data: bytes) -> None:
    """Make the marker, unless there is one by now. Raises OSError."""
    temporary = f".{_MARKER}.{os.urandom(6).hex()}.tmp"
    write_whole(folder, temporary, data)
    try:
        place_new(folder, temporary, folder, _MARKER)
    except FileExistsError:
        pass
    finally:
        with contextlib.suppress(OSError):
            folder.unlink(temporary)


def _marker_of(beneath: Beneath, at: str) -> _Marker | None:
    return _read(beneath, beneath.near(at, OWN_FOLDER), _MARKER, _MARKER_SCHEMA, _read_marker)


def _read_marker(record: Mapping[str, object]) -> _Marker:
    return _Marker(root_id=text_in(record, "root_id"), at=text_in(record, "at"))


def _recorded(beneath: Beneath) -> tuple[str, ...]:
    """Return which annexes got a marker, as the root says."""
    return _read(beneath, OWN_FOLDER, ANNEXES, _RECORD_SCHEMA, _read_directories) or ()


def _read_directories(record: Mapping[str, object]) -> tuple[str, ...]:
    return texts_in(record, "directories")


def _read(
    beneath: Beneath,
    control: str,
    name: str,
    schema: str,
    parse: Callable[[Mapping[str, object]], T],
) -> T | None:
    place = f"{control}/{name}"
    try:
        with beneath.folder(control) as folder:
            record = read_record(folder.read(name, MIB))
        if text_in(record, "schema") != schema:
            raise RecordError(f"its schema is not {schema}")
        if number_in(record, "schema_version") != _VERSION:
            raise RecordError("a newer civsync wrote it")
        return parse(record)
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise _damaged(place, str(error)) from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _damaged(place, "it is too large") from None
        raise translate(error, "read", place) from error


def _written(schema: str, **values: object) -> bytes:
    return write_record({"schema": schema, "schema_version": _VERSION, **values})


def _damaged(place: str, reason: str) -> SafetyError:
    return SafetyError(
        Code.STATE_DAMAGED,
        f"{shown(place)} cannot be believed: {shown(reason)}",
        subject=shown(place),
        hint=f"Restore {shown(place)}, or delete it and pass --new-root.",
    )
