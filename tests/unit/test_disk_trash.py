"""The trash of a real root: hostile names, links, notes that lie, and what a crash leaves."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Regular, Trashed
from civsync.core.errors import CivsyncError
from civsync.core.limits import TRASH_DAYS, TRASH_NOTE_BYTES
from civsync.core.names import parse_path
from civsync.disk.folder import Folder
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root
from civsync.disk.stamps import stamp_of
from civsync.disk.store import DiskStore
from civsync.disk.trash_can import DiskTrashCan
from civsync.disk.trash_names import TrashName, note_of, noted_by, parse_name
from civsync.ports import Publication
from support.disk_worlds import make_root

A = parse_path("loras/a.safetensors")
DATA = b"the right bytes"
SHA256 = hashlib.sha256(DATA).hexdigest()
DAY_S = 24 * 3600


@pytest.fixture(params=[False, True], ids=["descriptors", "plain"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    return make_root(tmp_path, plain=request.param)


def bin_of(root: Root) -> Path:
    return root.path / ".civsync/trash"


def retire(root: Root, data: bytes = DATA) -> Trashed:
    """Retire a file; returns it as the only one in trash."""
    (root.path / A).parent.mkdir(exist_ok=True)
    (root.path / A).write_bytes(data)
    store = DiskStore(root)
    sight = store.survey([A])[A]
    assert isinstance(sight, Regular)
    store.retire(A, expected=sight.stamp, sha256=hashlib.sha256(data).hexdigest())
    (trashed,) = DiskTrashCan(root).entries()
    return trashed


def file_of(root: Root) -> Path:
    (file,) = bin_of(root).glob("*.retired")
    return file


def put_by_hand(root: Root, name: str, data: bytes = DATA) -> Path:
    bin_of(root).mkdir(exist_ok=True)
    place = bin_of(root) / name
    place.write_bytes(data)
    return place


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256", ["", SHA256], ids=["unhashed", "hashed"])
def test_a_name_comes_back_as_it_was_made(sha256: str) -> None:
    name = TrashName(sha256=sha256, seconds=1_700_000_000, id="0123456789ab")
    assert parse_name(str(name)) == name
    assert parse_name(note_of(str(name))) is None
    assert noted_by(note_of(str(name))) == str(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("model.safetensors", id="a model"),
        pytest.param(f"{SHA256}.1.{'0' * 12}.retired\n", id="a line break"),
        pytest.param(f"{SHA256}.1.{'0' * 12}", id="no suffix"),
        pytest.param(f"{SHA256.upper()}.1.{'0' * 12}.retired", id="capitals"),
        pytest.param(f"{SHA256[1:]}.1.{'0' * 12}.retired", id="a short hash"),
        pytest.param(f"{SHA256}.999999999999.{'0' * 12}.retired", id="no year has such a time"),
        pytest.param(f"{SHA256}.-1.{'0' * 12}.retired", id="a negative time"),
        pytest.param(f"{SHA256}.1.{'0' * 11}.retired", id="a short id"),
        pytest.param(f"../{SHA256}.1.{'0' * 12}.retired", id="a path"),
        pytest.param(f"{SHA256}.٣.{'0' * 12}.retired", id="other digits"),
    ],
)
def test_a_name_that_is_not_ours_means_nothing(name: str) -> None:
    assert parse_name(name) is None
    assert noted_by(note_of(name)) is None


def test_names_that_are_not_ours_are_neither_listed_nor_swept(root: Root) -> None:
    put_by_hand(root, "precious.safetensors")
    put_by_hand(root, "precious.safetensors.note")
    put_by_hand(root, os.fsdecode(b"\xff\xfe.retired"))
    assert DiskTrashCan(root).entries() == ()
    assert DiskParts(root).sweep(time.time_ns() + 1000 * DAY_S * 10**9) == 0
    assert len(list(bin_of(root).iterdir())) == 3


def test_a_file_of_civsync_0_1_is_listed_and_comes_back(root: Root) -> None:
    name = f"{SHA256}.1700000000.{'0' * 12}.retired"
    put_by_hand(root, name)
    old = f'{{"path": "{A}", "sha256": "{SHA256}", "reason": "replaced", "time": "then"}}'
    put_by_hand(root, name + ".note", old.encode())
    can = DiskTrashCan(root)
    (trashed,) = can.entries()
    assert (trashed.path, trashed.reason, trashed.seconds) == (A, "replaced", 1_700_000_000)
    _, stamp = can.digest(trashed)
    can.restore(trashed, A, expected=stamp)
    assert (root.path / A).read_bytes() == DATA
    assert list(bin_of(root).iterdir()) == []


# --- links and other things ------------------------------------------------------------------


def test_a_link_in_trash_is_not_listed_and_what_it_leads_to_is_left_alone(
    root: Root, tmp_path: Path
) -> None:
    trashed = retire(root)
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    file = file_of(root)
    file.unlink()
    file.symlink_to(outside)
    can = DiskTrashCan(root)
    assert can.entries() == ()
    with pytest.raises(CivsyncError) as caught:
        can.digest(trashed)
    assert caught.value.code is Code.OBSTACLE
    status = os.stat(outside)
    seen = (status.st_size, status.st_mtime_ns, status.st_ino)
    assert can.discard(trashed) == 0
    assert (outside.stat().st_size, outside.stat().st_mtime_ns, outside.stat().st_ino) == seen
    assert not (root.path / A).exists()


def test_a_trash_that_is_a_link_is_refused(root: Root, tmp_path: Path) -> None:
    trashed = retire(root)
    bin_of(root).rename(tmp_path / "outside")
    bin_of(root).symlink_to(tmp_path / "outside")
    can = DiskTrashCan(root)
    for act in (can.entries, lambda: can.discard(trashed), lambda: can.digest(trashed)):
        with pytest.raises(CivsyncError) as caught:
            act()
        assert caught.value.code is Code.SYMLINKED_DIRECTORY
    assert len(list((tmp_path / "outside").iterdir())) == 2


def test_nothing_is_restored_through_a_linked_directory(root: Root, tmp_path: Path) -> None:
    trashed = retire(root)
    (tmp_path / "outside").mkdir()
    (root.path / "loras").symlink_to(tmp_path / "outside")
    can = DiskTrashCan(root)
    _, stamp = can.digest(trashed)
    with pytest.raises(CivsyncError) as caught:
        can.restore(trashed, A, expected=stamp)
    assert caught.value.code is Code.SYMLINKED_DIRECTORY
    assert list((tmp_path / "outside").iterdir()) == []
    assert can.entries() == (trashed,)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_a_note_is_never_waited_for(root: Root) -> None:
    trashed = retire(root)
    note = bin_of(root) / note_of(file_of(root).name)
    note.unlink()
    os.mkfifo(note)
    (found,) = DiskTrashCan(root).entries()
    assert (found.id, found.path, found.reason) == (trashed.id, None, "")


@pytest.mark.parametrize("kind", ["missing", "huge", "a link", "a directory", "another file's"])
def test_without_a_note_that_fits_a_file_is_listed_and_nobody_says_where_it_lay(
    root: Root, tmp_path: Path, kind: str
) -> None:
    trashed = retire(root)
    note = bin_of(root) / note_of(file_of(root).name)
    text = note.read_bytes()
    note.unlink()
    match kind:
        case "huge":
            note.write_bytes(text.rstrip() + b" " * TRASH_NOTE_BYTES)
        case "a link":
            (tmp_path / "note").write_bytes(text)
            note.symlink_to(tmp_path / "note")
        case "a directory":
            note.mkdir()
        case "another file's":
            note.write_bytes(text.replace(SHA256.encode(), b"0" * 64))
        case _:
            pass
    (found,) = DiskTrashCan(root).entries()
    assert (found.id, found.sha256, found.size) == (trashed.id, SHA256, len(DATA))
    assert (found.path, found.reason) == (None, "")


@pytest.mark.parametrize("call", ["link", "rename"])
def test_what_is_made_use_of_at_once_was_in_trash_all_the_same(
    root: Root, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file of the same run may be in want of just these bytes."""
    parts, store = DiskParts(root), DiskStore(root)
    (root.path / A).parent.mkdir()
    (root.path / A).write_bytes(DATA)
    old = store.survey([A])[A]
    assert isinstance(old, Regular)
    new = b"better bytes"
    wanted = hashlib.sha256(new).hexdigest()
    real = getattr(Folder, call)
    made: list[str] = []

    def and_use(folder: Folder, name: str, target: Folder, new: str) -> None:
        real(folder, name, target, new)
        if new.endswith(".retired"):
            made.append(parts.salvage(SHA256, len(DATA), ()))

    monkeypatch.setattr(Folder, call, and_use)
    with parts.claim(wanted, len(new)) as part:
        part.write(new, 0)
        if call == "link":
            published = Publication(part=part, path=A, replacing=old.stamp, old_sha256=SHA256)
            (stamp,) = store.publish([published])
            assert stamp == stamp_of((root.path / A).stat())
        else:
            store.retire(A, expected=old.stamp, sha256=SHA256)
    assert made == ["restored"]
    with parts.claim(SHA256, len(DATA)) as part:
        assert part.digests().sha256 == SHA256
    assert (root.path / A).exists() == (call == "link")


