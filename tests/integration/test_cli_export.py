"""`civsync export`: each format checked by the program that reads it."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings

from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.demo.served import serve
from civsync.demo.world import demo_registry
from civsync.documents.cyclonedx import cyclonedx_text
from civsync.documents.exports import comfy_lock_text, sha256sums_text, urls_text
from civsync.documents.links import parse_target
from civsync.documents.lock import read_lock, write_lock
from civsync.documents.yaml_text import parse_yaml
from support.cli import Project
from support.lock_values import lock_of, locked_entry, locked_file, locks

API = "https://civitai.com"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three models and a VAE of another version, in place, after which the registry is gone."""
    project = Project(tmp_path)
    project.write(
        "model: 1133590", "model: 967204", "{model: 1204385, files: [{type: Model}, {type: VAE}]}"
    )
    with serve(demo_registry()) as served:
        ran = project.call("sync", env={"CIVSYNC_API_URL": served.api_url})
        assert ran.status == 0, ran.err
    del project.environment["CIVSYNC_API_URL"]
    return project


def export(project: Project, style: str, *words: str) -> str:
    ran = project.call("export", "--format", style, *words)
    assert (ran.status, ran.err) == (0, "")
    return ran.out


def test_urls_are_of_the_download_route_with_the_file_and_no_key(project: Project) -> None:
    token = {"CIVITAI_API_KEY": "k" * 32}
    out = project.call("export", "--format", "urls", env=token).out
    assert "k" * 32 not in out
    assert out.splitlines() == [
        "https://civitai.com/api/download/models/1612004?fileId=1912004",
        "https://civitai.com/api/download/models/1083377?fileId=1383377",
        "https://civitai.com/api/download/models/1276310?fileId=1576310",
        # The linked VAE is served by the version that owns it.
        "https://civitai.com/api/download/models/1337020?fileId=1637020",
    ]
    other = export(project, "urls", "--api-url", "http://127.0.0.1:8000")
    assert other.splitlines()[0].startswith("http://127.0.0.1:8000/api/download/")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_checks_the_root_with_it(project: Project) -> None:
    ran = project.call("export", "--format", "sha256sums", "-o", "SHA256SUMS")
    assert ran.status == 0
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "../SHA256SUMS"],
        cwd=project.root,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": OK") == 4
    next(project.root.rglob("inkwash*")).write_bytes(b"other")
    again = subprocess.run(
        ["sha256sum", "-c", "../SHA256SUMS"], cwd=project.root, capture_output=True, check=False
    )
    assert again.returncode == 1


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
@pytest.mark.parametrize(
    "name", ["a\\b", "a\nb", "a\r\nb", " leading and trailing ", "é ß 日本", "-x", "*star", "a  b"]
)
def test_odd_names_are_escaped_as_sha256sum_reads_them(tmp_path: Path, name: str) -> None:
    """No lock of ours has such paths; an escape that is wrong would check another file."""
    file = replace(locked_file("a", "content"), path=SafePath(name))
    (tmp_path / name).write_text("content")
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "-"],
        input=sha256sums_text(lock_of(locked_entry(file))).encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_file_without_a_hash_is_left_out_of_the_checksums_and_said(tmp_path: Path) -> None:
    project = Project(tmp_path)
    lock = lock_of(locked_entry(locked_file("a", "a"), locked_file("b", "b", sha256="")))
    project.lock.write_bytes(write_lock(lock))
    ran = project.call("export", "--format", "sha256sums")
    assert ran.out.splitlines() == [f"{locked_file('a', 'a').sha256}  a"]
    assert "1 file without a known SHA-256 left out: b" in ran.err


VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def test_the_bill_of_materials_is_valid_and_says_what_is_locked(project: Project) -> None:
    text = export(project, "cyclonedx")
    assert VALIDATOR.validate_str(text) is None
    bill = json.loads(text)
    by_name = {each["name"]: each for each in bill["components"]}
    wash = by_name["Ink Wash Garden"]
    assert wash["type"] == "machine-learning-model"
    assert wash["version"] == "v1.0"
    assert wash["supplier"] == {"name": "demo-lab"}
    assert {each["alg"] for each in wash["hashes"]} == {"SHA-256", "BLAKE3"}
    assert wash["modelCard"]["modelParameters"]["architectureFamily"] == "SD 1.5"
    assert wash["licenses"][0]["license"]["name"].startswith("Civitai permissions: commercial")
    assert {"name": "civsync:path", "value": "loras/inkwash_garden.safetensors"} in (
        wash["properties"]
    )
    assert {each["type"] for each in wash["externalReferences"]} == {"website", "distribution"}
    assert wash["purl"].startswith("pkg:generic/civitai/967204@1083377?checksum=sha256:")


