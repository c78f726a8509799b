from dataclasses import replace

import pytest

from civsync.core.catalog import RemoteFile
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import LockedEntry
from civsync.core.request import Entry, FileSelector
from civsync.decide.place import place
from support.factories import (
    entry,
    library,
    manifest,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
)


def locked(
    wanted: Entry, *files: RemoteFile, model_type: str = "Checkpoint", creator: str = "someone"
) -> LockedEntry:
    number = wanted.request.model_id or 0
    version = remote_version(number * 10, files, name="v1.0")
    model = remote_model(number, [version], type=model_type, creator=creator, name="Some Model")
    (result,) = resolved(library(model), wanted).entries
    return result


def paths(*placed: LockedEntry) -> list[str]:
    return [file.path for each in placed for file in each.files]


def every(number: int, *ids: int, **placement: str) -> Entry:
    """An entry that wants the files with these ids."""
    wanted = request(number, selectors=[FileSelector(id=each) for each in ids], allow_pickle=True)
    return entry(wanted, **placement)  # type: ignore[arg-type]  # directory and filename


@pytest.mark.parametrize(
    ("model_type", "file", "expected"),
    [
        ("Checkpoint", remote_file(1, "a.safetensors"), "checkpoints/a.safetensors"),
        ("Checkpoint", remote_file(1, "a.gguf"), "diffusion_models/a.gguf"),
        ("LORA", remote_file(1, "a.gguf"), "loras/a.gguf"),
        ("Checkpoint", remote_file(1, "a.safetensors", type="VAE"), "vae/a.safetensors"),
        ("VAE", remote_file(1, "a.safetensors", type="VAE"), "vae/a.safetensors"),
        ("VAE", remote_file(1, "a.safetensors"), "vae/a.safetensors"),
        ("Checkpoint", remote_file(1, "a.yaml", type="Config"), "checkpoints/a.yaml"),
        ("LORA", remote_file(1, "a.zip", type="Training Data"), "training_data/a.zip"),
        ("Poses", remote_file(1, "a.zip", type="Training Data"), "poses/a.zip"),
        ("Something New", remote_file(1, "a.safetensors"), "other/a.safetensors"),
        ("LORA", remote_file(1, "noextension"), "loras/noextension"),
        ("LORA", remote_file(1, "<winnie>.pt"), "loras/_winnie_~1.pt"),
        ("LORA", remote_file(1, "../../x.pt"), "loras/_._.._x~1.pt"),
        ("LORA", remote_file(1, "CON.safetensors"), "loras/CON_~1.safetensors"),
    ],
)
def test_a_file_lies_where_its_kind_does(model_type: str, file: RemoteFile, expected: str) -> None:
    wanted = every(4, 1)
    assert paths(*place(manifest(wanted), [locked(wanted, file, model_type=model_type)])) == [
        expected
    ]


def test_an_entry_overrides_the_layout() -> None:
    wanted = every(
        4,
        1,
        directory="{type}/{base_model}/{creator}/{nsfw}/{tag}",
        filename="{model} {version} {precision} {quant} {size} {model_id}-{file_id}.{ext}",
    )
    before = locked(wanted, remote_file(1, "a.b.safetensors"), creator="a/b")
    assert paths(*place(manifest(wanted), [before])) == [
        "Checkpoint/SD 1.5/a_b/sfw/style/Some Model v1.0 fp16 unknown pruned 4-1.safetensors"
    ]


def test_a_file_name_that_was_made_safe_keeps_its_extension() -> None:
    wanted = every(4, 1, filename="{version}.{ext}")
    before = locked(wanted, remote_file(1))
    hostile = replace(before, files=(replace(before.files[0], version="x" * 300),))
    (path,) = paths(*place(manifest(wanted), [hostile]))
    assert path.endswith("~1.safetensors")
    assert len(path) < 220


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.safetensors", "a.safetensors"),
        ("a.safetensors", "A.safetensors"),
        ("\ufb01le.safetensors", "file.safetensors"),
        ("stra\u00dfe.safetensors", "STRASSE.safetensors"),
    ],
    ids=["same", "case", "ligature", "folding"],
)
def test_files_that_some_disk_takes_for_one_are_all_marked(first: str, second: str) -> None:
    wanted = every(4, 1, 2)
    before = locked(wanted, remote_file(1, first), remote_file(2, second))
    one, two = paths(*place(manifest(wanted), [before]))
    assert one.endswith("~1.safetensors")
    assert two.endswith("~2.safetensors")


