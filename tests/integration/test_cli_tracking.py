"""Upstream moves between two locks: each kind of change has its rule, and nothing moves unasked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from civsync.core.lock import LockedEntry, LockedFile
from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Model, PaidAccess, Registry
from civsync.demo.served import Served, serve
from civsync.documents.lock import read_lock
from support.cli import Project

TRACKED, BYSTANDER = 4001, 4002
OLD, NEW = 40010, 40011


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A registry with a model that will change, and one that has something newer to offer."""

    served: Served
    project: Project
    model: Model
    bystander: Model

    @property
    def registry(self) -> Registry:
        return self.served.registry

    def entry(self, model_id: int = TRACKED) -> LockedEntry:
        """Return what the lock has of a model's entry."""
        lock = read_lock(self.project.lock.read_bytes())
        return next(each for each in lock.entries if each.key.startswith(f"{model_id}@"))

    def file(self, model_id: int = TRACKED) -> LockedFile:
        """Return the one locked file of a model."""
        [file] = self.entry(model_id).files
        return file

    def lock(self, *words: str, status: int = 0) -> str:
        """Lock, which must end with `status`; return what it said."""
        ran = self.project.call("lock", *words)
        assert ran.status == status, ran.err
        return ran.err


def open_world(folder: Path, *, version: str) -> Iterator[World]:
    """Offer two versions of two models, want them as `version` says, and lock the older ones."""
    registry = Registry()
    made = []
    for number, name in ((TRACKED, "Tracked"), (BYSTANDER, "Bystander")):
        model = registry.add_model(name, id=number, creator="ann", tags=["style"])
        first = model.add_version("v1", id=number * 10, base_model="SD 1.5")
        first.add_file(f"{name.lower()}.safetensors", safetensors(name, 4096), id=number * 100)
        made.append(model)
    with serve(registry) as served:
        project = Project(folder / "project", served.api_url)
        project.write(
            f"{{model: {TRACKED}, version: {version}, directory: '{{creator}}/{{model}}'}}",
            f"model: {BYSTANDER}",
        )
        world = World(served=served, project=project, model=made[0], bystander=made[1])
        world.lock()
        newer = world.bystander.add_version("v2", at=0, base_model="SD 1.5")
        newer.add_file("bystander2.safetensors")
        served.reset_counts()
        yield world


@pytest.fixture
def latest(tmp_path: Path) -> Iterator[World]:
    yield from open_world(tmp_path, version="latest")


@pytest.fixture
def pinned(tmp_path: Path) -> Iterator[World]:
    yield from open_world(tmp_path, version=str(OLD))


# --- what upstream may do -----------------------------------------------------------------


def leave(_world: World) -> None:
    pass


def rename_model(world: World) -> None:
    world.model.name = "Another name"


def rename_version(world: World) -> None:
    world.model.versions[0].name = "version one"


def rename_creator(world: World) -> None:
    world.model.creator = "anna"


def rename_file(world: World) -> None:
    world.model.versions[0].files[0].name = "renamed.safetensors"


def change_base_model(world: World) -> None:
    world.model.versions[0].base_model = "Pony"


def change_license(world: World) -> None:
    world.model.allow_commercial_use = []


def add_version(world: World) -> None:
    version = world.model.add_version("v2", id=NEW, at=0, base_model="SD 1.5")
    version.add_file("tracked2.safetensors", id=NEW * 10)


def add_early_version(world: World) -> None:
    add_version(world)
    world.model.versions[0].paid_access = PaidAccess(ends_at="2999-01-01T00:00:00.000Z")


def replace_version(world: World) -> None:
    add_version(world)
    del world.model.versions[1]


def replace_file(world: World) -> None:
    """Put another file, under an id of its own, where the old one was."""
    version = world.model.versions[0]
    version.files.clear()
    version.add_file("tracked.safetensors", safetensors("other", 5000), id=777)


