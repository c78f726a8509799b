"""Searches from the manifest to the disk: what they find, what pins it, and what moves it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.core.lock import LockedEntry
from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import Model, Registry
from civsync.demo.served import Served, serve
from civsync.documents.lock import read_lock
from support.cli import Project

LISTING = "/api/v1/models"


class World:
    """A registry to search in, and a project that does."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.served = served
        self.project = Project(folder / "project", served.api_url)

    @property
    def registry(self) -> Registry:
        return self.served.registry

    def offer(self, number: int, **facts: object) -> Model:
        """Let upstream have a model with one version and one small file."""
        model = self.registry.add_model(f"Model {number}", id=number, **facts)
        version = model.add_version("v1", id=number * 10, base_model="SD 1.5")
        version.add_file(f"m{number}.safetensors", id=number * 100)
        return model

    def want(self, *searches: str, models: str = "", head: str = "") -> None:
        """Write a manifest with these items under `searches:`."""
        body = "".join(f"  - {search}\n" for search in searches)
        listed = f"models:\n  - {models}\n" if models else ""
        text = f"version: 1\n{head}{listed}searches:\n{body}"
        self.project.manifest.write_text(text, encoding="utf-8")

    def lock(self, *words: str, status: int = 0) -> str:
        """Lock, which must end with `status`; return what it said."""
        ran = self.project.call("lock", *words)
        assert ran.status == status, ran.err
        return ran.err

    def locked(self) -> dict[str, LockedEntry]:
        """The entries of the lock by key."""
        return {each.key: each for each in read_lock(self.project.lock.read_bytes()).entries}

    def found(self) -> list[int]:
        """The models of all entries, sorted."""
        files = (file for each in self.locked().values() for file in each.files)
        return sorted({file.model_id for file in files})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serve(Registry()) as served:
        yield World(tmp_path, served)


@pytest.fixture
def stocked(world: World) -> World:
    """Six models that differ in everything that a search can ask for."""
    world.offer(1, type="LORA", creator="ann", tags=["style"], downloads=600)
    world.offer(2, type="LORA", creator="bob", tags=["style", "odd"], downloads=500)
    world.offer(3, type="Checkpoint", creator="ann", tags=["photo"], downloads=400)
    world.offer(4, type="Checkpoint", creator="bob", checkpoint_type="Merge", downloads=300)
    world.offer(5, type="LORA", creator="cid", tags=["style"], nsfw_level=16, downloads=200)
    sixth = world.offer(6, type="VAE", creator="cid", tags=["style"], downloads=100)
    sixth.versions[0].base_model = "SDXL 1.0"
    return world


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("{types: [LORA]}", [1, 2]),
        ("{types: [LORA, VAE]}", [1, 2, 6]),
        ("{tag: style}", [1, 2, 6]),
        ("{tag: style, nsfw: true}", [1, 2, 5, 6]),
        ("{username: ann}", [1, 3]),
        ("{query: Model 4}", [4]),
        ("{base_models: [SDXL 1.0]}", [6]),
        ("{checkpoint_type: Merge}", [4]),
        ("{sort: Most Downloaded, limit: 2}", [1, 2]),
        ("{sort: Most Downloaded, limit: 2, exclude: {models: [1]}}", [2, 3]),
        ("{tag: style, exclude: {creators: [ANN]}}", [2, 6]),
        ("{tag: style, exclude: {tags: [Odd]}}", [1, 6]),
        ("{tag: style, exclude: {models: [1], creators: [cid], tags: [none]}}", [2]),
        ("{types: [LORA], tag: style, username: bob}", [2]),
    ],
)
def test_what_a_search_finds_is_locked(stocked: World, search: str, expected: list[int]) -> None:
    stocked.want(search)
    stocked.lock()
    assert stocked.found() == expected
    stocked.lock("--check")


