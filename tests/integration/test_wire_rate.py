"""How fast bytes may come, and how slow: over real sockets, and without a clock in the tests."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import anyio
import pytest

from civsync.core.limits import CHUNK_BYTES, KIB, MIB
from civsync.core.wire import Head
from civsync.ports import Sink
from civsync.wire.abort import Abort, StoppedError
from civsync.wire.throttle import Throttle
from civsync.wire.transport import HttpTransport
from support.wire_server import Pause, Send, WireServer, reply, serve

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
    [(None, CHUNK_BYTES), (1, 4 * KIB), (MIB, MIB // 10), (1024 * MIB, CHUNK_BYTES)],
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
