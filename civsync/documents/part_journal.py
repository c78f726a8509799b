"""The note at the end of a part that was received out of order: which of its bytes are there.

Two slots of one size stand behind the last byte of the file and are written in turn, so
that one of them is whole whenever a write is cut off. The note is a hint: what the bytes
are is judged by the hash of the whole file. It holds two sets of ranges, because the death
of a process leaves everything that was written, and that of the machine only what was
flushed before.
"""

import hashlib
from typing import Final

from civsync.core.limits import KIB
from civsync.core.ranges import Ranges
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode

SLOT_BYTES: Final = 4 * KIB
JOURNAL_BYTES: Final = 2 * SLOT_BYTES

_MAGIC: Final = b"civsync part 1\n"
_MOST_SPANS: Final = 50
"""Ranges of one set that fit into a slot whatever their numbers; a run has a handful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNote:
    """`number` grows with every note, `size` is that of the file in bytes.

    `written` is what the file holds as long as the system runs that is named by `boot`,
    `flushed` what it holds on the medium.
    """

    number: int
    size: int
    boot: str
    written: Ranges
    flushed: Ranges

    def held(self, boot: str) -> Ranges:
        """Return what can be relied on by a process of the running system `boot`, "" if unknown."""
        return self.written if boot and boot == self.boot else self.flushed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """A slot as decoded; ranges are pairs of first byte and end."""

    number: int
    size: int
    boot: str
    written: tuple[tuple[int, int], ...]
    flushed: tuple[tuple[int, int], ...]


def write_slot(note: PartNote) -> bytes:
    """Return a note as the bytes of one slot; of very many ranges the largest are kept."""
    payload = encode(
        _Slot(
            number=note.number,
            size=note.size,
            boot=note.boot,
            written=_largest(note.written),
            flushed=_largest(note.flushed),
        )
    )
    head = _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    return (head + payload + b"\n").ljust(SLOT_BYTES, b"\0")


def read_journal(data: bytes, size: int) -> PartNote | None:
    """Return the newest whole note of the slots in `data`; None if none is about `size` bytes."""
    if len(data) != JOURNAL_BYTES:
        return None
    found = (_read_slot(data[:SLOT_BYTES]), _read_slot(data[SLOT_BYTES:]))
    notes = [note for note in found if note is not None and note.size == size]
    return max(notes, key=lambda note: note.number, default=None)


def _read_slot(data: bytes) -> PartNote | None:
    text = data.rstrip(b"\0")
    if not text.startswith(_MAGIC):
        return None
    digest, _, payload = text.removeprefix(_MAGIC).partition(b"\n")
    payload = payload.removesuffix(b"\n")
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        return None
    try:
        slot = decode(payload, _Slot)
    except CodecError:
        return None
    sets = (slot.written, slot.flushed)
    if any(not 0 <= start < end <= slot.size for spans in sets for start, end in spans):
        return None
    return PartNote(
        number=slot.number,
        size=slot.size,
        boot=slot.boot,
        written=Ranges.of(slot.written),
        flushed=Ranges.of(slot.flushed),
    )


def _largest(ranges: Ranges) -> tuple[tuple[int, int], ...]:
    if len(ranges.spans) <= _MOST_SPANS:
        return ranges.spans
    by_length = sorted(ranges.spans, key=lambda span: span[0] - span[1])
    return tuple(sorted(by_length[:_MOST_SPANS]))
