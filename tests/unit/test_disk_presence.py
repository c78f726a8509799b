"""One civsync at a time where file locks prove nothing: by a name for each, seen by all."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.disk.beneath import Beneath
from civsync.disk.folder import Folder
from civsync.disk.machine import this_host
from civsync.disk.presence import CrowdedError, be_alone, locks_lie

ELSEWHERE = "0" * 12


@pytest.fixture(params=[False, True], ids=["descriptors", "plain"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    with Beneath(str(tmp_path), plain=request.param).folder("") as opened:
        yield opened


def leave(folder: Folder, pid: int, host: str, *, age_s: float = 0, began: int = 0) -> None:
    """Leave what a process leaves that was killed so many seconds ago."""
    path = Path(folder.real) / f"here.{pid}-{began}-{host}-{os.urandom(6).hex()}"
    path.write_bytes(b"note of another")
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_whoever_comes_second_goes_away_and_learns_of_the_first(folder: Folder) -> None:
    with be_alone(folder, b"the first"):
        with pytest.raises(CrowdedError) as crowded, be_alone(folder, b"the second"):
            pass
        assert crowded.value.note == b"the first"
    with be_alone(folder, b"the third"):
        pass
    assert folder.names() == []


def test_of_many_at_once_never_two_are_alone(folder: Folder) -> None:
    inside: list[int] = []
    most: list[int] = []

    def come() -> None:
        for _ in range(5):
            try:
                with be_alone(folder, b""):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except CrowdedError:
                pass

    threads = [threading.Thread(target=come) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(most) == {1}
    assert folder.names() == []


@pytest.mark.fault("4.4/left-behind", "after a kill")
def test_the_dead_do_not_count(folder: Folder) -> None:
    leave(folder, dead_pid(), this_host())
    with be_alone(folder, b""):
        assert len(folder.names()) == 1


@pytest.mark.fault("4.4/left-behind", "process id used again")
@pytest.mark.skipif(sys.platform != "linux", reason="only there is it known when one began")
def test_another_process_with_the_id_of_a_dead_one_does_not_count(folder: Folder) -> None:
    leave(folder, os.getpid(), this_host(), began=1)
    with be_alone(folder, b""):
        pass


@pytest.mark.fault("4.4/left-behind", "another host")
def test_another_host_counts_as_long_as_it_touches_its_file(folder: Folder) -> None:
    leave(folder, 1, ELSEWHERE, age_s=100)
    with pytest.raises(CrowdedError) as crowded, be_alone(folder, b""):
        pass
    assert crowded.value.note == b"note of another"


@pytest.mark.fault("4.4/left-behind", "another host")
def test_another_host_that_was_silent_for_long_is_forgotten(folder: Folder) -> None:
    leave(folder, 1, ELSEWHERE, age_s=1000)
    with be_alone(folder, b""):
        assert len(folder.names()) == 1


@pytest.mark.fault("4.4/left-behind", "another host")
def test_another_host_that_died_before_its_clock_was_put_back_is_forgotten(folder: Folder) -> None:
    leave(folder, 1, ELSEWHERE, age_s=-1000)
    with be_alone(folder, b""):
        assert len(folder.names()) == 1


def test_honest_locks_are_known_as_such(folder: Folder) -> None:
    (Path(folder.real) / "lock").touch()
    fcntl = pytest.importorskip("fcntl", reason="no such locks here")
    with open(Path(folder.real) / "lock", "rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not locks_lie(folder, "lock")
