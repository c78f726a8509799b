"""Content of another root becomes a part, or nothing at all; hard links are never written to."""

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from civsync.core.disk import Owned, Receipt
from civsync.core.errors import DiskError, IntegrityError
from civsync.core.link_mode import KnownFile, LinkMode
from civsync.core.names import parse_path
from civsync.disk.elsewhere import Elsewhere
from civsync.disk.known_files import KnownFiles
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root
from civsync.disk.stamps import stamp_of
from civsync.disk.store import DiskStore
from support.disk_worlds import make_root
from support.publishing import publish_part

DATA = bytes(range(256)) * 20_000
SIZE = len(DATA)
SHA256 = hashlib.sha256(DATA).hexdigest()
PATH = parse_path("vae/a.safetensors")
MODES = [LinkMode.AUTO, LinkMode.HARDLINK, LinkMode.COPY]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of another root."""
    place = make_root(tmp_path / "one").path / PATH
    place.parent.mkdir()
    place.write_bytes(DATA)
    return place


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return make_root(tmp_path / "other")


def known(place: Path, *, owned: bool = True) -> KnownFile:
    return KnownFile(
        root=str(place.parent.parent),
        root_id="one",
        path=PATH,
        sha256=SHA256,
        stamp=stamp_of(place.stat()),
        owned=owned,
    )


def parts_from(root: Root, place: Path, mode: LinkMode) -> tuple[DiskParts, Elsewhere]:
    elsewhere = Elsewhere({SHA256: [known(place)]}, mode)
    return DiskParts(root, elsewhere=elsewhere), elsewhere


@pytest.mark.parametrize("mode", MODES)
def test_what_is_elsewhere_becomes_a_whole_part_and_can_be_published(
    root: Root, source: Path, mode: LinkMode
) -> None:
    parts, elsewhere = parts_from(root, source, mode)
    how = parts.salvage(SHA256, SIZE, [])
    assert how in ("reflinked", "hardlinked", "copied")
    assert parts.salvage(SHA256, SIZE, []) == how
    with parts.claim(SHA256, SIZE) as part:
        assert (part.done.total, part.digests().sha256) == (SIZE, SHA256)
        assert part.head(4) == DATA[:4]
        publish_part(DiskStore(root), part, PATH)
    assert (root.path / PATH).read_bytes() == DATA == source.read_bytes()
    assert elsewhere.stale == ()
    assert parts.held() == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_part_that_was_begun_is_not_left_behind(root: Root, source: Path, mode: LinkMode) -> None:
    with DiskParts(root).claim(SHA256, SIZE) as part:
        part.write(DATA[:1000], 0)
    parts, _ = parts_from(root, source, mode)
    assert parts.salvage(SHA256, SIZE, [])
    with parts.claim(SHA256, SIZE) as part:
        publish_part(DiskStore(root), part, PATH)
    assert DiskParts(root).held() == {}


def test_without_spending_nothing_is_copied(root: Root, source: Path) -> None:
    parts, _ = parts_from(root, source, LinkMode.COPY)
    assert parts.salvage(SHA256, SIZE, [], spending=False) == ""
    assert parts.held() == {}


def test_after_a_stop_nothing_more_is_brought_and_nothing_is_left(root: Root, source: Path) -> None:
    for mode in (LinkMode.COPY, LinkMode.HARDLINK):
        parts, elsewhere = parts_from(root, source, mode)
        elsewhere.stop()
        if parts.salvage(SHA256, SIZE, []) == "reflinked":
            pytest.skip("a reflink takes no time that could be stopped")
        assert parts.held() == {}
        assert elsewhere.stale == ()


@pytest.mark.parametrize("mode", MODES)
def test_bytes_that_were_received_in_its_place_make_a_row_stale(
    root: Root, source: Path, mode: LinkMode
) -> None:
    wrong = bytes([DATA[0] ^ 1]) + DATA[1:]
    source.write_bytes(wrong)
    parts, elsewhere = parts_from(root, source, mode)
    if parts.salvage(SHA256, SIZE, []):
        with parts.claim(SHA256, SIZE) as part:
            assert part.digests().sha256 != SHA256
            part.restart()
            part.write(DATA, 0)
    assert elsewhere.stale == (known(source),)
    assert source.read_bytes() == wrong


@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_changes_all_the_while_never_gets_a_name(
    root: Root, source: Path, mode: LinkMode
) -> None:
    enough = threading.Event()

    def scribble() -> None:
        with source.open("r+b") as file:
            while not enough.is_set():
                for byte in (b"?", DATA[-1:]):
                    file.seek(SIZE - 1)
                    file.write(byte)
                    file.flush()

    store = DiskStore(root)
    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for turn in range(10):
            parts, _ = parts_from(root, source, mode)
            target = parse_path(f"vae/{turn}")
            if not parts.salvage(SHA256, SIZE, []):
                continue
            with parts.claim(SHA256, SIZE) as part:
                try:
                    publish_part(store, part, target)
                except (DiskError, IntegrityError):
                    part.restart()
                    continue
            if mode is not LinkMode.HARDLINK:
                # Of a hard link no more can be said than that it was right when it got its name.
                assert (root.path / target).read_bytes() == DATA
    finally:
        enough.set()
        writer.join()


# --- hard links --------------------------------------------------------------------------------


@pytest.fixture
def linked(root: Root, source: Path) -> DiskParts:
    parts, _ = parts_from(root, source, LinkMode.HARDLINK)
    if parts.salvage(SHA256, SIZE, []) != "hardlinked":
        pytest.skip("this file system reflinks, or has no hard links")
    return parts


def test_a_hard_link_refuses_every_byte(linked: DiskParts, source: Path) -> None:
    with linked.claim(SHA256, SIZE) as part:
        part.restart()
        assert part.done.total == 0
        with pytest.raises(DiskError, match="never written to"):
            part.write(b"?", 0)
    assert source.read_bytes() == DATA
    assert linked.held() == {}


def test_a_hard_link_that_somebody_changed_since_it_was_hashed_gets_no_name(
    linked: DiskParts, root: Root, source: Path
) -> None:
    with linked.claim(SHA256, SIZE) as part:
        os.chmod(source, 0o600)
        source.write_bytes(b"?" + DATA[1:])
        with pytest.raises(DiskError, match="somebody changed"):
            publish_part(DiskStore(root), part, PATH)
    assert not (root.path / PATH).exists()
    assert linked.held() == {}


def test_a_hard_link_in_quarantine_leaves_the_file_as_it_is(
    linked: DiskParts, source: Path
) -> None:
    with linked.claim(SHA256, SIZE) as part:
        linked.quarantine(part, "wrong format")
    assert source.read_bytes() == DATA
    assert linked.salvage(SHA256, SIZE, []) == "restored"
    with linked.claim(SHA256, SIZE) as part:
        # A part with a second name is copied before anybody may write to it.
        part.restart()
        part.write(b"?", 0)
    assert source.read_bytes() == DATA


def test_a_file_that_is_not_the_right_one_keeps_its_mode(root: Root, source: Path) -> None:
    source.write_bytes(b"?" + DATA[1:])
    parts, _ = parts_from(root, source, LinkMode.HARDLINK)
    before = source.stat().st_mode
    parts.salvage(SHA256, SIZE, [])
    assert source.stat().st_mode == before
    assert source.stat().st_nlink == 1


def test_a_hard_link_is_read_only_from_then_on(linked: DiskParts, source: Path) -> None:
    with linked.claim(SHA256, SIZE):
        assert stat.S_IMODE(source.stat().st_mode) & 0o222 == 0
        assert source.stat().st_nlink == 2


# --- the index ----------------------------------------------------------------------------------


def receipt_of(place: Path, root_id: str = "one") -> Receipt:
    mine = Owned(path=PATH, sha256=SHA256, stamp=stamp_of(place.stat()))
    return Receipt(root_id=root_id, owned={PATH: mine})


def test_what_was_noted_is_found_and_what_was_forgotten_is_not(
    tmp_path: Path, source: Path
) -> None:
    index = KnownFiles(tmp_path / "state")
    assert index.find({SHA256}) == {}
    index.note(known(source).root, receipt_of(source))
    assert index.find({SHA256, "0" * 64}) == {SHA256: [known(source)]}
    index.forget([known(source)])
    assert index.find({SHA256}) == {}


def test_a_root_that_moved_is_found_where_it_is_now(tmp_path: Path, source: Path) -> None:
    index = KnownFiles(tmp_path / "state")
    index.note("/old", receipt_of(source))
    index.note("/new", receipt_of(source))
    assert [each.root for each in index.find({SHA256})[SHA256]] == ["/new"]


def test_a_row_that_was_noted_anew_is_not_forgotten(tmp_path: Path, source: Path) -> None:
    index = KnownFiles(tmp_path / "state")
    before = known(source)
    source.write_bytes(DATA + b"x")
    index.note(before.root, receipt_of(source))
    index.forget([before])
    assert index.find({SHA256}) == {SHA256: [known(source)]}


def test_a_root_without_a_marker_is_not_noted(tmp_path: Path, source: Path) -> None:
    index = KnownFiles(tmp_path / "state")
    index.note(known(source).root, receipt_of(source, root_id=""))
    assert index.find({SHA256}) == {}


def test_ten_thousand_contents_are_asked_for_at_once(tmp_path: Path, source: Path) -> None:
    index = KnownFiles(tmp_path / "state")
    stamp = stamp_of(source.stat())
    owned = {
        path: Owned(path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), stamp=stamp)
        for path in (parse_path(f"loras/{number}") for number in range(10_000))
    }
    index.note("/one", Receipt(root_id="one", owned=owned))
    found = index.find({each.sha256 for each in owned.values()})
    assert {each.path for places in found.values() for each in places} == set(owned)


def test_several_threads_may_note_their_roots_at_once(tmp_path: Path, source: Path) -> None:
    index = KnownFiles(tmp_path / "state")
    receipts = {f"/root{number}": receipt_of(source, str(number)) for number in range(6)}
    threads = [threading.Thread(target=index.note, args=pair) for pair in receipts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.root for each in index.find({SHA256})[SHA256]} == set(receipts)
