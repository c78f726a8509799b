"""Who receives what: pieces are disjoint, in the order of the file, and together the file."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.limits import LARGE_BUFFER_BYTES
from civsync.core.ranges import Ranges
from civsync.decide.pieces import Lease, Pieces, PieceTuning

SIZE = 100
TUNING = PieceTuning(segmented=50, shortest=10, longest=30, half=5)


def span(lease: Lease | None) -> tuple[int, int] | None:
    return None if lease is None else (lease.at, lease.end)


def test_alone_one_takes_everything_that_is_missing_up_to_the_next_byte_that_is_there() -> None:
    pieces = Pieces(SIZE)
    assert span(pieces.take(Ranges())) == (0, 100)
    assert span(Pieces(SIZE).take(Ranges(((0, 40),)))) == (40, 100)
    assert span(Pieces(SIZE).take(Ranges(((0, 40), (60, 70))))) == (40, 60)
    assert span(Pieces(SIZE).take(Ranges(((0, 100),)))) is None


def test_pieces_are_dealt_in_the_order_of_the_file() -> None:
    pieces = Pieces(SIZE)
    dealt = [span(pieces.take(Ranges(((10, 20),)), 30)) for _ in range(5)]
    assert dealt == [(0, 10), (20, 50), (50, 80), (80, 100), None]


def test_what_is_given_back_is_dealt_again_as_far_as_it_is_missing() -> None:
    pieces = Pieces(SIZE)
    first = pieces.take(Ranges(), 60)
    assert first is not None
    assert pieces.advance(first, 25) == 25
    pieces.give_back(first)
    pieces.give_back(first)
    assert span(pieces.take(Ranges(((0, 25),)))) == (25, 100)


def test_shortened_pieces_leave_the_rest_to_others() -> None:
    pieces = Pieces(SIZE)
    lease = pieces.take(Ranges())
    assert lease is not None
    pieces.advance(lease, 20)
    pieces.shorten(15)
    assert span(lease) == (20, 35)
    assert span(pieces.take(Ranges(((0, 20),)), 15)) == (35, 50)
    pieces.shorten(40)
    assert span(lease) == (20, 35)


def test_the_longest_piece_is_split_in_halves() -> None:
    pieces = Pieces(SIZE, TUNING)
    small, large = pieces.take(Ranges(), 20), pieces.take(Ranges(), 80)
    assert large is not None
    assert span(pieces.split()) == (60, 100)
    assert span(large) == (20, 60)
    assert span(small) == (0, 20)


def test_what_is_too_short_is_not_split() -> None:
    pieces = Pieces(SIZE, TUNING)
    lease = pieces.take(Ranges())
    assert lease is not None
    pieces.advance(lease, 91)
    assert pieces.split() is None
    assert Pieces(SIZE, TUNING).split() is None


def test_what_is_split_off_is_not_in_the_buffer_of_who_had_it() -> None:
    for short, start in ((0, LARGE_BUFFER_BYTES), (1, None)):
        pieces = Pieces(2 * LARGE_BUFFER_BYTES - short)
        assert pieces.take(Ranges()) is not None
        half = pieces.split()
        assert (half and half.start) == start


def test_no_more_is_taken_than_the_piece_has_left() -> None:
    pieces = Pieces(SIZE)
    lease = pieces.take(Ranges(), 30)
    assert lease is not None
    assert pieces.advance(lease, 20) == 20
    assert pieces.advance(lease, 20) == 10
    assert lease.left == 0


def test_pieces_last_about_two_seconds_within_bounds() -> None:
    pieces = Pieces(SIZE, TUNING)
    assert [pieces.length(rate) for rate in (0.0, 5.0, 10.0, 1e9)] == [10, 10, 20, 30]
    assert pieces.divisible
    assert not Pieces(49, TUNING).divisible


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "split", "shorten", "advance", "give"]), st.integers(1, 40)),
    max_size=60,
)


@given(steps=STEPS)
def test_whatever_happens_pieces_never_overlap_and_nothing_is_lost(
    steps: list[tuple[str, int]],
) -> None:
    pieces, done = Pieces(SIZE, TUNING), Ranges()
    for kind, number in steps:
        held = pieces.leases
        lease = held[number % len(held)] if held else None
        match kind:
            case "take":
                pieces.take(done, number)
            case "split":
                pieces.split()
            case "shorten":
                pieces.shorten(number)
            case "advance" if lease is not None:
                at = lease.at
                done = done.plus(at, at + pieces.advance(lease, number))
            case "give" if lease is not None:
                pieces.give_back(lease)
            case _:
                pass
        spans = sorted((each.start, each.end) for each in pieces.leases)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for lease in pieces.leases:
        done = done.plus(lease.at, lease.at + pieces.advance(lease, SIZE))
        pieces.give_back(lease)
    while (lease := pieces.take(done)) is not None:
        done = done.plus(lease.start, lease.end)
        pieces.give_back(lease)
    assert done == Ranges.prefix_of(SIZE)
