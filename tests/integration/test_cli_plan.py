"""`civsync sync --plan` and `--apply`: what was looked at is what is done, or nothing is."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import Model
from support.cli import Project, Ran
from support.published import faults
from support.shop import Shop, listing, only_file, open_shop

KIB = 1024
PLAN = "plan.json"
M0, M1 = "loras/m0.safetensors", "loras/m1.safetensors"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A plan to retire a file, for tests in which nothing is ever done."""
    with open_shop(tmp_path_factory.mktemp("standing")) as opened:
        retired(opened)
        planned(opened.project)
        yield opened


def planned(project: Project, *words: str, status: int = 0) -> dict[str, Any]:
    """Write a plan, and return it."""
    ran = project.call("sync", "--plan", PLAN, *words)
    assert ran.status == status, ran.err
    document: dict[str, Any] = json.loads((project.folder / PLAN).read_text())
    assert faults(document) == []
    return document


def apply(project: Project, *words: str) -> Ran:
    return project.call("sync", "--apply", PLAN, *words)


def everything(shop: Shop) -> dict[str, tuple[int, ...]]:
    """All that is in the project's folder, with its times: documents, root and state."""
    return listing(shop.project.folder)


def news(shop: Shop, model: Model, size: int = 3 * KIB) -> None:
    """Let upstream have other bytes under the same name, and lock them."""
    version = model.add_version("v2", at=0, base_model="SDXL 1.0")
    version.add_file(model.versions[1].files[0].name, safetensors(f"news {model.id}", size))
    ran = shop.project.call("lock", "--upgrade")
    assert ran.status == 0, ran.err


# --- the worlds that plans are made for: one for every kind of action ---------------------------


def new_root(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB, 2 * KIB))


def replaced(shop: Shop) -> None:
    one, _ = shop.stocked(KIB, 2 * KIB)
    news(shop, one)


def moved(shop: Shop) -> None:
    models = shop.stocked(KIB, 2 * KIB)
    shop.locked(*models, head="layout: flat\n")


def retired(shop: Shop) -> None:
    one, _ = shop.stocked(KIB, 2 * KIB)
    shop.locked(one)


def released(shop: Shop) -> None:
    retired(shop)
    (shop.project.root / M1).write_bytes(b"mine")


def gone(shop: Shop) -> None:
    retired(shop)
    (shop.project.root / M1).unlink()


def deleted(shop: Shop) -> None:
    shop.stocked(KIB, 2 * KIB)
    (shop.project.root / M0).unlink()


def blocked(shop: Shop) -> None:
    shop.stocked(KIB, 2 * KIB)
    (shop.project.root / M0).write_bytes(b"mine")


WORLDS = {
    "fetch": (new_root, {"fetch": 2}),
    "replace": (replaced, {"replace": 1}),
    "move": (moved, {"move": 2}),
    "retire": (retired, {"retire": 1}),
    "release what changed": (released, {"release": 1}),
    "release what is gone": (gone, {"release": 1}),
    "fetch again": (deleted, {"fetch": 1}),
    "blocked": (blocked, {"blocked": 1}),
}
MAKERS = [pytest.param(make, counts, id=name) for name, (make, counts) in WORLDS.items()]


@pytest.mark.parametrize(("make", "counts"), MAKERS)
def test_a_plan_changes_nothing_and_applying_it_is_what_a_plain_sync_would_have_done(
    shop: Shop, tmp_path: Path, make: Callable[[Shop], None], counts: dict[str, int]
) -> None:
    make(shop)
    twin = tmp_path / "twin"
    shutil.copytree(shop.project.folder, twin)
    before = everything(shop)
    # To let go of a file changes no file, so it is nothing that is pending.
    status = 8 if "blocked" in counts else 0 if "release" in counts else 2
    for words in (("--check",), ("--check", "--frozen"), ("--check", "--verify", "all")):
        assert shop.project.call("sync", *words).status == status, words
    assert shop.project.call("sync", "--dry-run").status == (8 if status == 8 else 0)
    assert everything(shop) == before
    plan = planned(shop.project, status=8 if "blocked" in counts else 0)
    changed = {name for name, what in everything(shop).items() if before.get(name) != what}
    assert changed == {str(shop.project.folder), str(shop.project.folder / PLAN)}
    totals = {name: count for name, count in plan["totals"].items() if count and name != "bytes"}
    assert totals == counts
    assert plan["totals"]["bytes"] == sum(action["bytes"] for action in plan["actions"])
    for action in plan["actions"]:
        place = shop.project.root / action["path"]
        there = place.stat() if place.exists() else None
        stamp = action["now"]["stamp"] or {}
        assert action["why"]
        assert action["entry"]
        assert stamp.get("mtime_ns") == (there.st_mtime_ns if there else None)
    ran = apply(shop.project, "--json")
    # A copy has other inodes, so its files are read once more; and its root was not seen yet.
    plain = Project(twin, shop.served.api_url)
    other = plain.call("sync", "--json")
    assert ran.status == other.status
    assert ran.events[-1] == other.events[-1]
    assert shop.project.files() == plain.files()
    assert owned_in(shop.project) == owned_in(plain)
    assert trash_of(shop.project) == trash_of(plain)
    after = everything(shop)
    for words in (("--check",), ("--check", "--frozen")):
        assert shop.project.call("sync", *words).status == ran.status, words
    assert everything(shop) == after


