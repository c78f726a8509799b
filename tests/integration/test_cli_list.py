"""`civsync list`: what is locked, with sizes."""

from pathlib import Path

import pytest

from civsync.demo.served import serve
from civsync.demo.world import demo_registry
from support.cli import Project
from support.published import faults


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A locked project, after which the registry is gone."""
    project = Project(tmp_path)
    project.write("model: 1133590", "model: 967204", "model: 1204385")
    with serve(demo_registry()) as served:
        ran = project.call("lock", env={"CIVSYNC_API_URL": served.api_url})
        assert ran.status == 0, ran.err
    return project


def test_files_are_listed_by_path_with_size_model_and_version(project: Project) -> None:
    assert project.call("list").out.splitlines() == [
        "   1.5 MiB  checkpoints/lanternMix_v30.safetensors  Lantern Mix · v3.0",
        " 288.0 KiB  loras/inkwash_garden.safetensors        Ink Wash Garden · v1.0",
        " 384.0 KiB  loras/paper_theatre_v2.safetensors      Paper Theatre Style · v2.0",
        "   2.2 MiB  3 files",
    ]


def test_the_largest_comes_first_if_asked_for(project: Project) -> None:
    lines = project.call("list", "--sort", "size").out.splitlines()
    assert [line[:10].strip() for line in lines] == ["1.5 MiB", "384.0 KiB", "288.0 KiB", "2.2 MiB"]


def test_the_json_has_what_a_script_needs(project: Project) -> None:
    shown = project.call("list", "--json").json
    assert faults(shown) == []
    file = shown["files"][0]
    assert (file["path"], file["size"], file["model_id"], file["version_id"], file["file_id"]) == (
        "loras/inkwash_garden.safetensors",
        288 * 1024,
        967204,
        1083377,
        1383377,
    )
    assert len(file["sha256"]) == 64


def test_a_terminal_without_unicode_gets_escapes_and_no_crash(project: Project) -> None:
    ran = project.run("list", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert ran.status == 0
    assert r"Lantern Mix \xb7 v3.0" in ran.out


def test_a_reader_that_leaves_early_is_no_crash(project: Project) -> None:
    process = project.start("list")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert err == ""


def test_an_empty_lock_lists_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write()
    assert "lists no models yet" in project.call("lock").err
    assert project.call("list").out == "       0 B  0 files\n"
