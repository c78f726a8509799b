"""The real transport against a server that does everything wrong, over real sockets.

The law of all cuts: whatever reached the sink is a prefix of the body, in order, and
either the whole was there or an error that may be retried comes out.
"""

import contextlib
import gzip
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
import trustme

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, IntegrityError, UserError, WireError
from civsync.core.limits import CHUNK_BYTES
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.decide.transfer import Append, Restart, judge
from civsync.ports import Errand, Sink
from civsync.wire.transport import USER_AGENT, HttpTransport
from support.wire_server import (
    Close,
    Endless,
    Pause,
    Reset,
    Send,
    Step,
    Tunnel,
    WireServer,
    refused_port,
    reply,
    serve,
    server_context,
)

T = TypeVar("T")
BODY = b"0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A CA that this machine trusts, as a user would make it: by SSL_CERT_FILE."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


class Taken:
    """A judge that accepts everything, and what its sink got."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.body = bytearray()
        self.arrived = threading.Event()

    def __call__(self, head: Head) -> Sink | None:
        self.heads.append(head)
        return self.take

    def take(self, data: memoryview | bytes) -> None:
        self.body += data
        self.arrived.set()


def using(work: Callable[[HttpTransport], Awaitable[T]], *, read_timeout: float = 20.0) -> T:
    """Run `work` with a transport that is closed afterwards."""

    async def main() -> T:
        transport = HttpTransport(read_timeout=read_timeout)
        try:
            return await work(transport)
        finally:
            await transport.aclose()

    return anyio.run(main)


def stream(url: str, judge: Callable[[Head], Sink | None], *, read_timeout: float = 20.0) -> bytes:
    return using(lambda t: t.stream(url, {}, judge), read_timeout=read_timeout)


def ask(url: str, *, cap: int = 1000, read_timeout: float = 20.0) -> HttpAnswer:
    return using(lambda t: t.ask(HttpRequest(url=url, cap=cap)), read_timeout=read_timeout)


def refused_stream(*steps: Step, read_timeout: float = 20.0) -> tuple[WireError, Taken]:
    taken = Taken()
    with serve(steps) as server, pytest.raises(WireError) as caught:
        stream(server.url("/path?signature=secret"), taken, read_timeout=read_timeout)
    assert "secret" not in f"{caught.value} {caught.value.subject}"
    return caught.value, taken


def refused_ask(*steps: Step, read_timeout: float = 20.0) -> WireError:
    with serve(steps) as server, pytest.raises(WireError) as caught:
        ask(server.url(), read_timeout=read_timeout)
    return caught.value


# --- what is sent ---------------------------------------------------------------------


@pytest.mark.fault("4.2/quirks", "User-Agent", "GET, not HEAD")
def test_nothing_is_sent_but_what_was_asked_for_and_who_we_are() -> None:
    with serve([Send(reply(200, BODY))]) as server:
        taken = Taken()
        using(
            lambda t: t.stream(server.url("/a%20b/c?x=%22y%22#part"), {"range": "bytes=5-"}, taken)
        )
        [seen] = server.requests
    assert seen.raw.split(b"\r\n") == [
        b"GET /a%20b/c?x=%22y%22 HTTP/1.1",
        f"host: 127.0.0.1:{server.port}".encode(),
        f"user-agent: {USER_AGENT}".encode(),
        b"accept: */*",
        b"accept-encoding: identity",
        b"range: bytes=5-",
        b"",
        b"",
    ]


def test_cookies_are_never_sent_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login secret password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serve(
        [Send(reply(200, b"{}", headers={"Set-Cookie": "session=secret; Path=/"}))]
    ) as server:

        async def twice(transport: HttpTransport) -> None:
            for _ in range(2):
                await transport.ask(HttpRequest(url=server.url(), cap=10))
                await transport.stream(server.url(), {}, Taken())

        using(twice)
        assert len(server.requests) == 4
        assert not any(b"cookie" in seen.raw or b"secret" in seen.raw for seen in server.requests)
        assert all(seen.header("authorization") is None for seen in server.requests)


def test_headers_with_a_line_break_never_reach_the_wire() -> None:
    with serve([Send(reply())]) as server:
        with pytest.raises(ValueError, match="line break"):
            using(lambda t: t.stream(server.url(), {"range": "x\r\nEvil: y"}, Taken()))
        assert server.requests == []


def test_a_token_that_cannot_be_sent_is_not_quoted_in_the_error() -> None:
    with serve([Send(reply())]) as server:
        headers = {"authorization": "Bearer secret\n"}
        request = HttpRequest(url=server.url(), headers=headers, cap=1)
        with pytest.raises(WireError) as caught:
            using(lambda t: t.ask(request))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- cuts -----------------------------------------------------------------------------

Pieces = list[tuple[bytes, bytes]]
"""A reply as framing and body in turn."""

CHUNKED: Pieces = [
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n", BODY[:6]),
    (b"\r\n4;name=x\r\n", BODY[6:10]),
    (b"\r\n6\r\n", BODY[10:]),
    (b"\r\n0\r\nTrailer: x\r\n\r\n", b""),
]
SIZED: Pieces = [(reply(200, length=len(BODY)), BODY)]


def raw_of(pieces: Pieces) -> bytes:
    return b"".join(framing + body for framing, body in pieces)


@pytest.mark.fault("4.1/cut", "reset", "truncated", "chunks cut", "empty reply")
@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
@pytest.mark.parametrize("pieces", [CHUNKED, SIZED], ids=["chunked", "sized"])
def test_a_reply_cut_anywhere_leaves_a_prefix_and_an_error(pieces: Pieces, end: Step) -> None:
    whole = raw_of(pieces)
    # For every byte of the reply, whether it is one of the body.
    mask = [flag for framing, body in pieces for flag in [0] * len(framing) + [1] * len(body)]

    async def every_offset(transport: HttpTransport) -> None:
        for cut in range(len(whole)):
            server.script([Send(whole[:cut]), end])
            taken = Taken()
            with pytest.raises(WireError) as caught:
                await transport.stream(server.url(), {}, taken)
            assert caught.value.code is Code.CONNECTION_LOST, cut
            assert BODY.startswith(taken.body), cut
            if isinstance(end, Close):
                assert len(taken.body) == sum(mask[:cut]), cut
        server.script([Send(whole)])
        taken = Taken()
        await transport.stream(server.url(), {}, taken)
        assert bytes(taken.body) == BODY

    with WireServer() as server:
        using(every_offset)


def test_every_byte_alone_is_as_good_as_all_at_once() -> None:
    with serve([Send(raw_of(CHUNKED), piece=1)]) as server:
        taken = Taken()
        stream(server.url(), taken)
        assert bytes(taken.body) == BODY


@pytest.mark.fault("4.1/no-length", "early close")
def test_a_body_without_a_length_ends_with_the_connection_for_the_caller_to_count() -> None:
    with serve([Send(reply(200, BODY[:3], length=None)), Close()]) as server:
        taken = Taken()
        stream(server.url(), taken)
        assert bytes(taken.body) == BODY[:3]


@pytest.mark.fault("4.1/too-much", "beyond the length")
def test_bytes_beyond_the_length_are_not_the_body() -> None:
    with serve([Send(reply(200, BODY + b"more", length=len(BODY)))]) as server:
        taken = Taken()
        stream(server.url(), taken)
        assert bytes(taken.body) == BODY


@pytest.mark.fault("4.1/too-much", "endless body")
def test_an_endless_body_ends_where_the_sink_says_so() -> None:
    full = IntegrityError(Code.SIZE_MISMATCH, "beyond the locked size")
    received = 0

    def sink(data: memoryview | bytes) -> None:
        nonlocal received
        received += len(data)
        if received > CHUNK_BYTES:
            raise full

    with serve([Send(reply(200, length=None)), Endless(bytes(65536))]) as server:
        with pytest.raises(IntegrityError) as caught:
            stream(server.url(), lambda _: sink)
        assert caught.value is full
        assert received <= 2 * CHUNK_BYTES


@pytest.mark.fault("4.1/cut", "truncated")
def test_a_small_answer_that_is_cut_off_is_lost() -> None:
    error = refused_ask(Send(reply(200, b"{", length=50)), Close())
    assert error.code is Code.CONNECTION_LOST


@pytest.mark.fault("4.1/cut", "reset", "empty reply")
@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
def test_an_empty_reply_is_lost(end: Step) -> None:
    assert refused_stream(end)[0].code is Code.CONNECTION_LOST
    assert refused_ask(end).code is Code.CONNECTION_LOST


# --- nonsense -------------------------------------------------------------------------


@pytest.mark.fault("4.1/malformed", "bad status line", "two lengths", "negative length")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"garbage\r\n\r\n", id="garbage"),
        pytest.param(b"\x16\x03\x01\x02\x00 tls\r\n\r\n", id="tls-on-a-plain-port"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="status-of-four-digits"),
        pytest.param(b"HTTP/1.1 -20 OK\r\n\r\n", id="negative-status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", id="no-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", id="blank-before-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n", id="nul"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two-lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="negative-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n", id="odd-length"),
    ],
)
def test_a_head_that_makes_no_sense_is_refused(raw: bytes) -> None:
    error, taken = refused_stream(Send(raw))
    assert error.code is Code.REPLY_MALFORMED
    assert error.retry
    assert taken.heads == []
    assert refused_ask(Send(raw), Close()).code is Code.REPLY_MALFORMED


@pytest.mark.fault("4.1/malformed", "header flood", "bad status line")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, id="flood-of-headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, id="endless-header"),
        pytest.param(b"HTTP/1.1 200 " + b"b" * 100_000, id="endless-status-line"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="other-version"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, id="interim-replies"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="length-and-chunks",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", id="coding"),
    ],
)
def test_a_head_that_lenient_parsers_take_is_refused_for_files(raw: bytes) -> None:
    error, taken = refused_stream(Send(raw))
    assert error.code is Code.REPLY_MALFORMED
    assert taken.heads == []


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"-6\r\n012345\r\n", id="negative"),
        pytest.param(b"0x6\r\n012345\r\n", id="prefixed"),
        pytest.param(b"\r\n012345\r\n", id="empty"),
        pytest.param(b"6\r\n012345XX6\r\n", id="longer-than-said"),
        pytest.param(b"1" * 40 + b"\r\n", id="huge"),
    ],
)
def test_a_broken_chunk_ends_the_body_with_an_error(chunks: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    error, taken = refused_stream(Send(head + chunks))
    assert error.code is Code.REPLY_MALFORMED
    assert BODY.startswith(taken.body)


def test_interim_replies_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with serve([Send(early + reply(200, BODY))]) as server:
        taken = Taken()
        stream(server.url(), taken)
        assert [head.status for head in taken.heads] == [200]
        assert bytes(taken.body) == BODY


@pytest.mark.fault("4.2/json", "huge")
def test_a_small_answer_may_be_compressed_but_not_grow_beyond_its_cap() -> None:
    packed = gzip.compress(b"[" + b"1," * 50_000 + b"1]")
    step = Send(reply(200, packed, headers={"Content-Encoding": "gzip"}))
    with serve([step]) as server:
        assert ask(server.url(), cap=200_000).body.startswith(b"[1,1,")
        with pytest.raises(WireError) as caught:
            ask(server.url(), cap=10_000)
    assert caught.value.code is Code.ANSWER_TOO_LARGE


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", b"not gzip"), ("gzip, gzip", gzip.compress(gzip.compress(b"x"))), ("br", b"x")],
    ids=["damaged", "twice", "unknown"],
)
def test_a_small_answer_that_cannot_be_inflated_is_malformed(coding: str, body: bytes) -> None:
    error = refused_ask(Send(reply(200, body, headers={"Content-Encoding": coding})))
    assert error.code is Code.REPLY_MALFORMED


# --- the judge on the wire ------------------------------------------------------------


def judged(script: bytes, *, held: int) -> bytes:
    """Stream as the engine does, into a part that holds `held` bytes; returns the part."""
    part = bytearray(BODY[:held])

    def on_head(head: Head) -> Sink | None:
        verdict = judge(head, held=held, size=len(BODY), name="m.safetensors")
        if isinstance(verdict, Restart):
            part.clear()
        return part.extend if isinstance(verdict, Append | Restart) else None

    with serve([Send(script)]) as server:
        stream(server.url(), on_head)
    return bytes(part)


@pytest.mark.fault("4.2/200-for-range", "200")
def test_200_for_a_range_request_starts_again_from_zero() -> None:
    assert judged(reply(200, BODY), held=5) == BODY


def test_206_goes_on_from_what_is_held() -> None:
    headers = {"Content-Range": "bytes 5-15/16"}
    assert judged(reply(206, BODY[5:], headers=headers), held=5) == BODY


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (reply(200, BODY, headers={"Content-Encoding": "gzip"}), Code.NOT_A_MODEL),
        (reply(200, BODY, headers={"Content-Type": "text/html"}), Code.NOT_A_MODEL),
        (reply(200, BODY + b"x"), Code.SIZE_MISMATCH),
        (reply(206, BODY, headers={"Content-Range": "bytes 0-15/16"}), Code.REPLY_MALFORMED),
        (reply(403, b"<Error><Code>AccessDenied</Code></Error>"), Code.URL_EXPIRED),
    ],
    ids=["gzip", "page", "too-long", "other-range", "expired"],
)
def test_a_wrong_reply_writes_nothing(raw: bytes, code: Code) -> None:
    with pytest.raises(CivsyncError) as caught:
        judged(raw, held=5)
    assert caught.value.code is code


# --- silence and cancellation ---------------------------------------------------------


@pytest.mark.fault("4.1/slow", "stall")
def test_a_silent_server_times_out() -> None:
    error, taken = refused_stream(Send(reply(200, BODY[:4], length=16)), Pause(), read_timeout=0.2)
    assert error.code is Code.TIMED_OUT
    assert bytes(taken.body) == BODY[:4]
    assert refused_ask(Pause(), read_timeout=0.2).code is Code.TIMED_OUT


async def _cancel_when(ready: Callable[[], bool], work: Callable[[], Awaitable[object]]) -> bool:
    """Run `work`, cancel it as soon as `ready` returns; true if the cancellation came out."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                assert await anyio.to_thread.run_sync(ready)
                scope.cancel()

            group.start_soon(cancel)
            await work()
    return scope.cancelled_caught


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200", reply(200, BODY[:4], length=16)])
def test_cancelling_ends_a_blocked_read(before: bytes) -> None:
    pause, taken = Pause(), Taken()
    with serve([Send(before), pause]) as server:

        async def main(transport: HttpTransport) -> None:
            assert await _cancel_when(
                lambda: (
                    pause.reached.wait(20)
                    and (not before.endswith(BODY[:4]) or taken.arrived.wait(20))
                ),
                lambda: transport.stream(server.url(), {}, taken),
            )

        # The time limit of a read is never reached: it is longer than that of a test.
        using(main, read_timeout=1000)
    assert bytes(taken.body) in (b"", BODY[:4])


