import pytest

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.decide.origins import Origin, api_origin, is_loopback, is_private, read_origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://civitai.com", "https://civitai.com"),
        ("https://CIVITAI.com:443/", "https://civitai.com"),
        ("HTTPS://civitai.red/x?y", "https://civitai.red"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://civitai.com@evil.test/", "https://evil.test"),
        ("https://civitai.com:444", "https://civitai.com:444"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: str) -> None:
    assert str(read_origin(url)) == expected


@pytest.mark.parametrize(
    "url",
    ["", "civitai.com", "//civitai.com", "file:///etc/passwd", "ftp://a", "https://", "https://a:x",
     "https://a:99999", "https://[::1", "javascript:1"],
)  # fmt: skip
def test_what_has_no_web_origin_has_none(url: str) -> None:
    assert read_origin(url) is None


@pytest.mark.parametrize(
    "url",
    ["", "civitai.com", "ftp://civitai.com", "https://user:pw@civitai.com", "https://civitai.com/v2",
     "https://civitai.com?token=x", "https://civitai.com#x", "https://civitai.com:port"],
)  # fmt: skip
def test_the_api_address_is_an_origin_and_nothing_more(url: str) -> None:
    with pytest.raises(UserError) as caught:
        api_origin(url)
    assert caught.value.code is Code.CONFIG_INVALID
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://civitai.com", True),
        ("https://10.0.0.1", True),
        ("http://127.0.0.1:1234", True),
        ("http://localhost", True),
        ("http://[::1]:8", True),
        ("http://civitai.com", False),
        ("http://localhost.evil.test", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_secrets_go_over_tls_or_stay_on_the_machine(url: str, expected: bool) -> None:
    assert api_origin(url).keeps_secrets is expected


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "localhost", "localhost.", "a.localhost", "::1", "::ffff:127.0.0.1"],
)
def test_loopback_hosts_are_known(host: str) -> None:
    assert is_loopback(host)
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "fe80::1",
     "fe80::1%eth0", "fd00::1", "::", "::ffff:10.0.0.1", "2130706433", "0x7f.1", "127.1", "router",
     "nas.local", "metadata.google.internal", "10.1.2.3.", "0x7f000001", "0", "017700000001",
     "0300.0250.0.1", "localhost..", "LOCALHOST.", "a.LOCALHOST", "nas.lan", "router.home.arpa",
     "files.corp", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1",
     "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "fec0::1", "ff02::1", "224.0.0.1",
     "255.255.255.255", "198.18.0.1", "2001:db8::1", "::ffff:169.254.169.254", "fd00::1%eth0"],
)  # fmt: skip
def test_private_hosts_are_known_in_every_spelling(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    ["civitai.com", "a.r2.cloudflarestorage.com", "8.8.8.8", "2606:4700::1111", "1.example",
     "localhost.evil.test", "civitai.com.", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
     "lan.example", "local.civitai.com"],
)  # fmt: skip
def test_public_hosts_are_public(host: str) -> None:
    assert not is_private(host)
    assert not is_loopback(host)


def test_origins_differ_by_scheme_host_and_port() -> None:
    origin = Origin(scheme="https", host="civitai.com", port=443)
    others = ["http://civitai.com", "https://civitai.com:8443", "https://api.civitai.com"]
    assert all(read_origin(url) != origin for url in others)
    assert read_origin("https://civitai.com:443/login") == origin
