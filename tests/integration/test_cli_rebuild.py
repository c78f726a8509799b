"""`civsync verify --rebuild`: a lost or damaged receipt is made anew, and nothing else changes."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.core.disk import Owned
from civsync.core.names import SafePath
from civsync.demo.bodies import read
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.cli import Ran, command
from support.published import faults
from support.shop import Shop, edit_lock, only_file, open_shop

KIB = 1024
M0, M1 = "loras/m0.safetensors", "loras/m1.safetensors"
MINE = "loras/mine.safetensors"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two files in place beside one of the user's."""
    with open_shop(tmp_path) as opened:
        opened.stocked(2 * KIB, 3 * KIB)
        (opened.project.root / MINE).write_bytes(b"mine")
        yield opened


def receipt_of(shop: Shop) -> Path:
    return shop.control / "receipt.json"


def owned(shop: Shop) -> dict[SafePath, Owned]:
    state = shop.project.folder / ".home" / "civsync"
    return dict(DiskLedger(open_root(shop.project.root, state_dir=state)).read().owned)


def rebuilt(ran: Ran) -> dict[str, object]:
    assert faults(ran.json) == []
    document: dict[str, object] = ran.json["receipt"]
    return document


def lose(receipt: Path) -> None:
    receipt.unlink()


def cut(receipt: Path) -> None:
    os.truncate(receipt, receipt.stat().st_size // 2)


def empty(receipt: Path) -> None:
    receipt.write_bytes(b"")


def zero(receipt: Path) -> None:
    receipt.write_bytes(bytes(receipt.stat().st_size))


def lead_out(receipt: Path) -> None:
    receipt.write_text(receipt.read_text().replace(M0, "../../outside.safetensors"))


def become_link(receipt: Path) -> None:
    receipt.rename(receipt.with_name("moved.json"))
    receipt.symlink_to("moved.json")


def become_directory(receipt: Path) -> None:
    receipt.unlink()
    receipt.mkdir()


LOSSES = [lose, cut, empty, zero, lead_out, become_link, become_directory]


@pytest.mark.fault("4.8/hostile-receipt", "a path outside", "a link for the receipt")
@pytest.mark.parametrize("spoil", LOSSES, ids=lambda spoil: spoil.__name__)
def test_a_lost_or_damaged_receipt_is_made_anew_and_the_old_one_is_kept(
    spoil: Callable[[Path], None], shop: Shop
) -> None:
    before, tree = owned(shop), shop.tree
    spoil(receipt_of(shop))
    ran = shop.project.call("verify", "--rebuild", "--yes", "--json")
    assert ran.status == 0, ran.err
    document = rebuilt(ran)
    assert (document["owned"], document["taken"]) == (2, [M0, M1])
    assert owned(shop) == before
    assert shop.tree == tree
    kept = sorted(path.name for path in shop.control.glob("*.damaged-*"))
    assert [name.startswith("receipt.json.damaged-2") for name in kept] == (
        [] if spoil is lose else [True]
    )
    assert document["kept_at"] == [f".civsync/{name}" for name in kept]
    assert shop.sync().done == {}


@pytest.mark.fault("4.8/hostile-receipt", "a path outside", "a link for the receipt")
@pytest.mark.parametrize("spoil", [cut, lead_out, become_link], ids=lambda spoil: spoil.__name__)
def test_what_a_damaged_receipt_stops_names_the_command_that_helps(
    spoil: Callable[[Path], None], shop: Shop
) -> None:
    before = shop.tree
    spoil(receipt_of(shop))
    for words in (("sync",), ("status",), ("verify",), ("verify", "--repair")):
        ran = shop.project.call(*words)
        assert ran.status == 8, words
        assert "civsync verify --rebuild" in ran.err, words
        assert shop.tree == before


def test_without_the_users_word_nothing_becomes_civsyncs(shop: Shop) -> None:
    lose(receipt_of(shop))
    ran = shop.project.call("verify", "--rebuild")
    assert ran.status == 64
    assert "the receipt is lost: up to 2 files (5.0 KiB) would become civsync's" in ran.err
    assert "civsync verify --rebuild --yes" in ran.err
    assert not receipt_of(shop).exists()
    cut_short = b'{"schema": "civsync.receipt"'
    receipt_of(shop).write_bytes(cut_short)
    assert shop.project.call("verify", "--rebuild").status == 64
    assert receipt_of(shop).read_bytes() == cut_short


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are made with pty")
@pytest.mark.parametrize(("answer", "status", "files"), [("y", 0, 2), ("n", 8, 0)])
def test_on_a_terminal_the_user_is_asked_with_the_number_of_files(
    answer: str, status: int, files: int, shop: Shop
) -> None:
    from support.terminals import watched

    lose(receipt_of(shop))
    project, words = shop.project, command("verify", "--rebuild")
    with watched(words, folder=project.folder, environment=project.environment) as terminal:
        terminal.await_text("Take them over?")
        terminal.type(f"{answer}\n")
        assert terminal.end() == status
        assert "up to 2 files (5.0 KiB)" in terminal.text
    assert len(owned(shop)) == files


def test_only_files_with_the_locked_content_are_taken_over(shop: Shop) -> None:
    lose(receipt_of(shop))
    path = shop.project.root / M0
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    ran = shop.project.call("verify", "--rebuild", "--yes", "--json")
    assert ran.status == 5
    assert [fault["path"] for fault in ran.json["faults"]] == [M0]
    assert rebuilt(ran)["taken"] == [M1]
    assert list(owned(shop)) == [M1]
    # So no repair touches the other one.
    kept = path.read_bytes()
    assert shop.project.call("verify", "--repair").status == 5
    assert path.read_bytes() == kept


def test_a_sound_receipt_needs_no_word_and_takes_nothing_over(shop: Shop) -> None:
    """Its owner may own a file with the locked content: it stays the owner's."""
    extra = shop.offer(2 * KIB)[0]
    path = shop.project.root / "loras/m2.safetensors"
    path.write_bytes(read(only_file(extra).body))
    manifest = shop.project.manifest
    manifest.write_text(manifest.read_text() + f"  - {{model: {extra.id}}}\n")
    assert shop.project.call("lock").status == 0
    ran = shop.project.call("verify", "--rebuild", "--json")
    assert ran.status == 0, ran.err
    assert rebuilt(ran) == {"owned": 2, "taken": [], "released": [], "kept_at": []}
    assert sorted(owned(shop)) == [M0, M1]
    assert shop.project.call("status", "--exit-code").status == 0


def test_what_is_damaged_or_gone_stays_ours_so_that_it_can_be_repaired(shop: Shop) -> None:
    (shop.project.root / M0).unlink()
    (shop.project.root / M1).write_bytes(b"rotten")
    assert shop.project.call("verify", "--rebuild").status == 5
    assert sorted(owned(shop)) == [M0, M1]
    assert shop.project.call("verify", "--repair").status == 0
    assert shop.project.call("verify", "--full").status == 0


def test_notes_that_a_killed_run_left_are_worked_in(shop: Shop) -> None:
    before = owned(shop)
    ledger = DiskLedger(open_root(shop.project.root, state_dir=shop.project.folder / "s"))
    receipt_of(shop).unlink()
    for each in before.values():
        ledger.intend(each)
    ledger.close()
    ran = shop.project.call("verify", "--rebuild", "--json")
    assert ran.status == 0, ran.err
    assert rebuilt(ran)["taken"] == []
    assert owned(shop) == before
    assert not (shop.control / "notes.jsonl").exists()


def test_damaged_notes_are_kept_and_the_receipt_before_them_is_believed(shop: Shop) -> None:
    before = owned(shop)
    (shop.control / "notes.jsonl").write_text('{"note": "placed"}\n')
    assert "civsync verify --rebuild" in shop.project.call("sync").err
    ran = shop.project.call("verify", "--rebuild", "--json")
    assert ran.status == 0, ran.err
    assert owned(shop) == before
    (kept,) = shop.control.glob("notes.jsonl.damaged-*")
    assert kept.read_text() == '{"note": "placed"}\n'
    assert not (shop.control / "notes.jsonl").exists()


def test_a_receipt_of_a_newer_civsync_is_not_taken_for_damaged(shop: Shop) -> None:
    text = receipt_of(shop).read_text().replace('"schema_version": 1', '"schema_version": 99')
    receipt_of(shop).write_text(text)
    ran = shop.project.call("verify", "--rebuild", "--yes")
    assert ran.status == 8
    assert "Upgrade civsync" in ran.err
    assert receipt_of(shop).read_text() == text


def test_a_file_at_an_unlocked_path_is_released_unless_it_is_what_was_placed(shop: Shop) -> None:
    document = json.loads(receipt_of(shop).read_text())
    stranger = {**document["owned"][0], "path": MINE}
    document["owned"].append(stranger)
    receipt_of(shop).write_text(json.dumps(document))
    ran = shop.project.call("verify", "--rebuild", "--json")
    assert rebuilt(ran)["released"] == [MINE]
    assert (shop.project.root / MINE).read_bytes() == b"mine"
    assert sorted(owned(shop)) == [M0, M1]


def test_a_lock_that_leads_outside_is_refused(shop: Shop, tmp_path: Path) -> None:
    lose(receipt_of(shop))
    edit_lock(shop.project, path="../../outside.safetensors")
    assert shop.project.call("verify", "--rebuild", "--yes").status == 65
    assert not receipt_of(shop).exists()


STRIDE = 13
"""Every so many bytes are tried here; tests/unit/test_rebuild.py tries every bit of all."""


@pytest.mark.fault("4.8/hostile-receipt", "any byte changed")
def test_no_mutation_of_a_receipt_makes_a_strangers_file_ours_or_leaves_the_root(
    shop: Shop, tmp_path: Path
) -> None:
    sound = receipt_of(shop).read_bytes()
    outside = shop.project.folder / "outside"
    outside.mkdir()
    content = {path: each.sha256 for path, each in owned(shop).items()}
    tree = shop.tree
    for at in range(0, len(sound), STRIDE):
        for kept in shop.control.glob("*.damaged-*"):
            kept.unlink()
        receipt_of(shop).write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        ran = shop.project.call("verify", "--rebuild", "--yes")
        assert ran.status in (0, 8), ran.err
        assert shop.tree == tree
        assert list(outside.iterdir()) == []
        if ran.status:
            assert "Upgrade civsync" in ran.err
            receipt_of(shop).write_bytes(sound)
            continue
        found = {path: each.sha256 for path, each in owned(shop).items()}
        assert found.items() <= content.items(), at
    shutil.rmtree(outside)
