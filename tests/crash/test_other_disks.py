"""Roots that lie on several disks: real mounts, and what only they can do."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civsync.core.disk import Declared
from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.core.names import parse_path
from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Fault, Stall
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.shop import Shop, listing, open_shop
from support.small_disks import small_disk
from support.strace import KILLED, need_strace, run_to_kill

pytestmark = pytest.mark.crash

KIB = 1024
MIB = 1024 * KIB
ROOMY = f"size={SPACE_MARGIN_BYTES + 64 * MIB}"
TIGHT = f"size={SPACE_MARGIN_BYTES + 2 * MIB}"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "here") as opened:
        yield opened


@pytest.fixture
def big(tmp_path: Path) -> Path:
    return tmp_path / "big"


@contextmanager
def linked(shop: Shop, big: Path, options: str = ROOMY) -> Iterator[Path]:
    """Mount a disk at `big`, and let `models/loras` be a declared link to a folder of it."""
    with small_disk(big, options):
        target = big / "loras"
        target.mkdir()
        shop.project.root.mkdir(exist_ok=True)
        (shop.project.root / "loras").symlink_to(target)
        shop.project.environment["CIVSYNC_FOLLOW_LINKS"] = f"loras={target}"
        yield target


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """Bind a directory to another place of the same file system; skip where that is refused."""
    if os.geteuid() != 0:
        pytest.skip("binding a directory needs root")
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "--bind", source, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no directory can be bound here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def retired(folder: Path) -> int:
    return len(list((folder / ".civsync/trash").glob("*.retired")))


def owned(shop: Shop, target: Path) -> set[str]:
    """Return what the receipt calls civsync's."""
    declared = (Declared(at=parse_path("loras"), target=str(target)),)
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    root = open_root(shop.project.root, state_dir=state, declared=declared)
    return set(DiskLedger(root).read().owned)


def free_of_parts(*folders: Path) -> bool:
    return not any(list((folder / ".civsync/parts").glob("*")) for folder in folders)


# --- where the disk is -----------------------------------------------------------------


def test_all_that_a_sync_does_is_done_on_the_disk_behind_the_link(shop: Shop, big: Path) -> None:
    with linked(shop, big) as target:
        one, _ = shop.stocked(KIB, 3 * MIB)
        for _ in range(2):
            before = listing(shop.project.root, target)
            assert shop.sync().done == {}
            assert listing(shop.project.root, target) == before
        shop.want(one)
        assert shop.sync().done == {"retired": 1}
        assert (retired(target), retired(shop.project.root)) == (1, 0)
        assert shop.project.call("verify").status == 0
        assert free_of_parts(target, shop.project.root)


@pytest.mark.parametrize("kind", ["another disk", "bound"])
def test_a_directory_with_a_mount_on_it_works_where_that_is_declared(
    shop: Shop, big: Path, kind: str
) -> None:
    place = shop.project.root / "loras"
    big.mkdir()
    mount = bound(big, place) if kind == "bound" else small_disk(place, ROOMY)
    shop.project.environment["CIVSYNC_FOLLOW_LINKS"] = "loras"
    with mount:
        one, _ = shop.stocked(KIB, KIB)
        assert (place / ".civsync/annex.json").is_file()
        assert shop.sync().done == {}
        shop.want(one)
        assert shop.sync().done == {"retired": 1}
        assert retired(place) == 1
    ended = shop.sync("--allow-prune", "9")
    assert (ended.status, ended.error["code"]) == (8, "link-unusable")
    assert "no disk mounted" in ended.error["message"]
    assert os.listdir(place) == []


def test_a_disk_that_nobody_declared_is_refused_before_anything_is_downloaded(
    shop: Shop,
) -> None:
    shop.locked(*shop.offer(KIB))
    with small_disk(shop.project.root / "loras", ROOMY):
        ended = shop.sync()
        assert (ended.status, ended.codes) == (8, {"m0.safetensors": "undeclared-disk"})
        assert "--follow-links" in ended.failed["m0.safetensors"]["hint"]
        assert shop.ranges == []
        assert os.listdir(shop.project.root / "loras") == []


def test_a_directory_bound_by_somebody_is_refused_with_the_part_kept(shop: Shop, big: Path) -> None:
    """Its device number tells nothing, so only the system call that fails does."""
    shop.locked(*shop.offer(KIB))
    big.mkdir()
    with bound(big, shop.project.root / "loras"):
        ended = shop.sync()
        assert (ended.status, ended.codes) == (8, {"m0.safetensors": "undeclared-disk"})
        assert len(shop.parts()) == 1
    assert os.listdir(big) == []


