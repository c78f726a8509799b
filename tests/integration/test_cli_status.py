"""`civsync status`: offline, quick, and honest about what changed since civsync wrote it."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.cli.settings import Settings
from civsync.cli.wiring import open_disk
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry
from civsync.documents.lock import read_lock
from civsync.engine.world import look
from support.cli import Project
from support.published import faults

THEATRE, WASH, GRAVEL = 1133590, 967204, 588213
STYLE = "loras/paper_theatre_v2.safetensors"
GARDEN = "loras/inkwash_garden.safetensors"
NOWHERE = "http://127.0.0.1:1"
LONG_AGO_NS = 1_600_000_000_123_456_789


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    """A synced tree of two files, after which the network is gone."""
    project = Project(tmp_path / "project", served.api_url)
    project.write(f"model: {THEATRE}", f"model: {WASH}")
    ran = project.call("sync")
    assert ran.status == 0, ran.err
    served.reset_counts()
    project.environment["CIVSYNC_API_URL"] = NOWHERE
    return project


def let_age(project: Project) -> None:
    """Give every file a time long ago, and let civsync learn it."""
    for name in (STYLE, GARDEN):
        os.utime(project.root / name, ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert project.call("status").status == 0


def corrupt_unseen(path: Path) -> None:
    """Change a byte, and leave size, time and inode as they were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_ino, after.st_mtime_ns) == (
        before.st_size,
        before.st_ino,
        before.st_mtime_ns,
    )


def test_a_synced_tree_is_in_place_without_a_network(project: Project) -> None:
    ran = project.call("status", "--exit-code")
    assert (ran.status, ran.out) == (0, "2 files in place, nothing to do\n")
    shown = project.call("status", "--json").json
    assert faults(shown) == []
    assert [action["action"] for action in shown["actions"]] == ["keep", "keep"]
    assert (shown["changed_by_hand"], shown["lock_stale"]) == ({}, [])


def test_a_second_look_trusts_size_time_and_inode_and_verify_does_not(project: Project) -> None:
    let_age(project)
    corrupt_unseen(project.root / STYLE)
    assert project.run("status").out == "2 files in place, nothing to do\n"
    assert project.run("verify", "--quick").status == 0
    ran = project.run("verify")
    assert ran.status == 5
    assert f"differs  {STYLE}: has SHA-256 " in ran.out
    assert GARDEN not in ran.out


def test_a_changed_time_alone_is_read_again_and_found_unchanged(project: Project) -> None:
    let_age(project)
    corrupt_unseen(project.root / STYLE)
    os.utime(project.root / STYLE)
    assert f"{STYLE}  (modified)" in project.call("status").out
    os.utime(project.root / GARDEN)
    assert GARDEN not in project.call("status").out


@pytest.mark.parametrize(
    ("change", "word", "next_action", "then"),
    [
        pytest.param(
            *("modify", "modified", "blocked", "refuses to touch it [modified-file]"),
            id="modified",
        ),
        pytest.param("delete", "deleted", "fetch", "puts it there again", id="deleted"),
        pytest.param(
            *("directory", "replaced by something that is no file", "blocked"),
            "refuses to touch it [obstacle]",
            id="a directory",
        ),
    ],
)
def test_what_was_changed_since_civsync_wrote_it_is_shown(
    project: Project, change: str, word: str, next_action: str, then: str
) -> None:
    path = project.root / STYLE
    if change == "modify":
        path.write_bytes(path.read_bytes() + b"!")
    else:
        path.unlink()
    if change == "directory":
        path.mkdir()
    ran = project.call("status")
    assert ran.status == 0
    assert "Changed since civsync wrote it (1 file):" in ran.out
    assert f"  {STYLE}  ({word}); the next sync {then}\n" in ran.out
    assert "Next sync:" in ran.out
    shown = project.call("status", "--json", "--exit-code")
    assert faults(shown.json) == []
    assert shown.json["changed_by_hand"] == {STYLE: word}
    actions = {action["path"]: action["action"] for action in shown.json["actions"]}
    assert actions == {STYLE: next_action, GARDEN: "keep"}
    (file,) = shown.json["files"]
    assert (file["path"], file["changed_by_hand"], file["next"]) == (STYLE, word, next_action)
    assert file["written"] == file["wanted"]
    there = path.is_file()
    assert file["on_disk"]["size"] == (path.stat().st_size if there else None)
    assert (file["on_disk"]["sha256"] != file["written"]["sha256"]) or not there
    assert shown.status == 2


def test_pending_work_is_exit_2_with_exit_code_and_0_without(project: Project) -> None:
    project.write(f"model: {THEATRE}")
    assert project.run("lock").status == 0
    ran = project.run("status")
    assert (ran.status, f"- {GARDEN}" in ran.out) == (0, True)
    assert project.run("status", "--exit-code").status == 2


def test_a_manifest_that_differs_from_the_lock_is_told_with_its_keys(project: Project) -> None:
    project.write(f"{{model: {THEATRE}, prefer: {{precision: [fp32]}}}}", f"model: {GRAVEL}")
    ran = project.call("status", "--exit-code")
    assert ran.status == 2
    assert "(run `civsync lock`). As locked now:" in ran.out
    assert f"{THEATRE}@latest" in ran.out
    assert "prefer.precision" in ran.out
    assert f"{GRAVEL}@latest" in ran.out
    assert len(project.call("status", "--json").json["lock_stale"]) == 3


