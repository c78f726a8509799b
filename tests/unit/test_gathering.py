"""What of a folder is looked at as a model, and what is passed over, with the reason."""

import os
from pathlib import Path

import pytest

from civsync.decide.identify import is_model_name
from civsync.disk.beneath import Beneath
from civsync.disk.folder import HAS_DIR_FD
from civsync.disk.gathering import Gathered, gather

WAYS = [
    pytest.param(
        False,
        id="descriptors",
        marks=pytest.mark.skipif(not HAS_DIR_FD, reason="this system has no such calls"),
    ),
    pytest.param(True, id="plain paths"),
]


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def looked(root: Path, *, plain: bool = False) -> Gathered:
    return gather(Beneath(str(root), plain=plain), is_model_name)


def codes(gathered: Gathered) -> dict[str, str]:
    return {each.path: each.code for each in gathered.passed}


@pytest.mark.parametrize("plain", WAYS)
def test_models_are_found_at_any_depth_and_sorted(tmp_path: Path, plain: bool) -> None:
    put(tmp_path, "b/c/d.safetensors", "a.GGUF", "b/z.pt")
    gathered = looked(tmp_path, plain=plain)
    assert dict(gathered.sizes) == {"a.GGUF": 6, "b/c/d.safetensors": 17, "b/z.pt": 6}
    assert list(gathered.sizes) == ["a.GGUF", "b/c/d.safetensors", "b/z.pt"]


def test_sidecars_are_counted_and_what_is_hidden_is_no_news(tmp_path: Path) -> None:
    put(tmp_path, "a.pt", "a.civitai.info", "a.preview.png", "sub/a.json")
    put(tmp_path, ".hidden.pt", ".civsync/parts/x.pt", ".git/objects/a.bin", "b/.cache/c.pt")
    gathered = looked(tmp_path)
    assert (list(gathered.sizes), gathered.passed, gathered.ignored) == (["a.pt"], (), 3)


def test_what_belongs_to_programs_is_left_to_them(tmp_path: Path) -> None:
    put(tmp_path, "models/a.pt", "venv/pyvenv.cfg", "venv/lib/torch/x.bin")
    put(tmp_path, "lib/site-packages/t.pt", "web/node_modules/y.zip", "c/__pycache__/z.bin")
    assert list(looked(tmp_path).sizes) == ["models/a.pt"]


@pytest.mark.parametrize("plain", WAYS)
def test_links_are_told_and_not_followed(tmp_path: Path, plain: bool) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "a.pt")
    put(outside, "b.pt")
    (root / "link.pt").symlink_to("a.pt")
    (root / "dangling.pt").symlink_to("nowhere")
    (root / "folder").symlink_to(outside)
    (root / "picture.png").symlink_to("a.pt")
    (root / "circle").symlink_to(root)
    gathered = looked(root, plain=plain)
    assert list(gathered.sizes) == ["a.pt"]
    links = ("circle", "dangling.pt", "folder", "link.pt")
    assert codes(gathered) == dict.fromkeys(links, "symlink")
    assert gathered.ignored == 1


def test_of_hard_links_the_first_by_path_counts(tmp_path: Path) -> None:
    put(tmp_path, "b/x.pt")
    (tmp_path / "a.pt").hardlink_to(tmp_path / "b/x.pt")
    gathered = looked(tmp_path)
    assert list(gathered.sizes) == ["a.pt"]
    assert [(each.path, each.reason) for each in gathered.passed] == [
        ("b/x.pt", "the same file as a.pt")
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_no_lock_can_hold_are_told(tmp_path: Path) -> None:
    put(tmp_path, "ok.pt", "what?.pt", "aux.pt", "end /x.pt", "x\n.pt", "a:b/c.pt")
    (tmp_path / os.fsdecode(b"\xff.pt")).write_bytes(b"x")
    gathered = looked(tmp_path)
    assert list(gathered.sizes) == ["ok.pt"]
    assert set(codes(gathered).values()) == {"unsafe-name"}
    assert len(gathered.passed) == 6
    assert all(each.path.encode() for each in gathered.passed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_no_model_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pt")
    assert codes(looked(tmp_path)) == {"a.pt": "special"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path, "a.pt", "closed/b.pt")
    (tmp_path / "closed").chmod(0)
    try:
        gathered = looked(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert list(gathered.sizes) == ["a.pt"]
    assert codes(gathered) == {"closed": "unreadable"}