def test_over_tls_no_ciphertext_reaches_the_sink_after_an_abort(authority: trustme.CA) -> None:
    # With SSLSocket.shutdown in place of the duplicate's, this fails every time.
    with serve(
        [Send(reply(200, length=10**12)), Endless(b"A" * 65536)], tls=server_context(authority)
    ) as server:

        async def main(transport: HttpTransport) -> None:
            for _ in range(20):
                taken = Taken()
                assert await _cancel_when(
                    lambda: taken.arrived.wait(20),  # noqa: B023 - awaited before the next round
                    lambda: transport.stream(server.url(), {}, taken),  # noqa: B023 - as above
                )
                size = len(taken.body)
                assert taken.body == b"A" * size
                await anyio.lowlevel.checkpoint()
                assert len(taken.body) == size

        using(main, read_timeout=1000)


def test_cancelling_a_sink_that_works_waits_for_it() -> None:
    inside, go_on = threading.Event(), threading.Event()
    ended = threading.Event()

    def sink(_: memoryview | bytes) -> None:
        inside.set()
        assert go_on.wait(20)
        ended.set()

    def ready() -> bool:
        found = inside.wait(20)
        threading.Timer(0.05, go_on.set).start()
        return found

    with serve([Send(reply(200, BODY, length=100)), Pause()]) as server:

        async def main(transport: HttpTransport) -> None:
            assert await _cancel_when(
                ready, lambda: transport.stream(server.url(), {}, lambda _: sink)
            )
            assert ended.is_set()

        using(main)


