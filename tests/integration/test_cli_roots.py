"""Several roots of one manifest at the command line: one set of bytes, each root by itself."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Fault, Stall
from civsync.disk.lockfile import hold_root
from civsync.disk.root import open_root
from support.cli import Project, Ran
from support.published import faults
from support.shop import DOWNLOADS, Shop, listing, only_file, open_shop

KIB = 1024
COMFY = "  comfy: {path: ComfyUI/models}\n"
FORGE = "  forge: {path: forge, layout: forge}\n"
INVOKE = "  invoke: {path: invoke, layout: invokeai}\n"
BOTH = f"roots:\n{COMFY}{FORGE}"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as made:
        yield made


@pytest.fixture
def synced(shop: Shop) -> Shop:
    """Two models in two roots."""
    shop.want(*shop.offer(KIB, 300 * KIB), head=BOTH)
    ok(shop.project.call("sync"))
    shop.served.reset_counts()
    return shop


def ok(ran: Ran) -> Ran:
    assert ran.status == 0, ran.err
    return ran


def models(shop: Shop) -> Any:  # noqa: ANN401 - whatever the registry holds
    return list(shop.registry.models.values())


def downloads(shop: Shop) -> int:
    """How many files were asked for since the last count."""
    return sum(DOWNLOADS in request.path for request in shop.served.requests)


def tree(project: Project, folder: str) -> list[str]:
    """The files below a root that are not civsync's own."""
    root = project.folder / folder
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(".civsync"))


def told(ran: Ran, kind: str) -> dict[str, Any]:
    """The events of a kind by root, where each root has one."""
    for event in ran.events:
        assert faults(event) == []
    return {each["root"]: each for each in ran.events if each.get("event") == kind}


COMFY_FILES = ["loras/m0.safetensors", "loras/m1.safetensors"]
FORGE_FILES = ["models/Lora/m0.safetensors", "models/Lora/m1.safetensors"]
INVOKE_FILES = ["lora/m0.safetensors", "lora/m1.safetensors"]


# --- one set of bytes -------------------------------------------------------------------------


@pytest.mark.parametrize("roots", [(COMFY,), (COMFY, FORGE), (COMFY, FORGE, INVOKE)], ids=len)
def test_every_file_is_downloaded_once_however_many_roots_want_it(
    shop: Shop, roots: tuple[str, ...]
) -> None:
    shop.want(*shop.offer(KIB, 300 * KIB), head="roots:\n" + "".join(roots))
    ran = shop.project.call("sync", "--json")
    assert (ran.status, downloads(shop)) == (0, 2)
    first, *others = told(ran, "finished").values()
    assert first["done"] == {"fetched": 2}
    assert [sum(each["done"].values()) for each in others] == [2] * len(others)
    assert {how for each in others for how in each["done"]} <= {"reflinked", "copied"}
    assert [each["received"] for each in others] == [0] * len(others)
    assert {each["root"] for each in told(ran, "done").values()} == set(told(ran, "planned"))
    assert tree(shop.project, "ComfyUI/models") == COMFY_FILES
    if len(roots) > 1:
        assert tree(shop.project, "forge") == FORGE_FILES
    if len(roots) > 2:
        assert tree(shop.project, "invoke") == INVOKE_FILES
    ok(shop.project.call("verify"))


def test_a_second_sync_asks_nothing_and_writes_nothing(synced: Shop) -> None:
    folders = [synced.project.folder, Path(synced.project.environment["XDG_STATE_HOME"])]
    before = listing(*folders)
    for words in (("sync",), ("status",), ("sync", "--frozen"), ("sync", "--locked", "--json")):
        ok(synced.project.call(*words))
    assert listing(*folders) == before
    assert synced.served.requests == []


def test_hard_links_make_one_file_of_all_roots(shop: Shop) -> None:
    shop.want(*shop.offer(KIB), head=f"roots:\n{COMFY}{FORGE}{INVOKE}")
    ran = shop.project.call("sync", "--json", "--link", "hardlink")
    done = [each["done"] for each in told(ran, "finished").values()]
    if {"reflinked": 1} in done:
        pytest.skip("this file system can reflink")
    assert (ran.status, downloads(shop)) == (0, 1)
    assert done == [{"fetched": 1}, {"hardlinked": 1}, {"hardlinked": 1}]
    places = ["ComfyUI/models/loras", "forge/models/Lora", "invoke/lora"]
    files = [shop.project.folder / place / "m0.safetensors" for place in places]
    assert len({file.stat().st_ino for file in files}) == 1


