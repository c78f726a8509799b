"""`civsync add`, `remove`, `hold` and `unhold`: what they change, and what they leave as it is."""

import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.faults import Answer, Fault, Stall
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry
from support.cli import Project, Ran
from support.published import faults
from support.small_disks import small_disk

LANTERN, HARBOR, THEATRE, TERN, HANDS = 1204385, 843127, 1133590, 1387615, 621540
EMBEDDING = 355418
PAGE = "https://civitai.com/models"

MANIFEST = f"""\
# ours
version: 1

models:   # what we use
  # the base
  - {PAGE}/{HARBOR}  # photos

  - model: {THEATRE}
    version: 1198002  # the old one
# the end
"""


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    made = Project(tmp_path / "project", served.api_url)
    made.manifest.write_text(MANIFEST, encoding="utf-8")
    return made


def well(project: Project, *words: str) -> Ran:
    """Run a command, which must go well."""
    ran = project.call(*words)
    assert ran.status == 0, ran.err
    return ran


def text(project: Project) -> str:
    return project.manifest.read_text(encoding="utf-8")


def documents(project: Project) -> tuple[bytes | None, bytes | None]:
    """The manifest and the lock, byte for byte."""
    paths = (project.manifest, project.lock)
    first, second = (path.read_bytes() if path.exists() else None for path in paths)
    return first, second


# --- adding -------------------------------------------------------------------------------


def test_what_is_added_is_listed_locked_and_downloaded(project: Project) -> None:
    ran = well(project, "add", f"{PAGE}/{LANTERN}/lantern-mix", f"{PAGE}/{TERN}")
    assert text(project) == MANIFEST.replace(
        "# the end", f"  - {PAGE}/{LANTERN}/lantern-mix\n  - {PAGE}/{TERN}\n# the end"
    )
    assert "Added 2 entries to civsync.yaml" in ran.err
    assert len(project.files()) == 4
    well(project, "lock", "--check")
    assert well(project, "sync").err == "4 files in place, nothing to do\n"


def test_the_flags_of_an_entry_become_its_keys(project: Project) -> None:
    words = ["--version", "newest", "--file", "vae", "--file", "*.yaml", "--directory", "x/{type}"]
    project.write(f"model: {THEATRE}")
    before = text(project)
    well(project, "add", "--model", str(LANTERN), "--group", "a", "--group", "a", "--no-sync",
         "--file", "model", "--version", "v3.0", "--directory", "x/{type}")  # fmt: skip
    assert text(project) == before + (
        f"  - model: {LANTERN}\n    version: v3.0\n    groups: [a]\n    files: [{{type: Model}}]\n"
        '    directory: "x/{type}"\n'
    )
    assert project.files() == {}
    failed = project.call("add", "--model", str(HARBOR), *words)
    assert "*.yaml" in failed.err
    assert failed.status == 65


def test_a_group_that_an_entry_is_added_to_is_downloaded(project: Project) -> None:
    well(project, "add", f"{PAGE}/{LANTERN}", "--group", "film")
    assert any("lantern" in path for path in project.files())
    assert well(project, "sync").status == 0
    assert any("lantern" in path for path in project.files())


def test_a_version_id_alone_is_enough(project: Project) -> None:
    project.write()
    well(project, "add", "--version", "1276310", "--no-sync")
    assert text(project).endswith("models:\n  - version: 1276310\n")


def test_somebodys_key_in_a_pasted_link_stays_out_of_the_manifest(project: Project) -> None:
    link = "https://civitai.com/api/download/models/1276310?token=f00dfeed00&fileId={}"
    file = demo_registry().models[THEATRE].versions[0].files[0].id
    ran = well(project, "add", link.format(file), "--no-sync")
    assert "carries a key" in ran.err
    assert "f00dfeed00" not in text(project) + ran.err
    assert f"/api/download/models/1276310?fileId={file}" in text(project)


