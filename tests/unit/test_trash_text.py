"""The table of what is in trash: how long it is kept, and nothing that a name could do to it."""

import pytest

from civsync.cli.output import Output, OutputChoice
from civsync.cli.trash_text import trash_lines, trashed_document
from civsync.core.disk import Trashed
from civsync.core.limits import TRASH_DAYS
from civsync.core.names import SafePath

HOUR = 3600
DAY = 24 * HOUR
CAME = 1_700_000_000
END = CAME + TRASH_DAYS * DAY


def trashed(
    *, seconds: int = CAME, path: str | None = "loras/a.pt", reason: str = "replaced"
) -> Trashed:
    return Trashed(
        id="0123456789ab",
        path=None if path is None else SafePath(path),
        sha256=None,
        size=2048,
        frees=2048,
        reason=reason,
        seconds=seconds,
    )


def lines(*files: Trashed, now: float = CAME) -> list[str]:
    return list(trash_lines(files, now, Output(OutputChoice(color="never"))))


@pytest.mark.parametrize(
    ("left", "text"),
    [
        pytest.param(7 * DAY, "7 days", id="all of it"),
        pytest.param(7 * DAY - 1, "6 days", id="rounded down"),
        pytest.param(2 * DAY, "2 days", id="two days"),
        pytest.param(2 * DAY - 1, "47 h", id="less"),
        pytest.param(HOUR - 1, "0 h", id="less than an hour"),
        pytest.param(0, "next sync", id="over"),
        pytest.param(-90 * DAY, "next sync", id="long over"),
        pytest.param(8 * DAY, "8 days", id="a clock that was wrong"),
    ],
)
def test_how_long_a_file_is_kept_is_never_said_to_be_longer_than_it_is(
    left: int, text: str
) -> None:
    _, row = lines(trashed(), now=END - left)
    assert f"  2.0 KiB  {text}" in row


def test_an_empty_trash_has_no_table() -> None:
    assert lines() == []


@pytest.mark.parametrize("seconds", [0, 1, 99_999_999_999])
def test_no_time_that_a_name_can_have_is_too_much(seconds: int) -> None:
    assert len(lines(trashed(seconds=seconds))) == 2
    assert str(trashed_document(trashed(seconds=seconds))["since"]).endswith("Z")


def test_what_nobody_knows_is_a_question_mark_and_nothing_breaks_the_table() -> None:
    _, unknown, hostile = lines(
        trashed(path=None, reason=""), trashed(path="x\n\x1b[2J", reason="\u202egniht")
    )
    assert unknown.split()[-2:] == ["?", "?"]
    assert hostile.isprintable()
    assert r"\x1b" in hostile