def test_without_sharing_each_root_downloads_for_itself(shop: Shop) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    ok(shop.project.call("sync", "--link", "off"))
    assert downloads(shop) == 2


def test_a_root_on_another_disk_gets_a_copy(shop: Shop) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == os.stat(shop.project.folder).st_dev:
        pytest.skip("there is no second disk")
    place = other / f"civsync-roots-{os.getpid()}"
    shop.want(*shop.offer(KIB), head=BOTH)
    try:
        ran = shop.project.call(
            "sync", "--json", "--link", "hardlink", "--root", f"forge={place}", "--root", "comfy"
        )
        assert (ran.status, downloads(shop)) == (0, 1)
        assert told(ran, "finished")["forge"]["done"] == {"copied": 1}
        noted = [each["message"] for each in ran.events if each.get("code") == "link-fallback"]
        assert "EXDEV" in noted[0]
        assert (place / "models/Lora/m0.safetensors").is_file()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_a_file_without_a_published_hash_is_downloaded_once_for_all_roots(shop: Shop) -> None:
    model = shop.registry.add_model("odd", creator="lab")
    unscanned = {"hashes": {}, "pickle_scan": "Pending", "virus_scan": "Pending"}
    version = model.add_version("v1", base_model="SDXL 1.0")
    version.add_file("m0.safetensors", safetensors("odd", KIB), **unscanned)
    shop.want(model, head=BOTH, allow_unverified="true")
    ok(shop.project.call("sync"))
    assert downloads(shop) == 1
    assert tree(shop.project, "ComfyUI/models") == COMFY_FILES[:1]
    assert tree(shop.project, "forge") == FORGE_FILES[:1]


# --- what changes in the manifest -------------------------------------------------------------


def test_another_layout_of_one_root_moves_files_there_alone_and_asks_nobody(synced: Shop) -> None:
    before = listing(synced.project.folder / "ComfyUI/models")
    synced.want(*models(synced), head=BOTH.replace("layout: forge", "layout: sdnext"))
    ran = synced.project.call("sync", "--json")
    assert told(ran, "finished")["forge"]["done"] == {"moved": 2}
    assert told(ran, "finished")["comfy"]["done"] == {}
    assert listing(synced.project.folder / "ComfyUI/models") == before
    assert tree(synced.project, "forge") == ["Lora/m0.safetensors", "Lora/m1.safetensors"]
    assert synced.served.requests == []


def test_a_root_that_is_added_gets_everything_from_the_others(synced: Shop) -> None:
    synced.want(*models(synced), head=f"roots:\n{INVOKE}{COMFY}{FORGE}")
    ok(synced.project.call("sync", "--offline"))
    assert tree(synced.project, "invoke") == INVOKE_FILES
    assert synced.served.requests == []


def test_a_root_that_is_taken_out_is_left_alone_and_told(synced: Shop) -> None:
    folder = synced.project.folder
    before = listing(folder / "ComfyUI/models", folder / "forge")
    synced.want(*models(synced), head=f"roots:\n{COMFY}")
    ran = ok(synced.project.call("sync"))
    assert "No root is called forge any more" in ran.err
    assert listing(folder / "ComfyUI/models", folder / "forge") == before
    assert synced.served.requests == []


@pytest.mark.parametrize("back", [False, True], ids=["to roots", "and back"])
def test_the_one_root_becomes_one_of_several_and_keeps_what_it_owns(shop: Shop, back: bool) -> None:
    wanted = shop.stocked(KIB, 300 * KIB)
    receipt = (shop.control / "receipt.json").read_bytes()
    shop.want(*wanted, head=f"roots:\n  ui: {{path: models}}\n{FORGE}")
    ran = shop.project.call("sync", "--json")
    assert told(ran, "finished")["ui"]["done"] == {}
    assert sum(told(ran, "finished")["forge"]["done"].values()) == 2
    if back:
        shop.want(*wanted)
        assert told_single(shop.project.call("sync", "--json"))["done"] == {}
    assert (shop.control / "receipt.json").read_bytes() == receipt
    assert shop.served.requests == []
    shop.want(*wanted[:1], head=f"roots:\n  ui: {{path: models}}\n{FORGE}")
    ran = ok(shop.project.call("sync", "--json"))
    assert [each["done"] for each in told(ran, "finished").values()] == [{"retired": 1}] * 2


