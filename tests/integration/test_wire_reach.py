"""Getting connected: which addresses are refused, how long it takes, how it is broken off."""

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import anyio
import pytest
import trustme

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.wire import Head
from civsync.ports import Sink
from civsync.wire.abort import Abort
from civsync.wire.addresses import Addresses
from civsync.wire.transport import HttpTransport
from support.wire_server import Pause, Send, reply, serve, server_context

T = TypeVar("T")
BODY = b"0123456789abcdef"
FOR_EVER_S = 1000.0
"""Longer than any test may take."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Names:
    """The resolver of the system: names and their addresses; others do not exist."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {}
        self.stuck = threading.Event()
        self.go_on = threading.Event()

    def getaddrinfo(self, host: str, port: int, *, type: int, flags: int = 0) -> list[Any]:  # noqa: A002  (as in socket)
        if flags & socket.AI_NUMERICHOST or host not in self.table:
            return _numeric(host, port)
        if not self.table[host]:
            self.stuck.set()
            assert self.go_on.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [found for each in self.table[host] for found in _numeric(each, port)]


_real = socket.getaddrinfo


def _numeric(host: str, port: int) -> list[Any]:
    return _real(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.go_on.set()


@contextlib.contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """An address whose packets vanish: a listener with a full queue that nobody empties."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        address: tuple[str, int] = listener.getsockname()
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address


def using(transport: HttpTransport, work: Callable[[HttpTransport], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            return await work(transport)
        finally:
            await transport.aclose()

    return anyio.run(main)


def received(transport: HttpTransport, url: str) -> bytes:
    body = bytearray()

    async def main(transport: HttpTransport) -> None:
        await transport.stream(url, {}, lambda _: body.extend)

    using(transport, main)
    return bytes(body)


def refusal(transport: HttpTransport, url: str) -> WireError:
    with pytest.raises(WireError) as caught:
        received(transport, url)
    return caught.value


# --- private addresses ----------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    ["storage.test", "127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"],
)
def test_a_redirect_target_that_turns_out_to_be_private_is_not_asked(
    names: Names, spelling: str
) -> None:
    names.table = {"civitai.com": ["8.8.8.8"], "storage.test": ["127.0.0.1"]}
    with serve([Send(reply(200, BODY))]) as server:
        transport = HttpTransport(api_host="civitai.com")
        error = refusal(transport, f"http://{spelling}:{server.port}/x?signature=secret")
        assert server.connections == 0
    assert error.code is Code.BAD_REDIRECT
    assert not error.retry
    assert "private address" in str(error)
    assert "secret" not in f"{error} {error.subject}"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "fd00::1", "fe80::1", "0.0.0.0", "::1", "100.64.0.1"]
)
def test_every_kind_of_private_address_behind_a_name_is_refused(names: Names, address: str) -> None:
    names.table = {"civitai.com": ["8.8.8.8"], "storage.test": [address]}
    error = refusal(HttpTransport(api_host="civitai.com"), "http://storage.test/x")
    assert error.code is Code.BAD_REDIRECT


@pytest.mark.parametrize("host", ["mirror.test", "MIRROR.test", "mirror.test."])
def test_the_host_that_was_configured_may_be_private(names: Names, host: str) -> None:
    names.table = {"mirror.test": ["127.0.0.1"], "mirror.test.": ["127.0.0.1"]}
    with serve([Send(reply(200, BODY))]) as server:
        url = f"http://{host}:{server.port}/x"
        assert received(HttpTransport(api_host="mirror.test"), url) == BODY


@pytest.mark.parametrize(
    "home", ["mirror.test", "127.0.0.1", "localhost"], ids=["name", "address", "loopback"]
)
def test_what_a_private_api_redirects_to_may_be_private_too(names: Names, home: str) -> None:
    names.table = {"mirror.test": ["10.0.0.1"], "localhost": ["::1"]}
    names.table["storage.test"] = ["127.0.0.1"]
    with serve([Send(reply(200, BODY))]) as server:
        url = f"http://storage.test:{server.port}/x"
        assert received(HttpTransport(api_host=home), url) == BODY


def test_an_api_that_cannot_be_looked_up_is_taken_for_public(names: Names) -> None:
    names.table = {"storage.test": ["127.0.0.1"]}
    error = refusal(HttpTransport(api_host="civitai.com"), "http://storage.test:1/x")
    assert error.code is Code.BAD_REDIRECT


def test_of_several_addresses_only_the_public_ones_are_tried(names: Names) -> None:
    names.table = {"civitai.com": ["8.8.8.8"], "storage.test": ["127.0.0.1", "8.8.4.4", "::1"]}
    found = Addresses("civitai.com").of("storage.test", 443, Abort(), monotonic() + FOR_EVER_S)
    assert [each[4][0] for each in found] == ["8.8.4.4"]


def test_a_proxy_may_be_private(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names.table = {"proxy.test": ["127.0.0.1"]}
    with serve([Send(reply(200, BODY))]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://proxy.test:{proxy.port}")
        transport = HttpTransport(api_host="civitai.com")
        assert received(transport, "http://storage.example/x") == BODY


# --- time -----------------------------------------------------------------------------


def test_dead_addresses_leave_time_for_the_one_that_lives(names: Names) -> None:
    # The live one has the port of the dead one on another loopback address.
    with deaf() as (host, port), socket.create_server(("127.0.0.3", port)) as listener:
        answering = threading.Thread(target=_answer_one, args=(listener,))
        answering.start()
        names.table = {"storage.test": [host] * 20 + ["127.0.0.3"]}
        transport = HttpTransport(connect_timeout=2.0)
        assert received(transport, f"http://storage.test:{port}/x") == BODY
        answering.join(20)


def _answer_one(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += sock.recv(65536)
        sock.sendall(reply(200, BODY))


def test_an_address_without_a_route_is_passed_over(names: Names) -> None:
    with serve([Send(reply(200, BODY))]) as server:
        # Nobody can be connected to at the address of everybody.
        names.table = {"storage.test": ["255.255.255.255", "127.0.0.1"]}
        assert received(HttpTransport(), f"http://storage.test:{server.port}/x") == BODY


def test_all_addresses_together_have_one_time_limit(names: Names) -> None:
    with deaf() as (host, port):
        names.table = {"storage.test": [host] * 1000}
        transport = HttpTransport(connect_timeout=0.5)
        assert refusal(transport, f"http://storage.test:{port}/x").code is Code.TIMED_OUT


def test_a_resolver_that_is_stuck_is_given_up(names: Names) -> None:
    names.table = {"storage.test": []}
    transport = HttpTransport(connect_timeout=0.2)
    assert refusal(transport, "http://storage.test/x").code is Code.TIMED_OUT
    assert names.stuck.is_set()


def test_a_handshake_that_never_ends_is_given_up() -> None:
    with serve([Pause()]) as server:
        transport = HttpTransport(connect_timeout=0.2)
        url = server.url().replace("http:", "https:")
        assert refusal(transport, url).code is Code.TIMED_OUT


def test_a_proxy_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve([Send(b"HTTP/1.1 200"), Pause()]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        transport = HttpTransport(connect_timeout=0.2)
        assert refusal(transport, "https://storage.example/x").code is Code.TIMED_OUT


# --- breaking off ---------------------------------------------------------------------


def cancelled(url: str, ready: Callable[[], object]) -> None:
    """Stream with endless patience, and cancel as soon as `ready` returns something true."""

    def judge(_: Head) -> Sink | None:
        raise AssertionError("nothing may come")

    async def main(transport: HttpTransport) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(transport.stream, url, {}, judge)
                assert await anyio.to_thread.run_sync(ready)
                scope.cancel()
        assert scope.cancelled_caught

    using(HttpTransport(connect_timeout=FOR_EVER_S, read_timeout=FOR_EVER_S), main)


def test_cancelling_ends_a_look_up(names: Names) -> None:
    names.table = {"storage.test": []}
    cancelled("http://storage.test/x", lambda: names.stuck.wait(20))


def test_cancelling_ends_a_connect() -> None:
    with deaf() as (host, port):
        cancelled(f"http://{host}:{port}/x", lambda: True)


def test_cancelling_ends_a_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def ready() -> bytes:
            sock, _ = listener.accept()
            opened.append(sock)
            return sock.recv(1)

        opened: list[socket.socket] = []
        cancelled(f"https://127.0.0.1:{listener.getsockname()[1]}/x", ready)
        for sock in opened:
            sock.close()


def test_cancelling_ends_the_wait_for_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    pause = Pause()
    with serve([Send(b"HTTP/1.1 2"), pause]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        cancelled("https://storage.example/x", lambda: pause.reached.wait(20))


def test_a_public_certificate_is_asked_for_by_name_whatever_the_address(
    names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    names.table = {"storage.test": ["127.0.0.1"]}
    with serve([Send(reply(200, BODY))], tls=server_context(authority, "storage.test")) as server:
        assert received(HttpTransport(), f"https://storage.test:{server.port}/x") == BODY
