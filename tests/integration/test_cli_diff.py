"""`civsync diff` against git's history and between files, in text, Markdown and JSON."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from civsync.cli.lock_markdown import MAX_ROWS, escape_markdown
from civsync.core.lock import Lock, LockedEntry
from civsync.documents.lock import write_lock
from civsync.documents.schema_files import schema_text
from support.cli import Project
from support.lock_values import lock_of, locked_entry, locked_file

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

HOSTILE = (
    "a|b `x` <img src=x> @someone #12 \x1b[31m\u202e www.evil.com https://evil.com [l](u)\n| z"
)


def entry_of(number: int, version: int, name: str = "", **facts: object) -> LockedEntry:
    file = locked_file(f"loras/{number}_{version}.safetensors", "x" * version, model_id=number)
    file = replace(
        file,
        model=name or f"Model {number}",
        version_id=version,
        version=f"v{version}",
        file_id=version + 1,
    )
    return locked_entry(replace(file, **facts))  # type: ignore[arg-type]  # keywords of LockedFile


OLD = lock_of(entry_of(1, 10), entry_of(2, 20, license="no-credit"), entry_of(3, 30))
NEW = lock_of(entry_of(1, 11), entry_of(2, 20, license="nothing"), entry_of(4, 2048, HOSTILE))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "repository" / "project")
    project.lock.write_bytes(write_lock(NEW))
    (project.folder / "old.lock").write_bytes(write_lock(OLD))
    return project


def git(project: Project, *words: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(
        ["git", *identity, "-C", str(project.folder), *words], check=True, capture_output=True
    )


def commit(project: Project, lock: Lock, message: str) -> None:
    project.lock.write_bytes(write_lock(lock))
    git(project, "add", "civsync.lock")
    git(project, "commit", "-q", "-m", message)


def test_a_name_of_nothing_but_spaces_still_makes_a_link_to_click_on(project: Project) -> None:
    project.lock.write_bytes(write_lock(lock_of(entry_of(7, 70, name="   "))))
    out = project.call("diff", "old.lock", "civsync.lock", "--format", "markdown").out
    assert "| [7](https://civitai.com/models/7?modelVersionId=70) |" in out


@pytest.fixture
def repository(project: Project) -> Project:
    """Two commits: one entry, then OLD; NEW is on disk, in a folder below the top."""
    git(project, "init", "-q", "-b", "main", "..")
    commit(project, lock_of(entry_of(1, 10)), "one")
    commit(project, OLD, "two")
    project.lock.write_bytes(write_lock(NEW))
    return project


def test_two_locks_are_compared_line_by_line_with_a_sum(project: Project) -> None:
    ran = project.call("diff", "old.lock")
    assert ran.status == 0
    assert ran.out.splitlines()[:3] == [
        "  ~ Model 1  v10 → v11  11 B  1@latest",
        "  = Model 2  v20  20 B  2@latest",
        "      license: no-credit → nothing",
    ]
    assert ran.out.splitlines()[-1] == (
        "1 added, 1 removed, 1 changed, 1 restated; 2.0 KiB to download, 40 B freed"
    )
    assert ran.err == ""


@pytest.mark.fault("4.5/shown", "ESC", "bidi")
def test_names_of_strangers_do_not_reach_the_terminal_as_they_are(project: Project) -> None:
    for style in ("text", "markdown", "json"):
        out = project.call("diff", "old.lock", "--format", style).out
        assert "\x1b" not in out
        assert "\u202e" not in out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(("old.lock",), 0, id="not asked for"),
        pytest.param(("old.lock", "--exit-code"), 2, id="they differ"),
        pytest.param(("civsync.lock", "--exit-code"), 0, id="they are the same"),
        pytest.param(("old.lock", "civsync.lock", "--exit-code", "--json"), 2, id="json"),
    ],
)
def test_the_exit_code_tells_whether_they_differ(
    project: Project, words: tuple[str, ...], status: int
) -> None:
    assert project.call("diff", *words).status == status


def test_no_difference_is_said(project: Project) -> None:
    assert project.call("diff", "civsync.lock").out == "no difference\n"
    markdown = project.call("diff", "civsync.lock", "--format", "markdown").out
    assert markdown == "### Models: no difference\n"


def test_the_json_has_ids_sizes_and_facts(project: Project) -> None:
    told = project.call("diff", "old.lock", "--json").json
    assert told == project.call("diff", "old.lock", "--format", "json").json
    validate(told)
    assert (told["old"], told["new"]) == ("old.lock", "civsync.lock")
    assert (told["download_bytes"], told["freed_bytes"]) == (11 + 2048, 10 + 30)
    changed = told["changes"][0]
    assert (changed["kind"], changed["from"], changed["to"]) == ("changed", "v10", "v11")
    assert changed["files"][0]["to"]["version_id"] == 11
    assert told["changes"][1]["facts"] == [
        {"fact": "license", "model_id": 2, "from": "no-credit", "to": "nothing"}
    ]


def validate(document: object) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator(json.loads(schema_text("diff"))).validate(document)


def test_markdown_is_a_table_that_no_name_can_break(project: Project) -> None:
    out = project.call("diff", "old.lock", "--format", "markdown").out
    lines = out.splitlines()
    assert lines[0].startswith("### Models: 1 added, 1 removed")
    assert lines[4] == (
        "| changed | [Model 1](https://civitai.com/models/1?modelVersionId=11)"
        " | v10 → v11 | 11 B |  |"
    )
    assert all(unescaped_pipes(line) == 6 for line in lines[2:])
    for link in ("](u)", "https://evil", "www.evil", "@someone", "#12", "<img", "`x`"):
        assert link not in out


def unescaped_pipes(line: str) -> int:
    return line.replace("\\\\", "").replace("\\|", "").count("|")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain name", "plain name"),
        ("v1.0-beta!", "v1.0-beta!"),
        ("a_b*c", r"a\_b\*c"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("@user", "@&#8203;user"),
        ("a\nb", r"a\\nb"),
        ("GH-12 www.x", "GH&#8203;-12 www&#8203;.x"),
    ],
)
def test_markup_in_a_text_is_shown_as_text(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_a_comment_stays_below_what_github_takes(project: Project) -> None:
    many = lock_of(*(entry_of(n, n, "@" * 200) for n in range(1, 2 * MAX_ROWS)))
    project.lock.write_bytes(write_lock(many))
    (project.folder / "none.lock").write_bytes(write_lock(Lock()))
    out = project.call("diff", "none.lock", "--format", "markdown").out
    assert f"and {MAX_ROWS - 1} more" in out


def test_of_a_search_the_models_that_came_and_went_are_shown(project: Project) -> None:
    hits = [entry_of(n, n * 10).files[0] for n in (5, 6, 7)]
    for name, files in (("old.lock", hits[:2]), ("civsync.lock", hits[1:])):
        entry = LockedEntry(key="?tag=style", request={}, files=tuple(files))
        (project.folder / name).write_bytes(write_lock(lock_of(entry)))
    out = project.call("diff", "old.lock").out
    assert out.splitlines() == [
        "  ~ ?tag=style  2 models  130 B",
        "      - Model 5  v50  50 B",
        "      + Model 7  v70  70 B",
        "1 changed; 70 B to download, 50 B freed",
    ]
    table = project.call("diff", "old.lock", "--format", "markdown").out.splitlines()[4:]
    assert [row.split(" | ")[0] for row in table] == ["| changed", "| removed", "| added"]


@needs_git
def test_without_names_it_is_the_lock_in_head_that_is_compared(repository: Project) -> None:
    assert repository.call("diff").out == repository.call("diff", "old.lock").out
    assert repository.call("diff", "--json").json["old"] == "HEAD:civsync.lock"


@needs_git
def test_a_revision_is_compared_with_the_disk_and_two_with_each_other(repository: Project) -> None:
    assert "2 added" in repository.call("diff", "--git", "HEAD~1..HEAD").out
    assert "4@latest" not in repository.call("diff", "--git", "HEAD~1..").out
    assert "4@latest" in repository.call("diff", "--git", "HEAD~1").out
    assert "2 removed" in repository.call("diff", "--git", "main..main~1").out


@needs_git
@pytest.mark.parametrize(
    ("revision", "status", "said"),
    [
        pytest.param("nonsense", 64, "git knows no revision 'nonsense'", id="unknown"),
        pytest.param("--help", 64, "git knows no revision '--help'", id="an option"),
        pytest.param("--output=x", 64, "git knows no revision", id="an option that writes"),
        pytest.param("HEAD:civsync.lock", 64, "git knows no revision", id="not a commit"),
        pytest.param("a...b", 64, "common ancestor", id="three dots"),
        pytest.param("", 0, "", id="nothing is HEAD"),
    ],
)
def test_a_revision_that_is_none_is_a_clear_error(
    repository: Project, revision: str, status: int, said: str
) -> None:
    before = sorted(repository.folder.iterdir())
    ran = repository.call("diff", "--git", revision)
    assert ran.status == status
    assert said in ran.err
    assert sorted(repository.folder.iterdir()) == before


@needs_git
def test_a_repository_without_a_commit_is_a_clear_error(project: Project) -> None:
    git(project, "init", "-q")
    ran = project.call("diff")
    assert ran.status == 64
    assert "Nothing is committed yet" in ran.err


@needs_git
def test_a_lock_that_is_not_committed_is_a_clear_error(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "commit", "-q", "--allow-empty", "-m", "nothing")
    ran = project.call("diff")
    assert ran.status == 3
    assert "git has no civsync.lock at HEAD" in ran.err


@needs_git
def test_a_folder_that_is_no_repository_is_a_clear_error(project: Project) -> None:
    ran = project.call("diff")
    assert ran.status == 64
    assert "not in a git repository" in ran.err
    assert "civsync diff OLD NEW" in ran.err


def test_a_machine_without_git_is_a_clear_error(project: Project) -> None:
    ran = project.run("diff", env={"PATH": str(project.folder)})
    assert ran.status == 64
    assert "git is not installed" in ran.err


@needs_git
def test_what_a_repository_configures_does_not_run(repository: Project) -> None:
    """A pager, a filter for text and an alias are programs that a repository may name."""
    trap = repository.folder / "trapped"
    for key in ("core.pager", "diff.lock.textconv", "core.fsmonitor", "alias.cat-file"):
        git(repository, "config", key, f"!touch {trap}" if key[0] == "a" else f"touch {trap};")
    (repository.folder / ".gitattributes").write_text("*.lock diff=lock\n")
    assert repository.call("diff").status == 0
    assert not trap.exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(("none.lock",), 3, id="a lock that is not there"),
        pytest.param(("a", "b", "c"), 64, id="three"),
        pytest.param(("old.lock", "--git", "HEAD"), 64, id="a lock and a revision"),
        pytest.param(("civsync.yaml",), 65, id="something else"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    project: Project, words: tuple[str, ...], status: int
) -> None:
    project.write("model: 1")
    assert project.call("diff", *words).status == status
