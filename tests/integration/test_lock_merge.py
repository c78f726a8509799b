"""`civsync lock` on what `git merge` leaves of two branches, through the real command line."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.documents.lock_conflict import split_conflict
from support.cli import Project

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MODELS = range(11, 61, 10)
NOWHERE = {"CIVSYNC_API_URL": "http://127.0.0.1:1"}


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    for number in range(10, 61):
        registry.add_model(f"Model {number}", id=number).add_version("v1").add_file()
    return registry


@pytest.fixture
def served(registry: Registry) -> Iterator[Served]:
    with serve(registry) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    project = Project(tmp_path, served.api_url)
    write(project, MODELS)
    ran = project.call("lock")
    assert ran.status == 0, ran.err
    return project


def write(project: Project, models: range | list[int], *more: str) -> None:
    project.write(*(f"model: {number}" for number in sorted(models)), *more)


def locked_with(project: Project, *words: str) -> bytes:
    """The lock that a command leaves, which is then put back as it was."""
    before = project.lock.read_bytes()
    ran = project.call("lock", *words)
    assert ran.status == 0, ran.err
    after = project.lock.read_bytes()
    project.lock.write_bytes(before)
    return after


def merge(project: Project, ours: bytes, theirs: bytes, *words: str) -> None:
    """Leave what git leaves, markers and all."""
    base = project.folder / "base"
    other = project.folder / "theirs"
    base.write_bytes(project.lock.read_bytes())
    project.lock.write_bytes(ours)
    other.write_bytes(theirs)
    names = [str(path) for path in (project.lock, base, other)]
    done = subprocess.run(["git", "merge-file", *words, *names], check=False, capture_output=True)
    assert done.returncode < 128, done.stderr


def versions(project: Project) -> dict[str, str]:
    document = json.loads(project.lock.read_bytes())
    return {
        entry["key"]: ", ".join(file["version"] for file in entry["files"])
        for entry in document["entries"]
    }


def entries(data: bytes) -> dict[str, str]:
    document = json.loads(data)
    return {entry["key"]: json.dumps(entry) for entry in document["entries"]}


@pytest.fixture
def both_bumped(project: Project, registry: Registry) -> Project:
    """Model 31 went to v2 on one branch and to v3 on the other; v4 is out by now."""
    registry.models[31].add_version("v2", at=0).add_file()
    ours = locked_with(project, "-P", "31")
    registry.models[31].add_version("v3", at=0).add_file()
    theirs = locked_with(project, "-P", "31")
    registry.models[31].add_version("v4", at=0).add_file()
    merge(project, ours, theirs)
    assert b"<<<<<<<" in project.lock.read_bytes()
    return project


def test_an_entry_that_both_bumped_is_resolved_anew_and_no_other_is_touched(
    both_bumped: Project, registry: Registry, served: Served
) -> None:
    base = entries((both_bumped.folder / "base").read_bytes())
    registry.models[21].add_version("v2", at=0).add_file()
    served.reset_counts()
    ran = both_bumped.run("lock")
    assert ran.status == 0, ran.err
    assert "Both sides changed 31@latest: resolved anew" in ran.err
    assert versions(both_bumped)["31@latest"] == "v4"
    after = entries(both_bumped.lock.read_bytes())
    assert {key: after[key] for key in after if key != "31@latest"} == {
        key: base[key] for key in base if key != "31@latest"
    }
    asked = [request.path for request in served.requests if "models" in request.path]
    assert len(asked) == 1
    assert both_bumped.call("lock", "--check").status == 0


def test_the_json_names_what_clashed(both_bumped: Project) -> None:
    told = both_bumped.call("lock", "--json").json
    assert (told["clashes"], told["written"]) == (["31@latest"], True)


def test_a_held_entry_keeps_our_side(both_bumped: Project) -> None:
    models = [number for number in MODELS if number != 31]
    write(both_bumped, models, "{model: 31, hold: v3 is ugly}")
    ran = both_bumped.call("lock")
    assert ran.status == 0, ran.err
    assert "31@latest: held, so ours stays" in ran.err
    assert versions(both_bumped)["31@latest"] == "v2"


def test_a_plain_sync_settles_a_conflict_too(both_bumped: Project) -> None:
    ran = both_bumped.call("sync")
    assert ran.status == 0, ran.err
    assert versions(both_bumped)["31@latest"] == "v4"
    assert len(both_bumped.files()) == len(MODELS)
    assert both_bumped.call("sync", "--locked").status == 0


@pytest.mark.parametrize(
    "words",
    [
        ("lock", "--check"),
        ("sync", "--locked"),
        ("sync", "--frozen"),
        ("status",),
        ("verify",),
        ("list",),
    ],
    ids=" ".join,
)
def test_what_only_follows_the_lock_names_the_conflict_and_what_helps(
    both_bumped: Project, words: tuple[str, ...]
) -> None:
    before = before_text = both_bumped.lock.read_bytes()
    line = before_text.split(b"<<<<<<<")[0].count(b"\n") + 1
    ran = both_bumped.call(*words)
    assert ran.status == 65
    assert f"civsync.lock:{line}: merge conflict markers [lock-conflict]" in ran.err
    assert "hint: Run `civsync lock`" in ran.err
    assert both_bumped.lock.read_bytes() == before


def test_offline_a_clash_is_named_and_left(both_bumped: Project) -> None:
    before = both_bumped.lock.read_bytes()
    ran = both_bumped.call("sync", "--offline", env=NOWHERE)
    assert ran.status == 3
    assert "31@latest: both sides of a merge changed it" in ran.err
    assert both_bumped.lock.read_bytes() == before


def test_a_clash_about_an_entry_that_nobody_wants_any_more_needs_no_network(
    both_bumped: Project,
) -> None:
    write(both_bumped, [number for number in MODELS if number != 31])
    ran = both_bumped.call("lock", env=NOWHERE)
    assert ran.status == 0, ran.err
    assert "31@latest" not in versions(both_bumped)


def test_a_failure_leaves_the_conflict_for_another_try(
    both_bumped: Project, registry: Registry
) -> None:
    before = both_bumped.lock.read_bytes()
    del registry.models[31]
    assert both_bumped.call("lock").status == 65
    assert both_bumped.lock.read_bytes() == before


@pytest.mark.parametrize("style", [(), ("--diff3",), ("--marker-size=12",)], ids=str)
def test_two_additions_in_one_gap_are_united_without_network(
    project: Project, style: tuple[str, ...]
) -> None:
    write(project, [*MODELS, 33])
    ours = locked_with(project)
    write(project, [*MODELS, 37])
    theirs = locked_with(project)
    merge(project, ours, theirs, *style)
    write(project, [*MODELS, 33, 37])
    ran = project.call("lock", env=NOWHERE)
    assert ran.status == 0, ran.err
    assert "Both sides" not in ran.err
    assert "Wrote civsync.lock" in ran.err
    assert entries(project.lock.read_bytes()) == entries(ours) | entries(theirs)


def test_branches_that_each_drop_one_model_and_add_another_are_united(
    project: Project, registry: Registry
) -> None:
    """Entries look alike, so git takes one for a changed other, and a side has one twice."""
    write(project, [17, 21, 31, 51, 11])
    ours = locked_with(project)
    write(project, [21, 24, 31, 41, 51])
    theirs = locked_with(project)
    merge(project, ours, theirs, "--diff3")
    sides = split_conflict(project.lock.read_bytes())
    assert sides is not None
    assert sides.ours.count(b'"key": "21@latest"') == 2
    for number in MODELS:
        registry.models[number].add_version("v2", at=0).add_file()
    write(project, [17, 21, 24, 31, 51])
    ran = project.call("lock")
    assert ran.status == 0, ran.err
    assert entries(project.lock.read_bytes()) == {
        key: text
        for key, text in (entries(ours) | entries(theirs)).items()
        if key not in ("11@latest", "41@latest")
    }


def test_an_entry_that_stands_twice_in_a_lock_without_markers_is_settled(project: Project) -> None:
    document = json.loads(project.lock.read_bytes())
    whole = project.lock.read_bytes()
    document["entries"].insert(1, document["entries"][0])
    project.lock.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    locked = project.call("sync", "--locked")
    assert (locked.status, "hint: Run `civsync lock`" in locked.err) == (65, True)
    assert project.call("lock", env=NOWHERE).status == 0
    assert project.lock.read_bytes() == whole


def test_two_pins_of_one_model_leave_the_one_that_the_manifest_names(
    project: Project, registry: Registry
) -> None:
    pins = [registry.models[31].add_version(name, at=0) for name in ("v2", "v3")]
    sides = []
    for pin in pins:
        pin.add_file()
        write(project, [n for n in MODELS if n != 31], f"{{model: 31, version: {pin.id}}}")
        sides.append(locked_with(project))
    merge(project, sides[0], sides[1])
    ran = project.call("lock")
    assert ran.status == 0, ran.err
    assert project.lock.read_bytes() == sides[1]


def test_files_of_two_branches_that_share_a_path_are_told_apart(
    project: Project, registry: Registry
) -> None:
    """Both merge without a conflict, and only the names clash."""
    for number in (15, 55):
        registry.models[number].versions[0].files[0].name = "style.safetensors"
    write(project, [*MODELS, 15])
    ours = locked_with(project)
    write(project, [*MODELS, 55])
    theirs = locked_with(project)
    merge(project, ours, theirs)
    assert b"<<<<<<<" not in project.lock.read_bytes()
    write(project, [*MODELS, 15, 55])
    assert "`civsync lock`" in project.call("sync", "--locked").err
    ran = project.call("lock", env=NOWHERE)
    assert ran.status == 0, ran.err
    paths = [json.loads(text)["files"][0]["path"] for text in entries(lock_of(project)).values()]
    assert sum("style~" in path for path in paths) == 2


def lock_of(project: Project) -> bytes:
    return project.lock.read_bytes()


def test_a_side_that_is_no_lock_is_named_with_the_line_of_the_marker(project: Project) -> None:
    lines = lock_of(project).splitlines(keepends=True)
    broken = [*lines[:4], b"<<<<<<< x\n", b"?\n", b"=======\n", b">>>>>>> y\n", *lines[4:]]
    project.lock.write_bytes(b"".join(broken))
    ran = project.call("lock")
    assert ran.status == 65
    assert "civsync.lock:5: our side of the conflict is no lock" in ran.err
    assert "git checkout --ours" in ran.err


def test_other_ends_of_line_are_read_and_only_lock_writes_them_anew(project: Project) -> None:
    canonical = lock_of(project)
    other = canonical.replace(b"\n", b"\r\n")
    project.lock.write_bytes(other)
    for words in (("lock", "--check"), ("lock", "--dry-run"), ("sync", "--dry-run"), ("list",)):
        assert project.call(*words).status == 0
    assert project.call("sync").status == 0
    assert lock_of(project) == other
    ran = project.call("lock", env=NOWHERE)
    assert (ran.status, lock_of(project)) == (0, canonical)
    assert "Wrote civsync.lock" in ran.err
    assert "up to date" in project.call("lock", env=NOWHERE).err


def in_the_first_format(data: bytes) -> bytes:
    """The same lock as the first civsync wrote it: models and versions beside the files."""
    document = json.loads(data)
    for entry in document["entries"]:
        entry["request"]["target"] = entry["key"]
        file = entry["files"][0]
        entry["models"] = [
            {
                "id": file["model_id"],
                "name": file["model"],
                "type": file["model_type"],
                "creator": file["creator"],
                "tag": file["tag"],
                "nsfw": file["nsfw"],
                "license": file["license"].split(", "),
            }
        ]
        entry["versions"] = [
            {
                "id": file["version_id"],
                "model_id": file["model_id"],
                "name": file["version"],
                "base_model": file["base_model"],
                "published_at": file["published_at"],
            }
        ]
        for key in ("model", "model_type", "creator", "tag", "nsfw", "license", "rating"):
            del file[key]
        for key in ("version", "base_model", "published_at"):
            del file[key]
    return json.dumps({**document, "schema_version": 1}, indent=2).encode()


def test_a_lock_of_the_first_format_is_followed_and_only_lock_writes_it_anew(
    project: Project,
) -> None:
    today = json.loads(lock_of(project))
    for entry in today["entries"]:
        entry["files"][0]["rating"] = ""  # which the first format did not have
    old = in_the_first_format(lock_of(project))
    project.lock.write_bytes(old)
    assert project.call("lock", "--check").status == 0
    assert project.call("sync").status == 0
    assert lock_of(project) == old
    assert len(project.files()) == len(MODELS)
    assert project.call("lock", env=NOWHERE).status == 0
    assert json.loads(lock_of(project)) == today
