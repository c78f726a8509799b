"""`civsync init --from`: a folder of models that was there before, described as it lies."""

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.artifacts import plain_pickle, safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Answer, Fault, Stall
from civsync.demo.registry import File, Model, PaidAccess
from civsync.demo.world import demo_registry
from civsync.documents.manifest import read_manifest
from support.cli import Project, Ran
from support.published import faults
from support.shop import Shop, listing, open_shop

FOLDERS = {
    "Checkpoint": "checkpoints/photo",
    "Controlnet": "controlnet",
    "LORA": "loras",
    "LoCon": "loras/locon",
    "TextualInversion": "embeddings",
    "UNet": "unet",
    "Upscaler": "upscale_models",
    "VAE": "vae",
    "Workflows": "workflows",
}
DEMO_FILES = 21


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as opened:
        opened.project.root.mkdir()
        yield opened


def put(shop: Shop, path: str, content: File | bytes) -> Path:
    """Put a file below the root, as a person would have."""
    place = shop.project.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content if isinstance(content, bytes) else read(content.body))
    return place


def offer(shop: Shop, name: str, **facts: Any) -> File:  # noqa: ANN401 - fields of File
    """Let upstream have a LORA with one small file, named after its model."""
    model = shop.registry.add_model(name.partition(".")[0])
    return model.add_version("v1").add_file(name, safetensors(name, 1000), **facts)


def init(shop: Shop, *words: str) -> Any:  # noqa: ANN401 - a document
    """Describe the root, which must go well, and return what was said of it."""
    ran = shop.project.call("init", "--from", "models", "--json", *words)
    assert ran.status == 0, ran.err
    assert faults(ran.json) == []
    return ran.json


def paths(items: list[dict[str, Any]]) -> list[str]:
    return [item["path"] for item in items]


def codes(items: list[dict[str, Any]]) -> dict[str, str]:
    return {item["path"]: item["code"] for item in items}


def all_in_place(project: Project, *words: str) -> int:
    """Check that nothing is to do, offline, and return how many files are in place."""
    ran = project.call("status", "--json", *words, env={"CIVSYNC_API_URL": "http://127.0.0.1:1"})
    assert ran.status == 0, ran.err
    assert ran.json["lock_stale"] == []
    actions = ran.json["actions"]
    assert {each["action"] for each in actions} <= {"satisfied"}
    return len(actions)


def nothing_written(shop: Shop) -> bool:
    there = {path.name for path in shop.project.folder.iterdir()}
    return there <= {"models", ".home"} and not shop.control.exists()


# --- the whole ----------------------------------------------------------------------------


def test_a_library_is_described_and_not_a_file_of_it_is_touched(tmp_path: Path) -> None:
    with open_shop(tmp_path / "project", demo_registry()) as shop:
        for model, _, file in shop.registry.every_file():
            name = file.name.strip("<>").replace(">", "")
            folder = FOLDERS[model.type]
            while (shop.project.root / folder / name).exists():
                name = f"{name.rpartition('.')[0]}~{file.id}.{name.rpartition('.')[2]}"
            put(shop, f"{folder}/{name}", file)
        before = listing(shop.project.root)
        ran = shop.project.run("init", "--from", "models")
        assert ran.status == 0, ran.err
        after = listing(shop.project.root)
        control = str(shop.control)
        kept = {path: each for path, each in after.items() if not path.startswith(control)}
        root = str(shop.project.root)
        assert {**kept, root: ()} == {**before, root: ()}
        assert shop.served.count(origin="storage") == 0
        assert f"{DEMO_FILES} files" in ran.err
        assert all_in_place(shop.project) == DEMO_FILES
        synced = shop.project.run("sync")
        assert (synced.status, "nothing to do" in synced.err) == (0, True)
        assert shop.served.count(origin="storage") == 0


def test_every_file_is_described_unknown_skipped_or_refused(shop: Shop) -> None:
    known = offer(shop, "known.safetensors")
    spoiled = offer(shop, "spoiled.safetensors", virus_scan="Danger")
    put(shop, "loras/known.safetensors", known)
    put(shop, "loras/known (2).safetensors", known)
    put(shop, "loras/spoiled.safetensors", spoiled)
    put(shop, "loras/own.safetensors", b"trained at home")
    put(shop, "loras/own.civitai.info", b"{}")
    (shop.project.root / "loras/linked.safetensors").symlink_to("own.safetensors")
    said = init(shop)
    assert paths(said["described"]) == ["loras/known (2).safetensors"]
    assert codes(said["unknown"]) == {"loras/own.safetensors": "unknown-hash"}
    assert codes(said["skipped"]) == {
        "loras/known.safetensors": "copy",
        "loras/linked.safetensors": "symlink",
    }
    assert codes(said["refused"]) == {"loras/spoiled.safetensors": "scan-missing"}
    assert (said["ignored"], said["entries"], said["layout"]) == (1, 1, "comfyui")
    (described,) = said["described"]
    assert described["sha256"] == known.sha256.lower()
    assert described["file_id"] == known.id
    assert all_in_place(shop.project) == 1


