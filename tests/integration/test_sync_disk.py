"""`civsync sync` on disks that are missing, full, read-only, linked or somebody else's."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Fault, Stall
from support.shop import DOWNLOADS, Shop, edit_lock, listing, only_file, open_shop
from support.small_disks import read_only_disk, small_disk

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("name", ["lock", "notes.jsonl"])
def test_nothing_is_written_through_a_second_name_of_a_file_of_civsyncs_own(
    shop: Shop, name: str
) -> None:
    """As a backup made of hard links has, or whoever put somebody's file there."""
    shop.stocked(KIB)
    (model,) = shop.offer(2 * KIB)
    shop.want(model)
    mine = shop.project.folder / "mine.txt"
    mine.write_bytes(b"my own words")
    (shop.control / name).unlink(missing_ok=True)
    os.link(mine, shop.control / name)
    assert shop.sync("--allow-prune", "all").done == {"fetched": 1, "retired": 1}
    assert mine.read_bytes() == b"my own words"
    assert shop.sync().done == {}


# --- the right disk --------------------------------------------------------------------


@pytest.mark.fault("4.8/zero", "unmounted disk")
def test_an_unmounted_disk_is_neither_filled_nor_taken_for_emptied(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    away = shop.project.root.rename(shop.project.folder / "unplugged")
    for there in ("no mount point", "an empty mount point"):
        if there == "an empty mount point":
            shop.project.root.mkdir()
        ended = shop.sync()
        assert (ended.status, ended.error["code"]) == (8, "root-marker-missing"), there
        assert "--new-root" in ended.error["hint"]
        assert not any(shop.project.root.glob("*"))
    assert shop.served.requests == []
    shop.project.root.rmdir()
    away.rename(shop.project.root)
    assert shop.sync().done == {}


def test_new_root_is_the_users_word_for_a_disk_that_is_really_empty(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    shutil.rmtree(shop.project.root)
    assert shop.sync("--new-root").done == {"fetched": 2}
    assert shop.sync().done == {}


def test_another_disk_at_the_same_place_is_noticed(shop: Shop) -> None:
    shop.stocked(KIB)
    marker = shop.control / "root.json"
    document = json.loads(marker.read_text())
    marker.write_text(json.dumps({**document, "root_id": "0" * 32}))
    before = listing(shop.project.root)
    assert shop.sync().error["code"] == "root-marker-missing"
    assert listing(shop.project.root) == before


@pytest.mark.parametrize(
    ("keys", "make"),
    [
        pytest.param({}, lambda root: root.write_text("a file"), id="a file"),
        pytest.param({"head": "root: ../elsewhere\n"}, None, id="above"),
        pytest.param({"head": "root: /civsync-elsewhere\n"}, None, id="absolute"),
        pytest.param(
            {"head": "root: link/models\n"},
            lambda root: (root.parent / "link").symlink_to("/tmp"),
            id="through a link",
        ),
    ],
)
def test_a_root_that_cannot_be_one_is_refused_before_anything_is_downloaded(
    shop: Shop, keys: dict[str, str], make: Callable[[Path], object] | None
) -> None:
    (model,) = shop.offer(KIB)
    shop.locked(model)
    shop.want(model, **keys)
    if make is not None:
        make(shop.project.root)
    ended = shop.sync()
    assert ended.status in (8, 65)
    assert ended.end["schema"] == "civsync.error"
    assert shop.served.count(path_prefix=DOWNLOADS) == 0
    assert not Path("/civsync-elsewhere").exists()
    assert not (shop.project.folder.parent / "elsewhere").exists()


def test_a_root_that_is_reached_by_a_link_is_the_users_word(shop: Shop, tmp_path: Path) -> None:
    real = tmp_path / "big disk"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    shop.want(*shop.offer(KIB))
    assert shop.sync("--root", str(link)).done == {"fetched": 1}
    assert (real / "loras/m0.safetensors").exists()


# --- what stands in the way ---------------------------------------------------------------


@pytest.mark.fault("4.5/links", "a linked directory")
def test_a_linked_directory_below_the_root_is_refused_with_a_hint(
    shop: Shop, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shop.project.root.mkdir()
    (shop.project.root / "loras").symlink_to(outside)
    shop.want(*shop.offer(KIB))
    ended = shop.sync()
    assert (ended.status, ended.codes) == (8, {"m0.safetensors": "symlinked-directory"})
    assert "--follow-links" in ended.failed["m0.safetensors"]["hint"]
    assert list(outside.iterdir()) == []
    assert shop.served.count(path_prefix=DOWNLOADS) == 0


@pytest.mark.fault("4.5/links", "a linked directory")
@pytest.mark.fault("4.8/hostile-receipt", "a path behind a link")
def test_files_behind_a_directory_that_became_a_link_are_left_alone(
    shop: Shop, tmp_path: Path
) -> None:
    one, _ = shop.stocked(KIB, KIB)
    outside = (shop.project.root / "loras").rename(tmp_path / "outside")
    (shop.project.root / "loras").symlink_to(outside)
    before = listing(outside)
    shop.want(one)
    ended = shop.sync("--allow-prune", "all", "--force-modified")
    assert ended.codes == {"m0.safetensors": "symlinked-directory"}
    assert listing(outside) == before


@pytest.mark.fault("4.5/links", "a link under the name")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda place: place.mkdir(parents=True), id="directory"),
        pytest.param(
            lambda place: (place.parent.mkdir(parents=True), place.symlink_to("/etc/hostname")),
            id="link",
        ),
        pytest.param(
            lambda place: (place.parent.mkdir(parents=True), place.symlink_to(".")),
            id="link to a directory",
        ),
        pytest.param(
            lambda place: (place.parent.parent.mkdir(), place.parent.write_text("a file")),
            id="file for a directory",
        ),
    ],
)
def test_what_is_no_regular_file_is_an_obstacle_for_that_item_alone(
    shop: Shop, make: Callable[[Path], object]
) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.project.write(f"model: {one.id}", f"{{model: {two.id}, directory: other}}")
    make(shop.project.root / "loras/m0.safetensors")
    ended = shop.sync("--force-modified")
    assert (ended.status, ended.codes) == (8, {"m0.safetensors": "obstacle"})
    assert shop.tree["other/m1.safetensors"] == read(only_file(two).body)


