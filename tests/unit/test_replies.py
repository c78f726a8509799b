import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.exits import ExitCode
from civsync.core.wire import Head, HttpAnswer, SignedUrl
from civsync.decide.origins import api_origin
from civsync.decide.redirects import Hop
from civsync.decide.replies import (
    Unfound,
    explain_failure,
    read_download_answer,
    read_json,
    says_not_found,
)
from support.scripted_transport import answer, json_answer, redirect

API = "https://civitai.com"
ASKED = f"{API}/api/download/models/7?fileId=9"
STORAGE = "https://b2.civitai.com/file/m/x?sig=1"
PAGE = "<!DOCTYPE html><html><title>Just a moment...</title></html>"
NO_STORE = {"Cache-Control": "no-store, max-age=0"}
QUOTA = "We have noticed an unusual amount of downloading from your account."
DISABLED = "The creator of this asset has disabled downloads on this file"
LOGIN = "The creator of this asset requires you to be logged in to download it"
DEADLINE = "2026-10-01T12:00:00.000Z"


def _download(found: HttpAnswer, *, token_sent: bool = False) -> SignedUrl | Hop | Unfound:
    return read_download_answer(found, asked=ASKED, api=api_origin(API), token_sent=token_sent)


def _refusal(found: HttpAnswer, *, token_sent: bool = False) -> CivsyncError:
    with pytest.raises(CivsyncError) as caught:
        _download(found, token_sent=token_sent)
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_any_redirect_to_storage_says_where_the_bytes_are(status: int) -> None:
    assert _download(redirect(STORAGE, status)) == SignedUrl(url=STORAGE)


def test_a_redirect_to_the_route_itself_is_another_hop() -> None:
    assert _download(redirect("/api/download/models/8")) == Hop(path="/api/download/models/8")


@pytest.mark.parametrize(
    ("found", "code", "status", "retry"),
    [
        pytest.param(
            json_answer({"error": "Forbidden"}, 403),
            Code.ACCESS_DENIED, ExitCode.CREDENTIALS, False,
            id="1-3 address or user blocked",
        ),
        pytest.param(
            json_answer({"error": QUOTA}, 429),
            Code.QUOTA, ExitCode.TEMPORARY, False,
            id="4 quota",
        ),
        pytest.param(
            json_answer({"error": {"issues": []}}, 400),
            Code.REPLY_MALFORMED, ExitCode.TEMPORARY, True,
            id="5 bad parameters",
        ),
        pytest.param(
            json_answer({"error": "Model archived, not available for download"}, 410),
            Code.ARCHIVED, ExitCode.GONE, False,
            id="8 archived",
        ),
        pytest.param(
            json_answer({"error": "Unauthorized", "message": DISABLED}, 401),
            Code.DOWNLOADS_DISABLED, ExitCode.CREDENTIALS, False,
            id="11 downloads disabled",
        ),
        pytest.param(
            json_answer({"error": "Unauthorized", "message": LOGIN}, 401),
            Code.LOGIN_NEEDED, ExitCode.CREDENTIALS, False,
            id="12 login needed",
        ),
        pytest.param(
            json_answer({"error": "Early Access", "deadline": DEADLINE, "message": "Buy"}, 403),
            Code.EARLY_ACCESS, ExitCode.CREDENTIALS, False,
            id="13 early access",
        ),
        pytest.param(
            json_answer({"error": "You do not have access to download this file"}, 403),
            Code.ACCESS_DENIED, ExitCode.CREDENTIALS, False,
            id="14 no grant",
        ),
        pytest.param(
            json_answer(
                {"error": "File not found"}, 404, headers={"Cache-Control": "private, no-store"}
            ),
            Code.STORAGE_MISSING, ExitCode.TEMPORARY, True,
            id="16 storage look-up failed",
        ),
        pytest.param(
            json_answer({"error": "boom"}, 500),
            Code.SERVER_ERROR, ExitCode.TEMPORARY, True,
            id="exception",
        ),
        pytest.param(
            answer(403, PAGE), Code.EDGE_REFUSED, ExitCode.TEMPORARY, True, id="edge refuses"
        ),
        pytest.param(
            answer(429, PAGE), Code.RATE_LIMITED, ExitCode.TEMPORARY, True, id="edge limits"
        ),
        pytest.param(
            json_answer({"error": "slow down"}, 429),
            Code.RATE_LIMITED, ExitCode.TEMPORARY, True,
            id="429 in JSON that is no quota",
        ),
        pytest.param(
            json_answer({"error": "Not here", "code": "REGION_BLOCKED"}, 451),
            Code.REGION_BLOCKED, ExitCode.GONE, False,
            id="region",
        ),
        pytest.param(answer(502, PAGE), Code.SERVER_ERROR, ExitCode.TEMPORARY, True, id="502"),
        pytest.param(answer(503, PAGE), Code.SERVER_ERROR, ExitCode.TEMPORARY, True, id="503"),
        pytest.param(answer(504), Code.SERVER_ERROR, ExitCode.TEMPORARY, True, id="504"),
        pytest.param(answer(522, PAGE), Code.SERVER_ERROR, ExitCode.TEMPORARY, True, id="522"),
        pytest.param(answer(408), Code.SERVER_ERROR, ExitCode.TEMPORARY, True, id="408"),
        pytest.param(answer(404, PAGE), Code.NOT_JSON, ExitCode.TEMPORARY, True, id="404 page"),
        pytest.param(
            answer(404, kind=""), Code.REPLY_MALFORMED, ExitCode.TEMPORARY, True, id="404 of nobody"
        ),
        pytest.param(
            answer(401, "Unauthorized", kind="text/plain"),
            Code.LOGIN_NEEDED, ExitCode.CREDENTIALS, False,
            id="401 as plain text",
        ),
        pytest.param(
            answer(200, PAGE), Code.LOGIN_NEEDED, ExitCode.CREDENTIALS, False, id="login page, 200"
        ),
        pytest.param(
            answer(200, b"\0\0", kind="application/octet-stream"),
            Code.BAD_REDIRECT, ExitCode.TEMPORARY, False,
            id="a body instead of a redirect",
        ),
        pytest.param(
            redirect("http://host.test/x"),
            Code.BAD_REDIRECT, ExitCode.TEMPORARY, False,
            id="redirect to plain http",
        ),
        pytest.param(
            redirect("/login?reason=download-auth"),
            Code.LOGIN_NEEDED, ExitCode.CREDENTIALS, False,
            id="redirect to the login page",
        ),
    ],
)  # fmt: skip
def test_each_refusal_of_the_download_route_has_its_code(
    found: HttpAnswer, code: Code, status: ExitCode, retry: bool
) -> None:
    error = _refusal(found)
    assert (error.code, error.exit, error.retry) == (code, status, retry)


