"""Which versions may be chosen on a given day, at the very borders of ages, dates and sales."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock, Waiting
from civsync.core.request import Count, EarlyAccess, Entry, Policy, Preference, Request, Search
from civsync.decide.admission import admission, bound_of, is_after, is_age, moment_of
from civsync.decide.resolve import Resolution
from civsync.decide.satisfy import shortfalls
from civsync.decide.stale import staleness
from support.factories import (
    NOW,
    Library,
    always,
    entry,
    library,
    manifest,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    search_request,
)

FAIL, DEFER, ALLOW = EarlyAccess.FAIL, EarlyAccess.DEFER, EarlyAccess.ALLOW
LATER = "2026-07-01T00:00:00Z"
BEFORE = "2026-05-01T00:00:00Z"


def versions_of(resolution: Resolution) -> list[int]:
    return [
        version
        for locked in resolution.entries
        for version in dict.fromkeys(file.version_id for file in locked.files)
    ]


def codes_of(resolution: Resolution) -> list[Code]:
    return [error.code for _, error in resolution.failures]


def published(*dates: str | None) -> RemoteModel:
    """Model 4 with versions 40, 41, ..., the creator's default first."""
    return remote_model(
        4, [remote_version(40 + place, published_at=date) for place, date in enumerate(dates)]
    )


def sold(*deadlines: str | None) -> RemoteModel:
    """Model 4 with versions 40, 41, ..., each in early access until a date."""
    return remote_model(
        4,
        [
            remote_version(
                40 + place,
                early_access_until=until,
                published_at=f"2026-01-{20 - place}T00:00:00Z",
            )
            for place, until in enumerate(deadlines)
        ],
    )


