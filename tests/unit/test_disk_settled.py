"""The short way around planning is taken only where nothing at all has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from civsync.core.disk import Declared, Known, Owned, Receipt
from civsync.core.groups import Unselected
from civsync.core.names import parse_path
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from civsync.disk.settled import is_in_place
from civsync.disk.settling import note_settled
from civsync.disk.stamps import stamp_of
from civsync.disk.state import recall_settled
from civsync.documents.settled import Settled

LOCK = "a" * 64
PLAIN = "+"
LEFT_OUT = Unselected(files=3, groups=("sd15", "video"))
OURS = parse_path("loras/deep/ours.safetensors")
THEIRS = parse_path("vae/theirs.safetensors")


class Tree:
    """A root with a file of ours and one of the user's, noted as settled."""

    def __init__(self, folder: Path, *, plain: bool = False) -> None:
        self.plain = plain
        self.place = folder / "models"
        self.state = folder / "state"
        self.lock = folder / "civsync.lock"
        self.ours, self.theirs = self.place / OURS, self.place / THEIRS
        for path in (self.ours, self.theirs):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"content")
        root = open_root(self.place, state_dir=self.state, plain=plain)
        root.establish()
        self.ledger = DiskLedger(root)
        self.owned = Owned(path=OURS, sha256="b" * 64, stamp=stamp_of(self.ours.stat()))
        known = Known(sha256="c" * 64, stamp=stamp_of(self.theirs.stat()))
        self.receipt = Receipt(
            root_id=root.root_id, owned={OURS: self.owned}, known={THEIRS: known}
        )
        self.ledger.commit(self.receipt)
        self.note(self.receipt)

    def note(self, receipt: Receipt, lock_sha256: str = LOCK) -> None:
        """Note what a plan made from `receipt` found."""
        root = open_root(self.place, state_dir=self.state, plain=self.plain)
        note_settled(
            root,
            self.lock,
            PLAIN,
            lock_sha256=lock_sha256,
            receipt=receipt,
            files=2,
            unselected=LEFT_OUT,
            state_dir=self.state,
        )

    def find(self) -> Settled | None:
        root = open_root(self.place, state_dir=self.state, plain=self.plain)
        settled = recall_settled(self.state, root.beneath.root)
        return settled if settled is not None and is_in_place(root, settled) else None


def _swap_directory_for_link(tree: Tree) -> None:
    away = tree.place.parent / "away"
    tree.ours.parent.parent.rename(away)
    (tree.place / "loras").symlink_to(away)


def _swap_directory_for_file(tree: Tree) -> None:
    tree.ours.parent.rename(tree.place / "away")
    tree.ours.parent.write_bytes(b"")


def _swap_file_for_directory(tree: Tree) -> None:
    tree.ours.unlink()
    tree.ours.mkdir()


def _swap_file_for_link(tree: Tree) -> None:
    away = tree.place.parent / "away"
    tree.ours.rename(away)
    tree.ours.symlink_to(away)


