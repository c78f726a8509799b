"""Odd surroundings: encodings, state that cannot be kept, pipes for files, keys in links."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.demo.world import DEMO_TOKEN, demo_registry
from support.cli import Project, command
from support.published import faults

STYLE = "model: 1133590"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    project = Project(tmp_path / "project", served.api_url)
    project.write(STYLE)
    return project


@pytest.mark.skipif(os.name != "posix", reason="locales as POSIX has them")
@pytest.mark.parametrize("word", ["sync", "status", "verify"])
def test_an_encoding_that_cannot_say_every_name_is_refused_with_what_helps(
    project: Project, word: str
) -> None:
    assert project.call("lock").status == 0
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = project.run(word, "--json", env=latin)
    assert (ran.status, ran.json["error"]["code"]) == (65, "config-invalid")
    assert "PYTHONUTF8=1" in ran.json["error"]["hint"]
    assert faults(ran.json) == []


def test_a_root_that_cannot_be_remembered_is_told(project: Project, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    ran = project.call("sync", env={"XDG_STATE_HOME": str(blocked)})
    assert ran.status == 0
    assert "unmounted disk" in ran.err
    assert "unmounted disk" not in project.call("sync").err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["civsync.yaml", "civsync.lock"])
def test_a_pipe_in_the_place_of_a_document_is_refused_at_once(project: Project, name: str) -> None:
    (project.folder / name).unlink(missing_ok=True)
    os.mkfifo(project.folder / name)
    ran = project.run("sync")
    assert ran.status == 65
    assert "pipe" in ran.err


@pytest.mark.parametrize(
    "link",
    [
        "https://civitai.com/images/2?token={key}",
        "https://civitai.com/models/500001?modelVersionId={key}",
        "https://example.com/{key}",
    ],
)
def test_a_key_in_a_link_that_is_refused_is_not_printed(project: Project, link: str) -> None:
    key = "a-key-of-twenty-chars"
    project.write(f'"{link.format(key=key)}"')
    for flag in ("--verbose", "--json"):
        ran = project.call("lock", flag, env={"CIVITAI_API_KEY": key})
        assert ran.status == 65
        assert key not in ran.out + ran.err
        assert "***" in ran.out + ran.err


def test_somebody_elses_key_in_a_link_is_not_printed_either(project: Project) -> None:
    project.write('"https://civitai.com/images/2?token=0123456789abcdef"')
    ran = project.call("lock")
    assert "0123456789abcdef" not in ran.err
    assert "token=***" in ran.err


def test_whose_the_key_is_is_asked_once_in_a_run(project: Project, served: Served) -> None:
    ran = project.call("sync", env={"CIVITAI_API_KEY": DEMO_TOKEN})
    assert ran.status == 0, ran.err
    assert served.count(origin="api", path_prefix="/api/v1/me") == 1


@pytest.mark.slow  # an unreadable answer is asked for again, with pauses
def test_a_name_without_end_is_refused_and_the_lock_stays(tmp_path: Path) -> None:
    registry = Registry()
    model = registry.add_model("Short", type="LORA")
    model.add_version("v1").add_file("a.safetensors", b"x" * 2000)
    with serve(registry) as served:
        project = Project(tmp_path, served.api_url)
        project.write(f"model: {model.id}")
        assert project.call("lock").status == 0
        before = project.lock.read_bytes()
        model.name = "n" * 5_000_000
        ran = project.call("lock", "--upgrade")
    assert len(ran.err) < 5000
    assert project.lock.read_bytes() == before


def test_a_tilde_in_the_variable_of_the_root_means_home(project: Project, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ran = project.call("sync", env={"CIVSYNC_ROOT": "~/models", "HOME": str(home)})
    assert ran.status == 0, ran.err
    assert (home / "models" / ".civsync" / "root.json").exists()
    assert not (project.folder / "~").exists()


def test_check_excludes_what_it_would_ignore(project: Project) -> None:
    assert project.call("lock").status == 0
    assert project.call("lock", "--check").status == 0
    assert project.call("lock", "--check", "--upgrade").status == 64


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_help_that_cannot_be_written_is_status_1(project: Project) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("--help"),
            env=project.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"Exception ignored" not in done.stderr
