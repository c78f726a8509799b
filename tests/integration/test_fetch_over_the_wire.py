"""The engine's way to a file against a storage host that does everything wrong, over sockets.

The clock never waits, so that every pause and the end of every patience is seen.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.limits import (
    BACKOFF_CAP_S,
    FRESH_URLS,
    REDIRECTS,
    RETRY_AFTER_CAP_S,
    TRANSFER_ATTEMPTS,
)
from civsync.engine.run import Manner
from support.engine_world import body, codes_of, error_at
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
from support.wired_world import WiredWorld, ranges, wired

PATH = "loras/a.bin"
DATA = body(1)
SIZE = len(DATA)
HALF = SIZE // 2
REST = f"bytes={HALF}-"
WHOLE = [Send(reply(200, DATA))]
BROKEN: list[Step] = [Send(reply(200, DATA[:HALF], length=SIZE)), Close()]


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


def rest_of(data: bytes, start: int) -> list[Step]:
    """Answer a request for the bytes from `start` on as it should be."""
    if not start:
        return [Send(reply(200, data))]
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return [Send(reply(206, data[start:], headers={"Content-Range": span}))]


def mended(*scripts: Sequence[Step], held: bytes = b"") -> tuple[WiredWorld, WireServer]:
    """Sync against these replies, which must end with the whole file; return what was seen."""
    with serve(*scripts) as server:
        world = wired(server, PATH, DATA, held=held)
        assert codes_of(world.sync()) == {}
    assert world.tree == {PATH: DATA}
    assert {seen.method for seen in server.requests} == {"GET"}
    return world, server


def refused(*scripts: Sequence[Step], held: bytes = b"") -> tuple[CivsyncError, WireServer]:
    """Sync against these replies, which must end in an error and leave no file."""
    with serve(*scripts) as server:
        world = wired(server, PATH, DATA, held=held)
        error = error_at(world.sync(), PATH)
    assert world.tree == {}
    assert max(map(len, world.disk.parts.values()), default=0) <= SIZE
    assert "signature" not in f"{error} {error.subject} {error.data}"
    return error, server


# --- no connection --------------------------------------------------------------------


@pytest.mark.fault("4.1/no-connection", "DNS failure", "refused", "the others go on")
@pytest.mark.parametrize("host", ["127.0.0.1:{}", "name.invalid:{}"], ids=["refused", "no-name"])
def test_a_host_that_cannot_be_reached_is_given_up_and_the_others_go_on(host: str) -> None:
    gone = f"http://{host.format(refused_port())}/x"
    with serve([Send(reply(302, headers={"Location": gone}))]) as lost, serve(WHOLE) as server:
        world = wired(server, PATH, DATA)
        other = "loras/b.bin"
        moved = body(2)
        world.want(other, moved)
        world.hold(other, moved[:HALF])
        world.source.elsewhere[200] = lost.origin
        outcome = world.sync(Manner(jobs=1))
    assert world.tree == {PATH: DATA}
    assert codes_of(outcome) == {other: Code.UNREACHABLE}
    assert list(world.disk.parts.values()) == [moved[:HALF]]
    assert len(lost.requests) == TRANSFER_ATTEMPTS
    pauses = [pause for pause in world.clock.slept if pause > 0.1]
    assert len(pauses) == TRANSFER_ATTEMPTS - 1
    assert pauses == sorted(pauses)
    assert max(pauses) <= BACKOFF_CAP_S


# --- TLS ------------------------------------------------------------------------------


def other_authority(_: trustme.CA) -> ssl.SSLContext:
    return server_context(trustme.CA())


def other_name(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "storage.test")


def expired(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    made = authority.issue_cert(
        "127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday
    )
    made.configure_cert(context)
    return context


@pytest.mark.fault("4.1/tls", "unknown authority", "wrong name", "expired")
@pytest.mark.parametrize(
    ("make", "why"),
    [(other_authority, "issuer"), (other_name, "IP address mismatch"), (expired, "expired")],
    ids=["authority", "name", "expired"],
)
def test_a_certificate_that_proves_nothing_ends_the_file_at_the_first_try(
    authority: trustme.CA, make: object, why: str
) -> None:
    assert callable(make)
    with serve(WHOLE, tls=make(authority)) as server:
        world = wired(server, PATH, DATA)
        error = error_at(world.sync(), PATH)
    assert error.code is Code.TLS_FAILED
    assert why in error.message
    assert (server.connections, server.requests, world.clock.slept) == (1, [], [])
    told = f"{error.message} {error.hint}".lower()
    assert not any(word in told for word in ("insecure", "disable", "skip", "--no", "ignore"))


@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE")
def test_the_users_authority_is_trusted_for_the_bytes(authority: trustme.CA) -> None:
    with serve(WHOLE, tls=server_context(authority)) as server:
        world = wired(server, PATH, DATA)
        assert codes_of(world.sync()) == {}
    assert world.tree == {PATH: DATA}


# --- cuts, silence, too much ----------------------------------------------------------

CHUNKS = [
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % 40, DATA[:40]),
    (b"\r\n%x\r\n" % 35, DATA[40:75]),
    (b"\r\n%x\r\n" % 25, DATA[75:]),
    (b"\r\n0\r\n\r\n", b""),
]


@pytest.mark.fault("4.1/cut", "truncated", "chunks cut", "empty reply")
def test_a_body_of_three_chunks_cut_anywhere_is_gone_on_from() -> None:
    whole = b"".join(framing + piece for framing, piece in CHUNKS)
    mask = [flag for framing, piece in CHUNKS for flag in [0] * len(framing) + [1] * len(piece)]
    with WireServer() as server:
        for cut in range(len(whole)):
            held = sum(mask[:cut])
            server.requests.clear()
            server.script([Send(whole[:cut]), Close()], rest_of(DATA, held))
            world = wired(server, PATH, DATA)
            outcome = world.sync()
            assert world.tree == {PATH: DATA}, cut
            assert outcome.received == SIZE, cut
            # What is there is there: the missing end of the framing is worth no request.
            wanted = [None, f"bytes={held}-" if held else None][: 2 if held < SIZE else 1]
            assert ranges(server) == wanted, cut


@pytest.mark.fault("4.1/cut", "reset")
def test_a_connection_reset_in_the_middle_of_a_body_loses_nothing_that_came() -> None:
    with WireServer() as server:
        for cut in range(0, SIZE, 7):
            # After a reset the peer may drop what it has not read yet.
            server.script([Send(reply(200, DATA[:cut], length=SIZE)), Reset()], WHOLE)
            world = wired(server, PATH, DATA)
            assert codes_of(world.sync()) == {}, cut
            assert world.tree == {PATH: DATA}, cut


@pytest.mark.fault("4.1/cut", "tries that bring bytes", "empty reply")
def test_only_tries_that_bring_no_byte_are_counted() -> None:
    one_each: list[list[Step]] = [
        [Send(_head_of(at) + DATA[at : at + 1]), Close()] for at in range(3 * TRANSFER_ATTEMPTS)
    ]
    _, server = mended(*one_each, rest_of(DATA, len(one_each)))
    assert len(server.requests) == 3 * TRANSFER_ATTEMPTS + 1
    error, server = refused([Close()])
    assert error.code is Code.CONNECTION_LOST
    assert len(server.requests) == TRANSFER_ATTEMPTS


def _head_of(start: int) -> bytes:
    whole = rest_of(DATA, start)[0]
    assert isinstance(whole, Send)
    return whole.data.removesuffix(DATA[start:])


@pytest.mark.fault("4.1/no-length", "early close")
def test_the_end_of_a_body_without_a_length_is_not_the_end_of_the_file() -> None:
    cut: list[Step] = [Send(reply(200, DATA[:HALF], length=None)), Close()]
    _, server = mended(cut, rest_of(DATA, HALF))
    assert ranges(server) == [None, REST]


@pytest.mark.fault("4.1/too-much", "endless body")
def test_a_body_without_end_ends_at_the_first_byte_beyond_the_size() -> None:
    error, server = refused([Send(reply(200, length=None)), Endless(bytes(65536))])
    assert error.code is Code.SIZE_MISMATCH
    assert len(server.requests) == 1


@pytest.mark.fault("4.1/too-much", "beyond the length", "endless body")
def test_one_byte_too_many_is_too_many() -> None:
    unsaid: list[Step] = [Send(reply(200, DATA + b"x", length=None)), Close()]
    assert refused(unsaid)[0].code is Code.SIZE_MISMATCH
    assert refused([Send(reply(200, DATA + b"x"))])[0].code is Code.SIZE_MISMATCH
    mended([Send(reply(200, DATA + b"x", length=SIZE))])


@pytest.mark.fault("4.1/slow", "stall")
def test_a_transfer_that_stands_still_goes_on_over_a_new_connection() -> None:
    stalled: list[Step] = [Send(reply(200, DATA[:HALF], length=SIZE)), Pause()]
    with serve(stalled, rest_of(DATA, HALF)) as server:
        world = wired(server, PATH, DATA)
        world.read_timeout = 2.0
        assert codes_of(world.sync()) == {}
    assert world.tree == {PATH: DATA}
    assert world.retried == [Code.TIMED_OUT]
    assert ranges(server) == [None, REST]
    assert [seen.connection for seen in server.requests] == [1, 2]


# --- pauses and failures of the server ------------------------------------------------

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
FIRST = 0.375
"""The pause after the first failure where nothing is asked for: half a second, half jitter."""


@pytest.mark.fault("4.1/retry-after", "429", "503", "seconds", "date", "negative", "garbage")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        pytest.param({"Retry-After": "7"}, 7.0, id="seconds"),
        pytest.param({"Retry-After": "0"}, FIRST, id="zero"),
        pytest.param({"Retry-After": "-7"}, FIRST, id="negative"),
        pytest.param({"Retry-After": "soon"}, FIRST, id="garbage"),
        pytest.param({"Retry-After": "7 seconds"}, FIRST, id="unit"),
        pytest.param({"Retry-After": "7, 9"}, FIRST, id="list"),
        pytest.param({"Retry-After": ""}, FIRST, id="empty"),
        pytest.param({}, FIRST, id="none"),
        pytest.param({"Retry-After": "120"}, 120.0, id="cap"),
        pytest.param({"Date": DATE, "Retry-After": DATE.replace("28:00", "28:09")}, 9.0, id="date"),
        pytest.param(
            {"Date": DATE, "Retry-After": DATE.replace("2015", "2005")}, FIRST, id="past date"
        ),
        pytest.param({"Retry-After": DATE}, FIRST, id="date without Date"),
    ],
)
def test_the_pause_that_is_asked_for_is_kept(
    status: int, headers: dict[str, str], waited: float
) -> None:
    world, server = mended([Send(reply(status, b"busy", headers=headers))], WHOLE)
    assert max(world.clock.slept) == waited
    assert world.clock.now == 1000.0 + waited
    assert len(server.requests) == 2


@pytest.mark.fault("4.1/retry-after", "429", "503", "huge", "date")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "7200"},
        {"Retry-After": "9" * 5000},
        {"Date": DATE, "Retry-After": DATE.replace("2015", "2025")},
    ],
    ids=["hours", "digits", "years"],
)
def test_a_pause_that_nobody_waits_for_ends_the_file_with_the_time(
    status: int, headers: dict[str, str]
) -> None:
    error, server = refused(BROKEN, [Send(reply(status, headers=headers))])
    asked = error.data["retry_after"]
    assert isinstance(asked, float)
    assert asked > RETRY_AFTER_CAP_S
    assert "again in" in error.hint
    assert ranges(server) == [None, REST]


@pytest.mark.fault("4.1/server-error", "5xx", "408", "425")
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520, 599])
def test_a_server_may_fail_all_but_the_last_time(status: int) -> None:
    failing: list[Step] = [Send(reply(status, b"<html>", headers={"Content-Type": "text/html"}))]
    for failures in range(TRANSFER_ATTEMPTS):
        world, server = mended(*[failing] * failures, WHOLE)
        assert len(server.requests) == failures + 1
        pauses = [pause for pause in world.clock.slept if pause > 0.1]
        assert all(pause <= BACKOFF_CAP_S for pause in pauses)
        assert pauses == sorted(pauses)
    for failures in range(TRANSFER_ATTEMPTS, TRANSFER_ATTEMPTS + 2):
        error, server = refused(*[failing] * failures, WHOLE)
        assert error.code is Code.SERVER_ERROR
        assert len(server.requests) == TRANSFER_ATTEMPTS


@pytest.mark.fault(
    "4.1/malformed", "header flood", "bad status line", "two lengths", "negative length"
)
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, id="header-flood"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, id="endless-header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another-protocol"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="status-of-two-digits"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two-lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", id="two-in-one"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="negative-length"),
    ],
)
def test_a_head_that_makes_no_sense_costs_a_try_and_no_more(raw: bytes) -> None:
    nonsense: list[Step] = [Send(raw), Close()]
    world, _ = mended(nonsense, WHOLE)
    assert world.retried == [Code.REPLY_MALFORMED]
    error, server = refused(nonsense)
    assert error.code is Code.REPLY_MALFORMED
    assert len(server.requests) == TRANSFER_ATTEMPTS


# --- what the reply means -------------------------------------------------------------


@pytest.mark.fault("4.2/200-for-range", "200")
@pytest.mark.parametrize("held", [DATA[:HALF], b"x" * (SIZE - 1)], ids=["ours", "of another file"])
@pytest.mark.parametrize("length", [-1, None], ids=["length", "no length"])
def test_200_to_a_range_is_the_whole_file_from_zero(held: bytes, length: int | None) -> None:
    world, server = mended([Send(reply(200, DATA, length=length)), Close()], held=held)
    assert ranges(server) == [f"bytes={len(held)}-"]
    assert world.notes == []


WRONG_RANGES: dict[str, list[str | None]] = {
    "another start": [
        "bytes 0-99/100", "bytes 49-99/100", "bytes 51-99/100", "bytes 99-50/100",
        "bytes -50-99/100", "bytes +50-99/100",
    ],
    "another end": [
        "bytes 50-98/100", "bytes 50-100/100", "bytes 50-/100", "bytes 50-50/100",
        "bytes 50-59,60-99/100",
    ],
    "another total": [
        "bytes 50-99/101", "bytes 50-99/99", "bytes 50-99/*", "bytes 50-100/101",
        "bytes 50-99/0", "bytes 50-99/-100", f"bytes 50-99/{'1' * 5000}", "bytes 50-99/100.0",
    ],
    "no range": [
        None, "", "bytes */100", "bytes */*", "bytes 50-99", "50-99/100", "items 50-99/100",
        "bytes=50-99/100", "bytes  50-99/100", "bytes 50 - 99/100", "bytes 50-99 /100",
        "bytes 0x32-99/100", "bytes 5_0-99/100", "bytes \u0665\u0660-99/100", "bytes \x1b[31m",
        "bytes 50-99/100, bytes 50-99/100", "bytes 50-99/100;x", "none",
    ],
}  # fmt: skip


@pytest.mark.fault("4.2/wrong-range", "another start", "another end", "another total", "no range")
@pytest.mark.parametrize("kind", WRONG_RANGES)
def test_a_range_that_was_not_asked_for_is_refused_and_ends_in_one_fresh_try(kind: str) -> None:
    for text in WRONG_RANGES[kind]:
        headers = {} if text is None else {"Content-Range": text}
        wrong = [Send(reply(206, b"!" * HALF, headers=headers))]
        world, server = mended(wrong, wrong, WHOLE, held=DATA[:HALF])
        assert ranges(server) == [REST, REST, None], text
        # Nothing of such a reply is read, so its connection carries no other.
        assert [seen.connection for seen in server.requests] == [1, 2, 3], text
        assert world.retried == [Code.REPLY_MALFORMED] * 2, text
        _, server = mended(wrong, rest_of(DATA, HALF), held=DATA[:HALF])
        assert ranges(server) == [REST, REST], text


@pytest.mark.fault("4.2/wrong-range", "multipart")
def test_several_ranges_in_one_reply_are_refused() -> None:
    part = f"--b\r\nContent-Range: bytes {HALF}-{SIZE - 1}/{SIZE}\r\n\r\n".encode() + DATA[HALF:]
    headers = {"Content-Type": "multipart/byteranges; boundary=b"}
    wrong = [Send(reply(206, part + b"\r\n--b--", headers=headers))]
    _, server = mended(wrong, wrong, WHOLE, held=DATA[:HALF])
    assert ranges(server) == [REST, REST, None]


@pytest.mark.fault("4.2/wrong-range", "another end")
@pytest.mark.parametrize("length", [HALF - 1, HALF + 1, SIZE])
def test_a_length_that_contradicts_the_range_is_refused(length: int) -> None:
    headers = {"Content-Range": f"bytes {HALF}-{SIZE - 1}/{SIZE}"}
    wrong = [Send(reply(206, DATA[HALF:].ljust(length, b"!")[:length], headers=headers))]
    _, server = mended(wrong, wrong, WHOLE, held=DATA[:HALF])
    assert ranges(server) == [REST, REST, None]


NO_RANGE: list[Step] = [Send(reply(416, headers={"Content-Range": f"bytes */{SIZE}"}))]


@pytest.mark.fault("4.2/416", "whole")
@pytest.mark.parametrize("held", [DATA, b"x" * SIZE], ids=["right", "wrong"])
def test_a_whole_part_is_verified_and_nothing_asked_about_it(held: bytes) -> None:
    with serve(NO_RANGE, WHOLE) as server:
        if held != DATA:
            server.script(WHOLE)
        world = wired(server, PATH, DATA, held=held)
        assert codes_of(world.sync()) == {}
    assert world.tree == {PATH: DATA}
    assert ranges(server) == ([] if held == DATA else [None])


@pytest.mark.fault("4.2/416", "not whole")
@pytest.mark.parametrize("said", [f"bytes */{SIZE}", "bytes */1", "nonsense", None])
def test_a_part_that_no_range_continues_is_begun_at_zero(said: str | None) -> None:
    headers = {} if said is None else {"Content-Range": said}
    _, server = mended([Send(reply(416, headers=headers))], WHOLE, held=DATA[:HALF])
    assert ranges(server) == [REST, None]


@pytest.mark.fault("4.2/416", "for ever")
def test_no_range_for_ever_is_no_loop() -> None:
    error, server = refused(NO_RANGE, held=DATA[:HALF])
    assert error.code is Code.REPLY_MALFORMED
    assert ranges(server) == [REST] + [None] * (len(server.requests) - 1)
    assert len(server.requests) <= TRANSFER_ATTEMPTS + 1


@pytest.mark.fault("4.2/changed", "other bytes", "other total")
def test_a_file_that_changes_between_two_parts_is_never_spliced() -> None:
    other = body(2)
    tagged = {"ETag": '"new"', "Content-Range": f"bytes {HALF}-{SIZE - 1}/{SIZE}"}
    spliced = [Send(reply(206, other[HALF:], headers=tagged))]
    world, server = mended(BROKEN, spliced, WHOLE)
    assert ranges(server) == [None, REST, None]
    assert world.notes == ["part-dropped"]
    longer = {"Content-Range": f"bytes {HALF}-{SIZE}/{SIZE + 1}"}
    grown = [Send(reply(206, other[HALF:] + b"x", headers=longer))]
    _, again = mended(BROKEN, grown, grown, WHOLE)
    assert ranges(again) == [None, REST, REST, None]
    for seen in [*server.requests, *again.requests]:
        assert seen.header("if-range") is seen.header("if-match") is None


@pytest.mark.fault("4.2/changed", "other bytes")
def test_a_file_that_stays_changed_is_an_alarm_after_one_fresh_try() -> None:
    other = body(2)
    error, server = refused(BROKEN, rest_of(other, HALF), [Send(reply(200, other))])
    assert error.code is Code.HASH_MISMATCH
    assert ranges(server) == [None, REST, None]


@pytest.mark.fault("4.2/expired", "403", "400")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_address_that_expires_is_asked_for_anew_and_the_part_kept(status: int) -> None:
    said = b"<Error><Code>ExpiredToken</Code></Error>"
    gone = [Send(reply(status, said, headers={"Content-Type": "application/xml"}))]
    world, server = mended(BROKEN, gone, rest_of(DATA, HALF))
    assert ranges(server) == [None, REST, REST]
    first, second, third = [seen.target for seen in server.requests]
    assert first == second != third
    assert world.source.located == {100: 2}


@pytest.mark.fault("4.2/expired", "again and again")
def test_addresses_that_expire_again_and_again_are_not_asked_for_for_ever() -> None:
    one_each: list[list[Step]] = []
    for at in range(FRESH_URLS + 1):
        one_each += [[Send(_head_of(at) + DATA[at : at + 1]), Close()], [Send(reply(403))]]
    with serve(*one_each) as server:
        world = wired(server, PATH, DATA)
        assert codes_of(world.sync()) == {PATH: Code.URL_EXPIRED}
    assert world.source.located == {100: FRESH_URLS + 1}
    assert list(world.disk.parts.values()) == [DATA[: FRESH_URLS + 1]]


CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
PAGES = [
    pytest.param("text/html; charset=utf-8", b"<html>Sign in</html>", id="login"),
    pytest.param("application/json", b'{"error": "Unauthorized"}', id="json"),
    pytest.param("text/html", CHALLENGE, id="challenge"),
]


@pytest.mark.fault("4.2/page", "login page", "error JSON", "challenge")
@pytest.mark.parametrize(("media", "page"), PAGES)
@pytest.mark.parametrize("pad", [False, True], ids=["short", "of the locked size"])
def test_a_page_is_never_a_model(media: str, page: bytes, pad: bool) -> None:
    page = page.ljust(SIZE) if pad else page
    typed = [Send(reply(200, page, headers={"Content-Type": media}))]
    error, server = refused(typed, held=DATA[:HALF])
    assert error.code is Code.NOT_A_MODEL
    assert "civsync auth login" in error.hint
    assert len(server.requests) == 1
    # The same bytes as if they were a file, and without any word of how many.
    for length in (-1, None):
        nameless = {"Content-Type": "application/octet-stream"}
        untyped: list[Step] = [
            Send(reply(200, page, headers=nameless, length=length)),
            Close(),
        ]
        expected = (Code.HASH_MISMATCH, Code.SIZE_MISMATCH, Code.CONNECTION_LOST)
        assert refused(untyped)[0].code in expected


@pytest.mark.fault("4.2/coded", "gzip", "br")
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, br", "x-unknown"])
def test_a_coded_body_is_refused_and_none_was_asked_for(coding: str) -> None:
    error, server = refused([Send(reply(200, DATA, headers={"Content-Encoding": coding}))])
    assert error.code is Code.NOT_A_MODEL
    assert [seen.header("accept-encoding") for seen in server.requests] == ["identity"]
    span = {"Content-Range": f"bytes {HALF}-{SIZE - 1}/{SIZE}", "Content-Encoding": coding}
    error, _ = refused([Send(reply(206, DATA[HALF:], headers=span))], held=DATA[:HALF])
    assert error.code is Code.NOT_A_MODEL


# --- redirects of the storage host ----------------------------------------------------


def to(location: str) -> list[Step]:
    return [Send(reply(302, headers={"Location": location}))]


@pytest.mark.fault("4.2/redirect", "loop", "more than five hops")
def test_five_hops_are_followed_and_a_sixth_is_not() -> None:
    hops = [to(f"/hop{number}") for number in range(REDIRECTS)]
    _, server = mended(*hops, WHOLE)
    assert [seen.target for seen in server.requests[1:]] == [f"/hop{n}" for n in range(REDIRECTS)]
    for scripts in ([*hops, to("/one-more"), WHOLE], [to("/again")]):
        error, server = refused(*scripts)
        assert error.code is Code.BAD_REDIRECT
        assert len(server.requests) == REDIRECTS + 1


@pytest.mark.parametrize("held", [b"", DATA[:HALF]], ids=["small", "resumed"])
def test_hops_before_the_storage_count_too(held: bytes) -> None:
    with serve(*[to(f"/hop{number}") for number in range(REDIRECTS)], WHOLE) as server:
        world = wired(server, PATH, DATA, held=held)
        world.source.hops = 1
        assert error_at(world.sync(), PATH).code is Code.BAD_REDIRECT
        assert len(server.requests) == REDIRECTS


@pytest.mark.fault("4.2/redirect", "file:", "userinfo")
@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "http://me:pw@127.0.0.1/x",
        "http://[",
        "",
    ],
)
def test_a_redirect_to_what_is_no_plain_web_address_is_refused_at_once(location: str) -> None:
    error, server = refused(to(location))
    assert error.code is Code.BAD_REDIRECT
    assert "pw" not in f"{error}"
    assert len(server.requests) == 1


@pytest.mark.fault("4.2/redirect", "to http")
def test_https_does_not_lead_to_http(authority: trustme.CA) -> None:
    with serve(WHOLE) as plain, serve(to(plain.url()), tls=server_context(authority)) as server:
        world = wired(server, PATH, DATA)
        assert codes_of(world.sync()) == {PATH: Code.BAD_REDIRECT}
        assert (len(server.requests), plain.requests) == (1, [])


@pytest.mark.fault("4.2/redirect", "to http", "other port", "userinfo", "private address")
@pytest.mark.parametrize(
    "location",
    [
        "http://storage.test/x",
        "https://storage.test:8443/x",
        "https://user@storage.test/x",
        "https://10.0.0.8/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://localhost/x",
        "https://0x7f.1/x",
    ],
)
def test_a_public_host_does_not_lead_into_somebodys_network(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    with serve(to(location), tls=server_context(authority, "storage.test")) as server:
        tunnel: list[Step] = [Send(b"HTTP/1.1 200 Connected\r\n\r\n"), Tunnel(server.port)]
        with serve(tunnel) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
            monkeypatch.setenv("HTTP_PROXY", proxy.origin)
            world = wired(server, PATH, DATA)
            world.source.storage = "https://storage.test"
            assert codes_of(world.sync()) == {PATH: Code.BAD_REDIRECT}
            assert [seen.target for seen in proxy.requests] == ["storage.test:443"]
            assert len(server.requests) == 1


@pytest.mark.fault("4.1/surroundings", "proxy")
def test_what_is_excluded_from_the_proxy_is_not_asked_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve([Send(reply(407))]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        for excluded, asked in (("", TRANSFER_ATTEMPTS), ("invalid", 0), ("b.test,.invalid", 0)):
            monkeypatch.setenv("NO_PROXY", excluded)
            proxy.requests.clear()
            world = wired(proxy, PATH, DATA)
            world.source.storage = "https://storage.invalid"
            assert codes_of(world.sync()) == {PATH: Code.UNREACHABLE}
            assert len(proxy.requests) == asked, excluded
