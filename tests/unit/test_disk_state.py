"""The state directory is a help, never a need."""

import hashlib
from pathlib import Path

import pytest

from civsync.disk.state import (
    Memo,
    is_remembered,
    read_memo,
    recall_root,
    remember_root,
    write_memo,
)

MEMO = Memo(
    manifest_blake3="a" * 64,
    lock_sha256="b" * 64,
    root="/models",
    default_groups=("sd15", "video"),
    includes={"../common/base.yaml": "c" * 64},
)


def test_what_is_noted_is_found_again(tmp_path: Path) -> None:
    write_memo(tmp_path / "state", tmp_path / "civsync.yaml", MEMO)
    remember_root(tmp_path / "state", "/models", "an-id")
    assert read_memo(tmp_path / "state", tmp_path / "civsync.yaml") == MEMO
    assert recall_root(tmp_path / "state", "/models") == "an-id"


def test_each_manifest_and_root_has_its_own_note(tmp_path: Path) -> None:
    write_memo(tmp_path, tmp_path / "a/civsync.yaml", MEMO)
    remember_root(tmp_path, "/models", "an-id")
    assert read_memo(tmp_path, tmp_path / "b/civsync.yaml") is None
    assert recall_root(tmp_path, "/models2") is None


def test_what_an_older_civsync_noted_of_a_root_guards_it_still(tmp_path: Path) -> None:
    remember_root(tmp_path, "/models", "an-id")
    (note,) = (tmp_path / "roots").iterdir()
    name = hashlib.sha256(b"/models").hexdigest()[:32]
    note.rename(note.with_name(f"{name}.json"))
    assert recall_root(tmp_path, "/models") == "an-id"
    assert not is_remembered(tmp_path, "/models", "an-id")
    remember_root(tmp_path, "/models", "another")
    assert recall_root(tmp_path, "/models") == "another"
    assert is_remembered(tmp_path, "/models", "another")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"root":1}', b"\xff"])
def test_a_damaged_note_is_none(tmp_path: Path, content: bytes) -> None:
    write_memo(tmp_path, tmp_path / "civsync.yaml", MEMO)
    remember_root(tmp_path, "/models", "an-id")
    for note in tmp_path.glob("*/*.json"):
        note.write_bytes(content)
    assert read_memo(tmp_path, tmp_path / "civsync.yaml") is None
    assert recall_root(tmp_path, "/models") is None


def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    write_memo(tmp_path / "state", tmp_path / "civsync.yaml", MEMO)
    remember_root(tmp_path / "state", "/models", "an-id")
    assert read_memo(tmp_path / "state", tmp_path / "civsync.yaml") is None


def test_text_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    memo = Memo(manifest_blake3="", lock_sha256="", root="\udcff")
    write_memo(tmp_path, tmp_path / "civsync.yaml", memo)
    assert read_memo(tmp_path, tmp_path / "civsync.yaml") is None


def test_what_another_version_noted_is_not_believed(tmp_path: Path) -> None:
    manifest = tmp_path / "civsync.yaml"
    write_memo(tmp_path, manifest, MEMO)
    assert read_memo(tmp_path, manifest) == MEMO
    write_memo(tmp_path, manifest, MEMO._replace(civsync="0.0.1"))
    assert read_memo(tmp_path, manifest) is None