def test_the_text_names_what_is_left_out_and_why(shop: Shop) -> None:
    put(shop, "loras/own\x1b[31m.pt", b"trained at home")
    put(shop, "loras/own.safetensors", b"trained at home, too")
    ran = shop.project.call("init", "--from", "models")
    assert ran.status == 0
    assert "unknown    loras/own.safetensors: Civitai has no file with this SHA-256" in ran.out
    assert "1 not known to Civitai, 1 skipped" in ran.err
    assert "\x1b" not in ran.out + ran.err


def test_names_of_models_stand_in_comments_and_cannot_leave_them(shop: Shop) -> None:
    file = offer(shop, "x.safetensors")
    (model,) = shop.registry.models.values()
    model.name = "Nice\n  - model: 6\n\x1b[31m\u202e# Model"
    put(shop, "loras/x.safetensors", file)
    init(shop)
    text = shop.project.manifest.read_text("utf-8")
    assert "  # Nice - model: 6 [31m # Model, v1\n" in text
    (entry,) = read_manifest(text).entries
    assert entry.request.model_id == model.id


def test_pickles_are_allowed_one_by_one_and_warned_of(shop: Shop) -> None:
    version = shop.registry.add_model("hands", type="TextualInversion").add_version("v1")
    put(shop, "embeddings/hands.pt", version.add_file("hands.pt", plain_pickle("h", 500)))
    put(shop, "loras/a.safetensors", offer(shop, "a.safetensors"))
    ran = shop.project.call("init", "--from", "models")
    assert "1 described file may run code when loaded" in ran.err
    assert shop.project.manifest.read_text("utf-8").count("allow_pickle: true") == 1
    assert all_in_place(shop.project) == 2


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        pytest.param({"mode": "Archived"}, "unknown", id="archived"),
        pytest.param({"status": "Draft"}, "unknown", id="not public"),
        pytest.param({"paid_access": PaidAccess(permanent=True)}, "early-access", id="sold"),
        pytest.param({"pickle_scan": "Pending"}, "scan-missing", id="not scanned yet"),
    ],
)
def test_what_cannot_be_locked_is_left_out_and_the_rest_described(
    shop: Shop, facts: dict[str, Any], code: str
) -> None:
    good = offer(shop, "good.safetensors")
    bad = offer(shop, "bad.safetensors")
    model = list(shop.registry.models.values())[1]
    for name, value in facts.items():
        thing = next(each for each in (bad, model.versions[0], model) if hasattr(each, name))
        setattr(thing, name, value)
    put(shop, "loras/good.safetensors", good)
    put(shop, "loras/bad.safetensors", bad)
    said = init(shop)
    assert paths(said["described"]) == ["loras/good.safetensors"]
    if code == "unknown":
        assert paths(said["unknown"]) == ["loras/bad.safetensors"]
    else:
        assert codes(said["refused"]) == {"loras/bad.safetensors": code}
    assert all_in_place(shop.project) == 1


def test_one_bad_file_of_a_version_does_not_take_the_others_along(shop: Shop) -> None:
    version = shop.registry.add_model("pair").add_version("v1")
    for name, scan in (("a", "Success"), ("b", "Danger"), ("c", "Danger")):
        data = safetensors(name, 900)
        file = version.add_file(f"{name}.safetensors", data, virus_scan=scan)
        put(shop, f"loras/{file.name}", file)
    said = init(shop)
    assert paths(said["described"]) == ["loras/a.safetensors"]
    assert paths(said["refused"]) == ["loras/b.safetensors", "loras/c.safetensors"]
    assert all_in_place(shop.project) == 1


# --- what is remembered, and owned ---------------------------------------------------------


def test_the_next_look_reads_no_file_again(shop: Shop) -> None:
    place = put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    init(shop)
    before = place.stat()
    with place.open("r+b") as file:
        file.write(b"another")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert all_in_place(shop.project) == 1
    assert shop.project.call("verify").status == 5


def test_nothing_is_owned_so_nothing_is_ever_retired(shop: Shop) -> None:
    place = put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    init(shop)
    receipt = json.loads((shop.control / "receipt.json").read_bytes())
    assert not receipt["owned"]
    shop.want(*shop.offer(500))
    assert shop.project.call("sync").status == 0
    assert place.exists()


