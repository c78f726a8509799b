"""Ages mean what their units say, and nothing else is an age."""

import pytest

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.documents.ages import AGE_HINT, parse_age

HOUR = 3600


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("0d", 0),
        ("1h", 1),
        ("12 hours", 12),
        ("30d", 720),
        ("30D", 720),
        (" 1 day ", 24),
        ("2w", 336),
        ("2 weeks", 336),
        ("99999w", 99999 * 168),
    ],
)
def test_an_age_is_its_seconds(text: str, hours: int) -> None:
    assert parse_age(text) == hours * HOUR


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1.5d", "30 m", "1d 2h", "100000d", "٣d", "30days ago"]
)
def test_what_is_no_age_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(UserError, match="is no age") as caught:
        parse_age(text)
    assert (caught.value.code, caught.value.hint) == (Code.USAGE, AGE_HINT)
