"""What another root of this machine holds is not downloaded again, and is never believed."""

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from support.published import faults
from support.shop import Shop, listing
from support.two_roots import Machine, two_roots

KIB = 1024
MODES = ("auto", "reflink", "hardlink", "copy")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with two_roots(tmp_path, KIB, 3000 * KIB) as made:
        yield made


def place_of(shop: Shop, name: str = "loras/m0.safetensors") -> Path:
    return shop.project.root / name


@pytest.mark.parametrize("mode", MODES)
def test_a_second_root_asks_nobody_for_what_the_first_one_holds(
    machine: Machine, mode: str
) -> None:
    ended = machine.sync_other("--link", mode)
    assert (ended.status, machine.asked) == (0, 0)
    assert machine.other.tree == machine.one.tree
    assert [fault for event in ended.ran.events for fault in faults(event)] == []
    assert sum(ended.done.values()) == 2
    assert set(ended.done) <= {"reflinked", "hardlinked", "copied"}
    assert {event["how"] for event in ended.events("done")} == set(ended.done)
    assert {event["received"] for event in ended.events("done")} == {0}
    assert machine.sync_other().done == {}
    assert machine.other.parts() == []
    assert machine.other.project.call("verify").status == 0
    assert machine.one.project.call("verify").status == 0


def test_it_needs_no_network_and_no_login(machine: Machine) -> None:
    assert sum(machine.sync_other("--offline").done.values()) == 2


def test_with_off_everything_is_downloaded(machine: Machine) -> None:
    assert machine.sync_other("--link", "off").done == {"fetched": 2}


@pytest.mark.parametrize("by", ["variable", "config"])
def test_the_mode_may_be_a_variable_or_in_the_users_config(machine: Machine, by: str) -> None:
    environment = {}
    if by == "variable":
        environment["CIVSYNC_LINK"] = "off"
    else:
        config = Path(machine.other.project.environment["XDG_CONFIG_HOME"]) / "civsync"
        config.mkdir(parents=True)
        (config / "config.yaml").write_text("link: off\n")
    assert machine.other.sync("--frozen", env=environment).done == {"fetched": 2}


def test_a_mode_in_the_config_that_there_is_not_is_refused(machine: Machine) -> None:
    config = Path(machine.other.project.environment["XDG_CONFIG_HOME"]) / "civsync"
    config.mkdir(parents=True)
    (config / "config.yaml").write_text("link: softlink\n")
    ended = machine.sync_other()
    assert (ended.status, ended.error["code"]) == (65, "config-invalid")
    assert "auto, reflink, hardlink, copy, off" in ended.error["hint"]


def test_a_manifest_cannot_set_the_mode(machine: Machine) -> None:
    manifest = machine.other.project.manifest
    manifest.write_text(manifest.read_text() + "link: hardlink\n")
    assert machine.other.sync().status == 65


def test_a_copy_is_the_roots_own(machine: Machine) -> None:
    machine.sync_other("--link", "copy")
    one, other = place_of(machine.one), place_of(machine.other)
    assert not one.samefile(other)
    assert one.stat().st_nlink == other.stat().st_nlink == 1
    assert one.stat().st_mode == other.stat().st_mode


def test_a_fallback_is_told_once_with_the_name_of_the_error(machine: Machine) -> None:
    ended = machine.sync_other("--link", "reflink")
    if "copied" not in ended.done:
        pytest.skip("this file system can reflink")
    (noted,) = ended.events("noted")
    assert noted["code"] == "link-fallback"
    assert noted["message"].startswith("reflinking was not possible: ")
    assert noted["message"].endswith(("(ENOTSUP)", "(ENOTTY)", "(EINVAL)"))


def test_for_auto_a_copy_is_worth_no_warning(machine: Machine) -> None:
    ran = machine.other.project.call("sync", "--frozen")
    assert ran.status == 0
    assert "warning" not in ran.err
    assert "2 copied from another root in" in ran.err or "2 reflinked from" in ran.err