def test_a_second_time_only_what_is_new_is_read(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    init(shop)
    put(shop, "loras/y.safetensors", offer(shop, "y.safetensors"))
    ran = shop.project.call("init", "--from", "models", "--force")
    assert "Reading 1 file " in ran.err
    assert all_in_place(shop.project) == 2


def test_a_root_that_takes_no_notes_is_described_all_the_same(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    (shop.control / "lock").mkdir(parents=True)
    ran = shop.project.call("init", "--from", "models")
    assert (ran.status, "`civsync status` will read it again" in ran.err) == (0, True)
    assert all_in_place(shop.project) == 1


def test_a_file_in_the_place_of_the_control_folder_is_told_before_anything(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    shop.control.write_bytes(b"in the way")
    ran = shop.project.call("init", "--from", "models")
    assert (ran.status, "Reading" in ran.err, shop.project.manifest.exists()) == (8, False, False)


def test_files_that_civsync_placed_and_nobody_wants_now_are_told(shop: Shop) -> None:
    (model,) = shop.stocked(500)
    model.status = "Draft"
    ran = shop.project.call("init", "--from", "models", "--force")
    assert ran.status == 0, ran.err
    assert "1 file that civsync placed earlier is not described" in ran.err


# --- where the folder lies ------------------------------------------------------------------


def test_a_folder_that_is_the_manifests_own(shop: Shop) -> None:
    for name in ("models/Lora/x.safetensors", "models/Lora/y.safetensors"):
        place = shop.project.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read(offer(shop, place.name).body))
    ran = shop.project.call("init", "--from", ".", "--json")
    assert (ran.json["layout"], ran.json["root_in_manifest"]) == ("a1111", True)
    assert read_manifest(shop.project.manifest.read_bytes()).root == "."
    assert all_in_place(shop.project) == 2


@pytest.mark.parametrize("name", ["elsewhere", "linked", "my $models"])
def test_a_folder_that_a_manifest_cannot_name_needs_a_flag(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    folder = shop.project.folder / name if name == "my $models" else tmp_path / "elsewhere"
    shop.project.root.rename(folder)
    named = folder
    if name == "linked":
        named = shop.project.root
        named.symlink_to(folder)
    ran = shop.project.call("init", "--from", str(named), "--json")
    assert ran.status == 0, ran.err
    assert ran.json["root_in_manifest"] is False
    assert "--root" in ran.err
    assert all_in_place(shop.project, "--root", str(folder)) == 1


def test_the_next_step_that_is_named_is_for_the_folder_that_was_described(
    shop: Shop, tmp_path: Path
) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    folder = tmp_path / "elsewhere"
    shop.project.root.rename(folder)

    ran = shop.project.call("init", "--from", str(folder))

    assert ran.status == 0, ran.err
    assert f"Next: `civsync status --root {shlex.quote(str(folder))}`." in ran.err


def test_the_same_folder_may_be_said_twice_and_another_one_not(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    ran = shop.project.call("init", "--from", "models", "--root", "other")
    assert (ran.status, nothing_written(shop)) == (64, True)
    assert shop.project.call("init", "--from", "models", "--root", "models").status == 0


# --- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["civsync.yaml", "civsync.lock"])
def test_what_is_there_is_not_overwritten_and_nothing_is_read_for_it(shop: Shop, name: str) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    (shop.project.folder / name).write_text("mine", "utf-8")
    ran = shop.project.call("init", "--from", "models")
    assert (ran.status, "--force" in ran.err, "Reading" in ran.err) == (64, True, False)
    assert (shop.project.folder / name).read_text("utf-8") == "mine"
    assert shop.served.requests == []
    assert shop.project.call("init", "--from", "models", "--force").status == 0
    assert all_in_place(shop.project) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("--from", "nowhere"), "there is no such folder", id="no folder"),
        pytest.param(("--from", "~nobody/x"), "there is no such folder", id="nobody"),
        pytest.param(("--from", "models"), "no file of a model", id="no models"),
        pytest.param(("--from", "models", "urn:x"), "takes no LINKS", id="links, too"),
        pytest.param(("--from", "models", "--jobs", "0"), "--jobs", id="no jobs"),
        pytest.param(
            ("--from", "models", "--manifest", "no/such/civsync.yaml"),
            "cannot be written",
            id="no place for the manifest",
        ),
        pytest.param(
            ("--from", "models", "--lock", "no/such/civsync.lock"),
            "the lock cannot be written",
            id="no place for the lock",
        ),
    ],
)
def test_a_command_line_that_makes_no_sense_writes_nothing(
    shop: Shop, words: tuple[str, ...], told: str
) -> None:
    if told != "no file of a model":
        put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    ran = shop.project.call("init", *words)
    assert (ran.status, told in ran.err) == (64, True)
    assert nothing_written(shop)


@pytest.mark.parametrize("path", ["/api/v1/model-versions/by-hash/ids", "/api/v1/models"])
def test_without_an_answer_nothing_is_written(shop: Shop, path: str) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    later = Answer(429, headers=(("Retry-After", "3600"),))
    shop.served.faults.add(Fault(does=later, origin="api", path=path, times=None))
    ran = shop.project.call("init", "--from", "models")
    assert ran.status == 75
    assert nothing_written(shop)


def init_and_meanwhile(shop: Shop, happens: Callable[[], object]) -> Ran:
    """Run `init`, and let something happen while its first question is open."""
    released = threading.Event()
    shop.served.faults.add(Fault(does=Stall(released), origin="api", path="by-hash"))
    with shop.project.start("init", "--from", "models", "--json") as running:
        try:
            shop.served.wait_until_asked(path_prefix="/api/v1/model-versions/by-hash")
            happens()
        finally:
            released.set()
        out, err = running.communicate(timeout=30)
    return Ran(status=running.returncode, out=out, err=err)


def test_a_file_that_changes_meanwhile_is_not_described(shop: Shop) -> None:
    x, y, _ = (put(shop, f"loras/{n}.safetensors", offer(shop, f"{n}.safetensors")) for n in "xyz")

    def change() -> None:
        x.write_bytes(b"something else")
        y.unlink()

    ran = init_and_meanwhile(shop, change)
    assert ran.status == 0, ran.err
    assert paths(ran.json["described"]) == ["loras/z.safetensors"]
    assert codes(ran.json["skipped"]) == dict.fromkeys(
        ("loras/x.safetensors", "loras/y.safetensors"), "changed"
    )
    assert all_in_place(shop.project) == 1


def test_a_manifest_that_appears_meanwhile_is_kept(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", offer(shop, "x.safetensors"))
    ran = init_and_meanwhile(shop, lambda: shop.project.manifest.write_text("mine", "utf-8"))
    assert ran.status == 64
    assert shop.project.manifest.read_text("utf-8") == "mine"
    assert not shop.project.lock.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_reading_of_a_huge_file_and_nothing_is_written(shop: Shop) -> None:
    put(shop, "loras/x.safetensors", b"")
    os.truncate(shop.project.root / "loras/x.safetensors", 1 << 40)
    with shop.project.start("init", "--from", "models") as running:
        assert running.stderr is not None
        told = running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert "Reading 1 file (1.0 TiB)" in told
    assert running.returncode == 130, err
    assert nothing_written(shop)


# --- size ---------------------------------------------------------------------------------


def many(shop: Shop, count: int) -> None:
    for number in range(count):
        data = b"%08d" % number
        model: Model = shop.registry.add_model(f"model {number}")
        file = model.add_version("v1").add_file(f"file {number}.safetensors", data)
        put(shop, f"loras/{file.name}", file)


def test_a_hundred_versions_are_one_request(shop: Shop) -> None:
    many(shop, 250)
    assert len(init(shop)["described"]) == 250
    posts = shop.served.count(method="POST")
    batches = shop.served.count(path_prefix="/api/v1/models")
    # Three to find the versions, three in which the resolver looks at their models.
    assert (posts, batches, len(shop.served.requests)) == (1, 6, 7)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3_000, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_many_files_take_little_memory(shop: Shop, count: int) -> None:
    many(shop, count)
    script = (
        "import pathlib, sys\n"
        "from civsync.cli.main import main\n"
        "status = main(['init', '--from', 'models', '--json'])\n"
        "about = pathlib.Path('/proc/self/status')\n"
        "print(about.read_text() if about.exists() else '', file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    # What the kernel counts for children may be the memory of this process.
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=shop.project.folder,
        env=shop.project.environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["described"]) == count
    assert shop.served.count(method="POST") == 1
    assert shop.served.count(path_prefix="/api/v1/models") == count // 50
    assert all_in_place(shop.project) == count
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert peak is None or int(peak[1]) < 300 * 1024, peak


def test_the_locked_hashes_are_those_of_the_files(shop: Shop) -> None:
    many(shop, 5)
    init(shop)
    document = json.loads(shop.project.lock.read_bytes())
    locked = {file["path"]: file["sha256"] for e in document["entries"] for file in e["files"]}
    assert locked == {
        name: hashlib.sha256(data).hexdigest() for name, data in shop.project.files().items()
    }
