"""A head that was read ahead as a whole means what its lines mean one by one."""

import socket
from collections.abc import Callable
from time import monotonic

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civsync.wire.framing import HEAD_BYTES, CutError, FramingError, RawHead, read_head
from civsync.wire.stream import Stream

BODY = b"the body"

Told = RawHead | type[Exception]


def told(data: bytes, *, at_once: bool) -> tuple[Told, bytes]:
    """What `data` is read as, by a real stream, and what of it is left behind the head."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        ours.setblocking(False)
        stream = Stream(ours, silence=20)

        def line(limit: int) -> bytes:
            return stream.line(limit, monotonic() + 20)

        block: Callable[[int], bytes | None] = stream.block_now if at_once else lambda _: None
        try:
            head = read_head(line, block)
        except (CutError, FramingError) as error:
            return type(error), b""
        rest = bytearray(len(data))
        with memoryview(rest) as view:
            count = stream.read_now(view) or 0
        return head, bytes(rest[:count])


LINES = st.one_of(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 103 Early Hints",
            b"HTTP/1.0 404",
            b"Content-Length: 8",
            b"content-length:8",
            b"Connection: keep-alive, Close",
            b"X:  spaces  ",
            b"X: \t",
            b"Name: caf\xc3\xa9",
            b"Name: caf\xe9",
            b"no colon",
            b" folded: value",
            b"sp ace: value",
            b"X: a\rb",
            b"X: a\x00b",
            b"X: a\x0bb",
            b"",
        ]
    ),
    st.binary(max_size=8),
)
ENDS = st.sampled_from([b"\r\n", b"\n"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=12), status=st.booleans())
@example(lines=[(b"A: b", b"\n"), (b"", b"\n"), (b"C: d", b"\r\n"), (b"", b"\r\n")], status=True)
@example(lines=[(b"", b"\r\n"), (b"A: b", b"\r\n"), (b"", b"\r\n")], status=True)
@example(lines=[(b"N: \xe9", b"\r\n"), (b"A: b\rc", b"\r\n"), (b"", b"\r\n")], status=True)
def test_both_ways_read_the_same(lines: list[tuple[bytes, bytes]], status: bool) -> None:
    first = b"HTTP/1.1 200 OK\r\n" if status else b""
    data = first + b"".join(line + end for line, end in lines) + BODY
    assert told(data, at_once=True) == told(data, at_once=False)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_head_at_the_limit_is_read_and_one_above_it_is_not(at_once: bool) -> None:
    first, end = b"HTTP/1.1 200 OK\r\n", b"\r\n"
    room = HEAD_BYTES - len(first) - len(end)
    for more, good in ((0, True), (1, False)):
        field = b"X: " + b"x" * (room - 5 + more) + b"\r\n"
        found, _ = told(first + field + end + BODY, at_once=at_once)
        assert (found is not FramingError) is good


def test_a_whole_head_that_was_read_ahead_is_taken_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n" + BODY)
        ours.setblocking(False)
        stream = Stream(ours, silence=20)
        assert stream.line(100, monotonic() + 20) == b"HTTP/1.1 200 OK\r\n"
        assert stream.block_now(100) == b"A: b\r\nC: d\r\n\r\n"
        assert stream.block_now(100) is None