def test_another_disk_behind_the_link_is_noticed(shop: Shop, big: Path) -> None:
    with linked(shop, big):
        shop.stocked(KIB)
    with small_disk(big, ROOMY):
        (big / "loras").mkdir()
        ended = shop.sync()
        assert (ended.status, ended.error["code"]) == (8, "root-marker-missing")
        assert os.listdir(big / "loras") == []
    ended = shop.sync()
    assert (ended.status, ended.error["code"]) == (8, "link-unusable")


def test_a_disk_that_goes_in_the_middle_of_a_run_leaves_the_place_below_it_empty(
    shop: Shop,
) -> None:
    place = shop.project.root / "loras"
    shop.locked(*shop.offer(200 * KIB))
    shop.project.environment["CIVSYNC_FOLLOW_LINKS"] = "loras"
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=20 * KIB), origin="storage"))
    place.mkdir(parents=True)
    with small_disk(place, ROOMY), shop.project.start("sync", "--json") as running:
        shop.served.wait_until_asked(origin="storage")
        subprocess.run(["umount", "--lazy", place], check=True)
        release.set()
        out, said = running.communicate(timeout=30)
        found = os.listdir(place)
        # What the fixture unmounts at its end.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    end = json.loads(out.splitlines()[-1])
    assert running.returncode == 8, said
    assert [each["error"]["code"] for each in end["failed"]] == ["link-unusable"]
    assert found == []


# --- space -----------------------------------------------------------------------------


def test_space_is_looked_at_on_the_disk_that_the_files_go_to(shop: Shop, big: Path) -> None:
    first, second = shop.offer(3 * MIB, 3 * MIB)
    shop.want(first, second)
    with linked(shop, big, TIGHT):
        ended = shop.sync()
        assert (ended.status, ended.error["code"]) == (8, "no-space")
        assert ended.error["data"]["need"] >= 6 * MIB
        assert shop.ranges == []
        shop.want(first, second, directory="elsewhere")
        assert shop.sync().done == {"fetched": 2}


def test_a_full_disk_of_the_root_keeps_nothing_from_another_one(shop: Shop, big: Path) -> None:
    shop.locked(*shop.offer(4 * MIB, 4 * MIB))
    with small_disk(shop.project.root, TIGHT), linked(shop, big) as target:
        assert shop.sync("--frozen").done == {"fetched": 2}
        assert len(list(target.glob("*.safetensors"))) == 2


def test_trash_is_emptied_on_the_disk_that_needs_the_space(shop: Shop, big: Path) -> None:
    with linked(shop, big, f"size={SPACE_MARGIN_BYTES + 6 * MIB}") as target:
        first, second = shop.stocked(4 * MIB, KIB)
        shop.want(first, second, directory="elsewhere")
        assert shop.sync().done == {"moved": 2}
        (third,) = shop.offer(4 * MIB)
        shop.want(third)
        ended = shop.sync("--allow-prune", "all")
        assert ended.error["code"] == "no-space"
        assert "--empty-trash" in ended.error["hint"]
        ended = shop.sync("--allow-prune", "all", "--empty-trash")
        assert ended.status == 0
        assert ended.done == {"fetched": 1, "retired": 2}
        assert retired(target) <= 1
        assert retired(shop.project.root) == 2


# --- between disks ---------------------------------------------------------------------


def test_a_move_to_another_disk_is_a_verified_copy_and_the_old_file_is_in_trash(
    shop: Shop, big: Path
) -> None:
    with linked(shop, big) as target:
        (model,) = shop.stocked(300 * KIB)
        content = (target / "m0.safetensors").read_bytes()
        for directory, place, left in (
            ("elsewhere", shop.project.root / "elsewhere", target),
            ("loras", target, shop.project.root),
        ):
            shop.want(model, directory=directory)
            assert shop.sync().done == {"moved": 1}
            assert (place / "m0.safetensors").read_bytes() == content
            assert retired(left) == 1
            assert shop.sync().done == {}
        assert free_of_parts(target, shop.project.root)
        assert shop.ranges == []


