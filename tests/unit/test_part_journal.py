"""The note at the end of a part: read as it was written, and believed only where it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.ranges import Ranges
from civsync.documents.part_journal import (
    JOURNAL_BYTES,
    SLOT_BYTES,
    PartNote,
    read_journal,
    write_slot,
)

SIZE = 10**12
OLD = PartNote(number=6, size=SIZE, boot="b", written=Ranges(((0, 5),)), flushed=Ranges(((0, 4),)))
NEW = PartNote(
    number=7, size=SIZE, boot="b", written=Ranges(((0, 5), (8, 9))), flushed=Ranges(((0, 4),))
)
NOTHING = bytes(SLOT_BYTES)


@pytest.mark.parametrize(
    ("slots", "found"),
    [
        pytest.param(write_slot(OLD) + write_slot(NEW), NEW, id="newer second"),
        pytest.param(write_slot(NEW) + write_slot(OLD), NEW, id="newer first"),
        pytest.param(write_slot(OLD) + NOTHING, OLD, id="only one was written"),
        pytest.param(write_slot(OLD) + write_slot(NEW)[:-1] + b"!", OLD, id="torn at the end"),
        pytest.param(
            write_slot(OLD) + write_slot(NEW)[:90] + NOTHING[90:], OLD, id="torn in the middle"
        ),
        pytest.param(NOTHING * 2, None, id="zeros"),
        pytest.param(b"\xff" * JOURNAL_BYTES, None, id="noise"),
        pytest.param(write_slot(OLD), None, id="too short"),
        pytest.param(write_slot(OLD) + NOTHING + b"\0", None, id="too long"),
    ],
)
def test_the_newest_whole_note_counts(slots: bytes, found: PartNote | None) -> None:
    assert read_journal(slots, SIZE) == found


def test_a_note_about_another_size_is_none() -> None:
    assert read_journal(write_slot(OLD) + NOTHING, SIZE - 1) is None


@given(at=st.integers(0, JOURNAL_BYTES - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_makes_a_note_that_was_not_written(at: int, bit: int) -> None:
    slots = bytearray(write_slot(OLD) + write_slot(NEW))
    slots[at] ^= 1 << bit
    assert read_journal(bytes(slots), SIZE) in (OLD, NEW)


def test_after_the_death_of_a_process_all_that_was_written_counts() -> None:
    assert NEW.held("b") == NEW.written


@pytest.mark.parametrize("boot", ["another", ""])
def test_after_the_death_of_the_machine_only_what_was_flushed_counts(boot: str) -> None:
    assert NEW.held(boot) == NEW.flushed


def test_where_nothing_names_the_system_only_what_was_flushed_counts() -> None:
    nameless = PartNote(
        number=1, size=SIZE, boot="", written=Ranges(((0, 9),)), flushed=Ranges(((0, 1),))
    )
    assert nameless.held("") == nameless.flushed


def test_of_very_many_ranges_the_largest_fit_and_are_noted() -> None:
    wide = [(at * 10**9, at * 10**9 + at + 1) for at in range(900)]
    note = PartNote(number=1, size=SIZE, boot="x" * 36, written=Ranges.of(wide), flushed=Ranges())
    slot = write_slot(note)
    assert len(slot) == SLOT_BYTES
    found = read_journal(slot + NOTHING, SIZE)
    assert found is not None
    assert set(found.written.spans) < set(wide)
    assert wide[-1] in found.written.spans


@pytest.mark.parametrize("span", [(-1, 4), (5, 4), (0, SIZE + 1)], ids=str)
def test_ranges_that_no_file_has_make_the_note_none(span: tuple[int, int]) -> None:
    note = PartNote(number=1, size=SIZE, boot="b", written=Ranges((span,)), flushed=Ranges())
    assert read_journal(write_slot(note) + NOTHING, SIZE) is None