def told_single(ran: Ran) -> dict[str, Any]:
    """The end of a sync of a root without a name."""
    assert "root" not in ran.events[-1]
    end: dict[str, Any] = ran.events[-1]
    return end


# --- what befalls one root --------------------------------------------------------------------


def test_a_root_that_is_refused_keeps_no_other_from_being_served(synced: Shop) -> None:
    shutil.rmtree(synced.project.folder / "ComfyUI/models/.civsync")
    synced.want(*models(synced), *synced.offer(KIB), head=BOTH)
    ran = synced.project.call("sync")
    assert ran.status == 8
    assert tree(synced.project, "forge") == [*FORGE_FILES, "models/Lora/m2.safetensors"]
    assert tree(synced.project, "ComfyUI/models") == COMFY_FILES
    assert "comfy: failed, exit status 8\nforge: done\n" in ran.err


def test_a_root_that_is_busy_keeps_no_other_from_being_served(synced: Shop) -> None:
    synced.want(*models(synced), *synced.offer(KIB), head=BOTH)
    state = Path(synced.project.environment["XDG_STATE_HOME"]) / "civsync"
    root = open_root(synced.project.folder / "ComfyUI/models", state_dir=state)
    with hold_root(root, command="test"):
        ran = synced.project.call("sync", "--json")
    assert ran.status == 75
    (error,) = [event for event in ran.events if event["schema"] == "civsync.error"]
    assert (error["root"], error["error"]["code"]) == ("comfy", "root-busy")
    assert told(ran, "finished")["forge"]["done"] == {"fetched": 1}
    ran = ok(synced.project.call("sync", "--json"))
    assert sum(told(ran, "finished")["comfy"]["done"].values()) == 1
    assert downloads(synced) == 1


def test_a_file_in_the_way_in_one_root_is_that_roots_affair(shop: Shop) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    mine = shop.project.folder / "ComfyUI/models/loras/m0.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    ran = shop.project.call("sync")
    assert ran.status == 8
    assert mine.read_bytes() == b"mine"
    assert tree(shop.project, "forge") == FORGE_FILES[:1]


def test_with_fail_fast_the_first_failure_is_the_last_root(synced: Shop) -> None:
    shutil.rmtree(synced.project.folder / "ComfyUI/models/.civsync")
    synced.want(*models(synced), *synced.offer(KIB), head=BOTH)
    ran = synced.project.call("sync", "--fail-fast")
    assert ran.status == 8
    assert "comfy: failed, exit status 8\nforge: not looked at any more\n" in ran.err
    assert tree(synced.project, "forge") == FORGE_FILES


def test_each_root_has_a_prune_guard_of_its_own(synced: Shop) -> None:
    synced.want(head=BOTH)
    ran = synced.project.call("sync")
    assert ran.status == 8
    assert ran.err.count("[prune-guard]") == 2
    assert tree(synced.project, "forge") == FORGE_FILES
    ok(synced.project.call("sync", "--root", "forge", "--allow-prune", "all"))
    assert tree(synced.project, "forge") == []
    assert tree(synced.project, "ComfyUI/models") == COMFY_FILES