class TestBounds:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", None),
            ("1 hour", datetime(2026, 5, 31, 23, tzinfo=UTC)),
            ("7 days", datetime(2026, 5, 25, tzinfo=UTC)),
            ("2 weeks", datetime(2026, 5, 18, tzinfo=UTC)),
            ("2026-05-01", datetime(2026, 5, 2, tzinfo=UTC)),
            ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ],
    )
    def test_a_bound_is_the_moment_before_which_something_was_published(
        self, text: str, expected: datetime | None
    ) -> None:
        assert bound_of(text, NOW) == expected

    @pytest.mark.parametrize("text", ["7", "soon", "7 months", "2026-13-01", "2026-05-01Tnoon"])
    def test_a_text_that_bounds_nothing_is_no_open_door(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            bound_of(text, NOW)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("7 days", True), ("1 hour", True), ("2026-05-01", False), ("", False)],
    )
    def test_an_age_is_told_from_a_date(self, text: str, expected: bool) -> None:
        assert is_age(text) is expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
            ("2026-05-01T12:00:00.000Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
            ("2026-05-01T12:00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
            ("2026-05-01T14:00:00+02:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
            ("", None),
            (None, None),
            ("2026-05", None),
            ("yesterday", None),
        ],
    )
    def test_a_date_of_civitai_is_one_moment_whatever_its_zone(
        self, text: str | None, expected: datetime | None
    ) -> None:
        assert moment_of(text) == expected

    @pytest.mark.parametrize(
        ("published_at", "bound", "expected"),
        [
            ("2026-05-01T23:59:59.999Z", "2026-05-01", False),
            ("2026-05-02T00:00:00Z", "2026-05-01", True),
            ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z", True),
            ("2026-05-01T11:59:59Z", "2026-05-01T12:00:00Z", False),
            ("2026-05-01T13:59:59+02:00", "2026-05-01T12:00:00Z", False),
            ("", "2026-05-01", True),
            ("nonsense", "2026-05-01", True),
            ("2026-05-01T00:00:00Z", "", False),
            ("2026-05-01T00:00:00Z", "9999-12-30", False),
        ],
    )
    def test_a_lock_is_compared_with_a_date_without_knowing_today(
        self, published_at: str, bound: str, expected: bool
    ) -> None:
        assert is_after(published_at, bound) is expected


class TestTooYoung:
    @pytest.mark.parametrize(
        ("bound", "published_at", "young"),
        [
            ("7 days", "2026-05-24T23:59:59Z", False),
            ("7 days", "2026-05-25T00:00:00Z", True),
            ("7 days", "2026-05-25T01:59:59+02:00", False),
            ("1 hour", "2026-05-31T22:59:59Z", False),
            ("1 hour", "2026-05-31T23:00:00Z", True),
            ("2026-05-01", "2026-05-01T23:59:59.999Z", False),
            ("2026-05-01", "2026-05-02T00:00:00.000Z", True),
            ("2026-05-01T12:00:00Z", "2026-05-01T11:59:59Z", False),
            ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z", True),
            ("9999-12-30", "2026-05-31T00:00:00Z", False),
            ("", "2030-01-01T00:00:00Z", False),
            ("", None, False),
            ("7 days", None, True),
            ("7 days", "", True),
            ("7 days", "2026-05", True),
            ("9999-12-30", None, True),
        ],
    )
    def test_a_version_at_the_border(
        self, bound: str, published_at: str | None, young: bool
    ) -> None:
        result = resolved(library(published(published_at)), entry(request(4, exclude_newer=bound)))
        assert codes_of(result) == ([Code.TOO_NEW] if young else [])
        assert versions_of(result) == ([] if young else [40])

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (request(4, exclude_newer="7 days"), [42]),
            (request(4, "newest", exclude_newer="7 days"), [43]),
            (request(4, "all", exclude_newer="7 days"), [42, 43]),
            (replace(request(4, exclude_newer="7 days"), version=Count(1)), [42]),
            (search_request(exclude_newer="7 days"), [42]),
            (search_request(versions=Count(3), exclude_newer="7 days"), [42, 43]),
            (request(4), [40]),
        ],
        ids=["latest", "newest", "all", "first 1", "search", "search first 3", "entry says false"],
    )
    def test_the_first_that_is_old_enough_is_chosen(
        self, wanted: Request, expected: list[int]
    ) -> None:
        model = published("2026-05-31T00:00:00Z", None, "2026-01-01T00:00:00Z", "2026-02-01")
        assert versions_of(resolved(library(model), entry(wanted))) == expected

    @pytest.mark.parametrize(
        "wanted",
        [
            request(4, 40, exclude_newer="7 days"),
            request(None, 40, exclude_newer="7 days"),
            request(4, "v40", exclude_newer="7 days"),
            request(4, exclude_newer="7 days"),
            request(4, "newest", exclude_newer="7 days"),
            request(4, "all", exclude_newer="7 days"),
            search_request(exclude_newer="7 days"),
        ],
        ids=["id", "id alone", "name", "latest", "newest", "all", "search"],
    )
    def test_where_nothing_is_old_enough_the_date_and_the_rule_are_named(
        self, wanted: Request
    ) -> None:
        model = published("2026-05-31T00:00:00Z")
        result = resolved(library(model), entry(wanted))
        assert codes_of(result) == [Code.TOO_NEW]
        [(_, error)] = result.failures
        assert "2026-05-31T00:00:00Z" in error.message
        assert "`exclude_newer` says 7 days" in error.message
        assert error.exit is ExitCode.INVALID
        assert str(error.place) == "civsync.yaml:1:1"

    def test_a_missing_date_is_named_as_missing(self) -> None:
        result = resolved(library(published(None)), entry(request(4, 40, exclude_newer="7 days")))
        assert "a date that Civitai does not say" in result.failures[0][1].message

    def test_a_bound_that_is_set_later_moves_back_to_what_is_old_enough(self) -> None:
        shown = library(published("2026-05-31T00:00:00Z", "2026-01-01T00:00:00Z"))
        before = Lock(entries=resolved(shown, entry(request(4))).entries)
        bound = entry(request(4, exclude_newer="7 days"))
        assert versions_of(resolved(shown, bound, previous=before)) == [41]

    @pytest.mark.parametrize("bound", ["7 days", "2026-05-01"])
    def test_a_bound_that_bars_what_is_held_is_an_error_and_not_a_move(self, bound: str) -> None:
        shown = library(published("2026-05-31T00:00:00Z", "2026-01-01T00:00:00Z"))
        before = Lock(entries=resolved(shown, entry(request(4))).entries)
        held = entry(request(4, exclude_newer=bound), hold="skin tones")
        result = resolved(shown, held, previous=before)
        assert codes_of(result) == [Code.TOO_NEW]
        assert result.entries == before.entries

    def test_an_upgrade_waits_for_a_version_to_come_of_age(self) -> None:
        shown = library(published("2026-05-31T00:00:00Z", "2026-01-01T00:00:00Z"))
        wanted = entry(request(4, exclude_newer="7 days"))
        before = Lock(entries=resolved(shown, wanted).entries)
        again = resolved(shown, wanted, previous=before, upgrade=always)
        assert again.entries == before.entries
        later = resolved(
            shown, wanted, previous=before, upgrade=always, now=NOW + timedelta(days=7)
        )
        assert versions_of(later) == [40]

    def test_the_zone_of_the_clock_does_not_matter(self) -> None:
        wanted = request(4, exclude_newer="7 days")
        there = NOW.astimezone(timezone(timedelta(hours=13, minutes=45)))
        border = remote_version(40, published_at="2026-05-25T00:00:00Z")
        assert admission(wanted, there).is_young(border)
        assert not admission(wanted, there + timedelta(microseconds=1)).is_young(border)


