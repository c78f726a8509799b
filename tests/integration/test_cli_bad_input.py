"""Bad manifests, names and answers: each gets a clear error or a safe name, and costs nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.lock import Lock
from civsync.core.names import collision_key, is_safe_name
from civsync.core.request import Entry
from civsync.decide.resolve import Resolution, resolve
from civsync.demo.artifacts import plain_pickle
from civsync.demo.faults import Action, Answer, Cut, Fault, Raw
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.engine.resolving import converse
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport
from support.cli import Project
from support.factories import NOW, entry, request
from support.fake_clock import FakeClock

ESC = "\x1b"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


# --- manifests ----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without a network; a faulty manifest must not get that far."""
    return Project(tmp_path)


BAD_MANIFESTS = [
    pytest.param(
        "version: 1\nlayout: flat\nmodels: []\nlayout: comfyui\n",
        ["civsync.yaml:4:1: `layout` stands twice", "[duplicate-key]"],
        id="a duplicate key",
    ),
    pytest.param(
        "version: 1\nmodels:\n  - {model: 5, verison: 7}\n",
        ["civsync.yaml:3:16: `verison`", "[unknown-key]", "Did you mean `version`?"],
        id="a key with a typo",
    ),
    pytest.param(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        ["civsync.yaml:1:4: the anchor &a is refused", "[yaml-alias]"],
        id="an alias bomb",
    ),
    pytest.param(
        'version: 1\ndirectories: {LORA: "../../{creator}"}\nmodels: []\n',
        ["civsync.yaml:2:21: ", "[bad-template]"],
        id="a template that leaves the root",
    ),
    pytest.param(
        "version: 1\ndirectories: {LORA: /etc}\nmodels: []\n",
        ["civsync.yaml:2:21: ", "[bad-template]"],
        id="a template that begins at the top",
    ),
    pytest.param(
        "version: 1\nmodels:\n  - {model: 5, directory: 'x/{bass_model}'}\n",
        ["civsync.yaml:3:27: {bass_model}", "base_model", "[bad-template]"],
        id="a field that is none",
    ),
    pytest.param(
        "version: 1\nlayout: confyui\nmodels: []\n",
        ["civsync.yaml:2:9: ", "invokeai", "[unknown-layout]", "Did you mean `comfyui`?"],
        id="an unknown layout",
    ),
    pytest.param(
        "version: 1\nmodels: [4384]\n",
        ["civsync.yaml:2:10: ", "`model: 4384`", "`version: 4384`", "[ambiguous-id]"],
        id="a bare number",
    ),
    pytest.param(
        "version: 1\nroot: ../elsewhere\nmodels: []\n",
        ["civsync.yaml:2:7: ", "--root", "[manifest-invalid]"],
        id="a root above the manifest",
    ),
    pytest.param(
        "version: 1\nmodels: [https://example.com/models/5]\n",
        ["civsync.yaml:2:10: ", "[bad-link]"],
        id="a link to somewhere else",
    ),
    pytest.param(
        "", ["civsync.yaml:1:1: the manifest is empty", "civsync init"], id="an empty file"
    ),
    pytest.param(
        "version: 1\nmodels:\n\t- x\n",
        ["civsync.yaml:3:1: ", "Indent with spaces"],
        id="a tab",
    ),
    pytest.param(
        f"version: 1\nmodels: ['{ESC}[2Jhttps']\n",
        [r"civsync.yaml:2:11: the character '\x1b' may not stand in YAML"],
        id="an escape sequence",
    ),
    pytest.param(
        'version: 1\nmodels: ["\\e[2Jx"]\n',
        ["civsync.yaml:2:10: ", r"\x1b[2Jx", "[bad-link]"],
        id="an escape sequence written as an escape",
    ),
]


