"""`civsync list`: what is locked, with sizes."""

import json
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


@pytest.mark.fault("4.4/stopped", "reader gone")
def test_a_reader_that_leaves_early_is_no_crash(project: Project) -> None:
    process = project.start("list")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_an_empty_lock_lists_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write()
    assert "lists no models yet" in project.call("lock").err
    assert project.call("list").out == "       0 B  0 files\n"


LORA = "loras/inkwash_garden.safetensors"


def test_a_path_is_explained_by_its_entry_and_the_rules_that_chose_it(project: Project) -> None:
    lines = [line.strip() for line in project.call("list", LORA).out.splitlines()]
    rows = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in lines}
    assert lines[0] == f"{LORA}  288.0 KiB"
    assert "wanted by 967204@latest, civsync.yaml:4:5" in lines
    assert rows["model"] == "Ink Wash Garden (LoCon) by demo-lab"
    assert rows["page"] == "https://civitai.com/models/967204?modelVersionId=1083377"
    assert rows["ids"] == "model 967204, version 1083377, file 1383377"
    assert rows["format"] == "SafeTensor, number 1 of SafeTensor, GGUF"
    assert rows["precision"].startswith("not stated; wished for: fp16")
    assert lines.count("version         the one that its creator shows first") == 1
    assert len(rows["SHA256"]) == len(rows["BLAKE3"]) == 64


@pytest.mark.parametrize("spelled", ["models/" + LORA, "./models/" + LORA])
def test_a_path_may_be_that_of_the_file_on_disk(project: Project, spelled: str) -> None:
    expected = project.call("list", LORA).out
    assert project.call("list", spelled).out == expected
    assert project.call("list", str(project.folder / spelled)).out == expected


def test_several_paths_are_explained_one_after_the_other(project: Project) -> None:
    out = project.call("list", LORA, "checkpoints/lanternMix_v30.safetensors").out
    assert out.count("wanted by") == 2


def test_an_unknown_path_is_refused_with_the_nearest(project: Project) -> None:
    ran = project.call("list", "loras/inkwash_gardn.safetensors")
    assert ran.status == 64
    assert f"Did you mean `{LORA}`?" in ran.err
    ran = project.call("list", "nothing/like/it")
    assert (ran.status, "Run `civsync list`" in ran.err) == (64, True)


def test_a_path_is_explained_without_a_manifest_too(project: Project) -> None:
    project.manifest.unlink()
    ran = project.call("list", LORA)
    assert ran.status == 0
    assert "wanted by 967204@latest\n" in ran.out


def test_the_json_of_a_path_has_the_request_too(project: Project) -> None:
    shown = project.call("list", LORA, "--json").json
    assert faults(shown) == []
    (file,) = shown["files"]
    assert file["path"] == LORA
    assert file["request"]["prefer.format"] == "SafeTensor, GGUF"
    assert file["base_model"] == "SD 1.5"
    assert file["published_at"].startswith("2024-12-01")


def test_hold_groups_gone_and_waiting_are_told(project: Project) -> None:
    project.write("{model: 1423008, hold: v2 is too dark, groups: [style]}")
    with serve(demo_registry()) as served:
        ran = project.call("lock", env={"CIVSYNC_API_URL": served.api_url})
    assert ran.status == 0, ran.err
    document = json.loads(project.lock.read_bytes())
    document["entries"][0]["gone"] = True
    project.lock.write_text(json.dumps(document), "utf-8")
    out = project.call("list", "loras/paper_kites.safetensors").out
    for words in ("v2 is too dark", "style", "did not know it any more", "v2.0 early is in early"):
        assert words in out


@pytest.fixture
def shared(tmp_path: Path) -> Project:
    """Two entries that want the same file, locked."""
    project = Project(tmp_path)
    project.write("model: 967204", "{model: 967204, version: all}")
    with serve(demo_registry()) as served:
        ran = project.call("lock", env={"CIVSYNC_API_URL": served.api_url})
        assert ran.status == 0, ran.err
        assert "2 entries, 1 file, 288.0 KiB" in ran.err
    return project


def test_a_file_that_two_entries_want_is_listed_and_counted_once(shared: Project) -> None:
    assert shared.call("list").out.splitlines() == [
        " 288.0 KiB  loras/inkwash_garden.safetensors  Ink Wash Garden · v1.0",
        " 288.0 KiB  1 file",
    ]
    assert "1 file of 2 entries: nothing found" in shared.call("audit", "--offline").err
    wanting = [file["entry"] for file in shared.call("list", "--json").json["files"]]
    assert wanting == ["967204@all", "967204@latest"]
