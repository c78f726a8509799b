"""What an impatient user, a platform engineer and an attacker try with issue-sized manifests."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import PaidAccess
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


def test_outdated_says_why_hits_of_a_search_are_left_out(shop: Shop) -> None:
    free, denied, sold, pickle = shop.offer(2048, 2048, 2048, 2048)
    denied.creator = "mal"
    search(shop, "{types: [LORA]}", head="policy: {creators: {deny: [mal]}}\n")
    sold.versions[0].paid_access = PaidAccess(ends_at="2999-01-01T00:00:00Z")
    pickle.versions[0].files[0].name = "weights.ckpt"
    pickle.versions[0].files[0].format = "PickleTensor"
    assert shop.project.call("lock").status == 0

    ran = shop.project.call("outdated")
    (entry,) = shop.project.call("outdated", "--json").json["entries"]

    assert "everything is current" not in ran.err
    assert {(each["model_id"], each["why"]) for each in entry["reasons"]} == {
        (denied.id, "policy"),
        (sold.id, "early-access"),
        (pickle.id, "policy"),
    }
    assert not entry["changes"]
    assert free.id not in {each["model_id"] for each in entry["reasons"]}


def test_outdated_says_why_a_locked_hit_would_be_given_up(shop: Shop) -> None:
    stays, denied = shop.offer(2048, 2048)
    search(shop, "{types: [LORA]}")
    assert shop.project.call("lock").status == 0
    denied.creator = "mal"
    search(shop, "{types: [LORA]}", head="policy: {creators: {deny: [mal]}}\n")

    (entry,) = shop.project.call("outdated", "--json").json["entries"]

    assert entry["went"] == [denied.id]
    assert {(each["model_id"], each["rule"]) for each in entry["reasons"]} == {
        (denied.id, "policy.creators.deny")
    }
    assert stays.id not in entry["went"]


def test_a_search_that_fails_says_nothing_of_models_that_nobody_asked_about(shop: Shop) -> None:
    models = shop.offer(2048, 2048)
    for model in models:
        model.tags = ["style"]
    # One that has the tag and is left out keeps the filter from being refused as unknown.
    search(shop, "{tag: style, exclude: {creators: [keeper]}}")
    (keeper,) = shop.offer(2048)
    keeper.tags, keeper.creator = ["style"], "keeper"
    assert shop.project.call("lock").status == 0
    for model in models:
        model.tags = []

    ran = shop.project.call("outdated", "--json")

    (entry,) = ran.json["entries"]
    assert ran.status == 8
    assert [each["why"] for each in entry["reasons"]] == ["failed"]


def broken_off(shop: Shop) -> None:
    """Let the second page of every search from now on be empty, and lead to itself."""
    (cursor,) = {each.query["cursor"][0] for each in shop.served.requests if "cursor" in each.query}
    body = json.dumps({"items": [], "metadata": {"nextCursor": cursor}}).encode()
    page = Answer(200, (("Content-Type", "application/json"),), body)
    shop.registry.faults.add(Fault(does=page, path="cursor=", times=None))


def locked_models(shop: Shop) -> set[int]:
    (entry,) = json.loads(shop.project.lock.read_text("utf-8"))["entries"]
    return {file["model_id"] for file in entry["files"]}


def test_a_listing_that_breaks_off_gives_up_no_locked_hit(shop: Shop) -> None:
    models = shop.offer(*[2048] * 6)
    for model in models[-2:]:
        model.creator = "other"
    search(shop, "{types: [LORA], sort: Newest, limit: 4, exclude: {creators: [other]}}")
    assert shop.project.call("lock").status == 0
    before = shop.project.lock.read_bytes()
    assert locked_models(shop) == {model.id for model in models[:4]}
    broken_off(shop)

    ran = shop.project.call("lock", "--upgrade")

    assert "civsync.yaml:3:5: Civitai's listing did not end after 2 models" in ran.err
    assert "what was found before stays" in ran.err
    assert shop.project.lock.read_bytes() == before


def test_what_an_excluded_creator_made_goes_even_if_the_listing_breaks_off(shop: Shop) -> None:
    models = shop.offer(*[2048] * 6)
    for model in models[-2:]:
        model.creator = "other"
    search(shop, "{types: [LORA], sort: Newest, limit: 4, exclude: {creators: [other]}}")
    assert shop.project.call("lock").status == 0
    broken_off(shop)
    ids = [model.id for model in models]
    left_out = f"{{models: {ids[:2]}, creators: [other]}}"
    search(shop, f"{{types: [LORA], sort: Newest, limit: 4, exclude: {left_out}}}")

    assert shop.project.call("lock").status == 0

    assert locked_models(shop) == set(ids[2:4])


def test_an_upgrade_of_a_held_entry_by_name_says_that_it_is_held(shop: Shop) -> None:
    (model,) = shop.offer(2048)
    shop.project.manifest.write_text(
        f'version: 1\nmodels:\n  - {{model: {model.id}, hold: "because\\e[31m"}}\n', "utf-8"
    )
    assert shop.project.call("lock").status == 0
    model.add_version("v2", at=0).add_file("new.safetensors")

    ran = shop.project.call("lock", "-P", str(model.id))

    assert ran.status == 0
    assert (
        f"civsync.yaml:3:5: {model.id}@latest stays, because it is held: because\\x1b[31m"
    ) in ran.err
    assert f"civsync unhold {model.id}@latest" in ran.err
    assert "is held" not in shop.project.call("lock", "--upgrade").err


def test_a_hit_whose_record_cannot_be_read_is_not_given_up(shop: Shop) -> None:
    first, second = shop.offer(2048, 2048)
    search(shop, "{types: [LORA]}")
    assert shop.project.call("lock").status == 0
    before = shop.project.lock.read_bytes()
    first.name = 7  # type: ignore[assignment]  # what no model is called

    ran = shop.project.call("lock", "--upgrade")

    assert "civsync.yaml:3:5: 1 model of Civitai's listing could not be read" in ran.err
    assert shop.project.lock.read_bytes() == before
    assert locked_models(shop) == {first.id, second.id}
