"""`civsync sync` as people run it: first and second sync, edits, guards, flags."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from civsync.demo.artifacts import lazy_safetensors, safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Cut, Fault
from support.shop import DOWNLOADS, Shop, listing, only_file, open_shop

KIB = 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


# --- first and second sync -------------------------------------------------------------


def test_a_first_sync_from_a_lock_asks_the_api_once_a_file(shop: Shop) -> None:
    shop.locked(*shop.offer(*[3 * KIB] * 8))
    assert shop.sync().done == {"fetched": 8}
    assert shop.served.count(origin="api") == 8
    assert shop.served.count(origin="storage") == 8
    assert sorted(shop.tree) == [f"loras/m{number}.safetensors" for number in range(8)]
    shop.nothing_wrong_under_a_name()


@pytest.mark.slow
def test_half_a_gibibyte_in_eight_files_asks_the_api_nine_times_with_a_token(shop: Shop) -> None:
    shop.registry.tokens.add("secret-token")
    bodies = {
        f"big{n}.safetensors": lazy_safetensors(f"big {n}", 64 * 1024 * KIB) for n in range(8)
    }
    shop.locked(*shop.offer(bodies=bodies))
    ended = shop.sync("--frozen", env={"CIVITAI_API_KEY": "secret-token"})
    assert ended.done == {"fetched": 8}
    assert shop.served.count(origin="api") == 9
    assert shop.served.count(path_prefix="/api/v1/me") == 1
    assert shop.sync("--verify", "all").done == {}


def test_a_second_sync_asks_nothing_writes_nothing_and_takes_no_lock(shop: Shop) -> None:
    shop.stocked(3 * KIB, 5 * KIB)
    everything = listing(shop.project.folder)  # what is remembered elsewhere included
    assert shop.project.run("sync").status == 0
    assert shop.sync().done == {}
    assert shop.project.run("sync", "--frozen").status == 0
    assert shop.project.run("sync", "--locked").status == 0
    assert listing(shop.project.folder) == everything
    assert shop.served.requests == []


def test_an_empty_manifest_makes_an_empty_root_and_stays_quiet(shop: Shop) -> None:
    shop.want()
    assert shop.sync().status == 0
    assert shop.tree == {}


# --- edits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "keys", "path"),
    [
        pytest.param("layout: a1111\n", {}, "models/Lora/m0.safetensors", id="layout"),
        pytest.param(
            'directories: {LORA: "by/{creator}"}\n', {}, "by/lab/m0.safetensors", id="directories"
        ),
        pytest.param("", {"directory": '"mine"'}, "mine/m0.safetensors", id="directory"),
        pytest.param("", {"filename": '"new.{ext}"'}, "loras/new.safetensors", id="filename"),
        pytest.param("", {"filename": '"M0.{ext}"'}, "loras/M0.safetensors", id="case only"),
    ],
)
def test_an_edit_that_only_places_files_moves_them_without_a_request(
    shop: Shop, head: str, keys: dict[str, str], path: str
) -> None:
    (model,) = shop.stocked(3 * KIB)
    inode = (shop.project.root / "loras/m0.safetensors").stat().st_ino
    shop.want(model, head=head, **keys)
    assert shop.sync().done == {"moved": 1}
    assert list(shop.tree) == [path]
    assert (shop.project.root / path).stat().st_ino == inode
    assert shop.served.requests == []
    assert [place.name for place in shop.project.root.iterdir() if place.name != ".civsync"] == [
        path.partition("/")[0]
    ]
    assert shop.sync().done == {}


def test_two_files_swap_their_names_without_a_request(shop: Shop) -> None:
    one, two = shop.stocked(3 * KIB, 5 * KIB)
    old = shop.tree
    shop.project.write(
        f'{{model: {one.id}, filename: "m1.{{ext}}"}}',
        f'{{model: {two.id}, filename: "m0.{{ext}}"}}',
    )
    assert shop.sync().status == 0
    assert shop.tree == {
        "loras/m0.safetensors": old["loras/m1.safetensors"],
        "loras/m1.safetensors": old["loras/m0.safetensors"],
    }
    assert shop.served.requests == []
    assert shop.sync().done == {}


def test_what_is_dropped_goes_to_trash_and_comes_back_without_a_request(shop: Shop) -> None:
    one, two = shop.stocked(3 * KIB, 5 * KIB)
    tree = shop.tree
    shop.want(one)
    assert shop.sync().done == {"retired": 1}
    assert list(shop.tree) == ["loras/m0.safetensors"]
    assert shop.trash() == [tree["loras/m1.safetensors"]]
    shop.want(one, two)
    shop.project.call("lock")
    shop.served.reset_counts()
    assert shop.sync("--offline").done == {"restored": 1}
    assert shop.tree == tree
    assert shop.served.requests == []


def bump(shop: Shop, model_name: str = "m0_v2.safetensors") -> None:
    """Give the first model a new version, and lock it."""
    model = next(iter(shop.registry.models.values()))
    model.add_version("v2", at=0, base_model="SDXL 1.0").add_file(
        model_name, safetensors("the new one", 7 * KIB)
    )
    assert shop.project.call("lock", "--upgrade").status == 0


@pytest.mark.parametrize("name", ["m0.safetensors", "m0_v2.safetensors"], ids=["same", "new"])
def test_a_bump_brings_the_new_file_before_the_old_one_leaves(shop: Shop, name: str) -> None:
    shop.stocked(3 * KIB, 5 * KIB)
    old = shop.tree["loras/m0.safetensors"]
    bump(shop, name)
    ended = shop.sync()
    assert ended.status == 0
    assert set(shop.tree) == {f"loras/{name}", "loras/m1.safetensors"}
    assert shop.tree[f"loras/{name}"] == safetensors("the new one", 7 * KIB)
    assert shop.trash() == [old]
    hows = [event["how"] for event in ended.events("done")]
    assert hows == (["fetched"] if name == "m0.safetensors" else ["fetched", "retired"])


def test_a_bump_back_takes_the_old_file_out_of_trash(shop: Shop) -> None:
    (model, _) = shop.stocked(3 * KIB, 5 * KIB)
    tree = shop.tree
    bump(shop, "m0.safetensors")
    shop.sync()
    model.versions.reverse()
    shop.project.call("lock", "--upgrade")
    shop.served.reset_counts()
    assert shop.sync().done == {"restored": 1}
    assert shop.tree == tree
    assert shop.served.requests == []


def test_no_prune_keeps_what_is_wanted_no_more_and_a_later_sync_retires_it(shop: Shop) -> None:
    one, _ = shop.stocked(3 * KIB, 5 * KIB)
    shop.want(one)
    assert shop.sync("--no-prune").done == {}
    assert len(shop.tree) == 2
    assert shop.sync().done == {"retired": 1}


def test_the_same_bytes_at_two_places_are_downloaded_once(shop: Shop) -> None:
    data = safetensors("twin", 3 * KIB)
    one, two = shop.offer(bodies={"a.safetensors": data, "b.safetensors": data})
    shop.want(one, two)
    assert shop.sync().done == {"fetched": 1, "restored": 1}
    assert shop.tree == {"loras/a.safetensors": data, "loras/b.safetensors": data}
    assert shop.served.count(path_prefix=DOWNLOADS) == 1


# --- what is the user's -------------------------------------------------------------------


@pytest.mark.fault("4.8/foreign", "same content")
def test_a_foreign_file_with_the_right_hash_counts_and_stays_the_users(shop: Shop) -> None:
    one, two = shop.offer(3 * KIB, 5 * KIB)
    mine = shop.project.root / "loras/m0.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(read(only_file(one).body))
    shop.want(one, two)
    assert shop.sync().done == {"fetched": 1}
    assert shop.served.count(path_prefix=DOWNLOADS) == 1
    before = listing(shop.project.root)
    assert shop.sync().done == {}
    assert listing(shop.project.root) == before
    shop.want(two)
    assert shop.sync().done == {}
    assert mine.exists()


@pytest.mark.fault("4.8/foreign", "other content")
def test_a_foreign_file_with_another_hash_stops_that_item_alone(shop: Shop) -> None:
    one, two = shop.offer(3 * KIB, 5 * KIB)
    mine = shop.project.root / "loras/m0.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"painted by hand")
    shop.want(one, two)
    ended = shop.sync()
    assert ended.status == 8
    assert ended.codes == {"m0.safetensors": "foreign-file"}
    assert "directory:" in ended.failed["m0.safetensors"]["hint"]
    assert mine.read_bytes() == b"painted by hand"
    assert shop.tree["loras/m1.safetensors"] == read(only_file(two).body)
    forced = shop.sync("--force-modified")
    assert forced.codes == {"m0.safetensors": "foreign-file"}


def test_a_changed_file_is_kept_until_told_and_then_goes_to_trash(shop: Shop) -> None:
    one, _ = shop.stocked(3 * KIB, 5 * KIB)
    place = shop.project.root / "loras/m0.safetensors"
    place.write_bytes(b"retouched")
    refused = shop.sync()
    assert (refused.status, refused.codes) == (8, {"m0.safetensors": "modified-file"})
    assert "--force-modified" in refused.failed["m0.safetensors"]["hint"]
    assert place.read_bytes() == b"retouched"
    assert shop.served.requests == []
    assert shop.sync("--force-modified").done == {"fetched": 1}
    assert place.read_bytes() == read(only_file(one).body)
    assert shop.trash() == [b"retouched"]


def test_a_changed_file_that_is_wanted_no_more_is_left_and_named(shop: Shop) -> None:
    _, two = shop.stocked(3 * KIB, 5 * KIB)
    place = shop.project.root / "loras/m0.safetensors"
    place.write_bytes(b"retouched")
    shop.want(two)
    ended = shop.sync()
    assert ended.status == 0
    assert [event["code"] for event in ended.events("noted")] == ["released"]
    assert place.read_bytes() == b"retouched"
    assert shop.sync("--force-modified").done == {}
    assert place.read_bytes() == b"retouched"


def test_a_touched_file_is_read_again_and_then_known_again(shop: Shop) -> None:
    shop.stocked(3 * KIB)
    (shop.project.root / "loras/m0.safetensors").touch()
    assert shop.sync().done == {}
    before = listing(shop.project.root)
    assert shop.sync().done == {}
    assert listing(shop.project.root) == before


# --- guards -------------------------------------------------------------------------------


@pytest.mark.fault("4.8/zero", "empty manifest")
def test_more_than_an_edit_explains_is_not_retired(shop: Shop) -> None:
    models = shop.stocked(*[KIB] * 12)
    before = shop.tree
    for kept, flags in [
        (1, []),
        (1, ["--allow-prune", "10"]),
        (0, []),
        (0, ["--force-modified"]),
    ]:
        shop.want(*models[:kept])
        ended = shop.sync(*flags)
        assert (ended.status, ended.error["code"]) == (8, "prune-guard"), (kept, flags)
        assert f"--allow-prune {12 - kept}" in ended.error["hint"]
        assert shop.tree == before
    assert shop.sync("--no-prune").status == 0
    assert shop.tree == before
    shop.want(*models[:1])
    assert shop.sync("--allow-prune", "11").done == {"retired": 11}
    shop.want()
    assert shop.sync("--allow-prune", "all").done == {"retired": 1}
    assert shop.tree == {}


@pytest.mark.fault("4.8/zero", "empty lock")
def test_the_guard_looks_at_the_lock_too_whoever_emptied_it(shop: Shop) -> None:
    shop.stocked(*[KIB] * 3)
    document = json.loads(shop.project.lock.read_text())
    document["entries"] = []
    shop.project.lock.write_text(json.dumps(document))
    ended = shop.sync("--frozen")
    assert (ended.status, ended.error["code"]) == (8, "prune-guard")
    assert len(shop.tree) == 3


def test_flags_that_loosen_a_guard_have_no_variable(shop: Shop) -> None:
    shop.stocked(KIB)
    shop.want()
    env = {"CIVSYNC_ALLOW_PRUNE": "all", "CIVSYNC_FORCE_MODIFIED": "1", "CIVSYNC_NEW_ROOT": "1"}
    assert shop.sync(env=env).status == 8
    assert len(shop.tree) == 1


# --- one at a time, and how -----------------------------------------------------------------


@pytest.mark.parametrize(("jobs", "peak"), [("1", 1), ("3", 3)])
def test_as_many_files_run_at_once_as_there_are_jobs(shop: Shop, jobs: str, peak: int) -> None:
    shop.registry.storage_rate = 100 * KIB
    shop.locked(*shop.offer(*[20 * KIB] * 3))
    assert shop.sync("--jobs", jobs).done == {"fetched": 3}
    assert shop.served.connections("storage") == peak
    assert shop.served.peak_parallel == 1  # for one address


def test_priority_decides_the_order_of_downloads(shop: Shop) -> None:
    one, two, three = shop.offer(*[KIB] * 3)
    shop.project.write(
        f"{{model: {one.id}, priority: -1}}",
        f"model: {two.id}",
        f"{{model: {three.id}, priority: 9}}",
    )
    ended = shop.sync("--jobs", "1")
    assert [event["path"] for event in ended.events("started")] == [
        "loras/m2.safetensors",
        "loras/m1.safetensors",
        "loras/m0.safetensors",
    ]


def test_offline_asks_nothing_and_says_what_is_missing(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.locked(one, two)
    ended = shop.sync("--offline")
    assert (ended.status, set(ended.codes.values())) == (75, {"offline"})
    assert shop.served.requests == []
    assert shop.tree == {}


@pytest.mark.parametrize("flag", ["--check", "--dry-run"])
def test_looking_writes_nothing_and_asks_no_file(shop: Shop, flag: str) -> None:
    shop.want(*shop.offer(KIB, KIB))
    ran = shop.project.run("sync", flag)
    assert ran.status == (2 if flag == "--check" else 0)
    assert "2 to download" in ran.out
    assert not shop.project.root.exists()
    assert not shop.project.lock.exists()
    assert shop.served.count(path_prefix=DOWNLOADS) == 0


def test_check_is_0_in_step_and_2_with_work_left(shop: Shop) -> None:
    _, two = shop.stocked(KIB, KIB)
    before = listing(shop.project.folder)
    assert shop.project.run("sync", "--check").status == 0
    (shop.project.root / "loras/m0.safetensors").unlink()
    assert shop.project.run("sync", "--check").status == 2
    assert set(before) - set(listing(shop.project.folder)) == {
        str(shop.project.root / "loras/m0.safetensors")
    }
    shop.sync()
    shop.want(two)
    ran = shop.project.run("sync", "--check", "--json")
    assert ran.status == 2
    assert {a["action"] for a in ran.events[0]["actions"]} == {"keep", "retire"}


def test_quiet_says_nothing_but_errors(shop: Shop) -> None:
    one, two = shop.offer(KIB, KIB)
    shop.want(one)
    ran = shop.project.run("sync", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    two.mode = "Archived"
    shop.want(one, two)
    ran = shop.project.run("sync", "--quiet")
    assert ran.status == 7
    assert ran.out == ""
    assert "[archived]" in ran.err


def test_the_text_of_a_sync_shows_plan_and_sum(shop: Shop) -> None:
    shop.want(*shop.offer(KIB, 2 * KIB))
    ran = shop.project.run("sync")
    assert ran.out == ""
    assert "+ loras/m0.safetensors  1.0 KiB" in ran.err
    assert "2 to download (3.0 KiB)" in ran.err
    assert "2 downloaded in " in ran.err
    assert "\x1b" not in ran.err


SCHEMAS = Path(__file__).parents[2] / "schemas"


def follows_its_schema(line: dict[str, object]) -> None:
    kind = str(line["schema"]).removeprefix("civsync.")
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    jsonschema.validate(line, schema)


def test_every_line_of_the_json_stream_follows_its_schema_and_the_last_one_ends_it(
    shop: Shop,
) -> None:
    one, two, three = shop.offer(KIB, KIB, KIB)
    shop.want(one, two)
    shop.served.faults.add(Fault(does=Cut(9), origin="storage"))
    ended = shop.sync()
    assert {event["schema"] for event in ended.ran.events} == {"civsync.event"}
    assert [event["event"] for event in ended.ran.events].count("finished") == 1
    (shop.project.root / "loras/m0.safetensors").write_bytes(b"changed")
    shop.registry.download_quota = 2
    shop.want(one, three)
    streams = [ended, shop.sync("--jobs", "1"), shop.sync("--no-prune"), shop.sync("--frozen")]
    shop.want()
    streams += [shop.sync(), shop.sync("--dry-run"), shop.sync("--no-such-flag")]
    for stream in streams:
        for line in stream.ran.events:
            follows_its_schema(line)
    assert ended.end == {
        "schema": "civsync.event",
        "schema_version": 1,
        "event": "finished",
        "exit": 0,
        "done": {"fetched": 2},
        "received": 2 * KIB,
        "failed": [],
        "unselected": 0,
    }


def test_who_may_change_a_stale_lock(shop: Shop) -> None:
    models = shop.stocked(KIB)
    lock = shop.project.lock.read_bytes()
    shop.want(*models, *shop.offer(KIB))
    for flags, env, status, code in [
        (["--locked"], {}, 3, "lock-stale"),
        ([], {"CI": "true"}, 3, "lock-stale"),
        ([], {"CIVSYNC_LOCKED": "1"}, 3, "lock-stale"),
        (["--frozen", "--locked"], {}, 64, "usage"),
        (["--offline"], {}, 3, "lock-stale"),
    ]:
        ended = shop.sync(*flags, env=env)
        assert (ended.status, ended.error["code"]) == (status, code), (flags, env)
    for flags, env in [(["--frozen"], {}), (["--frozen"], {"CI": "true"})]:
        assert shop.sync(*flags, env=env).done == {}
    assert shop.project.lock.read_bytes() == lock
    assert shop.served.requests == []
    assert shop.sync("--no-locked", env={"CI": "true"}).done == {"fetched": 1}
    assert shop.project.lock.read_bytes() != lock


def test_frozen_needs_no_manifest_and_locked_needs_a_lock(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    manifest = shop.project.manifest.read_text()
    shop.project.manifest.unlink()
    assert shop.sync("--frozen").done == {"fetched": 1}
    shop.project.manifest.write_text(manifest)
    shop.project.lock.unlink()
    for flag in ("--frozen", "--locked"):
        assert (shop.sync(flag).status, shop.sync(flag).error["code"]) == (3, "lock-missing")


def test_a_file_that_somebody_deleted_is_fetched_again(shop: Shop) -> None:
    shop.stocked(KIB, KIB)
    (shop.project.root / "loras/m0.safetensors").unlink()
    assert shop.sync().done == {"fetched": 1}
    assert len(shop.tree) == 2
