"""What a lock is worth when upstream takes back or changes what it names."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Model, PaidAccess
from support.shop import Shop, Synced, only_file, open_shop

KIB = 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def delete_model(shop: Shop, model: Model) -> None:
    del shop.registry.models[model.id]


def delete_version(shop: Shop, model: Model) -> None:
    model.versions[0] = model.add_version("v2", base_model="SDXL 1.0")
    model.versions[0].add_file()
    del model.versions[1]


def delete_file(shop: Shop, model: Model) -> None:
    model.versions[0].add_file()
    del model.versions[0].files[0]


def unpublish(shop: Shop, model: Model) -> None:
    model.status = "Unpublished"


def hide_model(shop: Shop, model: Model) -> None:
    model.availability = "Private"


def hide_file(shop: Shop, model: Model) -> None:
    model.versions[0].add_file()
    only_file(model).visibility = "Private"


def sell(shop: Shop, model: Model) -> None:
    model.versions[0].paid_access = PaidAccess(ends_at="2099-01-01T00:00:00.000Z")


def change(shop: Shop, model: Model) -> None:
    only_file(model).put(safetensors("something else", KIB))


@pytest.mark.fault("4.2/upstream", "deleted", "hidden", "early access", "hash changed")
@pytest.mark.parametrize(
    ("happens", "code", "status"),
    [
        (delete_model, "gone", 7),
        (delete_version, "gone", 7),
        (delete_file, "gone", 7),
        (unpublish, "gone", 7),
        (hide_model, "login-needed", 6),
        (hide_file, "gone", 7),
        (sell, "early-access", 6),
        (change, "hash-mismatch", 5),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_upstream_takes_back_is_said_and_the_lock_and_the_tree_stay(
    shop: Shop, happens: Callable[[Shop, Model], None], code: str, status: int
) -> None:
    model, other = shop.offer(KIB, KIB)
    shop.locked(model, other)
    before = shop.project.lock.read_bytes()
    assert sync(shop).done == {"fetched": 2}
    tree = shop.tree
    happens(shop, model)

    # Nobody is asked about what is in place.
    shop.served.reset_counts()
    assert shop.project.call("lock").status == 0
    assert sync(shop).done == {}
    assert shop.served.requests == []

    (shop.project.root / "loras/m0.safetensors").unlink()
    ended = sync(shop)
    assert (ended.status, ended.codes) == (status, {"m0.safetensors": code})
    assert ended.failed["m0.safetensors"]["hint"]
    del tree["loras/m0.safetensors"]
    assert shop.tree == tree
    assert shop.project.lock.read_bytes() == before


@pytest.mark.fault("4.2/upstream", "hash changed")
def test_a_hash_that_changed_is_an_alarm_and_no_upgrade(shop: Shop) -> None:
    model, _ = shop.stocked(KIB, KIB)
    before, tree = shop.project.lock.read_bytes(), shop.tree
    change(shop, model)
    ran = shop.project.call("lock", "--upgrade")
    assert ran.status == 5
    assert "[content-changed]" in ran.err
    assert shop.project.lock.read_bytes() == before
    assert sync(shop, "--frozen").done == {}
    assert shop.tree == tree


def sync(shop: Shop, *words: str) -> Synced:
    return Synced(ran=shop.project.call("sync", "--json", *words))
