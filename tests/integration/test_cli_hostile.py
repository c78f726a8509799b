"""What an impatient user, a platform engineer and an attacker try with issue-sized manifests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


def search(shop: Shop, *items: str, head: str = "") -> None:
    """Write a manifest with these items under `searches:`."""
    body = "".join(f"  - {item}\n" for item in items)
    shop.project.manifest.write_text(f"version: 1\n{head}searches:\n{body}", encoding="utf-8")


@pytest.mark.parametrize(
    ("item", "code"),
    [
        pytest.param("{types: [Foo]}", "search-refused", id="a type that Civitai does not know"),
        pytest.param("{favorites: true}", "login-needed", id="favorites of nobody"),
    ],
)
def test_a_refused_search_is_told_with_its_line(shop: Shop, item: str, code: str) -> None:
    shop.offer(2048)
    search(shop, "{types: [LORA]}", item)

    ran = shop.project.call("lock")

    assert "civsync.yaml:4:5: " in ran.err
    assert f"[{code}]" in ran.err
    assert shop.project.call("lock", "--json").json["error"]["subject"].startswith("?")