def test_a_file_of_the_users_own_is_copied_where_links_are_allowed_and_stays_as_it_is(
    machine: Machine,
) -> None:
    """A link would make it read-only, and civsync placed nothing there."""
    mine = place_of(machine.one)
    (machine.one.project.root / ".civsync" / "receipt.json").unlink()
    assert machine.one.project.call("sync", "--frozen").status == 0  # they are only known now
    before = mine.stat()
    ended = machine.sync_other("--link", "hardlink")
    assert ended.status == 0
    assert "hardlinked" not in ended.done
    assert sum(ended.done.values()) == 2
    assert machine.asked == 0
    assert not place_of(machine.other).samefile(mine)
    after = mine.stat()
    assert (after.st_mode, after.st_nlink) == (before.st_mode, 1)
    if "copied" in ended.done:
        (noted,) = ended.events("noted")
        assert noted["code"] == "link-fallback"
        assert "some files there are yours" in str(noted["message"])


# --- what is noted ---------------------------------------------------------------------------


def test_the_index_knows_what_each_root_holds_as_of_its_last_change(machine: Machine) -> None:
    names = ("loras/m0.safetensors", "loras/m1.safetensors")
    assert machine.rows() == [("one", name) for name in names]
    machine.sync_other()
    assert machine.rows() == [(root, name) for root in ("one", "other") for name in names]
    machine.one.want(*list(machine.one.registry.models.values())[:1])
    assert machine.one.sync("--allow-prune", "all").status == 0
    assert machine.rows() == [("one", names[0]), *(("other", name) for name in names)]


def test_a_run_with_nothing_to_do_leaves_the_index_alone(machine: Machine) -> None:
    before = listing(machine.index)
    assert machine.one.sync().done == {}
    assert listing(machine.index) == before


def test_an_index_that_is_gone_is_made_again_out_of_the_receipts(machine: Machine) -> None:
    machine.index.unlink()
    ended = machine.sync_other("--offline")
    assert sum(ended.done.values()) == 2


def test_what_adopt_read_is_known_to_the_next_sync_under_whatever_name(machine: Machine) -> None:
    right = place_of(machine.one).read_bytes()
    mine = place_of(machine.other, "old/mine.bin")
    mine.parent.mkdir(parents=True)
    mine.write_bytes(right)
    machine.execute("DELETE FROM files")
    assert machine.other.project.call("adopt", "--all").status == 8
    assert ("other", "old/mine.bin") in machine.rows()
    ended = machine.sync_other("--offline")
    assert machine.other.tree["loras/m0.safetensors"] == right
    assert ended.codes == {"m1.safetensors": "offline"}


def test_verify_notes_what_it_read(machine: Machine) -> None:
    place = place_of(machine.one)
    right = place.read_bytes()
    place.unlink()
    place.write_bytes(right)
    machine.execute("DELETE FROM files")
    assert machine.one.project.call("verify").status == 0
    assert ("one", "loras/m0.safetensors") in machine.rows()


# --- what the index says is never believed ----------------------------------------------------


def be_another_file(place: Path) -> None:
    place.write_bytes(safetensors("another", KIB))


def be_a_link(place: Path) -> None:
    place.rename(place.with_name("real"))
    place.symlink_to("real")


def be_a_directory(place: Path) -> None:
    place.unlink()
    place.mkdir()


def be_a_pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def be_behind_a_link(place: Path) -> None:
    place.parent.rename(place.parent.with_name("moved"))
    place.parent.symlink_to("moved")


def be_rotten(place: Path) -> None:
    """Other bytes under the very same stamp."""
    times, data = place.stat(), place.read_bytes()
    with place.open("r+b") as file:
        file.write(bytes([data[0] ^ 1]))
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))


HOSTILE = (
    Path.unlink,
    be_another_file,
    be_a_link,
    be_a_directory,
    be_a_pipe,
    be_behind_a_link,
    be_rotten,
)


