"""`civsync verify`: every byte is read again, and what differs is named."""

import os
from pathlib import Path

import pytest

from civsync.demo.served import serve
from civsync.demo.world import demo_registry
from support.cli import Project
from support.published import faults

STYLE = "loras/paper_theatre_v2.safetensors"
GARDEN = "loras/inkwash_garden.safetensors"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A synced tree of two files, after which the registry is gone."""
    project = Project(tmp_path)
    project.write("model: 1133590", "model: 967204")
    with serve(demo_registry()) as served:
        ran = project.call("sync", env={"CIVSYNC_API_URL": served.api_url})
        assert ran.status == 0, ran.err
    return project


def test_a_whole_tree_is_as_locked(project: Project) -> None:
    ran = project.call("verify")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("2 of 2 files as locked, 672.0 KiB in ")
    shown = project.call("verify", "--json")
    assert faults(shown.json) == []
    assert (shown.json["files"], shown.json["right"], shown.json["faults"]) == (2, 2, [])


@pytest.mark.fault("4.3/rot", "hand edit")
def test_each_file_that_differs_is_named_with_both_hashes_and_nothing_is_touched(
    project: Project,
) -> None:
    path = project.root / STYLE
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    (project.root / GARDEN).unlink()
    before = project.files()
    ran = project.run("verify")
    assert ran.status == 5
    assert f"differs  {STYLE}: has SHA-256 " in ran.out
    assert f"({len(data)} bytes)" in ran.out
    assert f"differs  {GARDEN}: missing" in ran.out
    assert "0 of 2 files as locked" in ran.err
    assert "Run `civsync sync`" in ran.err
    shown = project.run("verify", "--json")
    assert faults(shown.json) == []
    codes = {fault["path"]: fault["error"]["code"] for fault in shown.json["faults"]}
    assert codes == {STYLE: "differs", GARDEN: "differs"}
    assert project.files() == before


@pytest.mark.fault("4.3/rot", "truncation")
def test_a_truncated_file_is_told_by_its_size(project: Project) -> None:
    path = project.root / STYLE
    path.write_bytes(path.read_bytes()[:-1])
    ran = project.call("verify")
    assert ran.status == 5
    assert f"differs  {STYLE}" in ran.out


def test_foreign_files_are_not_looked_at(project: Project) -> None:
    (project.root / "loras" / "mine.safetensors").write_bytes(b"mine")
    assert project.call("verify").status == 0


def test_what_stands_in_the_way_is_a_refusal(project: Project) -> None:
    path = project.root / STYLE
    path.unlink()
    path.mkdir()
    ran = project.call("verify")
    assert (ran.status, f"differs  {STYLE}" in ran.out) == (8, True)


@pytest.mark.fault("4.3/rot", "a flipped bit, time restored")
def test_rot_that_verify_found_is_known_to_status_and_mended_by_sync(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("model: 1133590", "model: 967204")
    with serve(demo_registry()) as served:
        project.environment["CIVSYNC_API_URL"] = served.api_url
        assert project.call("sync").status == 0
        path = project.root / STYLE
        right, times = path.read_bytes(), path.stat()
        path.write_bytes(right[:1000] + bytes([right[1000] ^ 1]) + right[1001:])
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert project.call("status", "--exit-code").status == 0
        assert project.call("verify").status == 5
        assert "modified" in project.call("status").out
        assert project.call("sync").status == 8
        mended = project.call("sync", "--force-modified", "--json").events
    assert [event["how"] for event in mended if event["event"] == "done"] == ["fetched"]
    assert [event for event in mended if event["event"] == "noted"] == []
    assert path.read_bytes() == right
    assert project.call("verify").status == 0
    assert project.call("status", "--exit-code").status == 0


def test_a_file_put_right_by_hand_is_believed_again(project: Project) -> None:
    path = project.root / STYLE
    right, times = path.read_bytes(), path.stat()
    for data, status in ((b"x" + right[1:], 5), (right, 0)):
        path.write_bytes(data)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert project.call("verify").status == status
    assert project.call("status", "--exit-code").status == 0
