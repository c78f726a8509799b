"""Questions to an API that does everything wrong, over sockets, with a clock that never waits.

The twin of `test_fetch_over_the_wire`: answers and bytes come by two different readers.
"""

import gzip
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
import trustme

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.limits import API_ATTEMPTS, BACKOFF_CAP_S, RETRY_AFTER_CAP_S
from civsync.core.questions import AskModel, Models
from civsync.core.secrets import Token
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport
from support.fake_clock import FakeClock
from support.wire_server import (
    Close,
    Endless,
    Pause,
    Reset,
    Send,
    Step,
    refused_port,
    reply,
    serve,
    server_context,
)

T = TypeVar("T")
KEY = "0123456789abcdef"
JSON = {"Content-Type": "application/json"}
FILE = {"id": 3, "name": "x.safetensors", "type": "Model", "sizeKB": 1, "hashes": {}}
VERSION = {"id": 2, "name": "v1", "baseModel": "SD 1.5", "files": [FILE]}
MODEL = json.dumps({"id": 1, "name": "m", "type": "LORA", "modelVersions": [VERSION]}).encode()
GOOD: list[Step] = [Send(reply(200, MODEL, headers=JSON))]
CAP = 1 << 20
FIRST = 0.375
"""The pause after the first failure where nothing is asked for: half a second, half jitter."""


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


def ignore(event: Event) -> None:
    """Nobody listens."""


def using(
    url: str, work: Callable[[CivitaiSource], Awaitable[T]], clock: FakeClock, *, timeout: float
) -> T:
    """Run `work` with a source that is closed afterwards."""

    async def main() -> T:
        transport = HttpTransport(read_timeout=timeout)
        try:
            source = CivitaiSource(
                transport, clock, api_url=url, token=Token(KEY), report=ignore, answer_cap=CAP
            )
            return await work(source)
        finally:
            await transport.aclose()

    return anyio.run(main)


def ask(url: str, clock: FakeClock, *, timeout: float = 20.0) -> None:
    """Ask for a model, which must come."""
    answer = using(url, lambda source: source.answer(AskModel(1)), clock, timeout=timeout)
    assert isinstance(answer, Models)
    assert [model.id for model in answer.models] == [1]


def mended(*scripts: Sequence[Step], timeout: float = 20.0) -> tuple[FakeClock, int]:
    """Ask against these replies, the last of them good; return the clock and the requests."""
    clock = FakeClock()
    with serve(*scripts) as server:
        ask(server.origin, clock, timeout=timeout)
        assert {seen.method for seen in server.requests} == {"GET"}
        return clock, len(server.requests)


def refused(*scripts: Sequence[Step]) -> tuple[CivsyncError, FakeClock, int]:
    """Ask against these replies, which must end in an error."""
    clock = FakeClock()
    with serve(*scripts) as server:
        with pytest.raises(CivsyncError) as caught:
            ask(server.origin, clock)
        assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.data}"
        return caught.value, clock, len(server.requests)


# --- the connection -------------------------------------------------------------------


@pytest.mark.fault("4.1/no-connection", "DNS failure", "refused")
@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "https://name.invalid:{}"])
def test_an_api_that_cannot_be_reached_is_tried_a_bounded_number_of_times(url: str) -> None:
    clock = FakeClock()
    with pytest.raises(CivsyncError) as caught:
        ask(url.format(refused_port()), clock)
    assert caught.value.code is Code.UNREACHABLE
    assert len([pause for pause in clock.slept if pause > 0.1]) == API_ATTEMPTS - 1
    assert max(clock.slept) <= BACKOFF_CAP_S


def other_authority(_: trustme.CA) -> ssl.SSLContext:
    return server_context(trustme.CA())


def other_name(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "civitai.test")


