"""Which way leads to an origin, by the variables that every tool obeys."""

import pytest

from civsync.wire.route import Routes
from civsync.wire.trust import proxy_for


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "origin", "expected"),
    [
        ({}, ("https", "a.test", 443), None),
        ({"HTTPS_PROXY": "http://p.test:3128"}, ("https", "a.test", 443), ("p.test", 3128)),
        ({"https_proxy": "p.test:3128"}, ("https", "a.test", 443), ("p.test", 3128)),
        ({"HTTPS_PROXY": "http://p.test"}, ("https", "a.test", 443), ("p.test", 80)),
        ({"HTTPS_PROXY": "http://[::9]:8080"}, ("https", "a.test", 443), ("::9", 8080)),
        ({"HTTP_PROXY": "http://p.test"}, ("https", "a.test", 443), None),
        ({"ALL_PROXY": "http://p.test:1"}, ("https", "a.test", 443), ("p.test", 1)),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "a.test"}, ("https", "a.test", 443), None),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": ".test"}, ("https", "a.test", 443), None),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "*"}, ("https", "a.test", 443), None),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "a.test:81"}, ("http", "a.test", 81), None),
        (
            {"ALL_PROXY": "http://p.test:1", "NO_PROXY": "a.test:81"},
            ("http", "a.test", 82),
            ("p.test", 1),
        ),
        (
            {"ALL_PROXY": "http://p.test:1", "NO_PROXY": "b.test"},
            ("http", "a.test", 80),
            ("p.test", 1),
        ),
        ({"ALL_PROXY": "http://p.test:1"}, ("http", "127.0.0.2", 80), None),
        ({"ALL_PROXY": "http://p.test:1"}, ("http", "::1", 80), None),
        ({"ALL_PROXY": "http://p.test:1"}, ("http", "localhost", 80), None),
    ],
)
def test_the_way_to_an_origin(
    variables: dict[str, str],
    origin: tuple[str, str, int],
    expected: tuple[str, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(*origin)
    assert (found and (found.host, found.port)) == expected


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:p%40ss@p.test")
    found = proxy_for("https", "a.test", 443)
    assert found is not None
    assert found.login == "me:p@ss"
    assert "ss" not in repr(found)


def test_the_way_to_an_origin_is_looked_for_once_and_for_each_origin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = Routes()
    direct = routes.to("https://a.test/x?y")
    assert direct.proxy is None
    monkeypatch.setenv("ALL_PROXY", "http://p.test:1")
    assert routes.to("https://A.test:443/z") == direct
    other = routes.to("https://a.test:444/x")
    assert (other.authority, other.proxy and other.proxy.host) == ("a.test:444", "p.test")