def owned_in(project: Project) -> dict[str, str]:
    receipt = json.loads((project.root / ".civsync/receipt.json").read_text())
    return {each["path"]: each["sha256"] for each in receipt["owned"]}


def trash_of(project: Project) -> list[bytes]:
    folder = project.root / ".civsync/trash"
    return sorted(path.read_bytes() for path in folder.glob("*.retired"))


def test_a_lock_that_must_change_first_is_work_and_with_frozen_it_is_not(shop: Shop) -> None:
    shop.want(*shop.stocked(KIB), head="layout: flat\n")
    before = everything(shop)
    statuses = {
        words: shop.project.call("sync", "--check", *words).status
        for words in ((), ("--no-locked",), ("--offline",), ("--locked",), ("--frozen",))
    }
    assert [*statuses.values()] == [2, 2, 2, 3, 0]
    assert everything(shop) == before


# --- what became another one since is not touched -----------------------------------------------


def of_the_user(shop: Shop) -> dict[str, tuple[int, ...]]:
    """Everything but what a run that holds the root leaves of itself: lock file, probe."""
    own = {str(shop.control), str(shop.control / "lock")}
    return {name: what for name, what in everything(shop).items() if name not in own}


def write_there(shop: Shop) -> None:
    place = shop.project.root / M0
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"somebody's")


def append(shop: Shop) -> None:
    with (shop.project.root / M0).open("ab") as file:
        file.write(b"!")


def touch(shop: Shop) -> None:
    os.utime(shop.project.root / M0, ns=(1, 1))


def touch_second(shop: Shop) -> None:
    os.utime(shop.project.root / M1, ns=(1, 1))


def delete_second(shop: Shop) -> None:
    (shop.project.root / M1).unlink()


def link_instead(shop: Shop) -> None:
    (shop.project.root / M0).unlink()
    (shop.project.root / M0).symlink_to("/etc/hostname")


def touch_lock(shop: Shop) -> None:
    shop.project.lock.write_bytes(shop.project.lock.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("make", "change", "stale"),
    [
        pytest.param(new_root, write_there, {M0}, id="a file where one was to come"),
        pytest.param(replaced, append, {M0}, id="changed where one was to be replaced"),
        pytest.param(replaced, touch, {M0}, id="touched where one was to be replaced"),
        pytest.param(replaced, link_instead, {M0}, id="a link where one was to be replaced"),
        pytest.param(replaced, delete_second, {M1}, id="a file gone that the plan does not name"),
        pytest.param(retired, touch_second, {M1}, id="touched where one was to be retired"),
        pytest.param(retired, delete_second, {M1}, id="gone where one was to be retired"),
        pytest.param(moved, touch, {"m0.safetensors"}, id="touched where one was to be moved from"),
        pytest.param(
            moved, delete_second, {"m1.safetensors", M1}, id="gone where one was to be moved from"
        ),
    ],
)
def test_a_stale_action_is_refused_and_nothing_is_changed(
    shop: Shop,
    make: Callable[[Shop], None],
    change: Callable[[Shop], None],
    stale: set[str],
) -> None:
    make(shop)
    planned(shop.project)
    change(shop)
    before = of_the_user(shop)
    ran = apply(shop.project, "--json")
    assert of_the_user(shop) == before
    end = ran.events[-1]
    assert faults(end) == []
    assert (ran.status, end["exit"], end["done"]) == (8, 8, {})
    assert {each["path"]: each["error"]["code"] for each in end["failed"]} == dict.fromkeys(
        stale, "plan-stale"
    )