def test_a_creator_is_short_for_all_that_they_made(stocked: World) -> None:
    second = stocked.registry.models[3].add_version("v2", at=0)
    second.add_file("second.safetensors")
    project = stocked.project
    project.write("{creator: ann, versions: all, types: [Checkpoint]}")
    stocked.lock()
    [entry] = stocked.locked().values()
    assert entry.key == "?username=ann&types=Checkpoint"
    assert [file.version for file in entry.files] == ["v1", "v2"]


def test_a_locked_search_asks_nothing_until_it_is_upgraded(stocked: World) -> None:
    stocked.want("{tag: style}")
    stocked.lock()
    before = stocked.project.lock.read_bytes()
    del stocked.registry.models[2]
    stocked.offer(7, tags=["style"])
    stocked.registry.models[1].add_version("v2", at=0).add_file("newer.safetensors")
    stocked.served.reset_counts()

    stocked.lock()
    stocked.lock("--check")
    assert stocked.served.count() == 0
    stocked.lock("--dry-run", "--upgrade")
    assert stocked.project.lock.read_bytes() == before

    said = stocked.lock("--upgrade")
    assert stocked.found() == [1, 6, 7]
    for who in ("Model 2", "Model 7", "Model 1"):
        assert who in said
    assert "v1 → v2" in said
    once = stocked.project.lock.read_bytes()
    stocked.lock("--upgrade")
    assert stocked.project.lock.read_bytes() == once


def test_one_search_is_upgraded_by_its_key(stocked: World) -> None:
    stocked.want("{tag: style}", "{tag: photo}")
    stocked.lock()
    stocked.offer(7, tags=["style", "photo"])
    stocked.lock("-P", "?tag=photo")
    locked = stocked.locked()
    assert [file.model_id for file in locked["?tag=photo"].files] == [3, 7]
    assert [file.model_id for file in locked["?tag=style"].files] == [1, 2, 6]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("{tag: style}", "policy: {max_size: 1 GB}\n"), [1, 2, 6]),
        (("{tag: style}", "exclude_newer: 2030-01-01\n"), [1, 2, 6]),
        (("{tag: style, versions: newest}", ""), [1, 2, 6]),
        (("{tag: style, exclude: {models: [2]}}", ""), [1, 6, 7]),
        (("{tag: style, limit: 1, sort: Most Downloaded}", ""), [7]),
    ],
    ids=["policy", "cutoff", "versions", "exclude", "sort and limit"],
)
def test_only_another_search_finds_other_models(
    stocked: World, edit: tuple[str, str], expected: list[int]
) -> None:
    stocked.want("{tag: style}")
    stocked.lock()
    stocked.offer(7, tags=["style"], downloads=9999)
    stocked.want(edit[0], head=edit[1])
    stocked.lock("--check", status=3)
    stocked.lock()
    assert stocked.found() == expected
    stocked.lock("--check")


@pytest.mark.fault("4.8/zero", "registry that answers none")
@pytest.mark.parametrize("words", [("--upgrade",), ("-P", "?tag=style")])
def test_a_search_that_suddenly_finds_nothing_is_refused_and_takes_no_file(
    stocked: World, words: tuple[str, ...]
) -> None:
    stocked.want("{tag: style}")
    assert stocked.project.call("sync").status == 0
    before, tree = stocked.project.lock.read_bytes(), stocked.project.files()
    assert len(tree) == 3
    stocked.registry.models.clear()
    said = stocked.lock(*words, status=8)
    assert "[search-empty]" in said
    assert "civsync.yaml:3:5: " in said
    assert stocked.project.lock.read_bytes() == before
    assert stocked.project.call("sync").status == 0
    assert stocked.project.files() == tree


@pytest.mark.fault("4.8/zero", "filter that matches nothing")
def test_a_search_that_finds_nothing_at_first_writes_no_lock(stocked: World) -> None:
    stocked.want("{query: nothing like that}")
    stocked.lock(status=8)
    assert not stocked.project.lock.exists()