@pytest.mark.parametrize(
    ("become", "mode"),
    [*((each, "auto") for each in HOSTILE), (be_another_file, "hardlink"), (be_rotten, "hardlink")],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_what_is_not_what_it_was_is_downloaded_and_its_row_dropped(
    machine: Machine, become: Callable[[Path], object], mode: str
) -> None:
    right = machine.one.tree
    become(place_of(machine.one))
    before = listing(machine.one.project.root)
    ended = machine.sync_other("--link", mode)
    assert ended.status == 0
    assert machine.other.tree == right
    assert ended.done["fetched"] >= 1
    assert ("one", "loras/m0.safetensors") not in machine.rows()
    if mode == "auto":
        assert listing(machine.one.project.root) == before
    assert machine.other.parts() == []


def test_rows_that_no_civsync_wrote_are_passed_over(machine: Machine) -> None:
    good = machine.index.read_bytes()
    for column, value in (
        ("root", b"/nowhere"),
        ("root", b"relative"),
        ("root", b"/proc/self\0x"),
        ("root", "text"),
        ("path", "../../etc/passwd"),
        ("path", ".civsync/receipt.json"),
        ("path", "/etc/passwd"),
        ("path", b"\xff\xfe"),
        ("stamp", "1/2"),
        ("stamp", "99999999999999999999/1/1"),
        ("stamp", b"\x00"),
        ("root_id", b"\x00"),
    ):
        machine.index.write_bytes(good)
        machine.execute(f"UPDATE files SET {column} = ? WHERE path LIKE '%m0%'", value)
        shutil.rmtree(machine.other.project.root, ignore_errors=True)
        ended = machine.sync_other("--new-root")
        assert (ended.status, machine.other.tree) == (0, machine.one.tree), (column, value)
        assert ended.done["fetched"] == 1, (column, value)


def test_a_row_that_points_to_another_file_of_the_users_gives_it_no_name(
    machine: Machine, tmp_path: Path
) -> None:
    """Forged down to the stamp: what is elsewhere is proved by its hash alone."""
    secret = machine.one.project.root / "secret.safetensors"
    secret.write_bytes(safetensors("secret", KIB))
    status = secret.stat()
    stamp = f"{status.st_size}/{status.st_mtime_ns}/{status.st_ino}"
    assert status.st_size == place_of(machine.one).stat().st_size
    for mode in MODES:
        machine.execute(
            "UPDATE files SET path = 'secret.safetensors', stamp = ?"
            " WHERE root LIKE '%/one/%' AND path LIKE '%m0%'",
            stamp,
        )
        ended = machine.sync_other("--link", mode, "--new-root")
        assert ended.status == 0
        assert machine.other.tree == {
            name: data for name, data in machine.one.tree.items() if "secret" not in name
        }
        assert stat.S_IMODE(secret.stat().st_mode) & 0o200
        assert ("one", "secret.safetensors") not in machine.rows()
        for place in machine.other.project.root.glob("loras/*"):
            place.unlink()


def test_a_root_that_is_not_mounted_keeps_its_rows(machine: Machine) -> None:
    away = machine.one.project.root.rename(machine.one.project.folder / "unplugged")
    rows = machine.rows()
    assert machine.sync_other().done == {"fetched": 2}
    assert set(rows) <= set(machine.rows())
    away.rename(machine.one.project.root)


# --- the index itself --------------------------------------------------------------------------


def garbage(index: Path) -> None:
    index.write_bytes(b"not a database" * 1000)


def cut(index: Path) -> None:
    os.truncate(index, index.stat().st_size // 2)


def of_the_future(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA user_version = 99")


def without_tables(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("DROP TABLE files")


def of_somebody_else(index: Path) -> None:
    index.unlink()
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("CREATE TABLE files (x)")


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT"


def endless_view(index: Path) -> None:
    """Looks like the table, and has no last row."""
    with closing(sqlite3.connect(index)) as connection:
        connection.executescript(
            f"DROP TABLE files; CREATE VIEW files AS {ENDLESS} CAST('/x' AS BLOB) AS root,"
            " 'a' AS path, 'i' AS root_id, 'x' || n AS sha256, '1/1/1' AS stamp FROM r"
        )


def endless_trigger(index: Path) -> None:
    """Adds rows for ever as soon as one is added."""
    with closing(sqlite3.connect(index)) as connection:
        connection.executescript(
            "CREATE TRIGGER t BEFORE INSERT ON files BEGIN INSERT INTO files SELECT * FROM"
            f" ({ENDLESS} CAST('/x' || n AS BLOB), 'p' || n, 'i', 's', '1/1/1' FROM r); END"
        )


def with_a_huge_value(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("UPDATE files SET root = zeroblob(5000000) WHERE path LIKE '%m0%'")


def a_pipe(index: Path) -> None:
    index.unlink()
    os.mkfifo(index)


DAMAGE = (
    garbage,
    cut,
    of_the_future,
    without_tables,
    of_somebody_else,
    endless_view,
    endless_trigger,
    with_a_huge_value,
    a_pipe,
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_a_damaged_index_is_made_again_and_costs_nothing(
    machine: Machine, damage: Callable[[Path], object]
) -> None:
    damage(machine.index)
    ended = machine.sync_other("--offline")
    assert (ended.status, sum(ended.done.values())) == (0, 2)
    assert len(machine.rows()) == 4


def test_a_link_in_place_of_the_index_leads_to_nobodys_database(
    machine: Machine, tmp_path: Path
) -> None:
    precious = tmp_path / "precious.sqlite"
    with closing(sqlite3.connect(precious)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = precious.read_bytes()
    machine.index.unlink()
    machine.index.symlink_to(precious)
    assert sum(machine.sync_other("--offline").done.values()) == 2
    assert precious.read_bytes() == before
    assert len(machine.rows()) == 4


def test_an_index_that_somebody_holds_is_done_without(machine: Machine) -> None:
    holding = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, machine.index],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        ended = machine.sync_other()
        holder.stdin.close()
    assert (ended.status, ended.done) == (0, {"fetched": 2})
    assert len(machine.rows()) == 2


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["directory", "file"])
def test_a_state_folder_that_cannot_be_used_is_no_failure(
    machine: Machine, make: Callable[[Path], object]
) -> None:
    machine.index.unlink()
    if make is Path.mkdir:
        machine.index.mkdir()
    else:
        os.rename(machine.state, machine.state.with_name("away"))
        machine.state.touch()
    ended = machine.sync_other()
    assert (ended.status, ended.done) == (0, {"fetched": 2})


def test_two_processes_may_write_the_index_at_once(machine: Machine, tmp_path: Path) -> None:
    machine.index.unlink()
    runs = [shop.project.start("verify") for shop in (machine.one, machine.other)]
    runs.append(machine.other.project.start("sync", "--frozen"))
    for run in runs:
        run.communicate(timeout=60)
    with closing(sqlite3.connect(machine.index)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- hard links --------------------------------------------------------------------------------


def is_linked(machine: Machine) -> bool:
    return place_of(machine.one).samefile(place_of(machine.other))


@pytest.fixture
def linked(machine: Machine) -> Machine:
    """Two roots that share their files."""
    ended = machine.sync_other("--link", "hardlink")
    if "hardlinked" not in ended.done:
        pytest.skip("this file system reflinks, or has no hard links")
    return machine


def test_a_hard_link_is_read_only_in_both_roots_and_both_stay_in_step(linked: Machine) -> None:
    assert is_linked(linked)
    assert stat.S_IMODE(place_of(linked.one).stat().st_mode) & 0o222 == 0
    assert linked.one.sync().done == {}
    assert linked.sync_other().done == {}
    assert linked.one.project.call("verify").status == 0


def test_a_file_that_is_shared_is_retired_in_one_root_alone(linked: Machine) -> None:
    right = linked.one.tree
    linked.other.want(*list(linked.other.registry.models.values())[1:])
    assert linked.other.sync("--allow-prune", "all").done == {"retired": 1}
    assert linked.one.tree == right
    assert len(linked.other.tree) == 1


def test_a_new_version_of_a_shared_file_leaves_the_other_root_as_it_is(linked: Machine) -> None:
    right = linked.one.tree
    model = next(iter(linked.other.registry.models.values()))
    data = safetensors("the new one", 2 * KIB)
    model.add_version("v2", at=0, base_model="SDXL 1.0").add_file("m0.safetensors", data)
    assert linked.other.project.call("lock", "--upgrade").status == 0
    assert linked.other.sync().done == {"fetched": 1}
    assert linked.other.tree["loras/m0.safetensors"] == data
    assert linked.one.tree == right


def test_what_a_killed_run_linked_is_never_written_to(machine: Machine) -> None:
    """A hard link that was left among the parts, under every name that a run might claim."""
    one = place_of(machine.one)
    before = one.read_bytes()
    sha256 = hashlib.sha256(before).hexdigest()
    parts = machine.other.control / "parts"
    parts.mkdir(parents=True)
    os.link(one, parts / f"{sha256}.0123456789ab.link")
    os.link(one, parts / f"{sha256}.part")
    ended = machine.other.sync("--frozen", "--link", "off", "--new-root")
    assert ended.status == 0
    assert one.read_bytes() == before
    assert not is_linked(machine)
    assert machine.other.parts() == []
