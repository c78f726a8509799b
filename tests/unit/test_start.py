"""The way past click is for words that mean one thing only, and says what the command says."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.cli.start import is_plain
from civsync.demo.registry import Registry
from civsync.demo.served import serve
from support.cli import Project, Ran, command

PLAIN = [
    ("sync",),
    ("sync", "-q"),
    ("sync", "--locked"),
    ("sync", "--frozen", "--quiet"),
    ("status",),
    ("status", "-q"),
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_plain_words_are_plain(words: tuple[str, ...]) -> None:
    assert is_plain(words, {"HOME", "CI", "CIVITAI_TOKEN", "CIVSYNC_API_URL"})


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-q", "sync"),
        ("lock",),
        ("sync", "--help"),
        ("sync", "--json"),
        ("sync", "--fro"),
        ("sync", "--locked", "--frozen"),
        ("sync", "--no-locked"),
        ("sync", "--check"),
        ("sync", "--quiet=1"),
        ("sync", "--"),
        ("sync", "sync"),
        ("sync", "--root", "elsewhere"),
        ("status", "--frozen"),
        ("status", "--exit-code"),
    ],
    ids=" ".join,
)
def test_all_other_words_are_left_to_the_command(words: tuple[str, ...]) -> None:
    assert not is_plain(words, ())


@pytest.mark.parametrize(
    "variable", ["CIVSYNC_ROOT", "CIVSYNC_QUIET", "CIVSYNC_X", "_CIVSYNC_COMPLETE", "civsync_root"]
)
def test_a_variable_of_ours_is_left_to_the_command(variable: str) -> None:
    assert not is_plain(("sync",), {variable})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in step, with a file that is not selected."""
    registry = Registry()
    model, other = registry.add_model("one"), registry.add_model("two")
    model.add_version().add_file("one.safetensors")
    other.add_version().add_file("two.safetensors")
    with serve(registry) as served:
        project = Project(tmp_path_factory.mktemp("project"), served.api_url)
        project.write(f"model: {model.id}", f"{{model: {other.id}, groups: [video]}}")
        for words in (("lock",), ("sync",)):
            ran = project.run(*words)
            assert ran.status == 0, ran.err
        yield project


def both_ways(project: Project, *words: str, env: dict[str, str] | None = None) -> Ran:
    """Run the plain words and the same with a flag without meaning here; they must agree."""
    assert is_plain(words, project.environment)
    short = project.run(*words, env=env)
    assert short == project.run(*words, "--no-progress", env=env)
    return short


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
@pytest.mark.parametrize("ci", ["", "true"], ids=["at a desk", "in CI"])
def test_in_step_both_ways_say_the_same(words: tuple[str, ...], ci: str, first: Project) -> None:
    ran = both_ways(first, *words, env={"CI": ci})
    assert ran.status == 0
    said = ran.out if words[0] == "status" else ran.err
    silent = words[0] == "sync" and ("-q" in words or "--quiet" in words)
    assert ("1 file in place, nothing to do" in said) is not silent
    assert ("of group video is not selected" in said) is not silent


def test_a_variable_is_obeyed(first: Project) -> None:
    assert first.run("sync", env={"CIVSYNC_QUIET": "1"}).err == ""
    elsewhere = {"CIVSYNC_ROOT": str(first.folder / "elsewhere")}
    assert first.run("status", env=elsewhere).out.startswith("Next sync:")


def test_modes_that_exclude_each_other_are_refused(first: Project) -> None:
    assert first.run("sync", "--locked", "--frozen").status == 64


@pytest.mark.parametrize(
    ("away", "told"),
    [
        ("one.safetensors", (0, False)),
        ("root.json", (8, False)),
        ("civsync.lock", (3, False)),
        ("receipt.json", (0, True)),
    ],
)
def test_out_of_step_both_ways_say_the_same(
    away: str, told: tuple[int, bool], first: Project, tmp_path: Path
) -> None:
    found = next(path for path in first.folder.rglob(away) if path.is_file())
    found.rename(tmp_path / away)
    try:
        ran = both_ways(first, "status")
    finally:
        shutil.move(tmp_path / away, found)
    assert (ran.status, "nothing to do" in ran.out) == told
    assert both_ways(first, "status").out.startswith("1 file in place, nothing to do\n")


def test_a_lock_edited_in_place_is_seen_whatever_its_time_says(first: Project) -> None:
    lock = first.folder / "civsync.lock"
    before, status = lock.read_bytes(), lock.stat()
    assert before.count(b"loras/one.") == 1
    lock.write_bytes(before.replace(b"loras/one.", b"loras/two."))
    os.utime(lock, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        assert "nothing to do" not in both_ways(first, "status").out
    finally:
        lock.write_bytes(before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("flags", [(), ("--no-progress",)], ids=["short", "long"])
def test_data_that_cannot_be_written_makes_the_run_fail(
    flags: tuple[str, ...], first: Project
) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            command("status", *flags),
            cwd=first.folder,
            env=first.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, "[disk-failed]" in ran.stderr) == (1, True)
