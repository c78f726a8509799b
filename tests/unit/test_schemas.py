"""The published schemas hold for what civsync writes and prints, and for nothing much wider."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

import civsync
from civsync.cli.main import main
from civsync.cli.output import error_document
from civsync.cli.plan_text import action_document
from civsync.cli.progress import event_document
from civsync.core.codes import Code
from civsync.core.errors import (
    CivsyncError,
    DiskError,
    IntegrityError,
    RegistryError,
    SafetyError,
    UserError,
    WireError,
)
from civsync.core.events import (
    Asked,
    Event,
    FileDone,
    FileFailed,
    FileProgress,
    FileRetrying,
    FileStarted,
    Hashing,
    Noted,
    Paused,
    Planned,
    Recording,
)
from civsync.core.explanations import ABOUT
from civsync.core.lock import Lock
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
    Want,
)
from civsync.core.problems import DocumentError, Place, Problem
from civsync.decide.differences import changes_between
from civsync.documents.lock import write_lock
from civsync.documents.schema_files import schema_names, schema_text
from support.lock_values import (
    digest,
    lock_of,
    locked_entry,
    locked_file,
    locks,
    owned_file,
    stamp,
)

EXPECTED = {
    *(
        "adopt",
        "audit",
        "auth",
        "completion",
        "demo",
        "diff",
        "edit",
        "error",
        "event",
        "explain",
        "import",
        "init",
        "job-list",
        "job-order",
        "list",
        "lock",
        "lock-run",
    ),
    *("manifest", "outdated", "plan", "schemas", "status", "verify"),
    *("trash-empty", "trash-list", "trash-restore"),
}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text(name)))


def faults(name: str, document: object) -> list[str]:
    """What the schema says is wrong with a document, as it would arrive."""
    arrived = json.loads(json.dumps(document, default=str))
    return [error.message for error in validator(name).iter_errors(arrived)]


def objects_in(schema: object) -> Iterator[dict[str, Any]]:
    """Every subschema that names properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and "type" in schema:
            yield schema
        for value in schema.values():
            yield from objects_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects_in(value)


def test_the_published_schemas_are_these() -> None:
    assert set(schema_names()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_schema_is_a_schema_with_its_own_name(name: str) -> None:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    version = schema.get("properties", {}).get("schema_version", {"const": 1})
    number = version["const"] if "const" in version else max(version["enum"])
    assert schema["$id"] == f"urn:civsync:schema:{name}:{number}"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", sorted(EXPECTED - {"manifest"}))
def test_no_object_may_hold_what_its_schema_does_not_name(name: str) -> None:
    schema = json.loads(schema_text(name))
    for each in objects_in(schema):
        assert each["additionalProperties"] is False
        assert set(each["required"]) <= set(each["properties"])


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_reference_in_a_schema_leads_somewhere(name: str) -> None:
    schema = json.loads(schema_text(name))
    used = {part.split('"')[0] for part in schema_text(name).split('"#/$defs/')[1:]}
    assert used == set(schema.get("$defs", {}))


@given(locks())
def test_every_lock_that_is_written_fits_its_schema(lock: Lock) -> None:
    assert faults("lock", json.loads(write_lock(lock))) == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"sha256": "abc"}, id="a short hash"),
        pytest.param({"url": "https://example.com"}, id="an address"),
        pytest.param({"size": -1}, id="a negative size"),
        pytest.param({"file_id": 0}, id="no file id"),
        pytest.param({"path": ""}, id="no path"),
    ],
)
def test_what_no_lock_says_does_not_fit(spoil: dict[str, object]) -> None:
    document = json.loads(write_lock(lock_of(locked_entry(locked_file("a", "a")))))
    assert faults("lock", document) == []
    document["entries"][0]["files"][0].update(spoil)
    assert len(faults("lock", document)) == 1


PATH = locked_file("loras/a.safetensors", "a").path
WANT = Want(
    entry=locked_entry(locked_file(PATH, "a")),
    file=locked_file(PATH, "a"),
)
OURS = owned_file("loras/b.safetensors", "b")
PLAIN = WireError(Code.TIMED_OUT, "silent", subject="x", data={"bytes": 3, "url": None})
ERRORS: list[CivsyncError] = [
    PLAIN,
    UserError(Code.USAGE, "no", hint="Do this."),
    RegistryError(Code.EARLY_ACCESS, "paid", data={"until": "2026-01-01T00:00:00Z"}),
    IntegrityError(Code.DIFFERS, "differs", data={"size": 1.5, "known": True}),
    DiskError(Code.NO_SPACE, "full"),
    SafetyError(Code.FOREIGN_FILE, "in the way", subject=PATH),
    DocumentError(
        [
            Problem(code=Code.UNKNOWN_KEY, message="x", place=Place(document="civsync.yaml")),
            Problem(
                code=Code.BAD_LINK,
                message="y",
                place=Place(document="civsync.yaml", line=3, column=1, key="models[0]"),
                hint="Write it out.",
            ),
        ]
    ),
]
ACTIONS: list[Action] = [
    Keep(want=WANT),
    Satisfied(want=WANT, stamp=stamp("a")),
    Fetch(want=WANT),
    Move(want=WANT, source=OURS),
    Replace(want=WANT, old=stamp("b"), old_sha256=digest("b"), modified=True),
    Retire(owned=OURS, replaced=False),
    Release(owned=OURS, missing=True),
    Protected(owned=OURS),
    Blocked(want=WANT, error=ERRORS[5]),
]
EVENTS: list[Event] = [
    Asked(requests=1, entries=2),
    Hashing(done=1, total=2, bytes_done=3),
    Planned(plan=Plan(actions=tuple(ACTIONS))),
    Recording(files=1, size=2),
    FileStarted(path=PATH, size=2, held=1),
    FileProgress(path=PATH, size=2, held=2),
    FileRetrying(path=PATH, error=PLAIN, delay=0.5),
    *(
        FileDone(path=PATH, how=how, size=2, received=0)
        for how in (
            *("fetched", "restored", "moved", "retired", "recorded"),
            *("reflinked", "hardlinked", "copied"),
        )
    ),
    FileFailed(path=PATH, error=ERRORS[-1]),
    Paused(host="civitai.com", seconds=30),
    Noted(code="released", message="left to you", path=PATH),
    Noted(code="retire-postponed", message="later"),
]