def test_damage_is_told_and_repaired_root_by_root(synced: Shop) -> None:
    hurt = synced.project.folder / "forge/models/Lora/m0.safetensors"
    data = hurt.read_bytes()
    hurt.write_bytes(data[:-1] + b"\0")
    ran = synced.project.call("verify", "--json")
    assert (ran.status, faults(ran.json)) == (5, [])
    found = {each["name"]: each["faults"] for each in ran.json["roots"]}
    assert found["comfy"] == []
    assert [each["path"] for each in found["forge"]] == ["models/Lora/m0.safetensors"]
    ok(synced.project.call("verify", "--repair"))
    assert hurt.read_bytes() == data


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_is_meant_for_all_roots_and_the_next_run_goes_on(shop: Shop) -> None:
    size = 3000 * KIB
    (model,) = shop.offer(size)
    shop.want(model, head=BOTH)
    release = threading.Event()
    stall = Stall(release, after=size // 2)
    shop.served.faults.add(
        Fault(does=stall, origin="storage", path=f"/{only_file(model).id}/", times=None)
    )
    with shop.project.start("sync", "--json") as running:
        assert running.stdout is not None
        assert any('"progress"' in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        rest, said = running.communicate(timeout=20)
    release.set()
    shop.served.faults.clear()
    assert (running.returncode, '"root": "forge"' in rest) == (130, False)
    assert "comfy: interrupted\nforge: not looked at any more\n" in said
    ran = ok(shop.project.call("sync", "--json"))
    assert told(ran, "finished")["comfy"]["done"] == {"fetched": 1}
    assert tree(shop.project, "forge") == FORGE_FILES[:1]


# --- which root -------------------------------------------------------------------------------


def test_a_name_restricts_a_run_to_that_root(shop: Shop) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    ok(shop.project.call("sync", "--root", "forge"))
    assert tree(shop.project, "forge") == FORGE_FILES[:1]
    assert not (shop.project.folder / "ComfyUI").exists()
    ran = ok(shop.project.call("status", "--json", "--root", "forge"))
    assert [each["name"] for each in ran.json["roots"]] == ["forge"]
    assert shop.project.call("status", "--exit-code").status == 2
    assert shop.project.call("verify", env={"CIVSYNC_ROOT": "forge"}).status == 0
    assert shop.project.call("verify").status == 5


@pytest.mark.parametrize("by", ["flag", "variable", "config"])
def test_the_user_says_where_a_root_lies_elsewhere(shop: Shop, tmp_path: Path, by: str) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    words: list[str] = []
    env: dict[str, str] = {}
    if by == "flag":
        words = ["--root", f"forge={tmp_path / 'far'}"]
    elif by == "variable":
        env = {"CIVSYNC_ROOT": f"forge={tmp_path / 'far'}"}
    else:
        config = Path(shop.project.environment["XDG_CONFIG_HOME"]) / "civsync"
        config.mkdir(parents=True)
        (config / "config.yaml").write_text(f"roots: {{forge: {tmp_path / 'far'}}}\n")
    ok(shop.project.call("sync", *words, env=env))
    assert (tmp_path / "far/models/Lora/m0.safetensors").is_file()
    assert not (shop.project.folder / "forge").exists()
    assert (shop.project.folder / "ComfyUI").exists() is (by == "config")
    assert "far" not in shop.project.lock.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("roots: {forge: models}", "`roots.forge: models` is not a whole path"),
        ("roots: [forge]", "roots must be texts by name"),
        ("roots: {forge: [x]}", "roots must be texts by name"),
        ("root: x", ""),
        ("roots: {other: x}", ""),
    ],
)
def test_what_the_users_config_says_of_roots_is_read_closely(
    synced: Shop, text: str, says: str
) -> None:
    """What is for manifests with one root, or with roots of other names, is not for this one."""
    config = Path(synced.project.environment["XDG_CONFIG_HOME"]) / "civsync"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text(text)
    ran = synced.project.call("sync")
    assert (ran.status, says in ran.err) == (65 if says else 0, True), ran.err


@pytest.mark.parametrize("command", [("sync",), ("status",), ("verify",), ("adopt", "--all")])
def test_a_root_that_is_none_of_them_is_refused_and_they_are_named(
    synced: Shop, command: tuple[str, ...]
) -> None:
    for word in ("forg", "models", "/srv/models", "comfy/x", "=x", ""):
        ran = synced.project.call(*command, f"--root={word}")
        assert (ran.status, "There are comfy and forge." in ran.err) == (64, True), ran.err


def test_a_slip_in_the_command_line_is_told_once(synced: Shop) -> None:
    ran = synced.project.call("sync", "--json", "--group", "video")
    (error,) = ran.events
    assert (ran.status, error["error"]["code"], "root" in error) == (64, "usage", False)


FOR_ONE_ROOT = [
    ("adopt", "--all"),
    ("trash", "list"),
    ("trash", "restore", "x"),
    ("trash", "empty", "--yes"),
    ("sync", "--plan", "plan.json"),
    ("sync", "--unprotect", "loras/m0.safetensors"),
    ("verify", "--rebuild"),
    ("export", "--format", "sha256sums"),
    ("sync", "--follow-links", "loras"),
]


def test_what_is_done_for_one_root_asks_which(synced: Shop) -> None:
    before = listing(synced.project.folder)
    for words in FOR_ONE_ROOT:
        ran = synced.project.call(*words)
        assert (ran.status, "--root NAME" in ran.err) == (64, True), (words, ran.err)
    assert listing(synced.project.folder) == before