def test_a_tag_that_nobody_uses_does_not_stand_for_all_models(stocked: World) -> None:
    stocked.want("{tag: nothing like that}")
    said = stocked.lock(status=65)
    assert "[search-refused]" in said
    assert "no tag 'nothing like that'" in said
    assert not stocked.project.lock.exists()


def test_an_unknown_creator_is_an_error_of_the_manifest(stocked: World) -> None:
    stocked.want("{tag: style}", "{username: nobody}")
    said = stocked.lock(status=65)
    assert "civsync.yaml:4:5: " in said
    assert "[unknown-creator]" in said
    assert not stocked.project.lock.exists()


def test_a_creator_who_took_another_name_keeps_what_is_locked(stocked: World) -> None:
    stocked.want("{username: ann}")
    stocked.lock()
    before = stocked.project.lock.read_bytes()
    for model in stocked.registry.models.values():
        model.creator = "anna" if model.creator == "ann" else model.creator
    assert "stay as they are" in stocked.lock("--upgrade")
    assert stocked.project.lock.read_bytes() == before


def test_a_hit_that_must_not_be_locked_is_left_out_with_rule_file_and_line(
    stocked: World,
) -> None:
    stocked.registry.models[2].versions[0].files[0].virus_scan = "Danger"
    stocked.registry.models[6].allow_commercial_use = []
    stocked.want("{tag: style}", head="policy: {license: [commercial-image]}\n")
    said = stocked.lock()
    assert stocked.found() == [1]
    for fact in ("m2.safetensors", "Danger", "`policy.license: commercial-image`", "file 600"):
        assert fact in said
    assert said.count("civsync.yaml:4:5") == 2
    stocked.lock("--check")


def test_two_searches_and_an_entry_that_want_one_model_place_it_once(stocked: World) -> None:
    stocked.want(
        "{tag: style, directory: style}",
        "{types: [LORA], directory: types}",
        models="{model: 2, directory: mine}",
    )
    assert stocked.project.call("sync").status == 0
    assert sorted(stocked.project.files()) == [
        "mine/m2.safetensors",
        "style/m1.safetensors",
        "style/m6.safetensors",
    ]
    downloads = [r for r in stocked.served.requests if r.path.startswith("/api/download/")]
    assert len(downloads) == 3
    assert stocked.project.call("status", "--exit-code").status == 0

    stocked.want("{tag: style, directory: style}", "{types: [LORA], directory: types}")
    stocked.served.reset_counts()
    assert stocked.project.call("sync").status == 0
    assert "style/m2.safetensors" in stocked.project.files()
    assert stocked.served.count() == 0


def test_a_held_search_stays_whatever_is_found(stocked: World) -> None:
    stocked.want("{tag: style, hold: reviewed}")
    stocked.lock()
    before = stocked.project.lock.read_bytes()
    stocked.offer(7, tags=["style"])
    stocked.lock("--upgrade")
    assert stocked.project.lock.read_bytes() == before


def test_a_hit_without_a_hash_is_downloaded_once_where_that_is_allowed(stocked: World) -> None:
    file = stocked.registry.models[2].versions[0].files[0]
    file.hashes = {}
    stocked.want("{types: [LORA]}")
    assert "m2.safetensors" in stocked.lock()
    assert stocked.found() == [1]
    stocked.want("{types: [LORA], allow_unverified: true}")
    stocked.lock("--upgrade")
    [entry] = stocked.locked().values()
    assert [each.sha256 for each in entry.files][1] == file.sha256.lower()
    before = stocked.project.lock.read_bytes()
    stocked.served.reset_counts()
    stocked.lock()
    assert stocked.served.count() == 0
    assert stocked.project.lock.read_bytes() == before