def test_a_manifest_that_is_a_link_stays_one_and_keeps_its_permissions(
    project: Project, tmp_path: Path
) -> None:
    real = tmp_path / "shared.yaml"
    project.manifest.rename(real)
    real.chmod(0o640)
    project.manifest.symlink_to(real)
    well(project, "add", f"{PAGE}/{LANTERN}", "--no-sync")
    assert project.manifest.is_symlink()
    assert f"{PAGE}/{LANTERN}" in real.read_text(encoding="utf-8")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "unknown model": ([f"{PAGE}/{LANTERN}", f"{PAGE}/77"], 65, f"error: {PAGE}/77: "),
    "unknown version": ([f"{PAGE}/{LANTERN}?modelVersionId=5"], 65, "has no version 5"),
    "policy": (["--model", str(EMBEDDING)], 65, f"error: --model {EMBEDDING}: "),
    "there already": ([f"civitai.com/models/{HARBOR}"], 65, "in civsync.yaml:6:5"),
    "the version is there": (["--version", "1198002"], 65, "in civsync.yaml:8:5"),
    "twice": ([f"{PAGE}/{TERN}", "--model", str(TERN)], 65, f"by {PAGE}/{TERN}"),
    "bare number": (["4384"], 65, "Write --model 4384 for the page"),
    "no link": (["https://example.com/models/1"], 65, "neither a link to Civitai nor an AIR"),
    "slip in a link": ([f"{PAGE}/{TERN}?type=Modl"], 65, "Did you mean"),
    "two versions": ([f"{PAGE}/1?modelVersionId=2", "--version", "3"], 64, "the link is to"),
    "one version of two": ([f"{PAGE}/1", f"{PAGE}/2", "--version", "3"], 64, "one by one"),
    "nothing": ([], 64, "nothing is named that could be added"),
    "a name alone": (["--version", "newest"], 64, "nothing is named that could be added"),
    "file type": ([f"{PAGE}/{TERN}", "--file", "Modell"], 64, "Did you mean Model?"),
    "model 0": (["--model", "0"], 65, "`model` must be at least 1"),
    "no version": ([f"{PAGE}/{TERN}", "--version", " "], 65, "`version` is empty"),
    "half a character": ([f"{PAGE}/{TERN}", "--directory", "\udc80"], 65, "error: "),
    "bad group": ([f"{PAGE}/{TERN}", "--group", "-x"], 65, "`groups` must be letters"),
    "files twice": ([f"{PAGE}/{TERN}?type=Model", "--file", "VAE"], 65, "names files too"),
    "directory": ([f"{PAGE}/{TERN}", "--directory", "../up"], 65, "would leave the root"),
    "not printable": ([f"{PAGE}/\x1b[2J"], 65, "\\x1b"),
}


