"""Roots that must be refused, and the promise that looking writes nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, DiskError, SafetyError
from civsync.core.names import parse_path
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import Root, open_root
from civsync.disk.store import DiskStore
from support.small_disks import read_only_disk


def open_at(tmp_path: Path, *, accept_new: bool = False) -> Root:
    return open_root(tmp_path / "models", state_dir=tmp_path / "state", accept_new=accept_new)


def code_of_opening(tmp_path: Path) -> Code:
    with pytest.raises(CivsyncError) as error:
        open_at(tmp_path)
    return error.value.code


def test_looking_at_a_root_writes_nothing(tmp_path: Path) -> None:
    root = open_at(tmp_path)
    path = parse_path("a/b.safetensors")
    DiskStore(root).survey([path])
    DiskLedger(root).read()
    assert list(tmp_path.iterdir()) == []


def test_a_new_root_is_made_when_it_is_needed(tmp_path: Path) -> None:
    root_id = open_root(tmp_path / "a/b/models", state_dir=tmp_path / "state").establish()
    assert (tmp_path / "a/b/models/.civsync/root.json").is_file()
    again = open_root(tmp_path / "a/b/models", state_dir=tmp_path / "state")
    assert (again.root_id, again.establish()) == (root_id, root_id)


def test_of_two_that_make_a_root_at_once_both_make_the_same_one(tmp_path: Path) -> None:
    one, other = open_at(tmp_path), open_at(tmp_path)
    assert one.establish() == other.establish()
    assert open_at(tmp_path).root_id == one.root_id
    assert os.listdir(tmp_path / "models" / ".civsync") == ["root.json"]


@pytest.mark.parametrize("below", ["", "/models"])
def test_a_root_that_is_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "models").write_bytes(b"")
    with pytest.raises(SafetyError) as error:
        open_root(Path(f"{tmp_path}/models{below}"), state_dir=tmp_path / "state")
    assert error.value.code is Code.ROOT_UNUSABLE


@pytest.mark.fault("4.8/zero", "unmounted disk")
def test_a_remembered_root_without_its_marker_is_an_unmounted_disk(tmp_path: Path) -> None:
    open_at(tmp_path).establish()
    shutil.rmtree(tmp_path / "models")
    assert code_of_opening(tmp_path) is Code.ROOT_MARKER_MISSING
    (tmp_path / "models").mkdir()
    assert code_of_opening(tmp_path) is Code.ROOT_MARKER_MISSING


def test_an_emptied_root_is_begun_anew_on_the_users_word(tmp_path: Path) -> None:
    old = open_at(tmp_path).establish()
    shutil.rmtree(tmp_path / "models")
    new = open_at(tmp_path, accept_new=True).establish()
    assert new != old
    assert open_at(tmp_path).root_id == new


def test_another_disk_at_the_same_path_is_refused(tmp_path: Path) -> None:
    open_at(tmp_path).establish()
    shutil.rmtree(tmp_path / "models")
    other = open_root(tmp_path / "models", state_dir=tmp_path / "elsewhere").establish()
    assert code_of_opening(tmp_path) is Code.ROOT_MARKER_MISSING
    assert open_at(tmp_path, accept_new=True).establish() == other
    assert open_at(tmp_path).root_id == other


def test_a_root_that_came_from_another_machine_is_welcome(tmp_path: Path) -> None:
    open_at(tmp_path).establish()
    shutil.copytree(tmp_path / "models", tmp_path / "copy")
    copy = open_root(tmp_path / "copy", state_dir=tmp_path / "state")
    assert copy.root_id == open_at(tmp_path).root_id


def test_a_receipt_without_a_marker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models/.civsync").mkdir(parents=True)
    (tmp_path / "models/.civsync/receipt.json").write_bytes(b"{}")
    assert code_of_opening(tmp_path) is Code.ROOT_MARKER_MISSING


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema":"x","schema_version":1,"root_id":"y"}', b"x" * 2_000_000],
    ids=["empty", "truncated", "array", "other", "huge"],
)
def test_a_damaged_marker_is_refused(tmp_path: Path, content: bytes) -> None:
    open_at(tmp_path).establish()
    (tmp_path / "models/.civsync/root.json").write_bytes(content)
    assert code_of_opening(tmp_path) is Code.STATE_DAMAGED


def test_a_marker_of_a_newer_civsync_asks_for_an_upgrade(tmp_path: Path) -> None:
    open_at(tmp_path).establish()
    marker = tmp_path / "models/.civsync/root.json"
    marker.write_text(json.dumps(json.loads(marker.read_bytes()) | {"schema_version": 2}))
    with pytest.raises(SafetyError) as error:
        open_at(tmp_path)
    assert error.value.hint == "Upgrade civsync."


def test_a_control_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models/.civsync").symlink_to(tmp_path / "elsewhere")
    assert code_of_opening(tmp_path) is Code.SYMLINKED_DIRECTORY


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    root = open_at(tmp_path)
    root.establish()
    assert root.path == (tmp_path / "disk").resolve()
    assert (tmp_path / "disk/.civsync/root.json").is_file()


@pytest.mark.fault("4.3/denied", "read-only file system")
def test_a_read_only_root_says_so_before_anything_is_downloaded(tmp_path: Path) -> None:
    with read_only_disk(tmp_path / "models"):
        with pytest.raises(DiskError) as error:
            open_at(tmp_path).establish()
        assert error.value.code is Code.READ_ONLY


@pytest.mark.fault("4.3/denied", "read-only file system")
def test_a_root_that_became_read_only_says_so_too(tmp_path: Path) -> None:
    with read_only_disk(tmp_path / "models", before=lambda: open_at(tmp_path).establish()):
        with pytest.raises(DiskError) as error:
            open_at(tmp_path).establish()
        assert error.value.code is Code.READ_ONLY


def test_a_state_directory_that_cannot_be_written_costs_only_memory(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    open_at(tmp_path).establish()
    shutil.rmtree(tmp_path / "models")
    open_at(tmp_path).establish()


@pytest.mark.fault("4.5/no-text", "undecodable name on disk")
@pytest.mark.skipif(os.name == "nt", reason="Windows names are text")
def test_names_that_are_no_text_never_crash(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"m\xff\xfe")
    root = open_root(odd, state_dir=tmp_path / "state")
    root.establish()
    shutil.rmtree(odd)
    with pytest.raises(SafetyError) as error:
        open_root(odd, state_dir=tmp_path / "state")
    error.value.message.encode()
