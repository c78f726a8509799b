"""`civsync sync --plan` and `--apply`: what was looked at is what is done, or nothing is."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import Model
from support.cli import Project, Ran
from support.published import faults
from support.shop import Shop, listing, open_shop

KIB = 1024
PLAN = "plan.json"
M0, M1 = "loras/m0.safetensors", "loras/m1.safetensors"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


def planned(project: Project, *words: str, status: int = 0) -> dict[str, Any]:
    """Write a plan, and return it."""
    ran = project.call("sync", "--plan", PLAN, *words)
    assert ran.status == status, ran.err
    document: dict[str, Any] = json.loads((project.folder / PLAN).read_text())
    assert faults(document) == []
    return document


def apply(project: Project, *words: str) -> Ran:
    return project.call("sync", "--apply", PLAN, *words)


def everything(shop: Shop) -> dict[str, tuple[int, ...]]:
    """All that is in the project's folder, with its times: documents, root and state."""
    return listing(shop.project.folder)


def news(shop: Shop, model: Model, size: int = 3 * KIB) -> None:
    """Let upstream have other bytes under the same name, and lock them."""
    version = model.add_version("v2", at=0, base_model="SDXL 1.0")
    version.add_file(model.versions[1].files[0].name, safetensors("news", size))
    ran = shop.project.call("lock", "--upgrade")
    assert ran.status == 0, ran.err


# --- the worlds that plans are made for: one for every kind of action ---------------------------


def new_root(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB, 2 * KIB))


def replaced(shop: Shop) -> None:
    one, _ = shop.stocked(KIB, 2 * KIB)
    news(shop, one)


def moved(shop: Shop) -> None:
    models = shop.stocked(KIB, 2 * KIB)
    shop.locked(*models, head="layout: flat\n")


def retired(shop: Shop) -> None:
    one, _ = shop.stocked(KIB, 2 * KIB)
    shop.locked(one)


def released(shop: Shop) -> None:
    retired(shop)
    (shop.project.root / M1).write_bytes(b"mine")


def gone(shop: Shop) -> None:
    retired(shop)
    (shop.project.root / M1).unlink()


def deleted(shop: Shop) -> None:
    shop.stocked(KIB, 2 * KIB)
    (shop.project.root / M0).unlink()


def blocked(shop: Shop) -> None:
    shop.stocked(KIB, 2 * KIB)
    (shop.project.root / M0).write_bytes(b"mine")


WORLDS = {
    "fetch": (new_root, {"fetch": 2}),
    "replace": (replaced, {"replace": 1}),
    "move": (moved, {"move": 2}),
    "retire": (retired, {"retire": 1}),
    "release what changed": (released, {"release": 1}),
    "release what is gone": (gone, {"release": 1}),
    "fetch again": (deleted, {"fetch": 1}),
    "blocked": (blocked, {"blocked": 1}),
}
MAKERS = [pytest.param(make, counts, id=name) for name, (make, counts) in WORLDS.items()]


@pytest.mark.parametrize(("make", "counts"), MAKERS)
def test_a_plan_says_what_why_and_what_is_there_and_nothing_else_changes(
    shop: Shop, make: Callable[[Shop], None], counts: dict[str, int]
) -> None:
    make(shop)
    before = everything(shop)
    plan = planned(shop.project, status=8 if "blocked" in counts else 0)
    changed = {name for name, what in everything(shop).items() if before.get(name) != what}
    assert changed == {str(shop.project.folder), str(shop.project.folder / PLAN)}
    totals = {name: count for name, count in plan["totals"].items() if count and name != "bytes"}
    assert totals == counts
    assert plan["totals"]["bytes"] == sum(action["bytes"] for action in plan["actions"])
    for action in plan["actions"]:
        place = shop.project.root / action["path"]
        there = place.stat() if place.exists() else None
        stamp = action["now"]["stamp"] or {}
        assert action["why"]
        assert action["entry"]
        assert stamp.get("mtime_ns") == (there.st_mtime_ns if there else None)


@pytest.mark.parametrize(("make", "counts"), MAKERS)
def test_applying_a_plan_is_what_a_plain_sync_would_have_done(
    shop: Shop, tmp_path: Path, make: Callable[[Shop], None], counts: dict[str, int]
) -> None:
    make(shop)
    twin = tmp_path / "twin"
    shutil.copytree(shop.project.folder, twin, copy_function=shutil.copy2)
    planned(shop.project, status=8 if "blocked" in counts else 0)
    ran = apply(shop.project, "--json")
    plain = Project(twin, shop.served.api_url)
    # A copy has other inodes, so its files are read once more; and its root was not seen yet.
    other = plain.call("sync", "--json")
    assert ran.status == other.status
    assert ran.events[-1] == other.events[-1]
    assert shop.project.files() == plain.files()
    assert owned_in(shop.project) == owned_in(plain)
    assert trash_of(shop.project) == trash_of(plain)


def owned_in(project: Project) -> dict[str, str]:
    receipt = json.loads((project.root / ".civsync/receipt.json").read_text())
    return {each["path"]: each["sha256"] for each in receipt["owned"]}


def trash_of(project: Project) -> list[bytes]:
    folder = project.root / ".civsync/trash"
    return sorted(path.read_bytes() for path in folder.glob("*.retired"))