@pytest.mark.fault("4.5/no-text", "lone surrogate")
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_refused_addition_changes_nothing(
    project: Project, case: tuple[list[str], int, str]
) -> None:
    words, status, said = case
    before = documents(project)
    ran = project.call("add", *words)
    assert (ran.status, said in ran.err) == (status, True), ran.err
    assert "\x1b" not in ran.err
    assert documents(project) == before


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "no lock yet"])
def test_an_addition_that_civitai_refuses_changes_nothing(
    project: Project, served: Served, *, locked: bool
) -> None:
    if locked:
        well(project, "lock")
    before = documents(project)
    served.faults.add(Fault(does=Answer(401), origin="api"))
    ran = project.call("add", f"{PAGE}/{LANTERN}")
    assert ran.status != 0
    assert documents(project) == before


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupted_addition_changes_nothing(project: Project, served: Served) -> None:
    well(project, "lock")
    before = documents(project)
    released = threading.Event()
    served.reset_counts()
    served.faults.add(Fault(does=Stall(released), origin="api"))
    try:
        with project.start("add", f"{PAGE}/{LANTERN}") as running:
            served.wait_until_asked(origin="api")
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=20)
    finally:
        released.set()
    assert (running.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert documents(project) == before


def test_a_lock_that_cannot_be_written_leaves_the_manifest_as_it_was(project: Project) -> None:
    before = documents(project)
    lock = project.folder / "nowhere" / "civsync.lock"
    ran = project.call(
        "add", f"{PAGE}/{LANTERN}", "--manifest", str(project.manifest), "--lock", str(lock)
    )
    assert (ran.status, documents(project)) == (1, before), ran.err
    assert os.listdir(project.folder) == ["civsync.yaml"]


def test_a_full_disk_leaves_both_as_they_were(tmp_path: Path, served: Served) -> None:
    with small_disk(tmp_path / "disk", "size=256k"):
        project = Project(tmp_path / "disk", served.api_url)
        project.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
        project.manifest.write_text(MANIFEST, encoding="utf-8")
        well(project, "lock")
        before = documents(project)
        free = os.statvfs(project.folder)
        # Room for the new manifest, and not for the new lock beside it.
        room = free.f_bavail * free.f_frsize - 4096
        (project.folder / "filler").write_bytes(bytes(room))
        ran = project.call("add", f"{PAGE}/{LANTERN}", f"{PAGE}/{TERN}", "--no-sync")
        assert (ran.status, documents(project)) == (8, before), ran.err
        assert "no-space" in ran.err
        assert sorted(os.listdir(project.folder)) == ["civsync.lock", "civsync.yaml", "filler"]


def test_an_edit_by_somebody_else_in_the_meantime_is_kept(project: Project, served: Served) -> None:
    released = threading.Event()
    served.faults.add(Fault(does=Stall(released), origin="api", times=1))
    with project.start("add", f"{PAGE}/{LANTERN}") as running:
        served.wait_until_asked(origin="api")
        project.manifest.write_text(MANIFEST + "# more\n", encoding="utf-8")
        released.set()
        _, said = running.communicate(timeout=20)
    assert running.returncode == 64
    assert "changed by somebody else" in said
    assert (text(project), project.lock.exists()) == (MANIFEST + "# more\n", False)


def test_without_a_manifest_the_way_to_one_is_shown(project: Project) -> None:
    project.manifest.unlink()
    ran = project.call("add", f"{PAGE}/{LANTERN}")
    assert (ran.status, "civsync init" in ran.err) == (65, True)


def test_what_cannot_be_edited_safely_is_printed_to_be_pasted(project: Project) -> None:
    project.manifest.write_text("version: 1\nsearches: []\n...\n", encoding="utf-8")
    before = documents(project)
    ran = project.call("add", f"{PAGE}/{LANTERN}")
    assert (ran.status, ran.out) == (8, f"  - {PAGE}/{LANTERN}\n")
    assert "add these lines to the end of `models:`" in ran.err
    told = project.call("add", f"{PAGE}/{LANTERN}", "--json").json
    assert told["error"]["data"]["lines"] == f"  - {PAGE}/{LANTERN}"
    assert documents(project) == before


# --- removing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        f"{THEATRE}@1198002",
        str(THEATRE),
        f"{PAGE}/{THEATRE}",
        f"{PAGE}/{THEATRE}?modelVersionId=1198002",
        "paper theatre style",
    ],
    ids=["key", "model id", "link", "link to the version", "name"],
)
def test_an_entry_is_removed_by_any_of_its_names(project: Project, name: str) -> None:
    well(project, "sync")
    assert len(project.files()) == 2
    ran = well(project, "remove", name)
    start = MANIFEST.index(f"  - model: {THEATRE}")
    assert text(project) == MANIFEST[:start] + "# the end\n"
    assert "Removed 1 entry from civsync.yaml" in ran.err
    assert len(project.files()) == 1
    well(project, "lock", "--check")


def test_the_files_of_a_removed_entry_stay_with_no_sync(project: Project) -> None:
    well(project, "sync")
    well(project, "remove", str(THEATRE), "--no-sync")
    assert len(project.files()) == 2
    well(project, "lock", "--check")