def swap_content(world: World) -> None:
    world.model.versions[0].files[0].put(safetensors("swapped", 4096))


def delete_version(world: World) -> None:
    world.model.versions.clear()


def delete_model(world: World) -> None:
    del world.registry.models[TRACKED]


def unpublish_model(world: World) -> None:
    world.model.status = "Unpublished"


def unpublish_all(world: World) -> None:
    world.model.status = world.model.versions[0].status = "Unpublished"


def archive(world: World) -> None:
    world.model.mode = "Archived"


def take_down(world: World) -> None:
    world.model.mode = "TakenDown"


def hide_from_batches(world: World) -> None:
    world.model.hidden_from_batches = True


def close_downloads(world: World) -> None:
    world.model.versions[0].usage_control = "Generation"


def fail_scan(world: World) -> None:
    world.model.versions[0].files[0].virus_scan = "Danger"


def drop_hash(world: World) -> None:
    world.model.versions[0].files[0].hashes = {}


CHANGES: dict[str, tuple[Callable[[World], None], dict[str, Any], str]] = {
    # name: (what upstream does, what an upgrade changes in the lock, what it says)
    "nothing": (leave, {}, ""),
    "model renamed": (rename_model, {"model": "Another name", "path": "ann/Another name"}, ""),
    "version renamed": (rename_version, {"version": "version one"}, ""),
    "creator renamed": (rename_creator, {"creator": "anna", "path": "anna/Tracked"}, ""),
    "file renamed": (
        rename_file,
        {"name": "renamed.safetensors", "path": "ann/Tracked/renamed"},
        "is called renamed.safetensors now",
    ),
    "base model changed": (change_base_model, {"base_model": "Pony"}, ""),
    "license changed": (change_license, {"license": "derivatives"}, ""),
    "file replaced under one version": (replace_file, {"file_id": 777, "size": 5000}, ""),
    "taken down": (take_down, {}, "took the pictures"),
    "hidden from batches": (hide_from_batches, {}, ""),
    "version deleted": (delete_version, {}, "the locked files stay as they are"),
    "model deleted": (delete_model, {}, "the locked files stay as they are"),
    "model unpublished": (unpublish_model, {}, ""),
    "all unpublished": (unpublish_all, {}, "the locked files stay as they are"),
    "archived": (archive, {}, "is archived; the locked files stay as they are"),
    # Whether something may be downloaded is not in the answer to a batch.
    "downloads closed": (close_downloads, {}, ""),
    "scan failed": (fail_scan, {}, 'says "Danger"; the locked files stay'),
    "hash withdrawn": (drop_hash, {}, "publishes no SHA-256"),
}
ONLY_LATEST: dict[str, tuple[Callable[[World], None], dict[str, Any], str]] = {
    "new version": (add_version, {"version_id": NEW}, "v1 → v2"),
    "version replaced": (replace_version, {"version_id": NEW}, "v1 → v2"),
    "new version in early access": (add_early_version, {}, ""),
}
GONE = {"model deleted", "all unpublished"}


def check_moved(before: LockedFile, after: LockedFile, expected: dict[str, Any]) -> None:
    """Check that exactly the expected facts changed, and what hangs on them."""
    for key, value in expected.items():
        found = getattr(after, key)
        assert found.startswith(value) if isinstance(value, str) else found == value
    if "version_id" in expected or "file_id" in expected:
        return
    changed = {
        field.name
        for field in fields(LockedFile)
        if getattr(before, field.name) != getattr(after, field.name)
    }
    assert changed == expected.keys()


@pytest.mark.parametrize("name", [*CHANGES, *ONLY_LATEST])
def test_upstream_moves_and_the_lock_does_not(latest: World, name: str) -> None:
    change, _, _ = (CHANGES | ONLY_LATEST)[name]
    before = latest.project.lock.read_bytes()
    change(latest)
    latest.lock()
    latest.lock("--check")
    ran = latest.project.call("lock", "--dry-run", "--upgrade")
    assert ran.status == 0, ran.err
    assert latest.project.lock.read_bytes() == before