def test_what_rotted_where_it_lay_is_not_moved(shop: Shop, big: Path) -> None:
    with linked(shop, big) as target:
        (model,) = shop.stocked(300 * KIB)
        place = target / "m0.safetensors"
        before, data = place.stat(), bytearray(place.read_bytes())
        data[1000] ^= 1
        with place.open("r+b") as file:
            file.write(data)
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
        shop.want(model, directory="elsewhere")
        for _ in range(2):
            ended = shop.sync()
            assert (ended.status, ended.codes) == (5, {"m0.safetensors": "hash-mismatch"})
        assert place.read_bytes() == data
        assert not (shop.project.root / "elsewhere/m0.safetensors").exists()


def test_one_content_on_two_disks_is_downloaded_once(shop: Shop, big: Path) -> None:
    with linked(shop, big) as target:
        same = safetensors("the same", 300 * KIB)
        one, other = shop.offer(bodies={"a.safetensors": same, "b.safetensors": same})
        shop.project.write(f"model: {one.id}", f"{{model: {other.id}, directory: elsewhere}}")
        assert shop.sync().done == {"fetched": 1, "restored": 1}
        assert len(shop.ranges) == 1
        assert (target / "a.safetensors").read_bytes() == same
        assert (shop.project.root / "elsewhere/b.safetensors").read_bytes() == same


def test_trash_of_another_disk_is_looked_through_before_anything_is_downloaded(
    shop: Shop, big: Path
) -> None:
    with linked(shop, big) as target:
        keep, model = shop.stocked(KIB, 300 * KIB)
        shop.want(keep)
        assert shop.sync().done == {"retired": 1}
        shop.project.write(f"model: {keep.id}", f"{{model: {model.id}, directory: elsewhere}}")
        assert shop.sync().done == {"restored": 1}
        assert shop.ranges == []
        assert retired(target) == 1


def test_a_file_from_trash_is_not_restored_to_another_disk(shop: Shop, big: Path) -> None:
    with linked(shop, big) as target:
        keep, _ = shop.stocked(KIB, KIB)
        shop.want(keep)
        assert shop.sync().done == {"retired": 1}
        (entry,) = shop.project.call("trash", "list", "--json").json["files"]
        words = ("trash", "restore", entry["id"])
        ran = shop.project.call(*words, "--to", "elsewhere/m1.safetensors")
        assert (ran.status, "[undeclared-disk]" in ran.err) == (8, True), ran.err
        assert retired(target) == 1
        assert shop.project.call(*words).status == 0
        assert (target / "m1.safetensors").is_file()


@pytest.mark.parametrize(
    ("call", "step", "least"),
    [
        ("linkat", 1, 2),
        ("unlinkat", 1, 4),
        ("renameat", 1, 4),
        ("fdatasync", 1, 1),
        ("fsync", 3, 3),
        pytest.param("fsync", 1, 9, marks=pytest.mark.sweep),
    ],
)
def test_a_kill_at_every_step_of_a_move_between_disks_loses_nothing(
    shop: Shop, big: Path, call: str, step: int, least: int
) -> None:
    """Each `step`-th call of that name, and `least` kills or more."""
    need_strace()
    with linked(shop, big) as target:
        (model,) = shop.stocked(20 * KIB)
        content = (target / "m0.safetensors").read_bytes()
        places = [
            ("elsewhere", "elsewhere/m0.safetensors", shop.project.root / "elsewhere"),
            ("loras", "loras/m0.safetensors", target),
        ]
        kill, killed = 1, True
        while killed:
            directory, path, folder = places[(kill - 1) // step % 2]
            shop.want(model, directory=directory)
            assert shop.project.call("lock").status == 0
            ran = run_to_kill(
                shop.project, "sync", "--frozen", inject=f"{call}:signal=KILL:when={kill}"
            )
            killed = ran.status == KILLED
            assert killed or ran.status == 0, ran.err
            found = [
                each / "m0.safetensors"
                for _, _, each in places
                if (each / "m0.safetensors").exists()
            ]
            assert found, "the file is nowhere"
            assert {each.read_bytes() for each in found} == {content}
            ended = shop.project.call("sync", "--frozen")
            assert ended.status == 0, ended.err
            assert [each for _, _, each in places if (each / "m0.safetensors").exists()] == [folder]
            assert owned(shop, target) == {path}
            for each in (target, shop.project.root):
                shutil.rmtree(each / ".civsync/trash", ignore_errors=True)
            kill += step
        assert kill > step * (least + 1), f"{call} was hardly ever reached"
        assert shop.ranges == []