def expired(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    end = datetime.now(UTC) - timedelta(days=1)
    made = authority.issue_cert("127.0.0.1", not_before=end - timedelta(days=9), not_after=end)
    made.configure_cert(context)
    return context


@pytest.mark.fault("4.1/tls", "unknown authority", "wrong name", "expired")
@pytest.mark.parametrize("make", [other_authority, other_name, expired])
def test_a_certificate_that_proves_nothing_ends_the_question_at_the_first_try(
    authority: trustme.CA, make: Callable[[trustme.CA], ssl.SSLContext]
) -> None:
    clock = FakeClock()
    with serve(GOOD, tls=make(authority)) as server:
        with pytest.raises(CivsyncError) as caught:
            ask(server.origin, clock)
        assert caught.value.code is Code.TLS_FAILED
        assert (server.connections, server.requests, clock.slept) == (1, [], [])


@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE")
def test_the_users_authority_is_trusted_for_answers(authority: trustme.CA) -> None:
    with serve(GOOD, tls=server_context(authority)) as server:
        ask(server.origin, FakeClock())


@pytest.mark.fault("4.1/surroundings", "proxy")
def test_what_is_excluded_from_the_proxy_is_not_asked_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve([Send(reply(407))]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        for excluded, asked in (("", API_ATTEMPTS), ("invalid", 0), ("b.test,.invalid", 0)):
            monkeypatch.setenv("NO_PROXY", excluded)
            proxy.requests.clear()
            with pytest.raises(CivsyncError) as caught:
                ask("https://api.invalid", FakeClock())
            assert caught.value.code is Code.UNREACHABLE
            assert len(proxy.requests) == asked, excluded
            assert not any(KEY.encode() in seen.raw for seen in proxy.requests)


@pytest.mark.fault("4.1/cut", "reset", "truncated", "chunks cut", "empty reply")
@pytest.mark.fault("4.1/no-length", "early close")
@pytest.mark.fault("4.1/slow", "stall")
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([Close()], id="empty"),
        pytest.param([Reset()], id="reset"),
        pytest.param([Send(b"HTTP/1.1 200"), Close()], id="half a head"),
        pytest.param([Send(reply(200, MODEL[:9], headers=JSON, length=99)), Close()], id="cut"),
        pytest.param(
            [
                Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n" + MODEL[:5]),
                Reset(),
            ],
            id="chunks cut",
        ),
        pytest.param([Send(reply(200, MODEL[:9], headers=JSON, length=99)), Pause()], id="stalled"),
        pytest.param([Send(reply(200, MODEL[:9], headers=JSON, length=None)), Close()], id="bare"),
    ],
)
def test_an_answer_that_breaks_off_is_asked_for_again(broken: list[Step]) -> None:
    silent = any(isinstance(step, Pause) for step in broken)
    clock, count = mended(broken, GOOD, timeout=0.5 if silent else 20.0)
    assert count == 2
    assert max(clock.slept) == FIRST


@pytest.mark.fault(
    "4.1/malformed", "header flood", "bad status line", "two lengths", "negative length"
)
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, id="header-flood"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 500_000, id="endless-header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another-protocol"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="status-of-two-digits"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two-lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="negative-length"),
    ],
)
def test_a_head_that_makes_no_sense_costs_a_try_and_no_more(raw: bytes) -> None:
    nonsense: list[Step] = [Send(raw), Close()]
    assert mended(nonsense, GOOD)[1] == 2
    error, _, count = refused(nonsense)
    assert error.code is Code.REPLY_MALFORMED
    assert count == API_ATTEMPTS


# --- pauses and failures of the server ------------------------------------------------

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.fault("4.1/retry-after", "429", "503", "seconds", "date", "negative", "garbage")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        pytest.param({"Retry-After": "7"}, 7.0, id="seconds"),
        pytest.param({"Retry-After": "-7"}, FIRST, id="negative"),
        pytest.param({"Retry-After": "soon"}, FIRST, id="garbage"),
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
    clock, count = mended([Send(reply(status, b"busy", headers=headers))], GOOD)
    assert max(clock.slept) == pytest.approx(waited)
    assert count == 2


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
def test_a_pause_that_nobody_waits_for_ends_the_question_with_the_time(
    status: int, headers: dict[str, str]
) -> None:
    error, clock, count = refused([Send(reply(status, headers=headers))])
    asked = error.data["retry_after"]
    assert isinstance(asked, float)
    assert asked > RETRY_AFTER_CAP_S
    assert "again in" in error.hint
    assert (count, clock.slept) == (1, [])


@pytest.mark.fault("4.1/server-error", "5xx", "408", "425")
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520, 599])
def test_a_server_may_fail_all_but_the_last_time(status: int) -> None:
    failing: list[Step] = [Send(reply(status, b"<html>", headers={"Content-Type": "text/html"}))]
    for failures in range(API_ATTEMPTS):
        clock, count = mended(*[failing] * failures, GOOD)
        assert count == failures + 1
        assert all(pause <= BACKOFF_CAP_S for pause in clock.slept)
    for failures in range(API_ATTEMPTS, API_ATTEMPTS + 2):
        error, _, count = refused(*[failing] * failures, GOOD)
        assert error.code is Code.SERVER_ERROR
        assert count == API_ATTEMPTS


