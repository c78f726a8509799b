"""One civsync at a time on a root, and who it is."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.disk.lockfile import hold_root
from civsync.disk.root import Root
from support.disk_worlds import make_root

HOLDER = """
import sys
from pathlib import Path
from civsync.disk.lockfile import hold_root
from civsync.disk.root import open_root

root = open_root(Path(sys.argv[1]), state_dir=Path(sys.argv[2]))
with hold_root(root, command="civsync sync"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return make_root(tmp_path)


def refusal(root: Root, wait_s: float = 0) -> DiskError:
    with pytest.raises(DiskError) as error, hold_root(root, wait_s=wait_s):
        pass
    assert error.value.code is Code.ROOT_BUSY
    return error.value


def test_a_root_is_held_once_and_free_afterwards(root: Root) -> None:
    with hold_root(root, command="civsync sync") as really:
        assert really
        refusal(root)
        refusal(root, wait_s=0.01)
    with hold_root(root):
        pass


@pytest.mark.fault("4.4/left-behind", "after a kill")
def test_the_second_says_who_holds_the_root_and_a_kill_frees_it(root: Root, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", HOLDER, root.path, tmp_path / "state"]
    began = int(time.time())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        error = refusal(root)
        assert error.data["pid"] == holder.pid
        assert "`civsync sync`" in error.message
        assert f"(process {holder.pid} on " in error.message
        since = datetime.fromisoformat(str(error.data["since"]))
        assert began <= since.timestamp() <= time.time()
        assert f", since {since:%Y-%m-%d %H:%M:%S})" in error.message
        holder.kill()
    with hold_root(root):
        pass


def test_who_waits_is_told_once_for_whom(root: Root) -> None:
    told: list[DiskError] = []
    with (
        hold_root(root, command="civsync sync"),
        pytest.raises(DiskError) as error,
        hold_root(root, wait_s=0.25, waiting=told.append),
    ):
        pass
    assert [each.message for each in told] == [error.value.message]


@pytest.mark.parametrize("since", [-1, 10**30, "yesterday"], ids=str)
def test_a_time_that_is_none_does_not_matter(root: Root, since: object) -> None:
    with hold_root(root):
        note = {"pid": 1, "host": "h", "command": "c", "since": since}
        (root.path / ".civsync/lock").write_text(json.dumps(note))
        assert "since" not in refusal(root).message


def test_waiting_ends_when_the_holder_does(root: Root, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", HOLDER, root.path, tmp_path / "state"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        with hold_root(root, wait_s=60) as really:
            assert really


@pytest.mark.parametrize("note", [b"", b"garbage", b'{"pid":"x"}', b"\0" * 9000])
def test_a_note_that_makes_no_sense_does_not_matter(root: Root, note: bytes) -> None:
    with hold_root(root):
        (root.path / ".civsync/lock").write_bytes(note)
        assert refusal(root).message == "another civsync holds this root"