def test_a_lock_that_is_not_upgraded_asks_nothing(latest: World) -> None:
    add_version(latest)
    latest.lock()
    latest.lock("--check")
    assert latest.served.count() == 0


@pytest.mark.parametrize("name", [*CHANGES, *ONLY_LATEST])
def test_an_upgrade_follows_by_the_rule_for_it(latest: World, name: str) -> None:
    change, expected, says = (CHANGES | ONLY_LATEST)[name]
    before = latest.file()
    change(latest)
    said = latest.lock("--upgrade")
    assert says in said
    check_moved(before, latest.file(), expected)
    assert latest.entry().gone is (name in GONE)
    assert latest.file(BYSTANDER).version == "v2"
    once = latest.project.lock.read_bytes()
    latest.lock("--upgrade")
    assert latest.project.lock.read_bytes() == once
    latest.lock("--check")


@pytest.mark.parametrize("name", CHANGES)
def test_a_pinned_version_is_followed_by_the_same_rules(pinned: World, name: str) -> None:
    change, expected, _ = CHANGES[name]
    before = pinned.file()
    change(pinned)
    pinned.lock("--upgrade")
    check_moved(before, pinned.file(), expected)


@pytest.mark.parametrize("name", ONLY_LATEST)
def test_a_pinned_version_does_not_move(pinned: World, name: str) -> None:
    before = pinned.file()
    ONLY_LATEST[name][0](pinned)
    pinned.lock("--upgrade")
    assert pinned.file() == before


@pytest.mark.parametrize("name", [*CHANGES, *ONLY_LATEST])
def test_an_upgrade_of_one_entry_leaves_the_others(latest: World, name: str) -> None:
    change, expected, _ = (CHANGES | ONLY_LATEST)[name]
    before, other = latest.file(), latest.entry(BYSTANDER)
    change(latest)
    latest.lock("-P", str(TRACKED))
    check_moved(before, latest.file(), expected)
    assert latest.entry(BYSTANDER) == other


# --- alarms -------------------------------------------------------------------------------


@pytest.mark.fault("4.2/upstream", "hash changed")
@pytest.mark.parametrize("words", [("--upgrade",), ("-P", str(TRACKED)), ("-U", "--dry-run")])
def test_another_content_under_one_file_id_is_an_alarm_and_writes_nothing(
    latest: World, words: tuple[str, ...]
) -> None:
    before = latest.project.lock.read_bytes()
    swap_content(latest)
    latest.lock()
    said = latest.lock(*words, status=5)
    assert "[content-changed]" in said
    assert f"file {TRACKED * 100}" in said
    assert latest.project.lock.read_bytes() == before


def test_another_content_is_an_alarm_for_an_entry_that_is_new(latest: World) -> None:
    before = latest.project.lock.read_bytes()
    swap_content(latest)
    latest.project.write(f"model: {TRACKED}", f"model: {BYSTANDER}", f"version: {OLD}")
    assert "[content-changed]" in latest.lock(status=5)
    assert latest.project.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "head", "status", "code"),
    [
        ("{model: 4009}", "", 65, "unknown-model"),
        ("{model: 4002, version: v9}", "", 65, "unknown-version"),
        ("{model: 4002, exclude_newer: 2020-01-01}", "", 65, "too-new"),
        ("{model: 4002, version: newest}", "policy: {max_size: 10}\n", 65, "policy-denied"),
    ],
    ids=["unknown model", "unknown version", "too new", "policy"],
)
def test_a_lock_that_fails_leaves_the_old_one_byte_for_byte(
    latest: World, entry: str, head: str, status: int, code: str
) -> None:
    before = latest.project.lock.read_bytes()
    add_version(latest)
    latest.project.write(f"model: {TRACKED}", entry, head=head)
    for words in [(), ("--upgrade",), ("--dry-run",)]:
        said = latest.lock(*words, status=status)
        assert f"[{code}]" in said
        line = latest.project.manifest.read_text("utf-8").splitlines().index(f"  - {entry}") + 1
        assert f"civsync.yaml:{line}:" in said
    assert latest.project.lock.read_bytes() == before


