"""What becomes of the two sides of a conflict: kept, or told as a clash."""

from dataclasses import replace

import pytest

from civsync.core.lock import Lock, LockedEntry, Waiting
from civsync.core.names import SafePath
from civsync.decide.unite import United, unite
from support.lock_values import lock_of, locked_entry, locked_file


def pinned(model: int, version: int) -> LockedEntry:
    file = locked_file(f"loras/{model}.safetensors", f"{version}", model_id=model)
    file = replace(file, version_id=version, file_id=version + 1)
    return locked_entry(file, key=f"{model}@{version}")


def latest(model: int, version: int) -> LockedEntry:
    return replace(pinned(model, version), key=f"{model}@latest")


A, B, C = latest(1, 10), latest(2, 20), pinned(3, 30)


def test_entries_of_one_side_are_kept_in_the_order_of_the_lock() -> None:
    assert unite(lock_of(A, C), lock_of(A, B)) == United(lock=lock_of(A, B, C))


def test_a_lock_united_with_itself_is_itself() -> None:
    assert unite(lock_of(A, B), lock_of(A, B)) == United(lock=lock_of(A, B))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(A, groups=("sd15",)), id="groups"),
        pytest.param(replace(A, priority=7), id="priority"),
        pytest.param(
            replace(A, files=tuple(replace(f, path=SafePath("x")) for f in A.files)), id="path"
        ),
    ],
)
def test_what_is_placed_anew_offline_is_no_clash(other: LockedEntry) -> None:
    assert unite(lock_of(A), lock_of(other)) == United(lock=lock_of(A))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(A, request={"files": "type=VAE"}), id="request"),
        pytest.param(replace(A, gone=True), id="gone"),
        pytest.param(replace(A, waiting=(Waiting(version_id=9, version="v9"),)), id="waiting"),
        pytest.param(
            replace(A, files=tuple(replace(f, license="no-credit") for f in A.files)), id="license"
        ),
    ],
)
def test_facts_that_differ_clash_and_the_files_stay_known(other: LockedEntry) -> None:
    united = unite(lock_of(A, B), lock_of(other, B))
    assert united == United(lock=lock_of(A, B), clashes=frozenset({A.key}))


def test_of_two_other_versions_neither_sides_text_is_believed() -> None:
    united = unite(lock_of(latest(1, 11), B), lock_of(latest(1, 12), B))
    assert united.clashes == united.unsure == {"1@latest"}
    assert united.lock == lock_of(latest(1, 11), B)


def test_two_pins_of_one_model_are_one_entry_that_both_changed() -> None:
    """Git merges line by line, so the one may have got lines of the other."""
    united = unite(lock_of(A, pinned(3, 31)), lock_of(A, pinned(3, 32)))
    assert united.clashes == united.unsure == {"3@31", "3@32"}
    assert united.lock == lock_of(A, pinned(3, 31), pinned(3, 32))


def body_of(entry: LockedEntry, other: LockedEntry) -> LockedEntry:
    """What git leaves where it takes one entry for a changed other: its key, the other's lines."""
    return replace(other, key=entry.key)


def test_of_an_entry_that_a_side_has_twice_the_one_with_its_own_files_is_taken() -> None:
    twice = Lock(entries=(A, B, body_of(B, C)))
    assert unite(twice, lock_of(A, B)) == United(lock=lock_of(A, B))


def test_an_entry_that_a_side_has_twice_with_other_files_each_time_is_not_believed() -> None:
    twice = Lock(entries=(A, B, latest(2, 21)))
    assert unite(twice, twice) == United(
        lock=lock_of(A, B), clashes=frozenset({B.key}), unsure=frozenset({B.key})
    )


def test_an_entry_with_the_files_of_another_model_is_not_believed() -> None:
    united = unite(lock_of(A, body_of(B, C)), lock_of(A))
    assert united.unsure == united.clashes == {B.key}


def test_where_one_side_cannot_be_believed_the_others_entry_stands() -> None:
    united = unite(lock_of(A, body_of(B, C)), lock_of(A, B))
    assert united.unsure == {B.key}
    assert united.lock == lock_of(A, B)


def test_searches_of_one_side_each_are_no_clash() -> None:
    one, other = replace(A, key="?tag=a"), replace(B, key="?tag=b")
    assert unite(lock_of(one), lock_of(other)).clashes == frozenset()


def test_nothing_and_something_give_something() -> None:
    assert unite(Lock(), lock_of(A)) == unite(lock_of(A), Lock()) == United(lock=lock_of(A))
