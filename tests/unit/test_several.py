"""Several versions of one model in one entry: which ones, and what moves them."""

from dataclasses import replace

import pytest

from civsync.core.codes import Code
from civsync.core.lock import Lock
from civsync.core.request import All, Count, Entry, Newest, Policy, Preference, Request, VersionSpec
from civsync.decide.resolve import Resolution
from civsync.decide.satisfy import shortfalls
from support.factories import (
    Library,
    always,
    entry,
    library,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    search_request,
)

OTHER = Preference(size=("full",))


def versions_of(resolution: Resolution) -> list[int]:
    return [file.version_id for locked in resolution.entries for file in locked.files]


def codes_of(resolution: Resolution) -> list[Code]:
    return [error.code for _, error in resolution.failures]


def notes_of(resolution: Resolution) -> list[str]:
    return [note.code for note in resolution.notes]


def model_with(*versions: int) -> Library:
    """Show model 4 with these versions, the creator's default first."""
    return library(remote_model(4, [remote_version(version) for version in versions]))


def several(spec: VersionSpec, **more: object) -> Request:
    return replace(request(4), version=spec, **more)  # type: ignore[arg-type]  # fields of a request


def locked_as(shown: Library, wanted: Entry) -> Lock:
    result = resolved(shown, wanted)
    assert result.failures == ()
    shown.asked.clear()
    return Lock(entries=result.entries)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (All(), [40, 41, 42]),
        (Count(1), [42]),
        (Count(2), [41, 42]),
        (Count(3), [40, 41, 42]),
        (Count(9), [40, 41, 42]),
    ],
    ids=repr,
)
def test_the_first_versions_in_the_order_of_the_creator(
    spec: VersionSpec, expected: list[int]
) -> None:
    assert versions_of(resolved(model_with(42, 41, 40), entry(several(spec)))) == expected


def test_all_versions_for_a_base_model() -> None:
    versions = [
        remote_version(40, base_model="Pony"),
        remote_version(41, base_model="SD 1.5"),
        remote_version(42, base_model="pony"),
    ]
    wanted = entry(request(4, "all", base_model="Pony"))
    assert wanted.key == "4@all [Pony]"
    assert versions_of(resolved(library(remote_model(4, versions)), wanted)) == [40, 42]


@pytest.mark.parametrize("hidden", [True, False], ids=["hidden from batches", "unknown"])
def test_all_versions_need_the_whole_model(hidden: bool) -> None:
    shown = replace(model_with(40), batch_hides=frozenset({4}), model_hides=frozenset({4}))
    result = resolved(shown if hidden else library(), entry(several(All())))
    assert codes_of(result) == [Code.UNKNOWN_MODEL]


