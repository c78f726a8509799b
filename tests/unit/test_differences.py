"""Two locks compared: every kind of change, and what it is told as."""

from dataclasses import replace

import pytest
from hypothesis import given

from civsync.core.lock import Lock, LockedEntry, LockedFile, Waiting
from civsync.core.names import parse_path
from civsync.decide.differences import (
    Change,
    FactChange,
    Kind,
    bytes_freed,
    bytes_to_download,
    changes_between,
)
from support.lock_values import lock_of, locked_entry, locked_file, locks


def file_of(model_id: int, version: int, content: str = "", **facts: object) -> LockedFile:
    made = locked_file(f"loras/{model_id}.x", content or f"{version}", model_id=model_id)
    facts = {"version_id": version, "file_id": version + 1, "version": f"v{version}", **facts}
    return replace(made, **facts)  # type: ignore[arg-type]  # keywords of LockedFile


A = locked_entry(file_of(1, 10))
B = locked_entry(file_of(2, 20))
SEARCH = replace(locked_entry(file_of(5, 50), file_of(6, 60), file_of(7, 70)), key="?tag=style")


def only_change(old: LockedEntry, new: LockedEntry) -> Change:
    (change,) = changes_between(lock_of(old), lock_of(new))
    return change


@given(locks())
def test_a_lock_does_not_differ_from_itself(lock: Lock) -> None:
    assert changes_between(lock, lock) == []
    assert bytes_to_download(lock, lock) == bytes_freed(lock, lock) == 0


@given(locks(), locks())
def test_two_locks_differ_exactly_if_a_change_is_told(one: Lock, other: Lock) -> None:
    assert bool(changes_between(one, other)) == (one != other)
    assert bytes_to_download(one, other) == bytes_freed(other, one)


def test_entries_come_and_go_in_the_order_of_the_lock() -> None:
    changes = changes_between(lock_of(A), lock_of(B))
    assert [(change.kind, change.key) for change in changes] == [
        (Kind.ADDED, "2@latest"),
        (Kind.REMOVED, "1@latest"),
    ]


def test_another_pin_of_one_model_is_one_change() -> None:
    change = only_change(replace(A, key="1@10"), locked_entry(file_of(1, 11), key="1@11"))
    assert (change.kind, change.key) == (Kind.CHANGED, "1@11")
    assert change.document()["from"] == "v10"


def test_of_two_pins_that_became_one_the_other_is_removed() -> None:
    old = lock_of(replace(A, key="1@10"), locked_entry(file_of(1, 11), key="1@11"))
    changes = changes_between(old, lock_of(locked_entry(file_of(1, 12), key="1@12")))
    assert [(change.kind, change.key) for change in changes] == [
        (Kind.CHANGED, "1@12"),
        (Kind.REMOVED, "1@11"),
    ]


def test_the_same_bytes_elsewhere_are_moved_and_download_nothing() -> None:
    new = locked_entry(replace(A.files[0], path=parse_path("other/x.safetensors")))
    change = only_change(A, new)
    assert change.kind is Kind.MOVED
    assert [pair.kind for pair in change.files] == [Kind.MOVED]
    assert bytes_to_download(lock_of(A), lock_of(new)) == 0


@pytest.mark.parametrize(
    ("fact", "new"),
    [
        pytest.param(
            FactChange(fact="license", old="nothing", new="no-credit", model_id=1),
            locked_entry(file_of(1, 10, license="no-credit")),
            id="license",
        ),
        pytest.param(
            FactChange(fact="base_model", old="", new="Pony", model_id=1),
            locked_entry(file_of(1, 10, base_model="Pony")),
            id="base model",
        ),
        pytest.param(
            FactChange(fact="name", old="model1", new="New name", model_id=1),
            locked_entry(file_of(1, 10, model="New name")),
            id="a rename",
        ),
        pytest.param(
            FactChange(fact="gone", old="no", new="yes"), replace(A, gone=True), id="gone"
        ),
        pytest.param(
            FactChange(fact="waiting", old="", new="v9 until 2026-01-01"),
            replace(A, waiting=(Waiting(version_id=9, version="v9", until="2026-01-01"),)),
            id="waiting",
        ),
        pytest.param(
            FactChange(fact="groups", old="", new="sd15, video"),
            replace(A, groups=("sd15", "video")),
            id="groups",
        ),
        pytest.param(
            FactChange(fact="policy.pickle", old="", new="allow"),
            replace(A, request={"policy.pickle": "allow"}),
            id="a key of the request",
        ),
    ],
)
def test_what_is_only_said_otherwise_is_told_as_a_fact(fact: FactChange, new: LockedEntry) -> None:
    change = only_change(A, new)
    assert change.kind is Kind.RESTATED
    assert change.facts == (fact,)
    assert change.files == ()


def test_a_new_version_tells_the_license_too_but_not_what_every_version_has_of_its_own() -> None:
    new = file_of(1, 11, license="no-credit", name="other.safetensors", tag="x", published_at="y")
    change = only_change(A, locked_entry(new))
    assert [fact.fact for fact in change.facts] == ["license"]


def test_files_are_paired_by_id_then_by_kind() -> None:
    model, vae = file_of(1, 10), file_of(1, 10, "vae", type="VAE", file_id=99)
    newer = file_of(1, 11)
    config = file_of(1, 11, "config", type="Config", file_id=77)
    change = only_change(locked_entry(model, vae), locked_entry(config, newer))
    told = {
        (pair.kind, pair.old.file_id if pair.old else None, pair.new.file_id if pair.new else None)
        for pair in change.files
    }
    assert told == {
        (Kind.CHANGED, model.file_id, newer.file_id),
        (Kind.ADDED, None, config.file_id),
        (Kind.REMOVED, vae.file_id, None),
    }


def test_of_a_search_the_models_that_came_and_went_are_told() -> None:
    new = replace(SEARCH, files=(file_of(5, 50), file_of(6, 61), file_of(8, 80)))
    change = only_change(SEARCH, new)
    assert [(model.model_id, model.kind) for model in change.models] == [
        (5, None),
        (6, Kind.CHANGED),
        (7, Kind.REMOVED),
        (8, Kind.ADDED),
    ]


def test_content_that_two_entries_share_is_counted_once_and_freed_only_with_the_last() -> None:
    twin = locked_entry(replace(file_of(3, 30), sha256=A.files[0].sha256, size=A.files[0].size))
    size = A.files[0].size
    assert bytes_to_download(Lock(), lock_of(A, twin)) == size
    assert bytes_freed(lock_of(A, twin), lock_of(A)) == 0
    assert bytes_freed(lock_of(A, twin), Lock()) == size
