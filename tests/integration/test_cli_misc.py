"""Help, flags, variables, `explain`, `schema`, `completion`: what every command has in common."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from civsync import __version__
from civsync.cli.main import COMMANDS, HABITS
from civsync.core.codes import Code
from civsync.core.exits import ExitCode
from civsync.core.explanations import ABOUT
from civsync.core.notes import NOTES, STATUSES
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry
from support.cli import Project, command
from support.published import faults

LANTERN = 1204385


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as world:
        yield world


# --- help and slips -----------------------------------------------------------------------


def test_without_a_command_the_overview_is_shown(project: Project) -> None:
    bare = project.run()
    assert (bare.status, bare.err) == (0, "")
    assert bare.out == project.run("--help").out
    for name in COMMANDS:
        assert f"  {name} " in bare.out
    group = project.run("auth")
    assert (group.status, "login" in group.out, group.err) == (0, True, "")


def test_the_version_is_told(project: Project) -> None:
    assert project.run("--version").out == f"civsync {__version__}\n"


def test_every_command_explains_itself(project: Project) -> None:
    for name in COMMANDS:
        ran = project.call(name, "-h")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith(f"Usage: civsync {name} ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["lokc"], ["no command 'lokc'", "Did you mean `civsync lock`?"], id="typo"),
        pytest.param(["hlep"], ["`civsync --help`"], id="help"),
        pytest.param(["install"], ["Run `civsync sync`"], id="install"),
        pytest.param(["upgrade"], ["civsync lock --upgrade"], id="upgrade"),
        pytest.param(["login"], ["civsync auth login"], id="login"),
        pytest.param(["frobnicate"], ["See `civsync --help`."], id="nothing near"),
        pytest.param(["auth", "stauts"], ["stauts", "status"], id="typo in a group"),
        pytest.param(["sync", "--dryrun"], ["--dryrun", "--dry-run", "sync --help"], id="flag"),
        pytest.param(["sync", "--jobs", "x"], ["--jobs", "'x'"], id="no number"),
        pytest.param(["sync", "--jobs", "0"], ["--jobs"], id="too few jobs"),
        pytest.param(["sync", "--allow-prune", "some"], ["--allow-prune", "`all`"], id="how many"),
        pytest.param(["sync", "--locked", "--frozen"], ["--locked and --frozen"], id="two modes"),
        pytest.param(["sync", "--no-prune", "--prune-first"], ["exclude"], id="two prunes"),
        pytest.param(["lock", "now"], ["now"], id="an argument too many"),
        pytest.param(["completion"], ["Choose from: bash, zsh, fish"], id="an argument missing"),
        pytest.param(["--color", "pink", "list"], ["pink", "auto"], id="no such choice"),
        pytest.param(["explain", "loginneeded"], ["explain login-needed"], id="a code with a typo"),
        pytest.param(["explain", "relesed"], ["explain released"], id="a note with a typo"),
        pytest.param(
            ["schema", "mainfest"], ["Did you mean `civsync schema manifest`?"], id="schema"
        ),
        pytest.param(
            ["schema", "nope"],
            ["no schema 'nope' [usage]\n\nhint: See `civsync schema`."],
            id="no schema",
        ),
    ],
)
def test_a_slip_is_status_64_with_what_was_probably_meant(
    project: Project, words: list[str], told: list[str]
) -> None:
    ran = project.call(*words)
    assert (ran.status, ran.out) == (64, "")
    assert "[usage]" in ran.err
    assert "Traceback" not in ran.err
    for text in told:
        assert text in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "sync", "--nope"],
        ["sync", "--json", "--allow-prune", "x"],
        ["sync", "--jobs", "0", "--json"],
        ["snyc", "--json"],
        ["--json", "snyc"],
        ["--json", "--color", "pink", "sync"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_slip_is_json_where_json_was_asked_for(
    project: Project, words: list[str], by: str
) -> None:
    if by == "flag":
        ran = project.call(*words)
    else:
        bare = [word for word in words if word != "--json"]
        ran = project.call(*bare, env={"CIVSYNC_JSON": "yes"})

    assert ran.status == 64
    assert faults(ran.json) == []
    assert (ran.json["schema"], ran.json["error"]["code"]) == ("civsync.error", "usage")


def test_a_slip_is_text_where_json_was_not_asked_for(project: Project) -> None:
    for words, json_variable in ((["explain", "--", "--json"], ""), (["snyc"], "0")):
        ran = project.call(*words, env={"CIVSYNC_JSON": json_variable})
        assert (ran.status, ran.out) == (64, "")


def test_no_habit_hides_a_command() -> None:
    assert not HABITS.keys() & COMMANDS.keys()


# --- flags that every command takes -------------------------------------------------------


def test_common_flags_stand_before_or_after_the_command(project: Project) -> None:
    project.write()
    assert project.run("lock").status == 0
    before = project.run("--json", "--manifest", str(project.manifest), "list")
    after = project.run("list", "--json", "--manifest", str(project.manifest))
    assert before.status == after.status == 0
    assert before.json == after.json


def test_the_flag_nearest_to_the_command_wins(project: Project, tmp_path: Path) -> None:
    project.write()
    assert project.call("lock").status == 0
    roots = tmp_path / "one", tmp_path / "two"
    ran = project.call("--root", str(roots[0]), "status", "--root", str(roots[1]), "--json")
    assert ran.json["root"] == str(roots[1])
    ran = project.call("--root", str(roots[0]), "status", "--json")
    assert ran.json["root"] == str(roots[0])


def test_every_common_flag_has_a_variable_and_the_flag_wins(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "m.yaml").write_text("version: 1\nmodels: []\n")
    environment = {
        "CIVSYNC_MANIFEST": str(folder / "m.yaml"),
        "CIVSYNC_LOCK": str(folder / "l.json"),
        "CIVSYNC_ROOT": str(folder / "root"),
        "CIVSYNC_JSON": "1",
        "CIVSYNC_QUIET": "1",
    }
    ran = project.call("lock", env=environment)
    assert (ran.status, ran.err) == (0, "")
    assert ran.json["written"] is True
    assert sorted(path.name for path in folder.iterdir()) == ["l.json", "m.yaml"]
    assert project.call("status", env=environment).json["root"] == str(folder / "root")
    other = project.call("status", "--root", str(folder / "other"), env=environment)
    assert other.json["root"] == str(folder / "other")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CIVSYNC_JOBS", "many"),
        ("CIVSYNC_JOBS", "0"),
        ("CIVSYNC_COLOR", "pink"),
        ("CIVSYNC_JSON", "perhaps"),
        ("CIVSYNC_QUIET", "maybe"),
        ("CIVSYNC_VERIFY", "al"),
        ("CIVSYNC_CONNECTIONS", "65"),
        ("CIVSYNC_LIMIT_RATE", "fast"),
        ("CIVSYNC_MIN_SPEED", "20Mbit"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_by_its_name(
    project: Project, name: str, value: str
) -> None:
    ran = project.call("sync", env={name: value})
    assert (ran.status, value in ran.err) == (64, True)
    assert f"error: Invalid value for {name}: " in ran.err


@pytest.mark.parametrize(
    ("variable", "flag"),
    [
        ("LOCKED", "--no-locked"),
        ("LOCKED", "--frozen"),
        ("NO_LOCKED", "--locked"),
        ("FROZEN", "--no-locked"),
        ("PRUNE_FIRST", "--no-prune"),
        ("NO_PRUNE", "--prune-first"),
        ("FAIL_FAST", "--keep-going"),
    ],
)
def test_a_flag_wins_over_the_opposite_variable(project: Project, variable: str, flag: str) -> None:
    project.write()
    assert project.call("lock").status == 0
    ran = project.call("sync", flag, env={f"CIVSYNC_{variable}": "1"})
    assert (ran.status, ran.err) == (0, "0 files in place, nothing to do\n")


def test_no_locked_wins_over_the_variable_in_what_it_does(project: Project, served: Served) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {LANTERN}")
    locked = {"CIVSYNC_LOCKED": "1"}
    assert project.call("sync", "--check", env=locked).status == 3
    assert project.call("sync", "--check", "--no-locked", env=locked).status == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("LOCKED", "FROZEN"), "CIVSYNC_LOCKED and CIVSYNC_FROZEN exclude each other"),
        (("NO_PRUNE", "PRUNE_FIRST"), "CIVSYNC_NO_PRUNE and CIVSYNC_PRUNE_FIRST exclude"),
        (("QUIET", "VERBOSE"), "CIVSYNC_QUIET and CIVSYNC_VERBOSE exclude each other"),
    ],
    ids=" ".join,
)
def test_two_opposite_variables_are_refused_by_their_names(
    project: Project, names: tuple[str, ...], told: str
) -> None:
    ran = project.call("sync", env={f"CIVSYNC_{name}": "1" for name in names})
    assert (ran.status, told in ran.err) == (64, True)


def test_two_opposite_flags_point_to_the_help_of_their_command(project: Project) -> None:
    for words in (["--locked", "--frozen"], ["--keep-going", "--fail-fast"], ["-q", "-v"]):
        ran = project.call("sync", *words)
        assert (ran.status, "See `civsync sync --help`." in ran.err) == (64, True)


@pytest.mark.parametrize(
    ("words", "variable", "said"),
    [
        (["-v", "sync"], "QUIET", True),
        (["sync", "-v"], "QUIET", True),
        (["-q", "sync"], "VERBOSE", False),
        (["sync", "-q"], "VERBOSE", False),
        (["-q", "sync", "-v"], "QUIET", True),
        (["-v", "sync", "-q"], "VERBOSE", False),
    ],
    ids=str,
)
def test_quiet_and_verbose_follow_the_nearest_flag_and_then_the_variable(
    project: Project, words: list[str], variable: str, *, said: bool
) -> None:
    project.write()
    assert project.call("lock").status == 0
    ran = project.call(*words, env={f"CIVSYNC_{variable}": "1"})
    assert (ran.status, bool(ran.err)) == (0, said)


def test_a_flag_before_the_command_wins_over_its_variable(project: Project, tmp_path: Path) -> None:
    project.write()
    assert project.call("lock").status == 0
    by_flag, by_variable = str(tmp_path / "one"), str(tmp_path / "two")
    ran = project.call("--root", by_flag, "status", "--json", env={"CIVSYNC_ROOT": by_variable})
    assert ran.json["root"] == by_flag


@pytest.mark.parametrize(
    "name", ["CIVSYNC_ALLOW_PRUNE", "CIVSYNC_FORCE_MODIFIED", "CIVSYNC_NEW_ROOT"]
)
def test_what_loosens_a_guard_has_no_variable(project: Project, name: str) -> None:
    project.write()
    assert project.call("sync", env={name: "nonsense"}).status == 0


@pytest.mark.parametrize(
    "address",
    [
        "http://civitai.com",
        "http://10.0.0.1:80",
        "nonsense",
        "http://[",
        "https://u:pw@civitai.com",
    ],
)
def test_an_api_address_that_could_leak_a_key_is_refused(project: Project, address: str) -> None:
    project.write(f"model: {LANTERN}")
    for words in (["lock"], ["auth", "status"]):
        ran = project.call(*words, env={"CIVSYNC_API_URL": address, "CIVITAI_TOKEN": "secret-key"})
        assert (ran.status, "[config-invalid]" in ran.err) == (65, True)
        assert "CIVSYNC_API_URL" in ran.err
        assert "secret-key" not in ran.err
        assert "pw@" not in ran.err


def test_ci_means_locked_unless_told_otherwise(project: Project, served: Served) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {LANTERN}")
    assert project.run("lock").status == 0
    project.write(f"{{model: {LANTERN}, prefer: {{precision: [fp32]}}}}")
    refused = project.run("sync", env={"CI": "true"})
    assert (refused.status, "[lock-stale]" in refused.err) == (3, True)
    assert "prefer.precision" in refused.err
    assert project.run("sync", "--no-locked", "--check", env={"CI": "true"}).status == 2
    assert project.run("sync", "--check", env={"CI": "0"}).status == 2


def test_offline_with_a_stale_or_missing_lock_says_so(project: Project, served: Served) -> None:
    project.write(f"model: {LANTERN}")
    missing = project.call("sync", "--offline")
    assert (missing.status, "[lock-missing]" in missing.err) == (3, True)
    assert project.call("lock", env={"CIVSYNC_API_URL": served.api_url}).status == 0
    project.write(f"model: {LANTERN}", "model: 967204")
    stale = project.call("sync", "--offline")
    assert (stale.status, "967204@latest" in stale.err, "--frozen" in stale.err) == (3, True, True)


# --- output -------------------------------------------------------------------------------


def test_quiet_says_nothing_unless_something_is_wrong(project: Project, served: Served) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {LANTERN}")
    for words in (["lock", "-q"], ["sync", "-q"], ["sync", "--quiet"]):
        ran = project.run(*words)
        assert (ran.status, ran.out, ran.err) == (0, "", "")
    project.write("model: 77777777")
    assert "[unknown-model]" in project.run("lock", "-q").err


def test_every_json_document_fits_its_published_schema(project: Project, served: Served) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    seen = set()
    commands: list[tuple[int, list[str]]] = [
        (0, ["init", f"https://civitai.com/models/{LANTERN}", "--layout", "flat"]),
        (3, ["status"]),
        (0, ["lock", "--dry-run"]),
        (0, ["lock"]),
        (0, ["lock"]),
        (0, ["lock", "--check"]),
        (0, ["status"]),
        (2, ["sync", "--check"]),
        (0, ["sync"]),
        (0, ["sync"]),
        (0, ["list"]),
        (0, ["verify"]),
        (6, ["auth", "status"]),
        (0, ["auth", "logout"]),
        (0, ["explain"]),
        (0, ["explain", "gone"]),
        (0, ["schema"]),
        (0, ["completion", "zsh"]),
        (64, ["lock", "-P", "nobody"]),
    ]
    for status, words in commands:
        ran = project.call("--json", *words)
        assert (words, ran.status) == (words, status), ran.err
        documents = ran.events if words[0] == "sync" else [ran.json]
        assert documents
        for document in documents:
            assert (words, faults(document)) == (words, [])
            seen.add(document["schema"])
    assert seen == {
        "civsync.auth",
        "civsync.completion",
        "civsync.error",
        "civsync.event",
        "civsync.explain",
        "civsync.init",
        "civsync.list",
        "civsync.lock-run",
        "civsync.schemas",
        "civsync.status",
        "civsync.verify",
    }


def test_a_bad_manifest_is_one_line_of_json_that_fits_its_schema(project: Project) -> None:
    project.manifest.write_text("version: 1\nmodles: []\nlayout: x\n")
    for words in (["lock"], ["sync"]):
        (document,) = project.call("--json", *words).events
        assert faults(document) == []
        assert {problem["line"] for problem in document["error"]["problems"]} >= {2, 3}


def test_a_terminal_without_unicode_is_no_crash(project: Project, served: Served) -> None:
    project.environment |= {
        "CIVSYNC_API_URL": served.api_url,
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
    }
    served.registry.models[LANTERN].name = "Läntern ✨ Mix"
    project.write(f"model: {LANTERN}", "model: 918830")
    for words in (["lock"], ["sync", "-v"], ["list"], ["status"]):
        ran = project.run(*words)
        assert (ran.status, "Traceback" in ran.err) == (0, False), ran.err
    assert r"L\xe4ntern \u2728 Mix" in project.run("list").out


@contextmanager
def _full_disk() -> Iterator[int]:
    with Path("/dev/full").open("w") as full:
        yield full.fileno()


@contextmanager
def _without_a_reader() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


def _run_into(output: int, project: Project, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*words),
        cwd=project.folder,
        env=project.environment,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_told_and_is_no_success(project: Project) -> None:
    project.write()
    assert project.call("lock").status == 0
    with _full_disk() as full:
        done = _run_into(full, project, "list")
    assert done.returncode == 1
    assert "error: the output cannot be written: No space left on device" in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("output", "told"),
    [
        (_full_disk, "error: the output cannot be written: No space left on device"),
        (_without_a_reader, ""),
    ],
)
def test_a_sync_whose_events_cannot_be_written_does_its_work_and_is_no_success(
    project: Project,
    served: Served,
    output: Callable[[], AbstractContextManager[int]],
    told: str,
) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {LANTERN}", "model: 918830")
    assert project.run("lock").status == 0
    with output() as out:
        done = _run_into(out, project, "--json", "sync")
    assert (done.returncode, "failure" in done.stderr) == (1, False)
    assert told in done.stderr
    requests = len(served.requests)
    for words in (["status"], ["sync", "--json"]):
        assert project.run(*words).status == 0
    assert len(served.requests) == requests


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("entry", "words", "status", "told"),
    [
        pytest.param(f"model: {LANTERN}", ["sync", "--dry-run", "--check"], 1, "", id="changes"),
        pytest.param("modle: 1", ["sync"], ExitCode.INVALID, "error: civsync.yaml", id="failed"),
    ],
)
def test_what_a_full_disk_kept_from_the_stream_is_told_whatever_else_went_wrong(
    project: Project, served: Served, entry: str, words: list[str], status: int, told: str
) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(entry)
    with _full_disk() as out:
        done = _run_into(out, project, "--json", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert told in done.stderr
    assert "error: the output cannot be written: No space left on device" in done.stderr


@pytest.mark.fault("4.4/stopped", "closed stdout")
@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as a POSIX shell does")
@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_crash(project: Project, closed: str) -> None:
    project.write()
    assert project.call("lock").status == 0
    shell = f'exec "$@" {closed}>&-'
    for words in (["list"], ["status"], ["lock"], ["sync"]):
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *command(*words)],
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (words, done.returncode, "failure" in done.stderr) == (words, 0, False)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("words", [["lock"], ["sync"]], ids=str)
def test_an_interruption_while_civitai_is_tried_again_says_so(
    project: Project, words: list[str]
) -> None:
    project.write(f"model: {LANTERN}")
    with project.start(*words) as running:
        assert running.stderr is not None
        assert any("trying again" in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert (running.returncode, said.splitlines()[-1]) == (130, "interrupted")


def test_a_sync_with_nothing_to_do_says_so_once(project: Project, served: Served) -> None:
    project.environment["CIVSYNC_API_URL"] = served.api_url
    project.write(f"model: {LANTERN}")
    assert project.run("sync").status == 0
    for words in (["sync"], ["sync", "--verify", "all"]):
        ran = project.run(*words)
        assert (ran.status, ran.err) == (0, "1 file in place, nothing to do\n")


# --- explain, schema, completion ----------------------------------------------------------


def test_explain_knows_every_code_as_errors_print_it(project: Project) -> None:
    shown = project.call("explain", "--json").json
    assert [each["code"] for each in shown["codes"]] == [str(code) for code in ABOUT]
    ran = project.call("explain", "[LOGIN_NEEDED]")
    about = ABOUT[Code.LOGIN_NEEDED]
    assert ran.out.startswith("login-needed (exit status 6, credentials)\n")
    assert about.meaning in ran.out
    assert about.hint in ran.out
    overview = project.call("explain").out.splitlines()
    assert len(overview) == len(ABOUT)


@pytest.mark.parametrize("status", ExitCode, ids=str)
def test_explain_a_number_lists_the_codes_with_that_exit_status(
    project: Project, status: ExitCode
) -> None:
    codes = [str(code) for code, about in ABOUT.items() if about.exit is status]

    told = project.call("explain", str(int(status)))
    shown = project.call("explain", str(int(status)), "--json")

    assert told.out.startswith(f"Exit status {int(status)}: {STATUSES[status]}\n")
    assert [line.split()[0] for line in told.out.splitlines()[2:]] == codes
    assert faults(shown.json) == []
    assert [each["code"] for each in shown.json["codes"]] == codes


def test_explain_a_number_that_is_no_exit_status_is_a_slip(project: Project) -> None:
    ran = project.call("explain", "9")
    assert (ran.status, "no exit status 9" in ran.err) == (64, True)


@pytest.mark.parametrize("code", NOTES)
def test_explain_knows_the_notes_of_a_run(project: Project, code: str) -> None:
    assert project.call("explain", f"[{code}]").out == f"{code} (a note)\n\n{NOTES[code]}\n"

    shown = project.call("explain", code, "--json").json
    assert faults(shown) == []
    assert shown["notes"] == [{"code": code, "meaning": NOTES[code]}]


def test_every_schema_is_printed_and_is_a_schema(project: Project) -> None:
    names = project.call("schema").out.split()
    assert {"manifest", "lock", "event", "error"} <= set(names)
    for name in ("manifest", "lock", "event"):
        Draft202012Validator.check_schema(project.call("schema", name).json)
    project.write()
    project.call("lock")
    lock_schema = Draft202012Validator(project.call("schema", "lock").json)
    lock_schema.validate(json.loads(project.lock.read_bytes()))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(project: Project, shell: str) -> None:
    ran = project.call("completion", shell)
    assert ran.status == 0
    assert "_CIVSYNC_COMPLETE" in ran.out
    assert "civsync" in ran.out
