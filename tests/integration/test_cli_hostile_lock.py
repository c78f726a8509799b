"""What a lock, or what is named as one, may try against those who only read it."""

import json
import os
from pathlib import Path

import pytest

from support.cli import Project

READERS = [
    ("list",),
    ("diff", "old.lock"),
    ("export", "--format", "urls"),
    ("lock", "--check"),
    ("status",),
    ("sync", "--frozen"),
    ("lock",),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.write()
    (project.folder / "old.lock").write_text(
        json.dumps({"schema": "civsync.lock", "schema_version": 2, "entries": []})
    )
    return project


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_lock_that_no_memory_could_hold_is_refused_unread(
    project: Project, words: tuple[str, ...]
) -> None:
    project.lock.touch()
    os.truncate(project.lock, 1 << 42)
    ran = project.call(*words)
    assert (ran.status, "it has 4,398,046,511,104 bytes" in ran.err) == (65, True), ran.err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless device here")
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_lock_that_never_ends_is_refused_unread(project: Project, words: tuple[str, ...]) -> None:
    project.lock.symlink_to("/dev/zero")
    ran = project.call(*words)
    assert (ran.status, "a pipe or a device" in ran.err) == (65, True), ran.err