@pytest.mark.parametrize(("text", "told"), BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_at_its_place(
    project: Project, text: str, told: list[str]
) -> None:
    project.manifest.write_text(text, "utf-8")
    ran = project.call("lock")
    assert ran.status == 65
    for part in told:
        assert part in ran.err
    assert not CONTROL.search(ran.err)
    assert sorted(path.name for path in project.folder.iterdir()) == ["civsync.yaml"]


def test_all_faults_are_told_at_once_and_a_hint_that_says_nothing_new_is_not(
    project: Project,
) -> None:
    text = "version: 1\nlayuot: flat\nlayout: flut\nmodels:\n  - {modle: 5}\n  - 77\n"
    project.manifest.write_text(text, "utf-8")
    ran = project.call("lock", "--json")
    assert ran.status == 65
    (document,) = ran.events
    problems = document["error"]["problems"]
    assert [(each["line"], each["code"]) for each in problems][:2] == [
        (2, "unknown-key"),
        (3, "unknown-layout"),
    ]
    assert {5, 6} <= {each["line"] for each in problems}
    hints = [line for line in ran.err.splitlines() if line.startswith("hint:")]
    assert len(hints) == len(set(hints)) <= 1


def test_a_bad_manifest_stops_a_sync_before_anything_is_touched(project: Project) -> None:
    project.manifest.write_text("version: 1\nmodles: []\n", "utf-8")
    for words in (["sync"], ["sync", "--check"]):
        assert project.run(*words).status == 65
    assert not project.root.exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        pytest.param(
            ["lock"], 65, ["there is no manifest", "civsync init", "--manifest"], id="lock"
        ),
        pytest.param(["sync"], 65, ["there is no manifest", "civsync init"], id="sync"),
        pytest.param(
            ["sync", "--frozen"], 3, ["no lock, and no civsync.yaml either"], id="sync --frozen"
        ),
        pytest.param(["status"], 3, ["no civsync.yaml either", "civsync init"], id="status"),
        pytest.param(
            ["lock", "--manifest", "other/x.yaml"],
            65,
            ["other/x.yaml: there is no manifest"],
            id="a manifest that is not there",
        ),
    ],
)
def test_a_folder_without_a_manifest_is_told_what_to_do(
    project: Project, words: list[str], status: int, told: list[str]
) -> None:
    ran = project.call(*words)
    assert ran.status == status
    for part in told:
        assert part in ran.err


def test_a_manifest_that_cannot_be_read_is_named(project: Project) -> None:
    project.manifest.mkdir()
    ran = project.call("lock")
    assert ran.status == 65
    assert "civsync.yaml: it cannot be read" in ran.err


def test_a_root_that_is_a_file_is_refused(project: Project) -> None:
    project.write()
    assert project.call("lock").status == 0
    project.root.write_text("not a folder")
    for words in (["sync"], ["status"], ["sync", "--check"]):
        ran = project.call(*words)
        assert (ran.status, "[root-unusable]" in ran.err) == (8, True), ran.err
    assert project.root.read_text() == "not a folder"


# --- names --------------------------------------------------------------------------------


HOSTILE = (
    "<winnie-the-pooh>.pt",
    "../../x",
    "..\\..\\x.pt",
    "/etc/passwd",
    "C:\\Windows\\x.pt",
    "CON.safetensors",
    "nul.pt",
    "n" * 300 + ".pt",
    f"red{ESC}[31m{ESC}]0;owned\x07.pt",
    "right\u202egnp.pt",
    "trailing. ",
    ".hidden.pt",
    "new\nline.pt",
    "..",
    ".",
    "",
    "nul\0.pt",
    "\\\\server\\share\\x.pt",
    "com¹.pt",
    "blank ",
    "a:stream.pt",
    f"clip{ESC}]52;c;cm0gLXJm\x07.pt",
    "good.pt\rbad.pt",
    "zero\u200bwidth\u200d.pt",
)


@pytest.fixture
def hostile() -> Iterator[Served]:
    """A registry where every name that a stranger chooses is meant to do harm."""
    registry = Registry()
    for number, name in enumerate(HOSTILE, start=1):
        model = registry.add_model(name, id=number, creator=name, tags=[name])
        version = model.add_version(name, id=1000 + number, base_model=name)
        if name.endswith(".pt"):
            version.add_file(name, plain_pickle(str(number), 2048), format="PickleTensor")
        else:
            version.add_file(name, format="SafeTensor")
    with serve(registry) as served:
        yield served


@pytest.mark.fault(
    "4.5/hostile-names",
    "..",
    "absolute",
    "backslash",
    "drive",
    "UNC",
    "NUL",
    "empty",
    ".",
    "holes of a template",
)
@pytest.mark.fault(
    "4.5/odd-names",
    "CON",
    "NUL the device",
    "COM¹",
    "trailing dot",
    "trailing space",
    "colon",
    "more than 255 bytes",
)
@pytest.mark.fault("4.5/shown", "ESC", "OSC 52", "CR", "bidi", "zero width")
def test_no_name_leads_out_of_the_root_or_reaches_the_terminal_unescaped(
    tmp_path: Path, hostile: Served
) -> None:
    project = Project(tmp_path / "project", hostile.api_url)
    beside = tmp_path / "beside.txt"
    beside.write_text("mine")
    project.write(
        *(f"model: {number}" for number in range(1, len(HOSTILE) + 1)),
        head='policy: {pickle: allow}\ndirectories: {LORA: "{creator}/{model}/{tag}/{version}"}\n',
    )
    for words in (["lock"], ["sync", "-v"], ["status"], ["list"], ["verify"]):
        ran = project.run(*words)
        assert (words, ran.status) == (words, 0), ran.err
        assert not CONTROL.search(ran.out)
        assert not CONTROL.search(ran.err)
    placed = project.files()
    assert len(placed) == len(HOSTILE)
    for path in placed:
        assert all(is_safe_name(part) for part in path.split("/")), path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside.txt", "project"]
    assert sorted(path.name for path in project.folder.iterdir()) == [
        ".home",
        "civsync.lock",
        "civsync.yaml",
        "models",
    ]


