"""`civsync verify --repair`: what is ours and damaged is kept aside and comes again."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Answer, Fault
from support.cli import Ran
from support.published import faults
from support.shop import DOWNLOADS, Shop, open_shop
from support.small_disks import small_disk
from support.strace import need_strace, run_traced

KIB = 1024
M0, M1 = "loras/m0.safetensors", "loras/m1.safetensors"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two files in place, and the registry within reach."""
    with open_shop(tmp_path) as opened:
        opened.stocked(20 * KIB, 30 * KIB)
        yield opened


def rot(path: Path) -> None:
    """Flip one bit and leave size, time and inode as they were."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def become_other(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"other")


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_link(path: Path) -> None:
    path.rename(path.with_suffix(".hidden"))
    path.symlink_to(path.with_suffix(".hidden"))


DAMAGE = [
    pytest.param(rot, id="a flipped bit behind an unchanged stamp"),
    pytest.param(truncate, id="truncated"),
    pytest.param(lengthen, id="longer"),
    pytest.param(become_other, id="another file"),
]


def quarantined(shop: Shop) -> dict[bytes, dict[str, str]]:
    """Content to note of everything in quarantine."""
    found = (shop.control / "quarantine").glob("*.retired")
    return {path.read_bytes(): json.loads(Path(f"{path}.note").read_text()) for path in found}


def repaired(ran: Ran) -> list[str]:
    assert faults(ran.json) == []
    return [each["path"] for each in ran.json["repaired"]]


def left(ran: Ran) -> dict[str, str]:
    assert faults(ran.json) == []
    return {each["path"]: each["error"]["message"] for each in ran.json["faults"]}


@pytest.mark.fault("4.3/rot", "a flipped bit, time restored", "truncation", "hand edit")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_ours_is_kept_aside_and_fetched_again(
    damage: Callable[[Path], None], shop: Shop
) -> None:
    path = shop.project.root / M0
    right = path.read_bytes()
    damage(path)
    wrong = path.read_bytes()
    ran = shop.project.call("verify", "--repair")
    assert ran.status == 0, ran.err
    assert f"repaired  {M0}" in ran.out
    assert path.read_bytes() == right
    (note,) = quarantined(shop).values()
    assert list(quarantined(shop)) == [wrong]
    assert note["path"] == M0
    assert f"has SHA-256 {note['sha256']}, the lock says " in note["reason"]
    assert note["reason"] in ran.err
    assert "kept as .civsync/quarantine/" in ran.err
    assert shop.served.count(path_prefix=DOWNLOADS) == 1
    assert shop.project.call("verify", "--full").status == 0
    assert shop.sync().done == {}


def test_a_missing_file_of_ours_is_fetched_again_and_a_whole_tree_asks_nothing(shop: Shop) -> None:
    path = shop.project.root / M1
    path.unlink()
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran), left(ran)) == (0, [M1], {})
    assert quarantined(shop) == {}
    shop.served.reset_counts()
    again = shop.project.call("verify", "--repair", "--json")
    assert (again.status, repaired(again), left(again)) == (0, [], {})
    assert shop.served.requests == []


@pytest.mark.fault("4.3/rot", "a flipped bit, time restored")
def test_bit_rot_is_found_by_reading_and_not_by_the_stat_cache(shop: Shop) -> None:
    rot(shop.project.root / M0)
    assert shop.project.call("verify", "--quick").status == 0
    ran = shop.project.call("verify", "--quick", "--repair", "--json")
    assert (ran.status, repaired(ran)) == (0, [])
    assert shop.project.call("verify").status == 5
    # Once found it is known to the cheap ways, too.
    assert shop.project.call("verify", "--quick").status == 5
    ran = shop.project.call("verify", "--quick", "--repair", "--json")
    assert (ran.status, repaired(ran)) == (0, [M0])


def test_without_the_network_a_copy_below_the_root_is_enough(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        data = safetensors("twins", 20 * KIB)
        shop.want(*shop.offer(bodies={"one.safetensors": data, "two.safetensors": data}))
        assert shop.sync().status == 0
        shop.served.reset_counts()
        rot(shop.project.root / "loras/one.safetensors")
        ran = shop.project.call("verify", "--repair", "--offline", "--json")
        assert (ran.status, repaired(ran)) == (0, ["loras/one.safetensors"])
        assert shop.served.requests == []
        shop.nothing_wrong_under_a_name()


def test_without_the_network_trash_is_looked_through(shop: Shop) -> None:
    right = (shop.project.root / M0).read_bytes()
    lock = shop.project.lock.read_bytes()
    manifest = shop.project.manifest.read_bytes()
    assert shop.project.call("remove", "m0").status == 0
    assert right in shop.trash()
    shop.project.manifest.write_bytes(manifest)
    shop.project.lock.write_bytes(lock)
    kept = next(path for path in (shop.control / "trash").glob("*.retired"))
    saved = kept.read_bytes()
    assert shop.sync("--offline").done == {"restored": 1}
    kept.write_bytes(saved)
    rot(shop.project.root / M0)
    ran = shop.project.call("verify", "--repair", "--offline", "--json")
    assert (ran.status, repaired(ran)) == (0, [M0])
    assert (shop.project.root / M0).read_bytes() == right


def test_what_cannot_be_had_offline_is_said_and_the_damaged_file_has_no_name(shop: Shop) -> None:
    rot(shop.project.root / M0)
    wrong = (shop.project.root / M0).read_bytes()
    ran = shop.project.call("verify", "--repair", "--offline", "--json")
    assert (ran.status, repaired(ran)) == (5, [])
    assert list(left(ran)) == [M0]
    assert "not repaired: " in left(ran)[M0]
    assert "kept as .civsync/quarantine/" in left(ran)[M0]
    (error,) = (each["error"] for each in ran.json["faults"])
    assert error["data"]["because"] == "offline"
    assert list(quarantined(shop)) == [wrong]
    assert M0 not in shop.tree
    # The file is ours still, so that the next run brings it back.
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran)) == (0, [M0])


def test_a_file_that_upstream_has_no_more_is_told_and_the_others_are_repaired(shop: Shop) -> None:
    for name in (M0, M1):
        rot(shop.project.root / name)
    (gone, _) = shop.registry.models.values()
    path = f"{DOWNLOADS}models/{gone.versions[0].id}"
    shop.registry.faults.add(Fault(does=Answer(404), origin="api", path=path, times=None))
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran), list(left(ran))) == (5, [M1], [M0])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(become_directory, "a directory stands", id="a directory"),
        pytest.param(become_link, "a symbolic link stands", id="a symbolic link"),
    ],
)
def test_what_is_no_file_any_more_is_left_alone(
    damage: Callable[[Path], None], told: str, shop: Shop
) -> None:
    path = shop.project.root / M0
    damage(path)
    before = sorted(path.parent.iterdir())
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran)) == (5, [])
    assert told in left(ran)[M0]
    assert sorted(path.parent.iterdir()) == before
    assert quarantined(shop) == {}


def test_a_file_that_is_not_ours_is_reported_and_left_alone(shop: Shop) -> None:
    extra = shop.offer(10 * KIB)[0]
    path = shop.project.root / "loras/m2.safetensors"
    path.write_bytes(b"mine")
    shop.project.manifest.write_text(
        shop.project.manifest.read_text() + f"  - {{model: {extra.id}}}\n"
    )
    assert shop.project.call("lock").status == 0
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran), list(left(ran))) == (5, [], ["loras/m2.safetensors"])
    assert path.read_bytes() == b"mine"
    assert quarantined(shop) == {}


@pytest.mark.fault("4.8/hostile-receipt", "another content")
def test_a_receipt_that_claims_a_strangers_file_for_another_content_moves_nothing(
    shop: Shop,
) -> None:
    """One path of the receipt is changed to where the user's own file stands."""
    (shop.project.root / M1).unlink()
    (shop.project.root / M1).write_bytes(b"mine")
    receipt = shop.control / "receipt.json"
    document = json.loads(receipt.read_text())
    document["owned"] = [each for each in document["owned"] if each["path"] == M0]
    document["owned"][0]["path"] = M1
    receipt.write_text(json.dumps(document))
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran), list(left(ran))) == (5, [], [M1])
    assert (shop.project.root / M1).read_bytes() == b"mine"