@pytest.mark.fault("4.5/hostile-names", "..", "absolute")
def test_a_lock_edited_to_lead_outside_writes_nothing_anywhere(shop: Shop, tmp_path: Path) -> None:
    shop.locked(*shop.offer(KIB))
    good = shop.project.lock.read_bytes()
    for path in (
        "../escaped.safetensors",
        str(tmp_path / "absolute.safetensors"),
        ".civsync/root.json",
        "a/../b",
    ):
        edit_lock(shop.project, path=path)
        ended = shop.sync("--frozen")
        assert ended.status in (8, 65), path
        shop.project.lock.write_bytes(good)
    assert not shop.project.root.exists()
    assert not (tmp_path / "absolute.safetensors").exists()
    assert not (tmp_path / "escaped.safetensors").exists()
    assert not (tmp_path.parent / "escaped.safetensors").exists()
    assert shop.served.requests == []


def test_a_lock_edited_to_another_hash_gives_no_byte_a_name(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    edit_lock(shop.project, sha256="0" * 64)
    ended = shop.sync("--frozen")
    assert (ended.status, ended.codes) == (5, {"m0.safetensors": "hash-mismatch"})
    assert shop.tree == {}


@pytest.mark.fault("4.4/user-meanwhile", "edited", "moved")
@pytest.mark.parametrize("act", ["edited", "moved"])
def test_a_file_changed_while_its_replacement_arrives_is_left_alone(shop: Shop, act: str) -> None:
    (model, _) = shop.stocked(40 * KIB, KIB)
    data = safetensors("the new one", 40 * KIB)
    model.add_version("v2", at=0, base_model="SDXL 1.0").add_file("m0.safetensors", data)
    assert shop.project.call("lock", "--upgrade").status == 0
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=20 * KIB), origin="storage"))
    shop.served.reset_counts()
    with shop.project.start("sync", "--json") as running:
        shop.served.wait_until_asked(origin="storage")
        place = shop.project.root / "loras/m0.safetensors"
        if act == "edited":
            place.write_bytes(b"edited meanwhile")
        else:
            place.rename(place.with_name("moved.safetensors"))
        before = shop.tree
        release.set()
        out, said = running.communicate(timeout=30)
    assert out, said
    end = json.loads(out.splitlines()[-1])
    assert running.returncode == 8
    assert [each["error"]["code"] for each in end["failed"]] == ["modified-file"]
    assert shop.tree == before


@pytest.mark.fault("4.8/foreign", "same content")
def test_the_users_own_copy_that_came_first_stays_the_users(shop: Shop) -> None:
    (model,) = shop.offer(300 * KIB)
    shop.locked(model)
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release), origin="storage"))
    with shop.project.start("sync", "--json", "--frozen") as running:
        shop.served.wait_until_asked(origin="storage")
        place = shop.project.root / "loras/m0.safetensors"
        place.parent.mkdir()
        place.write_bytes(read(only_file(model).body))
        release.set()
        out, said = running.communicate(timeout=30)
    assert out, said
    end = json.loads(out.splitlines()[-1])
    assert [each["error"]["code"] for each in end["failed"]] == ["foreign-file"]
    before = shop.tree
    assert shop.sync("--frozen").status == 0
    receipt = json.loads((shop.control / "receipt.json").read_text())
    assert (receipt["owned"], list(receipt["known"])) == ([], ["loras/m0.safetensors"])
    shop.want()
    assert shop.sync("--allow-prune", "all").done == {}
    assert shop.tree == before


