"""Every answer that `outdated` can give to "why not the newest?", one world each."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from civsync.cli.output import Output, OutputChoice
from civsync.cli.standing_text import tell_standings
from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.errors import CivsyncError
from civsync.core.lock import Lock
from civsync.core.questions import AskModel, AskModels, AskPage
from civsync.core.request import All, Count, EarlyAccess, Entry, Policy, Search
from civsync.decide.outdated import standings
from civsync.decide.standing import Standing, Why
from support.factories import (
    NOW,
    Library,
    entry,
    library,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    search_request,
    sha256_of,
)

LATEST = entry(request(4))
OLD = remote_version(40, name="V4")


def lock_of(shown: Library, *wanted: Entry) -> Lock:
    resolution = resolved(shown, *wanted)
    assert resolution.failures == ()
    shown.asked.clear()
    return Lock(entries=resolution.entries)


def told(shown: Library, lock: Lock, *wanted: Entry) -> list[Standing]:
    conversation = standings(wanted, lock, now=NOW)
    try:
        questions = next(conversation)
        while True:
            questions = conversation.send(tuple(shown.answer(each) for each in questions))
    except StopIteration as end:
        return list(end.value)


def after_moving(wanted: Entry, *versions: RemoteVersion) -> Standing:
    """How an entry stands that was locked when model 4 had OLD alone, and has `versions` now."""
    lock = lock_of(library(remote_model(4, [OLD])), wanted)
    (standing,) = told(library(remote_model(4, versions)), lock, wanted)
    return standing


def new_version(
    *files: RemoteFile,
    published_at: str | None = "2024-01-01T00:00:00Z",
    early_access_until: str | None = None,
    usage_control: str | None = None,
) -> RemoteVersion:
    return remote_version(
        41,
        files or None,
        name="V5",
        published_at=published_at,
        early_access_until=early_access_until,
        usage_control=usage_control,
    )


def outline(standing: Standing) -> tuple[list[int], list[int], list[int]]:
    return (
        [each.version_id for each in standing.locked],
        [each.version_id for each in standing.available],
        [each.version_id for each in standing.newest],
    )


def test_what_is_newest_already_is_current() -> None:
    standing = after_moving(LATEST, OLD)
    assert standing.is_current
    assert outline(standing) == ([40], [40], [40])


def test_a_newer_version_that_is_allowed_is_available() -> None:
    standing = after_moving(LATEST, new_version(), OLD)
    assert outline(standing) == ([40], [41], [41])
    assert standing.changes == ("files",)
    assert standing.reasons == ()


WEEK = replace(LATEST, request=replace(LATEST.request, exclude_newer="7 days"))
DATED = replace(LATEST, request=replace(LATEST.request, exclude_newer="2026-05-01"))


def with_policy(policy: Policy) -> Entry:
    return replace(LATEST, request=replace(LATEST.request, policy=policy))


@pytest.mark.parametrize(
    ("wanted", "version", "why", "rule", "allowed_from"),
    [
        (replace(LATEST, hold="skin tones"), new_version(), Why.HELD, "hold", ""),
        (
            WEEK,
            new_version(published_at="2026-05-30T00:00:00Z"),
            Why.TOO_NEW,
            "exclude_newer",
            "2026-06-06T00:00:00Z",
        ),
        (
            DATED,
            new_version(published_at="2026-05-30T00:00:00Z"),
            Why.TOO_NEW,
            "exclude_newer",
            "",
        ),
        (WEEK, new_version(published_at=None), Why.TOO_NEW, "exclude_newer", ""),
        (
            LATEST,
            new_version(early_access_until="2026-07-01T00:00:00Z"),
            Why.EARLY_ACCESS,
            "policy.early_access",
            "2026-07-01T00:00:00Z",
        ),
        (
            with_policy(Policy(early_access=EarlyAccess.FAIL)),
            new_version(early_access_until="2026-07-01T00:00:00Z"),
            Why.EARLY_ACCESS,
            "policy.early_access",
            "2026-07-01T00:00:00Z",
        ),
        (
            with_policy(Policy(max_size=1000)),
            new_version(remote_file(1, size=1001)),
            Why.POLICY,
            "policy.max_size",
            "",
        ),
        (LATEST, new_version(remote_file(1, "a.pt")), Why.POLICY, "policy.pickle", ""),
        (
            LATEST,
            new_version(remote_file(1, virus_scan=Scan.DANGER)),
            Why.POLICY,
            "policy.scans",
            "",
        ),
        (LATEST, new_version(remote_file(1, sha256=None)), Why.POLICY, "allow_unverified", ""),
        (LATEST, new_version(remote_file(1, "a.onnx")), Why.UNLOCKABLE, "", ""),
        (LATEST, new_version(usage_control="Generation"), Why.UNLOCKABLE, "", ""),
    ],
    ids=[
        "held", "too new for an age", "too new for a date", "no date", "early access",
        "early access that fails", "too large", "pickle", "danger", "no hash", "no file that fits",
        "downloads disabled",
    ],
)  # fmt: skip
def test_a_newer_version_that_must_not_be_locked_says_why(
    wanted: Entry, version: RemoteVersion, why: Why, rule: str, allowed_from: str
) -> None:
    standing = after_moving(wanted, version, OLD)
    assert outline(standing) == ([40], [40], [41])
    (reason,) = standing.reasons
    assert (reason.why, reason.rule, reason.allowed_from) == (why, rule, allowed_from)
    assert reason.version is not None
    assert reason.version.version == "V5"
    assert "files" not in standing.changes


def test_a_hold_is_told_with_its_reason() -> None:
    (reason,) = after_moving(replace(LATEST, hold="skin tones"), new_version(), OLD).reasons
    assert reason.text == "skin tones"


def test_each_version_on_the_way_to_the_available_one_has_its_own_reason() -> None:
    early = remote_version(43, early_access_until="2026-07-01T00:00:00Z")
    young = remote_version(42, published_at="2026-05-31T00:00:00Z")
    standing = after_moving(WEEK, early, young, new_version(), OLD)
    assert outline(standing) == ([40], [41], [43])
    assert [each.why for each in standing.reasons] == [Why.EARLY_ACCESS, Why.TOO_NEW]


class TestPins:
    MODEL = remote_model(
        4, [remote_version(42, base_model="Pony"), remote_version(41, name="V5"), OLD]
    )

    @pytest.mark.parametrize(
        "wanted",
        [entry(request(4, 40)), entry(request(None, 40)), entry(request(4, "V4"))],
        ids=["by id", "by id alone", "by name"],
    )
    def test_a_pin_is_compared_with_the_latest_for_the_same_base_model(self, wanted: Entry) -> None:
        shown = library(self.MODEL)
        (standing,) = told(shown, lock_of(shown, wanted), wanted)
        assert outline(standing) == ([40], [40], [41])
        assert [each.why for each in standing.reasons] == [Why.PINNED]
        assert standing.changes == ()

    def test_a_pin_on_the_latest_is_current(self) -> None:
        shown = library(self.MODEL)
        wanted = entry(request(None, 41))
        (standing,) = told(shown, lock_of(shown, wanted), wanted)
        assert standing.is_current

    def test_models_of_versions_named_alone_are_asked_for_together(self) -> None:
        shown = library(*(remote_model(number) for number in range(1, 151)))
        wanted = [entry(request(None, number * 10)) for number in range(1, 151)]
        found = told(shown, lock_of(shown, *wanted), *wanted)
        assert len(shown.asked) == 4
        assert all(each.reasons[0].why is Why.PINNED for each in found)


class TestFates:
    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda model: replace(model, mode="Archived"), [Why.ARCHIVED]),
            (lambda model: replace(model, mode="TakenDown"), [Why.TAKEN_DOWN]),
        ],
        ids=["archived", "taken down"],
    )
    def test_what_became_of_the_model_is_told(
        self, change: Callable[[RemoteModel], RemoteModel], why: list[Why]
    ) -> None:
        model = remote_model(4, [OLD])
        lock = lock_of(library(model), LATEST)
        (standing,) = told(library(change(model)), lock, LATEST)
        assert [each.why for each in standing.reasons] == why
        assert outline(standing)[:2] == ([40], [40])

    @pytest.mark.parametrize("hold", [None, "skin"], ids=["free", "held"])
    def test_what_no_endpoint_shows_is_gone(self, hold: str | None) -> None:
        wanted = replace(LATEST, hold=hold)
        lock = lock_of(library(remote_model(4, [OLD])), wanted)
        (standing,) = told(library(), lock, wanted)
        assert [each.why for each in standing.reasons] == [Why.GONE]
        assert standing.changes == (() if hold else ("gone",))
        assert outline(standing) == ([40], [40], [])

    def test_a_model_of_which_only_the_version_is_shown_is_unlisted(self) -> None:
        shown = library(remote_model(4, [OLD]))
        lock = lock_of(shown, LATEST)
        hidden = replace(shown, batch_hides=frozenset({4}), model_hides=frozenset({4}))
        (standing,) = told(hidden, lock, LATEST)
        assert [each.why for each in standing.reasons] == [Why.UNLISTED]
        assert standing.changes == ()

    def test_a_held_version_that_is_listed_no_more_is_told(self) -> None:
        standing = after_moving(replace(LATEST, hold="skin"), new_version())
        assert {each.why for each in standing.reasons} == {Why.UNLISTED, Why.HELD}

    def test_a_locked_file_that_a_scan_finds_dangerous_is_told(self) -> None:
        bad = remote_version(40, [remote_file(400, virus_scan=Scan.DANGER)], name="V4")
        standing = after_moving(LATEST, bad)
        assert [(each.why, each.rule) for each in standing.reasons] == [
            (Why.POLICY, "policy.scans")
        ]

    @pytest.mark.parametrize("hold", [None, "skin"], ids=["free", "held"])
    def test_other_bytes_under_a_locked_id_are_an_alarm(self, hold: str | None) -> None:
        other = remote_version(40, [remote_file(400, sha256=sha256_of(9))], name="V4")
        standing = after_moving(replace(LATEST, hold=hold), other)
        assert [each.why for each in standing.reasons] == [Why.FAILED]
        # An upgrade does not look at what is held, so only the other one makes it fail.
        assert isinstance(standing.failure, CivsyncError) is (hold is None)

    def test_what_waits_is_told_from_the_lock_when_the_model_is_gone(self) -> None:
        early = new_version(early_access_until="2026-07-01T00:00:00Z")
        lock = lock_of(library(remote_model(4, [early, OLD])), LATEST)
        (standing,) = told(library(), lock, LATEST)
        assert [(each.why, each.allowed_from) for each in standing.reasons] == [
            (Why.GONE, ""),
            (Why.EARLY_ACCESS, "2026-07-01T00:00:00Z"),
        ]

    def test_facts_that_changed_about_the_same_files_are_named(self) -> None:
        renamed = replace(OLD, name="Four", rating="R")
        standing = after_moving(LATEST, renamed)
        assert standing.changes == ("rating", "version")
        assert standing.reasons == ()


class TestMany:
    @pytest.mark.parametrize(
        ("version", "available"), [(All(), [40, 41]), (Count(2), [40, 41])], ids=["all", "first 2"]
    )
    def test_a_version_that_joins_is_available_and_one_that_is_barred_says_why(
        self, version: All | Count, available: list[int]
    ) -> None:
        wanted = entry(replace(request(4), version=version))
        early = remote_version(42, early_access_until="2026-07-01T00:00:00Z")
        standing = after_moving(wanted, early, new_version(), OLD)
        assert outline(standing)[:2] == ([40], available)
        assert [each.why for each in standing.reasons] == [Why.EARLY_ACCESS]

    def test_a_search_says_who_comes_who_goes_and_who_moves(self) -> None:
        wanted = entry(search_request(Search(tag="style")))
        lock = lock_of(library(remote_model(1), remote_model(2), remote_model(3)), wanted)
        moved = remote_model(2, [remote_version(22), remote_version(21), remote_version(20)])
        shown = library(remote_model(1), moved, remote_model(5))
        (standing,) = told(shown, lock, wanted)
        assert [each.model_id for each in standing.came] == [5]
        assert [each.model_id for each in standing.went] == [3]
        assert standing.moves == (2,)
        assert [type(each) for each in shown.asked] == [AskPage]

    def test_a_held_search_says_what_it_keeps_out(self) -> None:
        wanted = replace(entry(search_request(Search(tag="style"))), hold="enough")
        lock = lock_of(library(remote_model(1)), wanted)
        (standing,) = told(library(remote_model(1), remote_model(2)), lock, wanted)
        assert outline(standing) == ([11], [11], [11, 21])
        assert [(each.why, each.model_id) for each in standing.reasons] == [(Why.HELD, 2)]

    def test_a_search_that_finds_nothing_fails_and_drops_nobody(self) -> None:
        wanted = entry(search_request(Search(tag="style")))
        lock = lock_of(library(remote_model(1)), wanted)
        (standing,) = told(library(), lock, wanted)
        assert standing.failure is not None
        assert standing.changes == ()
        assert [each.why for each in standing.reasons][:1] == [Why.FAILED]


class TestText:
    """What people read; that a table is complete is tested through the command line."""

    def lines(
        self, capsys: pytest.CaptureFixture[str], *found: Standing, verbose: bool = False
    ) -> list[str]:
        tell_standings(found, Output(OutputChoice(verbose=verbose)))
        return capsys.readouterr().out.splitlines()

    def test_a_search_is_summed_up_and_lists_the_models_that_change(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wanted = entry(search_request(Search(tag="style")))
        lock = lock_of(library(remote_model(1), remote_model(2), remote_model(3)), wanted)
        moved = remote_model(2, [remote_version(22), remote_version(21), remote_version(20)])
        found = told(library(remote_model(1), moved, remote_model(5)), lock, wanted)
        assert self.lines(capsys, *found) == [
            "MODEL     LOCKED  UPGRADE  NEWEST  WHY",
            "?tag=style  3 models: 1 came, 1 went, 1 with other versions",
            "  model2  v21     v22      v22",
            "  model3  v31     -        -",
            "  model5  -       v51      v51",
        ]

    def test_a_long_search_lists_twenty_models_and_counts_the_rest(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wanted = entry(search_request(Search(tag="style", limit=50)))
        found = told(library(*(remote_model(n) for n in range(1, 51))), Lock(), wanted)
        assert self.lines(capsys, *found)[-1] == "  … and 30 more (--verbose shows all)"
        assert len(self.lines(capsys, *found, verbose=True)) == 52

    def test_an_entry_of_which_nothing_is_known_is_named_by_its_key(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (_, line) = self.lines(capsys, *told(library(), Lock(), LATEST))
        assert line.split()[:4] == ["4@latest", "-", "-", "-"]
        assert line.endswith("no endpoint of Civitai shows a model 4")


class TestQuestions:
    def test_a_thousand_models_cost_ten_requests(self) -> None:
        shown = library(*(remote_model(number) for number in range(1, 1001)))
        wanted = [entry(request(number)) for number in range(1, 1001)]
        held = [replace(each, hold="it is good") for each in wanted[:500]]
        told(shown, lock_of(shown, *wanted), *held, *wanted[500:])
        assert len(shown.asked) == 10
        assert {type(each) for each in shown.asked} == {AskModels}

    def test_only_the_chosen_entries_are_asked_about(self) -> None:
        shown = library(remote_model(4), remote_model(5))
        lock = lock_of(shown, LATEST, entry(request(5)))
        told(replace(shown, batch_hides=frozenset({4})), lock, LATEST)
        assert shown.asked == [AskModels((4,)), AskModel(4)]

    def test_an_entry_that_is_not_locked_yet_would_be(self) -> None:
        (standing,) = told(library(remote_model(4)), Lock(), LATEST)
        assert outline(standing) == ([], [41], [41])
        assert standing.changes == ("files",)
