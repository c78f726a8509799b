"""Directories below the root that lie elsewhere: declared by the user, and never otherwise."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from civsync.cli.start import is_plain
from civsync.demo.faults import Fault, Stall
from support.cli import Ran
from support.shop import Shop, Synced, listing, open_shop

KIB = 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "here") as opened:
        yield opened


@pytest.fixture
def big(tmp_path: Path, shop: Shop) -> Path:
    """Where `models/loras` leads to: another folder, which stands for another disk."""
    target = tmp_path / "big" / "loras"
    target.mkdir(parents=True)
    shop.project.root.mkdir()
    (shop.project.root / "loras").symlink_to(target)
    return target


def declare(shop: Shop, big: Path) -> None:
    """Let every command of the test have the declaration in its environment."""
    shop.project.environment["CIVSYNC_FOLLOW_LINKS"] = f"loras={big}"


def sync(shop: Shop, *words: str) -> Synced:
    """Sync in this process: there are many of these."""
    return Synced(ran=shop.project.call("sync", "--json", *words))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".civsync")


def retired(folder: Path) -> int:
    return len(list((folder / ".civsync" / "trash").glob("*.retired")))


# --- what works there ------------------------------------------------------------------


def test_a_declared_link_is_written_through_and_found_in_step_the_next_time(
    shop: Shop, big: Path
) -> None:
    declare(shop, big)
    shop.stocked(KIB, KIB)
    assert visible(big) == ["m0.safetensors", "m1.safetensors"]
    assert (big / ".civsync/parts").is_dir()
    assert not (shop.control / "parts").exists()
    root_id = json.loads((shop.control / "root.json").read_text())["root_id"]
    marker = json.loads((big / ".civsync/annex.json").read_text())
    assert (marker["root_id"], marker["at"]) == (root_id, "loras")
    for _ in range(2):
        before = listing(shop.project.root, big)
        assert sync(shop).done == {}
        assert listing(shop.project.root, big) == before
    assert shop.served.requests == []
    for words in (("status", "--exit-code"), ("verify",), ("sync", "--check")):
        ran = shop.project.call(*words)
        assert ran.status == 0, (words, ran.err)


def test_a_change_behind_the_link_is_seen_by_the_very_next_run(shop: Shop, big: Path) -> None:
    declare(shop, big)
    shop.stocked(KIB, KIB)
    assert sync(shop).done == {}
    (big / "m0.safetensors").write_bytes(b"edited")
    (big / "m1.safetensors").unlink()
    ended = sync(shop)
    assert (ended.codes, ended.done) == ({"m0.safetensors": "modified-file"}, {"fetched": 1})
    assert shop.project.call("verify").status == 5


def test_what_leaves_the_directory_waits_in_its_own_trash_and_comes_back_from_there(
    shop: Shop, big: Path
) -> None:
    declare(shop, big)
    one, other = shop.stocked(KIB, KIB)
    shop.want(one)
    assert sync(shop).done == {"retired": 1}
    assert (retired(big), retired(shop.project.root)) == (1, 0)
    (entry,) = shop.project.call("trash", "list", "--json").json["files"]
    assert entry["path"] == "loras/m1.safetensors"
    shop.served.reset_counts()
    shop.want(one, other)
    assert sync(shop).done == {"restored": 1}
    assert shop.ranges == []
    shop.want(one)
    assert sync(shop).done == {"retired": 1}
    (entry,) = shop.project.call("trash", "list", "--json").json["files"]
    assert shop.project.call("trash", "restore", entry["id"]).status == 0
    assert visible(big) == ["m0.safetensors", "m1.safetensors"]


def test_a_file_moves_into_the_directory_and_out_of_it_again(shop: Shop, big: Path) -> None:
    declare(shop, big)
    (model,) = shop.stocked(KIB)
    content = (big / "m0.safetensors").read_bytes()
    shop.want(model, directory="others")
    assert sync(shop).done == {"moved": 1}
    assert (visible(big), shop.tree) == ([], {"others/m0.safetensors": content})
    shop.want(model, directory="loras/deep")
    assert sync(shop).done == {"moved": 1}
    assert (big / "deep/m0.safetensors").read_bytes() == content
    assert shop.ranges == []
    shop.want(model, directory="others")
    sync(shop)
    assert (visible(big), big.is_dir()) == ([], True)
    assert (shop.project.root / "loras").is_symlink()


def test_a_part_of_a_download_that_was_cut_off_is_gone_on_with_there(shop: Shop, big: Path) -> None:
    declare(shop, big)
    shop.locked(*shop.offer(300 * KIB))
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=100 * KIB), origin="storage"))
    with shop.project.start("sync", "--json") as running:
        shop.served.wait_until_asked(origin="storage")
        (part,) = _wait_for_part(big, running.poll)
        running.terminate()
        running.communicate(timeout=30)
    release.set()
    assert part.startswith(str(big))
    (kept,) = (big / ".civsync/parts").iterdir()
    held = kept.stat().st_size
    shop.served.faults.clear()
    shop.served.reset_counts()
    assert sync(shop).done == {"fetched": 1}
    assert shop.ranges == [f"bytes={held}-" if held else None]


def _wait_for_part(big: Path, ended: Callable[[], int | None]) -> list[str]:
    """Return the parts there once one holds bytes; a run that ends before has failed."""
    while ended() is None:
        found = list((big / ".civsync/parts").glob("*.claim"))
        if found and found[0].stat().st_size:
            return [str(each) for each in found]
    raise AssertionError("the sync ended before it received anything")


@pytest.mark.parametrize(
    "words", [("--all",), ("models/loras",), ("models/loras/m0.safetensors",), ("{big}",)]
)
def test_what_lies_behind_a_declared_link_is_adopted(
    shop: Shop, big: Path, words: tuple[str, ...]
) -> None:
    declare(shop, big)
    shop.stocked(KIB)
    shutil.rmtree(shop.control)
    shutil.rmtree(big / ".civsync")
    ran = shop.project.call("adopt", *(word.format(big=big) for word in words))
    assert ran.status == 8, ran.err  # a root that lost its marker
    assert sync(shop, "--new-root").done == {}
    ran = shop.project.call("adopt", *(word.format(big=big) for word in words))
    assert ran.status == 0, ran.err
    shop.project.write()
    assert sync(shop, "--allow-prune", "all").done == {"retired": 1}
    assert retired(big) == 1


def test_what_rotted_behind_a_declared_link_is_repaired_and_kept_on_its_disk(
    shop: Shop, big: Path
) -> None:
    declare(shop, big)
    shop.stocked(KIB)
    place = big / "m0.safetensors"
    before, good = place.stat(), place.read_bytes()
    with place.open("r+b") as file:
        file.write(b"rot")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sync(shop).done == {}
    ran = shop.project.call("verify", "--repair")
    assert (place.read_bytes(), len(list((big / ".civsync/quarantine").glob("*.retired")))) == (
        good,
        1,
    ), ran.err
    assert not (shop.control / "quarantine").exists()


def test_a_lost_receipt_is_rebuilt_from_behind_a_declared_link(shop: Shop, big: Path) -> None:
    declare(shop, big)
    one, _ = shop.stocked(KIB, KIB)
    (shop.control / "receipt.json").unlink()
    ran = shop.project.call("verify", "--rebuild", "--yes")
    assert ran.status == 0, ran.err
    shop.want(one)
    assert sync(shop).done == {"retired": 1}


def test_a_saved_plan_is_carried_out_behind_a_declared_link(shop: Shop, big: Path) -> None:
    declare(shop, big)
    one, _ = shop.stocked(KIB, KIB)
    shop.locked(one)
    assert shop.project.call("sync", "--plan", "plan.json").status == 0
    assert sync(shop, "--apply", "plan.json").done == {"retired": 1}
    assert visible(big) == ["m0.safetensors"]


def test_a_folder_behind_a_declared_link_is_described_by_init(shop: Shop, big: Path) -> None:
    declare(shop, big)
    shop.stocked(KIB)
    shop.project.manifest.unlink()
    shop.project.lock.unlink()
    ran = shop.project.call("init", "--from", "models")
    assert ran.status == 0, ran.err
    assert shop.project.call("status", "--exit-code").status == 0


def test_a_directory_that_the_user_moved_to_another_disk_needs_no_download(
    shop: Shop, tmp_path: Path
) -> None:
    one, _ = shop.stocked(KIB, KIB)
    target = tmp_path / "bigger"
    shutil.copytree(shop.project.root / "loras", target)
    shutil.rmtree(shop.project.root / "loras")
    (shop.project.root / "loras").symlink_to(target)
    shop.project.environment["CIVSYNC_FOLLOW_LINKS"] = f"loras={target}"
    assert sync(shop).done == {}
    shop.want(one)
    assert sync(shop).done == {"retired": 1}
    assert (shop.ranges, retired(target)) == ([], 1)


# --- what the plainest runs say --------------------------------------------------------


def declare_in_config(shop: Shop, big: Path) -> Path:
    """Declare it where no flag and no variable tells the door of the plainest runs."""
    config = shop.project.folder / ".home/civsync/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"follow_links: {{{shop.project.root}: ['loras={big}']}}\n")
    return config


def plainly(shop: Shop, *words: str) -> Ran:
    """Run words that may end before click is loaded, as a process of their own."""
    assert is_plain(words, shop.project.environment)
    return shop.project.run(*words)


def _edit_in_place(big: Path) -> None:
    place = big / "m0.safetensors"
    place.write_bytes(bytes(place.stat().st_size))


def _vanish(big: Path) -> None:
    big.rename(big.parent / "unplugged")


def _empty(big: Path) -> None:
    _vanish(big)
    big.mkdir()


def _turn_to_the_same_files(big: Path) -> None:
    """Let the link lead to other names of the very files, with the stamps that were noted."""
    other = big.parent / "other"
    other.mkdir()
    for place in big.glob("*.safetensors"):
        (other / place.name).hardlink_to(place)
    (big.parent.parent / "here/models/loras").unlink()
    (big.parent.parent / "here/models/loras").symlink_to(other)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(_edit_in_place, "modified-file", id="a file changed"),
        pytest.param(_vanish, "link-unusable", id="the target vanished"),
        pytest.param(_empty, "root-marker-missing", id="an empty target"),
        pytest.param(_turn_to_the_same_files, "link-unusable", id="turned to the same files"),
    ],
)
def test_no_plain_run_says_in_step_of_a_declared_link_that_is_not(
    shop: Shop, big: Path, spoil: Callable[[Path], object], code: str
) -> None:
    declare_in_config(shop, big)
    shop.stocked(KIB, KIB)
    for _ in range(2):
        assert plainly(shop, "sync", "-q").status == 0
        assert "2 files in place, nothing to do" in plainly(shop, "status").out
    spoil(big)
    ran = plainly(shop, "sync", "-q")
    assert (ran.status, f"[{code}]" in ran.err) == (8, True), ran.err
    ran = plainly(shop, "status")
    assert "nothing to do" not in ran.out + ran.err
    assert code in ran.out + ran.err


def test_a_plain_run_fetches_what_is_gone_from_behind_a_declared_link(
    shop: Shop, big: Path
) -> None:
    declare_in_config(shop, big)
    shop.stocked(KIB, KIB)
    assert plainly(shop, "sync", "-q").status == 0
    (big / "m0.safetensors").unlink()
    assert "\n1 to download" in plainly(shop, "status").out
    assert plainly(shop, "sync", "-q").status == 0
    assert visible(big) == ["m0.safetensors", "m1.safetensors"]


def test_no_plain_run_says_in_step_once_the_declaration_is_gone(shop: Shop, big: Path) -> None:
    config = declare_in_config(shop, big)
    shop.stocked(KIB, KIB)
    assert plainly(shop, "sync", "-q").status == 0
    config.unlink()
    for words in (("sync", "-q"), ("status",)):
        ran = plainly(shop, *words)
        assert (ran.status, "[undeclared-disk]" in ran.err) == (8, True), ran.err
        assert "nothing to do" not in ran.out


# --- how it is declared ----------------------------------------------------------------


def test_the_users_config_declares_by_root(shop: Shop, big: Path) -> None:
    config = shop.project.folder / ".home/civsync/config.yaml"
    config.parent.mkdir(parents=True)
    elsewhere = shop.project.folder / "another root"
    config.write_text(
        f"follow_links:\n  {elsewhere}: [embeddings=/nowhere]\n"
        f"  {shop.project.root}:\n    - loras={big}\n"
    )
    shop.stocked(KIB)
    assert visible(big) == ["m0.safetensors"]
    assert sync(shop).done == {}
    assert shop.served.requests == []


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        pytest.param("../loras=/big", 64, id="above the root"),
        pytest.param("/loras=/big", 64, id="absolute"),
        pytest.param(".civsync=/big", 64, id="the control folder"),
        pytest.param("=/big", 64, id="the root itself"),
        pytest.param("loras=big", 64, id="a target that depends on the folder"),
        pytest.param("loras=", 64, id="no target"),
    ],
)
def test_what_declares_no_directory_below_the_root_is_refused(
    shop: Shop, declared: str, status: int
) -> None:
    shop.locked(*shop.offer(KIB))
    ended = sync(shop, "--follow-links", declared)
    assert (ended.status, ended.error["code"]) == (status, "usage")
    assert "DIR=TARGET" in ended.error["hint"]


@pytest.mark.parametrize(
    "text",
    [
        "follow_links: [loras]\n",
        "follow_links: {models: [loras]}\n",
        "follow_links: {/models: loras}\n",
        "follow_links: {/models: [5]}\n",
    ],
)
def test_a_config_that_declares_nothing_sensible_is_refused(shop: Shop, text: str) -> None:
    shop.locked(*shop.offer(KIB))
    config = shop.project.folder / ".home/civsync/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    ended = sync(shop)
    assert (ended.status, ended.error["code"]) == (65, "config-invalid")


def test_a_manifest_cannot_declare_anything(shop: Shop, big: Path) -> None:
    models = shop.offer(KIB)
    shop.want(*models, head=f"follow_links: ['loras={big}']\n")
    assert sync(shop).error["code"] == "unknown-key"


# --- what is refused -------------------------------------------------------------------


def test_a_link_that_nobody_declared_is_refused_with_what_would_declare_it(
    shop: Shop, big: Path
) -> None:
    shop.locked(*shop.offer(KIB))
    ended = sync(shop)
    assert (ended.status, ended.codes) == (8, {"m0.safetensors": "symlinked-directory"})
    assert "--follow-links" in ended.failed["m0.safetensors"]["hint"]
    assert (os.listdir(big), shop.ranges) == ([], [])


def _leads_elsewhere(root: Path, big: Path) -> None:
    other = big.parent / "other"
    other.mkdir()
    _relink(root, other)


def _relink(root: Path, target: Path | str) -> None:
    (root / "loras").unlink()
    (root / "loras").symlink_to(target)


def _another_root(root: Path, big: Path) -> None:
    (big / ".civsync").mkdir()
    (big / ".civsync/root.json").write_text("{}")


def _inside_another_root(root: Path, big: Path) -> None:
    (big.parent / ".civsync").mkdir()
    (big.parent / ".civsync/root.json").write_text("{}")


def _inside_another_annex(root: Path, big: Path) -> None:
    (big.parent / ".civsync").mkdir()
    (big.parent / ".civsync/annex.json").write_text("{}")


def _dangling(root: Path, big: Path) -> None:
    big.rmdir()


def _no_link(root: Path, big: Path) -> None:
    (root / "loras").unlink()


def _loop(root: Path, big: Path) -> None:
    big.rmdir()
    big.symlink_to(root / "loras")


def _plain_directory(root: Path, big: Path) -> None:
    (root / "loras").unlink()
    (root / "loras").mkdir()


def _file(root: Path, big: Path) -> None:
    big.rmdir()
    big.write_bytes(b"")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_leads_elsewhere, id="a link to another place than was declared"),
        pytest.param(_dangling, id="a dangling link"),
        pytest.param(_loop, id="a loop of links"),
        pytest.param(_no_link, id="no link at all"),
        pytest.param(_plain_directory, id="a directory of its own"),
        pytest.param(_file, id="a file"),
        pytest.param(_another_root, id="another root"),
        pytest.param(_inside_another_root, id="inside another root"),
        pytest.param(_inside_another_annex, id="inside what another root keeps"),
    ],
)
def test_a_declared_link_that_is_not_what_was_declared_is_refused(
    shop: Shop, big: Path, spoil: Callable[[Path, Path], object]
) -> None:
    declare(shop, big)
    shop.locked(*shop.offer(KIB))
    spoil(shop.project.root, big)
    before = listing(shop.project.root, big.parent)
    ended = sync(shop)
    assert (ended.status, ended.error["code"]) == (8, "link-unusable")
    assert shop.served.requests == []
    assert listing(shop.project.root, big.parent) == before


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("models", id="the root"),
        pytest.param("models/others", id="into the root"),
        pytest.param("models/.civsync/trash", id="into the control folder"),
        pytest.param("", id="above the root"),
        pytest.param("/", id="everything"),
    ],
)
def test_no_link_may_lead_back_to_the_root(shop: Shop, big: Path, target: str) -> None:
    shop.locked(*shop.offer(KIB))
    place = shop.project.folder / target
    place.mkdir(parents=True, exist_ok=True)
    _relink(shop.project.root, place)
    ended = sync(shop, "--follow-links", f"loras={place}")
    assert (ended.status, ended.error["code"]) == (8, "link-unusable")


@pytest.mark.parametrize(
    "second", ["loras/deep={big}/deep", "others={big}", "others={big}/deep", "others={above}"]
)
def test_declared_directories_lie_apart(shop: Shop, big: Path, second: str) -> None:
    shop.locked(*shop.offer(KIB))
    (big / "deep").mkdir()
    text = second.format(big=big, above=big.parent)
    at, _, target = text.partition("=")
    if not (shop.project.root / at).exists():
        (shop.project.root / at).symlink_to(target)
    ended = sync(shop, "--follow-links", f"loras={big}", "--follow-links", text)
    assert ended.status == 8
    assert ended.error["code"] in ("link-unusable", "symlinked-directory")


def test_a_link_that_is_declared_as_a_mounted_disk_is_refused(shop: Shop, big: Path) -> None:
    shop.locked(*shop.offer(KIB))
    ended = sync(shop, "--follow-links", "loras")
    assert ended.error["code"] == "link-unusable"
    assert "DIR=TARGET" in ended.error["message"]


def test_a_link_below_a_declared_directory_is_as_undeclared_as_any(shop: Shop, big: Path) -> None:
    declare(shop, big)
    models = shop.offer(KIB)
    (big.parent / "other").mkdir()
    (big / "deep").symlink_to(big.parent / "other")
    shop.want(*models, directory="loras/deep")
    assert sync(shop).codes == {"m0.safetensors": "symlinked-directory"}
    assert os.listdir(big.parent / "other") == []


@pytest.mark.parametrize("words", [("sync", "--allow-prune", "9"), ("status",), ("verify",)])
def test_a_directory_that_vanished_is_refused_and_nothing_is_pruned(
    shop: Shop, big: Path, words: tuple[str, ...]
) -> None:
    declare(shop, big)
    one, _ = shop.stocked(KIB, KIB)
    shop.locked(one)
    receipt = (shop.control / "receipt.json").read_bytes()
    away = big.rename(big.parent / "unplugged")
    for there, code in ((False, "link-unusable"), (True, "root-marker-missing")):
        if there:
            big.mkdir()
        ran = shop.project.call(*words)
        assert (ran.status, f"[{code}]" in ran.err) == (8, True), ran.err
    assert os.listdir(big) == []
    assert (shop.control / "receipt.json").read_bytes() == receipt
    big.rmdir()
    away.rename(big)
    assert sync(shop).done == {"retired": 1}


def test_an_emptied_directory_is_begun_anew_on_the_users_word(shop: Shop, big: Path) -> None:
    declare(shop, big)
    shop.stocked(KIB)
    shutil.rmtree(big)
    big.mkdir()
    assert sync(shop, "--new-root").done == {"fetched": 1}
    assert sync(shop).done == {}


def test_a_forgotten_declaration_gives_nothing_up(shop: Shop, big: Path) -> None:
    models = shop.offer(KIB, KIB)
    shop.want(*models)
    assert sync(shop, "--follow-links", f"loras={big}").done == {"fetched": 2}
    shop.want(models[0])
    receipt = (shop.control / "receipt.json").read_bytes()
    for _ in range(2):
        ended = sync(shop)
        assert (ended.status, ended.error["code"]) == (8, "undeclared-disk")
        assert (shop.control / "receipt.json").read_bytes() == receipt
        if (shop.project.root / "loras").is_symlink():
            _plain_directory(shop.project.root, big)
    (shop.project.root / "loras").rmdir()
    (shop.project.root / "loras").symlink_to(big)
    assert sync(shop, "--follow-links", f"loras={big}").done == {"retired": 1}


def test_two_roots_do_not_share_a_directory(shop: Shop, big: Path) -> None:
    declare(shop, big)
    shop.stocked(KIB)
    other = shop.project.folder / "other"
    other.mkdir()
    (other / "loras").symlink_to(big)
    ended = sync(shop, "--root", str(other))
    assert (ended.status, ended.error["code"]) == (8, "link-unusable")
    assert "belongs to another root" in ended.error["message"]
    assert not (other / ".civsync").exists()


@pytest.mark.parametrize("name", ["annex.json", "annexes.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 9}', "x" * 2_000_000])
def test_a_damaged_marker_is_told_and_nothing_is_done(
    shop: Shop, big: Path, name: str, text: str
) -> None:
    declare(shop, big)
    one, _ = shop.stocked(KIB, KIB)
    shop.want(one)
    (marker,) = (*big.glob(f".civsync/{name}"), *shop.control.glob(name))
    marker.write_text(text)
    ended = sync(shop)
    assert (ended.status, ended.error["code"]) == (8, "state-damaged")
    assert len(visible(big)) == 2


# --- while it runs ---------------------------------------------------------------------


def test_a_link_that_is_turned_elsewhere_in_the_middle_is_not_followed(
    shop: Shop, big: Path
) -> None:
    declare(shop, big)
    shop.locked(*shop.offer(200 * KIB))
    other = big.parent / "other"
    other.mkdir()
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=20 * KIB), origin="storage"))
    with shop.project.start("sync", "--json") as running:
        shop.served.wait_until_asked(origin="storage")
        _relink(shop.project.root, other)
        release.set()
        out, said = running.communicate(timeout=30)
    assert running.returncode == 8, said
    end = json.loads(out.splitlines()[-1])
    assert [each["error"]["code"] for each in end["failed"]] == ["link-unusable"]
    assert (os.listdir(other), visible(big)) == ([], [])
    _relink(shop.project.root, big)
    shop.served.reset_counts()
    assert sync(shop).status == 0
    assert shop.ranges == []
    assert visible(big) == ["m0.safetensors"]


def test_a_file_that_goes_where_a_link_was_put_in_the_middle_does_not_leave_the_directory(
    shop: Shop, big: Path
) -> None:
    declare(shop, big)
    (model,) = shop.offer(200 * KIB)
    shop.want(model, directory="loras/deep")
    assert shop.project.call("lock").status == 0
    shop.served.reset_counts()
    other = big.parent / "other"
    other.mkdir()
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=20 * KIB), origin="storage"))
    with shop.project.start("sync", "--json") as running:
        shop.served.wait_until_asked(origin="storage")
        (big / "deep").symlink_to(other)
        release.set()
        out, _ = running.communicate(timeout=30)
    end = json.loads(out.splitlines()[-1])
    assert [each["error"]["code"] for each in end["failed"]] == ["symlinked-directory"]
    assert os.listdir(other) == []