def test_a_validator_that_finds_nothing_would_be_found_out(project: Project) -> None:
    bill = json.loads(export(project, "cyclonedx"))
    bill["components"][0]["type"] = "model"
    assert VALIDATOR.validate_str(json.dumps(bill)) is not None


@settings(max_examples=25, deadline=None)  # the validator takes its time
@given(locks())
def test_every_lock_makes_a_valid_bill_and_the_same_one_again(lock: Lock) -> None:
    text = cyclonedx_text(lock, API)
    assert VALIDATOR.validate_str(text) is None
    assert text == json.dumps(json.loads(text), indent=2) + "\n"
    assert cyclonedx_text(read_lock(write_lock(lock)), API) == text


@pytest.mark.parametrize("style", ["cyclonedx", "comfy-lock", "sha256sums", "urls"])
def test_no_export_turns_the_text_of_a_terminal_around(tmp_path: Path, style: str) -> None:
    file = locked_file("loras/a.safetensors", "a")
    file = replace(file, model="a\u202e\u2066\x9b31mb\u2028", name="b\u202e.safetensors")
    project = Project(tmp_path)
    project.lock.write_bytes(write_lock(lock_of(locked_entry(file))))
    shown = export(project, style).replace("\n", "")
    assert shown.isprintable()


def test_the_serial_number_belongs_to_the_lock() -> None:
    one, other = lock_of(locked_entry(locked_file("a", "a"))), Lock()
    numbers = [json.loads(cyclonedx_text(each, API))["serialNumber"] for each in (one, other)]
    assert numbers[0] != numbers[1]


def test_one_file_at_two_paths_is_one_component_with_both() -> None:
    first = locked_file("a/x", "x")
    second = replace(first, path=SafePath("b/x"))
    lock = lock_of(locked_entry(first, key="1@latest"), locked_entry(second, key="1@10"))
    text = cyclonedx_text(lock, API)
    assert VALIDATOR.validate_str(text) is None
    (component,) = json.loads(text)["components"]
    paths = [each["value"] for each in component["properties"] if each["name"] == "civsync:path"]
    assert paths == ["a/x", "b/x"]


@given(locks())
def test_every_lock_makes_a_comfy_lock_that_yaml_reads(lock: Lock) -> None:
    read = parse_yaml(comfy_lock_text(lock, API).encode(), name="x", size=10_000_000)
    assert read.problems == ()
    assert read.root is not None


def test_comfy_lock_has_name_address_path_hashes_and_type() -> None:
    file = replace(locked_file("loras/a b.safetensors", "a"), hashes={"BLAKE3": "0" * 64, "X": "1"})
    assert comfy_lock_text(lock_of(locked_entry(file)), API).splitlines() == [
        "models:",
        '  - model: "a b.safetensors"',
        "    url: https://civitai.com/api/download/models/10?fileId=100",
        "    paths:",
        '      - path: "models/loras/a b.safetensors"',
        "    hashes:",
        f"      - hash: {file.sha256}",
        "        type: SHA256",
        f'      - hash: "{"0" * 64}"',
        "        type: Blake3",
        "    type: lora",
    ]
    assert comfy_lock_text(Lock(), API) == "models: []\n"


@given(locks())
def test_every_address_leads_back_to_its_version_and_file(lock: Lock) -> None:
    targets = [parse_target(url) for url in urls_text(lock, API).splitlines()]
    assert {(target.version_id, target.file_id) for target in targets} == {
        (file.source_version_id, file.file_id) for _, file in lock.files()
    }


@pytest.mark.parametrize("name", ["civsync.yaml", "civsync.lock", "./models/../civsync.lock"])
def test_the_projects_own_documents_are_not_overwritten(project: Project, name: str) -> None:
    before = project.lock.read_bytes(), project.manifest.read_bytes()
    ran = project.call("export", "--format", "urls", "-o", name)
    assert (ran.status, "own document" in ran.err) == (64, True)
    assert (project.lock.read_bytes(), project.manifest.read_bytes()) == before


def test_an_unknown_format_lists_the_known(project: Project) -> None:
    ran = project.call("export", "--format", "spdx")
    assert ran.status == 64
    assert "cyclonedx" in ran.err


def test_a_folder_that_is_not_there_is_a_wrong_name_and_no_broken_disk(project: Project) -> None:
    ran = project.call("export", "--format", "urls", "-o", "none/list.txt")

    assert ran.status == 64
    assert "none/list.txt: there is no such folder to write into [usage]" in ran.err
    assert not (project.folder / "none").exists()
