"""Heads and bodies cut out of a stream, whatever the pieces in which it comes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.wire.framing import HEAD_BYTES, Body, CutError, FramingError, read_head


class Trickle:
    """A stream that comes in pieces of the given sizes, then of one byte.

    Before each piece there is nothing for a moment.
    """

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = list(sizes)
        self._there = 0

    def line(self, limit: int) -> bytes:
        """The next line, however long it takes."""
        while (line := self.line_now(limit)) is None:
            pass
        return line

    def line_now(self, limit: int) -> bytes | None:
        end = self._data.find(b"\n", 0, limit) + 1 or min(limit, len(self._data))
        if self._there < end:
            self._more()
            return None
        return self._take(end)

    def read_now(self, view: memoryview) -> int | None:
        if self._there == 0 and self._data:
            self._more()
            return None
        piece = self._take(min(len(view), self._there))
        view[: len(piece)] = piece
        return len(piece)

    def _more(self) -> None:
        size = self._sizes.pop() if self._sizes else 1
        self._there = min(self._there + size, len(self._data))

    def _take(self, count: int) -> bytes:
        piece, self._data = self._data[:count], self._data[count:]
        self._there -= count
        return piece


def received(data: bytes, sizes: list[int], room: int = 7) -> tuple[int, bytes]:
    """The status and the body of a reply that comes in these pieces."""
    stream = Trickle(data, sizes)
    head = read_head(stream.line)
    body = Body(stream, head)
    taken = bytearray()
    with memoryview(bytearray(room)) as view:
        while (count := body.read_now(view)) != 0:
            taken += view[: count or 0]
    return head.status, bytes(taken)


SIZED = b"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"4\r\n0123\r\n00A ; x=y\r\n456789abcd\r\n0\r\nX: y\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.0 200\nA: b\n\nall that comes"


@given(
    reply=st.sampled_from(
        [
            (SIZED, 206, b"0123456789"),
            (SIZED + b"the next reply", 206, b"0123456789"),
            (CHUNKED, 200, b"0123456789abcd"),
            (UNTIL_CLOSE, 200, b"all that comes"),
            (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nxxxxx", 204, b""),
            (b"HTTP/1.1 100 Go on\r\nA: b\r\n\r\n" + SIZED, 206, b"0123456789"),
        ]
    ),
    sizes=st.lists(st.integers(1, 20), max_size=30),
    room=st.integers(1, 30),
)
def test_the_pieces_of_the_stream_make_no_difference(
    reply: tuple[bytes, int, bytes], sizes: list[int], room: int
) -> None:
    data, status, body = reply
    assert received(data, sizes, room) == (status, body)


@given(
    start=st.sampled_from([b"", SIZED, CHUNKED, UNTIL_CLOSE]),
    cut=st.integers(0, 60),
    rest=st.binary(max_size=60),
)
def test_any_bytes_are_a_reply_or_are_refused_by_name(start: bytes, cut: int, rest: bytes) -> None:
    with suppress(FramingError, CutError):
        received(start[: len(start) - cut] + rest, [100])


def test_repeated_headers_are_joined_and_text_is_decoded() -> None:
    data = b"HTTP/1.1 200 OK\r\nA: x\r\na:  y \r\nB: \xc3\xbc\r\nC: \xfc\r\nD:\r\n\r\n"
    head = read_head(Trickle(data, []).line)
    assert head.fields == {"a": "x, y", "b": "ü", "c": "ü", "d": ""}


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_only_if_the_peer_keeps_it(data: bytes, keeps: bool) -> None:
    assert read_head(Trickle(data, []).line).keeps is keeps


def test_equal_lengths_twice_are_one() -> None:
    twice = SIZED.replace(b"\r\n\r\n", b"\r\nContent-Length: 10\r\n\r\n")
    assert received(twice, []) == (206, b"0123456789")


def test_a_head_is_bounded_as_a_whole() -> None:
    lines = b"".join(b"H%d: x\r\n" % n for n in range(HEAD_BYTES // 8))
    with pytest.raises(FramingError):
        received(b"HTTP/1.1 200 OK\r\n" + lines, [HEAD_BYTES] * 3)