def test_changed_content_of_one_hit_is_an_alarm(stocked: World) -> None:
    stocked.want("{tag: style}")
    stocked.lock()
    before = stocked.project.lock.read_bytes()
    stocked.registry.models[2].versions[0].files[0].put(b"swapped" * 500)
    assert "[content-changed]" in stocked.lock("--upgrade", status=5)
    assert stocked.project.lock.read_bytes() == before


def test_where_favorites_need_a_token_the_search_says_so(stocked: World) -> None:
    stocked.want("{favorites: true}")
    said = stocked.lock(status=6)
    assert "[login-needed]" in said
    assert "the search is for favorites" in said


def crowd(world: World, count: int) -> None:
    """Let upstream have many models whose hashes are made up."""
    for number in range(1, count + 1):
        model = world.offer(number, tags=["style"], downloads=number)
        file = model.versions[0].files[0]
        file.hashes = {"SHA256": f"{file.id:064X}"}
        file.size_kb = 2.0


def test_a_thousand_hits_cost_ten_requests_and_little_memory(world: World) -> None:
    crowd(world, 1050)
    world.registry.pad_bytes_per_model = 30_000
    world.want("{tag: style, limit: 1000}")
    script = (
        "import pathlib, sys\n"
        "from civsync.cli.main import main\n"
        "status = main(['lock'])\n"
        "about = pathlib.Path('/proc/self/status')\n"
        "print(about.read_text() if about.exists() else '')\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=world.project.folder,
        env=world.project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert len(world.found()) == 1000
    assert world.served.count() == world.served.count(path_prefix=LISTING) == 10
    peak = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
    if peak is not None:  # only Linux tells
        assert int(peak[1]) < 250_000


def test_a_search_without_a_limit_takes_a_hundred_and_says_so(world: World) -> None:
    crowd(world, 101)
    world.want("{tag: style}")
    assert "`limit` says how many to take" in world.lock()
    assert len(world.found()) == 100
    assert world.served.count() == 1


@pytest.mark.parametrize("sort", ["Newest", "Most Downloaded", "Highest Rated"])
def test_every_order_is_paged_to_the_end_without_a_gap(world: World, sort: str) -> None:
    crowd(world, 250)
    world.want(f"{{tag: style, sort: {sort}, limit: all}}")
    world.lock()
    assert world.found() == list(range(1, 251))
    assert world.served.count() == 3


# --- listings that misbehave --------------------------------------------------------------

SECOND_PAGE = "cursor=150%7C10%7C150"
"""Of 250 models by downloads, 100 a page, the second page begins with 150."""


def empty_page(cursor: str) -> Answer:
    body = json.dumps({"items": [], "metadata": {"nextCursor": cursor}}).encode()
    return Answer(200, (("Content-Type", "application/json"),), body)


@pytest.fixture
def crowded(world: World) -> World:
    crowd(world, 250)
    world.want("{tag: style, sort: Most Downloaded, limit: all}")
    return world


def test_an_empty_page_and_one_that_overlaps_lose_nothing(crowded: World) -> None:
    crowded.registry.faults.add(Fault(does=empty_page("160|10|160"), path=SECOND_PAGE))
    crowded.lock()
    assert crowded.found() == list(range(1, 251))


def test_a_cursor_that_leads_back_ends_the_search_and_is_told(crowded: World) -> None:
    crowded.registry.faults.add(Fault(does=empty_page("150|10|150"), path=SECOND_PAGE))
    assert "did not end after 100 models" in crowded.lock()
    assert crowded.found() == list(range(151, 251))


def test_a_page_that_is_refused_fails_the_run_and_takes_no_hit_away(crowded: World) -> None:
    crowded.lock()
    before = crowded.project.lock.read_bytes()
    refused = Answer(401, (("Content-Type", "application/json"),), b'{"error": "Unauthorized"}')
    crowded.registry.faults.add(Fault(does=refused, path=SECOND_PAGE))
    assert "[login-needed]" in crowded.lock("--upgrade", status=6)
    assert crowded.project.lock.read_bytes() == before
