"""What every Transport promises, asked of the one in memory and of the one over sockets."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import anyio
import anyio.lowlevel
import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError, WireError
from civsync.core.limits import ERROR_BODY_BYTES
from civsync.core.wire import Head, HttpRequest
from civsync.ports import Errand, Sink, Transport
from civsync.wire.abort import StoppedError
from civsync.wire.transport import HttpTransport
from support.scripted_transport import ScriptedTransport, answer
from support.wire_server import Send, WireServer, reply

T = TypeVar("T")

BODY = bytes(range(256)) * 40


class World(Protocol):
    """A transport, and a peer that answers as told."""

    transport: Transport
    url: str

    def says(self, status: int, body: bytes, headers: Mapping[str, str]) -> None: ...

    @property
    def seen(self) -> int: ...


class Memory:
    def __init__(self, _: ExitStack) -> None:
        self.scripted = ScriptedTransport()
        self.transport: Transport = self.scripted
        self.url = "http://memory.test/file"

    def says(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.scripted.on("/file", answer(status, body, headers=headers))

    @property
    def seen(self) -> int:
        return len(self.scripted.requests)


class Sockets:
    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(WireServer())
        self.transport: Transport = HttpTransport()
        self.url = self.server.url()

    def says(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.server.script([Send(reply(status, body, headers=headers))])

    @property
    def seen(self) -> int:
        return len(self.server.requests)


@pytest.fixture(params=[Memory, Sockets], ids=["memory", "sockets"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        make: Callable[[ExitStack], World] = request.param
        yield make(stack)


@dataclass
class Taken:
    """A judge that accepts everything, and what its sink got."""

    heads: list[Head] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    def __call__(self, head: Head) -> Sink | None:
        assert not self.body, "the judge must come before the body"
        self.heads.append(head)
        return self._take

    def _take(self, data: memoryview | bytes) -> None:
        self.body += data


def stream(world: World, judge: Callable[[Head], Sink | None]) -> bytes:
    async def main() -> bytes:
        try:
            return await world.transport.stream(world.url, {}, judge)
        finally:
            await world.transport.aclose()

    return anyio.run(main)


def ask(world: World, cap: int) -> tuple[int, bytes, Head]:
    async def main() -> tuple[int, bytes, Head]:
        try:
            found = await world.transport.ask(HttpRequest(url=world.url, cap=cap))
            return found.status, found.body, found.head
        finally:
            await world.transport.aclose()

    return anyio.run(main)


def test_a_body_is_poured_whole_and_in_order(world: World) -> None:
    world.says(200, BODY, {})
    taken = Taken()
    assert stream(world, taken) == b""
    assert bytes(taken.body) == BODY


def test_the_judge_sees_status_and_lower_case_headers(world: World) -> None:
    world.says(206, BODY, {"Content-Range": "bytes 5-9/10", "Content-Type": "Text/HTML; x=1"})
    taken = Taken()
    stream(world, taken)
    [head] = taken.heads
    assert head.status == 206
    assert head.headers["content-range"] == "bytes 5-9/10"
    assert head.media_type == "text/html"


def test_without_a_sink_the_body_is_returned(world: World) -> None:
    world.says(403, b'{"error":"Forbidden"}', {})
    assert stream(world, lambda _: None) == b'{"error":"Forbidden"}'


@pytest.mark.fault("4.2/credentials", "on redirect")
def test_a_redirect_is_returned_and_not_followed(world: World) -> None:
    world.says(307, b"", {"Location": "http://127.0.0.1:1/elsewhere"})
    taken = Taken()
    stream(world, taken)
    assert taken.heads[0].header("location") == "http://127.0.0.1:1/elsewhere"
    status, _, head = ask(world, 10)
    assert (status, head.header("location")) == (307, "http://127.0.0.1:1/elsewhere")
    assert world.seen == 2


def test_what_the_judge_raises_comes_out_as_it_is(world: World) -> None:
    world.says(200, BODY, {})
    refusal = WireError(Code.URL_EXPIRED, "refused by the judge")

    def judge(_: Head) -> Sink | None:
        raise refusal

    with pytest.raises(WireError) as caught:
        stream(world, judge)
    assert caught.value is refusal


def test_what_the_sink_raises_ends_the_body(world: World) -> None:
    world.says(200, BODY, {})
    full = DiskError(Code.NO_SPACE, "the disk is full")
    calls = 0

    def sink(_: memoryview | bytes) -> None:
        nonlocal calls
        calls += 1
        raise full

    with pytest.raises(DiskError) as caught:
        stream(world, lambda _: sink)
    assert caught.value is full
    assert calls == 1


@pytest.mark.parametrize("status", [200, 404, 429, 503])
def test_a_small_reply_comes_whole_whatever_its_status(world: World, status: int) -> None:
    world.says(status, b'{"a":1}', {"Content-Type": "application/json"})
    found, body, head = ask(world, 7)
    assert (found, body, head.media_type) == (status, b'{"a":1}', "application/json")


@pytest.mark.fault("4.2/json", "huge")
def test_an_answer_above_its_cap_is_refused(world: World) -> None:
    world.says(200, b'{"a":1}', {})
    with pytest.raises(WireError) as caught:
        ask(world, 6)
    assert caught.value.code is Code.ANSWER_TOO_LARGE


def test_an_error_body_is_bounded_over_sockets() -> None:
    with ExitStack() as stack:
        world = Sockets(stack)
        world.says(403, b"x" * (ERROR_BODY_BYTES + 1), {})
        assert stream(world, lambda _: None) == b"x" * ERROR_BODY_BYTES


def run_errand(world: World, work: Callable[[Errand], T]) -> T:
    async def main() -> T:
        try:
            return await world.transport.errand(work)
        finally:
            await world.transport.aclose()

    return anyio.run(main)


@pytest.mark.parametrize(
    ("host", "refused"), [("127.0.0.1", "AnyIO worker thread"), ("localhost", "look-up")]
)
def test_where_no_more_threads_may_be_made_the_host_is_out_of_reach(
    host: str, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with WireServer() as server:
        url = server.url().replace("127.0.0.1", host)
        with pytest.raises(WireError, match="no more threads are allowed") as caught:
            anyio.run(HttpTransport().stream, url, {}, Taken())
        assert (caught.value.code, server.requests) == (Code.UNREACHABLE, [])


def test_an_errand_gets_one_body_after_the_other_in_a_thread_of_its_own(world: World) -> None:
    world.says(200, BODY, {})
    here = threading.get_ident()

    def work(errand: Errand) -> int:
        assert threading.get_ident() != here
        for _ in range(3):
            taken = Taken()
            assert errand.get(world.url, {}, taken) == b""
            assert bytes(taken.body) == BODY
            errand.rest(0.0)
        return 7

    assert run_errand(world, work) == 7
    assert world.seen == 3


@dataclass(frozen=True)
class Course:
    """What an errand that is cancelled tells, and is told."""

    begun: threading.Event = field(default_factory=threading.Event)
    waited_for: threading.Event = field(default_factory=threading.Event)


def _cancelled(work: Callable[[Errand, Course], None]) -> None:
    """Cancel an errand once it says that it has begun."""

    async def main() -> None:
        course, transport, scope = Course(), HttpTransport(), anyio.CancelScope()

        async def errand() -> None:
            with scope:
                await transport.errand(lambda errand: work(errand, course))

        async with anyio.create_task_group() as group:
            group.start_soon(errand)
            while not course.begun.is_set():
                await anyio.lowlevel.checkpoint()
            scope.cancel()
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            course.waited_for.set()

    anyio.run(main)


def test_a_cancelled_errand_is_waited_for_without_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[BaseException] = []

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def work(errand: Errand, course: Course) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        course.begun.set()
        try:
            errand.rest(1000)
        except BaseException as error:
            assert course.waited_for.wait(20)
            ended.append(error)
            raise

    _cancelled(work)
    assert [type(error) for error in ended] == [StoppedError]


def test_a_fault_in_a_cancelled_errand_is_not_lost() -> None:
    def work(errand: Errand, course: Course) -> None:
        course.begun.set()
        try:
            errand.rest(1000)
        finally:
            raise ValueError("a fault")

    with pytest.raises(BaseExceptionGroup) as caught:
        _cancelled(work)
    assert caught.group_contains(ValueError, match="a fault")


def test_an_errand_reads_what_no_sink_takes(world: World) -> None:
    world.says(403, b"no", {})
    assert run_errand(world, lambda errand: errand.get(world.url, {}, lambda _: None)) == b"no"


def test_what_an_errand_raises_comes_out_as_it_is(world: World) -> None:
    world.says(200, BODY, {})
    error = DiskError(Code.NO_SPACE, "the disk is full")

    def work(errand: Errand) -> None:
        errand.get(world.url, {}, Taken())
        raise error

    with pytest.raises(DiskError) as caught:
        run_errand(world, work)
    assert caught.value is error