# --- the order and the number of versions -------------------------------------------------


def test_versions_in_another_order_move_only_an_upgrade_of_latest(tmp_path: Path) -> None:
    registry = Registry()
    model = registry.add_model("Tracked", id=TRACKED)
    for name in ("v1", "v2", "v3"):
        model.add_version(name).add_file(f"{name}.safetensors")
    with serve(registry) as served:
        project = Project(tmp_path, served.api_url)
        project.write(
            f"model: {TRACKED}",
            f"{{model: {TRACKED}, version: newest}}",
            f"{{model: {TRACKED}, version: all}}",
        )

        def locked() -> dict[str, list[str]]:
            lock = read_lock(project.lock.read_bytes())
            return {each.key: [file.version for file in each.files] for each in lock.entries}

        assert project.call("lock").status == 0
        before = {
            "4001@all": ["v1", "v2", "v3"],
            "4001@latest": ["v1"],
            "4001@newest": ["v3"],
        }
        assert locked() == before
        model.versions.reverse()
        assert project.call("lock").status == 0
        assert locked() == before
        assert project.call("lock", "--upgrade").status == 0
        assert locked() == {**before, "4001@latest": ["v3"]}


def test_early_access_is_waited_for_and_taken_when_it_is_over(latest: World) -> None:
    add_early_version(latest)
    latest.lock("--upgrade")
    [waiting] = latest.entry().waiting
    assert (waiting.version_id, waiting.version) == (NEW, "v2")
    assert waiting.until.startswith("2999-01-01")
    assert latest.file().version_id == OLD

    latest.model.versions[0].paid_access = None
    latest.lock()
    assert latest.entry().waiting == (waiting,)
    latest.lock("--upgrade")
    assert latest.entry().waiting == ()
    assert latest.file().version_id == NEW


@pytest.mark.fault("4.2/upstream", "early access")
def test_early_access_that_is_to_fail_fails(latest: World) -> None:
    add_early_version(latest)
    latest.project.write(
        f"model: {TRACKED}", f"{{version: {NEW}}}", head="policy: {early_access: fail}\n"
    )
    said = latest.lock(status=6)
    assert "[early-access]" in said
    assert "2999-01-01" in said


# --- cutoffs ------------------------------------------------------------------------------


def test_a_cutoff_bars_what_is_younger_and_stands_in_the_lock(latest: World) -> None:
    add_version(latest)
    latest.model.versions[0].published_at = "2025-06-01T00:00:00.000Z"
    latest.project.write(f"model: {TRACKED}", head="exclude_newer: 2025-05-01\n")
    latest.lock("--upgrade")
    assert latest.file().version_id == OLD
    assert latest.entry().request["exclude_newer"] == "2025-05-01"
    assert latest.file().published_at.startswith("2025-01-")
    latest.lock("--check")

    latest.project.write(
        f"{{model: {TRACKED}, exclude_newer: false}}", head="exclude_newer: 2025-05-01\n"
    )
    assert "exclude_newer: 2025-05-01 -> (none)" in latest.lock("--check", status=3)
    latest.lock()
    assert latest.file().version_id == OLD
    latest.lock("--upgrade")
    assert latest.file().version_id == NEW


def test_a_version_without_a_date_is_too_young_for_any_cutoff(latest: World) -> None:
    add_version(latest)
    latest.model.versions[0].published_at = None
    latest.project.write(f"{{version: {NEW}}}", head="exclude_newer: 1 hour\n")
    said = latest.lock(status=65)
    assert "a date that Civitai does not say" in said
    latest.project.write(f"model: {TRACKED}", head="exclude_newer: 1 hour\n")
    latest.lock("--upgrade")
    assert latest.file().version_id == OLD