@pytest.mark.fault("4.5/shown", "ESC")
def test_an_escape_sequence_is_shown_as_text_also_in_errors_and_json(
    tmp_path: Path, hostile: Served
) -> None:
    project = Project(tmp_path, hostile.api_url)
    project.write(f"model: {HOSTILE.index(f'red{ESC}[31m{ESC}]0;owned{chr(7)}.pt') + 1}")
    ran = project.call("lock", "--json")
    assert ran.status == 65
    assert r"red\x1b[31m\x1b]0;owned\x07.pt" in ran.err
    assert not CONTROL.search(ran.err + ran.out)
    assert f"{ESC}[31m" in ran.events[0]["errors"][0]["message"]


@pytest.mark.fault("4.5/collisions", "case", "normal form", "ß and ss")
def test_names_that_some_disk_takes_for_one_are_kept_apart_on_every_disk(tmp_path: Path) -> None:
    registry = Registry()
    for number, name in enumerate(
        ("case", "CASE", "ma\u00df", "mass", "\u00e9t\u00e9", "e\u0301te\u0301"), 1
    ):
        model = registry.add_model(f"model {number}", id=number)
        model.add_version().add_file(f"{name}.safetensors")
    with serve(registry) as served:
        project = Project(tmp_path, served.api_url)
        project.write(*(f"model: {number}" for number in range(1, 7)))
        for words in (["lock"], ["sync"], ["lock", "--check"], ["sync", "--check"]):
            ran = project.call(*words)
            assert (words, ran.status) == (words, 0), ran.err
    placed = project.files()
    assert len({collision_key(path) for path in placed}) == len(placed) == 6


# --- answers of the API -------------------------------------------------------------------


def as_json(body: bytes, *, encoding: str = "") -> Answer:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    if encoding:
        headers.append(("Content-Encoding", encoding))
    return Answer(200, tuple(headers), body)


def item(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - values of any wrong type
    """One model of an answer, right but for `facts`."""
    file = {"id": 3, "name": "x.safetensors", "type": "Model", "sizeKB": 1, "hashes": {}}
    version = {
        "id": 2,
        "name": "v1",
        "baseModel": "SD 1.5",
        "files": [file | facts.pop("file", {})],
    }
    model = {"id": 1, "name": "m", "type": "LORA", "modelVersions": [version]}
    return model | facts


def items(*models: object) -> Answer:
    return as_json(json.dumps({"items": models, "metadata": {}}).encode())


BAD_ANSWERS = [
    pytest.param(as_json(b""), Code.REPLY_MALFORMED, id="nothing"),
    pytest.param(as_json(b"[" * 100_000), Code.REPLY_MALFORMED, id="deep"),
    pytest.param(as_json(b'{"items": ['), Code.REPLY_MALFORMED, id="truncated"),
    pytest.param(as_json(b"\xff\xfe{}"), Code.REPLY_MALFORMED, id="not UTF-8"),
    pytest.param(as_json(b'{"items": NaN}'), Code.REPLY_MALFORMED, id="NaN"),
    pytest.param(as_json(b'{"id": ' + b"9" * 5000 + b"}"), Code.REPLY_MALFORMED, id="big number"),
    pytest.param(
        as_json(b'{"items": [], "items": [], "metadata": {}}'),
        Code.REPLY_MALFORMED,
        id="a key twice",
    ),
    pytest.param(as_json(b"[]"), Code.REPLY_MALFORMED, id="a list"),
    pytest.param(as_json(b'{"items": {"a": 1}}'), Code.REPLY_MALFORMED, id="items is a mapping"),
    pytest.param(items("model"), Code.REPLY_MALFORMED, id="a model is text"),
    pytest.param(items(item(id="1")), Code.REPLY_MALFORMED, id="an id is text"),
    pytest.param(items(item(modelVersions=5)), Code.REPLY_MALFORMED, id="versions is a number"),
    pytest.param(items(item(file={"id": -1})), Code.REPLY_MALFORMED, id="a negative file id"),
    pytest.param(
        as_json(b"\x1f\x8b not gzip", encoding="gzip"), Code.REPLY_MALFORMED, id="bad gzip"
    ),
    pytest.param(
        Answer(200, (("Content-Type", "text/html"),), b"<html>maintenance</html>"),
        Code.NOT_JSON,
        id="a page",
    ),
    pytest.param(Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Code.REPLY_MALFORMED, id="another protocol"),
    pytest.param(
        Raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000), Code.REPLY_MALFORMED, id="header flood"
    ),
    pytest.param(Cut(after=10), Code.CONNECTION_LOST, id="cut off"),
]


