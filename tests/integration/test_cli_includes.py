"""A manifest of several files: each is noticed when it changes, and named when it is wrong."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.registry import Model
from support.shop import Shop, listing, open_shop

KIB = 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


def write(place: Path, *models: Model, include: str = "") -> None:
    """Write a manifest with these models; `include` is the inside of the list."""
    items = "".join(f"  - {{model: {model.id}}}\n" for model in models) or "  []\n"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"version: 1\ninclude: [{include}]\nmodels:\n{items}", encoding="utf-8")


def stocked(shop: Shop) -> list[Model]:
    """Sync a manifest that includes one that includes one, with a model each."""
    models = shop.offer(*[3 * KIB] * 4)
    write(shop.project.manifest, models[0], include="common/base.yaml")
    write(shop.project.folder / "common" / "base.yaml", models[1], include="../more.yaml")
    write(shop.project.folder / "more.yaml", models[2])
    assert shop.sync().done == {"fetched": 3}
    shop.served.reset_counts()
    return models


def test_a_second_sync_of_what_includes_others_asks_and_writes_nothing(shop: Shop) -> None:
    stocked(shop)
    everything = listing(shop.project.folder)

    for words in ((), ("--locked",), ("--frozen",)):
        ran = shop.project.run("sync", *words)
        assert (ran.status, ran.err) == (0, "3 files in place, nothing to do\n")
    assert shop.project.run("sync", "--check").status == 0

    assert listing(shop.project.folder) == everything
    assert shop.served.requests == []


@pytest.mark.parametrize("name", ["common/base.yaml", "more.yaml"])
def test_an_edit_of_an_included_manifest_is_carried_out(shop: Shop, name: str) -> None:
    models = stocked(shop)
    place = shop.project.folder / name
    text = place.read_text(encoding="utf-8")
    place.write_text(f"{text}  - {{model: {models[3].id}}}\n", encoding="utf-8")

    assert shop.project.call("sync", "--locked").status == 3
    assert shop.project.call("lock", "--check").status == 3
    assert shop.sync().done == {"fetched": 1}
    assert len(shop.tree) == 4
    assert shop.sync().done == {}


def test_an_entry_that_leaves_an_included_manifest_leaves_the_root(shop: Shop) -> None:
    stocked(shop)
    write(shop.project.folder / "more.yaml")

    assert shop.sync().done == {"retired": 1}
    assert len(shop.tree) == 2


@pytest.mark.parametrize(
    ("name", "place"),
    [("common/base.yaml", "civsync.yaml:2:11"), ("more.yaml", "common/base.yaml:2:11")],
)
def test_an_included_manifest_that_is_deleted_changes_nothing(
    shop: Shop, name: str, place: str
) -> None:
    stocked(shop)
    (shop.project.folder / name).unlink()
    lock, tree = shop.project.lock.read_bytes(), shop.tree

    for words in (("sync",), ("sync", "--locked"), ("lock",), ("status",)):
        ran = shop.project.call(*words)
        assert ran.status == 65
        assert f"{place}: there is no {name} beside civsync.yaml" in ran.err

    assert (shop.project.lock.read_bytes(), shop.tree) == (lock, tree)


def test_a_frozen_sync_needs_no_included_manifest(shop: Shop) -> None:
    stocked(shop)
    shutil.rmtree(shop.project.folder / "common")
    shutil.rmtree(shop.project.folder / ".home")  # another machine, which remembers nothing
    shutil.rmtree(shop.project.root)

    assert shop.sync("--frozen").done == {"fetched": 3}
    assert shop.sync("--frozen").done == {}


def test_a_manifest_may_include_one_of_the_folder_above(shop: Shop) -> None:
    (model,) = shop.offer(3 * KIB)
    write(shop.project.folder.parent / "team.yaml", model)
    write(shop.project.manifest, include="../team.yaml")

    assert shop.sync().done == {"fetched": 1}


def test_a_manifest_elsewhere_includes_what_lies_beside_it(shop: Shop) -> None:
    models = stocked(shop)
    write(shop.project.folder / "common" / "more.yaml", models[3])
    write(shop.project.folder / "common" / "base.yaml", models[1], include="more.yaml")
    ran = shop.project.call("--manifest", "common/base.yaml", "lock")
    assert ran.status == 0, ran.err
    lock = (shop.project.folder / "common" / "base.lock").read_text(encoding="utf-8")
    assert f"{models[3].id}@latest" in lock


def folder_in_the_way(place: Path) -> None:
    place.mkdir()


def pipe(place: Path) -> None:
    os.mkfifo(place)


def endless(place: Path) -> None:
    place.symlink_to("/dev/zero")


def too_large(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(17 * 1024 * KIB)


def not_utf8(place: Path) -> None:
    place.write_bytes(b"version: 1\nmodels: []\n# \xff\n")


def link_to_itself(place: Path) -> None:
    place.symlink_to(place)


posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(folder_in_the_way, "civsync.yaml:2:11: x.yaml is no file", id="folder"),
        pytest.param(pipe, "civsync.yaml:2:11: x.yaml is no file", id="pipe", marks=posix),
        pytest.param(endless, "civsync.yaml:2:11: x.yaml is no file", id="device", marks=posix),
        pytest.param(
            link_to_itself, "civsync.yaml:2:11: x.yaml cannot be read", id="loop", marks=posix
        ),
        pytest.param(too_large, "x.yaml: the document is larger than", id="too large"),
        pytest.param(not_utf8, "x.yaml:3:3: the text is not UTF-8", id="not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_is_included(
    shop: Shop, make: object, message: str
) -> None:
    write(shop.project.manifest, include="x.yaml")
    assert callable(make)
    make(shop.project.folder / "x.yaml")

    ran = shop.project.call("lock")

    assert ran.status == 65
    assert message in ran.err
    assert not shop.project.lock.exists()


@posix
def test_an_included_manifest_that_becomes_a_pipe_is_not_waited_for(shop: Shop) -> None:
    stocked(shop)
    place = shop.project.folder / "more.yaml"
    place.unlink()
    pipe(place)

    ran = shop.project.run("sync", timeout=20)

    assert ran.status == 65
    assert "common/base.yaml:2:11: more.yaml is no file" in ran.err


def test_json_names_the_document_of_each_problem(shop: Shop) -> None:
    write(shop.project.manifest, include="a.yaml, b.yaml")
    (shop.project.folder / "a.yaml").write_text("version: 1\nmodels: [{model: 0}]\n")

    ran = shop.project.call("lock", "--json")

    problems = ran.json["error"]["problems"]
    assert [(each["document"], each["line"], each["code"]) for each in problems] == [
        ("civsync.yaml", 2, "manifest-missing"),
        ("a.yaml", 2, "manifest-invalid"),
    ]
