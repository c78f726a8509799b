"""`civsync trash`: what left the tree is listed, comes back, or is deleted on the user's word."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.core.limits import SPACE_MARGIN_BYTES, TRASH_DAYS
from civsync.demo.artifacts import safetensors
from civsync.disk.lockfile import hold_root
from civsync.disk.root import open_root
from support.cli import Project, command
from support.published import faults
from support.shop import Shop, Synced, listing, open_shop
from support.small_disks import small_disk

KIB = 1024
MIB = 1024 * KIB
ZERO, ONE, TWO = (f"loras/m{number}.safetensors" for number in range(3))
DAY_S = 24 * 3600


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def dropped(shop: Shop) -> Shop:
    return drop_two(shop)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The same for all tests that must change nothing."""
    with open_shop(tmp_path_factory.mktemp("untouched") / "project") as opened:
        yield drop_two(opened)


def drop_two(shop: Shop) -> Shop:
    """Sync a tree and drop m1 and m2, after which the network is gone."""
    one, *_ = shop.stocked(3 * KIB, 5 * KIB, 7 * KIB)
    shop.want(one)
    assert sync(shop).done == {"retired": 2}
    shop.served.reset_counts()
    shop.project.environment["CIVSYNC_API_URL"] = "http://127.0.0.1:1"
    return shop


def sync(shop: Shop, *words: str) -> Synced:
    """Sync in this process, which is quicker."""
    return Synced(ran=shop.project.call("sync", "--json", *words))


def trash(project: Project) -> dict[str, str]:
    """What `trash list` shows: path to id."""
    shown = project.call("trash", "list", "--json").json
    assert faults(shown) == []
    return {each["path"]: each["id"] for each in shown["files"]}


def let_age(shop: Shop, path: str, days: int) -> None:
    """Let a file in trash have come so many days earlier than it did."""
    id_ = trash(shop.project)[path]
    for place in (shop.control / "trash").glob(f"*.{id_}.retired*"):
        sha256, seconds, rest = place.name.split(".", 2)
        place.rename(place.with_name(f"{sha256}.{int(seconds) - days * DAY_S}.{rest}"))


# --- going back -----------------------------------------------------------------------------


def git(project: Project, *words: str) -> None:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    subprocess.run(
        ["git", *identity, "-c", "commit.gpgsign=false", *words],
        cwd=project.folder,
        check=True,
        capture_output=True,
    )


def test_an_old_lock_brings_every_file_back_without_the_network(shop: Shop) -> None:
    replaced, moved_on, kept = shop.stocked(3 * KIB, 5 * KIB, 7 * KIB)
    project, before = shop.project, shop.tree
    git(project, "init", "-q")
    git(project, "add", project.manifest.name, project.lock.name)
    git(project, "commit", "-q", "-m", "A")
    # One file is replaced under its name, one by a file of another name, and one is added.
    for model, name in ((replaced, "m0.safetensors"), (moved_on, "m1_v2.safetensors")):
        model.add_version("v2", at=0, base_model="SDXL 1.0").add_file(
            name, safetensors(name, 4 * KIB)
        )
    (added,) = shop.offer(9 * KIB)
    shop.want(replaced, moved_on, kept, added)
    assert project.call("lock", "--upgrade").status == 0
    assert sync(shop).status == 0
    git(project, "commit", "-q", "-a", "-m", "B")
    after = shop.tree
    assert after.keys() ^ before.keys() == {ONE, "loras/m1_v2.safetensors", "loras/m3.safetensors"}
    shown = project.call("trash", "list", "--json").json["files"]
    assert {(each["path"], each["reason"], each["sha256"]) for each in shown} == {
        (path, "replaced", hashlib.sha256(before[path]).hexdigest()) for path in (ZERO, ONE)
    }
    shop.served.reset_counts()
    for revision, tree in (("HEAD~1", before), ("HEAD", after), ("HEAD~1", before)):
        git(project, "checkout", "-q", revision, "--", project.lock.name)
        ended = shop.sync("--frozen", "--offline")
        assert ended.status == 0, ended.ran.err
        assert "fetched" not in ended.done
        assert shop.tree == tree
        assert project.call("verify").status == 0
    assert shop.served.requests == []


# --- list -----------------------------------------------------------------------------------


