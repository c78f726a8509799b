from collections.abc import Callable
from dataclasses import replace

import pytest

from civsync.core.lock import Lock, LockedEntry
from civsync.core.request import Entry, FileSelector, Preference
from civsync.decide.place import place
from civsync.decide.stale import Reason, Stale, needs_network, staleness
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

LATEST = entry(request(4))
OTHER = entry(request(5))


def locked(*wanted: Entry) -> Lock:
    models = [
        remote_model(number, [remote_version(number * 10, [remote_file(number)])])
        for number in (4, 5, 6)
    ]
    result = resolved(library(*models), *wanted)
    return Lock(entries=place(manifest(*wanted), result.entries))


def edited(lock: Lock, change: Callable[[LockedEntry], LockedEntry]) -> Lock:
    return Lock(entries=tuple(change(each) for each in lock.entries))


def test_a_lock_of_the_manifest_is_not_stale() -> None:
    wanted = manifest(LATEST, OTHER)
    assert staleness(wanted, locked(LATEST, OTHER)) == ()


def test_an_entry_that_was_added_needs_the_network() -> None:
    (stale,) = staleness(manifest(LATEST, OTHER), locked(LATEST))
    assert stale == Stale(entry_key="5@latest", reason=Reason.MISSING)
    assert needs_network([stale])
    assert "5@latest" in str(stale)


def test_an_entry_that_was_dropped_does_not() -> None:
    (stale,) = staleness(manifest(LATEST), locked(LATEST, OTHER))
    assert stale == Stale(entry_key="5@latest", reason=Reason.DROPPED)
    assert not needs_network([stale])
    assert "5@latest" in str(stale)


def test_the_keys_that_differ_are_named() -> None:
    changed = entry(request(4, prefer=Preference(precision=("fp32",)), allow_pickle=True))
    (stale,) = staleness(manifest(changed), locked(LATEST))
    assert stale.reason is Reason.CHANGED
    assert stale.keys == (
        ("policy.pickle", "deny", "allow"),
        ("prefer.precision", "fp16, bf16, fp8, fp32", "fp32"),
    )
    assert needs_network([stale])
    assert str(stale).startswith("4@latest: policy.pickle: deny -> allow; ")


def test_a_key_that_only_one_side_has_is_named() -> None:
    changed = entry(request(4, selectors=[FileSelector(type="VAE", optional=True)]))
    (stale,) = staleness(manifest(changed), locked(LATEST))
    assert stale.keys == (("files", "", "type=VAE optional"),)
    assert "(none) -> type=VAE optional" in str(stale)


def test_an_edit_of_directory_or_filename_is_rendered_offline() -> None:
    moved = replace(LATEST, placement=entry(request(4), directory="photo").placement)
    (stale,) = staleness(manifest(moved), locked(LATEST))
    assert stale.reason is Reason.MOVED
    assert stale.reason is Reason.MOVED
    assert stale.keys == (("path", "checkpoints/file4.safetensors", "photo/file4.safetensors"),)
    assert not needs_network([stale])


def test_an_edit_of_the_priority_is_carried_over_offline() -> None:
    (stale,) = staleness(manifest(replace(LATEST, priority=2)), locked(LATEST))
    assert stale.reason is Reason.MOVED
    assert stale.keys == (("priority", "0", "2"),)


def test_a_hold_makes_nothing_stale() -> None:
    kept = replace(LATEST, hold="because")
    assert staleness(manifest(kept), locked(LATEST)) == ()


def test_groups_are_followed_offline() -> None:
    grouped = replace(LATEST, groups=("a", "b"))
    (stale,) = staleness(manifest(grouped), locked(LATEST))
    assert (stale.reason, stale.keys) == (Reason.MOVED, (("groups", "", "a, b"),))
    assert not stale.needs_network


@pytest.mark.parametrize(
    ("wanted", "change", "key"),
    [
        (LATEST, lambda e: replace(e, files=()), "files"),
        (LATEST, lambda e: replace(e, files=(replace(e.files[0], sha256=""),)), "sha256"),
        (
            LATEST,
            lambda e: replace(e, files=(replace(e.files[0], name="x.pt"),)),
            "policy.pickle",
        ),
        (
            LATEST,
            lambda e: replace(e, files=(replace(e.files[0], pickle_scan=""),)),
            "policy.scans",
        ),
        (
            LATEST,
            lambda e: replace(
                e,
                files=(replace(e.files[0], model_id=9),),
            ),
            "model",
        ),
        (
            entry(request(4, 40)),
            lambda e: replace(
                e,
                files=(replace(e.files[0], version_id=41),),
            ),
            "version",
        ),
        (
            entry(request(4, "v40")),
            lambda e: replace(e, files=(replace(e.files[0], version="v41"),)),
            "version",
        ),
        (
            entry(request(4, base_model="SD 1.5")),
            lambda e: replace(e, files=(replace(e.files[0], base_model="Pony"),)),
            "base_model",
        ),
        (
            entry(request(4, selectors=[FileSelector(precision="fp16")])),
            lambda e: replace(e, files=(replace(e.files[0], precision="fp32"),)),
            "files",
        ),
    ],
    ids=[
        "no-files", "no-hash", "pickle", "scan", "other-model",
        "other-version", "other-name", "other-base-model", "selector",
    ],
)  # fmt: skip
def test_a_lock_that_was_edited_by_hand_is_seen_through(
    wanted: Entry, change: Callable[[LockedEntry], LockedEntry], key: str
) -> None:
    (stale,) = staleness(manifest(wanted), edited(locked(wanted), change))
    assert stale.reason is Reason.UNSATISFIED
    assert stale.keys[0][0] == key
    assert needs_network([stale])


def test_a_path_that_was_edited_by_hand_is_only_a_placement() -> None:
    def elsewhere(each: LockedEntry) -> LockedEntry:
        other = locked(OTHER).entries[0].files[0].path
        return replace(each, files=(replace(each.files[0], path=other),))

    (stale,) = staleness(manifest(LATEST), edited(locked(LATEST), elsewhere))
    assert stale.reason is Reason.MOVED


def test_an_entry_that_changed_does_not_move_the_one_it_collides_with() -> None:
    same = [replace(each, placement=entry(request(4), filename="m.safetensors").placement)
            for each in (LATEST, OTHER)]  # fmt: skip
    lock = Lock(entries=place(manifest(*same), locked(*same).entries))
    changed = replace(same[1], request=request(5, allow_pickle=True))
    stales = staleness(manifest(same[0], changed), lock)
    assert [(each.entry_key, each.reason) for each in stales] == [("5@latest", Reason.CHANGED)]
