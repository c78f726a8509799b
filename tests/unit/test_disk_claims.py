"""Parts that dead, living and unknown processes left behind."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.core.limits import PART_DAYS, TRASH_DAYS
from civsync.core.names import parse_path
from civsync.disk.machine import this_host
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root
from civsync.disk.store import DiskStore
from support.disk_worlds import make_root

DATA = b"0123456789" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)
DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return make_root(tmp_path)


def leave(root: Root, name: str, data: bytes) -> Path:
    place = root.path / ".civsync/parts" / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    return place


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def claim_name(pid: int, host: str, token: str = "0" * 12) -> str:
    return f"{SHA256}.{pid}-{host}-{token}.claim"


def finish(root: Root, *, expect: int) -> None:
    with DiskParts(root).claim(SHA256, SIZE) as part:
        assert part.done.total == expect
        part.write(DATA[expect:], part.done.prefix)
        assert part.digests().sha256 == SHA256


@pytest.mark.fault("4.4/left-behind", "after a kill")
def test_what_a_killed_process_received_is_taken_over(root: Root) -> None:
    place = leave(root, claim_name(dead_pid(), this_host()), DATA[:4000])
    inode = place.stat().st_ino
    assert DiskParts(root).held().get(SHA256, 0) == 4000
    with DiskParts(root).claim(SHA256, SIZE) as part:
        assert (part.done.total, part.stamp.inode) == (4000, inode)
    assert os.listdir(place.parent) == [f"{SHA256}.part"]


@pytest.mark.fault("4.4/left-behind", "process id used again", "another host")
@pytest.mark.parametrize(
    ("pid", "host"),
    [
        pytest.param(os.getpid(), this_host(), id="pid-used-again"),
        pytest.param(1, "0123456789ab", id="other-host"),
    ],
)
def test_what_an_unknown_process_may_still_hold_is_copied(root: Root, pid: int, host: str) -> None:
    place = leave(root, claim_name(pid, host), DATA[:4000])
    with open(place, "r+b") as still_open:
        finish(root, expect=4000)
        still_open.seek(0)
        still_open.write(b"a late write of a process that was thought dead")
    finish(root, expect=SIZE)


def test_the_longest_of_several_leftovers_is_taken(root: Root) -> None:
    pid = dead_pid()
    for length in (10, 4000, 300):
        leave(root, claim_name(pid, this_host(), f"{length:012x}"), DATA[:length])
    finish(root, expect=4000)


def test_a_part_with_a_second_name_is_never_written_to(root: Root, tmp_path: Path) -> None:
    place = leave(root, f"{SHA256}.part", DATA[:4000])
    os.link(place, tmp_path / "precious")
    finish(root, expect=4000)
    assert (tmp_path / "precious").read_bytes() == DATA[:4000]


def test_a_part_that_is_a_link_is_dropped_and_not_followed(root: Root, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(DATA[:4000])
    (root.path / ".civsync/parts").mkdir()
    (root.path / f".civsync/parts/{SHA256}.part").symlink_to(tmp_path / "precious")
    finish(root, expect=0)
    assert (tmp_path / "precious").read_bytes() == DATA[:4000]


def test_wrong_bytes_in_a_part_are_found_by_their_hash(root: Root) -> None:
    leave(root, f"{SHA256}.part", b"x" + DATA[1:4000])
    with DiskParts(root).claim(SHA256, SIZE) as part:
        part.write(DATA[4000:], part.done.prefix)
        assert part.digests().sha256 != SHA256


HOLDER = """
import sys
from pathlib import Path
from civsync.disk.parts import DiskParts
from civsync.disk.root import open_root

root = open_root(Path(sys.argv[1]), state_dir=Path(sys.argv[2]))
with DiskParts(root).claim(sys.argv[3], 10000) as part:
    part.write(b"0123456789", part.done.prefix)
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.fault("4.4/left-behind", "after a kill")
def test_a_part_that_a_living_process_holds_is_busy_and_free_after_a_kill(
    root: Root, tmp_path: Path
) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-c",
        HOLDER,
        root.path,
        tmp_path / "state",
        SHA256,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DiskError) as error, DiskParts(root).claim(SHA256, SIZE):
            pass
        assert error.value.code is Code.ROOT_BUSY
        assert DiskParts(root).sweep(time.time_ns() + 1000 * DAY_NS) == 0
        holder.kill()
    finish(root, expect=10)


def test_salvaged_bytes_that_are_still_a_file_are_not_written_to(root: Root) -> None:
    # A replacement that was cut off leaves one file under its name and in trash.
    path = root.path / "a.pt"
    path.write_bytes(DATA)
    (root.path / ".civsync/trash").mkdir()
    os.link(path, root.path / f".civsync/trash/{SHA256}.1.{'0' * 12}.retired")
    parts = DiskParts(root)
    assert parts.salvage(SHA256, SIZE, [])
    with parts.claim(SHA256, SIZE) as part:
        part.restart()
    assert path.read_bytes() == DATA


def test_something_of_the_right_size_in_trash_is_not_taken_for_the_right_thing(root: Root) -> None:
    edited = root.path / f".civsync/trash/unhashed.1.{'0' * 12}.retired"
    edited.parent.mkdir()
    edited.write_bytes(b"x" * SIZE)
    assert not DiskParts(root).salvage(SHA256, SIZE, [])
    assert edited.exists()


def test_sweeping_deletes_what_waited_long_enough_and_nothing_else(root: Root) -> None:
    now = time.time_ns()
    other, wanted = "1" * 64, "2" * 64
    leave(root, f"{other}.part", b"old")
    leave(root, claim_name(dead_pid(), this_host()), b"old")
    leave(root, f"{wanted}.part", b"old")
    later = now + (PART_DAYS + 1) * DAY_NS
    parts = DiskParts(root, lambda: later / 1e9)
    assert DiskParts(root).sweep(now, wanted={wanted}) == 0
    assert parts.sweep(later, wanted={wanted}) == 2
    assert os.listdir(root.path / ".civsync/parts") == [f"{wanted}.part"]


def test_a_second_name_that_a_kill_left_of_a_published_file_is_swept_at_once(root: Root) -> None:
    (root.path / "a.pt").write_bytes(DATA)
    claim = root.path / ".civsync/parts" / claim_name(dead_pid(), this_host())
    claim.parent.mkdir()
    os.link(root.path / "a.pt", claim)
    assert DiskParts(root).sweep(time.time_ns(), wanted={SHA256}) == 1
    assert not claim.exists()
    assert (root.path / "a.pt").read_bytes() == DATA


@pytest.mark.parametrize(("days", "swept"), [(TRASH_DAYS - 1, 0), (TRASH_DAYS + 1, 1)])
def test_trash_is_kept_for_its_days_however_old_the_file_is(
    root: Root, days: int, swept: int
) -> None:
    path = parse_path("a.pt")
    (root.path / path).write_bytes(DATA)
    os.utime(root.path / path, (1, 1))
    store = DiskStore(root)
    _, stamp = store.digest(path)
    store.retire(path, expected=stamp, sha256=SHA256)
    later = time.time_ns() + days * DAY_NS
    assert DiskParts(root, lambda: later / 1e9).sweep(later) == swept
    assert len(os.listdir(root.path / ".civsync/trash")) == 2 * (1 - swept)
