"""How fast bytes may come, and how slow: over real sockets, and without a clock in the tests."""

import errno
import mmap
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import CHUNK_BYTES, GIB, KIB, LARGE_BUFFER_BYTES, MIB
from civsync.core.wire import Head
from civsync.decide.floor import Floor
from civsync.ports import Sink
from civsync.wire.abort import Abort, StoppedError
from civsync.wire.framing import Body, RawHead
from civsync.wire.stream import Stream
from civsync.wire.throttle import Throttle
from civsync.wire.transport import HttpTransport
from support.wire_server import Pause, Send, Step, WireServer, reply, serve

T = TypeVar("T")
FOR_EVER_S = 1000.0
"""Longer than any test may take."""


class Pieces:
    """A judge that accepts everything, and the sizes of the pieces that its sink got."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.arrived = threading.Event()

    def __call__(self, _: Head) -> Sink | None:
        return self.take

    def take(self, data: memoryview | bytes) -> None:
        self.sizes.append(len(data))
        self.arrived.set()


def using(transport: HttpTransport, work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            return await work()
        finally:
            await transport.aclose()

    return anyio.run(main)


# --- the size of pieces ---------------------------------------------------------------


def test_a_body_that_begins_alone_comes_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("civsync.wire.bulk._GATHER_S", FOR_EVER_S)
    size = 8 * LARGE_BUFFER_BYTES + CHUNK_BYTES
    transport, outer, inner, later = HttpTransport(), Pieces(), Pieces(), Pieces()

    async def main(url: str) -> None:
        async with anyio.create_task_group() as group:
            begun, go_on = threading.Event(), threading.Event()

            def take(data: memoryview | bytes) -> None:
                begun.set()
                assert go_on.wait(20)
                outer.take(data)

            group.start_soon(transport.stream, url, {}, lambda _: take)
            assert await anyio.to_thread.run_sync(begun.wait, 20)
            await transport.stream(url, {}, inner)
            go_on.set()
        await transport.stream(url, {}, later)

    steps = [Send(reply(200, bytes(size)))]
    with serve(steps, steps, steps) as server:
        using(transport, lambda: main(server.url()))
    assert outer.sizes == later.sizes == [*[LARGE_BUFFER_BYTES] * 8, CHUNK_BYTES]
    assert inner.sizes == [CHUNK_BYTES] * (size // CHUNK_BYTES)


def test_without_memory_for_a_buffer_the_body_is_lost_and_nothing_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def scarce(descriptor: int, size: int, **options: int) -> mmap.mmap:
        made.append(size)
        if len(made) == 3:
            raise OSError(errno.ENOMEM, "no memory")
        return real(descriptor, size, **options)

    real = mmap.mmap
    monkeypatch.setattr("civsync.wire.bulk.mmap.mmap", scarce)
    pieces, transport = Pieces(), HttpTransport()
    with serve([Send(reply(200, bytes(8 * MIB)))]) as server, pytest.raises(WireError) as caught:
        using(transport, lambda: transport.stream(server.url(), {}, pieces))
    assert caught.value.retry
    assert sum(pieces.sizes) > 0
    assert len(pieces.sizes) == 2


def test_a_body_of_few_large_pieces_comes_in_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("civsync.wire.bulk._GATHER_S", FOR_EVER_S)
    transport, pieces = HttpTransport(), Pieces()
    with serve([Send(reply(200, bytes(8 * LARGE_BUFFER_BYTES - 1)))]) as server:
        using(transport, lambda: transport.stream(server.url(), {}, pieces))
    assert max(pieces.sizes) == CHUNK_BYTES


# --- the limit ------------------------------------------------------------------------


@pytest.fixture
def endless() -> Iterator[tuple[WireServer, Pause]]:
    """A server of more bytes than all buffers of the system hold, and the point behind them."""
    sent = Pause()
    with serve([Send(reply(200, bytes(64 * MIB))), sent]) as server:
        yield server, sent


def test_a_low_limit_makes_small_pieces_and_holds_back_the_peer(
    endless: tuple[WireServer, Pause],
) -> None:
    server, sent = endless
    transport, pieces = HttpTransport(limit_rate=1), Pieces()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.stream, server.url(), {}, pieces)
            assert await anyio.to_thread.run_sync(pieces.arrived.wait, 20)
            # Cancelled in its wait of more than an hour, which ends at once.
            group.cancel_scope.cancel()

    using(transport, main)
    assert len(pieces.sizes) == 1
    assert pieces.sizes[0] <= 4 * KIB
    assert not sent.reached.is_set()


def test_a_limit_that_is_lifted_lets_go_of_those_who_wait(
    endless: tuple[WireServer, Pause],
) -> None:
    server, _ = endless
    transport, pieces = HttpTransport(limit_rate=1), Pieces()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.stream, server.url(), {}, pieces)
            assert await anyio.to_thread.run_sync(pieces.arrived.wait, 20)
            transport.limit(None)

    using(transport, main)
    assert sum(pieces.sizes) == 64 * MIB
    assert max(pieces.sizes) > 4 * KIB


def test_a_limit_that_begins_in_the_middle_holds_for_what_is_under_way(
    endless: tuple[WireServer, Pause],
) -> None:
    server, sent = endless
    transport, pieces = HttpTransport(), Pieces()

    def take(data: memoryview | bytes) -> None:
        if not pieces.sizes:
            transport.limit(1)
        pieces.take(data)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.stream, server.url(), {}, lambda _: take)
            assert await anyio.to_thread.run_sync(pieces.arrived.wait, 20)
            group.cancel_scope.cancel()

    using(transport, main)
    assert len(pieces.sizes) == 1
    assert not sent.reached.is_set()


def test_error_bodies_are_read_whatever_the_limit() -> None:
    transport = HttpTransport(limit_rate=1)
    with serve([Send(reply(403, b"x" * 60_000))]) as server:
        found = using(transport, lambda: transport.stream(server.url(), {}, lambda _: None))
    assert found == b"x" * 60_000


@pytest.mark.parametrize(
    ("rate", "piece"),
    [(None, LARGE_BUFFER_BYTES), (1, 4 * KIB), (MIB, MIB // 10), (1024 * MIB, CHUNK_BYTES)],
    ids=["none", "low", "middle", "high"],
)
def test_a_piece_is_a_tenth_of_a_second(rate: int | None, piece: int) -> None:
    throttle = Throttle()
    throttle.limit(rate)
    assert throttle.piece == piece


def test_an_abort_ends_its_own_wait_and_no_other() -> None:
    throttle, first, second = Throttle(1), Abort(), Abort()
    waiting = [
        threading.Thread(target=_wait_until_stopped, args=(throttle, abort))
        for abort in (first, second)
    ]
    for thread in waiting:
        thread.start()
    first.fire()
    waiting[0].join(20)
    assert not waiting[0].is_alive()
    assert waiting[1].is_alive()
    second.fire()
    waiting[1].join(20)
    assert not waiting[1].is_alive()


def _wait_until_stopped(throttle: Throttle, abort: Abort) -> None:
    with pytest.raises(StoppedError):
        throttle.wait(MIB, abort)


# --- the floor ------------------------------------------------------------------------


def demanding(*, limit_rate: int | None = None, min_speed: int = GIB) -> HttpTransport:
    """A transport that gives a peer a fifth of a second, and would wait for ever for a byte."""
    return HttpTransport(
        read_timeout=FOR_EVER_S,
        min_speed=min_speed,
        min_speed_window=0.2,
        limit_rate=limit_rate,
    )


@pytest.mark.fault("4.1/slow", "slow drip")
@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(reply(200, length=1000), id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", id="chunked"),
    ],
)
def test_a_drip_is_slower_than_the_floor_although_it_is_never_silent(framing: bytes) -> None:
    pauses = [Pause() for _ in range(1000)]
    script: list[Step] = [Send(framing)]
    for pause in pauses:
        script += [Send(b"x"), pause]
    received = bytearray()

    def take(data: memoryview | bytes) -> None:
        # The next byte comes as soon as this one was seen.
        for _ in bytes(data):
            pauses[len(received)].go_on.set()
            received.append(data[0])

    transport = demanding()
    with serve(script) as server:
        with pytest.raises(WireError) as caught:
            using(transport, lambda: transport.stream(server.url("/f?sig=x"), {}, lambda _: take))
        assert server.connections == 1
    assert caught.value.code is Code.TIMED_OUT
    assert caught.value.retry
    assert str(caught.value).startswith("slower than 1048576.0 KiB/s for 0.2 s")
    assert 1 <= len(received) < 1000


def test_a_drip_in_the_framing_of_a_body_is_slow_too() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;ext"
    pieces = Pieces()
    transport = demanding()
    with serve([Send(chunked), Pause()]) as server, pytest.raises(WireError) as caught:
        using(transport, lambda: transport.stream(server.url(), {}, pieces))
    assert caught.value.code is Code.TIMED_OUT
    assert pieces.sizes == [3]


def test_only_bytes_of_the_body_count_for_the_floor() -> None:
    counted: list[int] = []

    class Watched(Floor):
        def broken(self, received: int, waited: float) -> bool:
            counted.append(received)
            return super().broken(received, waited)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"5;" + b"e" * 6000 + b"\r\nhello\r\n")
        stream = Stream(ours, silence=FOR_EVER_S)
        stream.demand(Watched(GIB, FOR_EVER_S))
        head = RawHead(status=200, fields={"transfer-encoding": "chunked"}, keeps=True)
        body, view = Body(stream, head), memoryview(bytearray(100))
        assert body.read_now(view) == 5
        assert body.read_now(view) is None
        assert not stream.wait(0.001)
    assert sum(counted) == 5


def test_what_came_before_the_floor_broke_is_handed_on_and_the_connection_given_up() -> None:
    pieces = Pieces()
    transport = demanding()
    script: list[Step] = [Send(reply(200, b"abcd", length=1000)), Pause()]
    with serve(script, [Send(reply(200, b"whole"))]) as server:

        async def main() -> None:
            with pytest.raises(WireError):
                await transport.stream(server.url(), {}, pieces)
            await transport.stream(server.url(), {}, pieces)

        using(transport, main)
        assert [seen.connection for seen in server.requests] == [1, 2]
    assert pieces.sizes == [4, 5]


def test_an_error_body_that_drips_is_given_up_and_what_came_is_read() -> None:
    transport = demanding()
    with serve([Send(reply(403, b"<Code>", length=1000)), Pause()]) as server:
        found = using(transport, lambda: transport.stream(server.url(), {}, lambda _: None))
    assert found == b"<Code>"


def test_a_head_that_drips_is_given_up_after_one_silence() -> None:
    # No silence of a read ends it: each of them brings a byte.
    transport = HttpTransport(read_timeout=0.2, min_speed=0)
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000))
    with serve([Send(head, piece=1), Pause()]) as server, pytest.raises(WireError) as caught:
        using(transport, lambda: transport.stream(server.url(), {}, Pieces()))
    assert caught.value.code is Code.TIMED_OUT


def test_the_limit_of_our_own_never_makes_a_peer_slow() -> None:
    pieces = Pieces()
    # Three waits of a tenth of a second, longer than the window of the floor together.
    transport = demanding(limit_rate=40 * KIB, min_speed=KIB)
    with serve([Send(reply(200, bytes(16 * KIB)))]) as server:
        using(transport, lambda: transport.stream(server.url(), {}, pieces))
    assert sum(pieces.sizes) == 16 * KIB
    assert len(pieces.sizes) >= 4
