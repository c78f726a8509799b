"""`civsync adopt`: files that are there become civsync's own by their content, and only by it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from civsync.core.adoption import Leave
from civsync.core.names import parse_path
from civsync.decide.adopt import Search
from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import read
from civsync.demo.registry import Model
from civsync.disk.ledger import DiskLedger
from civsync.disk.lockfile import hold_root
from civsync.disk.root import open_root
from civsync.disk.store import DiskStore
from civsync.documents.lock import read_lock
from civsync.engine.adopting import appraise, take_over
from support.cli import Ran
from support.published import faults
from support.shop import DOWNLOADS, Shop, edit_lock, listing, only_file, open_shop

KIB = 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def put(shop: Shop, path: str, data: bytes) -> Path:
    """Let the user have a file below the root."""
    place = shop.project.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def body(model: Model) -> bytes:
    return read(only_file(model).body)


def owned(shop: Shop) -> dict[str, str]:
    """What civsync owns, path to SHA-256."""
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    receipt = DiskLedger(open_root(shop.project.root, state_dir=state)).read()
    return {path: each.sha256 for path, each in receipt.owned.items()}


def adopt(shop: Shop, *words: str) -> Ran:
    ran = shop.project.call("adopt", "--json", *words)
    assert faults(ran.json) == [], ran.out
    return ran


def adopted(ran: Ran) -> dict[str, str | None]:
    """What was adopted, with where it was moved from."""
    return {each["path"]: each["from"] for each in ran.json["adopted"]}


def left(ran: Ran) -> dict[str, str]:
    """What was left alone, with the code of the reason."""
    return {each["path"]: each["error"]["code"] for each in ran.json["left"]}


def nothing_was_downloaded(shop: Shop) -> None:
    assert shop.served.count(path_prefix=DOWNLOADS) == 0
    assert [each for each in shop.served.requests if each.origin == "storage"] == []


# --- in place ------------------------------------------------------------------------------


def test_a_file_with_the_locked_content_at_its_path_becomes_owned_as_it_lies(shop: Shop) -> None:
    one, two = shop.offer(KIB, 2 * KIB)
    shop.locked(one, two)
    mine = put(shop, "loras/m0.safetensors", body(one))
    put(shop, "loras/m1.safetensors", body(two))
    before = listing(mine)
    ran = adopt(shop, "--all")
    assert (ran.status, ran.json["owned"], left(ran)) == (0, 0, {})
    assert adopted(ran) == {"loras/m0.safetensors": None, "loras/m1.safetensors": None}
    assert set(owned(shop)) == set(adopted(ran))
    assert listing(mine) == before
    again = adopt(shop, "--all")
    assert (again.status, again.json["owned"], adopted(again)) == (0, 2, {})
    assert shop.sync().done == {}
    nothing_was_downloaded(shop)


def test_what_was_adopted_is_retired_like_any_other_file_of_civsync(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.locked(one, two)
    put(shop, "loras/m0.safetensors", body(one))
    assert adopt(shop, "--all").status == 0
    shop.want(two)
    assert shop.sync("--allow-prune", "1").done == {"fetched": 1, "retired": 1}
    assert shop.trash() == [body(one)]


@pytest.mark.parametrize("moved", [False, True], ids=["as it lies", "moved by hand"])
def test_what_was_protected_stays_so_when_it_is_adopted_once_more(shop: Shop, moved: bool) -> None:
    """An entry that says nothing ends no protection."""
    (one,) = shop.stocked(KIB)
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    ledger = DiskLedger(open_root(shop.project.root, state_dir=state))
    receipt = ledger.read()
    ((path, mine),) = receipt.owned.items()
    ledger.commit(replace(receipt, owned={path: replace(mine, protect=True)}))
    if moved:
        place = shop.project.root / path
        place.rename(place.with_name("elsewhere.safetensors"))
    assert adopt(shop, "--all", "--move").status == 0
    assert {name: each.protect for name, each in ledger.read().owned.items()} == {path: True}
    assert shop.tree == {path: body(one)}


def test_what_was_not_adopted_stays_the_users(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.locked(one, two)
    put(shop, "loras/m0.safetensors", body(one))
    shop.want(two)
    assert shop.sync().done == {"fetched": 1}
    assert shop.tree["loras/m0.safetensors"] == body(one)


@pytest.mark.parametrize("words", [("status",), ("sync", "--dry-run")], ids=" ".join)
def test_a_plan_that_counts_a_file_of_the_users_names_the_command(
    shop: Shop, words: tuple[str, ...]
) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", body(one))
    assert "civsync adopt --all" in shop.project.call(*words).out
    assert adopt(shop, "--all").status == 0
    assert "civsync adopt" not in shop.project.call(*words).out


# --- under another name --------------------------------------------------------------------


def test_without_move_a_file_under_another_name_is_told_with_the_command(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "old stuff/my model.bin", body(one))
    before = shop.tree
    ran = adopt(shop, "--all")
    assert (ran.status, left(ran), shop.tree) == (
        8,
        {"old stuff/my model.bin": "misplaced"},
        before,
    )
    (entry,) = ran.json["left"]
    assert entry["error"]["hint"] == "Run `civsync adopt --move 'old stuff/my model.bin'`."
    assert owned(shop) == {}


def test_the_command_that_was_told_moves_it_into_place_and_owns_it(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "old stuff/my model.bin", body(one))
    ran = adopt(shop, "--move", "old stuff/my model.bin")
    assert (ran.status, adopted(ran)) == (0, {"loras/m0.safetensors": "old stuff/my model.bin"})
    assert shop.tree == {"loras/m0.safetensors": body(one)}
    assert set(owned(shop)) == {"loras/m0.safetensors"}
    assert not (shop.project.root / "old stuff").exists()
    assert shop.sync().done == {}
    nothing_was_downloaded(shop)


def test_of_several_copies_the_one_with_the_right_name_is_moved_and_the_others_stay(
    shop: Shop,
) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "a.safetensors", body(one))
    put(shop, "b/m0.safetensors", body(one))
    ran = adopt(shop, "--all", "--move")
    assert (ran.status, adopted(ran)) == (0, {"loras/m0.safetensors": "b/m0.safetensors"})
    assert set(shop.tree) == {"a.safetensors", "loras/m0.safetensors"}


def test_two_files_under_each_others_names_are_left_alone_and_both_told(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.locked(one, two)
    put(shop, "loras/m0.safetensors", body(two))
    put(shop, "loras/m1.safetensors", body(one))
    before = shop.tree
    ran = adopt(shop, "--all", "--move")
    assert ran.status == 8
    assert left(ran) == dict.fromkeys(before, "foreign-file")
    assert shop.tree == before


@pytest.mark.fault("4.8/foreign", "where a file is to be moved")
def test_nothing_is_ever_moved_over_a_file(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", b"mine")
    put(shop, "x.safetensors", body(one))
    before = shop.tree
    ran = adopt(shop, "--all", "--move")
    assert ran.status == 8
    assert left(ran) == {"loras/m0.safetensors": "foreign-file", "x.safetensors": "foreign-file"}
    assert shop.tree == before


def test_a_hard_link_to_a_file_in_place_is_no_second_file(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    place = put(shop, "loras/m0.safetensors", body(one))
    os.link(place, shop.project.root / "also.safetensors")
    ran = adopt(shop, "--all", "--move")
    assert (ran.status, adopted(ran)) == (0, {"loras/m0.safetensors": None})
    assert set(shop.tree) == {"also.safetensors", "loras/m0.safetensors"}


# --- what does not match --------------------------------------------------------------------


def test_other_content_of_the_same_size_is_told_and_left_alone(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", bytes(len(body(one))))
    put(shop, "loras/holiday.jpg", bytes(len(body(one))))
    ran = adopt(shop, "--all")
    assert (ran.status, left(ran)) == (8, {"loras/m0.safetensors": "foreign-file"})
    assert owned(shop) == {}


def test_a_named_file_that_the_lock_does_not_want_is_refused_and_the_others_are_adopted(
    shop: Shop,
) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", body(one))
    put(shop, "other.safetensors", b"other")
    ran = adopt(shop, "loras/m0.safetensors", "other.safetensors")
    assert (ran.status, left(ran)) == (8, {"other.safetensors": "not-wanted"})
    assert adopted(ran) == {"loras/m0.safetensors": None}


def test_a_file_that_civsync_placed_and_somebody_changed_is_not_taken_over(shop: Shop) -> None:
    shop.stocked(KIB)
    before = owned(shop)
    put(shop, "loras/m0.safetensors", b"edited")
    ran = adopt(shop, "--all")
    assert (ran.status, left(ran)) == (8, {"loras/m0.safetensors": "modified-file"})
    assert owned(shop) == before


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(lambda place: place.mkdir(), "obstacle", id="a directory"),
        pytest.param(os.mkfifo, "obstacle", id="a pipe"),
        pytest.param(lambda place: place.symlink_to("../x"), "obstacle", id="a link to the file"),
    ],
)
def test_what_is_no_regular_file_is_not_taken_over(
    shop: Shop, make: Callable[[Path], object], code: str
) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "x", body(one))
    place = shop.project.root / "loras/m0.safetensors"
    place.parent.mkdir()
    make(place)
    assert left(adopt(shop, "--all"))["loras/m0.safetensors"] == code
    assert owned(shop) == {}


@pytest.mark.fault("4.5/links", "a linked directory")
def test_nothing_behind_a_linked_directory_is_taken_over(shop: Shop, tmp_path: Path) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "m0.safetensors").write_bytes(body(one))
    shop.project.root.mkdir()
    (shop.project.root / "loras").symlink_to(outside)
    assert left(adopt(shop, "--all", "--move")) == {"loras/m0.safetensors": "symlinked-directory"}
    named = shop.project.call("adopt", "--json", "loras/m0.safetensors")
    assert (named.status, named.json["error"]["code"]) == (8, "unsafe-path")
    assert owned(shop) == {}


def test_a_file_with_a_name_that_not_every_system_can_have_is_told(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "what?.safetensors", body(one))
    put(shop, "why?.txt", b"not of that size")
    ran = adopt(shop, "--all", "--move")
    assert (ran.status, left(ran)) == (8, {"what?.safetensors": "unsafe-path"})


def test_a_lock_without_a_hash_lets_nothing_be_taken_over(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    edit_lock(shop.project, sha256="")
    put(shop, "loras/m0.safetensors", body(one))
    assert adopt(shop, "--all").status == 8
    assert owned(shop) == {}


# --- paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        "models/loras/m0.safetensors",
        "loras/m0.safetensors",
        "./models/../models/loras/m0.safetensors",
        "models/loras",
        "models",
        "link/loras/m0.safetensors",
        "{absolute}/models/loras/m0.safetensors",
    ],
)
def test_a_path_is_meant_from_here_or_from_the_root(shop: Shop, word: str) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", body(one))
    (shop.project.folder / "link").symlink_to("models")
    ran = adopt(shop, word.format(absolute=shop.project.folder))
    assert (ran.status, adopted(ran)) == (0, {"loras/m0.safetensors": None})


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("outside.safetensors", 8, "unsafe-path"),
        ("models/../outside.safetensors", 8, "unsafe-path"),
        ("..", 8, "unsafe-path"),
        ("models/.civsync/trash/x", 8, "unsafe-path"),
        ("/etc/hostname", 8, "unsafe-path"),
        ("nowhere.safetensors", 64, "usage"),
        ("models/loras/nowhere.safetensors", 64, "usage"),
    ],
)
def test_a_path_that_is_not_below_the_root_is_refused_before_anything_is_done(
    shop: Shop, word: str, status: int, code: str
) -> None:
    (one,) = shop.offer(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", body(one))
    put(shop, ".civsync/trash/x", body(one))
    (shop.project.folder / "outside.safetensors").write_bytes(body(one))
    ran = shop.project.call("adopt", "--json", "loras/m0.safetensors", word)
    assert (ran.status, ran.json["error"]["code"]) == (status, code)
    assert faults(ran.json) == []
    assert not (shop.control / "receipt.json").exists()


@pytest.mark.parametrize("words", [(), ("--all", "x")], ids=["neither", "both"])
def test_adopt_takes_either_paths_or_all(shop: Shop, words: tuple[str, ...]) -> None:
    shop.locked(*shop.offer(KIB))
    ran = shop.project.call("adopt", "--json", *words)
    assert (ran.status, ran.json["error"]["code"]) == (64, "usage")


def test_without_a_root_there_is_nothing_to_take_over_and_none_is_made(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    assert shop.project.call("adopt", "--all").status == 64
    assert not shop.project.root.exists()


# --- guards ---------------------------------------------------------------------------------


def test_a_dry_run_tells_the_same_and_changes_nothing(shop: Shop) -> None:
    one, two = shop.offer(KIB, 2 * KIB)
    shop.locked(one, two)
    put(shop, "loras/m0.safetensors", body(one))
    put(shop, "x.safetensors", body(two))
    before = listing(shop.project.root)
    told = adopt(shop, "--all", "--move", "--dry-run")
    assert listing(shop.project.root) == before
    real = adopt(shop, "--all", "--move")
    assert told.json == {**real.json, "dry_run": True}
    assert adopted(real) == {"loras/m0.safetensors": None, "loras/m1.safetensors": "x.safetensors"}


def test_a_file_that_was_put_in_the_way_at_the_last_moment_stays_the_users(shop: Shop) -> None:
    """Even one with the wanted bytes, and also in the eyes of the next command."""
    (one,) = shop.offer(KIB)
    shop.stocked(KIB)
    shop.locked(one)
    old = parse_path("old.safetensors")
    put(shop, old, body(one))
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    root = open_root(shop.project.root, state_dir=state)
    store, ledger = DiskStore(root), DiskLedger(root)
    lock = read_lock(shop.project.lock.read_bytes(), name="civsync.lock")
    before = owned(shop)
    appraisal = appraise(
        Search(paths=[old]), lock, store, ledger, lambda _: None, jobs=1, move=True
    )
    put(shop, "loras/m0.safetensors", body(one))
    assert [type(fate) for fate in take_over(appraisal, store, ledger).fates] == [Leave]
    assert owned(shop) == before


def test_a_root_that_somebody_holds_is_not_touched(shop: Shop) -> None:
    (one,) = shop.offer(KIB)
    shop.stocked(KIB)
    shop.locked(one)
    put(shop, "loras/m0.safetensors", body(one))
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    with hold_root(open_root(shop.project.root, state_dir=state), command="civsync sync"):
        ran = shop.project.call("adopt", "--json", "--all")
    assert (ran.status, ran.json["error"]["code"]) == (75, "root-busy")


@pytest.mark.fault("4.8/zero", "unmounted disk")
def test_an_unmounted_disk_is_not_taken_for_a_root_without_files(shop: Shop) -> None:
    shop.stocked(KIB)
    shutil.rmtree(shop.project.root)
    shop.project.root.mkdir()
    ran = shop.project.call("adopt", "--json", "--all")
    assert (ran.status, ran.json["error"]["code"]) == (8, "root-marker-missing")
    assert list(shop.project.root.iterdir()) == []


@pytest.mark.fault("4.8/hostile-receipt", "another content")
def test_no_receipt_makes_a_file_one_that_may_be_taken_over(shop: Shop) -> None:
    """What a receipt says of a file of the user's saves reading it, and proves nothing."""
    (one,) = shop.stocked(KIB)
    receipt = shop.control / "receipt.json"
    document = json.loads(receipt.read_text())
    document["known"] = document.pop("owned")
    mine = put(shop, "loras/m0.safetensors", safetensors("mine", KIB))
    status = mine.stat()
    forged = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
    sha256 = hashlib.sha256(body(one)).hexdigest()
    document |= {
        "owned": [],
        "known": {"loras/m0.safetensors": {"sha256": sha256, "stamp": forged}},
    }
    receipt.write_text(json.dumps(document))
    assert shop.sync("--offline").done == {}
    ran = adopt(shop, "--all", "--move")
    assert (ran.status, left(ran)) == (8, {"loras/m0.safetensors": "foreign-file"})
    assert owned(shop) == {}


def test_as_text_each_file_has_a_line_and_the_sum_is_talk(shop: Shop) -> None:
    one, two, three = shop.offer(KIB, 2 * KIB, 3 * KIB)
    shop.locked(one, two, three)
    put(shop, "loras/m0.safetensors", body(one))
    put(shop, "x.safetensors", body(two))
    put(shop, "loras/m2.safetensors", b"other")
    ran = shop.project.call("adopt", "--all", "--move")
    assert ran.status == 8
    assert ran.out == (
        "  = loras/m0.safetensors  1.0 KiB\n"
        "  ! loras/m2.safetensors  it is not the file that the lock wants here [foreign-file]\n"
        "  > x.safetensors → loras/m1.safetensors\n"
    )
    assert ran.err.endswith("2 files adopted (3.0 KiB), 1 left alone\n")