@pytest.mark.fault("4.4/user-meanwhile", "opened")
def test_who_has_a_file_open_goes_on_reading_it_while_another_takes_its_name(shop: Shop) -> None:
    (model, _) = shop.stocked(40 * KIB, KIB)
    old = read(only_file(model).body)
    new = safetensors("the new one", 40 * KIB)
    model.add_version("v2", at=0, base_model="SDXL 1.0").add_file("m0.safetensors", new)
    assert shop.project.call("lock", "--upgrade").status == 0
    place = shop.project.root / "loras/m0.safetensors"
    with place.open("rb") as still_open:
        begin = still_open.read(KIB)
        assert shop.sync().done == {"fetched": 1}
        assert begin + still_open.read() == old
    assert place.read_bytes() == new
    assert shop.trash() == [old]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_signal_ends_the_reading_of_a_file_far_too_large_to_wait_for(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    edit_lock(shop.project, size=1 << 40)
    mine = shop.project.root / "loras/m0.safetensors"
    mine.parent.mkdir(parents=True)
    with mine.open("wb") as file:
        file.truncate(1 << 40)
    with shop.project.start("sync", "--frozen", "--json") as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line)["event"] == "hashing":
                break
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in said


# --- disks that cannot ---------------------------------------------------------------------


@pytest.mark.fault("4.3/denied", "read-only file system")
def test_a_read_only_root_is_told_before_anything_is_downloaded(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    with read_only_disk(shop.project.root):
        ended = shop.sync()
        assert (ended.status, ended.error["code"]) == (8, "read-only")
        assert "writable" in ended.error["hint"]
        assert shop.served.requests == []


def test_a_read_only_root_that_is_in_step_is_no_failure(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))

    def fill() -> None:
        assert shop.sync().done == {"fetched": 1}

    with read_only_disk(shop.project.root, before=fill, size="80m"):
        assert shop.sync().done == {}


@pytest.mark.fault("4.3/no-room", "before the first byte")
def test_a_full_disk_is_told_before_the_first_byte_with_need_and_have(shop: Shop) -> None:
    shop.locked(*shop.offer(300 * KIB))
    with small_disk(shop.project.root, "size=1m"):
        ended = shop.sync()
        assert (ended.status, ended.error["code"]) == (8, "no-space")
        assert ended.error["data"] == {"need": 300 * KIB, "have": 0}
        assert shop.served.requests == []
        assert shop.tree == {}


@pytest.mark.fault("4.3/no-room", "ENOSPC")
def test_a_disk_that_fills_up_meanwhile_keeps_the_part_and_what_fits(shop: Shop) -> None:
    large, small = shop.offer(2 * MIB, 40 * KIB)
    shop.project.write(f"{{model: {large.id}, priority: 9}}", f"model: {small.id}")
    assert shop.project.call("lock").status == 0
    release = threading.Event()
    shop.served.faults.add(
        Fault(
            does=Stall(release, after=MIB // 2), origin="storage", path=f"/{only_file(large).id}/"
        )
    )
    with small_disk(shop.project.root, f"size={SPACE_MARGIN_BYTES + 4 * MIB}"):
        with shop.project.start("sync", "--json", "--jobs", "1") as running:
            shop.served.wait_until_asked(origin="storage")
            filler = shop.project.root / "somebody elses.bin"
            free = os.statvfs(shop.project.root)
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - MIB)
            release.set()
            out, _ = running.communicate(timeout=30)
        end = json.loads(out.splitlines()[-1])
        failed = {each["path"]: each["error"] for each in end["failed"]}
        assert (running.returncode, {each["code"] for each in failed.values()}) == (8, {"no-space"})
        data = failed["loras/m0.safetensors"]["data"]
        assert 0 < data["need"] <= 2 * MIB
        assert data["have"] < data["need"]
        assert "loras/m0.safetensors" not in shop.tree
        held = max(shop.parts())
        filler.unlink()
        shop.served.reset_counts()
        again = shop.sync()
        assert again.status == 0
        assert f"bytes={held}-" in shop.ranges
        shop.nothing_wrong_under_a_name()
        assert len(shop.tree) == 2


@pytest.mark.fault("4.3/denied", "EACCES")
def test_a_root_this_user_may_not_write_to_is_told_first(shop: Shop) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    shop.locked(*shop.offer(KIB))
    shop.project.root.mkdir(mode=0o500)
    ended = shop.sync()
    assert (ended.status, ended.error["code"]) == (8, "read-only")
    assert shop.served.requests == []