def test_a_note_in_the_tree_that_is_the_users_stays(root: Root) -> None:
    trashed = retire(root)
    (root.path / "loras").mkdir()
    theirs = root.path / (A + ".note")
    theirs.write_text("mine")
    can = DiskTrashCan(root)
    _, stamp = can.digest(trashed)
    can.restore(trashed, A, expected=stamp)
    assert theirs.read_text() == "mine"


# --- crashes ---------------------------------------------------------------------------------


def test_a_restoration_cut_off_between_its_steps_is_finished(root: Root) -> None:
    trashed = retire(root)
    (root.path / "loras").mkdir()
    os.link(file_of(root), root.path / A)
    can = DiskTrashCan(root)
    _, stamp = can.digest(trashed)
    assert can.restore(trashed, A, expected=stamp) == stamp
    assert can.entries() == ()
    assert (root.path / A).read_bytes() == DATA
    assert os.stat(root.path / A).st_nlink == 1


def test_what_has_another_name_gives_nothing_back(root: Root, tmp_path: Path) -> None:
    retire(root)
    os.link(file_of(root), tmp_path / "other name")
    can = DiskTrashCan(root)
    (trashed,) = can.entries()
    assert (trashed.size, trashed.frees) == (len(DATA), 0)
    assert can.discard(trashed) == 0
    assert can.entries() == ()
    assert (tmp_path / "other name").read_bytes() == DATA


@pytest.mark.parametrize(("days", "left"), [(TRASH_DAYS - 1, 1), (TRASH_DAYS + 1, 0)])
def test_a_note_whose_file_is_gone_is_swept_in_its_time(root: Root, days: int, left: int) -> None:
    retire(root)
    file_of(root).unlink()
    assert DiskParts(root).sweep(time.time_ns() + days * DAY_S * 10**9) == 0
    assert len(list(bin_of(root).iterdir())) == left


def test_what_cannot_be_deleted_does_not_keep_the_rest(root: Root) -> None:
    for number in range(4):
        put_by_hand(root, f"unhashed.1.{number:012x}.retired")
        (bin_of(root) / f"unhashed.1.{number + 10:012x}.retired").mkdir()
    assert DiskParts(root).sweep(time.time_ns()) == 4
    assert len(list(bin_of(root).iterdir())) == 4


def test_the_oldest_comes_first(root: Root) -> None:
    for seconds in (300, 100, 200):
        put_by_hand(root, f"unhashed.{seconds}.{seconds:012x}.retired")
    assert [each.seconds for each in DiskTrashCan(root).entries()] == [100, 200, 300]