# --- what the answer means ------------------------------------------------------------


@pytest.mark.fault("4.2/json", "deep", "duplicate keys", "NaN", "5,000 digits", "wrong types")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 100_000, id="deep objects"),
        pytest.param(MODEL.replace(b'"id": 1,', b'"id": 1, "id": 1,', 1), id="duplicate keys"),
        pytest.param(
            MODEL.replace(b'"sizeKB": 1', b'"sizeKB": 1, "sizeKB": 2'), id="duplicates inside"
        ),
        pytest.param(MODEL.replace(b'"sizeKB": 1', b'"sizeKB": NaN'), id="NaN"),
        pytest.param(MODEL.replace(b'"sizeKB": 1', b'"sizeKB": -Infinity'), id="Infinity"),
        pytest.param(MODEL.replace(b'"id": 1,', b'"id": ' + b"1" * 5000 + b",", 1), id="digits"),
        pytest.param(MODEL.replace(b'"id": 1,', b'"id": "1",', 1), id="id is text"),
        pytest.param(MODEL.replace(b'"id": 1,', b'"id": true,', 1), id="id is a truth"),
        pytest.param(MODEL.replace(b'"id": 1,', b'"id": 1.5,', 1), id="id is a fraction"),
        pytest.param(MODEL.replace(b'"name": "m"', b'"name": []'), id="name is a list"),
        pytest.param(b'{"id": 1, "name": "m", "type": "LORA", "modelVersions": {}}', id="mapping"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"", id="nothing"),
        pytest.param(MODEL[:-1], id="cut"),
        pytest.param(MODEL + b"x", id="tail"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
    ],
)
def test_json_that_no_honest_api_writes_is_refused_and_asked_for_again(text: bytes) -> None:
    damaged: list[Step] = [Send(reply(200, text, headers=JSON))]
    assert mended(damaged, GOOD)[1] == 2
    error, _, count = refused(damaged)
    assert error.code is Code.REPLY_MALFORMED
    assert count == API_ATTEMPTS
    assert len(str(error)) < 500


@pytest.mark.fault("4.1/too-much", "endless body")
@pytest.mark.fault("4.2/json", "huge")
@pytest.mark.parametrize("coding", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "gzip"])
def test_an_answer_without_end_is_read_up_to_its_cap(coding: dict[str, str]) -> None:
    start = b"[" * 10 if not coding else gzip.compress(b"[" * (CAP + 1))
    endless: list[Step] = [
        Send(reply(200, start, headers=JSON | coding, length=None)),
        Endless(b"[" * 65536),
    ]
    assert refused(endless)[0].code is Code.ANSWER_TOO_LARGE


@pytest.mark.fault("4.2/page", "login page", "challenge")
@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"<title>Just a moment...</title>"])
def test_a_page_in_the_place_of_an_answer_is_no_answer(page: bytes) -> None:
    html: list[Step] = [Send(reply(200, page, headers={"Content-Type": "text/html"}))]
    assert mended(html, GOOD)[1] == 2
    assert refused(html)[0].code is Code.NOT_JSON


@pytest.mark.fault("4.2/redirect", "loop", "to http", "file:")
@pytest.mark.fault("4.2/credentials", "on redirect")
@pytest.mark.parametrize("location", ["/api/v1/models/1", "file:///etc/passwd", "elsewhere"])
def test_a_question_is_not_carried_elsewhere(location: str) -> None:
    with serve(GOOD) as other:
        target = other.url("/x") if location == "elsewhere" else location
        error, _, count = refused([Send(reply(302, headers={"Location": target}))])
        assert error.code is Code.BAD_REDIRECT
        assert count == 1
        assert other.requests == []


@pytest.mark.fault("4.2/quirks", "User-Agent", "GET, not HEAD")
@pytest.mark.fault("4.2/credentials", "on redirect")
def test_a_question_says_who_asks_and_carries_the_key_in_one_header() -> None:
    with serve(GOOD) as server:
        ask(server.origin, FakeClock())
        [seen] = server.requests
    assert seen.raw.startswith(b"GET /api/v1/models/1 HTTP/1.1\r\n")
    assert (seen.header("user-agent") or "").startswith("civsync/")
    assert seen.header("authorization") == f"Bearer {KEY}"
    assert seen.raw.count(KEY.encode()) == 1
    assert seen.header("cookie") is seen.header("x-api-key") is None