class TestTheLock:
    def test_holds_the_bound_and_the_dates(self) -> None:
        shown = library(published("2026-01-01T00:00:00Z"))
        [locked] = resolved(shown, entry(request(4, exclude_newer="7 days"))).entries
        assert locked.request["exclude_newer"] == "7 days"
        assert [file.published_at for file in locked.files] == ["2026-01-01T00:00:00Z"]

    def test_an_age_never_makes_a_lock_stale_whatever_day_it_is(self) -> None:
        shown = library(published("2026-01-01T00:00:00Z"))
        wanted = entry(request(4, exclude_newer="52 weeks"))
        late = resolved(shown, wanted, now=NOW + timedelta(days=365))
        assert [shortfalls(wanted.request, each) for each in late.entries] == [()]
        early = resolved(shown, wanted, previous=Lock(entries=late.entries), now=NOW)
        assert early.entries == late.entries
        lock = Lock(entries=tuple(replace(each, files=each.files) for each in late.entries))
        assert [stale.reason.value for stale in staleness(manifest(wanted), lock)] == ["moved"]

    @pytest.mark.parametrize("change", ["2026-06-30T00:00:00Z", ""], ids=["too young", "no date"])
    def test_a_date_is_checked_in_a_lock_that_was_edited(self, change: str) -> None:
        shown = library(published("2026-01-01T00:00:00Z"))
        wanted = entry(request(4, exclude_newer="2026-05-01"))
        [locked] = resolved(shown, wanted).entries
        edited = replace(locked, files=(replace(locked.files[0], published_at=change),))
        found = shortfalls(wanted.request, edited)
        assert found == (("exclude_newer", change, "2026-05-01"),)
        mended = resolved(shown, wanted, previous=Lock(entries=(edited,)))
        assert mended.entries == (locked,)


