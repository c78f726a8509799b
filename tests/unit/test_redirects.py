import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.wire import SignedUrl
from civsync.decide.origins import api_origin, is_private, read_origin
from civsync.decide.redirects import Hop, read_location

CIVITAI = "https://civitai.com"
LOOPBACK = "http://127.0.0.1:8080"
ROUTE = "/api/download/models/7?fileId=9"
R2 = "https://delivery.abc.r2.cloudflarestorage.com/f/x.safetensors?X-Amz-Signature=s3cret"


def _read(location: str, api: str = CIVITAI, *, token_sent: bool = False) -> SignedUrl | Hop:
    return read_location(location, asked=api + ROUTE, api=api_origin(api), token_sent=token_sent)


@pytest.mark.parametrize(
    ("location", "api"),
    [
        pytest.param(R2, CIVITAI, id="R2"),
        pytest.param("https://b2.civitai.com/file/m/x?Authorization=3_abc", CIVITAI, id="B2"),
        pytest.param("https://8.8.8.8/x?sig=1", CIVITAI, id="public address"),
        pytest.param("https://host.test:443/x", CIVITAI, id="usual port spelled out"),
        pytest.param("http://127.0.0.1:9090/x?sig=1", LOOPBACK, id="loopback registry"),
        pytest.param("http://localhost:9090/x?sig=1", LOOPBACK, id="loopback by name"),
        pytest.param("https://storage:9000/x", "https://registry:8443", id="both in one network"),
        pytest.param("https://host.test:9000/x", "https://proxy.test:8443", id="own port, own way"),
    ],
)
def test_a_storage_address_is_taken_as_it_is(location: str, api: str) -> None:
    assert _read(location, api) == SignedUrl(url=location)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("https://civitai.com/api/download/models/8?fileId=9", "/api/download/models/8?fileId=9"),
        ("/api/download/models/8", "/api/download/models/8"),
        ("8?type=Model", "/api/download/models/8?type=Model"),
        ("//civitai.com/api/download/models/8", "/api/download/models/8"),
    ],
    ids=["absolute", "absolute path", "relative path", "without scheme"],
)
def test_the_download_route_may_point_at_itself(location: str, path: str) -> None:
    assert _read(location) == Hop(path=path)


@pytest.mark.parametrize(
    "location",
    [
        "/login?returnUrl=%2Fapi%2Fdownload%2Fmodels%2F7&reason=download-auth",
        "https://civitai.com/login",
        "https://civitai.red/login/",
        "https://auth.civitai.com/en/login?x",
    ],
)
def test_a_login_page_means_that_an_account_is_needed(location: str) -> None:
    with pytest.raises(CivsyncError) as caught:
        _read(location)
    assert caught.value.code is Code.LOGIN_NEEDED


def test_a_login_page_in_spite_of_a_token_says_that_the_token_did_not_count() -> None:
    with pytest.raises(CivsyncError) as caught:
        _read("/login", token_sent=True)
    assert "API key was sent" in caught.value.hint


@pytest.mark.parametrize(
    ("location", "api"),
    [
        pytest.param("", CIVITAI, id="none"),
        pytest.param("https://ho st/x", CIVITAI, id="blank"),
        pytest.param("https://host/x\r\nSet-Cookie: a", CIVITAI, id="line break"),
        pytest.param("https://höst/x", CIVITAI, id="not ASCII"),
        pytest.param("https://[::1/x", CIVITAI, id="broken brackets"),
        pytest.param("https://host.test:port/x", CIVITAI, id="port that is no number"),
        pytest.param("https://host.test/" + "x" * 9000, CIVITAI, id="endless"),
        pytest.param("file:///etc/passwd", CIVITAI, id="file"),
        pytest.param("ftp://host.test/x", CIVITAI, id="ftp"),
        pytest.param("data:text/plain,x", CIVITAI, id="data"),
        pytest.param("http://host.test/x", CIVITAI, id="plain http"),
        pytest.param(
            "http://8.8.8.8/x", LOOPBACK.replace("http:", "https:"), id="http after https"
        ),
        pytest.param("https://user:pw@host.test/x", CIVITAI, id="user name"),
        pytest.param("https://civitai.com@host.test/x", CIVITAI, id="host in disguise"),
        pytest.param("https://host.test:8443/x", CIVITAI, id="odd port"),
        pytest.param("https://127.0.0.1/x", CIVITAI, id="loopback"),
        pytest.param("https://localhost/x", CIVITAI, id="loopback by name"),
        pytest.param("https://10.0.0.8/x", CIVITAI, id="private"),
        pytest.param("https://169.254.169.254/latest/meta-data", CIVITAI, id="cloud metadata"),
        pytest.param("https://[::ffff:10.0.0.8]/x", CIVITAI, id="private in IPv6"),
        pytest.param("https://2130706433/x", CIVITAI, id="loopback as one number"),
        pytest.param("https://0x7f.1/x", CIVITAI, id="loopback in hexadecimal"),
        pytest.param("https://civitai.com/models/7", CIVITAI, id="page of the site"),
        pytest.param("/", CIVITAI, id="home page"),
        pytest.param("https://civitai.red/api/download/models/7", CIVITAI, id="another API"),
    ],
)
def test_a_redirect_to_where_no_model_comes_from_is_refused(location: str, api: str) -> None:
    with pytest.raises(CivsyncError) as caught:
        _read(location, api)
    assert caught.value.code is Code.BAD_REDIRECT


def test_another_api_is_named_with_the_setting_that_would_accept_it() -> None:
    with pytest.raises(CivsyncError) as caught:
        _read("https://civitai.red/api/download/models/7?fileId=9")
    assert "CIVSYNC_API_URL" in caught.value.hint
    assert "https://civitai.red" in caught.value.hint


def test_errors_and_values_do_not_show_a_signature() -> None:
    with pytest.raises(CivsyncError) as caught:
        _read(R2.replace("https:", "http:"))
    assert "s3cret" not in caught.value.message
    assert "s3cret" not in repr(_read(R2))


@given(st.one_of(st.text(max_size=80), st.text(max_size=60).map("https://".__add__)))
def test_whatever_is_accepted_is_public_https_without_user_name(location: str) -> None:
    found = None
    with contextlib.suppress(CivsyncError):
        found = _read(location)
    if isinstance(found, SignedUrl):
        origin = read_origin(found.url)
        assert origin is not None
        assert (origin.scheme, origin.port) == ("https", 443)
        assert not is_private(origin.host)
