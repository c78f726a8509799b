"""`civsync lock` against a served registry: what it writes, asks, refuses and leaves alone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from civsync.core.events import Event
from civsync.core.limits import MIB
from civsync.core.questions import AskModels, Models
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport
from support.cli import Project, Ran
from support.fake_clock import FakeClock

LANTERN, HARBOR, THEATRE, TERN = 1204385, 843127, 1133590, 1387615
ENTRIES = (
    f"https://civitai.com/models/{LANTERN}",
    f"{{model: {HARBOR}, files: [{{type: Model, precision: fp16}}, {{type: VAE}}]}}",
    "{version: 1276310}",
    "{model: 918830, files: [{size: full}, {size: pruned}]}",
    "{model: 355418, allow_pickle: true}",
    f"model: {TERN}",
)


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    return Project(tmp_path / "project", served.api_url)


def locked(project: Project) -> dict[str, Any]:
    """The entries of the lock by key."""
    document = json.loads(project.lock.read_bytes())
    return {entry["key"]: entry for entry in document["entries"]}


def paths(project: Project) -> list[str]:
    return sorted(file["path"] for entry in locked(project).values() for file in entry["files"])


def lock(project: Project, *words: str) -> Ran:
    """Run `civsync lock`, which must go well."""
    ran = project.call("lock", *words)
    assert ran.status == 0, ran.err
    return ran


# --- the same inputs, the same bytes ------------------------------------------------------


MACHINES = {
    "Turkish, Nepal, seed 1": {
        "LC_ALL": "tr_TR.UTF-8",
        "TZ": "Asia/Kathmandu",
        "PYTHONHASHSEED": "1",
    },
    "C without UTF-8, Chatham, seed 4242": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "TZ": "Pacific/Chatham",
        "PYTHONHASHSEED": "4242",
    },
}


def test_every_machine_and_every_order_of_answers_makes_the_same_bytes(
    project: Project, served: Served, tmp_path: Path
) -> None:
    project.write(*ENTRIES)
    lock(project)
    expected = project.lock.read_bytes()

    registry = served.registry
    registry.models = dict(reversed(registry.models.items()))
    for model in registry.models.values():
        model.downloads += 5
        for version in model.versions:
            version.files.reverse()
    for name, environment in MACHINES.items():
        other = Project(tmp_path / "elsewhere" / name, served.api_url)
        other.write(*reversed(ENTRIES))
        ran = other.run("lock", env=environment)
        assert (name, ran.status) == (name, 0), ran.err
        assert other.lock.read_bytes() == expected


def test_a_second_lock_asks_nothing_and_writes_nothing(project: Project, served: Served) -> None:
    project.write(*ENTRIES)
    lock(project)
    before = project.lock.stat()
    served.reset_counts()
    ran = lock(project)
    assert "civsync.lock is up to date: 6 entries, 8 files" in ran.err
    assert served.count() == 0
    after = project.lock.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_lock_holds_no_address_no_token_and_no_place_of_this_machine(project: Project) -> None:
    project.write(*ENTRIES)
    assert project.call("lock", env={"CIVITAI_TOKEN": "demo-token"}).status == 0
    text = project.lock.read_text("utf-8")
    assert text.endswith("}\n")
    for leak in ("http", "127.0.0.1", "demo-token", str(project.folder), "downloadCount"):
        assert leak not in text


# --- what it asks -------------------------------------------------------------------------


def library(count: int, *, hidden: range = range(0)) -> Registry:
    registry = Registry()
    for number in range(1, count + 1):
        model = registry.add_model(
            f"Model {number}", id=number, hidden_from_batches=number in hidden
        )
        model.add_version(id=100_000 + number).add_file(f"model_{number}.safetensors", b"")
    return registry


def with_hashes(registry: Registry) -> Registry:
    """Publish made-up hashes: what is in the files does not matter here."""
    for _, _, file in registry.every_file():
        file.hashes = {"SHA256": f"{file.id:064X}"}
        file.size_kb = 2.0
    return registry


def test_a_thousand_models_cost_ten_requests_and_three_for_each_that_a_batch_hides(
    tmp_path: Path,
) -> None:
    hidden = range(500, 505)
    with serve(with_hashes(library(1000, hidden=hidden))) as served:
        project = Project(tmp_path, served.api_url)
        project.write(*(f"model: {number}" for number in range(1, 1001)))
        ran = lock(project)
        assert "1,000 entries, 1,000 files" in ran.err
        assert served.count(path_prefix="/api/v1/models") <= 10 + len(hidden)
        assert served.count() <= 10 + 3 * len(hidden)


def test_entries_that_name_only_versions_are_asked_in_batches(tmp_path: Path) -> None:
    with serve(with_hashes(library(250))) as served:
        project = Project(tmp_path, served.api_url)
        project.write(*(f"version: {100_000 + number}" for number in range(1, 251)))
        lock(project)
        assert served.count() == 3


def test_answers_of_250_kb_a_model_are_asked_in_halves_until_they_fit() -> None:
    registry = with_hashes(library(32))
    registry.pad_bytes_per_model = 250_000

    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)

    async def ask(api_url: str) -> Models:
        transport = HttpTransport()
        try:
            source = CivitaiSource(
                transport,
                FakeClock(),
                api_url=api_url,
                token=None,
                report=note,
                answer_cap=3 * MIB,
            )
            answer = await source.answer(AskModels(tuple(range(1, 33))))
            assert isinstance(answer, Models)
            return answer
        finally:
            await transport.aclose()

    with serve(registry) as served:
        answer = anyio.run(ask, served.api_url)
        assert {model.id for model in answer.models} == set(range(1, 33))
        # 32 are too much, and so are twice 16; four times 8 fit.
        assert served.count() == 1 + 2 + 4


# --- what it leaves alone -----------------------------------------------------------------


@pytest.mark.fault("4.2/upstream", "deleted")
def test_a_model_that_this_run_cannot_find_keeps_its_lock_entry(
    project: Project, served: Served
) -> None:
    project.write(f"model: {LANTERN}", f"model: {TERN}")
    lock(project)
    before = locked(project)[f"{LANTERN}@latest"]

    del served.registry.models[LANTERN]
    project.write(f"{{model: {LANTERN}, prefer: {{precision: [fp32]}}}}", f"model: {TERN}")
    ran = lock(project)
    assert "the locked files stay as they are" in ran.err
    assert locked(project)[f"{LANTERN}@latest"] == before


@pytest.mark.fault("4.2/upstream", "deleted")
def test_only_an_upgrade_marks_a_model_as_gone_and_its_files_stay(
    project: Project, served: Served
) -> None:
    project.write(f"model: {LANTERN}", f"model: {TERN}")
    lock(project)
    before = locked(project)
    del served.registry.models[LANTERN]
    ran = lock(project, "--upgrade")
    assert "the locked files stay as they are" in ran.err
    after = locked(project)
    assert after[f"{LANTERN}@latest"] == {**before[f"{LANTERN}@latest"], "gone": True}
    assert after[f"{TERN}@latest"] == before[f"{TERN}@latest"]
    assert "gone from Civitai" in project.call("list").out


def test_a_failure_leaves_the_lock_untouched_and_is_told_in_the_order_of_the_manifest(
    project: Project,
) -> None:
    project.write(f"model: {LANTERN}")
    lock(project)
    before = project.lock.read_bytes()
    project.write("model: 77777777", f"model: {TERN}", "model: 66666666")
    for command in ("lock", "sync"):
        ran = project.run(command)
        assert ran.status == 65
        first, second = (ran.err.index(f"civsync.yaml:{line}:5") for line in (3, 5))
        assert first < second
        assert "2 entries could not be locked; civsync.lock was not changed" in ran.err
        assert project.lock.read_bytes() == before
    assert project.files() == {}


def test_an_entry_that_cannot_be_locked_is_one_line_of_json_from_lock_and_sync(
    project: Project,
) -> None:
    project.write("model: 77777777")
    for command in ("lock", "sync"):
        ran = project.call(command, "--json")
        assert ran.status == 65
        (document,) = ran.events
        assert document["schema"] == "civsync.lock-run"
        assert document["written"] is False
        (error,) = document["errors"]
        assert (error["code"], error["place"]) == ("unknown-model", "civsync.yaml:3:5")


# --- what it refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "status", "told"),
    [
        pytest.param(
            "https://civitai.com/models/77777777",
            65,
            ["shows a model 77777777", "[unknown-model]", "Check the number"],
            id="an id that never was",
        ),
        pytest.param(
            f"urn:air:sdxl:checkpoint:civitai:{HARBOR}@1612004",
            65,
            ['"v3.0" belongs to model 1204385', f"not to {HARBOR}", "[version-of-other-model]"],
            id="a version of another model",
        ),
        pytest.param(
            f"{{model: {LANTERN}, version: v9}}",
            65,
            ["has no version", '1612004 "v3.0"', '1688217 "v4.0 beta"', "[unknown-version]"],
            id="a name that no version has",
        ),
        pytest.param(
            f"{{model: {LANTERN}, base_model: Flux.1 D}}",
            65,
            ["[unknown-version]", "SDXL 1.0"],
            id="a base model that no version is for",
        ),
        pytest.param(
            f"{{model: {TERN}, prefer: {{format: [ONNX]}}}}",
            65,
            ["ternFlow_v10_Q8_0.gguf", "Q4_K_M", "[no-matching-file]"],
            id="no file of the preferred format",
        ),
        pytest.param(
            f"{{model: {THEATRE}, files: [{{type: VAE}}]}}",
            65,
            ["paper_theatre_v2.safetensors", "[no-matching-file]"],
            id="no file of the type asked for",
        ),
        pytest.param(
            "model: 588213",
            65,
            ["offers only pickles", "4xGravel_v10.pth", "[pickle-denied]", "allow_pickle: true"],
            id="only a pickle",
        ),
        pytest.param(
            "model: 402977", 7, ['"Old Mill" is archived', "[archived]"], id="an archived model"
        ),
    ],
)
def test_what_cannot_be_locked_is_named_with_its_place_and_what_there_is(
    project: Project, entry: str, status: int, told: list[str]
) -> None:
    project.write(entry)
    ran = project.call("lock")
    assert ran.status == status
    for text in ["error: civsync.yaml:3:5: ", *told]:
        assert text in ran.err
    assert not project.lock.exists()


@pytest.mark.fault("4.2/json", "missing hashes")
def test_a_file_without_a_published_hash_is_refused_with_the_key_that_allows_it(
    project: Project, served: Served
) -> None:
    (file,) = served.registry.models[967204].versions[0].files
    file.hashes = {}
    project.write("model: 967204")
    ran = project.call("lock")
    assert ran.status == 65
    assert "[no-hash]" in ran.err
    assert "allow_unverified: true" in ran.err


def truncated(text: str) -> str:
    return text[:200]


def with_wrong_size(text: str) -> str:
    return text.replace('"size": ', '"size": "many", "was": ', 1)


def leading_out(text: str) -> str:
    return text.replace('"path": "', '"path": "../../', 1)


def from_the_future(text: str) -> str:
    return text.replace('"schema_version": 2', '"schema_version": 4')


def in_half_a_conflict(text: str) -> str:
    return f"<<<<<<< HEAD\n{text}=======\n{text}"


SPOILED = [
    pytest.param(truncated, "[lock-invalid]", "version control", id="truncated"),
    pytest.param(with_wrong_size, "[lock-invalid]", "version control", id="edited by hand"),
    pytest.param(leading_out, "[lock-invalid]", "version control", id="a path out of the root"),
    pytest.param(from_the_future, "[lock-newer]", "Upgrade civsync", id="a newer format"),
    pytest.param(in_half_a_conflict, "[lock-conflict]", "Settle the conflict", id="conflict"),
]


@pytest.mark.parametrize(("spoil", "code", "hint"), SPOILED)
def test_a_spoiled_lock_is_refused_with_a_hint_and_stays_as_it_is(
    project: Project, spoil: Callable[[str], str], code: str, hint: str
) -> None:
    project.write(f"model: {LANTERN}")
    lock(project)
    project.lock.write_text(spoil(project.lock.read_text("utf-8")), "utf-8")
    before = project.lock.read_bytes()
    for words in (["lock"], ["sync", "--frozen"], ["status"]):
        ran = project.call(*words)
        assert (words, ran.status) == (words, 65), ran.err
        assert "error: civsync.lock" in ran.err
        assert code in ran.err
        assert hint in ran.err
    assert project.lock.read_bytes() == before
    assert not project.root.exists()


# --- flags --------------------------------------------------------------------------------


def test_check_names_the_keys_that_differ_and_writes_nothing(
    project: Project, served: Served
) -> None:
    project.write(f"model: {LANTERN}")
    missing = project.call("lock", "--check")
    assert (missing.status, "[lock-missing]" in missing.err) == (3, True)
    lock(project)
    before = project.lock.read_bytes()
    served.reset_counts()
    assert lock(project, "--check").err == "civsync.lock is up to date\n"
    project.write(
        f"{{model: {LANTERN}, prefer: {{precision: [fp32]}}}}", head="policy: {pickle: allow}\n"
    )
    stale = project.call("lock", "--check")
    assert stale.status == 3
    for text in (f"{LANTERN}@latest", "prefer.precision", "policy.pickle", "[lock-stale]"):
        assert text in stale.err
    assert "prefer.size" not in stale.err
    assert project.lock.read_bytes() == before
    assert served.count() == 0


def test_dry_run_shows_the_change_and_writes_nothing(project: Project) -> None:
    project.write(f"model: {LANTERN}")
    ran = lock(project, "--dry-run")
    assert "+ Lantern Mix  v3.0" in ran.err
    assert "Would write civsync.lock" in ran.err
    assert not project.lock.exists()


def test_nothing_moves_to_a_new_version_but_what_an_upgrade_names(
    project: Project, served: Served
) -> None:
    project.write(f"model: {THEATRE}", f"model: {TERN}", "{model: 967204, hold: 'no'}")
    lock(project)
    for number in (THEATRE, TERN, 967204):
        newer = served.registry.models[number].add_version(f"new {number}", at=0)
        newer.add_file(f"new_{number}.safetensors")
    assert "up to date" in lock(project).err
    assert lock(project, "--check").status == 0

    ran = lock(project, "-P", str(THEATRE))
    assert f"v2.0 → new {THEATRE}" in ran.err
    assert [entry["files"][0]["version"] for entry in locked(project).values()] == [
        "v1.0",
        f"new {THEATRE}",
        "v1.0",
    ]
    lock(project, "-U")
    assert [entry["files"][0]["version"] for entry in locked(project).values()] == [
        "v1.0",  # held
        f"new {THEATRE}",
        f"new {TERN}",
    ]


def test_upgrading_an_entry_that_is_none_lists_those_there_are(project: Project) -> None:
    project.write(f"model: {LANTERN}")
    ran = project.call("lock", "-P", "lantern")
    assert ran.status == 64
    assert "no entry is called 'lantern'" in ran.err
    assert f"The entries are {LANTERN}@latest." in ran.err


# --- where files go -----------------------------------------------------------------------


def test_a_linked_vae_finds_its_owner(project: Project) -> None:
    project.write(f"{{model: {LANTERN}, files: [{{type: Model}}, {{type: VAE}}]}}")
    lock(project)
    (entry,) = locked(project).values()
    owners = {file["path"]: file.get("owner_version_id") for file in entry["files"]}
    assert owners == {
        "checkpoints/lanternMix_v30.safetensors": None,
        "vae/clear_water_vae.safetensors": 1337020,
    }


def test_two_files_of_one_name_both_get_their_id(project: Project) -> None:
    project.write("{model: 918830, files: [{size: full}, {size: pruned}]}")
    lock(project)
    assert paths(project) == [
        "checkpoints/twinPines_v10~1328544.safetensors",
        "checkpoints/twinPines_v10~1328545.safetensors",
    ]


def test_placing_files_anew_needs_no_network(project: Project) -> None:
    project.write(f"model: {LANTERN}", f"model: {THEATRE}")
    lock(project)
    assert paths(project) == [
        "checkpoints/lanternMix_v30.safetensors",
        "loras/paper_theatre_v2.safetensors",
    ]
    project.environment["CIVSYNC_API_URL"] = "http://127.0.0.1:1"
    heads = {
        "layout: a1111\n": [
            "models/Lora/paper_theatre_v2.safetensors",
            "models/Stable-diffusion/lanternMix_v30.safetensors",
        ],
        'directories: {LORA: "l/{base_model}/{creator}"}\n': [
            "checkpoints/lanternMix_v30.safetensors",
            "l/SDXL 1.0/demo-lab/paper_theatre_v2.safetensors",
        ],
        "layout: flat\n": ["lanternMix_v30.safetensors", "paper_theatre_v2.safetensors"],
    }
    for head, expected in heads.items():
        project.write(f"model: {LANTERN}", f"model: {THEATRE}", head=head)
        lock(project)
        assert paths(project) == expected
    project.write(
        f"{{model: {LANTERN}, directory: photo/x, filename: 'mix-{{version}}.{{ext}}'}}",
        f"model: {THEATRE}",
    )
    lock(project)
    assert "photo/x/mix-v3.0.safetensors" in paths(project)


def test_dropping_an_entry_needs_no_network(project: Project) -> None:
    project.write(f"model: {LANTERN}", f"model: {THEATRE}")
    lock(project)
    project.environment["CIVSYNC_API_URL"] = "http://127.0.0.1:1"
    project.write(f"model: {THEATRE}")
    lock(project)
    assert list(locked(project)) == [f"{THEATRE}@latest"]