def test_all_that_is_stale_is_listed_at_once_with_what_the_plan_says(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB, KIB, KIB))
    planned(shop.project)
    for name in (M0, M1):
        (shop.project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.project.root / name).write_bytes(b"somebody's")
    ran = apply(shop.project)
    assert ran.status == 8
    for name in (M0, M1):
        line = f"error: {name}: the plan says fetch, and what is on disk is not what was there then"
        assert line in ran.err
    assert shop.served.requests == []
    assert not shop.control.exists()


@pytest.mark.parametrize("change", ["another lock", "another root", "both"])
def test_a_plan_of_another_lock_or_root_is_refused(shop: Shop, change: str) -> None:
    retired(shop)
    planned(shop.project)
    words: tuple[str, ...] = ()
    if change != "another root":
        touch_lock(shop)
    if change != "another lock":
        other = Project(shop.project.folder / "other", shop.served.api_url)
        other.manifest.write_bytes(shop.project.manifest.read_bytes())
        assert other.call("sync").status == 0
        words = ("--root", str(other.root))
    before = everything(shop)
    ran = apply(shop.project, "--json", *words)
    assert (ran.status, ran.json["error"]["code"]) == (8, "plan-stale")
    message = ran.json["error"]["message"]
    assert ("civsync.lock is another one" in message) == (change != "another root")
    assert ("is another root" in message) == (change != "another lock")
    assert everything(shop) == before


def test_a_plan_for_a_root_that_was_new_is_for_that_place_alone(shop: Shop) -> None:
    new_root(shop)
    assert planned(shop.project)["root_id"] == ""
    ran = apply(shop.project, "--root", str(shop.project.folder / "elsewhere"))
    assert (ran.status, "the plan is for" in ran.err) == (8, True)
    assert not (shop.project.folder / "elsewhere").exists()
    assert apply(shop.project).status == 0
    assert len(shop.tree) == 2


def test_a_plan_that_was_cut_off_is_gone_on_with_and_then_there_is_nothing_to_do(
    shop: Shop,
) -> None:
    one, two, three = shop.stocked(KIB, KIB, KIB)
    news(shop, one)
    news(shop, two)
    shop.locked(one, two)
    planned(shop.project, "--prune-first")
    page = Answer(200, (("Content-Type", "text/html"),), b"<html>")
    shop.served.faults.add(Fault(does=page, path=f"/{only_file(two).id}/", times=None))
    first = apply(shop.project, "--json", "--jobs", "1")
    assert first.status != 0
    assert first.events[-1]["done"] == {"fetched": 1, "retired": 1}
    assert three.versions[0].files[0].name not in {Path(name).name for name in shop.tree}
    shop.served.faults.clear()
    again = apply(shop.project, "--json")
    assert (again.status, again.events[-1]["done"]) == (0, {"fetched": 1})
    before = everything(shop)
    assert "nothing to do" in apply(shop.project).err
    assert everything(shop) == before
    assert shop.project.call("sync").status == 0


# --- guards -------------------------------------------------------------------------------------


