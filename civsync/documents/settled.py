"""The note on a root that was found to hold all that a lock wants: bytes and back.

It is read by every run that has nothing to do, so it is laid out for that: a line of JSON, the
stamps as three rows of eight-byte numbers, and the paths as one text. A receipt of 10,000 files
takes ten times as long to take apart. The bytes are for this machine alone (their order is the
machine's), and begin with a digest of all the rest: a note that is cut off, or of which one bit
differs, is none.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from civsync.core.groups import Unselected
from civsync.documents.record import (
    RecordError,
    digest_of,
    number_in,
    numbers_in,
    read_record,
    text_in,
    texts_in,
    write_record,
)

_VERSION: Final = 3
_BETWEEN_PATHS: Final = "\0"
_BEFORE_FILES: Final = "\n"
"""No safe path holds either of the two."""

_DIGEST: Final = 64
_NUMBER: Final = 8


class Stamped(NamedTuple):
    """Files and how they are known again, value by value in the same order.

    `folders` are all directories on the way to one. Times are nanoseconds, sizes bytes.
    """

    folders: Sequence[str] = ()
    paths: Sequence[str] = ()
    mtimes_ns: Sequence[int] = ()
    sizes: Sequence[int] = ()
    inodes: Sequence[int] = ()


class TextStamp(NamedTuple):
    """A text as it lay on a disk: how it is known again unread. Times in nanoseconds.

    No program can set the time of change, so a text that was written since has another stamp
    even where its writer put the time of modification back.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Settled(NamedTuple):
    """A root that was found to hold all that a selection of a lock wants, and nothing stale.

    The digests are of the texts of that lock and of the receipt, `selection` is the text of
    the groups; `files` counts the paths, `unselected` what the selection leaves out. `stamped`
    are the files that the receipt knows. `lock_stamp` is None where only its digest tells.
    """

    lock_sha256: str
    lock_stamp: TextStamp | None
    receipt_blake3: str
    selection: str
    files: int
    unselected: Unselected
    stamped: Stamped = Stamped()


def write_settled(settled: Settled) -> bytes:
    """Return the bytes of a note.

    Raises RecordError where a number needs more than eight bytes, or a text has no UTF-8 form.
    """
    unselected, stamped = settled.unselected, settled.stamped
    head = {
        "version": _VERSION,
        "lock_sha256": settled.lock_sha256,
        "lock_stamp": settled.lock_stamp or (),
        "receipt_blake3": settled.receipt_blake3,
        "selection": settled.selection,
        "files": settled.files,
        "unselected": unselected.files,
        "unselected_groups": unselected.groups,
        "unselected_ungrouped": int(unselected.ungrouped),
        "stamps": len(stamped.paths),
    }
    text = _BEFORE_FILES.join(map(_BETWEEN_PATHS.join, (stamped.folders, stamped.paths)))
    try:
        rows = (
            _row("q", stamped.mtimes_ns),
            _row("Q", stamped.sizes),
            _row("Q", stamped.inodes),
            text.encode(),
        )
    except ValueError as error:
        raise RecordError(str(error)) from None
    rest = write_record(head, indent=None) + b"".join(rows)
    return f"{digest_of(rest)}\n".encode() + rest


def read_settled(data: bytes) -> Settled:
    """Return the note in `data`. Raises RecordError for anything that is not a whole one."""
    rest = memoryview(data)[_DIGEST + 1 :]
    if data[: _DIGEST + 1] != f"{digest_of(rest)}\n".encode():
        raise RecordError("the digest is another one")
    end = data.find(b"\n", _DIGEST + 1) + 1
    head = read_record(data[_DIGEST + 1 : end])
    if number_in(head, "version") != _VERSION:
        raise RecordError("it is of another version")
    return Settled(
        lock_sha256=text_in(head, "lock_sha256"),
        lock_stamp=_lock_stamp(head),
        receipt_blake3=text_in(head, "receipt_blake3"),
        selection=text_in(head, "selection"),
        files=number_in(head, "files"),
        unselected=_unselected(head),
        stamped=_stamped(memoryview(data)[end:], number_in(head, "stamps")),
    )


def _lock_stamp(head: Mapping[str, object]) -> TextStamp | None:
    numbers = numbers_in(head, "lock_stamp")
    if not numbers:
        return None
    if len(numbers) != len(TextStamp._fields):
        raise RecordError("lock_stamp is none")
    return TextStamp(*numbers)


def _unselected(head: Mapping[str, object]) -> Unselected:
    return Unselected(
        files=number_in(head, "unselected"),
        groups=texts_in(head, "unselected_groups"),
        ungrouped=bool(number_in(head, "unselected_ungrouped")),
    )


def _stamped(body: memoryview, count: int) -> Stamped:
    row = count * _NUMBER
    try:
        text = str(body[3 * row :], "utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(str(error)) from None
    folders, _, files = text.partition(_BEFORE_FILES)
    paths = files.split(_BETWEEN_PATHS) if files else []
    if count < 0 or len(paths) != count:
        raise RecordError("there is not a stamp for each path")
    return Stamped(
        folders=folders.split(_BETWEEN_PATHS) if folders else [],
        paths=paths,
        mtimes_ns=body[:row].cast("q").tolist(),
        sizes=body[row : 2 * row].cast("Q").tolist(),
        inodes=body[2 * row : 3 * row].cast("Q").tolist(),
    )


def _row(kind: Literal["q", "Q"], numbers: Sequence[int]) -> bytes:
    """Return the numbers, signed ("q") or not. Raises ValueError for one that is too large."""
    row = memoryview(bytearray(len(numbers) * _NUMBER)).cast(kind)
    for at, number in enumerate(numbers):
        row[at] = number
    return row.tobytes()
