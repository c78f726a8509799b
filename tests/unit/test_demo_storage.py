"""The storage origin: signatures, ranges, credentials, parallel requests."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import trustme

from civsync.demo.artifacts import lazy_safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Fault, Stall
from civsync.demo.registry import File, Registry
from civsync.demo.served import Served, serve
from support.loopback import AGENT, ask

DATA = bytes(range(256)) * 4
LOOKS = 1000


@pytest.fixture
def served() -> Iterator[Served]:
    registry = Registry(clock=lambda: 1_000_000.0)
    registry.add_model().add_version().add_file("data.safetensors", DATA)
    with serve(registry) as running:
        yield running


def only_file(served: Served) -> File:
    [(_, _, file)] = served.registry.every_file()
    return file


def signed(served: Served) -> str:
    [(_, version, file)] = served.registry.every_file()
    url = f"{served.api_url}/api/download/models/{version.id}?fileId={file.id}"
    return str(ask(url).headers["Location"])


def test_the_whole_file_comes_with_its_facts(served: Served) -> None:
    got = ask(signed(served))
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["Content-Length"] == str(len(DATA))
    assert got.headers["Accept-Ranges"] == "bytes"
    assert got.headers["Content-Disposition"] == "attachment; filename*=UTF-8''data.safetensors"
    assert got.headers["ETag"].startswith('"')


RANGES = {
    "first byte": ("bytes=0-0", 206, "bytes 0-0/1024", DATA[:1]),
    "middle": ("bytes=10-19", 206, "bytes 10-19/1024", DATA[10:20]),
    "open end": ("bytes=1000-", 206, "bytes 1000-1023/1024", DATA[1000:]),
    "end beyond": ("bytes=1000-9999", 206, "bytes 1000-1023/1024", DATA[1000:]),
    "suffix": ("bytes=-5", 206, "bytes 1019-1023/1024", DATA[-5:]),
    "start at the end": ("bytes=1024-", 416, "bytes */1024", None),
    "not bytes": ("lines=1-2", 200, None, DATA),
    "several": ("bytes=0-1,4-5", 200, None, DATA),
    "nothing": ("bytes=-", 200, None, DATA),
}


@pytest.mark.parametrize(("wanted", "status", "says", "body"), RANGES.values(), ids=RANGES)
def test_ranges_follow_the_standard(
    served: Served, wanted: str, status: int, says: str | None, body: bytes | None
) -> None:
    got = ask(signed(served), range=wanted)
    assert (got.status, got.headers["Content-Range"]) == (status, says)
    if body is not None:
        assert got.body == body


def test_if_range_with_another_etag_gives_the_whole(served: Served) -> None:
    url = signed(served)
    etag = ask(url).headers["ETag"]
    assert ask(url, range="bytes=5-9", if_range=etag).status == 206
    assert ask(url, range="bytes=5-9", if_range='"other"').status == 200


def test_an_authorization_header_is_refused_as_r2_does(served: Served) -> None:
    got = ask(signed(served), authorization="Bearer good")
    assert got.status == 400
    assert b"<Code>InvalidRequest</Code>" in got.body
    assert b"Missing x-amz-content-sha256" in got.body


def test_a_url_runs_out_at_its_time_and_not_before(served: Served) -> None:
    url = signed(served)
    served.registry.clock = lambda: 1_086_399.0
    assert ask(url).status == 200
    served.registry.clock = lambda: 1_086_400.0
    got = ask(url)
    assert (got.status, got.headers["Content-Type"]) == (403, "application/xml; charset=utf-8")


def test_revoked_and_forged_urls_are_refused(served: Served) -> None:
    url = signed(served)
    assert ask(url.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status == 403
    assert ask(url.replace("data.", "other.")).status == 403
    served.expire_urls()
    assert ask(url).status == 403
    assert ask(signed(served)).status == 200


@pytest.mark.parametrize("name", ["<winnie-the-pooh>.pt", "a b%2F+&?#.bin", "語.safetensors"])
def test_unsafe_names_survive_the_signed_url(served: Served, name: str) -> None:
    only_file(served).name = name
    assert ask(signed(served)).body == DATA


def test_a_file_that_is_replaced_is_replaced_under_its_old_url_too(served: Served) -> None:
    url = signed(served)
    before = ask(url).headers["ETag"]
    only_file(served).put(b"new content")
    after = ask(url)
    assert (after.body, after.headers["ETag"] == before) == (b"new content", False)


def test_a_large_body_is_served_from_any_place_without_being_held(served: Served) -> None:
    body = lazy_safetensors("large", 64 << 20)
    only_file(served).put(body)
    start = (37 << 20) + 11
    got = ask(signed(served), range=f"bytes={start}-{start + 999_999}")
    assert got.body == read(body, start, start + 1_000_000)


def test_more_requests_than_allowed_for_one_url_are_refused(served: Served) -> None:
    served.registry.max_parallel_per_url = 1
    released = threading.Event()
    served.faults.add(Fault(does=Stall(released, after=10), origin="storage"))
    url = signed(served)
    parts = urlsplit(url)
    first = http.client.HTTPConnection(parts.netloc)
    first.request("GET", f"{parts.path}?{parts.query}", headers={"User-Agent": AGENT})
    with first.getresponse() as slow:
        assert slow.read(10) == DATA[:10]
        assert ask(url).status == 403
        assert ask(signed(served)).status == 200
        released.set()
        assert slow.read() == DATA[10:]
    first.close()
    assert ask(url).status == 200
    assert served.peak_parallel == 1


def test_who_leaves_a_slow_reply_frees_the_place_at_once(served: Served) -> None:
    only_file(served).put(b"x" * 200_000)
    served.registry.storage_rate = 1e-3
    parts = urlsplit(signed(served))
    slow = socket.create_connection((parts.hostname, parts.port))
    slow.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert slow.recv(1)
    assert served.running == 1
    slow.close()
    served.registry.storage_rate = None
    for _ in range(LOOKS):
        if not served.running:
            break
        ask(signed(served), range="bytes=0-0")
    assert served.running == 0


def test_a_finished_body_never_blocks_the_next_request(served: Served) -> None:
    served.registry.max_parallel_per_url = 1
    only_file(served).put(b"x" * 200_000)
    url = signed(served)
    assert {ask(url).status for _ in range(100)} == {200}


def test_requests_are_recorded_whole_and_connections_counted(served: Served) -> None:
    url = signed(served)
    ask(url, range="bytes=0-0", x_note="seen")
    api, storage = served.requests
    assert (api.origin, api.method, api.path.startswith("/api/download/")) == ("api", "GET", True)
    assert storage.header("Range") == "bytes=0-0"
    assert storage.header("x-note") == "seen"
    assert storage.first("X-Amz-Expires") == "86400"
    assert served.count() == 2
    assert served.count(origin="storage") == served.connections("storage") == 1
    assert served.count(origin="api", path_prefix="/api/v1") == 0
    served.reset_counts()
    assert (served.count(), served.connections("api"), served.requests) == (0, 0, [])


def test_connections_are_kept_alive(served: Served) -> None:
    parts = urlsplit(signed(served))
    connection = http.client.HTTPConnection(parts.netloc)
    for _ in range(3):
        connection.request("GET", f"{parts.path}?{parts.query}")
        with connection.getresponse() as got:
            assert got.read() == DATA
    connection.close()
    assert served.connections("storage") == 1


def test_the_end_of_serving_breaks_open_connections(served: Served) -> None:
    with serve(Registry()) as other:
        idle = http.client.HTTPConnection(urlsplit(other.api_url).netloc)
        idle.request("GET", "/api/v1/enums", headers={"User-Agent": AGENT})
        with idle.getresponse() as got:
            got.read()
        open_one = idle.sock
    assert open_one.recv(1) == b""
    idle.close()


def test_both_origins_speak_https_when_asked() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serve(Registry(), tls=tls) as running:
        for url in (running.api_url, running.storage_url):
            assert url.startswith("https://127.0.0.1:")
            client = http.client.HTTPSConnection(urlsplit(url).netloc, context=trusting)
            client.request("GET", "/api/v1/enums", headers={"User-Agent": AGENT})
            with client.getresponse() as got:
                assert got.status == (200 if url == running.api_url else 403)
                got.read()
            client.close()
        assert running.count(origin="api") == 1
