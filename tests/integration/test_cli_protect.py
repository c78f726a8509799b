"""`protect: true`: what no sync takes away, also when its entry is gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Model
from support.published import faults
from support.shop import Shop, listing, open_shop

KIB = 1024
M0, M1, M2 = (f"loras/m{number}.safetensors" for number in range(3))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def stocked(shop: Shop) -> list[Model]:
    """Three files in place, the first of them protected; the network is not needed any more."""
    models = shop.offer(KIB, KIB, KIB)
    ask_for(shop, models, "protect: true")
    run(shop)
    assert receipt(shop)["owned"][0]["protect"] is True
    shop.served.reset_counts()
    return models


def ask_for(shop: Shop, models: list[Model], keys: str, head: str = "") -> None:
    """Write a manifest with these models; the first has `keys` besides."""
    first, *others = models
    extra = f", {keys}" if keys else ""
    shop.project.write(
        f"{{model: {first.id}{extra}}}", *(f"model: {each.id}" for each in others), head=head
    )


def run(shop: Shop, *words: str, status: int = 0) -> Any:  # noqa: ANN401 - a JSON document
    """Sync, and return the last event."""
    ran = shop.project.call("sync", "--json", *words)
    assert ran.status == status, ran.out + ran.err
    assert [fault for event in ran.events for fault in faults(event)] == []
    return ran.events[-1]


def receipt(shop: Shop) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((shop.control / "receipt.json").read_text())
    return document


def test_a_protected_file_stays_and_is_told_of_when_its_entry_is_gone(
    shop: Shop, stocked: list[Model]
) -> None:
    before = shop.tree
    shop.want(stocked[2])
    shop.project.call("lock")
    ran = shop.project.call("sync", "--dry-run")
    assert f"  = {M0}  (not wanted any more; kept: protected)" in ran.out
    assert "1 to retire; 1 in place; 1 kept: protected" in ran.out
    assert run(shop)["done"] == {"retired": 1}
    assert shop.tree == {name: before[name] for name in (M0, M2)}
    actions = shop.project.call("status", "--json").json["actions"]
    assert {each["path"]: each["action"] for each in actions} == {M0: "protected", M2: "keep"}
    # It is nothing to do, so the next run neither asks nor writes.
    before_again = listing(shop.project.folder)
    assert run(shop)["done"] == {}
    assert shop.project.call("sync").err == "1 file in place, nothing to do\n"
    assert listing(shop.project.folder) == before_again
    assert shop.project.call("sync", "--check").status == 0
    assert shop.served.requests == []


def test_a_protected_file_is_not_moved_its_content_is_copied_to_the_new_place(
    shop: Shop, stocked: list[Model]
) -> None:
    before = shop.tree
    ask_for(shop, stocked, "protect: true", head="layout: flat\n")
    assert run(shop)["done"] == {"moved": 2, "restored": 1}
    assert set(shop.tree) == {M0, "m0.safetensors", "m1.safetensors", "m2.safetensors"}
    assert shop.tree[M0] == shop.tree["m0.safetensors"] == before[M0]
    assert shop.served.count(origin="storage") == 0


@pytest.mark.parametrize("words", [(), ("--force-modified",), ("--allow-prune", "all")], ids=str)
def test_a_protected_file_is_not_replaced(
    shop: Shop, stocked: list[Model], words: tuple[str, ...]
) -> None:
    before = shop.tree
    version = stocked[0].add_version("v2", at=0, base_model="SDXL 1.0")
    version.add_file("m0.safetensors", safetensors("news", 2 * KIB))
    assert shop.project.call("lock", "--upgrade").status == 0
    end = run(shop, *words, status=8)
    assert [(each["path"], each["error"]["code"]) for each in end["failed"]] == [
        (M0, "protected-file")
    ]
    assert "--unprotect" in end["failed"][0]["error"]["hint"]
    assert shop.tree == before
    ask_for(shop, stocked, "protect: false")
    assert run(shop)["done"] == {"fetched": 1}
    assert shop.tree != before
    assert [before[M0]] == shop.trash()


def test_a_file_changed_by_hand_is_not_replaced_by_force_while_it_is_protected(
    shop: Shop, stocked: list[Model]
) -> None:
    (shop.project.root / M0).write_bytes(b"mine")
    codes = {
        words: run(shop, *words, status=8)["failed"][0]["error"]["code"]
        for words in ((), ("--force-modified",))
    }
    assert codes == {(): "modified-file", ("--force-modified",): "protected-file"}
    assert run(shop, "--force-modified", "--unprotect", M0)["done"] == {"fetched": 1}
    assert b"mine" in shop.trash()


def test_protection_goes_on_and_off_offline_and_is_a_difference_of_the_lock(
    shop: Shop, stocked: list[Model]
) -> None:
    ask_for(shop, stocked, "protect: false")
    ran = shop.project.call("lock", "--check")
    assert (ran.status, "protect: true -> false" in ran.err) == (3, True)
    assert "protect: true → false" in shop.project.call("lock").err
    assert run(shop, "--offline")["done"] == {}
    assert receipt(shop)["owned"][0]["protect"] is False
    ask_for(shop, stocked, "protect: true")
    assert run(shop, "--offline")["done"] == {}
    assert receipt(shop)["owned"][0]["protect"] is True
    assert "protect" in shop.project.call("list", str(shop.project.root / M0)).out
    assert shop.served.requests == []


def test_only_a_word_ends_protection_not_the_lack_of_one(shop: Shop, stocked: list[Model]) -> None:
    ask_for(shop, stocked, "")
    assert run(shop)["done"] == {}
    shop.want(*stocked[1:])
    assert run(shop)["done"] == {}
    assert M0 in shop.tree
    ask_for(shop, stocked, "protect: false")
    run(shop)
    shop.want(*stocked[1:])
    assert run(shop)["done"] == {"retired": 1}
    assert M0 not in shop.tree


def test_a_file_is_unprotected_by_its_name_for_good_unless_its_entry_says_otherwise(
    shop: Shop, stocked: list[Model]
) -> None:
    run(shop, "--unprotect", M0)
    assert receipt(shop)["owned"][0]["protect"] is True
    shop.want(*stocked[1:])
    whole_path = str(shop.project.root / M0)
    assert run(shop, "--no-prune", "--unprotect", whole_path)["done"] == {}
    assert receipt(shop)["owned"][0]["protect"] is False
    assert run(shop)["done"] == {"retired": 1}


@pytest.mark.parametrize(
    "path", [M1, "loras/nothing.safetensors", "../outside", ".civsync/receipt.json", ""]
)
@pytest.mark.usefixtures("stocked")
def test_what_is_not_protected_cannot_be_unprotected(shop: Shop, path: str) -> None:
    before = listing(shop.project.root)
    ran = shop.project.call("sync", "--unprotect", path)
    assert ran.status == 64, ran.err
    assert listing(shop.project.root) == before


def test_a_plan_to_unprotect_is_carried_out_as_it_was_written(
    shop: Shop, stocked: list[Model]
) -> None:
    shop.want(*stocked[1:])
    shop.project.call("lock")
    ran = shop.project.call("sync", "--plan", "plan.json", "--unprotect", M0)
    assert ran.status == 0, ran.err
    assert receipt(shop)["owned"][0]["protect"] is True
    ran = shop.project.call("sync", "--apply", "plan.json", "--json")
    assert ran.events[-1]["done"] == {"retired": 1}
    plan = json.loads((shop.project.folder / "plan.json").read_text())
    assert faults(plan) == []
    assert plan["terms"]["unprotect"] == [M0]


@pytest.mark.usefixtures("stocked")
def test_what_is_protected_does_not_make_the_loss_of_all_the_rest_a_small_one(shop: Shop) -> None:
    shop.want()
    assert shop.project.call("lock").status == 0
    assert run(shop, status=8)["error"]["code"] == "prune-guard"
    assert run(shop, "--allow-prune", "2")["done"] == {"retired": 2}
    assert set(shop.tree) == {M0}


def test_groups_that_are_not_selected_are_protected_even_from_giving_them_up(
    shop: Shop, stocked: list[Model]
) -> None:
    ask_for(shop, stocked, "protect: true, groups: [a]")
    assert run(shop, "--prune-unselected")["done"] == {}
    assert set(shop.tree) == {M0, M1, M2}


def test_a_receipt_says_in_its_version_whether_an_older_civsync_may_use_it(
    shop: Shop, stocked: list[Model]
) -> None:
    assert receipt(shop)["schema_version"] == 2
    ask_for(shop, stocked, "protect: false")
    run(shop)
    document = receipt(shop)
    assert document["schema_version"] == 1
    for each in document["owned"]:
        del each["protect"]
    (shop.control / "receipt.json").write_text(json.dumps(document))
    assert run(shop)["done"] == {}
    shop.want(*stocked[1:])
    assert run(shop)["done"] == {"retired": 1}


def test_what_comes_back_from_trash_is_as_protected_as_its_entry_says(
    shop: Shop, stocked: list[Model]
) -> None:
    shop.want(*stocked[1:])
    assert run(shop, "--unprotect", M0)["done"] == {"retired": 1}
    ask_for(shop, stocked, "protect: true")
    assert shop.project.call("lock").status == 0
    assert shop.project.call("trash", "restore", M0).status == 0
    shop.want(*stocked[1:])
    assert run(shop)["done"] == {}
    assert M0 in shop.tree
