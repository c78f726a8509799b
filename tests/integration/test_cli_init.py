"""`civsync init`: a manifest to start from, which civsync itself can read."""

import json
from pathlib import Path

import pytest

from civsync.documents.layout_tables import PRESETS
from civsync.documents.manifest import read_manifest
from support.cli import Project
from support.published import faults

LINKS = (
    "https://civitai.com/models/4384/dreamshaper?modelVersionId=128713",
    "urn:air:sdxl:checkpoint:civitai:101055@128078",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_new_manifest_is_read_back_and_says_what_comes_next(project: Project) -> None:
    ran = project.run("init")
    assert ran.status == 0
    assert "Wrote civsync.yaml" in ran.err
    assert "civsync add" in ran.err
    manifest = read_manifest(project.manifest.read_bytes())
    assert (manifest.layout.name, manifest.entries) == ("comfyui", ())


def test_links_become_entries(project: Project) -> None:
    ran = project.call("init", *LINKS, "--json")
    assert faults(ran.json) == []
    assert ran.json["entries"] == 2
    keys = [entry.key for entry in read_manifest(project.manifest.read_bytes()).entries]
    assert keys == ["4384@128713", "101055@128078"]


@pytest.mark.parametrize("layout", sorted(PRESETS))
def test_every_layout_makes_a_manifest_that_can_be_read(tmp_path: Path, layout: str) -> None:
    project = Project(tmp_path)
    assert project.call("init", "--layout", layout).status == 0
    assert read_manifest(project.manifest.read_bytes()).layout.name == layout


def test_the_schema_line_names_a_schema_that_lies_there(project: Project) -> None:
    assert project.call("init").status == 0
    line = project.manifest.read_text("utf-8").splitlines()[0]
    assert line.startswith("# yaml-language-server: $schema=./")
    schema = project.folder / line.partition("$schema=./")[2]
    published = project.call("schema", "manifest")
    assert json.loads(schema.read_bytes()) == published.json


def test_a_manifest_that_is_there_is_kept(project: Project) -> None:
    project.write("model: 5")
    before = project.manifest.read_bytes()
    ran = project.call("init")
    assert ran.status == 64
    assert "there is a manifest already" in ran.err
    assert "--force" in ran.err
    assert project.manifest.read_bytes() == before
    assert project.call("init", "--force").status == 0
    assert project.manifest.read_bytes() != before


@pytest.mark.parametrize(
    ("link", "told"),
    [
        pytest.param("https://example.com/models/5", "[bad-link]", id="another site"),
        pytest.param("4384", "[ambiguous-id]", id="a bare number"),
        pytest.param('"]\nlayout: x', "civsync.yaml", id="an attempt to write YAML"),
    ],
)
def test_a_link_that_is_none_writes_nothing(project: Project, link: str, told: str) -> None:
    ran = project.call("init", link)
    assert ran.status == 65
    assert told in ran.err
    assert list(project.folder.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(project: Project) -> None:
    ran = project.call("init", "--manifest", "no/such/folder/civsync.yaml")
    assert ran.status == 64
    assert "no/such/folder/civsync.yaml: it cannot be written" in ran.err


def test_an_unknown_layout_lists_those_there_are(project: Project) -> None:
    ran = project.call("init", "--layout", "confy")
    assert ran.status == 64
    for layout in PRESETS:
        assert layout in ran.err
