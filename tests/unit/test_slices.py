"""A look at many things is split over processes, and one no anywhere is a no.

Each test is a process of its own: one with threads, as a test worker is, never forks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SEVERAL = sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1

ASKED = """
import json, os, sys, threading
from civsync.disk import slices

log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def check(begin, end, answer=lambda begin, end: True):
    os.write(log, f"[{begin}, {end}, {os.getpid()}]\\n".encode())
    return answer(begin, end)

def fail(begin, end):
    raise OSError("no such disk")

def processes_left():
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return False
    return True

COUNT = 40_001
"""


def asked(folder: Path, script: str) -> tuple[Any, list[list[int]]]:
    """Run a script; return what it prints, and which slices which process was asked about."""
    ran = subprocess.run(
        [sys.executable, "-c", ASKED + script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = (folder / "log").read_text().splitlines()
    return json.loads(ran.stdout), sorted(map(json.loads, lines))


def covers(slices: list[list[int]], count: int) -> bool:
    """Tell whether the slices make up the range, without a gap and without asking twice."""
    ends = [0, *(end for _, end, _ in slices)]
    return [begin for begin, _, _ in slices] == ends[:-1] and ends[-1] == count


def test_all_is_looked_at_once_in_as_many_processes_as_there_may_be(tmp_path: Path) -> None:
    held, slices = asked(tmp_path, "print(json.dumps(slices.holds_for_all(check, COUNT)))")
    assert held is True
    assert covers(slices, 40_001)
    processes = {process for _, _, process in slices}
    assert len(processes) == len(slices)
    assert (len(processes) > 1) is SEVERAL


@pytest.mark.parametrize("at", [0, 20_000, 40_000])
def test_one_no_anywhere_is_a_no(at: int, tmp_path: Path) -> None:
    held, _ = asked(
        tmp_path,
        f"no = lambda begin, end: check(begin, end, lambda begin, end: not begin <= {at} < end)\n"
        "print(json.dumps(slices.holds_for_all(no, COUNT)))",
    )
    assert held is False


@pytest.mark.skipif(not SEVERAL, reason="one process looks at all")
def test_a_failure_in_another_process_is_a_no_and_leaves_no_process(tmp_path: Path) -> None:
    told, _ = asked(
        tmp_path,
        "bad = lambda begin, end: check(begin, end, fail if begin else lambda *_: True)\n"
        "held = slices.holds_for_all(bad, COUNT)\n"
        "print(json.dumps([held, processes_left()]))",
    )
    assert told == [False, False]


def test_a_failure_here_is_raised_and_leaves_no_process(tmp_path: Path) -> None:
    told, _ = asked(
        tmp_path,
        "bad = lambda begin, end: check(begin, end, lambda *_: True if begin else fail(0, 0))\n"
        "try:\n    slices.holds_for_all(bad, COUNT)\n"
        "except OSError as error:\n    said = str(error)\n"
        "print(json.dumps([said, processes_left()]))",
    )
    assert told == ["no such disk", False]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(
            "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
            id="other threads",
        ),
        pytest.param("def none():\n    raise OSError\nos.fork = none\n", id="no more processes"),
        pytest.param("COUNT = 7_999\n", id="few things"),
    ],
)
def test_where_there_can_be_no_other_process_this_one_looks_at_all(
    before: str, tmp_path: Path
) -> None:
    told, slices = asked(
        tmp_path, before + "print(json.dumps([slices.holds_for_all(check, COUNT), COUNT]))"
    )
    assert told[0] is True
    assert [row[:2] for row in slices] == [[0, told[1]]]


def test_when_processes_run_out_half_way_this_one_looks_at_the_rest(tmp_path: Path) -> None:
    held, slices = asked(
        tmp_path,
        "fork, left = os.fork, [None]\n"
        "def once():\n    if not left:\n        raise OSError\n    left.pop()\n    return fork()\n"
        "os.fork = once\nslices._processors = lambda: 4\n"
        "print(json.dumps(slices.holds_for_all(check, COUNT)))",
    )
    assert held is True
    assert [row[:2] for row in slices] == [[0, 30_000], [30_000, 40_001]]


CHANGED = """
import json, os
from civsync.disk.beneath import Beneath
from civsync.disk.settled import is_unchanged
from civsync.documents.settled import Stamped

os.mkdir("root")
paths = [f"{number}.bin" for number in range(8_000)]
for path in paths:
    open(f"root/{path}", "xb").close()
looks = [os.stat(f"root/{path}") for path in paths]
stamped = Stamped(
    paths=paths,
    mtimes_ns=[look.st_mtime_ns for look in looks],
    sizes=[0] * len(paths),
    inodes=[look.st_ino for look in looks],
)
beneath = Beneath(os.path.abspath("root"))
seen = [is_unchanged(beneath, stamped)]
for path in (paths[0], paths[-1]):
    with open(f"root/{path}", "wb") as file:
        file.write(b"1")
    seen.append(is_unchanged(beneath, stamped))
    os.truncate(f"root/{path}", 0)
    look = looks[int(path.split(".")[0])]
    os.utime(f"root/{path}", ns=(look.st_atime_ns, look.st_mtime_ns))
    seen.append(is_unchanged(beneath, stamped))
print(json.dumps(seen))
"""


def test_a_change_among_many_files_is_seen_in_the_first_and_in_the_last(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHANGED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(ran.stdout) == [True, False, True, False, True]
