"""Attacks and accidents below a real root: links, pipes, full disks, half-done moves."""

import hashlib
import os
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Linked, Obstacle, Regular, Stamp
from civsync.core.errors import CivsyncError, DiskError
from civsync.core.names import SafePath, parse_path
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root
from civsync.disk.store import DiskStore
from support.disk_worlds import make_root
from support.publishing import publish_part
from support.small_disks import small_disk

A = parse_path("loras/style/a.safetensors")
DATA = b"the right bytes"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=[False, True], ids=["descriptors", "plain"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    return make_root(tmp_path, plain=request.param)


def publish(root: Root, path: SafePath = A, *, replacing: Stamp | None = None) -> Stamp:
    with DiskParts(root).claim(SHA256, len(DATA)) as part:
        if not part.done.total:
            part.write(DATA, part.done.prefix)
        return publish_part(DiskStore(root), part, path, replacing=replacing)


def code_of_publishing(root: Root, *, replacing: Stamp | None = None) -> Code:
    with pytest.raises(CivsyncError) as error:
        publish(root, replacing=replacing)
    return error.value.code


def stamp_at(root: Root, path: SafePath = A) -> Stamp:
    sight = DiskStore(root).survey([path])[path]
    assert isinstance(sight, Regular)
    return sight.stamp


@pytest.mark.fault("4.5/links", "a linked directory")
@pytest.mark.parametrize("at", ["loras", "loras/style"])
def test_nothing_is_written_through_a_linked_directory(root: Root, tmp_path: Path, at: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root.path / at).parent.mkdir(exist_ok=True)
    (root.path / at).symlink_to(outside)
    assert DiskStore(root).survey([A]) == {A: Linked(at)}
    assert code_of_publishing(root) is Code.SYMLINKED_DIRECTORY
    assert list(outside.iterdir()) == []


@pytest.mark.fault("4.5/links", "swapped after a look")
def test_a_directory_swapped_for_a_link_after_the_survey_leads_nowhere(
    root: Root, tmp_path: Path
) -> None:
    stamp = publish(root)
    (root.path / "loras").rename(tmp_path / "outside")
    (root.path / "loras").symlink_to(tmp_path / "outside")
    store = DiskStore(root)
    for act in (
        lambda: store.retire(A, expected=stamp, sha256=SHA256),
        lambda: store.move(A, parse_path("b"), expected=stamp, sha256=SHA256),
        lambda: store.move(A, parse_path("loras/c"), expected=stamp, sha256=SHA256),
        lambda: store.digest(A),
    ):
        with pytest.raises(CivsyncError) as error:
            act()
        assert error.value.code is Code.SYMLINKED_DIRECTORY
    assert (tmp_path / "outside/style/a.safetensors").read_bytes() == DATA


@pytest.mark.fault("4.5/links", "a link under the name")
def test_a_link_under_the_name_is_neither_read_nor_replaced(root: Root, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    (root.path / A).parent.mkdir(parents=True)
    (root.path / A).symlink_to(tmp_path / "secret")
    assert DiskStore(root).survey([A]) == {A: Obstacle("symlink")}
    with pytest.raises(CivsyncError) as error:
        DiskStore(root).digest(A)
    assert error.value.code is Code.OBSTACLE
    assert code_of_publishing(root) is Code.OBSTACLE
    status = os.stat(tmp_path / "secret")
    seen = Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
    assert code_of_publishing(root, replacing=seen) is Code.MODIFIED_FILE
    assert (root.path / A).is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_under_the_name_is_never_waited_for(root: Root) -> None:
    (root.path / A).parent.mkdir(parents=True)
    os.mkfifo(root.path / A)
    assert DiskStore(root).survey([A]) == {A: Obstacle("special")}
    with pytest.raises(CivsyncError) as error:
        DiskStore(root).digest(A)
    assert error.value.code is Code.OBSTACLE


@pytest.mark.fault("4.5/no-text", "undecodable name on disk")
def test_names_that_are_no_text_beside_ours_do_not_matter(root: Root) -> None:
    publish(root)
    (root.path / os.fsdecode(b"loras/style/\xff\xfe.pt")).write_bytes(b"theirs")
    DiskStore(root).retire(A, expected=stamp_at(root), sha256=SHA256)
    assert os.listdir(root.path / "loras/style") == [os.fsdecode(b"\xff\xfe.pt")]


def test_retiring_removes_directories_that_became_empty_and_no_other(root: Root) -> None:
    publish(root)
    (root.path / "loras/keep").mkdir()
    DiskStore(root).retire(A, expected=stamp_at(root), sha256=SHA256)
    assert sorted(os.listdir(root.path / "loras")) == ["keep"]


def test_retiring_the_last_file_leaves_the_root(root: Root) -> None:
    publish(root)
    DiskStore(root).retire(A, expected=stamp_at(root), sha256=SHA256)
    assert os.listdir(root.path) == [".civsync"]


def test_a_retired_file_has_a_suffix_that_no_program_loads_and_a_note(root: Root) -> None:
    publish(root)
    DiskStore(root).retire(A, expected=stamp_at(root), sha256=SHA256)
    kept, note = sorted((root.path / ".civsync/trash").iterdir())
    assert (kept.suffix, note.name) == (".retired", kept.name + ".note")
    assert kept.read_bytes() == DATA
    assert A in note.read_text("utf-8")


def test_the_published_file_has_one_name_and_the_part_is_gone(root: Root) -> None:
    publish(root)
    assert os.stat(root.path / A).st_nlink == 1
    assert os.listdir(root.path / ".civsync/parts") == []


def test_a_move_cut_off_between_its_steps_is_finished(root: Root) -> None:
    stamp = publish(root)
    target = parse_path("loras/style/b.safetensors")
    os.link(root.path / A, root.path / target)
    assert DiskStore(root).move(A, target, expected=stamp, sha256=SHA256) == stamp
    assert os.listdir(root.path / "loras/style") == ["b.safetensors"]


def test_a_replacement_cut_off_after_the_trash_link_is_repeated(root: Root) -> None:
    (root.path / A).parent.mkdir(parents=True)
    (root.path / A).write_bytes(b"old")
    (root.path / ".civsync/trash").mkdir()
    os.link(root.path / A, root.path / f".civsync/trash/unhashed.1.{'0' * 12}.retired")
    publish(root, replacing=stamp_at(root))
    assert (root.path / A).read_bytes() == DATA


def test_a_part_swapped_by_somebody_else_is_not_published(root: Root) -> None:
    with DiskParts(root).claim(SHA256, len(DATA)) as part:
        part.write(DATA, part.done.prefix)
        (root.path / ".civsync/parts" / part.name).unlink()
        (root.path / ".civsync/parts" / part.name).write_bytes(b"the wrong bytes")
        with pytest.raises(DiskError):
            publish_part(DiskStore(root), part, A)
    assert not (root.path / A).exists()


def test_a_stamp_that_was_given_out_shows_the_very_next_write(root: Root) -> None:
    for number in range(5):
        path = parse_path(f"{number}.pt")
        (root.path / path).write_bytes(b"one")
        _, stamp = DiskStore(root).digest(path)
        with open(root.path / path, "r+b") as file:
            file.write(b"two")
        assert stamp_at(root, path) != stamp


@pytest.mark.fault("4.3/no-room", "ENOSPC")
@pytest.mark.fault("4.3/short-write", "fewer bytes")
def test_a_full_disk_keeps_the_part_and_says_what_is_missing(tmp_path: Path) -> None:
    size = 4 << 20
    data = os.urandom(size)
    sha256 = hashlib.sha256(data).hexdigest()
    with small_disk(tmp_path / "models", "size=2m"):
        root = make_root(tmp_path)
        parts = DiskParts(root)
        with parts.claim(sha256, size) as part:
            part.write(data, part.done.prefix)
            with pytest.raises(DiskError) as error:
                part.digests()
            held = part.done.total
        assert error.value.code is Code.NO_SPACE
        assert error.value.data["need"] == size - held
        assert 0 < held == parts.held().get(sha256, 0)


@pytest.mark.fault("4.3/no-room", "no inodes left")
def test_a_disk_without_inodes_leaves_no_half_receipt(tmp_path: Path) -> None:
    with small_disk(tmp_path / "models", "nr_inodes=8"):
        root = make_root(tmp_path)
        for number in range(8):
            try:
                (root.path / f"{number}.txt").write_bytes(b"")
            except OSError:
                break
        with pytest.raises(DiskError) as error:
            publish(root)
        assert error.value.code is Code.NO_SPACE
        assert not (root.path / A).exists()