def test_names_that_differ_only_in_normalization_are_told_apart() -> None:
    wanted = every(4, 1, 2)
    before = locked(
        wanted, remote_file(1, "\u00e9.safetensors"), remote_file(2, "e\u0301.safetensors")
    )
    assert paths(*place(manifest(wanted), [before])) == [
        "checkpoints/\u00e9.safetensors",
        "checkpoints/\u00e9~2.safetensors",
    ]


def test_files_of_different_entries_are_marked_too() -> None:
    first, second = every(4, 1), every(5, 2)
    entries = [
        locked(first, remote_file(1, "a.safetensors")),
        locked(second, remote_file(2, "a.safetensors")),
    ]
    assert paths(*place(manifest(first, second), entries)) == [
        "checkpoints/a~1.safetensors",
        "checkpoints/a~2.safetensors",
    ]
    assert paths(*place(manifest(first), entries)) == ["checkpoints/a.safetensors"]


def test_a_literal_file_name_for_two_files_is_marked() -> None:
    wanted = every(4, 1, 2, filename="model.safetensors")
    before = locked(wanted, remote_file(1), remote_file(2))
    assert paths(*place(manifest(wanted), [before])) == [
        "checkpoints/model~1.safetensors",
        "checkpoints/model~2.safetensors",
    ]


def test_a_name_that_looks_like_a_mark_is_marked_again() -> None:
    wanted = every(4, 1, 2, 3)
    files = (
        remote_file(1, "a.safetensors"),
        remote_file(2, "a.safetensors"),
        remote_file(3, "a~1.safetensors"),
    )
    assert paths(*place(manifest(wanted), [locked(wanted, *files)])) == [
        "checkpoints/a~1.safetensors",
        "checkpoints/a~2.safetensors",
        "checkpoints/a~1~3.safetensors",
    ]


def test_one_file_in_two_entries_is_one_file() -> None:
    first, second = every(4, 1), entry(request(4, 40))
    entries = [locked(first, remote_file(1)), locked(second, remote_file(1))]
    assert set(paths(*place(manifest(first, second), entries))) == {"checkpoints/file1.safetensors"}


def test_one_file_may_lie_in_two_places() -> None:
    first, second = every(4, 1), entry(request(4, 40), directory="elsewhere")
    entries = [locked(first, remote_file(1)), locked(second, remote_file(1))]
    assert sorted(paths(*place(manifest(first, second), entries))) == [
        "checkpoints/file1.safetensors",
        "elsewhere/file1.safetensors",
    ]


def test_two_spellings_of_one_path_become_one() -> None:
    first, second = every(4, 1, directory="Models"), entry(request(4, 40), directory="models")
    entries = [locked(first, remote_file(1)), locked(second, remote_file(1))]
    assert set(paths(*place(manifest(first, second), entries))) == {"Models/file1.safetensors"}


def test_a_file_never_stands_where_another_needs_a_directory() -> None:
    first = every(4, 1, directory="x", filename="Some")
    second = every(5, 2, directory="x/some")
    entries = [locked(first, remote_file(1)), locked(second, remote_file(2))]
    assert paths(*place(manifest(first, second), entries)) == [
        "x/Some~1",
        "x/some/file2.safetensors",
    ]


def test_a_creator_named_like_a_mark_cannot_force_a_collision() -> None:
    first = every(4, 1, directory="x", filename="some")
    second = every(5, 2, directory="x/{creator}")
    third = every(6, 3, directory="x/some")
    entries = [
        locked(first, remote_file(1)),
        locked(second, remote_file(2), creator="some~1"),
        locked(third, remote_file(3)),
    ]
    assert paths(*place(manifest(first, second, third), entries)) == [
        "x/some~1_~1",
        "x/some~1/file2.safetensors",
        "x/some/file3.safetensors",
    ]


def test_the_priority_follows_the_manifest() -> None:
    wanted = every(4, 1)
    before = locked(wanted, remote_file(1))
    assert place(manifest(replace(wanted, priority=3)), [before])[0].priority == 3


def test_one_file_id_with_two_contents_is_refused() -> None:
    first, second = every(4, 1), entry(request(4, 40))
    entries = [locked(first, remote_file(1)), locked(second, remote_file(1, sha256="ff" * 32))]
    with pytest.raises(UserError) as caught:
        place(manifest(first, second), entries)
    assert caught.value.code is Code.LOCK_INVALID
