"""Whatever the order in which bytes are written, their hash is that of the file."""

import errno
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import blake3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civsync.core.limits import CHUNK_BYTES, KIB, PIECES_KEPT
from civsync.core.ranges import Ranges
from civsync.disk.follower import Follower, UnwrittenError

pytestmark = pytest.mark.timeout(60)  # a wait for bytes that nobody can write is without end

SIZE = 5 * CHUNK_BYTES + 12_345
DATA = bytes(range(251)) * (SIZE // 251 + 1)


@dataclass
class Grown:
    """A file that grows in memory, and its follower.

    `broken` fails every read, `full` every write of the follower from that offset on; `failure`
    is what they raise instead of an OSError. The first write waits until `opened`.
    """

    size: int = SIZE
    small: bool = False
    broken: bool = False
    full: int | None = None
    failure: type[Exception] | None = None
    opened: threading.Event = field(default_factory=threading.Event)
    beside: bool = False
    """Whether a write was made while a thread stood by for the SHA-256."""
    reads: list[tuple[int, int]] = field(default_factory=list)
    puts: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened.set()
        self.content = bytearray(self.size)
        self.done = Ranges()
        self.mutex = threading.Lock()
        self.follower = Follower(self._read, self._put, small=self.small)

    def _read(self, buffer: memoryview, at: int) -> int:
        if self.broken:
            raise self.failure() if self.failure else OSError(errno.EIO, "broken")
        data = self.content[at : at + len(buffer)]
        buffer[: len(data)] = data
        self.reads.append((at, len(data)))
        return len(data)

    def _put(self, data: memoryview, at: int) -> int:
        self.opened.wait()
        self.beside |= any(thread.name == "sha256" for thread in threading.enumerate())
        room = len(data) if self.full is None else min(len(data), self.full - at)
        if data and not room:
            raise self.failure() if self.failure else OSError(errno.ENOSPC, "full")
        self.content[at : at + room] = data[:room]
        self.puts.append((at, room))
        return room

    def resume(self, prefix: int) -> None:
        """Begin with what an earlier run wrote."""
        self.content[:prefix] = DATA[:prefix]
        self.done = Ranges.prefix_of(prefix)
        self.follower.advance(prefix)

    def write(self, start: int, end: int, buffer: memoryview | bytes | None = None) -> None:
        """Write as a part does."""
        data = DATA[start:end] if buffer is None else buffer
        self.content[start:end] = data
        with self.mutex:
            self.done = self.done.plus(start, end)
            self.follower.wrote(data, start)
            self.follower.advance(self.done.prefix)

    def give(self, start: int, end: int, buffer: memoryview | bytes | None = None) -> None:
        """Let the follower write where it takes the bytes."""
        data = memoryview(DATA[start:end] if buffer is None else buffer)
        with self.mutex:
            if self.follower.take(data, start):
                self.done = self.done.plus(start, end)
                self.follower.advance(self.done.prefix)
                return
            self.follower.settle()
        self.write(start, end, data)

    def restart(self) -> None:
        self.follower.restart()
        self.done = Ranges()

    def check(self) -> None:
        """The hashes are those of the bytes before the first hole."""
        found = self.follower.digests()
        prefix = DATA[: self.done.prefix]
        assert found.size == len(prefix)
        assert found.sha256 == hashlib.sha256(prefix).hexdigest()
        assert found.blake3 == blake3.blake3(prefix).hexdigest()
        assert self.content[: len(prefix)] == prefix


@dataclass(frozen=True)
class Order:
    """Where a file of `size` bytes is cut, and in which order its pieces come."""

    cuts: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def pieces(self) -> list[tuple[int, int]]:
        spans = list(zip(self.cuts, self.cuts[1:], strict=False))
        return [spans[number] for number in self.order]


@st.composite
def orders(draw: st.DrawFn, *, begin: int = 0, size: int = SIZE) -> Order:
    """Pieces of very different lengths: from a byte to all, many around a chunk."""
    near = st.sampled_from([CHUNK_BYTES, 2 * CHUNK_BYTES, size - CHUNK_BYTES]).flatmap(
        lambda at: st.integers(at - 2, at + 2)
    )
    cuts = draw(st.sets(st.one_of(near, st.integers(begin + 1, size - 1)), max_size=9))
    inside = sorted(cut for cut in cuts if begin < cut < size)
    count = len(inside) + 1
    order = draw(st.permutations(range(count)))
    return Order((begin, *inside, size), tuple(order))


@settings(max_examples=60, deadline=None)
@given(orders(), st.booleans(), st.booleans())
def test_in_any_order_the_hash_is_that_of_the_file(order: Order, asked: bool, given: bool) -> None:
    grown = Grown()
    write = grown.give if given else grown.write
    for start, end in order.pieces:
        for at in range(start, end, CHUNK_BYTES):
            write(at, min(end, at + CHUNK_BYTES))
        if asked:
            grown.check()
    grown.check()
    grown.follower.close()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, SIZE - 2).flatmap(lambda at: st.tuples(st.just(at), orders(begin=at))))
