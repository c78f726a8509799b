"""An age or a date has one spelling, and it means the same on every machine."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from civsync.decide.admission import bound_of
from civsync.documents.cutoffs import CutoffError, spell_cutoff

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("7 days", "7 days"),
        ("7days", "7 days"),
        ("07 Day", "7 days"),
        ("1 days", "1 day"),
        ("24 hours", "24 hours"),
        ("1 hour", "1 hour"),
        ("2 weeks", "2 weeks"),
        (" 9999 weeks ", "9999 weeks"),
        ("2026-05-01", "2026-05-01"),
        ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z"),
        ("2026-05-01T12:00", "2026-05-01T12:00:00Z"),
        ("2026-05-01 12:00:07", "2026-05-01T12:00:07Z"),
        ("2026-05-01t12:00:00.999z", "2026-05-01T12:00:00Z"),
        ("2026-05-01T00:30:00+02:00", "2026-04-30T22:30:00Z"),
        ("2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59Z"),
    ],
)
def test_an_age_or_date_gets_its_one_spelling(text: str, spelled: str) -> None:
    assert spell_cutoff(text) == spelled
    assert spell_cutoff(spelled) == spelled
    assert bound_of(spelled, NOW) is not None


@pytest.mark.parametrize(
    "text",
    [
        "", "week", "7", "-7 days", "7.5 days", "0 days", "10000 days", "7 months", "7 fortnights",
        "yesterday", "2026", "2026-05", "2026-5-1", "20260501", "2026-W18-5", "2026-02-29",
        "0000-01-01", "9999-12-31", "2026-05-01T", "2026-05-01T25:00", "2026-05-01T12", "12:00",
        "0001-01-01T00:00:00+14:00", "2026-05-01T12:00:00+99:00", "2026-05-01T12:00:00 CET",
        "7 days ago", "\u0667 days", "2026-05-01\n2026-05-02", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_neither_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(CutoffError) as caught:
        spell_cutoff(text)
    assert len(str(caught.value)) < 100


@given(st.text(max_size=30))
def test_any_text_has_one_spelling_or_is_refused(text: str) -> None:
    try:
        spelled = spell_cutoff(text)
    except CutoffError:
        return
    assert spell_cutoff(spelled) == spelled
    assert bound_of(spelled, NOW) is not None


@given(st.datetimes(), st.integers(-23 * 60, 23 * 60))
def test_a_moment_is_the_same_in_every_zone(moment: datetime, minutes: int) -> None:
    assume(1 < moment.year < 9999)
    zoned = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert datetime.fromisoformat(spell_cutoff(zoned.isoformat())) == zoned
