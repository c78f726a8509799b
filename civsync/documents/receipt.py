"""The receipt and its journal: what civsync owns under a root, as text and back.

The receipt is input like any other: it decides what may be deleted, and somebody may have
edited it. Every path is checked as those of a lock are, every hash must be one, and one
bad record damages the whole, because a half-believed receipt loses ownership silently.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NoReturn, assert_never

from civsync.core.codes import Code
from civsync.core.disk import Known, Owned, Receipt
from civsync.core.errors import SafetyError
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode, pretty

SCHEMA: Final = "civsync.receipt"
VERSION: Final = 2
PLAIN_VERSION: Final = 1
"""Of a receipt that protects nothing. One that does must not be read by a civsync that would
take such files away."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """A file is about to get its name; `owned.stamp` is that of the part."""

    owned: Owned


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A file has its name."""

    owned: Owned


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A path is not ours any more."""

    path: SafePath


Note = Intended | Placed | Released


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What is read first, whatever else a text holds."""

    schema: str = ""
    schema_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """As decoded: its paths are `SafePath` by type only until each has been checked."""

    schema: str
    schema_version: int
    root_id: str
    owned: tuple[Owned, ...]
    known: Mapping[SafePath, Known]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A note as decoded: `owned` where something was placed or is to be, else `path`."""

    note: Literal["intend", "placed", "released"]
    owned: Owned | None = None
    path: str = ""


def write_receipt(receipt: Receipt) -> bytes:
    """Return the text of `receipt`, sorted by path."""
    document = _Document(
        schema=SCHEMA,
        schema_version=VERSION
        if any(owned.protect for owned in receipt.owned.values())
        else PLAIN_VERSION,
        root_id=receipt.root_id,
        owned=tuple(receipt.owned[path] for path in sorted(receipt.owned)),
        known=receipt.known,
    )
    return pretty(encode(document))


def read_receipt(data: bytes, name: str) -> Receipt:
    """Return the receipt in `data`; `name` is what messages call it.

    Raises SafetyError state-damaged.
    """
    try:
        document = decode(data, _Document)
    except CodecError as error:
        _explain(data, name, error)
    if document.schema != SCHEMA or document.schema_version not in (PLAIN_VERSION, VERSION):
        _explain(data, name, None)
    owned = {each.path: each for each in document.owned}
    if len(owned) != len(document.owned):
        raise _damaged(name, "a path stands in it twice")
    for each in document.owned:
        _check(each.path, each.sha256, name)
    for path, known in document.known.items():
        _check(path, known.sha256, name)
    return Receipt(root_id=document.root_id, owned=owned, known=document.known)


def write_note(note: Note) -> bytes:
    """Return one line of the journal, with its newline."""
    match note:
        case Intended():
            line = _Line(note="intend", owned=note.owned)
        case Placed():
            line = _Line(note="placed", owned=note.owned)
        case Released():
            line = _Line(note="released", path=note.path)
        case _:
            assert_never(note)
    return encode(line) + b"\n"


def read_notes(data: bytes, name: str) -> tuple[Note, ...]:
    """Return the notes in `data`, in their order.

    A last line without its newline was cut off by a crash: nothing had followed from it
    yet, so it is left out. So are lines with zeros, which is what a power cut makes of
    lines that had not been flushed; an intent always had been before anything followed
    from it. Raises SafetyError state-damaged for any other fault.
    """
    notes: list[Note] = []
    for number, text in enumerate(data.split(b"\n")[:-1], start=1):
        if b"\0" in text:
            continue
        try:
            notes.append(_note(decode(text, _Line), f"{name}:{number}"))
        except CodecError as error:
            raise _damaged(f"{name}:{number}", str(error)) from None
    return tuple(notes)


def replay(receipt: Receipt, notes: Iterable[Note]) -> tuple[Receipt, tuple[Owned, ...]]:
    """Work `notes` into `receipt`.

    Returns it with the intents whose outcome is unknown: their files are ours exactly if
    the path holds the intended content.
    """
    owned = dict(receipt.owned)
    open_intents: dict[SafePath, Owned] = {}
    for note in notes:
        match note:
            case Intended():
                open_intents[note.owned.path] = note.owned
            case Placed():
                open_intents.pop(note.owned.path, None)
                owned[note.owned.path] = note.owned
            case Released():
                open_intents.pop(note.path, None)
                owned.pop(note.path, None)
            case _:
                assert_never(note)
    known = {path: each for path, each in receipt.known.items() if path not in owned}
    return (
        Receipt(root_id=receipt.root_id, owned=owned, known=known),
        tuple(open_intents.values()),
    )


def _note(line: _Line, name: str) -> Note:
    if line.note == "released":
        return Released(path=_path(line.path, name))
    if line.owned is None:
        raise _damaged(name, f'a "{line.note}" names no file')
    _check(line.owned.path, line.owned.sha256, name)
    return Intended(owned=line.owned) if line.note == "intend" else Placed(owned=line.owned)


def _check(path: str, sha256: str, name: str) -> None:
    _path(path, name)
    if not _SHA256.match(sha256):
        raise _damaged(name, f"the hash of {path} is none")


def _path(path: str, name: str) -> SafePath:
    try:
        return parse_path(path)
    except UnsafePathError as error:
        raise _damaged(name, str(error)) from None


def _explain(data: bytes, name: str, error: CodecError | None) -> NoReturn:
    """Raise the error for a receipt that is none of ours, a newer one's above all."""
    try:
        header = decode(data, _Header)
    except CodecError:
        header = _Header()
    if header.schema == SCHEMA and header.schema_version > VERSION:
        raise SafetyError(
            Code.STATE_DAMAGED,
            f"{name} was written by a newer civsync",
            subject=name,
            hint="Upgrade civsync.",
            data={"newer": True},
        )
    where = f" at {error.path}" if error is not None and error.path else ""
    raise _damaged(name, f"{error}{where}" if error is not None else "it is no receipt")


def _damaged(name: str, what: str) -> SafetyError:
    return SafetyError(Code.STATE_DAMAGED, f"{name} cannot be believed: {what}", subject=name)