@pytest.mark.parametrize("number", [6, 7, 9, 10, 15, 17])
def test_a_404_of_the_api_needs_another_question(number: int) -> None:
    found = json_answer({"error": "File not found"}, 404, headers=NO_STORE)
    assert _download(found) == Unfound(message="File not found"), number


def test_early_access_tells_its_end_in_message_and_data() -> None:
    said = {"error": "Early Access", "deadline": DEADLINE, "message": "Buy it"}
    error = _refusal(json_answer(said, 403))
    assert DEADLINE in error.message
    assert error.data == {"deadline": DEADLINE}


@pytest.mark.parametrize("deadline", [None, "", 5, {}])
def test_early_access_without_a_date_is_still_early_access(deadline: object) -> None:
    error = _refusal(json_answer({"error": "Early Access", "deadline": deadline}, 403))
    assert error.code is Code.EARLY_ACCESS
    assert error.data == {"deadline": None}


def test_a_401_in_spite_of_a_token_blames_the_token() -> None:
    found = json_answer({"error": "Unauthorized", "message": LOGIN}, 401)
    assert "civsync auth login" in _refusal(found).hint
    assert "did not count" in _refusal(found, token_sent=True).hint


def test_a_page_with_200_in_spite_of_a_token_is_no_login_page() -> None:
    error = _refusal(answer(200, PAGE), token_sent=True)
    assert error.code is Code.NOT_JSON


@pytest.mark.parametrize("status", [403, 429, 503])
def test_the_pause_a_server_asks_for_is_kept(status: int) -> None:
    error = _refusal(answer(status, PAGE, headers={"Retry-After": "17"}))
    assert isinstance(error, WireError)
    assert error.retry_after == 17.0


def test_text_of_a_server_is_cut_in_messages() -> None:
    error = _refusal(json_answer({"error": "x" * 5000}, 403))
    assert len(error.message) < 300


@given(
    st.integers(min_value=100, max_value=599),
    st.sampled_from(
        ["application/json", "text/html", "text/plain", "", "application/problem+json"]
    ),
    st.one_of(st.binary(max_size=80), st.just(b'{"error": null}'), st.just(b'[{"a": []}]')),
)
def test_any_answer_is_understood_or_gives_one_error(status: int, kind: str, body: bytes) -> None:
    found = HttpAnswer(head=Head(status=status, headers={"content-type": kind}), body=body)
    for read in (_download, read_json):
        with contextlib.suppress(CivsyncError):
            read(found)


