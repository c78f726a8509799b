"""What a storage host's reply means, as tables."""

import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, IntegrityError, WireError
from civsync.core.wire import Head
from civsync.decide.origins import is_private, subject_of
from civsync.decide.redirects import check_redirect
from civsync.decide.transfer import (
    Append,
    Drop,
    Follow,
    Restart,
    Verdict,
    Verify,
    judge,
    strong_etag,
)

URL = "https://storage.example.com/a/model.safetensors?X-Amz-Signature=secret"


def verdict(
    status: int, *, held: int = 0, size: int = 100, name: str = "m.safetensors", **headers: str
) -> Verdict:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    head = Head(status=status, headers=named, url=URL)
    return judge(head, held=held, size=size, name=name)


def refusal(status: int, *, held: int = 0, size: int = 100, **headers: str) -> CivsyncError:
    with pytest.raises(CivsyncError) as caught:
        verdict(status, held=held, size=size, **headers)
    assert "secret" not in f"{caught.value} {caught.value.subject} {caught.value.data}"
    return caught.value


@pytest.mark.parametrize(
    ("status", "held", "headers", "expected"),
    [
        pytest.param(206, 40, {"content_range": "bytes 40-99/100"}, Append(), id="the-rest"),
        pytest.param(206, 0, {"content_range": "bytes 0-99/100"}, Append(), id="all-as-range"),
        pytest.param(
            206, 40, {"content_range": "BYTES 40-99/100"}, Append(), id="unit-in-capitals"
        ),
        pytest.param(
            206,
            40,
            {"content_range": "bytes 40-99/100", "content_length": "60"},
            Append(),
            id="length-of-the-rest",
        ),
        pytest.param(200, 0, {"content_length": "100"}, Restart(), id="whole"),
        pytest.param(200, 40, {"content_length": "100"}, Restart(), id="range-ignored"),
        pytest.param(200, 40, {}, Restart(), id="no-length"),
        pytest.param(200, 0, {"content_encoding": "identity"}, Restart(), id="identity"),
        pytest.param(416, 100, {}, Verify(), id="nothing-left"),
        pytest.param(416, 100, {"content_range": "bytes */100"}, Verify(), id="nothing-left-said"),
        pytest.param(416, 40, {"content_range": "bytes */30"}, Drop(), id="remote-is-shorter"),
        pytest.param(416, 120, {}, Drop(), id="part-too-long"),
    ],
)
def test_a_usable_reply(status: int, held: int, headers: dict[str, str], expected: Verdict) -> None:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    head = Head(status=status, headers=named, url=URL)
    assert judge(head, held=held, size=100) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param("bytes 0-99/100", id="from-zero"),
        pytest.param("bytes 39-99/100", id="one-early"),
        pytest.param("bytes 41-99/100", id="one-late"),
        pytest.param("bytes 40-98/100", id="ends-early"),
        pytest.param("bytes 40-100/100", id="ends-late"),
        pytest.param("bytes 40-99/101", id="other-total"),
        pytest.param("bytes 40-99/99", id="total-too-small"),
        pytest.param("bytes 40-100/101", id="longer-file"),
        pytest.param("bytes 40-99/*", id="unknown-total"),
        pytest.param("bytes */100", id="unsatisfied"),
        pytest.param("bytes */*", id="stars"),
        pytest.param("bytes 40-99", id="no-total"),
        pytest.param("40-99/100", id="no-unit"),
        pytest.param("items 40-99/100", id="other-unit"),
        pytest.param("bytes=40-99/100", id="as-in-a-request"),
        pytest.param("bytes  40-99/100", id="two-blanks"),
        pytest.param("bytes\t40-99/100", id="tab"),
        pytest.param("bytes 40 - 99/100", id="blanks-inside"),
        pytest.param("bytes 40-99 /100", id="blank-before-slash"),
        pytest.param("bytes +40-99/100", id="plus"),
        pytest.param("bytes -40-99/100", id="minus"),
        pytest.param("bytes 4_0-99/100", id="underscore"),
        pytest.param("bytes 0x28-99/100", id="hexadecimal"),
        pytest.param("bytes 40.0-99/100", id="fraction"),
        pytest.param("bytes \u0664\u0660-\u0669\u0669/\u0661\u0660\u0660", id="other-digits"),
        pytest.param("bytes 40-99/100, bytes 40-99/100", id="twice"),
        pytest.param("bytes 40-59,60-99/100", id="two-ranges"),
        pytest.param("bytes 40-99/100;x", id="tail"),
        pytest.param("bytes 99-40/100", id="backwards"),
        pytest.param(f"bytes 40-99/{'1' * 5000}", id="five-thousand-digits"),
        pytest.param("bytes \x1b[31m", id="escape"),
    ],
)
def test_a_range_that_was_not_asked_for_is_never_spliced_in(text: str) -> None:
    error = refusal(206, held=40, content_range=text)
    assert error.code is Code.REPLY_MALFORMED
    assert error.retry
    assert error.message.isprintable()


