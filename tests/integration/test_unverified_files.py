"""`allow_unverified: true` from end to end: downloaded once, recorded, and never spliced."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Fault, Stall
from civsync.demo.registry import File, Registry
from civsync.demo.served import Served, serve
from support.cli import Project

pytestmark = pytest.mark.slow  # whole processes, one after another

ROUTE = "/api/download/"
KIB = 1024
BIG = 512 * KIB
PATIENCE_S = 30
ENTRY = "{model: 7, allow_unverified: true}"


@pytest.fixture
def served() -> Iterator[Served]:
    registry = Registry()
    version = registry.add_model("Unscanned", id=7).add_version(id=70)
    version.add_file(
        "unscanned.safetensors",
        safetensors("first", BIG),
        id=700,
        hashes={},
        pickle_scan="Pending",
        virus_scan="Pending",
        scanned_at=None,
    )
    registry.add_model("Scanned", id=8).add_version(id=80).add_file("scanned.safetensors", id=800)
    with serve(registry) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    project = Project(tmp_path / "project", served.api_url)
    project.write(ENTRY, head="layout: flat\n")
    return project


def file_of(served: Served) -> File:
    return served.registry.models[7].versions[0].files[0]


def recorded(project: Project) -> dict[str, Any]:
    """The record of the file in the lock."""
    [entry] = [e for e in json.loads(project.lock.read_bytes())["entries"] if e["key"][0] == "7"]
    [file] = entry["files"]
    assert isinstance(file, dict)
    return file


def without_hash(project: Project) -> None:
    """Take the hash out of the lock, as an editor may."""
    text = project.lock.read_text("utf-8")
    project.lock.write_text(text.replace(recorded(project)["sha256"], ""), "utf-8")


def whole(served: Served) -> bytes:
    """What upstream has there now."""
    return read(file_of(served).body)


@contextmanager
def stalled(served: Served, project: Project, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command whose download stops in the middle; the caller ends it there."""
    released = threading.Event()
    served.faults.add(Fault(does=Stall(released, after=200 * KIB), origin="storage", skip=1))
    process = project.start(*words)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not any(path.stat().st_size for path in project.root.rglob("*.claim")):
            if time.monotonic() > deadline:
                raise TimeoutError("nothing arrived on disk")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        released.set()
        served.faults.clear()


def stop_half_way(served: Served, project: Project, number: int, *words: str) -> int:
    """Send a signal in the middle of the download; returns how the process ended."""
    with stalled(served, project, *words) as process:
        process.send_signal(number)
        process.wait(timeout=PATIENCE_S)
    served.reset_counts()
    return process.returncode


@pytest.mark.fault("4.2/json", "missing hashes")
def test_lock_downloads_it_once_and_sync_not_again(served: Served, project: Project) -> None:
    ran = project.run("lock")
    assert ran.status == 0, ran.err
    assert "publishes no SHA-256" in ran.err
    assert recorded(project)["sha256"] == file_of(served).sha256.lower()
    assert recorded(project)["hashes"] == {}
    assert served.count(path_prefix=ROUTE) == 1
    assert project.files() == {}

    served.reset_counts()
    ran = project.run("sync")
    assert ran.status == 0, ran.err
    assert project.files() == {"unscanned.safetensors": whole(served)}
    assert served.count(path_prefix=ROUTE) == served.count(origin="storage") == 0


def test_a_plain_sync_does_both(served: Served, project: Project) -> None:
    ran = project.run("sync", "--json")
    assert ran.status == 0, ran.err
    assert project.files() == {"unscanned.safetensors": whole(served)}
    assert served.count(path_prefix=ROUTE) == 1
    events = [event["event"] for event in ran.events]
    assert events.index("recording") < events.index("planned")
    assert project.run("sync", "--locked", "--check").status == 0


def test_a_recorded_hash_stays_when_the_lock_is_made_again(
    served: Served, project: Project
) -> None:
    project.run("lock")
    before = project.lock.read_bytes()
    served.reset_counts()
    for words in (["lock"], ["lock", "--upgrade"]):
        assert project.run(*words).status == 0
        assert project.lock.read_bytes() == before
    assert served.count(path_prefix=ROUTE) == 0


def test_another_machine_gets_those_bytes_or_none(served: Served, project: Project) -> None:
    project.run("lock")
    there = Project(project.folder.parent / "there", served.api_url)
    for name in ("civsync.yaml", "civsync.lock"):
        (there.folder / name).write_bytes((project.folder / name).read_bytes())
    file_of(served).put(safetensors("other", BIG))
    ran = there.run("sync", "--frozen")
    assert ran.status == 5
    assert "hash-mismatch" in ran.err
    assert there.files() == {}