# --- metadata -----------------------------------------------------------------------------


def test_good_json_is_returned() -> None:
    assert read_json(json_answer({"items": []})) == {"items": []}


@pytest.mark.parametrize(
    ("found", "code"),
    [
        pytest.param(answer(200, PAGE), Code.NOT_JSON, id="maintenance page with 200"),
        pytest.param(answer(200, "{}", kind="text/plain"), Code.NOT_JSON, id="plain text"),
        pytest.param(answer(200, "{}", kind=""), Code.NOT_JSON, id="no content type"),
        pytest.param(
            answer(200, '{"items": [', kind="application/json"), Code.REPLY_MALFORMED, id="cut"
        ),
        pytest.param(answer(200, "", kind="application/json"), Code.REPLY_MALFORMED, id="empty"),
        pytest.param(
            answer(200, "[" * 100_000, kind="application/json"), Code.REPLY_MALFORMED, id="deep"
        ),
        pytest.param(answer(200, "[NaN]", kind="application/json"), Code.REPLY_MALFORMED, id="NaN"),
        pytest.param(
            answer(200, '{"a":1,"a":2}', kind="application/json"),
            Code.REPLY_MALFORMED,
            id="duplicate key",
        ),
        pytest.param(
            answer(200, "[" + "1" * 5000 + "]", kind="application/json"),
            Code.REPLY_MALFORMED,
            id="5,000-digit integer",
        ),
        pytest.param(json_answer({}, 204), Code.REPLY_MALFORMED, id="204"),
        pytest.param(json_answer({"error": {"issues": [1]}}, 400), Code.REPLY_MALFORMED, id="400"),
        pytest.param(json_answer({"error": "Unauthorized"}, 401), Code.LOGIN_NEEDED, id="401"),
        pytest.param(json_answer({"error": "Forbidden"}, 403), Code.ACCESS_DENIED, id="403 JSON"),
        pytest.param(answer(403, PAGE), Code.EDGE_REFUSED, id="403 page"),
        pytest.param(answer(404, PAGE), Code.NOT_JSON, id="404 page of a wrong address"),
        pytest.param(
            json_answer({"error": "You've requested too many pages, please use cursors"}, 429),
            Code.REPLY_MALFORMED,
            id="page cap",
        ),
        pytest.param(answer(429, PAGE), Code.RATE_LIMITED, id="429 page"),
        pytest.param(
            json_answer({"error": "No", "code": "REGION_BLOCKED"}, 451),
            Code.REGION_BLOCKED,
            id="451",
        ),
        pytest.param(
            json_answer({"message": "x", "error": "y"}, 503), Code.SERVER_ERROR, id="503 JSON"
        ),
        pytest.param(answer(524, PAGE), Code.SERVER_ERROR, id="524"),
        pytest.param(redirect("https://civitai.com/x", 301), Code.BAD_REDIRECT, id="redirect"),
    ],
)
def test_what_is_no_data_has_its_code(found: HttpAnswer, code: Code) -> None:
    with pytest.raises(CivsyncError) as caught:
        read_json(found)
    assert caught.value.code is code


def test_an_answer_above_the_cap_is_not_parsed() -> None:
    with pytest.raises(WireError) as caught:
        read_json(json_answer({"items": []}), cap=4)
    assert caught.value.code is Code.REPLY_MALFORMED


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(json_answer({"error": "No model with id 5"}, 404), True, id="the API"),
        pytest.param(json_answer({"message": "Not found"}, 404), True, id="an inner service"),
        pytest.param(answer(404, PAGE), False, id="a proxy"),
        pytest.param(answer(404, "", kind="application/json"), False, id="empty"),
        pytest.param(json_answer({}, 404), False, id="nothing said"),
        pytest.param(json_answer({"error": "x"}, 400), False, id="another status"),
        pytest.param(json_answer({"error": "x"}, 200), False, id="200"),
    ],
)
def test_only_the_api_itself_can_say_that_a_thing_does_not_exist(
    found: HttpAnswer, expected: bool
) -> None:
    assert says_not_found(found) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "text"}, "text"),
        ({"error": "short", "message": "long"}, "long"),
        ({"message": "alone"}, "alone"),
        ({"error": {"name": "ZodError"}}, "ZodError"),
        ([{"code": "too_big"}], "too_big"),
        ({"error": None}, "status 500"),
        ("text", "status 500"),
    ],
)
def test_every_shape_of_error_body_is_read(body: object, expected: str) -> None:
    assert expected in explain_failure(json_answer(body, 500)).message