def test_cancelling_at_any_moment_leaves_nothing_behind() -> None:
    """Before the thread has begun, while it begins, and in every step of a request."""
    with serve([Send(reply(200, BODY))]) as server:

        async def main(transport: HttpTransport) -> None:
            for steps in range(200):
                taken = Taken()
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(transport.stream, server.url(), {}, taken)
                        for _ in range(steps % 20):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()
                size = len(taken.body)
                await anyio.lowlevel.checkpoint()
                assert len(taken.body) == size
            taken = Taken()
            await transport.stream(server.url(), {}, taken)
            assert bytes(taken.body) == BODY

        using(main)


def test_cancelling_an_errand_ends_its_rest_and_its_reading() -> None:
    pause, resting = Pause(), threading.Event()
    with serve([Send(reply(200, BODY[:4], length=16)), pause]) as server:

        def read(errand: Errand) -> None:
            errand.get(server.url(), {}, Taken())

        def rest(errand: Errand) -> None:
            resting.set()
            errand.rest(1000)

        async def main(transport: HttpTransport) -> None:
            assert await _cancel_when(
                lambda: pause.reached.wait(20), lambda: transport.errand(read)
            )
            assert await _cancel_when(lambda: resting.wait(20), lambda: transport.errand(rest))

        using(main, read_timeout=1000)