def test_what_an_earlier_run_wrote_is_hashed_first(begun: tuple[int, Order]) -> None:
    prefix, order = begun
    grown = Grown()
    grown.resume(prefix)
    for start, end in order.pieces:
        for at in range(start, end, CHUNK_BYTES):
            grown.give(at, min(end, at + CHUNK_BYTES))
    grown.check()


@settings(max_examples=25, deadline=None)
@given(orders(), st.integers(0, 9), orders())
def test_after_a_restart_nothing_of_before_is_left(first: Order, count: int, then: Order) -> None:
    grown = Grown()
    for start, end in first.pieces[:count]:
        grown.give(start, end, bytes(end - start))
    grown.restart()
    grown.check()
    for start, end in then.pieces:
        grown.give(start, end)
    grown.check()


@settings(max_examples=25, deadline=None)
@given(orders(size=3000), st.booleans())
def test_a_small_file_is_hashed_without_a_thread(order: Order, asked: bool) -> None:
    threads = threading.active_count()
    grown = Grown(size=3000, small=True)
    for start, end in order.pieces:
        grown.write(start, end)
        if asked:
            grown.check()
    assert threading.active_count() == threads
    grown.check()


@pytest.mark.parametrize("step", [64 * KIB, 300_000, CHUNK_BYTES], ids=str)
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_buffers_of_several_writers_are_not_used_after_they_are_used_again(
    threads: int, step: int
) -> None:
    grown = Grown()
    grown.resume(100_000)
    share = (SIZE - 100_000) // threads + 1
    failures: list[BaseException] = []
    together = threading.Barrier(threads)

    def work(number: int) -> None:
        begin = 100_000 + number * share
        end = min(SIZE, begin + share)
        buffers = [bytearray(step) for _ in range(PIECES_KEPT + 1)]
        together.wait()
        try:
            for turn, at in enumerate(range(begin, end, step)):
                piece = DATA[at : min(end, at + step)]
                buffer = buffers[turn % len(buffers)]
                buffer[:] = b"\xff" * step
                buffer[: len(piece)] = piece
                grown.give(at, at + len(piece), memoryview(buffer)[: len(piece)])
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert grown.done == Ranges.prefix_of(SIZE)
    grown.check()


@pytest.mark.parametrize("given", [True, False])
def test_bytes_that_come_in_order_are_not_read_back(given: bool) -> None:
    grown = Grown()
    for at in range(0, SIZE, CHUNK_BYTES):
        (grown.give if given else grown.write)(at, min(SIZE, at + CHUNK_BYTES))
    grown.check()
    assert grown.reads == []
    assert sum(count for _, count in grown.puts) == (SIZE if given else 0)


@pytest.mark.parametrize("asked", ["take", "settle", "digests"])
@pytest.mark.parametrize("full", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5])
def test_a_write_that_failed_is_told_once_and_gone_on_from(full: int, asked: str) -> None:
    grown = Grown(full=full)

    def give_all() -> None:
        for at in range(0, SIZE, CHUNK_BYTES):
            grown.give(at, min(SIZE, at + CHUNK_BYTES))
            if asked == "settle":
                grown.follower.settle()
        if asked == "digests":
            grown.follower.digests()
        grown.follower.settle()

    with pytest.raises(UnwrittenError) as caught:
        give_all()
    assert caught.value.end == full
    assert isinstance(caught.value.reason, OSError)
    assert caught.value.reason.errno == errno.ENOSPC
    grown.done = Ranges.prefix_of(full)
    grown.check()
    grown.full = None
    for at in range(full, SIZE, CHUNK_BYTES):
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    grown.check()
    assert grown.reads == []


def give_late(grown: Grown) -> None:
    """Give pieces faster than they are written."""
    grown.opened.clear()
    for _ in range(PIECES_KEPT):
        at = grown.done.prefix
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    grown.opened.set()
    grown.follower.settle()


def test_bytes_that_come_too_fast_are_hashed_by_two_threads() -> None:
    before = set(threading.enumerate())
    grown = Grown()
    give_late(grown)
    assert grown.beside
    for at in range(PIECES_KEPT * CHUNK_BYTES, SIZE, 300_000):
        grown.give(at, min(SIZE, at + 300_000))
    grown.check()
    assert grown.done == Ranges.prefix_of(SIZE)
    assert set(threading.enumerate()) <= before


def test_where_no_more_threads_may_be_made_one_does_it_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("civsync.disk.follower.Aside", refuse)
    grown = Grown()
    give_late(grown)
    give_late(grown)
    grown.check()
    assert not grown.beside