def test_what_left_the_tree_is_listed_with_when_why_and_where_it_lay(dropped: Shop) -> None:
    let_age(dropped, ONE, 3)
    let_age(dropped, TWO, TRASH_DAYS + 1)
    before = listing(dropped.project.folder)
    ran = dropped.project.call("trash", "list")
    assert ran.status == 0
    head, oldest, newer = ran.out.splitlines()
    assert head.split() == ["ID", "SINCE", "SIZE", "KEPT", "FOR", "REASON", "PATH"]
    assert oldest.endswith(f"7.0 KiB  next sync  not wanted any more  {TWO}")
    assert newer.endswith(f"5.0 KiB  3 days     not wanted any more  {ONE}")
    assert ran.err == "2 files, 12.0 KiB in trash\n"
    assert listing(dropped.project.folder) == before


def test_an_empty_trash_is_said_to_be_one(shop: Shop) -> None:
    for words in ("list",), ("empty", "--yes"), ("empty",), ("empty", "--dry-run"):
        ran = shop.project.call("trash", *words)
        assert (ran.status, ran.out) == (0, "")
        assert "nothing" in ran.err
    assert trash(shop.project) == {}
    assert not shop.project.root.exists()


def test_a_note_cannot_forge_lines_or_lead_out_of_the_root(dropped: Shop) -> None:
    unknown = trash(dropped.project)[TWO]
    hostile = {ONE: {"reason": "x\n\x1b[2Jforged"}, TWO: {"path": "../../precious"}}
    for path, keys in hostile.items():
        (note,) = (dropped.control / "trash").glob(f"*.{trash(dropped.project)[path]}.*.note")
        note.write_text(json.dumps({**json.loads(note.read_text()), **keys}))
    ran = dropped.project.call("trash", "list")
    assert len(ran.out.splitlines()) == 3
    assert "\x1b" not in ran.out
    assert "precious" not in ran.out
    ran = dropped.project.call("trash", "restore", unknown)
    assert ran.status == 64
    assert "--to" in ran.err
    assert dropped.project.call("trash", "restore", unknown, "--to", "mine/x.pt").status == 0
    assert (dropped.project.root / "mine/x.pt").stat().st_size == 7 * KIB


@pytest.mark.fault("4.8/zero", "unmounted disk")
def test_an_unmounted_disk_is_not_taken_for_an_empty_trash(dropped: Shop) -> None:
    dropped.project.root.rename(dropped.project.folder / "unplugged")
    for words in ("list",), ("restore", ONE), ("empty", "--yes"):
        ran = dropped.project.call("trash", *words)
        assert ran.status == 8
        assert "root-marker-missing" in ran.err


# --- restore --------------------------------------------------------------------------------


def test_what_the_lock_does_not_want_comes_back_as_the_users_own(dropped: Shop) -> None:
    ran = dropped.project.call("trash", "restore", ONE, "--json")
    assert ran.status == 0, ran.err
    assert faults(ran.json) == []
    (restored,) = ran.json["restored"]
    assert (restored["path"], restored["size"], restored["owned"]) == (ONE, 5 * KIB, False)
    assert sorted(trash(dropped.project)) == [TWO]
    tree = dropped.tree
    assert sorted(tree) == [ZERO, ONE]
    assert sync(dropped, "--offline").done == {}
    assert dropped.tree == tree


def test_what_the_lock_wants_is_owned_again_and_the_next_sync_has_nothing_to_do(
    shop: Shop,
) -> None:
    one, two = shop.stocked(3 * KIB, 5 * KIB)
    old = shop.project.lock.read_bytes()
    shop.want(one)
    assert sync(shop).done == {"retired": 1}
    shop.want(one, two)
    shop.project.lock.write_bytes(old)
    ran = shop.project.call("trash", "restore", ONE)
    assert "civsync's again" in ran.err
    shop.served.reset_counts()
    assert sync(shop).done == {}
    assert shop.served.requests == []
    shop.want(one)
    assert sync(shop, "--offline").done == {"retired": 1}