def test_an_errand_that_is_through_all_the_same_says_so_when_cancelled() -> None:
    inside, go_on = threading.Event(), threading.Event()
    found: list[str] = []

    def work(_: Errand) -> str:
        inside.set()
        assert go_on.wait(20)
        return "done"

    async def main(transport: HttpTransport) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    assert await anyio.to_thread.run_sync(inside.wait, 20)
                    scope.cancel()
                    go_on.set()

                group.start_soon(cancel)
                found.append(await transport.errand(work))

    using(main)
    assert found == ["done"]


def test_a_stream_that_is_cancelled_from_the_start_asks_nothing() -> None:
    with serve([Send(reply(200, BODY))]) as server:

        async def main(transport: HttpTransport) -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await transport.stream(server.url(), {}, Taken())

        using(main)
        assert server.connections == 0


# --- connections ----------------------------------------------------------------------


def test_files_of_one_host_share_a_connection() -> None:
    with serve([Send(reply(200, BODY))]) as server:

        async def main(transport: HttpTransport) -> None:
            for _ in range(3):
                await transport.stream(server.url(), {}, Taken())

        using(main)
        assert [seen.connection for seen in server.requests] == [1, 1, 1]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([Send(reply(200, BODY, headers={"Connection": "close"}))], id="said-close"),
        pytest.param([Send(reply(200, BODY)), Close()], id="closed-silently"),
        pytest.param([Send(reply(200, BODY)), Reset()], id="reset-silently"),
        pytest.param([Send(reply(403, bytes(100_000)))], id="body-left-unread"),
        pytest.param([Send(reply(200, BODY, length=None)), Close()], id="no-length"),
    ],
)
def test_a_connection_that_is_over_is_replaced_without_an_error(first: list[Step]) -> None:
    with serve(first, [Send(reply(200, BODY))]) as server:

        async def main(transport: HttpTransport) -> None:
            await transport.stream(server.url(), {}, lambda _: None)
            taken = Taken()
            await transport.stream(server.url(), {}, taken)
            assert bytes(taken.body) == BODY

        using(main)
        assert server.connections == 2