def test_one_root_is_worked_on_by_its_name(synced: Shop) -> None:
    project = synced.project
    ran = ok(project.call("export", "--format", "sha256sums", "--root", "forge"))
    assert [line.split("  ")[1] for line in ran.out.splitlines()] == FORGE_FILES
    synced.want(*models(synced)[:1], head=BOTH)
    ok(project.call("sync", "--no-prune"))
    ok(project.call("sync", "--plan", "plan.json", "--root", "forge"))
    assert project.call("sync", "--apply", "plan.json", "--root", "comfy").status == 8
    ok(project.call("sync", "--apply", "plan.json", "--root", "forge"))
    assert tree(project, "forge") == FORGE_FILES[:1]
    assert tree(project, "ComfyUI/models") == COMFY_FILES
    ok(project.call("trash", "restore", FORGE_FILES[1], "--root", "forge"))
    assert tree(project, "forge") == FORGE_FILES
    ran = ok(project.call("adopt", "--all", "--root", "comfy", "--json"))
    assert ran.json["owned"] == 1


def test_a_file_that_is_restored_where_its_root_wants_it_is_civsyncs_again(synced: Shop) -> None:
    wanted = models(synced)
    synced.want(*wanted[:1], head=BOTH)
    ok(synced.project.call("sync"))
    synced.want(*wanted, head=BOTH)
    ok(synced.project.call("lock"))
    ran = ok(synced.project.call("trash", "restore", FORGE_FILES[1], "--root", "forge"))
    assert "civsync's again" in ran.err


# --- what lies within what --------------------------------------------------------------------


def test_roots_that_overlap_are_refused_before_anything_is_written(
    shop: Shop, tmp_path: Path
) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    folder = shop.project.folder
    (folder / "link").symlink_to("ComfyUI")
    (folder / "ComfyUI").mkdir()
    before = listing(folder)
    for place in ("ComfyUI/models", "ComfyUI/models/x", "ComfyUI", ".", "link/models"):
        ran = shop.project.call("sync", "--root", "comfy", "--root", f"forge={place}")
        assert (ran.status, "[root-unusable]" in ran.err) == (8, True), (place, ran.err)
    assert listing(folder) == before
    assert shop.served.requests == []


def test_a_folder_of_the_manifest_that_leads_out_is_refused_and_the_others_are_served(
    shop: Shop, tmp_path: Path
) -> None:
    shop.want(*shop.offer(KIB), head=BOTH)
    (tmp_path / "far").mkdir()
    (shop.project.folder / "forge").symlink_to(tmp_path / "far")
    ran = shop.project.call("sync")
    assert ran.status == 8
    assert f"--root forge={tmp_path / 'far'}" in ran.err
    assert list((tmp_path / "far").iterdir()) == []
    assert tree(shop.project, "ComfyUI/models") == COMFY_FILES[:1]


# --- the lock alone ---------------------------------------------------------------------------


def test_a_frozen_sync_needs_no_manifest_where_the_user_says_where_roots_lie(
    synced: Shop, tmp_path: Path
) -> None:
    synced.project.manifest.unlink()
    ran = synced.project.call("sync", "--frozen")
    assert (ran.status, "nothing says where the root comfy lies" in ran.err) == (64, True)
    ok(synced.project.call("sync", "--frozen", "--root", f"forge={tmp_path / 'far'}"))
    assert (tmp_path / "far/models/Lora/m0.safetensors").is_file()


def test_a_root_that_the_lock_does_not_know_is_never_emptied(synced: Shop) -> None:
    project = synced.project
    lock = project.lock.read_bytes()
    synced.want(*models(synced), head=f"{BOTH}{INVOKE}")
    ok(project.call("sync"))
    project.lock.write_bytes(lock)
    ran = project.call("sync", "--frozen", "--allow-prune", "all", "--json")
    assert ran.status == 3
    (error,) = [event for event in ran.events if event["schema"] == "civsync.error"]
    assert (error["root"], error["error"]["code"]) == ("invoke", "lock-stale")
    assert tree(project, "invoke") == INVOKE_FILES
    synced.want(*models(synced))
    assert project.call("sync", "--frozen", "--allow-prune", "all").status == 3
    assert project.call("verify").status == 3


