"""Which files of Civitai files on disk are, and which entries say where they lie already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from civsync.core.catalog import RemoteModel, Scan
from civsync.core.limits import BATCH_IDS
from civsync.core.names import SafePath
from civsync.core.questions import AskModelsOfVersions, AskOwners
from civsync.core.request import Placement
from civsync.decide.arrange import Arrangement, arrange, detect_layout
from civsync.decide.identify import (
    OWNERS_SEEN,
    Fate,
    Found,
    Identified,
    Left,
    Match,
    identify,
    is_model_name,
)
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_writing import comment_text, write_manifest
from support.factories import (
    Library,
    library,
    remote_file,
    remote_model,
    remote_version,
    sha256_of,
)

SIZE = 1000


def found(path: str, content: int, size: int = SIZE) -> Found:
    return Found(path=SafePath(path), size=size, sha256=sha256_of(content))


def with_owners(shown: Library) -> Library:
    """Let every hash lead to the versions that list it."""
    owners: dict[str, set[tuple[int, int]]] = {}
    for model in shown.models.values():
        for version in model.versions:
            for file in version.files:
                owners.setdefault(file.sha256 or "", set()).add((model.id, version.id))
    return replace(shown, owners={key: tuple(sorted(each)) for key, each in owners.items()})


def identified(shown: Library, *files: Found) -> Identified:
    conversation = identify(files)
    try:
        questions = next(conversation)
        while True:
            questions = conversation.send(tuple(shown.answer(each) for each in questions))
    except StopIteration as end:
        result: Identified = end.value
        return result


def told(left: Sequence[Left]) -> dict[str, tuple[Fate, str]]:
    return {each.path: (each.fate, each.code) for each in left}


# --- identifying --------------------------------------------------------------------------


def test_a_file_is_known_by_its_bytes_whatever_it_is_called() -> None:
    shown = with_owners(library(remote_model(7, [remote_version(70, [remote_file(700)])])))
    result = identified(shown, found("a/my favorite.safetensors", 700), found("b.pt", 1))
    (match,) = result.matches
    assert (match.model.id, match.version.id, match.file.id) == (7, 70, 700)
    assert told(result.left) == {"b.pt": (Fate.UNKNOWN, "unknown-hash")}


def test_of_several_copies_the_first_by_path_is_described() -> None:
    shown = with_owners(library(remote_model(7, [remote_version(70, [remote_file(700)])])))
    copies = [found(name, 700) for name in ("c.safetensors", "b.safetensors", "a.safetensors")]
    result = identified(shown, *copies)
    assert [match.found.path for match in result.matches] == ["a.safetensors"]
    assert told(result.left) == {
        "b.safetensors": (Fate.SKIPPED, "copy"),
        "c.safetensors": (Fate.SKIPPED, "copy"),
    }


SAME = sha256_of(1)


def holder(version_id: int, **facts: object) -> RemoteModel:
    """Return a model with one version that holds the bytes in question."""
    version = {key: facts.pop(key) for key in ("published_at",) if key in facts}
    usage = {key: facts.pop(key) for key in ("usage_control",) if key in facts}
    file = remote_file(version_id * 10, sha256=SAME, **facts)  # type: ignore[arg-type]  # a table gives the facts
    made = remote_version(version_id, [file], **version, **usage)  # type: ignore[arg-type]  # as above
    return remote_model(version_id, [made])


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        pytest.param(holder(5), holder(6), 5, id="the lowest id, if nothing else tells"),
        pytest.param(
            holder(5, published_at="2024-02-02T00:00:00Z"),
            holder(6, published_at="2024-02-01T00:00:00Z"),
            6,
            id="the earliest",
        ),
        pytest.param(
            holder(5, published_at=None), holder(6), 6, id="one with a date before one without"
        ),
        pytest.param(
            holder(5, published_at="2020-01-01T00:00:00Z"),
            holder(6, name="mine.safetensors"),
            6,
            id="the same name beats the date",
        ),
        pytest.param(
            holder(5, name="mine.safetensors", virus_scan=Scan.PENDING),
            holder(6),
            6,
            id="what can be locked beats the name",
        ),
        pytest.param(
            holder(5, usage_control="Generation"), holder(6), 6, id="what may be downloaded"
        ),
        pytest.param(holder(5, size=2000), holder(6), 6, id="a record of the right size"),
    ],
)
def test_of_several_versions_with_the_same_bytes_one_is_chosen_by_rule(
    first: RemoteModel, second: RemoteModel, chosen: int
) -> None:
    for shown in (library(first, second), library(second, first)):
        (match,) = identified(with_owners(shown), found("mine.safetensors", 1)).matches
        assert match.version.id == chosen
        assert match.others == tuple({5, 6} - {chosen})


def test_so_popular_a_file_that_hundreds_have_it_costs_one_batch() -> None:
    models = [holder(number) for number in range(1, 301)]
    shown = with_owners(library(*models))
    (match,) = identified(shown, found("vae.safetensors", 1)).matches
    assert match.version.id == 1
    asked = [each for each in shown.asked if isinstance(each, AskModelsOfVersions)]
    assert [len(each.version_ids) for each in asked] == [OWNERS_SEEN]


def test_ten_thousand_hashes_are_one_question_and_their_versions_batches() -> None:
    models = [remote_model(n, [remote_version(n, [remote_file(n)])]) for n in range(1, 251)]
    shown = with_owners(library(*models))
    result = identified(shown, *(found(f"{n}.safetensors", n) for n in range(1, 251)))
    assert len(result.matches) == 250
    kinds = [type(question) for question in shown.asked]
    assert kinds == [AskOwners] + [AskModelsOfVersions] * -(-250 // BATCH_IDS)


@pytest.mark.parametrize(
    ("shown", "owners", "reason"),
    [
        pytest.param(library(), {SAME: ((7, 70),)}, "does not show any more", id="no version"),
        pytest.param(
            library(remote_model(7, [remote_version(70, [remote_file(9)])])),
            {SAME: ((7, 70),)},
            "does not list it any more",
            id="another file",
        ),
        pytest.param(
            library(remote_model(7, [remote_version(70, [])], mode="Archived")),
            {SAME: ((7, 70),)},
            "archived",
            id="an archived model",
        ),
    ],
)
def test_what_is_not_shown_any_more_counts_as_unknown(
    shown: Library, owners: Mapping[str, tuple[tuple[int, int], ...]], reason: str
) -> None:
    result = identified(replace(shown, owners=owners), found("x.safetensors", 1))
    assert told(result.left) == {"x.safetensors": (Fate.UNKNOWN, "not-shown")}
    assert reason in result.left[0].reason


def test_a_record_of_another_size_is_not_believed() -> None:
    result = identified(with_owners(library(holder(5, size=SIZE + 1))), found("x.pt", 1))
    assert told(result.left) == {"x.pt": (Fate.REFUSED, "size-mismatch")}


def test_nothing_is_asked_about_an_empty_folder() -> None:
    shown = library()
    assert identified(shown) == Identified()
    assert shown.asked == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.safetensors", True),
        ("a.SafeTensors", True),
        ("a.sft", True),
        ("a.ckpt", True),
        ("a.pth", True),
        ("a.gguf", True),
        ("a.onnx", True),
        ("a.zip", True),
        ("a.civitai.info", False),
        ("a.preview.png", False),
        ("a.safetensors.json", False),
        ("safetensors", False),
        ("a.safetensors.part", False),
    ],
)
def test_names_of_models(name: str, is_one: bool) -> None:
    assert is_model_name(name) is is_one


# --- arranging ----------------------------------------------------------------------------


def match(
    path: str, content: int, *, version: int = 0, name: str = "", kind: str = "LORA"
) -> Match:
    """Return a match: by default the only file of a version of its own, under its own name."""
    own = name or path.rpartition("/")[2]
    file = remote_file(content, own)
    made = remote_version(version or content, [file])
    return Match(
        found=found(path, content),
        model=remote_model(1, [made], type=kind),
        version=made,
        file=file,
    )


def placements(arrangement: Arrangement) -> list[tuple[int, Placement]]:
    return [(entry.version.id, entry.placement) for entry in arrangement.entries]


@pytest.mark.parametrize(
    ("paths", "layout"),
    [
        pytest.param({"loras/a.pt": "LORA", "checkpoints/b.pt": "Checkpoint"}, "comfyui", id="C"),
        pytest.param({"models/Lora/a.pt": "LORA", "embeddings/b.pt": "VAE"}, "a1111", id="A"),
        pytest.param(
            {"Lora/a.pt": "LORA", "Stable-diffusion/b.pt": "Checkpoint"}, "sdnext", id="S"
        ),
        pytest.param({"a.pt": "LORA", "b.pt": "Checkpoint"}, "flat", id="all in the root"),
        pytest.param({"Lora/x/a.pt": "LORA", "Lora/y/b.pt": "LORA"}, "sdnext", id="in subfolders"),
        pytest.param({"x/a.pt": "LORA", "y/b.pt": "LORA"}, "comfyui", id="like none of them"),
        pytest.param({}, "comfyui", id="nothing at all"),
    ],
)
def test_the_layout_is_the_one_that_needs_the_fewest_words(
    paths: Mapping[str, str], layout: str
) -> None:
    matches = [match(path, n + 1, kind=kind) for n, (path, kind) in enumerate(paths.items())]
    assert detect_layout(matches) == layout


@pytest.mark.parametrize(
    ("path", "name", "placement"),
    [
        pytest.param("loras/a.pt", "", Placement(), id="where it belongs"),
        pytest.param("loras/sdxl/a.pt", "", Placement(directory="loras/sdxl"), id="a subfolder"),
        pytest.param("a.pt", "", Placement(directory=""), id="the root"),
        pytest.param("loras/b.pt", "a.pt", Placement(filename="b.pt"), id="another name"),
        pytest.param("x/b.pt", "a.pt", Placement(directory="x", filename="b.pt"), id="both"),
        pytest.param(
            "x {1}/{b}.pt",
            "a.pt",
            Placement(directory="x {{1}}", filename="{{b}}.pt"),
            id="braces mean themselves",
        ),
        pytest.param(
            "loras/a~5.pt",
            "a.pt",
            Placement(filename="{name}~{file_id}.{ext}"),
            id="the name that civsync gives to twins",
        ),
        pytest.param(
            "loras/_a_b_~5.pt", '"a"b".pt', Placement(), id="an unsafe name, as civsync writes it"
        ),
    ],
)
def test_an_entry_says_of_its_place_what_the_layout_does_not(
    path: str, name: str, placement: Placement
) -> None:
    arrangement = arrange([match(path, 5, name=name)], "comfyui")
    assert placements(arrangement) == [(5, placement)]
    assert arrangement.left == ()


def test_files_of_one_version_in_one_folder_are_one_entry() -> None:
    files = [match(f"x/{n}.pt", n, version=9) for n in (3, 1, 2)]
    arrangement = arrange(files, "comfyui")
    assert placements(arrangement) == [(9, Placement(directory="x"))]
    assert [each.file.id for each in arrangement.entries[0].matches] == [1, 2, 3]


def test_the_layout_tells_the_parts_of_a_version_apart() -> None:
    files = [
        match("checkpoints/a.safetensors", 1, version=9, kind="Checkpoint"),
        match("vae/b.safetensors", 2, version=9, kind="Checkpoint"),
    ]
    files[1] = replace(files[1], file=replace(files[1].file, type="VAE"))
    arrangement = arrange(files)
    assert placements(arrangement) == [(9, Placement())]
    assert arrangement.left == ()


def test_what_the_one_place_of_a_version_cannot_say_is_left_out() -> None:
    files = [match(path, n, version=9) for n, path in enumerate(("x/1.pt", "y/2.pt", "y/3.pt"), 1)]
    arrangement = arrange(files, "comfyui")
    assert placements(arrangement) == [(9, Placement(directory="y"))]
    assert told(arrangement.left) == {"x/1.pt": (Fate.SKIPPED, "scattered")}
    assert "y/2.pt" in arrangement.left[0].reason


def test_paths_that_some_disks_take_for_one_are_not_both_described() -> None:
    arrangement = arrange([match("loras/a.pt", 1), match("Loras/A.pt", 2)], "comfyui")
    assert [each.version.id for each in arrangement.entries] == [2]
    assert told(arrangement.left) == {"loras/a.pt": (Fate.SKIPPED, "clash")}


def test_pickles_are_allowed_by_their_own_entry_alone() -> None:
    arrangement = arrange([match("loras/a.safetensors", 1), match("loras/b.pt", 2)])
    assert ["allow_pickle" in entry.item() for entry in arrangement.entries] == [False, True]


# --- writing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title",
    [
        "x\n  - model: 6",
        "x\r\ny",
        "x\u2028y\u0085z",
        "\x1b[31mred",
        "a\u202eb",
        "\ufeff# - : {} [] & * ! | > %",
        "long " * 1000,
        "",
    ],
    ids=ascii,
)
def test_no_name_can_leave_its_comment(title: str) -> None:
    text = write_manifest(
        [(title, {"model": 5, "version": 6}), (title, {"model": 7, "version": 8})],
        root="models",
        layout="comfyui",
        schema="./x.json",
        about_root=title,
    )
    assert [entry.key for entry in read_manifest(text).entries] == ["5@6", "7@8"]
    assert comment_text(title).isprintable()
    assert max(map(len, text.splitlines())) < 200


@pytest.mark.parametrize("root", [".", "models", "a b/c - d", "yes", "007", "{x}", "ünï"])
def test_a_manifest_says_what_it_was_given(root: str) -> None:
    files = [match("{x} y/no.pt", 1), match("# a/- b's.pt", 2)]
    arrangement = arrange(files)
    text = write_manifest(
        ((entry.title, entry.item()) for entry in arrangement.entries),
        root=root,
        layout=arrangement.layout,
        schema="./x.json",
        about_root="here",
    )
    manifest = read_manifest(text)
    assert manifest.root == root
    assert manifest.layout.name == arrangement.layout
    assert [entry.placement for entry in manifest.entries] == [
        entry.placement for entry in arrangement.entries
    ]
    assert [entry.request.policy.allow_pickle for entry in manifest.entries] == [True, True]