@pytest.mark.parametrize("again_from", [SIZE, 2 * CHUNK_BYTES])
def test_where_no_thread_at_all_may_be_made_nobody_waits_for_one(
    again_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    grown = Grown()
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        for at in range(0, again_from, CHUNK_BYTES):
            grown.give(at, min(SIZE, at + CHUNK_BYTES))
        grown.follower.settle()
        assert grown.content[:again_from] == DATA[:again_from]
    for at in range(again_from, SIZE, CHUNK_BYTES):
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    assert grown.done == Ranges.prefix_of(SIZE)
    grown.check()


@pytest.mark.parametrize("full", [CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1])
def test_a_write_that_failed_beside_a_hash_is_gone_on_from(full: int) -> None:
    grown = Grown(full=full)
    with pytest.raises(UnwrittenError) as caught:
        give_late(grown)
    assert grown.beside
    assert caught.value.end == full
    grown.done = Ranges.prefix_of(full)
    grown.check()
    grown.full = None
    for at in range(full, SIZE, CHUNK_BYTES):
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    grown.check()
    assert grown.reads == []


FAILURES = [
    pytest.param(MemoryError, OSError, id="no memory"),
    pytest.param(KeyError, KeyError, id="a fault of ours"),
]


@pytest.mark.parametrize("late", [False, True], ids=["one thread", "two threads"])
@pytest.mark.parametrize(("failure", "told"), FAILURES)
def test_nobody_waits_for_a_thread_that_failed_to_write(
    failure: type[Exception], told: type[Exception], *, late: bool
) -> None:
    before = set(threading.enumerate())
    grown = Grown(full=CHUNK_BYTES, failure=failure)

    def give_all() -> None:
        if late:
            give_late(grown)
        for at in range(grown.done.prefix, SIZE, CHUNK_BYTES):
            grown.give(at, min(SIZE, at + CHUNK_BYTES))
        grown.follower.settle()

    with pytest.raises(UnwrittenError) as caught:
        give_all()
    assert caught.value.end == CHUNK_BYTES
    assert isinstance(caught.value.reason, told)
    grown.done, grown.full = Ranges.prefix_of(CHUNK_BYTES), None
    # Nobody knows what the hashes have taken; those of an empty file are right again.
    with pytest.raises(told):
        grown.follower.digests()
    grown.restart()
    for at in range(0, SIZE, CHUNK_BYTES):
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    grown.check()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(("failure", "told"), FAILURES)
def test_nobody_waits_for_a_thread_that_failed_to_read(
    failure: type[Exception], told: type[Exception]
) -> None:
    grown = Grown(broken=True, failure=failure)
    grown.resume(2 * CHUNK_BYTES)
    for at in range(2 * CHUNK_BYTES, SIZE, CHUNK_BYTES):
        grown.give(at, min(SIZE, at + CHUNK_BYTES))
    with pytest.raises(told):
        grown.follower.digests()


def test_all_that_was_taken_is_written_when_it_is_settled() -> None:
    grown = Grown()
    for at in range(0, 3 * CHUNK_BYTES, CHUNK_BYTES):
        grown.give(at, at + CHUNK_BYTES)
        grown.follower.settle()
        assert grown.content[: at + CHUNK_BYTES] == DATA[: at + CHUNK_BYTES]
    grown.follower.close()


@pytest.mark.parametrize("how", ["resumed", "behind a hole"])
def test_a_failed_read_is_told_by_digests_and_holds_no_writer_up(how: str) -> None:
    grown = Grown(broken=True)
    if how == "resumed":
        grown.resume(2 * CHUNK_BYTES)
        written = 2 * CHUNK_BYTES
    else:
        grown.write(CHUNK_BYTES, 3 * CHUNK_BYTES)
        grown.write(0, CHUNK_BYTES)
        written = 3 * CHUNK_BYTES
    for at in range(written, SIZE, 64 * KIB):
        grown.write(at, min(SIZE, at + 64 * KIB))
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            grown.follower.digests()
    grown.broken = False
    grown.restart()
    grown.write(0, 1000)
    grown.check()


def test_a_file_that_is_shorter_than_what_was_written_is_an_error() -> None:
    follower = Follower(lambda *_: 0, lambda data, _: len(data))
    follower.advance(10)
    with pytest.raises(OSError, match="shorter"):
        follower.digests()


@pytest.mark.parametrize("ending", ["digests", "restart", "close"])
def test_the_thread_is_gone_at_the_end(ending: str) -> None:
    before = set(threading.enumerate())
    grown = Grown()
    for at in range(0, 3 * CHUNK_BYTES, CHUNK_BYTES):
        grown.write(at, at + CHUNK_BYTES)
    end: Callable[[], object] = getattr(grown.follower, ending)
    end()
    assert set(threading.enumerate()) <= before