def test_files_are_named_by_path_on_disk_by_path_below_the_root_and_by_id(dropped: Shop) -> None:
    id_ = trash(dropped.project)[TWO]
    ran = dropped.project.call("trash", "restore", f"models/{ONE}", id_, TWO)
    assert ran.status == 0, ran.err
    assert sorted(dropped.tree) == [ZERO, ONE, TWO]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param([TWO, "loras/m9.safetensors"], "Did you mean", id="no such path"),
        pytest.param([TWO, "0" * 12], "nothing in trash has the id", id="no such id"),
        pytest.param([ONE, TWO, "--to", "x.pt"], "for one file", id="one place for two"),
        pytest.param([ONE, "--to", "../x.pt"], "below the root", id="above the root"),
        pytest.param([ONE, "--to", "/x.pt"], "below the root", id="elsewhere"),
        pytest.param([ONE, "--to", ".civsync/x"], "below the root", id="the control folder"),
        pytest.param([ONE, "--to", ""], "below the root", id="nowhere"),
        pytest.param([], "Missing argument", id="nothing named"),
    ],
)
def test_a_wrong_command_line_restores_nothing(
    untouched: Shop, words: list[str], told: str
) -> None:
    before = listing(untouched.project.root)
    ran = untouched.project.call("trash", "restore", *words)
    assert ran.status == 64
    assert told in ran.err
    assert listing(untouched.project.root) == before


def test_several_files_of_one_path_are_told_apart_by_their_ids(dropped: Shop) -> None:
    assert dropped.project.call("trash", "restore", ONE).status == 0
    path = dropped.project.root / ONE
    for text in (b"first", b"second"):
        (note,) = (dropped.control / "trash").glob(f"*.{trash(dropped.project)[TWO]}.*.note")
        name = f"unhashed.{1_700_000_000 + len(text)}.{text.hex():0>12.12}.retired"
        (dropped.control / "trash" / name).write_bytes(text)
        document = {**json.loads(note.read_text()), "path": ONE, "sha256": "", "size": len(text)}
        (dropped.control / "trash" / f"{name}.note").write_text(json.dumps(document))
    path.unlink()
    ran = dropped.project.call("trash", "restore", TWO, ONE)
    assert ran.status == 64
    assert TWO in trash(dropped.project)
    assert "2 files in trash lay at" in ran.err
    id_ = f"{b'second'.hex():0>12.12}"
    assert ran.err.index(id_) < ran.err.index(f"{b'first'.hex():0>12.12}")
    assert dropped.project.call("trash", "restore", id_).status == 0
    assert path.read_bytes() == b"second"


def test_nothing_is_restored_over_anything_and_the_others_come_back(dropped: Shop) -> None:
    (dropped.project.root / ONE).write_bytes(b"mine")
    ran = dropped.project.call("trash", "restore", ONE, TWO, "--json")
    assert ran.status == 8
    assert faults(ran.json) == []
    assert [each["path"] for each in ran.json["restored"]] == [TWO]
    (failed,) = ran.json["failed"]
    assert (failed["name"], failed["error"]["code"]) == (ONE, "path-taken")
    assert (dropped.project.root / ONE).read_bytes() == b"mine"
    assert sorted(trash(dropped.project)) == [ONE]
    assert dropped.project.call("trash", "restore", ONE, "--to", "loras/was.pt").status == 0
    assert (dropped.project.root / "loras/was.pt").stat().st_size == 5 * KIB


def test_what_changed_in_trash_does_not_come_back_as_if_it_had_not(dropped: Shop) -> None:
    (file,) = (dropped.control / "trash").glob(f"*.{trash(dropped.project)[ONE]}.retired")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    ran = dropped.project.call("trash", "restore", ONE)
    assert ran.status == 5
    assert "[differs]" in ran.err
    assert not (dropped.project.root / ONE).exists()
    assert file.exists()


def test_of_files_of_one_path_with_one_content_the_newest_comes_back(dropped: Shop) -> None:
    let_age(dropped, ONE, 2)
    for file in (dropped.control / "trash").glob(f"*.{trash(dropped.project)[ONE]}.retired*"):
        sha256, _, _, rest = file.name.split(".", 3)
        twin = file.with_name(f"{sha256}.1700000000.{'0' * 12}.{rest}")
        twin.write_bytes(file.read_bytes())
    ran = dropped.project.call("trash", "restore", ONE, "--json")
    assert ran.status == 0, ran.err
    assert trash(dropped.project)[ONE] == "0" * 12


def test_what_you_changed_and_let_be_replaced_comes_back_beside_it(shop: Shop) -> None:
    shop.stocked(3 * KIB)
    (shop.project.root / ZERO).write_bytes(b"retouched")
    assert sync(shop, "--force-modified").status == 0
    ran = shop.project.call("trash", "restore", ZERO)
    assert ran.status == 8
    assert "[path-taken]" in ran.err
    assert shop.project.call("trash", "restore", ZERO, "--to", "loras/mine.pt").status == 0
    assert (shop.project.root / "loras/mine.pt").read_bytes() == b"retouched"
    assert sync(shop).done == {}


