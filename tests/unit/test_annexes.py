"""Annexes at the level of calls: with directory descriptors, and on systems that have none."""

import hashlib
import os
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Absent, Declared, Linked, Regular
from civsync.core.errors import SafetyError
from civsync.core.names import parse_path
from civsync.disk.beneath import Beneath
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root, open_root
from civsync.disk.store import DiskStore
from civsync.disk.trash_can import DiskTrashCan
from support.publishing import publish_part

DATA = b"bytes of a model"
SHA256 = hashlib.sha256(DATA).hexdigest()
A = parse_path("loras/style/a.safetensors")
B = parse_path("elsewhere/a.safetensors")


@pytest.fixture(params=[False, True], ids=["descriptors", "paths"])
def plain(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    if not chosen and os.name == "nt":
        pytest.skip("Windows has no directory descriptors")
    return chosen


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where `loras`, a link in the root, leads to."""
    place = tmp_path / "big"
    place.mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/loras").symlink_to(place)
    return place


@pytest.fixture
def root(tmp_path: Path, target: Path, plain: bool) -> Root:
    declared = (Declared(at=parse_path("loras"), target=str(target)),)
    opened = open_root(
        tmp_path / "models", state_dir=tmp_path / "state", plain=plain, declared=declared
    )
    opened.establish()
    return opened


def publish(root: Root) -> None:
    parts = DiskParts(root).near(A)
    with parts.claim(SHA256, len(DATA)) as part:
        part.write(DATA, 0)
        publish_part(DiskStore(root), part, A)


def turn_elsewhere(root: Root) -> Path:
    """Let the link lead to another folder, which has the same things in it."""
    link = root.path / "loras"
    other = Path(os.path.realpath(link)).with_name("other")
    (other / "style").mkdir(parents=True)
    (other / "style/a.safetensors").write_bytes(DATA)
    link.unlink()
    link.symlink_to(other)
    return other


def test_a_file_is_published_seen_read_and_retired_behind_the_link(
    root: Root, target: Path
) -> None:
    store = DiskStore(root)
    assert store.survey([A]) == {A: Absent()}
    publish(root)
    sight = store.survey([A])[A]
    assert isinstance(sight, Regular)
    digests, stamp = store.digest(A)
    assert (digests.sha256, stamp) == (SHA256, sight.stamp)
    store.retire(A, expected=stamp, sha256=SHA256)
    (trashed,) = DiskTrashCan(root).entries()
    assert trashed.path == A
    assert sorted(each.name for each in target.iterdir()) == [".civsync"]
    assert DiskTrashCan(root).restore(trashed, A, expected=stamp) == stamp
    assert (target / "style/a.safetensors").read_bytes() == DATA


def test_the_link_is_looked_at_each_time_and_never_gone_through(root: Root) -> None:
    publish(root)
    store = DiskStore(root)
    _, stamp = store.digest(A)
    other = turn_elsewhere(root)
    before = sorted(other.rglob("*"))
    for act in (
        lambda: store.survey([A]),
        lambda: store.digest(A),
        lambda: store.retire(A, expected=stamp, sha256=SHA256),
        lambda: store.move(A, B, expected=stamp, sha256=SHA256),
        lambda: publish(root),
    ):
        with pytest.raises(SafetyError) as error:
            act()
        assert error.value.code is Code.LINK_UNUSABLE
    assert sorted(other.rglob("*")) == before


def test_a_whole_part_that_waits_in_another_home_is_taken_over(root: Root) -> None:
    parts = DiskParts(root)
    with parts.claim(SHA256, len(DATA)) as part:
        part.write(DATA, 0)
    assert parts.near(A).salvage(SHA256, len(DATA), [])
    publish(root)
    assert list((root.path / ".civsync/parts").iterdir()) == []


def test_what_waited_long_enough_is_swept_in_every_home(root: Root, target: Path) -> None:
    publish(root)
    store = DiskStore(root, lambda: 1000.0)
    _, stamp = store.digest(A)
    store.retire(A, expected=stamp, sha256=SHA256)
    with DiskParts(root).near(A).claim("0" * 64, 100) as part:
        part.write(b"half", 0)
    (kept,) = (target / ".civsync/parts").iterdir()
    assert DiskParts(root).sweep(kept.stat().st_mtime_ns + 10**18) == 2
    assert DiskTrashCan(root).entries() == ()


def test_homes_on_one_disk_share_what_they_hold(root: Root) -> None:
    near = DiskParts(root).near(A)
    with near.claim(SHA256, len(DATA)) as part:
        part.write(DATA[:5], 0)
    assert DiskParts(root).homes == ("", "loras")
    assert DiskParts(root).held() == near.held() == {SHA256: 5}


def test_parts_near_a_path_are_always_the_same_ones(root: Root) -> None:
    parts = DiskParts(root)
    assert parts.near(A) is parts.near(parse_path("loras/b"))
    assert parts.near(B) is parts
    # A name that only begins like the annex is no part of it.
    assert parts.near(parse_path("loras2/b")) is parts


def test_an_annex_is_no_way_out_of_the_tree_that_nobody_declared(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/loras").symlink_to(tmp_path / "big")
    beneath = Beneath(str(tmp_path / "models"))
    assert DiskStore(open_root(tmp_path / "models", state_dir=tmp_path / "state")).survey([A]) == {
        A: Linked("loras")
    }
    with pytest.raises(SafetyError) as error, beneath.folder("loras/style", make=True):
        pass
    assert error.value.code is Code.SYMLINKED_DIRECTORY


def test_of_two_roots_that_come_to_one_directory_at_once_one_is_refused(
    tmp_path: Path, target: Path, plain: bool
) -> None:
    """Neither had a marker there when the other one looked."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/loras").symlink_to(target)
    declared = (Declared(at=parse_path("loras"), target=str(target)),)
    state = tmp_path / "state"
    opened = [
        open_root(tmp_path / name, state_dir=state, plain=plain, declared=declared)
        for name in ("models", "other")
    ]
    opened[0].establish()
    marker = (target / ".civsync/annex.json").read_bytes()
    with pytest.raises(SafetyError) as refused:
        opened[1].establish()
    assert refused.value.code is Code.LINK_UNUSABLE
    assert (target / ".civsync/annex.json").read_bytes() == marker
    opened[0].establish()