def test_no_plan_is_written_for_what_the_prune_guard_stops(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    shop.want()
    assert shop.project.call("lock").status == 0
    ran = shop.project.call("sync", "--plan", PLAN)
    assert ran.status == 8
    assert "prune-guard" in ran.err
    assert not (shop.project.folder / PLAN).exists()
    assert planned(shop.project, "--allow-prune", "2")["terms"]["allow_prune"] == 2
    assert apply(shop.project).status == 0
    assert shop.tree == {}
    assert len(shop.trash()) == 2


def test_a_plan_that_was_forged_to_pass_the_guard_does_not(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    shop.want()
    assert shop.project.call("lock").status == 0
    planned(shop.project, "--allow-prune", "2")
    path = shop.project.folder / PLAN
    path.write_text(path.read_text().replace('"allow_prune": 2', '"allow_prune": 0'))
    before = shop.tree
    ran = apply(shop.project)
    assert (ran.status, "prune-guard" in ran.err) == (8, True)
    assert shop.tree == before


@pytest.mark.parametrize(
    "words",
    [
        ("--check",),
        ("--dry-run",),
        ("--plan", "other.json"),
        ("--locked",),
        ("--no-locked",),
        ("--no-prune",),
        ("--prune-first",),
        ("--prune-unselected",),
        ("--allow-prune", "all"),
        ("--force-modified",),
        ("--verify", "all"),
        ("-g", "a"),
        ("--only-group", "a"),
        ("--no-group", "a"),
        ("--all-groups",),
    ],
    ids=" ".join,
)
def test_flags_that_would_shape_another_plan_are_refused_beside_apply(
    standing: Shop, words: tuple[str, ...]
) -> None:
    ran = apply(standing.project, *words)
    assert (ran.status, "exclude each other" in ran.err) == (64, True)


def test_variables_that_would_shape_another_plan_do_not_count_beside_apply(shop: Shop) -> None:
    retired(shop)
    planned(shop.project)
    variables = {"CIVSYNC_NO_PRUNE": "1", "CIVSYNC_ONLY_GROUP": "a", "CI": "true"}
    ran = shop.project.call("sync", "--apply", PLAN, env=variables)
    assert (ran.status, M1 in shop.tree) == (0, False)


def test_a_plan_remembers_groups_and_what_was_allowed(shop: Shop) -> None:
    one, two, three = shop.stocked(KIB, KIB, KIB)
    (shop.project.root / M0).write_bytes(b"mine")
    shop.project.write(
        f"model: {one.id}",
        f"{{model: {two.id}, groups: [a]}}",
        f"{{model: {three.id}, groups: [b]}}",
    )
    assert shop.project.call("lock").status == 0
    plan = planned(shop.project, "-g", "a", "--force-modified", "--prune-unselected")
    assert plan["terms"]["selection"] == {"groups": ["a"], "without": [], "ungrouped": True}
    assert {each["action"]: each["path"] for each in plan["actions"]} == {
        "replace": M0,
        "retire": "loras/m2.safetensors",
    }
    assert apply(shop.project).status == 0
    assert set(shop.tree) == {M0, M1}
    assert b"mine" in shop.trash()


def test_a_plan_that_read_every_file_is_applied_by_reading_every_file(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    place = shop.project.root / M0
    before = place.stat()
    place.write_bytes(bytes([place.read_bytes()[0] ^ 1]) + place.read_bytes()[1:])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    shop.project.lock.touch()
    plan = planned(shop.project, "--verify", "all", "--force-modified")
    assert plan["totals"]["replace"] == 1
    assert apply(shop.project).status == 0
    shop.nothing_wrong_under_a_name()


# --- the file -----------------------------------------------------------------------------------


def reformatted(text: str) -> str:
    return json.dumps(json.loads(text))


def with_key(text: str, **keys: object) -> str:
    return json.dumps({**json.loads(text), **keys}, indent=2) + "\n"


def with_action(text: str, **keys: object) -> str:
    document = json.loads(text)
    document["actions"][0].update(keys)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda _: "", "", id="empty"),
        pytest.param(lambda _: "version: 1\n", "", id="no JSON"),
        pytest.param(lambda _: "[" * 100_000, "", id="nested"),
        pytest.param(lambda _: "{}", "it is no plan of civsync", id="another document"),
        pytest.param(reformatted, "not as civsync wrote it", id="reformatted"),
        pytest.param(lambda text: text[:-40], "", id="cut"),
        pytest.param(lambda text: text + "\n", "not as civsync wrote it", id="a line more"),
        pytest.param(lambda t: with_key(t, hook="rm"), "not as civsync wrote it", id="unknown key"),
        pytest.param(
            lambda t: t.replace('"root_id"', '"root_id": "x",\n  "root_id"'),
            "not as civsync wrote it",
            id="a key twice",
        ),
        pytest.param(
            lambda t: with_key(t, schema_version=2), "by a newer civsync", id="from the future"
        ),
        pytest.param(
            lambda t: with_key(t, totals={**json.loads(t)["totals"], "retire": 0}),
            "not as civsync wrote it",
            id="totals that lie",
        ),
        pytest.param(lambda t: with_action(t, path="../x"), "unsafe path", id="a path outside"),
        pytest.param(lambda t: with_action(t, path="/etc/x"), "unsafe path", id="a whole path"),
        pytest.param(
            lambda t: with_action(t, source=".civsync/receipt.json"),
            "unsafe path",
            id="the control folder",
        ),
        pytest.param(lambda t: with_action(t, sha256="0" * 63), "a hash of", id="half a hash"),
        pytest.param(lambda t: with_action(t, action="delete"), "", id="an unknown action"),
        pytest.param(
            lambda t: with_key(t, actions=json.loads(t)["actions"] * 2),
            "a path stands in it twice",
            id="an action twice",
        ),
    ],
)
def test_a_file_that_is_not_as_civsync_wrote_it_is_refused(
    standing: Shop, spoil: Callable[[str], str], says: str
) -> None:
    text = (standing.project.folder / PLAN).read_text()
    (standing.project.folder / "spoilt.json").write_text(spoil(text))
    before = everything(standing)
    ran = standing.project.call("sync", "--apply", "spoilt.json")
    assert (ran.status, "[plan-invalid]" in ran.err, says in ran.err) == (65, True, True)
    assert everything(standing) == before


