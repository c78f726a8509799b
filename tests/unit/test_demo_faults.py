"""Each fault does on the wire what it says, as often as it says, and nothing else."""

import gzip
import http.client
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from civsync.demo.faults import (
    Answer,
    Cut,
    Drip,
    Excess,
    ExpireUrls,
    Fault,
    FlipBit,
    Gzip,
    IgnoreRange,
    Raw,
    Refuse,
    Stall,
    WrongRange,
)
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from support.loopback import AGENT, Got, ask

DATA = bytes(range(256)) * 200
ENUMS = "/api/v1/enums"


@pytest.fixture
def served() -> Iterator[Served]:
    registry = Registry()
    registry.add_model().add_version().add_file("data.safetensors", DATA)
    with serve(registry) as running:
        yield running


def signed(served: Served) -> str:
    [(_, version, _)] = served.registry.every_file()
    while True:
        got = ask(f"{served.api_url}/api/download/models/{version.id}")
        if got.status == 307:
            return str(got.headers["Location"])


def spoken(url: str, *headers: str) -> bytes:
    """Say one request by hand and give every byte of the answer, up to the end."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    lines = [f"GET {target} HTTP/1.1", "Host: x", f"User-Agent: {AGENT}", "Connection: close"]
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as peer:
        peer.sendall(("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode())
        return b"".join(iter(lambda: peer.recv(65536), b""))


def fault(served: Served, fault: Fault) -> None:
    served.faults.add(fault)


ANSWERS = {
    "busy": Answer(503, (("Content-Type", "text/html"), ("Retry-After", "7")), b"<html>"),
    "maintenance": Answer(200, (("Content-Type", "text/html"),), b"<html>adjusting</html>"),
    "region": Answer(451, (), b'{"error":"no","code":"REGION_BLOCKED"}'),
    "garbage": Answer(200, (("Content-Type", "application/json"),), b'{"items": [}'),
    "not in the list": Answer(522),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_stands_in_for_the_real_one(served: Served, answer: Answer) -> None:
    fault(served, Fault(does=answer, path=ENUMS))
    got = ask(served.api_url + ENUMS)
    assert (got.status, got.body) == (answer.status, answer.body)
    for name, value in answer.headers:
        assert got.headers[name] == value
    assert ask(served.api_url + ENUMS).status == 200


@pytest.mark.parametrize(
    ("skip", "times", "statuses"),
    [
        (0, 1, [500, 200, 200, 200]),
        (1, 2, [200, 500, 500, 200]),
        (2, None, [200, 200, 500, 500]),
        (0, 0, [200, 200, 200, 200]),
    ],
)
def test_a_fault_bites_at_its_turn(
    served: Served, skip: int, times: int | None, statuses: list[int]
) -> None:
    fault(served, Fault(does=Answer(500), path=ENUMS, skip=skip, times=times))
    assert ask(f"{served.api_url}/api/v1/models").status == 200
    assert [ask(served.api_url + ENUMS).status for _ in statuses] == statuses


def test_a_fault_keeps_to_its_origin_and_can_be_cleared(served: Served) -> None:
    url = signed(served)
    fault(served, Fault(does=Answer(500), origin="storage", times=None))
    assert ask(served.api_url + ENUMS).status == 200
    assert ask(url).status == 500
    served.faults.clear()
    assert ask(url).status == 200


def test_refusing_closes_without_a_byte(served: Served) -> None:
    fault(served, Fault(does=Refuse()))
    assert spoken(served.api_url + ENUMS) == b""
    fault(served, Fault(does=Refuse(reset=True)))
    with pytest.raises(ConnectionResetError):
        spoken(served.api_url + ENUMS)
    assert served.count() == 2


def test_raw_bytes_are_sent_as_they_are(served: Served) -> None:
    fault(served, Fault(does=Raw(b"HTTP/1.1 two hundred\r\n\r\n")))
    assert spoken(served.api_url + ENUMS) == b"HTTP/1.1 two hundred\r\n\r\n"


@pytest.mark.parametrize("after", [0, 1, 20_000])
def test_a_cut_body_ends_early_under_its_full_length(served: Served, after: int) -> None:
    fault(served, Fault(does=Cut(after), origin="storage"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(signed(served))
    assert caught.value.partial == DATA[:after]


def test_a_cut_can_reset_the_connection(served: Served) -> None:
    fault(served, Fault(does=Cut(100, reset=True), origin="storage"))
    with pytest.raises(ConnectionResetError):
        ask(signed(served))


def test_a_cut_without_a_length_looks_complete(served: Served) -> None:
    fault(served, Fault(does=Cut(100, declared=False), origin="storage"))
    got = ask(signed(served))
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, DATA[:100], None)


def test_a_cut_range_counts_from_the_start_of_the_range(served: Served) -> None:
    fault(served, Fault(does=Cut(10), origin="storage"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(signed(served), range="bytes=1000-")
    assert caught.value.partial == DATA[1000:1010]


@pytest.mark.parametrize(
    ("length", "says"),
    [("honest", str(len(DATA))), ("inflated", str(len(DATA) + 100_000)), ("absent", None)],
)
def test_excess_follows_the_body(served: Served, length: str, says: str | None) -> None:
    fault(served, Fault(does=Excess(100_000, length), origin="storage"))  # type: ignore[arg-type]  # the table's three words
    head, _, body = spoken(signed(served)).partition(b"\r\n\r\n")
    assert len(body) == len(DATA) + 100_000
    assert body.startswith(DATA)
    assert (f"Content-Length: {says}".encode() in head) == (says is not None)


def test_a_flipped_bit_bites_only_the_range_that_holds_it(served: Served) -> None:
    fault(served, Fault(does=FlipBit(5000), origin="storage", times=2))
    url = signed(served)
    assert ask(url, range="bytes=0-4999").body == DATA[:5000]
    assert ask(url, range="bytes=5001-").body == DATA[5001:]
    changed = bytearray(DATA)
    changed[5000] ^= 1
    assert ask(url, range="bytes=4990-5010").body == bytes(changed[4990:5011])
    assert ask(url).body == bytes(changed)
    assert ask(url).body == DATA


def test_an_ignored_range_gives_the_whole_with_200(served: Served) -> None:
    fault(served, Fault(does=IgnoreRange(), origin="storage"))
    url = signed(served)
    assert ask(url).status == 200
    got = ask(url, range="bytes=5-9")
    assert (got.status, got.body) == (200, DATA)
    assert ask(url, range="bytes=5-9").status == 206


@pytest.mark.parametrize("says", ["bytes 7-11/99", None])
def test_a_wrong_range_lies_about_the_right_bytes(served: Served, says: str | None) -> None:
    fault(served, Fault(does=WrongRange(says), origin="storage"))
    got = ask(signed(served), range="bytes=5-9")
    assert (got.status, got.headers["Content-Range"], got.body) == (206, says, DATA[5:10])


def test_gzip_is_sent_to_those_who_did_not_ask(served: Served) -> None:
    fault(served, Fault(does=Gzip(), origin="storage"))
    got = ask(signed(served), accept_encoding="identity")
    assert got.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(got.body) == DATA


def test_expiring_kills_the_urls_given_out_so_far(served: Served) -> None:
    url = signed(served)
    fault(served, Fault(does=ExpireUrls(), origin="storage"))
    assert [ask(url).status, ask(url).status] == [403, 403]
    assert ask(signed(served)).status == 200


@pytest.mark.parametrize("after", [None, 0, 1000], ids=["before the answer", "at 0", "at 1000"])
def test_a_stall_lasts_until_it_is_released(served: Served, after: int | None) -> None:
    released = threading.Event()
    fault(served, Fault(does=Stall(released, after), origin="storage"))
    url, got = signed(served), list[Got]()
    client = threading.Thread(target=lambda: got.append(ask(url)))
    client.start()
    served.wait_until_asked(origin="storage")
    assert got == []
    released.set()
    client.join()
    assert got[0].body == DATA


def test_the_end_of_serving_releases_a_stall() -> None:
    registry = Registry()
    registry.faults.add(Fault(does=Stall(threading.Event())))
    with serve(registry) as running:
        peer = socket.create_connection(("127.0.0.1", urlsplit(running.api_url).port or 0))
        peer.sendall(b"GET /api/v1/enums HTTP/1.1\r\n\r\n")
        running.wait_until_asked()
    assert peer.recv(1) == b""
    peer.close()


def test_slow_bodies_arrive_whole(served: Served) -> None:
    [(_, _, file)] = served.registry.every_file()
    file.put(b"0123456789")
    fault(served, Fault(does=Drip(rate=1000, chunk=3), origin="storage"))
    assert ask(signed(served)).body == b"0123456789"
    served.registry.storage_rate = 1000
    served.registry.api_latency = 0.001
    assert ask(signed(served)).body == b"0123456789"


def test_what_is_not_http_ends_the_conversation(served: Served) -> None:
    port = urlsplit(served.api_url).port or 0
    for said in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(said)
            peer.shutdown(socket.SHUT_WR)
            assert peer.recv(1) == b""
    assert ask(served.api_url + ENUMS).status == 200


@pytest.mark.parametrize("seed", range(6))
def test_random_faults_stop_when_the_budget_is_spent(served: Served, seed: int) -> None:
    url = signed(served)
    served.registry.seeded_faults(seed, 8)
    outcomes = []
    while served.faults.budget_left:
        try:
            got = ask(url, range="bytes=100-199")
            right = got.headers["Content-Range"] == f"bytes 100-199/{len(DATA)}"
            outcomes.append(got.status == 206 and right)
        except (OSError, http.client.HTTPException):
            outcomes.append(False)
    assert outcomes.count(False) >= 1
    assert ask(url, range="bytes=100-199").body == DATA[100:200]


def test_the_same_seed_gives_the_same_faults(served: Served) -> None:
    def statuses() -> list[object]:
        served.registry.seeded_faults(7, 6)
        seen: list[object] = []
        while served.faults.budget_left:
            try:
                seen.append(ask(served.api_url + ENUMS).status)
            except (OSError, http.client.HTTPException) as broken:
                seen.append(type(broken))
        return seen

    assert statuses() == statuses()