# --- empty ----------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_deleted_unless_told_so(dropped: Shop) -> None:
    project, before = dropped.project, listing(dropped.project.root)
    ran = project.run("trash", "empty", stdin="y\n", env={"CIVSYNC_YES": "1"})
    assert ran.status == 64
    assert "--yes" in ran.err
    shown = project.call("trash", "empty", "--dry-run", "--json")
    assert faults(shown.json) == []
    assert (len(shown.json["files"]), shown.json["dry_run"]) == (2, True)
    assert listing(project.root) == before
    ran = project.call("trash", "empty", "-y", "--json")
    assert faults(ran.json) == []
    assert (ran.status, ran.json["freed"], ran.json["dry_run"]) == (0, 12 * KIB, False)
    assert trash(project) == {}
    assert list((dropped.control / "trash").iterdir()) == []
    assert list(dropped.tree) == [ZERO]


def test_only_what_is_old_enough_is_deleted(dropped: Shop) -> None:
    let_age(dropped, ONE, 30)
    let_age(dropped, TWO, -1)
    for older, left in (("31d", {ONE, TWO}), ("30d", {TWO}), ("0h", {TWO})):
        assert dropped.project.call("trash", "empty", "--older", older, "--yes").status == 0
        assert trash(dropped.project).keys() == left, older
    assert dropped.project.call("trash", "empty", "--yes").status == 0
    assert trash(dropped.project) == {}


def test_an_age_that_is_none_is_refused(untouched: Shop) -> None:
    ran = untouched.project.call("trash", "empty", "--older", "30", "--yes")
    assert ran.status == 64
    assert "30d" in ran.err
    assert len(trash(untouched.project)) == 2


@pytest.mark.skipif(os.name == "nt", reason="terminals are made with pty")
def test_on_a_terminal_it_shows_what_would_go_and_asks(dropped: Shop) -> None:
    from support.terminals import watched

    project = dropped.project
    for answer, left in (("n", 2), ("", 2), ("y", 0)):
        with watched(
            command("trash", "empty"), folder=project.folder, environment=project.environment
        ) as terminal:
            terminal.await_text("Delete 2 files, 12.0 KiB, for good? [y/N]")
            assert ONE in terminal.text
            assert TWO in terminal.text
            terminal.type(f"{answer}\n")
            assert terminal.end() == 0
        assert len(trash(project)) == left


def test_a_root_that_somebody_holds_is_looked_at_and_not_changed(untouched: Shop) -> None:
    state = Path(untouched.project.environment["XDG_STATE_HOME"]) / "civsync"
    root = open_root(untouched.project.root, state_dir=state)
    with hold_root(root, command="civsync sync"):
        assert len(trash(untouched.project)) == 2
        for words in ("restore", ONE), ("empty", "--yes"):
            ran = untouched.project.call("trash", *words)
            assert ran.status == 75
            assert "root-busy" in ran.err
    assert len(trash(untouched.project)) == 2
    assert list(untouched.tree) == [ZERO]


# --- room on a full disk ----------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True], ids=["waiting", "just retired"])
def test_a_full_disk_is_given_trash_only_on_the_users_word(tmp_path: Path, first: bool) -> None:
    room = (SPACE_MARGIN_BYTES + 6 * MIB) // MIB
    with (
        small_disk(tmp_path / "project" / "models", f"size={room}m"),
        open_shop(tmp_path / "project") as shop,
    ):
        small, _ = shop.stocked(KIB, 4 * MIB)
        (new,) = shop.offer(5 * MIB)
        words = ["--prune-first"] if first else []
        if not first:
            shop.want(small)
            assert sync(shop).done == {"retired": 1}
        shop.want(small, new)
        assert shop.project.call("lock").status == 0
        ended = sync(shop, "--frozen", *words)
        assert (ended.status, ended.error["code"]) == (8, "no-space")
        assert ("--empty-trash" in ended.error["hint"]) is not first
        assert len(shop.trash()) == (0 if first else 1)
        ended = sync(shop, "--frozen", "--empty-trash", *words)
        assert ended.status == 0, ended.ran.out
        assert ended.done == {"fetched": 1, **({"retired": 1} if first else {})}
        (noted,) = ended.events("noted")
        assert (noted["code"], noted["path"]) == ("trash-emptied", ONE)
        assert shop.trash() == []
        assert sorted(shop.tree) == [ZERO, TWO]