@pytest.mark.fault("4.3/rot", "unreadable")
def test_a_file_that_the_disk_cannot_read_is_no_file_as_locked_and_is_repaired(
    shop: Shop,
) -> None:
    need_strace()
    path = shop.project.root / M0
    eio = "read:error=EIO"
    ran = run_traced(shop.project, "verify", "--json", inject=eio, paths=[path])
    assert ran.status == 5
    assert "EIO" in left(ran)[M0]
    ran = run_traced(shop.project, "sync", "--verify", "all", inject=eio, paths=[path])
    assert (ran.status, "[disk-failed]" in ran.err) == (1, True)
    ran = run_traced(shop.project, "verify", "--repair", inject=eio, paths=[path])
    assert (ran.status, f"repaired  {M0}" in ran.out) == (0, True)
    assert "cannot be read any more, the lock says " in ran.err
    shop.nothing_wrong_under_a_name()
    assert shop.project.call("verify", "--full").status == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_that_this_user_may_not_read_is_left_alone(shop: Shop) -> None:
    path = shop.project.root / M0
    path.chmod(0)
    ran = shop.project.call("verify", "--repair", "--json")
    assert (ran.status, repaired(ran), list(left(ran))) == (5, [], [M0])
    path.chmod(0o644)
    assert shop.project.call("verify", "--repair").status == 0


def test_nothing_leaves_the_tree_where_there_is_no_room_for_what_must_come(tmp_path: Path) -> None:
    size = SPACE_MARGIN_BYTES // KIB + 200
    with small_disk(tmp_path / "models", f"size={size}k"), open_shop(tmp_path) as shop:
        shop.stocked(20 * KIB)
        rot(shop.project.root / M0)
        wrong = shop.tree
        (shop.control / "filler").write_bytes(b"x" * 170 * KIB)
        ran = shop.project.call("verify", "--repair")
        assert ran.status == 8
        assert "[no-space]" in ran.err
        assert shop.tree == wrong


@pytest.mark.parametrize(
    "words",
    [
        ("--quick", "--full"),
        ("--repair", "--rebuild"),
        ("--quick", "--rebuild"),
        ("--yes",),
        ("--rebuild", "-g", "x"),
    ],
    ids=" ".join,
)
def test_flags_that_make_no_sense_together_are_refused(words: tuple[str, ...], shop: Shop) -> None:
    assert shop.project.call("verify", *words).status == 64