@pytest.mark.parametrize(("same", "status"), [(True, 0), (False, 5)], ids=["same", "another"])
def test_what_civitai_publishes_later_must_be_the_recorded_hash(
    served: Served, project: Project, same: bool, status: int
) -> None:
    project.run("lock")
    before = recorded(project)["sha256"]
    file_of(served).hashes = {"SHA256": before.upper() if same else "AB" * 32}
    ran = project.run("lock", "--upgrade")
    assert ran.status == status, ran.err
    assert ("content-changed" in ran.err) != same
    assert recorded(project)["sha256"] == before


@pytest.mark.parametrize("mode", ["--frozen", "--locked"])
def test_a_record_without_a_hash_is_refused_and_the_others_are_not(
    served: Served, project: Project, mode: str
) -> None:
    project.write(ENTRY, "model: 8", head="layout: flat\n")
    project.run("lock")
    without_hash(project)
    ran = project.run("sync", mode)
    assert ran.status == 8, ran.err
    assert "[unverified]" in ran.err
    assert "civsync lock" in ran.err
    assert list(project.files()) == ["scanned.safetensors"]
    assert recorded(project)["sha256"] == ""
    assert project.run("lock", "--check").status == 3
    assert project.run("sync").status == 0
    assert sorted(project.files()) == ["scanned.safetensors", "unscanned.safetensors"]


def test_a_dry_run_says_what_it_would_download(served: Served, project: Project) -> None:
    ran = project.run("lock", "--dry-run")
    assert ran.status == 0, ran.err
    assert "Would download unscanned.safetensors (512.0 KiB) once to record" in ran.err
    document = project.run("lock", "--dry-run", "--json").json
    assert document["to_record"] == ["unscanned.safetensors"]
    assert document["written"] is False
    assert not project.lock.exists()
    assert not project.root.exists()
    assert served.count(path_prefix=ROUTE) == served.count(origin="storage") == 0


@pytest.mark.parametrize(("flag", "status"), [("--dry-run", 0), ("--check", 2)])
def test_a_look_at_a_sync_downloads_nothing(
    served: Served, project: Project, flag: str, status: int
) -> None:
    ran = project.run("sync", flag)
    assert ran.status == status, ran.err
    assert "Would download unscanned.safetensors" in ran.err
    assert "1 to download" in ran.out
    assert not project.root.exists()
    assert served.count(path_prefix=ROUTE) == 0


@pytest.mark.fault("4.2/json", "missing hashes")
def test_without_the_word_of_the_user_nothing_is_locked(served: Served, project: Project) -> None:
    project.write("model: 7")
    ran = project.run("lock")
    assert ran.status == 65
    assert "no-hash" in ran.err
    assert "allow_unverified" in ran.err
    assert served.count(path_prefix=ROUTE) == 0


def test_a_failed_download_fails_its_entry_and_writes_no_lock(
    served: Served, project: Project
) -> None:
    project.write("model: 8", ENTRY, head="layout: flat\n")
    served.registry.downloads_need_login = True
    ran = project.run("lock", "--json")
    assert ran.status == 6, ran.err
    assert [error["entry"] for error in ran.json["errors"]] == ["7@latest"]
    assert ran.json["errors"][0]["code"] == "login-needed"
    assert not project.lock.exists()


def test_a_pickle_in_disguise_is_not_recorded(served: Served, project: Project) -> None:
    file_of(served).put(b"\x80\x02}q\x00." * 100)
    ran = project.run("lock")
    assert ran.status == 5
    assert "format-mismatch" in ran.err
    assert not project.lock.exists()


def test_a_busy_root_is_not_touched(served: Served, project: Project) -> None:
    with stalled(served, project, "lock"):
        ran = project.run("lock")
    assert ran.status == 75
    assert "root-busy" in ran.err
    assert not project.lock.exists()


@pytest.mark.parametrize(
    ("command", "number", "status"),
    [
        ("lock", signal.SIGINT, 130),
        ("sync", signal.SIGINT, 130),
        ("lock", signal.SIGTERM, -signal.SIGTERM),
        ("lock", signal.SIGKILL, -signal.SIGKILL),
    ],
    ids=lambda each: str(getattr(each, "name", each)),
)
def test_an_interrupted_download_is_gone_on_from(
    served: Served, project: Project, command: str, number: signal.Signals, status: int
) -> None:
    assert stop_half_way(served, project, number, command) == status
    assert not project.lock.exists()
    assert project.files() == {}
    ran = project.run("sync")
    assert ran.status == 0, ran.err
    assert project.files() == {"unscanned.safetensors": whole(served)}
    assert recorded(project)["sha256"] == file_of(served).sha256.lower()
    resumed = [r.header("range") for r in served.requests if r.header("if-range")]
    assert len(resumed) == 1


def test_a_file_replaced_between_two_runs_is_not_spliced(served: Served, project: Project) -> None:
    stop_half_way(served, project, signal.SIGKILL, "lock")
    file_of(served).put(safetensors("second", BIG))
    ran = project.run("sync")
    assert ran.status == 0, ran.err
    assert project.files() == {"unscanned.safetensors": whole(served)}
    assert recorded(project)["sha256"] == file_of(served).sha256.lower()