# --- policy -------------------------------------------------------------------------------

RULES = [
    ("license: [commercial-sell]", "policy.license", rename_model),
    ("nsfw: PG", "policy.nsfw", lambda world: setattr(world.model.versions[0], "nsfw_level", 16)),
    ("max_size: 1 KB", "policy.max_size", rename_model),
    ("creators: {allow: [bob]}", "policy.creators.allow", rename_model),
    ("creators: {deny: [Ann]}", "policy.creators.deny", rename_model),
]


@pytest.mark.parametrize(("rule", "key", "change"), RULES, ids=[rule for rule, _, _ in RULES])
def test_a_refusal_names_rule_file_and_line_and_leaves_the_lock(
    latest: World, rule: str, key: str, change: Callable[[World], None]
) -> None:
    before = latest.project.lock.read_bytes()
    change(latest)
    latest.project.write(f"model: {TRACKED}", head=f"policy: {{{rule}}}\n")
    said = latest.lock(status=65)
    assert f"`{key}: " in said
    assert f"file {TRACKED * 100} tracked.safetensors" in said
    assert "civsync.yaml:4:5: " in said
    assert "[policy-denied]" in said
    assert latest.project.lock.read_bytes() == before


def test_an_upgrade_keeps_what_is_allowed_where_the_new_one_is_not_and_says_so(
    latest: World,
) -> None:
    latest.project.write(f"model: {TRACKED}", head="policy: {max_size: 10 KB}\n")
    latest.lock()
    before = latest.project.lock.read_bytes()
    big = latest.model.add_version("v2", at=0)
    big.add_file("big.safetensors", safetensors("big", 20_000))
    said = latest.lock("--upgrade")
    assert "`policy.max_size: 10,000`" in said
    assert "the locked files stay as they are" in said
    assert latest.project.lock.read_bytes() == before


def test_an_upgrade_that_finds_the_same_files_writes_nothing_in_whatever_order_they_come(
    latest: World,
) -> None:
    for number, name in ((5001, "z"), (5002, "a")):
        model = latest.registry.add_model(name, id=number, tags=["pair"])
        for at in range(2):
            version = model.add_version(f"v{at}", base_model="SD 1.5")
            version.add_file(f"{name}{at}.safetensors")
    latest.project.manifest.write_text(
        "version: 1\nsearches:\n  - {tag: pair, versions: all}\n", encoding="utf-8"
    )
    latest.lock()
    before = latest.project.lock.stat().st_mtime_ns

    said = latest.lock("--upgrade")

    assert "civsync.lock is up to date" in said
    assert "Wrote" not in said
    assert latest.project.lock.stat().st_mtime_ns == before
    document = latest.project.call("lock", "-U", "--json").json
    assert (document["changed"], document["changes"]) == (False, [])


def test_a_search_that_leaves_many_out_tells_of_a_few_and_counts_the_rest(latest: World) -> None:
    for number in range(6001, 6009):
        model = latest.registry.add_model(f"Model {number}", id=number, tags=["many"])
        model.add_version("v1", base_model="SD 1.5").add_file(f"{number}.ckpt")
    model = latest.registry.add_model("Sound", id=6100, tags=["many"])
    model.add_version("v1", base_model="SD 1.5").add_file("sound.safetensors")
    latest.project.manifest.write_text("version: 1\nsearches:\n  - {tag: many}\n", encoding="utf-8")

    said = latest.lock("--dry-run")
    everything = latest.lock("--dry-run", "--verbose")

    assert said.count("it is left out of ?tag=many") == 5
    assert "civsync.yaml:3:5: 3 more notes of the kind left-out (--verbose shows all)" in said
    assert everything.count("it is left out of ?tag=many") == 8
    assert all(f"model {number}: " in everything for number in range(6001, 6009))
    notes = latest.project.call("lock", "--dry-run", "--json").json["notes"]
    assert len(notes) == 8