def _touch(tree: Tree) -> None:
    status = tree.theirs.stat()
    os.utime(tree.theirs, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _write_again(tree: Tree) -> None:
    """Same bytes, same time, another inode."""
    status = tree.ours.stat()
    other = tree.ours.with_name("other")
    other.write_bytes(b"content")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(tree.ours)


CHANGES: dict[str, Callable[[Tree], object]] = {
    "a file of ours is gone": lambda tree: tree.ours.unlink(),
    "a file of the user's is gone": lambda tree: tree.theirs.unlink(),
    "a file is longer": lambda tree: tree.ours.write_bytes(b"content and more"),
    "a file was touched": _touch,
    "a file is another one": _write_again,
    "a file became a link": _swap_file_for_link,
    "a file became a directory": _swap_file_for_directory,
    "a directory is gone": lambda tree: tree.ours.parent.rename(tree.place / "away"),
    "a directory became a file": _swap_directory_for_file,
    "a directory became a link": _swap_directory_for_link,
    "the journal goes on": lambda tree: tree.ledger.intend(tree.owned),
    "the receipt says something else": lambda tree: tree.ledger.commit(
        Receipt(root_id=tree.receipt.root_id, owned=tree.receipt.owned)
    ),
    "the receipt is gone": lambda tree: (tree.place / ".civsync/receipt.json").unlink(),
    "the receipt is damaged": lambda tree: (tree.place / ".civsync/receipt.json").write_bytes(
        b"{}"
    ),
    "the note is cut off": lambda tree: [
        path.write_bytes(path.read_bytes()[:-1]) for path in (tree.state / "settled").iterdir()
    ],
    "the note is damaged": lambda tree: [
        path.write_bytes(b"{") for path in (tree.state / "settled").iterdir()
    ],
}


@pytest.mark.parametrize("plain", [False, True], ids=["descriptors", "paths"])
def test_an_unchanged_root_is_known_to_hold_its_files(tmp_path: Path, *, plain: bool) -> None:
    settled = Tree(tmp_path, plain=plain).find()
    assert settled is not None
    assert (settled.files, settled.unselected) == (2, LEFT_OUT)
    assert settled.lock_sha256 == LOCK


@pytest.mark.parametrize("plain", [False, True], ids=["descriptors", "paths"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_after_any_change_a_closer_look_is_needed(
    change: Callable[[Tree], object], tmp_path: Path, *, plain: bool
) -> None:
    tree = Tree(tmp_path, plain=plain)
    change(tree)
    assert tree.find() is None


def test_nothing_is_noted_of_a_receipt_that_another_command_wrote_meanwhile(tmp_path: Path) -> None:
    """A sync of another lock came between the plan, or its end, and the note."""
    tree = Tree(tmp_path)
    other = Receipt(root_id=tree.receipt.root_id, owned=tree.receipt.owned)
    tree.ledger.commit(other)
    tree.note(tree.receipt, "d" * 64)
    assert tree.find() is None
    tree.note(other, "d" * 64)
    found = tree.find()
    assert found is not None
    assert found.lock_sha256 == "d" * 64


def test_a_root_that_was_never_noted_needs_a_closer_look(tmp_path: Path) -> None:
    root = open_root(tmp_path / "models", state_dir=tmp_path / "state")
    state = tmp_path / "state"
    note_settled(
        root,
        tmp_path / "civsync.lock",
        PLAIN,
        lock_sha256=LOCK,
        receipt=Receipt(root_id=""),
        files=0,
        unselected=Unselected(),
        state_dir=state,
    )
    assert recall_settled(state, root.beneath.root) is None


@pytest.mark.parametrize("plain", [False, True], ids=["descriptors", "paths"])
def test_a_root_with_directories_on_other_disks_always_needs_a_closer_look(
    tmp_path: Path, *, plain: bool
) -> None:
    tree = Tree(tmp_path, plain=plain)
    (tmp_path / "big").mkdir()
    (tree.place / "big").symlink_to(tmp_path / "big")
    declared = (Declared(at=parse_path("big"), target=str(tmp_path / "big")),)
    root = open_root(tree.place, state_dir=tree.state, plain=plain, declared=declared)
    settled = tree.find()
    assert settled is not None
    assert not is_in_place(root, settled)


def test_nothing_is_noted_of_a_root_with_directories_on_other_disks(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for note in (tree.state / "settled").iterdir():
        note.unlink()
    (tmp_path / "big").mkdir()
    (tree.place / "big").symlink_to(tmp_path / "big")
    declared = (Declared(at=parse_path("big"), target=str(tmp_path / "big")),)
    root = open_root(tree.place, state_dir=tree.state, declared=declared)
    note_settled(
        root,
        tree.lock,
        PLAIN,
        lock_sha256=LOCK,
        receipt=tree.receipt,
        files=2,
        unselected=LEFT_OUT,
        state_dir=tree.state,
    )
    assert recall_settled(tree.state, root.beneath.root) is None