def test_a_lock_for_one_root_says_nothing_of_several(shop: Shop) -> None:
    wanted = shop.stocked(KIB)
    shop.want(*wanted, head=f"roots:\n  ui: {{path: models}}\n{FORGE}")
    ran = shop.project.call("sync", "--frozen", "--allow-prune", "all")
    assert (ran.status, ran.err.count("[lock-stale]")) == (3, 2)
    assert tree(shop.project, "models") == COMFY_FILES[:1]
    assert shop.project.call("sync", "--locked").status == 3
    assert shop.project.call("lock", "--check").status == 3


# --- what is shown ----------------------------------------------------------------------------


def test_a_look_ahead_shows_every_root(synced: Shop) -> None:
    synced.want(*models(synced)[:1], head=BOTH)
    ran = ok(synced.project.call("sync", "--dry-run"))
    lines = ran.out.splitlines()
    assert lines[0] == "comfy  ComfyUI/models"
    assert "forge  forge" in lines
    assert sum(line.startswith("  - ") for line in lines) == 2
    assert synced.project.call("sync", "--check").status == 2
    ran = ok(synced.project.call("status", "--json"))
    assert faults(ran.json) == []
    assert [len(each["actions"]) for each in ran.json["roots"]] == [2, 2]


def test_what_the_manifest_changed_is_told_once_for_all_roots(synced: Shop) -> None:
    synced.want(
        *models(synced), head=f"roots:\n{COMFY}{FORGE.replace('layout: forge', 'layout: invokeai')}"
    )
    out = ok(synced.project.call("status")).out
    assert out.count("The manifest differs from the lock:") == 1
    assert out.index("differs") < out.index("comfy  ") < out.index("forge  ")
    assert "2 to move" in out


def test_status_tells_of_a_root_that_cannot_be_looked_at(synced: Shop) -> None:
    shutil.rmtree(synced.project.folder / "ComfyUI/models/.civsync")
    ran = synced.project.call("status", "--json")
    assert (ran.status, faults(ran.json)) == (8, [])
    comfy, forge = ran.json["roots"]
    assert comfy["error"]["exit"] == 8
    assert [each["action"] for each in forge["actions"]] == ["keep", "keep"]


def test_the_list_says_where_a_file_lies_in_each_root(synced: Shop) -> None:
    ran = ok(synced.project.call("list"))
    assert "forge: models/Lora/m0.safetensors" in ran.out
    assert ran.out.splitlines()[-1].endswith("2 files, in each of 2 roots")
    ran = ok(synced.project.call("list", "--json", "forge/models/Lora/m1.safetensors"))
    (file,) = ran.json["files"]
    assert faults(ran.json) == []
    assert file["paths"] == {"comfy": COMFY_FILES[1], "forge": FORGE_FILES[1]}


def test_a_diff_says_in_which_root_a_file_moved(synced: Shop) -> None:
    before = synced.project.folder / "before.lock"
    shutil.copyfile(synced.project.lock, before)
    synced.want(*models(synced), head=BOTH.replace("layout: forge", "layout: sdnext"))
    ok(synced.project.call("lock"))
    ran = ok(synced.project.call("diff", "before.lock", "civsync.lock"))
    assert "at Lora/m0.safetensors in forge" in ran.out
    ran = ok(synced.project.call("diff", "before.lock", "civsync.lock", "--format", "markdown"))
    assert "forge: models/Lora/m0.safetensors → Lora/m0.safetensors" in ran.out
    ran = ok(synced.project.call("diff", "before.lock", "civsync.lock", "--json"))
    assert faults(ran.json) == []


def test_two_branches_that_add_a_root_and_a_model_are_united(synced: Shop) -> None:
    """One side is of the format without roots, and its records lie among those with."""
    project = synced.project
    wanted = models(synced)
    both = project.lock.read_bytes()
    synced.want(*wanted)
    ok(project.call("lock"))
    one = project.lock.read_bytes()
    synced.want(*wanted, head=BOTH)
    for text in (
        b"<<<<<<< ours\n" + both + b"=======\n" + one + b">>>>>>> theirs\n",
        one.replace(b'"schema_version": 2', b'"schema_version": 3'),
    ):
        project.lock.write_bytes(text)
        ok(project.call("lock"))
        assert project.lock.read_bytes() == both
    document = json.loads(both)
    del document["entries"][0]["files"][0]["paths"]["forge"]
    project.lock.write_text(json.dumps(document))
    assert project.call("sync", "--frozen").status == 65
    ok(project.call("lock"))
    assert project.lock.read_bytes() == both
