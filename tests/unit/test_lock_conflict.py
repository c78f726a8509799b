"""Conflict markers as git writes them, and everything that only looks like them."""

import pytest

from civsync.core.codes import Code
from civsync.core.problems import DocumentError
from civsync.documents.lock_conflict import Sides, split_conflict

MERGE = """\
a
<<<<<<< HEAD
ours
=======
theirs
>>>>>>> branch
z
"""
DIFF3 = """\
a
<<<<<<< ours.json
ours
||||||| base.json
base
=======
theirs
>>>>>>> theirs.json
z
"""
NESTED_BASE = """\
a
<<<<<<< HEAD
ours
||||||| merged common ancestors
<<<<<<<<< Temporary merge branch 1
one base
||||||||| 1234567
=========
another
>>>>>>>>> Temporary merge branch 2
=======
theirs
>>>>>>> branch
z
"""
ONE_SIDED = """\
a
<<<<<<< HEAD
=======
theirs
>>>>>>> branch
<<<<<<< HEAD
ours
=======
>>>>>>> branch
z
"""


def longer(text: str) -> str:
    """The same with the markers that `conflict-marker-size=12` gives."""
    return "".join(
        line[:1] * 5 + line if line[:7] in {"<<<<<<<", "|||||||", "=======", ">>>>>>>"} else line
        for line in text.splitlines(keepends=True)
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(MERGE, id="merge"),
        pytest.param(DIFF3, id="diff3"),
        pytest.param(NESTED_BASE, id="a base in conflict with itself"),
        pytest.param(ONE_SIDED, id="two hunks, one side empty in each"),
        pytest.param(longer(MERGE), id="long markers"),
        pytest.param(longer(DIFF3), id="long markers, diff3"),
        pytest.param(MERGE.replace(" HEAD", "").replace(" branch", ""), id="no labels"),
    ],
)
def test_both_sides_come_out_whole_and_the_base_is_left_out(text: str, newline: str) -> None:
    sides = split_conflict(text.replace("\n", newline).encode())
    assert sides == Sides(
        ours=newline.join(["a", "ours", "z", ""]).encode(),
        theirs=newline.join(["a", "theirs", "z", ""]).encode(),
        line=2,
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param('{"a": 1}\n', id="plain text"),
        pytest.param('{"name": "<<<<<<< HEAD"}\n', id="a name that says so"),
        pytest.param("<<<<<<\n", id="six signs"),
        pytest.param("<<<<<<<HEAD\n", id="no space before the label"),
    ],
)
def test_a_text_without_markers_has_no_sides(text: str) -> None:
    assert split_conflict(text.encode()) is None


LINES = MERGE.splitlines()


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        pytest.param(LINES[:5], 2, id="no end"),
        pytest.param([*LINES[:3], *LINES[5:]], 4, id="no middle"),
        pytest.param([LINES[0], *LINES[2:]], 3, id="no beginning"),
        pytest.param([*LINES[:2], *LINES[1:]], 3, id="a conflict in ours"),
        pytest.param([*LINES[:5], "<<<<<<< x", *LINES[5:]], 6, id="a conflict in theirs"),
        pytest.param([*LINES[:4], "=======", *LINES[4:]], 5, id="two middles"),
        pytest.param([*LINES[:4], "||||||| x", *LINES[4:]], 5, id="a base after the middle"),
        pytest.param([*LINES[:5], ">>>>>>>> x", *LINES[6:]], 6, id="an end of another length"),
        pytest.param([*LINES, ">>>>>>> again"], 8, id="two ends"),
    ],
)
def test_markers_that_do_not_belong_together_are_named_with_their_line(
    lines: list[str], at: int
) -> None:
    with pytest.raises(DocumentError) as caught:
        split_conflict("\n".join(lines).encode(), name="my.lock")
    assert caught.value.code is Code.LOCK_CONFLICT
    assert str(caught.value.place) == f"my.lock:{at}"
    assert "git checkout --ours" in caught.value.problems[0].hint


def test_a_last_line_without_an_end_is_kept_as_it_is() -> None:
    sides = split_conflict(MERGE.removesuffix("\n").encode())
    assert sides is not None
    assert sides.ours.endswith(b"\nz")
    marker_last = "".join(MERGE.splitlines(keepends=True)[:-1]).removesuffix("\n")
    sides = split_conflict(marker_last.encode())
    assert sides is not None
    assert sides.theirs == b"a\ntheirs\n"