def test_a_kept_connection_that_dies_on_the_next_request_is_replaced_once() -> None:
    scripts: list[list[Step]] = [[Send(reply(200, BODY))], [Close()], [Send(reply(200, BODY))]]
    with serve(*scripts) as server:

        async def main(transport: HttpTransport) -> None:
            for _ in range(2):
                await transport.stream(server.url(), {}, Taken())

        using(main)
        assert [seen.connection for seen in server.requests] == [1, 1, 2]


def test_of_many_hosts_the_connections_of_the_last_few_are_kept() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serve([Send(reply(200, BODY))])) for _ in range(10)]

        async def main() -> None:
            transport = HttpTransport(connections=1)
            for server in [*servers, *reversed(servers)]:
                await transport.stream(server.url(), {}, Taken())
            await transport.aclose()

        anyio.run(main)
        assert [server.connections for server in servers] == [2] * 6 + [1] * 4


def _stream_many(url: str, count: int, judge: Callable[[Head], Sink | None]) -> None:
    """Stream the same address `count` times at once, twice, over at most 20 connections."""

    async def main() -> None:
        transport = HttpTransport(connections=20)
        try:
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    for _ in range(count):
                        group.start_soon(transport.stream, url, {}, judge)
        finally:
            await transport.aclose()

    anyio.run(main)