def test_several_ranges_at_once_are_refused() -> None:
    error = refusal(206, held=40, content_type="multipart/byteranges; boundary=x")
    assert error.code is Code.REPLY_MALFORMED


@pytest.mark.parametrize("length", ["59", "61", "100", "-60", "60, 61", "abc", "6e1"])
def test_a_length_that_contradicts_the_range_is_refused(length: str) -> None:
    error = refusal(206, held=40, content_range="bytes 40-99/100", content_length=length)
    assert error.code is Code.REPLY_MALFORMED


@pytest.mark.parametrize("length", ["0", "99", "101", "9999999999999999999"])
def test_a_body_of_another_size_is_an_integrity_error(length: str) -> None:
    error = refusal(200, content_length=length)
    assert isinstance(error, IntegrityError)
    assert error.code is Code.SIZE_MISMATCH


@pytest.mark.parametrize(
    "media",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "application/json",
        "application/xml",
        "text/xml",
        "application/problem+json",
        "application/xhtml+xml",
    ],
)
@pytest.mark.parametrize("status", [200, 206])
def test_a_page_is_never_a_model(status: int, media: str) -> None:
    error = refusal(
        status, content_type=media, content_length="100", content_range="bytes 0-99/100"
    )
    assert error.code is Code.NOT_A_MODEL
    assert "auth login" in error.hint


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("workflow.json", "application/json"),
        ("config.yaml", "text/plain"),
        ("scene.xml", "text/xml"),
        ("WORKFLOW.JSON", "application/json"),
    ],
)
def test_a_file_that_is_text_itself_may_come_as_text(name: str, media: str) -> None:
    assert verdict(200, name=name, content_type=media, content_length="100") == Restart()


def test_a_login_page_is_refused_even_for_a_text_file() -> None:
    with pytest.raises(IntegrityError) as caught:
        verdict(200, name="workflow.json", content_type="text/html", content_length="5000")
    assert caught.value.code is Code.NOT_A_MODEL


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x\x1b[0m"])
def test_a_compressed_body_is_refused(coding: str) -> None:
    error = refusal(200, content_encoding=coding)
    assert error.code is Code.NOT_A_MODEL
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, Code.URL_EXPIRED) for status in (400, 401, 403, 404, 410)),
        (429, Code.RATE_LIMITED),
        *((status, Code.SERVER_ERROR) for status in (408, 425, 500, 502, 503, 504, 520, 599)),
        *((status, Code.REPLY_MALFORMED) for status in (100, 204, 300, 304, 405, 418, 451, 600)),
        (416, Code.REPLY_MALFORMED),
    ],
)
def test_a_status_without_a_body_of_ours(status: int, code: Code) -> None:
    error = refusal(status)
    assert isinstance(error, WireError)
    assert error.code is code


@pytest.mark.parametrize("status", [429, 503])
def test_the_wish_of_the_server_to_rest_is_kept(status: int) -> None:
    error = refusal(status, retry_after="17")
    assert isinstance(error, WireError)
    assert error.retry_after == 17.0


def test_416_never_loops_since_a_request_from_zero_cannot_be_dropped() -> None:
    assert verdict(416, held=1) == Drop()
    assert refusal(416, held=0).code is Code.REPLY_MALFORMED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_after_a_check(status: int) -> None:
    assert verdict(status, location="https://other.example.com/x") == Follow(
        location="https://other.example.com/x"
    )