def test_a_file_of_the_users_with_the_right_bytes_counts_and_stays_theirs(
    project: Project, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other", NOWHERE)
    other.manifest.write_bytes(project.manifest.read_bytes())
    other.lock.write_bytes(project.lock.read_bytes())
    (other.root / "loras").mkdir(parents=True)
    (other.root / STYLE).write_bytes((project.root / STYLE).read_bytes())
    ran = other.call("status")
    assert f"+ {GARDEN}" in ran.out
    assert STYLE not in ran.out
    assert "1 to download" in ran.out
    assert "1 in place" in ran.out
    assert not (other.root / ".civsync").exists()


def test_status_of_a_tree_that_was_never_synced_makes_nothing(
    project: Project, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other", NOWHERE)
    other.manifest.write_bytes(project.manifest.read_bytes())
    other.lock.write_bytes(project.lock.read_bytes())
    assert "2 to download" in other.call("status").out
    assert not other.root.exists()


def test_status_works_from_a_folder_below_and_with_the_root_in_the_config(
    project: Project,
) -> None:
    below = project.folder / "deep" / "down"
    below.mkdir(parents=True)
    project.folder = below
    assert project.call("status").out == "2 files in place, nothing to do\n"
    config = below.parents[1] / ".home" / "civsync" / "config.yaml"
    config.write_text(f"root: {below / 'elsewhere'}\n")
    assert "2 to download" in project.call("status").out
    config.write_text("rot: x\n")
    ran = project.call("status")
    assert ran.status == 65
    assert f"{config}:1:1: unknown key 'rot'" in ran.err
    assert "Did you mean `root`?" in ran.err


def test_edits_that_need_no_answer_are_planned_as_the_next_sync_will_do_them(
    project: Project,
) -> None:
    text = project.manifest.read_text()
    project.manifest.write_text(text.replace("version: 1\n", "version: 1\nlayout: flat\n"))
    ran = project.call("status", "--exit-code")
    assert ran.status == 2
    assert "2 to move" in ran.out
    assert "As locked now" not in ran.out
    planned = {each["action"] for each in project.call("status", "--json").json["actions"]}
    assert planned == {"move"}
    assert project.call("verify").status == 0  # what is locked is still where it was


def test_three_states_give_both_differences_of_each_file(project: Project) -> None:
    """Changed by hand, and wanted otherwise by the lock: one does not hide the other."""
    (project.root / GARDEN).write_bytes(b"mine")
    foreign = project.root / "loras/gravel_ambience.safetensors"
    foreign.write_bytes(b"somebody's")
    project.write(f"model: {THEATRE}")
    assert project.call("lock", "--check").status == 3
    shown = project.call("status", "--json").json
    assert faults(shown) == []
    (file,) = shown["files"]
    assert file["path"] == GARDEN
    assert file["written"]["size"] != file["on_disk"]["size"] == 4
    assert (file["wanted"], file["changed_by_hand"], file["next"]) == (None, "modified", "release")
    assert f"  {GARDEN}  (modified); the next sync lets go of it\n" in project.call("status").out
    assert project.call("sync").status == 0
    assert project.call("status", "--json").json["files"] == []
    assert (project.root / GARDEN).read_bytes() == b"mine"


def test_a_file_put_right_by_hand_is_told_as_that(project: Project) -> None:
    """It is not what civsync wrote, and it is what the lock wants."""
    whole = (project.root / STYLE).read_bytes()
    receipt = project.root / ".civsync/receipt.json"
    text = receipt.read_text()
    digest = hashlib.sha256(whole).hexdigest()
    receipt.write_text(text.replace(digest, "0" * 64))
    os.utime(project.root / STYLE)
    (file,) = project.call("status", "--json").json["files"]
    assert (file["path"], file["changed_by_hand"], file["next"]) == (STYLE, "modified", "keep")
    assert file["on_disk"]["sha256"] == file["wanted"]["sha256"] == digest
    assert "the next sync keeps it: it is what the lock wants" in project.call("status").out


def test_a_long_look_takes_back_nothing_that_a_sync_did_meanwhile(
    project: Project, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look does not hold the root while it reads, so what it read a receipt for is old then."""
    os.utime(project.root / STYLE)
    monkeypatch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])
    disk = open_disk(project.root, Settings())
    lock = read_lock(project.lock.read_bytes(), name="civsync.lock")
    world = look(lock, disk.store, disk.ledger, lambda _: None)
    assert world.learned
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {THEATRE}", f"{{model: {GRAVEL}, allow_pickle: true}}")
    assert project.call("sync", "--allow-prune", "all").status == 0
    receipt = disk.ledger.read()
    disk.remember(world)
    assert disk.ledger.read() == receipt
    assert (GARDEN in receipt.owned, len(receipt.owned)) == (False, 2)


def test_what_a_look_learned_is_written_down_where_nobody_came_between(project: Project) -> None:
    os.utime(project.root / STYLE)
    before = (project.root / ".civsync/receipt.json").read_bytes()
    assert project.call("status").status == 0
    assert (project.root / ".civsync/receipt.json").read_bytes() != before
