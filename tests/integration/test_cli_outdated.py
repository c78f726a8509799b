"""`civsync outdated` against a served registry that is edited after the lock was made."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Model, PaidAccess, iso
from support.published import faults
from support.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        yield shop


def stock(shop: Shop, *names: str) -> list[Model]:
    models = []
    for name in names:
        model = shop.registry.add_model(name, creator="lab")
        model.add_version("v1", base_model="SDXL 1.0").add_file()
        models.append(model)
    return models


def bump(model: Model, size: int = 2048) -> None:
    version = model.add_version("v2", at=0, base_model="SDXL 1.0")
    version.add_file(body=safetensors(f"v2 of {model.id}", size))


def rows(out: str) -> list[list[str]]:
    """The table, cell by cell; a remark of its own line has empty cells before it."""
    return [[cell for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_a_lock_that_is_current_says_so_and_shows_nothing(shop: Shop) -> None:
    shop.locked(*stock(shop, "One", "Two"))
    ran = shop.project.call("outdated", "--exit-code")
    assert (ran.status, ran.out, ran.err) == (0, "", "everything is current\n")
    assert shop.served.count() == 1
    shown = shop.project.call("outdated", "--verbose").out
    assert [line.split() for line in shown.splitlines()] == [
        ["MODEL", "LOCKED", "UPGRADE", "NEWEST", "WHY"],
        ["One", "v1", "v1", "v1"],
        ["Two", "v1", "v1", "v1"],
    ]


def test_every_reason_is_in_the_table(shop: Shop) -> None:
    free, held, pinned, young, large, gone, archived, same = stock(
        shop, "Free", "Held", "Pinned", "Young", "Large", "Gone", "Archived", "Same"
    )
    shop.project.write(
        f"model: {free.id}",
        f"{{model: {held.id}, hold: v2 is worse}}",
        f"{{model: {pinned.id}, version: {pinned.versions[0].id}}}",
        f"{{model: {young.id}, exclude_newer: 7 days}}",
        *(f"model: {model.id}" for model in (large, gone, archived, same)),
        head="policy: {max_size: 5 kB}\n",
    )
    assert shop.project.call("lock").status == 0
    for model in (free, held, pinned, young):
        bump(model)
    bump(large, size=9000)
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    young.versions[0].published_at = iso(yesterday)
    del shop.registry.models[gone.id]
    archived.mode = "Archived"
    before = shop.project.lock.read_bytes()

    ran = shop.project.call("outdated")
    assert ran.status == 0
    allowed = (yesterday + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = large.versions[0].files[0]
    too_new = f"v2 is too new for exclude_newer: 7 days, allowed from {allowed}"
    too_large = (
        f"v2: file {file.id} {file.name} of version {large.versions[0].id} is against"
        " `policy.max_size: 5,000` (it has 9,000 bytes)"
    )
    table = {row[0]: [cell.strip() for cell in row[1:]] for row in rows(ran.out)}
    assert table == {
        "MODEL": ["LOCKED", "UPGRADE", "NEWEST", "WHY"],
        "Free": ["v1", "v2", "v2"],
        "Held": ["v1", "v1", "v2", "v2 is held back: v2 is worse"],
        "Pinned": ["v1", "v1", "v2", "pinned; the latest for SDXL 1.0 is v2"],
        "Young": ["v1", "v1", "v2", too_new],
        "Large": ["v1", "v1", "v2", too_large],
        "Gone": ["v1", "v1", "-", "gone from Civitai; the locked files stay wanted"],
        "Archived": ["v1", "v1", "v1", "archived by its creator; nothing of it can be downloaded"],
    }
    assert "an upgrade would change 2 entries, 5 entries would stay behind" in ran.err
    assert shop.project.lock.read_bytes() == before

    shown = shop.project.call("outdated", "--json").json
    assert faults(shown) == []
    assert (shown["pending"], shown["current"]) == (2, 1)
    assert {each["why"] for entry in shown["entries"] for each in entry["reasons"]} == {
        "held", "pinned", "too-new", "policy", "gone", "archived",
    }  # fmt: skip


def test_early_access_waits_for_its_date_and_is_taken_then(shop: Shop) -> None:
    (model,) = stock(shop, "Sold")
    shop.locked(model)
    bump(model)
    gate = "2099-01-01T00:00:00.000Z"
    model.versions[0].paid_access = PaidAccess(ends_at=gate)

    def seen() -> tuple[list[str], list[str], bool]:
        ran = shop.project.call("outdated", "--json", "--exit-code")
        assert faults(ran.json) == []
        (entry,) = ran.json["entries"]
        versions = [each["version"] for each in entry["available"]]
        return versions, [each["allowed_from"] for each in entry["reasons"]], ran.status == 2

    # The first upgrade only notes what waits; then there is nothing more to change.
    assert seen() == (["v1"], ["2099-01-01T00:00:00Z"], True)
    assert shop.project.call("lock", "--upgrade").status == 0
    assert '"until": "2099-01-01' in shop.project.lock.read_text("utf-8")
    assert seen() == (["v1"], ["2099-01-01T00:00:00Z"], False)
    assert "v2 is in early access until 2099-01-01" in shop.project.call("outdated").out

    model.versions[0].paid_access = PaidAccess(ends_at="2020-01-01T00:00:00.000Z")
    assert seen() == (["v2"], [], True)
    assert shop.project.call("lock", "--upgrade").status == 0
    assert '"waiting": []' in shop.project.lock.read_text("utf-8")
    assert shop.project.call("outdated").err == "everything is current\n"


def test_exit_2_says_that_an_upgrade_would_change_something(shop: Shop) -> None:
    free, held = stock(shop, "Free", "Held")
    shop.project.write(f"model: {free.id}", f"{{model: {held.id}, hold: x}}")
    assert shop.project.call("lock").status == 0
    bump(held)
    assert shop.project.call("outdated", "--exit-code").status == 0
    bump(free)
    assert shop.project.call("outdated").status == 0
    assert shop.project.call("outdated", "--exit-code").status == 2
    assert shop.project.call("outdated", "--exit-code", "held").status == 0
    assert shop.project.call("outdated", "--exit-code", str(free.id)).status == 2


def test_an_upgrade_that_would_fail_gives_its_status(shop: Shop) -> None:
    (model,) = stock(shop, "Changed")
    shop.locked(model)
    model.versions[0].files[0].put(safetensors("other bytes", 2048))
    ran = shop.project.call("outdated", "--json")
    assert ran.status == 5
    assert faults(ran.json) == []
    assert ran.json["entries"][0]["error"]["code"] == "content-changed"
    assert "was locked with SHA-256" in shop.project.call("outdated").out


@pytest.mark.fault("4.5/shown", "ESC")
def test_hostile_names_reach_the_terminal_escaped(shop: Shop) -> None:
    (model,) = stock(shop, "evil\x1b[31m\nFree  v1  v1")
    shop.locked(model)
    bump(model)
    model.versions[0].name = "v2\x1b]0;x\x07"
    shop.project.write(f'{{model: {model.id}, hold: "\\e[2J"}}')
    ran = shop.project.call("outdated")
    assert "\x1b" not in ran.out + ran.err
    assert "\x07" not in ran.out
    assert len(ran.out.splitlines()) == 2
    assert r"held back: \x1b[2J" in ran.out


def test_pins_by_version_alone_cost_one_request_more(shop: Shop) -> None:
    models = stock(shop, "One", "Two", "Three")
    shop.project.write(*(f"version: {model.versions[0].id}" for model in models))
    assert shop.project.call("lock").status == 0
    shop.served.reset_counts()
    assert shop.project.call("outdated").status == 0
    assert shop.served.count() == 2


def test_a_name_that_no_entry_has_is_a_slip_and_asks_nothing(shop: Shop) -> None:
    shop.locked(*stock(shop, "One"))
    ran = shop.project.call("outdated", "Two")
    assert ran.status == 64
    assert shop.served.count() == 0


def test_without_a_lock_there_is_nothing_to_compare(shop: Shop) -> None:
    shop.want(*stock(shop, "One"))
    assert shop.project.call("outdated").status == 3