def test_the_samples_are_of_every_kind() -> None:
    assert {type(action) for action in ACTIONS} == set(get_args(Action))
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_fits_the_schema(error: CivsyncError) -> None:
    body = {"schema": "civsync.error", "schema_version": 1, "error": error_document(error)}
    assert faults("error", body) == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_every_action_fits_the_schema(action: Action) -> None:
    body = {
        "schema": "civsync.status",
        "schema_version": 1,
        "root": "/models",
        "lock_stale": ["4384@latest: it is new"],
        "actions": [action_document(action)],
        "changed_by_hand": {PATH: "modified"},
        "files": [],
        "unselected": 0,
    }
    assert faults("status", body) == []


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_fits_the_schema(event: Event) -> None:
    body = {"schema": "civsync.event", "schema_version": 1, **event_document(event)}
    assert faults("event", body) == []
    assert len(faults("event", {**body, "invented": 1})) == 1


def test_every_change_of_a_lock_fits_the_schema() -> None:
    entries = {name: locked_entry(locked_file(name, name), key=name) for name in "abc"}
    moved = locked_entry(locked_file("d", "a", version_id=10), key="a")
    changes = [
        *changes_between(Lock(), lock_of(*entries.values())),
        *changes_between(lock_of(*entries.values()), lock_of(moved)),
    ]
    body = {
        "schema": "civsync.lock-run",
        "schema_version": 1,
        "written": True,
        "changed": True,
        "entries": 1,
        "files": 1,
        "bytes": 1,
        "changes": [change.document() for change in changes],
    }
    assert faults("lock-run", body) == []


def test_entries_that_could_not_be_locked_fit_the_schema() -> None:
    errors = [
        {"entry": "1@latest", "place": "civsync.yaml:3:5", **error_document(error)}
        for error in ERRORS
    ]
    body = {"schema": "civsync.lock-run", "schema_version": 1, "written": False, "errors": errors}
    assert faults("lock-run", body) == []


def schemas_named_in_the_commands() -> set[str]:
    """Every text like "civsync.verify" in the code of the command line."""
    folder = Path(civsync.__file__).parent / "cli"
    return {
        node.value
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"civsync\.[a-z-]+", node.value)
    } - {"civsync.yaml", "civsync.lock"}


def test_every_document_that_a_command_prints_has_a_schema() -> None:
    named = schemas_named_in_the_commands()
    written = {"manifest", "lock", "plan"}
    assert {name.removeprefix("civsync.") for name in named} == EXPECTED - written


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest and a lock of two files, one of them on disk."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("CI", "CIVITAI_API_KEY", "CIVITAI_API_TOKEN", "CIVITAI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    files = (locked_file("loras/a.safetensors", "a"), locked_file("loras/b.safetensors", "b"))
    lock = lock_of(locked_entry(*files))
    (tmp_path / "civsync.lock").write_bytes(write_lock(lock))
    (tmp_path / "civsync.yaml").write_text("version: 1\nmodels: [https://civitai.com/models/7]\n")
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "a.safetensors").write_text("a")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "schema", "status"),
    [
        pytest.param(["explain"], "explain", 0, id="explain"),
        pytest.param(["explain", "gone"], "explain", 0, id="explain one"),
        pytest.param(["explain", "nonsense"], "error", 64, id="explain nothing"),
        pytest.param(["schema"], "schemas", 0, id="schema"),
        pytest.param(["completion", "bash"], "completion", 0, id="completion"),
        pytest.param(["init", "--manifest", "new.yaml"], "init", 0, id="init"),
        pytest.param(["init"], "error", 64, id="init twice"),
        pytest.param(["list"], "list", 0, id="list"),
        pytest.param(["diff", "civsync.lock"], "diff", 0, id="diff"),
        pytest.param(["status"], "status", 0, id="status"),
        pytest.param(["verify"], "verify", 5, id="verify"),
        pytest.param(["lock", "--check"], "error", 3, id="lock, stale"),
        pytest.param(["sync", "--frozen", "--check"], "event", 2, id="sync --check"),
        pytest.param(["sync", "--locked"], "error", 3, id="sync, stale"),
        pytest.param(["list", "--lock", "none.lock"], "error", 3, id="no lock"),
    ],
)
def test_what_commands_print_fits_the_schema(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    schema: str,
    status: int,
) -> None:
    assert main([*args, "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert faults(schema, document) == []


def test_a_manifest_without_models_gives_a_lock_check_that_fits_the_schema(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "civsync.yaml").write_text("version: 1\nmodels: []\n")
    (project / "civsync.lock").write_bytes(write_lock(Lock()))
    for args in (["lock", "--check"], ["lock"]):
        assert main([*args, "--json"]) == 0
        assert faults("lock-run", json.loads(capsys.readouterr().out)) == []


def test_explain_tells_of_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in told["codes"]] == [str(code) for code in ABOUT]


def test_a_validator_that_finds_nothing_would_be_found_out() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator("lock").validate({})