class TestEarlyAccess:
    @pytest.mark.parametrize(
        ("until", "early"),
        [
            ("2026-06-01T00:00:00Z", False),
            ("2026-06-01T00:00:01Z", True),
            ("2026-06-01T01:00:00+02:00", False),
            ("2026-05-31T00:00:00Z", False),
        ],
    )
    def test_a_sale_ends_with_its_date(self, until: str, early: bool) -> None:
        result = resolved(library(sold(until)), entry(request(4)))
        assert codes_of(result) == ([Code.EARLY_ACCESS] if early else [])

    @pytest.mark.parametrize("until", [None, "", "soon"])
    def test_a_sale_without_a_readable_date_does_not_end(self, until: str | None) -> None:
        version = replace(remote_version(40), early_access=True, early_access_until=until)
        result = resolved(library(remote_model(4, [version])), entry(request(4)))
        assert codes_of(result) == [Code.EARLY_ACCESS]
        assert result.failures[0][1].exit is ExitCode.CREDENTIALS

    @pytest.mark.parametrize(
        ("rule", "wanted", "expected"),
        [
            (DEFER, request(4), [41]),
            (DEFER, request(4, "newest"), [41]),
            (DEFER, request(4, "all"), [41, 42]),
            (DEFER, replace(request(4), version=Count(2)), [41, 42]),
            (DEFER, search_request(), [41]),
            (DEFER, search_request(versions=Count(1)), [41]),
            (DEFER, request(4, 40), Code.EARLY_ACCESS),
            (DEFER, request(None, 40), Code.EARLY_ACCESS),
            (DEFER, request(4, "v40"), Code.EARLY_ACCESS),
            (FAIL, request(4), Code.EARLY_ACCESS),
            (FAIL, request(4, "newest"), Code.EARLY_ACCESS),
            (FAIL, request(4, "all"), Code.EARLY_ACCESS),
            (FAIL, replace(request(4), version=Count(2)), Code.EARLY_ACCESS),
            (FAIL, search_request(), Code.EARLY_ACCESS),
            (FAIL, request(4, 40), Code.EARLY_ACCESS),
            (FAIL, request(4, 41), [41]),
            (ALLOW, request(4), [40]),
            (ALLOW, request(4, "newest"), [40]),
            (ALLOW, request(4, "all"), [40, 41, 42]),
            (ALLOW, replace(request(4), version=Count(2)), [40, 41]),
            (ALLOW, search_request(), [40]),
            (ALLOW, request(4, 40), [40]),
        ],
        ids=lambda value: str(value)[:70],
    )
    def test_each_rule_for_each_way_to_name_versions(
        self, rule: EarlyAccess, wanted: Request, expected: list[int] | Code
    ) -> None:
        asked = entry(replace(wanted, policy=Policy(early_access=rule)))
        result = resolved(library(sold(LATER, None, None)), asked)
        if isinstance(expected, Code):
            assert codes_of(result) == [expected]
            assert LATER in result.failures[0][1].message
        else:
            assert codes_of(result) == []
            assert versions_of(result) == expected

    def test_failing_minds_only_what_would_be_chosen(self) -> None:
        """A version that nobody asked for may be sold as long as it likes."""
        wanted = request(4, policy=Policy(early_access=FAIL))
        shown = library(sold(None, LATER))
        assert versions_of(resolved(shown, entry(wanted))) == [40]
        assert versions_of(resolved(shown, entry(replace(wanted, version=Count(1))))) == [40]

    def test_failing_does_not_mind_what_is_too_young_anyway(self) -> None:
        versions = [
            remote_version(42, early_access_until=LATER, published_at="2026-05-31T00:00:00Z"),
            remote_version(41),
        ]
        wanted = request(4, policy=Policy(early_access=FAIL), exclude_newer="7 days")
        shown = library(remote_model(4, versions))
        assert versions_of(resolved(shown, entry(wanted))) == [41]

    def test_failing_names_the_version_that_is_sold_and_not_one_that_is_too_young(self) -> None:
        versions = [
            remote_version(42, published_at="2026-05-31T00:00:00Z"),
            remote_version(41, early_access_until=LATER),
            remote_version(40),
        ]
        wanted = request(4, policy=Policy(early_access=FAIL), exclude_newer="7 days")
        result = resolved(library(remote_model(4, versions)), entry(wanted))
        assert codes_of(result) == [Code.EARLY_ACCESS]
        assert result.failures[0][1].data["version_id"] == 41

    def test_failing_leaves_out_one_hit_of_a_search_and_not_the_others(self) -> None:
        free = remote_model(5, [remote_version(50)])
        wanted = entry(search_request(policy=Policy(early_access=FAIL)))
        result = resolved(library(sold(LATER, None), free), wanted)
        assert versions_of(result) == [50]
        assert [note.code for note in result.notes] == ["left-out"]

    @pytest.mark.parametrize("rule", [DEFER, FAIL])
    def test_an_upgrade_keeps_what_is_locked_where_the_new_one_is_only_sold(
        self, rule: EarlyAccess
    ) -> None:
        wanted = entry(request(4, policy=Policy(early_access=rule)))
        before = Lock(entries=resolved(library(sold(None)), wanted).entries)
        newer = remote_model(4, [remote_version(41, early_access_until=LATER), remote_version(40)])
        result = resolved(library(newer), wanted, previous=before, upgrade=always)
        assert (codes_of(result), versions_of(result)) == ([], [40])
        if rule is FAIL:
            assert [note.code for note in result.notes] == ["kept"]