@pytest.mark.parametrize(
    "keys",
    [
        {"path": M0},
        {"path": "loras/never-there.safetensors"},
        {"why": "it is harmless"},
        {"entry": "somebody's"},
        {"sha256": "0" * 64},
    ],
    ids=repr,
)
def test_a_plan_that_says_another_thing_than_planning_anew_is_refused_whole(
    standing: Shop, keys: dict[str, str]
) -> None:
    text = (standing.project.folder / PLAN).read_text()
    (standing.project.folder / "forged.json").write_text(with_action(text, **keys))
    before = of_the_user(standing)
    ran = standing.project.call("sync", "--apply", "forged.json")
    assert (ran.status, "[plan-stale]" in ran.err) == (8, True)
    assert of_the_user(standing) == before


@pytest.mark.parametrize("name", ["civsync.lock", "civsync.yaml", f"models/{M0}"])
def test_no_file_but_a_plan_is_written_over(standing: Shop, name: str) -> None:
    before = everything(standing)
    ran = standing.project.call("sync", "--plan", name)
    assert (ran.status, "a file is there that is no plan" in ran.err) == (64, True)
    assert everything(standing) == before


def test_a_plan_is_written_over_an_older_one_and_in_a_folder_that_is_there(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    planned(shop.project)
    first = (shop.project.folder / PLAN).stat().st_ino
    planned(shop.project)
    assert (shop.project.folder / PLAN).stat().st_ino != first
    assert not list(shop.project.folder.glob("*.tmp"))
    assert shop.project.call("sync", "--plan", "nowhere/plan.json").status == 1


def test_there_is_no_plan_of_a_lock_that_must_change_first(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.locked(one)
    shop.want(one, two)
    ran = shop.project.call("sync", "--plan", PLAN)
    assert (ran.status, "lock-stale" in ran.err) == (3, True)
    assert shop.project.call("sync", "--plan", PLAN, "--no-locked").status == 64
    planned(shop.project, "--frozen")
    assert apply(shop.project).status == 0
    assert set(shop.tree) == {M0}


def test_a_plan_that_is_not_there_is_a_slip_of_the_command_line(shop: Shop) -> None:
    ran = apply(shop.project)
    assert (ran.status, "there is no such plan" in ran.err) == (64, True)


@pytest.mark.parametrize(
    "share", [pytest.param(25, id="some bytes"), pytest.param(1, id="all", marks=pytest.mark.sweep)]
)
def test_a_plan_with_any_byte_changed_is_refused_or_does_the_same(shop: Shop, share: int) -> None:
    one, two, _ = shop.stocked(KIB, KIB, KIB)
    news(shop, one)
    shop.project.write(f"model: {one.id}", f"{{model: {two.id}, directory: other}}")
    assert shop.project.call("lock").status == 0
    plan = planned(shop.project)
    assert {each["action"] for each in plan["actions"]} == {"replace", "move", "retire"}
    kept = shop.project.folder.parent / "kept"
    shutil.copytree(shop.project.folder, kept, symlinks=True)
    whole = (shop.project.folder / PLAN).read_bytes()
    outside = listing(kept)
    before = shop.tree
    done: dict[str, bytes] | None = None
    for spot in range(0, len(whole) - 8, share):
        (shop.project.folder / PLAN).write_bytes(
            whole[:spot] + bytes([whole[spot] ^ (1 << spot % 7)]) + whole[spot + 1 :]
        )
        ran = apply(shop.project)
        if ran.status != 0:
            assert ran.status in (8, 65), (spot, ran.err)
            assert shop.tree == before, spot
            continue
        done = done or shop.tree
        assert shop.tree == done != before, spot
        put_back(kept, shop.project)
        planned(shop.project)
        whole = (shop.project.folder / PLAN).read_bytes()
    assert done is not None
    assert listing(kept) == outside


def put_back(kept: Path, project: Project) -> None:
    """Restore tree and receipt; the files have other inodes then, so the plan is made anew."""
    shutil.rmtree(project.root)
    shutil.copytree(kept / "models", project.root)
