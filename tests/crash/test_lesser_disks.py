"""Disks that take two names for one, and disks without links and locks: real FUSE mounts.

A course of everyday work is gone through on each, and then what only such a disk does.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import read
from civsync.demo.registry import Model
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.crash_worlds import FOREIGN, crash_world, sha256
from support.fuse_disks import FuseDisk, fuse_disk
from support.fuse_passthrough import FOLDS, FULL_AT_CLOSE, LINKLESS, LOCKLESS, LOCKS_LIE
from support.segment_world import tell
from support.shop import Shop, Synced, listing, only_file, open_shop
from support.strace import KILLED
from support.two_roots import two_roots

pytestmark = pytest.mark.crash

KIB = 1024

DISKS = {
    "folds": (FOLDS,),
    "linkless": (LINKLESS, LOCKLESS),
    "like exFAT": (FOLDS, LINKLESS),
}
LACKING_ALL = (FOLDS, LINKLESS, LOCKLESS)

Record = Callable[[str, object], None]

ONE, TWO, THREE = (f"loras/m{number}.safetensors" for number in range(3))


@contextmanager
def shop_on(folder: Path, *traits: str) -> Iterator[tuple[Shop, FuseDisk]]:
    """Let the root of a shop be such a disk."""
    place = folder / "here" / "models"
    with fuse_disk(place, folder / "backing", *traits) as disk, open_shop(folder / "here") as shop:
        yield shop, disk


def owned(shop: Shop) -> dict[str, str]:
    """What civsync owns, path to SHA-256."""
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    receipt = DiskLedger(open_root(shop.project.root, state_dir=state)).read()
    return {path: each.sha256 for path, each in receipt.owned.items()}


def quiet(shop: Shop, disk: FuseDisk) -> None:
    """A sync in step with its lock asks for nothing and changes nothing."""
    shop.served.reset_counts()
    before = listing(disk.backing)
    disk.changes()
    assert sync(shop).done == {}
    assert (disk.changes(), shop.served.requests) == (0, [])
    assert listing(disk.backing) == before


def sync(shop: Shop, *words: str) -> Synced:
    """Sync in this process, which is quicker."""
    return Synced(ran=shop.project.call("sync", "--json", *words))


def body(model: Model) -> bytes:
    return read(only_file(model).body)


def call(shop: Shop, *words: str, status: int = 0) -> dict[str, object]:
    """Run a command in this process and return its document."""
    ran = shop.project.call(*words, "--json")
    assert ran.status == status, ran.err
    document: dict[str, object] = ran.json
    return document


# --- a course of everyday work ---------------------------------------------------------------


@pytest.mark.fault("4.3/lesser-disk", "no hard links")
@pytest.mark.fault("4.4/locks-that-lie", "ENOSYS")
@pytest.mark.parametrize("kind", DISKS)
def test_everyday_work_goes_well(kind: str, tmp_path: Path) -> None:
    with shop_on(tmp_path, *DISKS[kind]) as (shop, disk):
        one, two, three = shop.stocked(KIB, 300 * KIB, KIB)
        tree = shop.tree
        assert tree == {ONE: body(one), TWO: body(two), THREE: body(three)}
        quiet(shop, disk)
        # An upgrade.
        new = safetensors("new", 2 * KIB)
        one.add_version("v2", at=0, base_model="SDXL 1.0").add_file("m0.safetensors", new)
        assert shop.project.call("lock", "--upgrade").status == 0
        assert sync(shop).done == {"fetched": 1}
        assert (shop.tree[ONE], shop.trash()) == (new, [tree[ONE]])
        quiet(shop, disk)
        # Another layout.
        shop.want(one, two, three, head="layout: a1111\n")
        shop.served.reset_counts()
        assert sync(shop).done == {"moved": 3}
        assert sorted(shop.tree) == [f"models/Lora/m{number}.safetensors" for number in range(3)]
        assert shop.served.requests == []
        quiet(shop, disk)
        shop.want(one, two, three)
        assert sync(shop).done == {"moved": 3}
        # Away, and back.
        shop.want(one, two)
        assert sync(shop).done == {"retired": 1}
        call(shop, "trash", "restore", THREE)
        assert shop.tree == {ONE: new, TWO: tree[TWO], THREE: tree[THREE]}
        quiet(shop, disk)
        # Taken over.
        shop.want(one, two, three)
        assert shop.project.call("lock").status == 0
        assert sync(shop).done == {}
        assert THREE not in owned(shop)
        call(shop, "adopt", THREE)
        assert set(owned(shop)) == {ONE, TWO, THREE}
        assert shop.project.call("verify").status == 0
        quiet(shop, disk)


# --- names that are one here -----------------------------------------------------------------


FOLDING = [kind for kind in DISKS if FOLDS in DISKS[kind]]


@pytest.mark.fault("4.5/collisions", "case, on such a disk")
@pytest.mark.parametrize("kind", FOLDING)
def test_a_change_in_case_alone_moves_nothing_else(kind: str, tmp_path: Path) -> None:
    with shop_on(tmp_path, *DISKS[kind]) as (shop, disk):
        (model,) = shop.stocked(KIB)
        inode = (shop.project.root / ONE).stat().st_ino
        for keys, spelled in (
            ({"filename": '"M0.{ext}"'}, "loras/M0.safetensors"),
            # The directory keeps its name, whose case nobody sees here.
            ({"directory": "LoRAs"}, "loras/m0.safetensors"),
            ({"directory": "LORAS", "filename": '"M0.{ext}"'}, "loras/M0.safetensors"),
            ({}, ONE),
        ):
            shop.want(model, **keys)
            assert sync(shop).done == {"moved": 1}
            assert shop.tree == {spelled: body(model)}
            assert (shop.project.root / ONE).stat().st_ino == inode
            assert shop.trash() == []
            quiet(shop, disk)
            assert shop.project.call("verify").status == 0


@pytest.mark.fault("4.5/collisions", "case, on such a disk")
@pytest.mark.parametrize("kind", FOLDING)
def test_an_upgrade_that_changes_the_case_keeps_the_old_file_in_trash(
    kind: str, tmp_path: Path
) -> None:
    with shop_on(tmp_path, *DISKS[kind]) as (shop, disk):
        (model,) = shop.stocked(KIB)
        old, new = body(model), safetensors("new", 2 * KIB)
        model.add_version("v2", at=0, base_model="SDXL 1.0").add_file("M0.safetensors", new)
        assert shop.project.call("lock", "--upgrade").status == 0
        assert sync(shop).done == {"fetched": 1}
        assert (list(shop.tree.values()), shop.trash()) == ([new], [old])
        quiet(shop, disk)
        assert list(owned(shop)) == ["loras/M0.safetensors"]
        shop.want()
        assert sync(shop, "--allow-prune", "all").done == {"retired": 1}
        assert (shop.tree, shop.trash()) == ({}, sorted([old, new]))


@pytest.mark.fault("4.5/collisions", "case, on such a disk")
def test_two_locked_files_whose_names_differ_in_case_are_two(tmp_path: Path) -> None:
    with shop_on(tmp_path, FOLDS) as (shop, disk):
        bodies = {name: safetensors(name, KIB) for name in ("it.safetensors", "IT.safetensors")}
        models = shop.offer(bodies=bodies)
        shop.want(*models)
        assert sync(shop).done == {"fetched": 2}
        assert shop.tree == {
            f"loras/{name.partition('.')[0]}~{only_file(model).id}.safetensors": body(model)
            for name, model in zip(bodies, models, strict=True)
        }
        quiet(shop, disk)


@pytest.mark.fault("4.5/collisions", "case, on such a disk", "normal form, on such a disk")
@pytest.mark.fault("4.8/foreign", "other content")
@pytest.mark.parametrize("other", ["LoRAs/caf\u00e9.safetensors", "loras/cafe\u0301.SafeTensors"])
def test_a_file_of_somebody_under_another_spelling_is_in_the_way(
    other: str, tmp_path: Path
) -> None:
    name = "caf\u00e9.safetensors"
    with shop_on(tmp_path, FOLDS) as (shop, disk):
        shop.locked(*shop.offer(bodies={name: safetensors("one", KIB)}))
        mine = disk.place / other
        mine.parent.mkdir()
        mine.write_bytes(b"mine")
        ended = sync(shop)
        assert (ended.status, ended.codes) == (8, {name: "foreign-file"})
        assert shop.tree == {other: b"mine"}
        assert shop.ranges == []


@pytest.mark.fault("4.8/foreign", "same content")
@pytest.mark.parametrize("word", ["--all", "loras/M0.safetensors", ONE])
def test_a_wanted_file_under_another_spelling_counts_and_can_be_adopted(
    word: str, tmp_path: Path
) -> None:
    with shop_on(tmp_path, FOLDS) as (shop, disk):
        (model,) = shop.offer(KIB)
        shop.locked(model)
        mine = disk.place / "loras/M0.safetensors"
        mine.parent.mkdir()
        mine.write_bytes(body(model))
        assert sync(shop).done == {}
        assert owned(shop) == {}
        quiet(shop, disk)
        adopted = call(shop, "adopt", word)["adopted"]
        assert isinstance(adopted, list)
        assert [each["path"] for each in adopted] == [ONE]
        assert list(owned(shop)) == [ONE]
        assert shop.tree == {"loras/M0.safetensors": body(model)}
        quiet(shop, disk)


@pytest.mark.fault("4.8/foreign", "where a file is to be moved")
def test_nothing_is_put_over_another_spelling(tmp_path: Path) -> None:
    with shop_on(tmp_path, FOLDS) as (shop, disk):
        one, two = shop.stocked(KIB, KIB)
        shop.want(two)
        assert sync(shop).done == {"retired": 1}
        mine = disk.place / "loras/M0.safetensors"
        mine.write_bytes(b"mine")
        document = call(shop, "trash", "restore", ONE, status=8)
        assert "path-taken" in json.dumps(document)
        shop.want(two, filename='"m0.{ext}"')
        ended = sync(shop)
        assert (ended.status, ended.codes) == (8, {"m0.safetensors": "foreign-file"})
        assert mine.read_bytes() == b"mine"
        assert shop.trash() == [body(one)]


# --- bytes of another root -------------------------------------------------------------------


@pytest.mark.fault("4.3/lesser-disk", "no hard links")
@pytest.mark.parametrize(
    ("kind", "mode", "how", "noted"),
    [
        ("linkless", "auto", "copied", {"not-shared": ["reflinking", "ENOTSUP"]}),
        ("linkless", "reflink", "copied", {"link-fallback": ["reflinking", "ENOTSUP"]}),
        ("linkless", "hardlink", "copied", {"link-fallback": ["hard-linking", "EPERM"]}),
        ("linkless", "copy", "copied", {}),
        ("folds", "auto", "copied", {"not-shared": ["reflinking", "ENOTSUP"]}),
        ("folds", "hardlink", "hardlinked", {}),
    ],
)
def test_each_link_mode_does_what_the_disk_can_and_says_why_not(
    kind: str, mode: str, how: str, noted: dict[str, list[str]], tmp_path: Path
) -> None:
    with (
        fuse_disk(tmp_path / "disk", tmp_path / "backing", *DISKS[kind]) as disk,
        two_roots(disk.place, 300 * KIB) as machine,
    ):
        ended = machine.sync_other("--link", mode)
        assert (ended.status, ended.done, machine.asked) == (0, {how: 1}, 0)
        assert machine.other.tree == machine.one.tree
        told = {event["code"]: event["message"] for event in ended.events("noted")}
        assert told.keys() == noted.keys() | ({"no-hard-links"} if kind == "linkless" else set())
        for code, (way, error) in noted.items():
            assert f"{way} was not possible: " in told[code]
            assert f"({error})" in told[code]
        one, other = (shop.project.root / ONE for shop in (machine.one, machine.other))
        assert one.samefile(other) == (how == "hardlinked")


# --- kills -----------------------------------------------------------------------------------


@pytest.mark.fault("4.3/kill", "at any moment")
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(1, marks=[pytest.mark.sweep, pytest.mark.timeout(900)], id="every"),
        pytest.param(41, id="some"),
    ],
)
@pytest.mark.parametrize("traits", [LACKING_ALL, ()], ids=["lacking all", "lacking nothing"])
def test_a_kill_at_any_change_of_a_disk_loses_nothing(
    traits: tuple[str, ...], step: int, tmp_path: Path, record_property: Record
) -> None:
    """One run fetches, replaces, swaps, moves, copies and retires, and is killed by the disk.

    It counts the changes of all threads together, so that none is left out.
    """
    folder = tmp_path / "project"
    with (
        fuse_disk(folder / "models", tmp_path / "backing", *traits) as disk,
        crash_world(folder, size=20 * KIB) as world,
    ):
        world.finish_here(world.one)
        target, change, killed = world.other, 1, 0
        while True:
            disk.kill_at(change)
            ran = world.sync(target, "--jobs", "1")
            changes = disk.changes()
            world.require_no_wrong_file()
            world.require_notes()
            world.finish_here(target)
            if ran.status != KILLED:
                break
            killed += 1
            world.forget_trash()
            target = world.one if target is world.other else world.other
            change += step
        assert ran.status == 0, ran.err
        assert change > changes, "a change was made that should have been the last"
        assert killed >= 3
        tell(record_property, changes=changes, kills=killed, lost=0)


# --- a quota that only a close tells of ---------------------------------------------------------


def test_without_flushes_a_file_whose_close_fails_gets_no_name(tmp_path: Path) -> None:
    with shop_on(tmp_path, FULL_AT_CLOSE) as (shop, _):
        shop.locked(*shop.offer(KIB, 2048 * KIB))
        refused = sync(shop, "--no-fsync")
        assert (refused.status, list(refused.codes.values())) == (8, ["no-space"] * 2)
        assert (owned(shop), shop.tree) == ({}, {})
        # Flushes are answered well there, so nobody need ask the close.
        assert sync(shop).done == {"fetched": 2}
        assert set(owned(shop)) == {ONE, TWO}


# --- two at once -----------------------------------------------------------------------------


@pytest.mark.fault("4.4/locks-that-lie", "granted to all")
def test_where_the_disk_grants_every_lock_the_outcome_is_one_of_the_two(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    with (
        fuse_disk(folder / "models", tmp_path / "backing", LINKLESS, LOCKS_LIE),
        crash_world(folder, size=20 * KIB) as world,
    ):
        world.finish_here(world.one)
        targets = (world.other, world.one)
        crowd = [world.project.start(*world.words(target, "--quiet")) for target in targets]
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in crowd]
        done = []
        for target, (err, status) in zip(targets, ended, strict=True):
            assert status in {0, 75}, err
            done += [target] if status == 0 else []
        assert world.files() in [{**each.wanted, FOREIGN: sha256(b"mine")} for each in done]
        world.finish_here(world.other)
