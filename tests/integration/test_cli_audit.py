"""`civsync audit` against a served registry that is edited after the lock was made."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Model
from support.published import faults
from support.shop import Shop, only_file, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        yield shop


def test_a_lock_that_is_as_upstream_is_clean_and_costs_one_request(shop: Shop) -> None:
    shop.locked(*shop.offer(2000, 3000))
    before = shop.project.lock.read_bytes()
    ran = shop.project.call("audit")
    assert (ran.status, ran.out, ran.err) == (0, "", "2 files of 2 entries: nothing found\n")
    assert shop.served.count() == 1
    assert shop.project.lock.read_bytes() == before


def change_bytes(shop: Shop, model: Model) -> None:
    only_file(model).put(safetensors("other", 2000))


def remove(shop: Shop, model: Model) -> None:
    del shop.registry.models[model.id]


def unpublish(shop: Shop, model: Model) -> None:
    model.status = "Unpublished"


def archive(shop: Shop, model: Model) -> None:
    model.mode = "Archived"


def drop_file(shop: Shop, model: Model) -> None:
    model.versions[0].add_file()
    del model.versions[0].files[0]


def find_a_virus(shop: Shop, model: Model) -> None:
    only_file(model).virus_scan = "Danger"


def take_the_license_back(shop: Shop, model: Model) -> None:
    model.allow_commercial_use = []


def rename_the_creator(shop: Shop, model: Model) -> None:
    model.creator = "new"


@pytest.mark.fault("4.2/upstream", "deleted", "hidden", "hash changed")
@pytest.mark.parametrize(
    ("change", "status", "rules"),
    [
        (change_bytes, 5, ["content-changed"]),
        (remove, 7, ["gone"]),
        (unpublish, 7, ["model-gone"]),
        (archive, 7, ["archived"]),
        (drop_file, 7, ["file-gone"]),
        (find_a_virus, 8, ["policy.scans"]),
        (take_the_license_back, 0, ["license-changed"]),
        (rename_the_creator, 0, ["creator-renamed"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_changed_upstream_is_found(
    shop: Shop, change: Callable[[Shop, Model], None], status: int, rules: list[str]
) -> None:
    model, other = shop.offer(2000, 3000)
    shop.locked(model, other)
    change(shop, model)
    ran = shop.project.call("audit", "--format", "json")
    assert faults(ran.json) == []
    assert [each["rule"] for each in ran.json["findings"]] == rules
    assert (ran.status, ran.json["exit"]) == (status, status)
    assert {(each["document"], each["line"]) for each in ran.json["findings"]} == {
        ("civsync.yaml", 3)
    }
    # Nobody is asked, so nothing that changed upstream is known.
    assert shop.project.call("audit", "--offline").status == 0


@pytest.mark.parametrize("offline", [True, False], ids=["offline", "asked"])
@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ("license: [commercial-sell]", "policy.license"),
        ("max_size: 1 kB", "policy.max_size"),
        ("creators: {allow: [nobody]}", "policy.creators.allow"),
        ("creators: {deny: [lab]}", "policy.creators.deny"),
    ],
    ids=["license", "size", "allow", "deny"],
)
def test_a_policy_that_was_tightened_names_rule_file_and_line(
    shop: Shop, policy: str, rule: str, offline: bool
) -> None:
    (model,) = shop.offer(2000)
    shop.locked(model)
    shop.want(model, head=f"policy: {{{policy}}}\n")
    ran = shop.project.call("audit", *(["--offline"] if offline else []))
    assert ran.status == 8
    assert ran.out.startswith("civsync.yaml:4:5: error: loras/m0.safetensors: file ")
    assert ran.out.endswith(f"[{rule}]\n")
    assert ran.err == "1 file of 1 entry: 1 error\n"
    assert shop.served.count() == (0 if offline else 1)


def test_the_gravest_finding_makes_the_status(shop: Shop) -> None:
    models = shop.offer(1000, 2000, 3000)
    shop.locked(*models)
    remove(shop, models[0])
    find_a_virus(shop, models[1])
    assert shop.project.call("audit").status == 8
    change_bytes(shop, models[2])
    ran = shop.project.call("audit", "--json")
    assert ran.status == 5
    assert [each["exit"] for each in ran.json["findings"]][:2] == [7, 8]
    assert (ran.json["files"], ran.json["errors"]) == (3, len(ran.json["findings"]))


@pytest.mark.fault("4.5/shown", "ESC")
def test_hostile_names_reach_the_terminal_escaped(shop: Shop) -> None:
    (model,) = shop.offer(2000)
    model.name = "evil\x1b[31m\nname"
    shop.locked(model)
    model.creator = "\x1b]0;x\x07"
    ran = shop.project.call("audit")
    assert len(ran.out.splitlines()) == 1
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out


@pytest.mark.parametrize("words", [(), ("--offline",)], ids=["asked", "offline"])
def test_the_policy_is_in_the_manifest_so_there_must_be_one(
    shop: Shop, words: tuple[str, ...]
) -> None:
    shop.locked(*shop.offer(2000))
    shop.project.manifest.unlink()
    ran = shop.project.call("audit", *words)
    assert ran.status == 65
    assert "manifest-missing" in ran.err


def test_a_registry_that_does_not_answer_is_no_finding(shop: Shop) -> None:
    shop.locked(*shop.offer(2000))
    ran = shop.project.call("audit", "--json", env={"CIVSYNC_API_URL": "ftp://nowhere"})
    assert ran.status == 65
    assert ran.json["schema"] == "civsync.error"
