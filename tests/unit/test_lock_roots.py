"""The lock of several roots: how it is written, what of it is refused, and one root's share."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.lock import Lock
from civsync.core.names import SafePath, parse_path
from civsync.core.problems import DocumentError
from civsync.core.request import Manifest, NamedRoot
from civsync.core.roots import is_root_name
from civsync.decide.place import place
from civsync.decide.stale import Reason, needs_network, staleness
from civsync.documents.layouts import build_layout
from civsync.documents.lock import in_file_order, read_lock, write_lock
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
from support.lock_values import lock_of, locked_entry, locked_file, locks

Json = dict[str, Any]


def at(**paths: str) -> dict[str, SafePath]:
    return {name: parse_path(path) for name, path in paths.items()}


TWO = lock_of(
    locked_entry(
        locked_file("l/a", "a", model_id=1).at(at(comfy="l/a", forge="L/x/a")),
    ),
    locked_entry(
        locked_file("l/b", "b", model_id=2).at(at(comfy="l/b", forge="L/x/b")),
    ),
)


def spoiled(edit: Callable[[Json], object]) -> bytes:
    """The text of a good lock after `edit` of its first file."""
    document = json.loads(write_lock(TWO))
    edit(document["entries"][0]["files"][0])
    return json.dumps(document, indent=2).encode()


def test_paths_stand_by_root_in_the_place_of_the_path() -> None:
    document = json.loads(write_lock(TWO))
    assert document["schema_version"] == 3
    first = document["entries"][0]["files"][0]
    assert "path" not in first
    assert first["paths"] == {"comfy": "l/a", "forge": "L/x/a"}
    single = json.loads(write_lock(TWO.below("comfy")))
    assert single["schema_version"] == 2
    files = [each["files"][0] for each in single["entries"]]
    assert [("path" in file, "paths" in file) for file in files] == [(True, False)] * 2


def test_the_share_of_a_root_is_the_lock_that_it_would_have_alone() -> None:
    alone = lock_of(
        locked_entry(locked_file("l/a", "a", model_id=1)),
        locked_entry(locked_file("l/b", "b", model_id=2)),
    )
    assert TWO.roots == ("comfy", "forge")
    assert TWO.below("comfy") == alone
    assert write_lock(TWO.below("comfy")) == write_lock(alone)
    assert list(TWO.below("forge").by_path()) == ["L/x/a", "L/x/b"]
    assert list(TWO.below("other").by_path()) == []
    assert alone.below("") is alone


@settings(max_examples=40)
@given(locks(), st.sampled_from([("a",), ("a", "b-2"), ("x", "a", "Z")]))
def test_reading_what_was_written_gives_the_lock(lock: Lock, names: tuple[str, ...]) -> None:
    rooted = Lock(
        entries=tuple(
            replace(
                entry,
                files=tuple(
                    file.at({name: parse_path(f"{name}/{file.path}"[:900]) for name in names})
                    for file in entry.files
                ),
            )
            for entry in lock.entries
        )
    )
    rooted = in_file_order(rooted)
    assert read_lock(write_lock(rooted)) == rooted
    assert write_lock(read_lock(write_lock(rooted))) == write_lock(rooted)


HOSTILE = '","paths":{},"x":"'


def test_texts_that_look_like_keys_stay_texts() -> None:
    odd = replace(locked_file("l/a", "a"), name=HOSTILE, model='{"path":"","paths":{', tag=HOSTILE)
    for lock in (lock_of(locked_entry(odd)), lock_of(locked_entry(odd.at(at(ui="l/a"))))):
        assert read_lock(write_lock(lock)) == lock


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(lambda f: f["paths"].update(forge="../x"), "unsafe path", id="leads out"),
        pytest.param(lambda f: f["paths"].update(comfy="/x"), "unsafe path", id="whole"),
        pytest.param(lambda f: f["paths"].update(forge=".civsync/lock"), "unsafe", id="control"),
        pytest.param(lambda f: f["paths"].update(forge="l\\x"), "unsafe path", id="backslash"),
        pytest.param(lambda f: f["paths"].update({"../x": "l/a"}), "name of a root", id="a name"),
        pytest.param(lambda f: f["paths"].update({"": "l/a"}), "name of a root", id="no name"),
        pytest.param(lambda f: f.update(path="l/other"), "either", id="path and paths"),
        pytest.param(lambda f: f.update(paths={}), "unsafe path", id="neither"),
        pytest.param(lambda f: f.pop("paths"), "unsafe path", id="no key at all"),
        pytest.param(lambda f: f["paths"].pop("forge"), "same roots", id="one root less"),
        pytest.param(lambda f: f["paths"].update(forge="l/b"), "", id="as in another root"),
        pytest.param(lambda f: f["paths"].update(forge="L/X/B"), "one path", id="two on one path"),
        pytest.param(lambda f: f["paths"].update(forge="L/x"), "directory", id="on a directory"),
        pytest.param(lambda f: f.update(paths=["l/a"]), "object", id="a list"),
        pytest.param(lambda f: f["paths"].update(forge=7), "str", id="a number"),
    ],
)
def test_what_no_lock_of_ours_says_of_roots(edit: Callable[[Json], object], says: str) -> None:
    if not says:
        assert read_lock(spoiled(edit)).roots == ("comfy", "forge")
        return
    with pytest.raises(DocumentError) as caught:
        read_lock(spoiled(edit))
    assert {problem.code for problem in caught.value.problems} == {Code.LOCK_INVALID}
    assert says in " ".join(problem.message for problem in caught.value.problems)


def test_a_root_that_stands_twice_is_found() -> None:
    text = write_lock(TWO).replace(b'"forge": "L/x/a"', b'"forge": "L/x/a",\n"forge": "L/y/a"', 1)
    with pytest.raises(DocumentError, match="twice"):
        read_lock(text)


def test_whatever_byte_is_another_no_path_leads_out_of_any_root() -> None:
    text = write_lock(TWO)
    accepted = 0
    for at_byte in range(len(text)):
        for byte in (b".", b"/"):
            try:
                lock = read_lock(text[:at_byte] + byte + text[at_byte + 1 :])
            except DocumentError:
                continue
            accepted += 1
            for _, file in lock.files():
                assert all(parse_path(path) == path for path in file.places.values())
                assert all(map(is_root_name, lock.roots))
    assert accepted > len(text) // 4


# --- placing ---------------------------------------------------------------------------------

ONE, OTHER = entry(request(1)), entry(request(2))


def named(**layouts: str) -> Manifest:
    """A manifest of both entries, with roots of these layouts."""
    roots = {
        name: NamedRoot(path=name, layout=build_layout(layout)) for name, layout in layouts.items()
    }
    return replace(manifest(ONE, OTHER), named_roots=roots)


def found() -> Lock:
    """Two LORAs with one file name, as they are resolved."""
    models = [
        remote_model(
            number,
            [remote_version(number * 10, [remote_file(number, "same.safetensors")])],
            type="LORA" if number == 1 else "Checkpoint",
        )
        for number in (1, 2)
    ]
    return Lock(entries=resolved(library(*models), ONE, OTHER).entries)


def placed(wanted: Manifest, lock: Lock) -> Lock:
    return Lock(entries=place(wanted, lock.entries))


def test_files_that_share_a_path_in_one_root_are_told_apart_there_alone() -> None:
    lock = placed(named(comfy="comfyui", all="flat"), found())
    assert list(lock.below("comfy").by_path()) == [
        "loras/same.safetensors",
        "checkpoints/same.safetensors",
    ]
    assert list(lock.below("all").by_path()) == ["same~1.safetensors", "same~2.safetensors"]


def test_what_is_placed_already_is_the_very_same() -> None:
    wanted = named(comfy="comfyui", forge="forge")
    lock = placed(wanted, found())
    assert all(
        again is before
        for again, before in zip(place(wanted, lock.entries), lock.entries, strict=True)
    )
    assert staleness(wanted, lock) == ()


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        pytest.param(
            manifest(ONE, OTHER), named(ui="comfyui"), [("roots", "", "ui")], id="to roots"
        ),
        pytest.param(
            named(ui="comfyui"), manifest(ONE, OTHER), [("roots", "ui", "")], id="to the one root"
        ),
        pytest.param(
            named(a="comfyui"),
            named(a="comfyui", b="flat"),
            [("roots", "a", "a, b")],
            id="one more",
        ),
        pytest.param(
            named(a="comfyui", b="flat"),
            named(a="comfyui"),
            [("roots", "a, b", "a")],
            id="one less",
        ),
        pytest.param(
            named(a="comfyui", b="comfyui"),
            named(a="comfyui", b="forge"),
            [("path in b", "loras/same.safetensors", "models/Lora/same.safetensors")],
            id="another layout",
        ),
    ],
)
def test_a_changed_root_makes_the_lock_stale_and_needs_no_network(
    before: Manifest, after: Manifest, keys: list[tuple[str, str, str]]
) -> None:
    lock = placed(before, found())
    stales = staleness(after, lock)
    assert [each.reason for each in stales] == [Reason.MOVED] * 2
    assert list(stales[0].keys) == keys
    assert not needs_network(stales)
    assert staleness(after, placed(after, lock)) == ()


def test_roots_that_come_and_go_leave_the_places_of_the_others() -> None:
    first = placed(named(a="comfyui"), found())
    more = placed(named(a="comfyui", b="flat", c="forge"), first)
    assert more.below("a") == first.below("a")
    assert placed(named(a="comfyui"), more) == first
    assert placed(manifest(ONE, OTHER), more) == placed(manifest(ONE, OTHER), found())