async def resolved(served: Served, *entries: Entry, cap: int = 2**20) -> Resolution:
    """Resolve through real sockets, with a clock that does not wait."""
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)

    transport = HttpTransport()
    try:
        source = CivitaiSource(
            transport,
            FakeClock(),
            api_url=served.api_url,
            token=None,
            report=note,
            answer_cap=cap,
        )
        return await converse(resolve(entries, Lock(), now=NOW), source, note, entries=1)
    finally:
        await transport.aclose()


@pytest.mark.fault("4.1/malformed", "header flood", "bad status line")
@pytest.mark.fault("4.1/cut", "truncated")
@pytest.mark.fault("4.2/json", "deep", "duplicate keys", "NaN", "5,000 digits", "wrong types")
@pytest.mark.fault("4.2/page", "login page")
@pytest.mark.parametrize(("action", "code"), BAD_ANSWERS)
def test_a_bad_answer_is_a_temporary_failure_with_a_code(action: Action, code: Code) -> None:
    with serve(Registry()) as served:
        served.faults.add(Fault(does=action, origin="api", times=None))
        with pytest.raises(CivsyncError) as caught:
            anyio.run(resolved, served, entry(request(1)))
    assert caught.value.code is code
    assert caught.value.exit == 75


@pytest.mark.fault("4.2/json", "huge")
def test_a_huge_answer_is_not_read_to_its_end() -> None:
    registry = Registry()
    registry.add_model("huge", id=1).add_version().add_file()
    registry.pad_bytes_per_model = 20_000_000
    with serve(registry) as served:
        with pytest.raises(CivsyncError) as caught:
            anyio.run(resolved, served, entry(request(1)))
        assert caught.value.code is Code.ANSWER_TOO_LARGE


@pytest.mark.fault("4.1/retry-after", "503", "huge")
def test_a_server_that_wants_a_long_rest_ends_the_run_with_the_time(tmp_path: Path) -> None:
    registry = Registry()
    registry.add_model("kept", id=1).add_version("v1").add_file()
    with serve(registry) as served:
        project = Project(tmp_path, served.api_url)
        project.write("model: 1")
        assert project.call("sync").status == 0
        before = (project.lock.read_bytes(), project.files())
        project.write("model: 1", "model: 5")
        rest = Answer(503, (("Retry-After", "7200"), ("Content-Type", "text/html")), b"<html>")
        served.faults.add(Fault(does=rest, origin="api", times=None))
        ran = project.call("sync")
        assert ran.status == 75
        assert "again in 2 h" in ran.err
        assert (project.lock.read_bytes(), project.files()) == before


@pytest.mark.fault("4.2/json", "deep", "wrong types")
@pytest.mark.fault("4.2/page", "login page")
@pytest.mark.slow
def test_answers_that_spoil_a_lock_run_leave_lock_and_root_as_they_are(tmp_path: Path) -> None:
    """Side by side, since each waits for the tries after the first."""
    registries = [Registry() for _ in range(3)]
    for registry in registries:
        registry.add_model("kept", id=1).add_version("v1", id=2).add_file("kept.safetensors")
        registry.add_model("new", id=5).add_version("v1", id=6).add_file("new.safetensors")
    faults = (
        as_json(b'{"items": [{"id": "one"}]}'),
        as_json(b"[" * 100_000),
        Answer(200, (("Content-Type", "text/html"),), b"<html>Log in</html>"),
    )
    with serve(registries[0]) as one, serve(registries[1]) as two, serve(registries[2]) as three:
        running: list[tuple[Project, tuple[bytes, dict[str, bytes]], Popen[str]]] = []
        for served, fault in zip((one, two, three), faults, strict=True):
            project = Project(tmp_path / str(len(running)), served.api_url)
            project.write("model: 1")
            assert project.call("sync").status == 0
            before = (project.lock.read_bytes(), project.files())
            project.write("model: 1", "model: 5")
            served.faults.add(Fault(does=fault, origin="api", times=None))
            running.append((project, before, project.start("sync")))
        for project, before, process in running:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 75, err
            assert "trying again in" in err
            assert (project.lock.read_bytes(), project.files()) == before