@pytest.mark.fault("4.8/zero", "empty manifest")
def test_removing_everything_stops_at_the_prune_guard(project: Project) -> None:
    well(project, "sync")
    ran = project.call("remove", str(THEATRE), str(HARBOR))
    assert (ran.status, "prune-guard" in ran.err) == (8, True)
    assert len(project.files()) == 2
    assert text(project) == ("# ours\nversion: 1\n\nmodels: []   # what we use\n\n# the end\n")


def test_a_name_of_several_entries_lists_them(project: Project) -> None:
    project.write(f"model: {LANTERN}", f"{{model: {LANTERN}, version: 1401876}}")
    before = documents(project)
    ran = project.call("remove", str(LANTERN))
    assert ran.status == 64
    assert f"{LANTERN}@latest (line 3), {LANTERN}@1401876 (line 4)" in ran.err
    assert documents(project) == before
    assert project.call("hold", "nobody").status == 64


def test_an_included_entry_is_edited_where_it_stands(project: Project) -> None:
    other = project.folder / "common" / "base.yaml"
    other.parent.mkdir()
    other.write_text(f"version: 1\nmodels:\n  - model: {LANTERN}\n", encoding="utf-8")
    project.write(f"model: {HARBOR}", head="include: [common/base.yaml]\n")
    before = documents(project)
    for words in (["remove", str(LANTERN)], ["hold", str(LANTERN)], ["unhold", str(LANTERN)]):
        ran = project.call(*words)
        assert (ran.status, "common/base.yaml" in ran.err) == (64, True)
    assert documents(project) == before
    ran = project.call("add", f"{PAGE}/{LANTERN}")
    assert (ran.status, "in common/base.yaml:3:5" in ran.err) == (65, True)


def test_removing_asks_civitai_nothing(project: Project, served: Served) -> None:
    well(project, "sync")
    served.reset_counts()
    well(project, "remove", str(THEATRE))
    assert served.requests == []
    project.lock.unlink()
    project.manifest.write_text(MANIFEST, encoding="utf-8")
    well(project, "remove", str(THEATRE), "--no-sync")
    assert (served.requests, project.lock.exists()) == ([], False)


def test_a_search_is_removed_and_held_as_any_entry(project: Project) -> None:
    project.manifest.write_text(
        f"version: 1\nmodels:\n- model: {HARBOR}\n- creator: someone\n"
        "searches:\n- tag: style\n  limit: 3\n- {tag: photo}\n",
        encoding="utf-8",
    )
    well(project, "hold", "?tag=style", "enough")
    assert "- tag: style\n  limit: 3\n  hold: enough\n- {tag" in text(project)
    well(project, "remove", "?tag=photo", "?tag=style", "?username=someone", "--no-sync")
    assert text(project) == f"version: 1\nmodels:\n- model: {HARBOR}\nsearches: []\n"


# --- holding ------------------------------------------------------------------------------


def test_what_is_held_is_not_upgraded_until_it_is_let_go(project: Project, served: Served) -> None:
    project.write(f"{PAGE}/{LANTERN}")
    well(project, "lock")
    lock = project.lock.read_bytes()
    ran = well(project, "hold", "lantern mix", "V4", "is", "worse")
    assert ran.err == f"{LANTERN}@latest is held: V4 is worse\n"
    assert text(project).endswith(f'  - model: {PAGE}/{LANTERN}\n    hold: "V4 is worse"\n')
    well(project, "lock", "--check")
    served.registry.models[LANTERN].add_version("v5", at=0).add_file("v5.safetensors")
    well(project, "lock", "-U")
    assert project.lock.read_bytes() == lock
    assert well(project, "unhold", f"{PAGE}/{LANTERN}").err.endswith("is no longer held\n")
    assert project.lock.read_bytes() == lock
    well(project, "lock", "-P", "lantern mix")
    assert b"v5.safetensors" in project.lock.read_bytes()


