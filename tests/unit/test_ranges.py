"""Which bytes are there: union, prefix and gaps, against a set of byte numbers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.ranges import Ranges

SIZE = 40
SPANS = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda pair: (min(pair), max(pair))),
    max_size=12,
)


def numbers(spans: list[tuple[int, int]]) -> set[int]:
    return {number for start, end in spans for number in range(start, end)}


@given(spans=SPANS)
def test_ranges_are_the_set_of_their_bytes(spans: list[tuple[int, int]]) -> None:
    ranges, expected = Ranges.of(spans), numbers(spans)
    assert numbers(list(ranges.spans)) == expected
    assert ranges.total == len(expected)
    assert ranges.prefix == next(n for n in range(SIZE + 1) if n not in expected)
    assert numbers(list(ranges.gaps(SIZE))) == set(range(SIZE)) - expected


@given(spans=SPANS)
def test_spans_are_sorted_apart_and_never_empty(spans: list[tuple[int, int]]) -> None:
    found = Ranges.of(spans).spans
    assert all(start < end for start, end in found)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("spans", "contiguous"),
    [([], True), ([(0, 5)], True), ([(1, 5)], False), ([(0, 2), (3, 5)], False)],
    ids=str,
)
def test_only_a_prefix_is_contiguous(spans: list[tuple[int, int]], *, contiguous: bool) -> None:
    assert Ranges.of(spans).contiguous is contiguous


def test_a_prefix_of_nothing_is_empty() -> None:
    assert Ranges.prefix_of(0) == Ranges()
    assert Ranges.prefix_of(3).spans == ((0, 3),)