def test_as_many_streams_as_allowed_run_at_once_and_keep_their_connections() -> None:
    together = threading.Barrier(20)

    def on_head(_: Head) -> Sink | None:
        together.wait(20)
        return Taken().take

    with serve([Send(reply(200, BODY))]) as server:
        _stream_many(server.url(), 20, on_head)
        assert server.connections == 20
        assert len(server.requests) == 40


def test_more_streams_than_allowed_wait_for_their_turn() -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def on_head(_: Head) -> Sink | None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        return on_body

    def on_body(_: memoryview | bytes) -> None:
        nonlocal running
        with lock:
            running -= 1

    with serve([Send(reply(200, BODY))]) as server:
        _stream_many(server.url(), 100, on_head)
        assert server.connections <= 20
        assert len(server.requests) == 200
    assert 1 <= most <= 20


@pytest.mark.fault("4.1/no-connection", "refused")
def test_a_refused_port_is_unreachable() -> None:
    url = f"http://127.0.0.1:{refused_port()}/x"
    for attempt in (lambda: stream(url, Taken()), lambda: ask(url)):
        with pytest.raises(WireError) as caught:
            attempt()
        assert caught.value.code is Code.UNREACHABLE
        assert caught.value.retry


@pytest.mark.fault("4.1/no-connection", "DNS failure")
@pytest.mark.parametrize(
    "url",
    ["http://name.invalid/x", "ftp://127.0.0.1/x", "nonsense", "http://[broken/x", "http://a:b/x"],
)
def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    for attempt in (lambda: stream(url, Taken()), lambda: ask(url)):
        with pytest.raises(WireError) as caught:
            attempt()
        assert caught.value.code is Code.UNREACHABLE


# --- TLS ------------------------------------------------------------------------------


@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE")
def test_a_body_comes_over_tls(authority: trustme.CA) -> None:
    with serve([Send(reply(200, BODY))], tls=server_context(authority)) as server:

        async def main(transport: HttpTransport) -> None:
            for _ in range(2):
                taken = Taken()
                await transport.stream(server.url(), {}, taken)
                assert bytes(taken.body) == BODY
            answer = await transport.ask(HttpRequest(url=server.url(), cap=100))
            assert answer.body == BODY

        using(main)
        assert [seen.connection for seen in server.requests] == [1, 1, 2]


def test_what_lies_behind_a_chunk_in_one_tls_record_is_not_waited_for(
    authority: trustme.CA,
) -> None:
    """No poll sees what TLS has read already."""
    first, rest = Pause(), Pause()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"
    script: list[Step] = [
        Send(head + BODY[:8]),
        first,
        Send(BODY[8:] + b"\r\n0\r\n\r\n"),
        rest,
    ]
    body = bytearray()

    def sink(data: memoryview | bytes) -> None:
        body.extend(data)
        first.go_on.set()
        assert rest.reached.wait(20)

    with serve(script, tls=server_context(authority)) as server:
        stream(server.url(), lambda _: sink, read_timeout=2)
    assert bytes(body) == BODY


def test_a_tls_body_cut_without_farewell_is_lost(authority: trustme.CA) -> None:
    taken = Taken()
    script: list[Step] = [Send(reply(200, BODY[:7], length=16)), Close()]
    with serve(script, tls=server_context(authority)) as server:
        with pytest.raises(WireError) as caught:
            stream(server.url(), taken)
        assert caught.value.code is Code.CONNECTION_LOST
        assert bytes(taken.body) == BODY[:7]


def _tls_failures(context: ssl.SSLContext) -> None:
    for attempt in (lambda url: stream(url, Taken()), ask):
        with serve([Send(reply(200, BODY))], tls=context) as server:
            with pytest.raises(WireError) as caught:
                attempt(server.url())
            assert caught.value.code is Code.TLS_FAILED
            assert not caught.value.retry
            assert server.connections == 1
            assert server.requests == []