def test_holding_again_changes_the_reason_and_nothing_else(project: Project) -> None:
    assert well(project, "hold", str(HARBOR)).err.endswith("is held\n")
    assert f"- model: {PAGE}/{HARBOR}  # photos\n    hold: true\n" in text(project)
    well(project, "hold", str(HARBOR), "no")
    assert '    hold: "no"\n' in text(project)
    once = text(project)
    assert well(project, "hold", str(HARBOR), "no").err.endswith("is already held: no\n")
    assert text(project) == once
    well(project, "unhold", str(HARBOR))
    assert text(project) == MANIFEST.replace(f"- {PAGE}/{HARBOR}", f"- model: {PAGE}/{HARBOR}")
    assert well(project, "unhold", str(HARBOR)).err.endswith("is not held\n")


# --- data ---------------------------------------------------------------------------------


def test_every_edit_is_told_as_data(project: Project) -> None:
    link = f"{PAGE}/{LANTERN}"
    key = f"{LANTERN}@latest"
    for words, entries in (
        (["add", link, "--no-sync"], [key]),
        (["hold", str(LANTERN)], [key]),
        (["unhold", str(LANTERN)], [key]),
        (["remove", link, "--no-sync"], [key]),
    ):
        document = well(project, *words, "--json").json
        assert faults(document) == []
        assert (document["command"], document["entries"]) == (words[0], entries)
        assert document["written"] is True


def test_a_sync_follows_as_events(project: Project) -> None:
    first, *events = well(project, "add", f"{PAGE}/{LANTERN}", "--json").events
    assert (first["schema"], first["changes"][-1]["entry"]) == ("civsync.edit", f"{LANTERN}@latest")
    assert [each["schema"] for each in events] == ["civsync.event"] * len(events)
    assert events[-1]["event"] == "finished"


def test_failures_are_told_as_data(project: Project) -> None:
    ran = project.call("add", f"{PAGE}/77", f"{PAGE}/{LANTERN}", "--json")
    assert faults(ran.json) == []
    assert [error["code"] for error in ran.json["errors"]] == ["unknown-model"]
    assert (ran.json["written"], ran.json["entries"]) == (False, [])


def test_ends_of_lines_and_a_byte_order_mark_stay_as_they_are(project: Project) -> None:
    windows = b"\xef\xbb\xbf" + MANIFEST.replace("\n", "\r\n").encode()
    project.manifest.write_bytes(windows)
    assert project.run("add", f"{PAGE}/{LANTERN}", "--no-sync").status == 0
    new = f"  - {PAGE}/{LANTERN}\r\n# the end"
    assert project.manifest.read_bytes() == windows.replace(b"# the end", new.encode())
    assert project.run("remove", str(LANTERN), "--no-sync").status == 0
    assert project.manifest.read_bytes() == windows


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("harborphoto", "Harbor Photo"),
        ("harbor", "Harbor Photo"),
        ("843127@latst", "843127@latest"),
    ],
    ids=["letters", "a part", "a key"],
)
def test_a_name_that_is_nearly_one_is_offered(project: Project, name: str, meant: str) -> None:
    well(project, "lock")
    ran = project.call("hold", name)

    assert ran.status == 64
    assert f"no entry is called '{name}'" in ran.err
    assert f"hint: Did you mean `{meant}`?" in ran.err


def test_a_pickle_is_added_if_that_is_said_where_it_is_added(project: Project) -> None:
    refused = project.call("add", f"{PAGE}/{EMBEDDING}", "--no-sync")
    assert (refused.status, text(project)) == (65, MANIFEST)

    well(project, "add", f"{PAGE}/{EMBEDDING}", "--allow-pickle", "--no-sync")

    added = f"  - model: {PAGE}/{EMBEDDING}\n    allow_pickle: true\n"
    assert text(project) == MANIFEST.replace("# the end", f"{added}# the end")


def test_what_is_added_says_which_newer_version_is_still_sold(project: Project) -> None:
    ran = well(project, "add", f"{PAGE}/1423008", "--no-sync")

    assert "+ Paper Kites  v1.0 " in ran.err
    assert "v2.0 early is left for later: early access until 2099-01-01" in ran.err