class TestLater:
    @pytest.mark.parametrize("spec", [All(), Count(2)], ids=repr)
    def test_what_is_locked_is_not_asked_about(self, spec: VersionSpec) -> None:
        wanted = entry(several(spec))
        before = locked_as(model_with(41, 40), wanted)
        shown = model_with(42, 41, 40)
        assert resolved(shown, wanted, previous=before).entries == before.entries
        assert shown.asked == []

    @pytest.mark.parametrize(
        ("spec", "upgrade", "expected"),
        [
            (All(), False, [40, 41]),
            (All(), True, [40, 41, 42]),
            (Count(2), False, [40, 41]),
            (Count(2), True, [41, 42]),
        ],
        ids=["all, edited", "all, upgraded", "first 2, edited", "first 2, upgraded"],
    )
    def test_only_an_upgrade_brings_new_versions(
        self, spec: VersionSpec, upgrade: bool, expected: list[int]
    ) -> None:
        before = locked_as(model_with(41, 40), entry(several(spec)))
        edited = entry(several(spec, prefer=OTHER))
        result = resolved(
            model_with(42, 41, 40), edited, previous=before, upgrade=lambda _: upgrade
        )
        assert versions_of(result) == expected

    def test_a_search_for_more_versions_takes_them(self) -> None:
        before = locked_as(model_with(42, 41, 40), entry(search_request(versions=Count(1))))
        more = entry(search_request(versions=Count(2)))
        result = resolved(model_with(42, 41, 40), more, previous=before)
        assert versions_of(result) == [41, 42]

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [(None, All(), [40, 41, 42]), (Count(2), Count(1), [42]), (All(), None, [42])],
        ids=["latest to all", "two to one", "all to latest"],
    )
    def test_a_search_for_other_versions_takes_those_of_today(
        self, before: VersionSpec | None, after: VersionSpec | None, expected: list[int]
    ) -> None:
        old = locked_as(model_with(41, 40), entry(search_request(versions=before)))
        shown = model_with(42, 41, 40)
        result = resolved(shown, entry(search_request(versions=after)), previous=old)
        assert versions_of(result) == expected

    def test_a_search_for_other_versions_chooses_anew(self) -> None:
        versions = [
            remote_version(41, published_at="2024-01-01T00:00:00Z"),
            remote_version(42, published_at="2024-02-01T00:00:00Z"),
        ]
        shown = library(remote_model(4, versions))
        before = locked_as(shown, entry(search_request()))
        newest = entry(search_request(versions=Newest()))
        assert versions_of(resolved(shown, newest, previous=before)) == [42]

    @pytest.mark.parametrize("upgrade", [False, True], ids=["edited", "upgraded"])
    def test_all_versions_do_not_lose_one_that_upstream_deleted(self, upgrade: bool) -> None:
        before = locked_as(model_with(41, 40), entry(several(All())))
        edited = entry(several(All(), prefer=OTHER))
        result = resolved(model_with(41), edited, previous=before, upgrade=lambda _: upgrade)
        assert versions_of(result) == [40, 41]
        assert "kept" in notes_of(result) or "gone" in notes_of(result)
        [locked] = result.entries
        assert not locked.gone
        assert shortfalls(edited.request, locked) == ()

    def test_a_number_of_versions_is_filled_by_an_upgrade(self) -> None:
        before = locked_as(model_with(42, 41, 40), entry(several(Count(2))))
        result = resolved(
            model_with(42, 40), entry(several(Count(2))), previous=before, upgrade=always
        )
        assert versions_of(result) == [40, 42]

    def test_a_bound_that_bars_one_takes_the_next(self) -> None:
        versions = [
            remote_version(42, published_at="2026-05-31T00:00:00Z"),
            remote_version(41),
            remote_version(40),
        ]
        shown = library(remote_model(4, versions))
        before = locked_as(shown, entry(several(Count(2))))
        bound = entry(several(Count(2), exclude_newer="2026-05-01"))
        result = resolved(shown, bound, previous=before)
        assert versions_of(result) == [40, 41]

    def test_a_version_that_a_new_policy_refuses_goes_and_the_rest_stays(self) -> None:
        versions = [
            remote_version(41, [remote_file(1, size=10**9)]),
            remote_version(40, [remote_file(2)]),
        ]
        shown = library(remote_model(4, versions))
        before = locked_as(shown, entry(several(All())))
        strict = entry(several(All(), policy=Policy(max_size=10**6)))
        result = resolved(shown, strict, previous=before)
        assert versions_of(result) == [40]
        assert notes_of(result) == ["left-out"]

    def test_where_no_version_is_left_nothing_is_taken_away(self) -> None:
        shown = library(remote_model(4, [remote_version(40, [remote_file(1, size=10**9)])]))
        before = locked_as(shown, entry(several(All())))
        strict = entry(several(All(), policy=Policy(max_size=10**6)))
        result = resolved(shown, strict, previous=before)
        assert codes_of(result) == [Code.POLICY_DENIED]
        assert result.entries == before.entries

    @pytest.mark.parametrize("upgrade", [False, True], ids=["edited", "upgraded"])
    def test_a_model_that_is_gone_stays_locked(self, upgrade: bool) -> None:
        before = locked_as(model_with(41, 40), entry(several(All())))
        edited = entry(several(All(), prefer=OTHER))
        result = resolved(library(), edited, previous=before, upgrade=lambda _: upgrade)
        assert [locked.files for locked in result.entries] == [before.entries[0].files]
        assert [locked.gone for locked in result.entries] == [upgrade]

    def test_the_names_of_a_model_stay_until_it_is_upgraded(self) -> None:
        wanted = entry(several(All()))
        before = locked_as(model_with(41, 40), wanted)
        renamed = library(
            remote_model(4, [remote_version(41), remote_version(40)], name="New name")
        )
        kept = resolved(renamed, entry(several(All(), prefer=OTHER)), previous=before)
        assert {file.model for file in kept.entries[0].files} == {"model4"}
        followed = resolved(renamed, wanted, previous=before, upgrade=always)
        assert {file.model for file in followed.entries[0].files} == {"New name"}


def test_an_upgrade_after_an_upgrade_changes_nothing() -> None:
    wanted = entry(several(All()))
    before = locked_as(model_with(41, 40), wanted)
    once = resolved(model_with(42, 41), wanted, previous=before, upgrade=always)
    twice = resolved(
        model_with(42, 41), wanted, previous=Lock(entries=once.entries), upgrade=always
    )
    assert twice.entries == once.entries
    assert twice.notes == once.notes