@pytest.mark.fault("4.1/tls", "unknown authority")
def test_an_unknown_authority_is_refused_at_once() -> None:
    _tls_failures(server_context(trustme.CA()))


@pytest.mark.fault("4.1/tls", "unknown authority", "SSL_CERT_FILE")
@pytest.mark.usefixtures("authority")
def test_an_unknown_authority_is_refused_although_another_is_trusted() -> None:
    _tls_failures(server_context(trustme.CA()))


@pytest.mark.fault("4.1/tls", "wrong name")
def test_a_certificate_for_another_name_is_refused(authority: trustme.CA) -> None:
    _tls_failures(server_context(authority, "civitai.com"))


def test_a_plain_server_on_a_tls_port_is_a_tls_failure() -> None:
    for attempt in (lambda url: stream(url, Taken()), ask):
        with serve([Close()], greeting=reply(400)) as server:
            with pytest.raises(WireError) as caught:
                attempt(server.url().replace("http:", "https:"))
            assert caught.value.code is Code.TLS_FAILED


@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE")
@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_certificates_that_cannot_be_read_are_named(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    for attempt in (
        lambda: stream("https://127.0.0.1:1/", Taken()),
        lambda: ask("https://127.0.0.1:1/"),
    ):
        with pytest.raises(WireError) as caught:
            attempt()
        assert caught.value.code is Code.TLS_FAILED
        assert str(file) in str(caught.value)


# --- proxies --------------------------------------------------------------------------


@pytest.mark.fault("4.1/surroundings", "proxy")
def test_https_goes_through_the_tunnel_of_a_proxy(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve([Send(reply(200, BODY))], tls=server_context(authority, "storage.test")) as server:
        tunnel: list[Step] = [Send(b"HTTP/1.1 200 Connected\r\n\r\n"), Tunnel(server.port)]
        with serve(tunnel) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")

            async def main(transport: HttpTransport) -> None:
                taken = Taken()
                await transport.stream("https://storage.test/x", {"range": "bytes=0-"}, taken)
                assert bytes(taken.body) == BODY
                found = await transport.ask(HttpRequest(url="https://storage.test/y", cap=100))
                assert found.body == BODY

            using(main)
            assert [seen.method for seen in proxy.requests] == ["CONNECT", "CONNECT"]
            assert [seen.target for seen in proxy.requests] == ["storage.test:443"] * 2
            assert {seen.header("proxy-authorization") for seen in proxy.requests} == {
                "Basic bWU6cEBzcw=="
            }
            assert not any(b"range" in seen.raw for seen in proxy.requests)
        assert [seen.target for seen in server.requests] == ["/x", "/y"]
        assert not any(b"proxy-auth" in seen.raw.lower() for seen in server.requests)


@pytest.mark.fault("4.1/surroundings", "proxy")
def test_plain_http_is_asked_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve([Send(reply(200, BODY))]) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        stream("http://storage.test/x?y", Taken())
        ask("http://storage.test/x?y")
        assert [seen.target for seen in proxy.requests] == ["http://storage.test/x?y"] * 2


@pytest.mark.fault("4.1/surroundings", "proxy")
def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve([Send(reply(200, BODY))]) as server, serve([Send(reply(500))]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        stream(server.url(), Taken())
        ask(server.url())
        assert proxy.requests == []
        assert len(server.requests) == 2


@pytest.mark.fault("4.1/surroundings", "proxy")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_an_unreachable_host(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://a.test/"
    with serve([Send(reply(407))]) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        for attempt in (lambda: stream(url, Taken()), lambda: ask(url)):
            with pytest.raises(WireError) as caught:
                attempt()
            assert caught.value.code is Code.UNREACHABLE
            assert "secret" not in str(caught.value)


@pytest.mark.fault("4.1/surroundings", "proxy")
@pytest.mark.parametrize("setting", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://[x"])
def test_a_proxy_of_another_kind_is_a_setting_to_correct(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", setting)
    for attempt in (lambda: stream("https://a.test/", Taken()), lambda: ask("https://a.test/")):
        with pytest.raises(UserError) as caught:
            attempt()
        assert caught.value.code is Code.CONFIG_INVALID