def test_the_address_may_be_given_beside_the_head() -> None:
    head = Head(status=302, headers={"location": "b"})
    found = judge(head, held=0, size=1, address="https://example.com/dir/a")
    assert found == Follow(location="https://example.com/dir/b")


PUBLIC = "https://civitai.com/api/download/models/1"
LOCAL = "http://127.0.0.1:8000/api/download/models/1"


@pytest.mark.parametrize(
    ("origin", "location", "expected"),
    [
        (PUBLIC, "https://b2.civitai.com/file/x?y=1", "https://b2.civitai.com/file/x?y=1"),
        (PUBLIC, "/elsewhere", "https://civitai.com/elsewhere"),
        (PUBLIC, "//cdn.example.com/x", "https://cdn.example.com/x"),
        (PUBLIC, "https://a.example.com/x#part", "https://a.example.com/x"),
        (PUBLIC, "https://a.example.com/a b", "https://a.example.com/a%20b"),
        (
            PUBLIC,
            "https://a.example.com/%C3%BC?f=%22x%22",
            "https://a.example.com/%C3%BC?f=%22x%22",
        ),
        (PUBLIC, "https://a.example.com/ü", "https://a.example.com/%C3%BC"),
        (PUBLIC, "https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("http://a.example.com/", "https://b.example.com/", "https://b.example.com/"),
        ("http://a.example.com/", "http://b.example.com/", "http://b.example.com/"),
        (LOCAL, "http://127.0.0.1:9000/x", "http://127.0.0.1:9000/x"),
        (LOCAL, "http://[::1]:9000/x", "http://[::1]:9000/x"),
        ("https://localhost/", "https://10.0.0.1/x", "https://10.0.0.1/x"),
    ],
)
def test_a_redirect_to_the_bytes(origin: str, location: str, expected: str) -> None:
    assert check_redirect(origin, location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://civitai.com/x",
        "file:///etc/passwd",
        "ftp://a.example.com/x",
        "javascript:alert(1)",
        "data:,x",
        "https://user@a.example.com/x",
        "https://user:pass@a.example.com/x",
        "https://civitai.com@a.example.com/x",
        "https://@a.example.com/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://10.0.0.1/x",
        "https://172.16.0.1/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[fe80::1%25eth0]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://a.localhost/x",
        "https://printer/x",
        "https://nas.local/x",
        "https://metadata.google.internal/x",
        "https://a.example.com:8443/x",
        "https://a.example.com:99999/x",
        "https://a.example.com:port/x",
        "https://[broken/x",
        "https://a.example.com/\r\nX: y",
        "https://a.example.com/\x00",
        "https://a.example.com/" + "x" * 9000,
    ],
)
def test_a_redirect_to_anything_else_is_refused(location: str) -> None:
    with pytest.raises(WireError) as caught:
        check_redirect(PUBLIC + "?token=secret", location)
    assert caught.value.code is Code.BAD_REDIRECT
    assert "secret" not in str(caught.value) + caught.value.subject
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["civitai.com", "a.b.c", "8.8.8.8", "2606:4700::1111", "1.example"]
)
def test_a_public_host_is_not_private(host: str) -> None:
    assert not is_private(host)


def test_an_address_is_shown_without_its_secrets() -> None:
    assert subject_of("https://u:p@a.example.com:1/b/c?sig=1#d") == "https://a.example.com:1/b/c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"abc-2"', '"abc-2"'),
        (' "abc" ', '"abc"'),
        ('W/"abc"', ""),
        ("abc", ""),
        ("", ""),
        ('""', ""),
        ('"a"b"', ""),
        ('"a\r\nrange: bytes=0-"', ""),
        (f'"{"a" * 300}"', ""),
    ],
    ids=["strong", "padded", "weak", "bare", "none", "empty", "quote", "header", "long"],
)
def test_only_a_strong_tag_tells_that_two_replies_are_of_one_file(text: str, expected: str) -> None:
    assert strong_etag(Head(status=200, headers={"etag": text})) == expected