class TestWaiting:
    DEFERRED = Waiting(version_id=40, version="v40", until=LATER)

    def waiting_of(self, shown: Library, wanted: Entry) -> tuple[Waiting, ...]:
        [locked] = resolved(shown, wanted).entries
        return locked.waiting

    @pytest.mark.parametrize(
        ("deadlines", "wanted", "expected"),
        [
            ((LATER, None), request(4), [40]),
            ((LATER, None), request(4, "newest"), [40]),
            ((LATER, LATER, None, LATER), request(4), [40, 41]),
            ((None, LATER), request(4), []),
            ((None, LATER), request(4, "all"), [41]),
            ((None, LATER), replace(request(4), version=Count(2)), [41]),
            ((None, LATER), replace(request(4), version=Count(1)), []),
            ((LATER, None, None), replace(request(4), version=Count(1)), [40]),
            ((LATER, None, LATER), replace(request(4), version=Count(1)), [40]),
            ((LATER, None), request(4, 41), []),
            ((LATER, None), search_request(), [40]),
            ((LATER, None), search_request(versions=Count(1)), [40]),
            ((LATER, None), request(4, policy=Policy(early_access=ALLOW)), []),
            ((BEFORE, None), request(4), []),
            ((LATER, None), request(4, exclude_newer="2026-01-19"), []),
        ],
        ids=[
            "latest", "newest", "two", "behind", "all", "first 2", "first 1", "first of 1",
            "what the count leaves out", "pinned", "search", "search of first 1", "allowed", "over",
            "too young as well",
        ],
    )  # fmt: skip
    def test_what_would_come_first_if_it_were_free_is_noted(
        self, deadlines: Sequence[str | None], wanted: Request, expected: list[int]
    ) -> None:
        found = self.waiting_of(library(sold(*deadlines)), entry(wanted))
        assert [each.version_id for each in found] == expected

    def test_the_date_is_in_the_lock(self) -> None:
        assert self.waiting_of(library(sold(LATER, None)), entry(request(4))) == (self.DEFERRED,)

    def test_a_date_that_civitai_does_not_say_is_empty(self) -> None:
        versions: list[RemoteVersion] = [
            replace(remote_version(40), early_access=True),
            remote_version(41),
        ]
        found = self.waiting_of(library(remote_model(4, versions)), entry(request(4)))
        assert found == (replace(self.DEFERRED, until=""),)

    def test_it_goes_with_the_upgrade_that_takes_the_version(self) -> None:
        shown, wanted = library(sold(LATER, None)), entry(request(4))
        before = Lock(entries=resolved(shown, wanted).entries)
        day_after = datetime(2026, 7, 2, tzinfo=UTC)
        same = resolved(shown, wanted, previous=before, now=day_after)
        assert same.entries == before.entries
        after = resolved(shown, wanted, previous=before, upgrade=always, now=day_after)
        assert versions_of(after) == [40]
        assert after.entries[0].waiting == ()

    @pytest.mark.parametrize("wanted", [request(4), search_request()], ids=["entry", "search"])
    def test_it_goes_when_its_day_came_and_it_was_refused(self, wanted: Request) -> None:
        early = remote_version(41, [remote_file(1, "a.pt")], early_access_until=LATER)
        other = remote_model(5, [remote_version(50)])
        shown = library(remote_model(4, [early, remote_version(40)]), other)
        before = Lock(entries=resolved(shown, entry(wanted)).entries)
        assert [each.version_id for each in before.entries[0].waiting] == [41]
        after = resolved(
            shown,
            entry(wanted),
            previous=before,
            upgrade=always,
            now=datetime(2026, 7, 2, tzinfo=UTC),
        )
        assert [note.code for note in after.notes] == ["kept"]
        assert versions_of(after)[0] == 40
        assert after.entries[0].waiting == ()

    def test_one_hit_that_is_kept_brings_back_nothing_that_waited_for_another(self) -> None:
        wanted = entry(search_request())
        sold_five = [remote_version(51, early_access_until=LATER), remote_version(50)]
        first = library(remote_model(4, [remote_version(40)]), remote_model(5, sold_five))
        before = Lock(entries=resolved(first, wanted).entries)
        assert [each.version_id for each in before.entries[0].waiting] == [51]
        spoiled = [remote_version(41, [remote_file(1, "a.pt")]), remote_version(40)]
        after = resolved(
            library(remote_model(4, spoiled), remote_model(5, sold_five[1:])),
            wanted,
            previous=before,
            upgrade=always,
        )
        assert versions_of(after) == [40, 50]
        assert after.entries[0].waiting == ()

    def test_a_hit_that_is_not_seen_brings_back_nothing_either(self) -> None:
        sold_five = [remote_version(51, early_access_until=LATER), remote_version(50)]
        first = library(remote_model(4, [remote_version(40)]), remote_model(5, sold_five))
        before = Lock(entries=resolved(first, entry(search_request())).entries)
        edited = entry(search_request(prefer=Preference(size=("full",))))
        after = resolved(library(remote_model(5, sold_five[1:])), edited, previous=before)
        assert versions_of(after) == [40, 50]
        assert after.entries[0].waiting == ()

    def test_one_that_is_withdrawn_waits_no_more(self) -> None:
        wanted = entry(request(4))
        before = Lock(entries=resolved(library(sold(LATER, None)), wanted).entries)
        alone = library(remote_model(4, [remote_version(41)]))
        after = resolved(alone, wanted, previous=before, upgrade=always)
        assert after.entries[0].waiting == ()

    def test_a_changed_request_keeps_the_version_and_notes_what_waits_today(self) -> None:
        wanted = entry(request(4))
        before = Lock(entries=resolved(library(sold(None, None)), wanted).entries)
        changed = entry(request(4, prefer=Preference(size=("full",))))
        newer = remote_model(4, [remote_version(41, early_access_until=LATER), remote_version(40)])
        result = resolved(library(newer), changed, previous=before)
        assert versions_of(result) == [40]
        assert [each.version_id for each in result.entries[0].waiting] == [41]


def test_a_search_for_a_family_looks_among_the_versions_of_that_family() -> None:
    versions = [
        remote_version(40, base_model="Pony"),
        remote_version(41, base_model="SD 1.5", published_at="2026-05-31T00:00:00Z"),
        remote_version(42, base_model="SD 1.5"),
    ]
    wanted = search_request(
        Search(tag="style", base_models=("SD 1.5",)), exclude_newer="2026-05-01"
    )
    assert versions_of(resolved(library(remote_model(4, versions)), entry(wanted))) == [42]
