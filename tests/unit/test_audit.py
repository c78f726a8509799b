"""Every rule of the audit, one world each: by the lock alone, and by what Civitai says today."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from civsync.core.catalog import License, RemoteModel, RemoteVersion, Scan
from civsync.core.exits import ExitCode
from civsync.core.limits import BATCH_IDS
from civsync.core.lock import Lock, LockedFile
from civsync.core.questions import AskModel, AskModels, AskVersion
from civsync.core.request import EarlyAccess, Entry, Policy, Request, Search
from civsync.decide.audit import audit, audit_offline
from civsync.decide.findings import Finding, Rule, Severity, exit_of_findings
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

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
GIVEN = License(commercial=("Image",), derivatives=True)
LATEST = entry(request(4))


def model_of(version: RemoteVersion | None = None, **facts: object) -> RemoteModel:
    model = remote_model(4, [version or remote_version(40, rating="PG")], license=GIVEN)
    return replace(model, **facts)  # type: ignore[arg-type]  # fields of a model, one a test


SHOWN = library(model_of())


def lock_of(shown: Library, *wanted: Entry) -> Lock:
    resolution = resolved(shown, *wanted)
    assert resolution.failures == ()
    shown.asked.clear()
    return Lock(entries=resolution.entries)


def audited(shown: Library, lock: Lock, *wanted: Entry) -> tuple[Finding, ...]:
    conversation = audit(wanted, lock, now=NOW)
    try:
        questions = next(conversation)
        while True:
            questions = conversation.send(tuple(shown.answer(each) for each in questions))
    except StopIteration as end:
        found: tuple[Finding, ...] = end.value
        return found


def outline(found: tuple[Finding, ...]) -> list[tuple[Severity, Rule, int]]:
    return [(each.severity, each.rule, each.exit) for each in found]


def with_policy(policy: Policy, wanted: Request = LATEST.request) -> Entry:
    return replace(LATEST, request=replace(wanted, policy=policy))


def edited(lock: Lock, change: Callable[[LockedFile], LockedFile]) -> Lock:
    return Lock(
        entries=tuple(
            replace(each, files=tuple(change(file) for file in each.files)) for each in lock.entries
        )
    )


def test_a_lock_that_is_as_upstream_has_no_findings() -> None:
    assert audited(SHOWN, lock_of(SHOWN, LATEST), LATEST) == ()
    assert audit_offline([LATEST], lock_of(SHOWN, LATEST), now=NOW) == ()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            model_of(remote_version(40, [remote_file(400, sha256=sha256_of(9))], rating="PG")),
            [(ERROR, Rule.CONTENT_CHANGED, 5)],
        ),
        (
            model_of(remote_version(40, [remote_file(400, size=1001)], rating="PG")),
            [(ERROR, Rule.SIZE_CHANGED, 5)],
        ),
        (
            model_of(remote_version(40, [remote_file(400, sha256=None)], rating="PG")),
            [(WARNING, Rule.UNVERIFIED, 0)],
        ),
        (
            model_of(remote_version(40, [remote_file(401)], rating="PG")),
            [(ERROR, Rule.FILE_GONE, 7)],
        ),
        (model_of(remote_version(41)), [(ERROR, Rule.GONE, 7)]),
        (
            model_of(remote_version(40, [], rating="PG"), mode="Archived"),
            [(ERROR, Rule.ARCHIVED, 7)],
        ),
        (model_of(mode="TakenDown"), [(WARNING, Rule.TAKEN_DOWN, 0)]),
        (
            model_of(remote_version(40, rating="PG", usage_control="Generation")),
            [(ERROR, Rule.DOWNLOADS_DISABLED, 6)],
        ),
        (
            model_of(remote_version(40, [remote_file(400, virus_scan=Scan.DANGER)], rating="PG")),
            [(ERROR, Rule.SCANS, 8)],
        ),
        (
            model_of(remote_version(40, [remote_file(400, pickle_scan=Scan.PENDING)], rating="PG")),
            [(ERROR, Rule.SCANS, 8)],
        ),
        (model_of(license=License(derivatives=True)), [(WARNING, Rule.LICENSE_CHANGED, 0)]),
        (
            model_of(license=replace(GIVEN, different_license=True)),
            [(NOTE, Rule.LICENSE_CHANGED, 0)],
        ),
        (model_of(remote_version(40, rating="X")), [(WARNING, Rule.RATING_CHANGED, 0)]),
        (model_of(creator="other"), [(NOTE, Rule.CREATOR_RENAMED, 0)]),
        (
            model_of(remote_version(40, rating="PG", early_access_until="2026-07-01T00:00:00Z")),
            [(WARNING, Rule.EARLY_ACCESS, 0)],
        ),
    ],
    ids=[
        "other bytes", "another size", "no hash published", "file not listed", "version gone",
        "archived", "taken down", "downloads disabled", "danger", "scan pending again",
        "license lost", "license won", "more mature", "renamed", "sold again",
    ],
)  # fmt: skip
def test_what_changed_upstream_is_found(
    now: RemoteModel, expected: list[tuple[Severity, Rule, int]]
) -> None:
    assert outline(audited(library(now), lock_of(SHOWN, LATEST), LATEST)) == expected


def test_a_finding_names_entry_file_and_place() -> None:
    (found,) = audited(library(), lock_of(SHOWN, LATEST), LATEST)
    assert (found.entry, found.place) == ("4@latest", LATEST.place)
    assert found.file is not None
    assert found.file.file_id == 400


def test_a_license_that_was_lost_says_what() -> None:
    lost = library(model_of(license=License(derivatives=True)))
    (found,) = audited(lost, lock_of(SHOWN, LATEST), LATEST)
    assert found.message == 'the license of model 4 "model4" lost: commercial-image'


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (Policy(license=("commercial-sell",)), Rule.LICENSE),
        (Policy(rating="PG"), Rule.RATING),
        (Policy(max_size=999), Rule.MAX_SIZE),
        (Policy(allow_creators=("nobody",)), Rule.CREATORS_ALLOW),
        (Policy(deny_creators=("SOMEONE",)), Rule.CREATORS_DENY),
    ],
    ids=["license", "rating", "size", "allow", "deny"],
)
@pytest.mark.parametrize("offline", [False, True], ids=["asked", "offline"])
def test_a_policy_that_was_tightened_finds_what_is_locked_against_it(
    policy: Policy, rule: Rule, offline: bool
) -> None:
    shown = library(model_of(remote_version(40, rating="X")))
    lock = lock_of(shown, LATEST)
    wanted = with_policy(policy)
    found = audit_offline([wanted], lock, now=NOW) if offline else audited(shown, lock, wanted)
    assert outline(found) == [(ERROR, rule, 8)]


@pytest.mark.parametrize("offline", [False, True], ids=["asked", "offline"])
def test_a_pickle_is_found_once_pickles_are_denied(offline: bool) -> None:
    shown = library(model_of(remote_version(40, [remote_file(400, "a.pt")], rating="PG")))
    lock = lock_of(shown, with_policy(Policy(allow_pickle=True)))
    found = audit_offline([LATEST], lock, now=NOW) if offline else audited(shown, lock, LATEST)
    assert outline(found) == [(ERROR, Rule.PICKLE, 8)]


def test_fresh_facts_decide_not_those_of_the_lock() -> None:
    wanted = with_policy(Policy(license=("commercial-image",), rating="PG"))
    lock = lock_of(SHOWN, wanted)
    now = library(model_of(remote_version(40, rating="R"), license=License()))
    assert [each.rule for each in audited(now, lock, wanted)] == [
        Rule.LICENSE_CHANGED,
        Rule.RATING_CHANGED,
        Rule.LICENSE,
        Rule.RATING,
    ]
    assert audit_offline([wanted], lock, now=NOW) == ()


def test_a_scan_that_the_policy_does_not_ask_for_is_a_warning() -> None:
    wanted = with_policy(Policy(scans=()))
    bad = remote_version(40, [remote_file(400, virus_scan=Scan.DANGER)], rating="PG")
    found = audited(library(model_of(bad)), lock_of(SHOWN, wanted), wanted)
    assert outline(found) == [(WARNING, Rule.SCAN_CHANGED, 0)]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (EarlyAccess.ALLOW, (NOTE, Rule.EARLY_ACCESS, 0)),
        (EarlyAccess.DEFER, (WARNING, Rule.EARLY_ACCESS, 0)),
        (EarlyAccess.FAIL, (ERROR, Rule.EARLY_ACCESS, 8)),
    ],
    ids=str,
)
def test_early_access_weighs_as_the_policy_says(
    choice: EarlyAccess, expected: tuple[Severity, Rule, int]
) -> None:
    sold = remote_version(40, rating="PG", early_access_until="2026-07-01T00:00:00Z")
    wanted = with_policy(Policy(early_access=choice))
    found = audited(library(model_of(sold)), lock_of(SHOWN, LATEST), wanted)
    assert outline(found) == [expected]


class TestUnverified:
    WAIVED = entry(request(4, allow_unverified=True))
    BARE = library(
        model_of(
            remote_version(
                40,
                [remote_file(400, sha256=None, pickle_scan=Scan.PENDING, virus_scan=Scan.PENDING)],
            )
        )
    )

    def test_a_file_without_any_hash_is_an_error(self) -> None:
        lock = lock_of(self.BARE, self.WAIVED)
        expected = [(ERROR, Rule.UNVERIFIED, 8)]
        assert outline(audited(self.BARE, lock, self.WAIVED)) == expected
        assert outline(audit_offline([self.WAIVED], lock, now=NOW)) == expected

    def test_a_recorded_hash_that_nobody_else_confirms_is_a_warning(self) -> None:
        lock = edited(
            lock_of(self.BARE, self.WAIVED), lambda file: replace(file, sha256=sha256_of(1))
        )
        assert outline(audited(self.BARE, lock, self.WAIVED)) == [(WARNING, Rule.UNVERIFIED, 0)]

    def test_a_hash_that_is_published_now_must_be_the_recorded_one(self) -> None:
        lock = edited(
            lock_of(self.BARE, self.WAIVED), lambda file: replace(file, sha256=sha256_of(1))
        )
        found = audited(SHOWN, lock, self.WAIVED)
        assert (ERROR, Rule.CONTENT_CHANGED, 5) in outline(found)


class TestWhatIsShown:
    def test_a_model_that_only_its_version_still_shows_is_gone(self) -> None:
        hidden = replace(SHOWN, batch_hides=frozenset({4}), model_hides=frozenset({4}))
        # The endpoint of a version says nothing of license and creator: nothing changed.
        assert outline(audited(hidden, lock_of(SHOWN, LATEST), LATEST)) == [
            (ERROR, Rule.MODEL_GONE, 7)
        ]

    def test_what_a_batch_hides_is_asked_for_singly_and_is_not_gone(self) -> None:
        hidden = replace(SHOWN, batch_hides=frozenset({4}))
        assert audited(hidden, lock_of(SHOWN, LATEST), LATEST) == ()
        assert [type(each) for each in hidden.asked] == [AskModels, AskModel]

    def test_nothing_is_gone_before_every_endpoint_was_asked(self) -> None:
        shown = library()
        assert outline(audited(shown, lock_of(SHOWN, LATEST), LATEST)) == [(ERROR, Rule.GONE, 7)]
        assert shown.asked == [AskModels((4,)), AskModel(4), AskVersion(40)]

    def test_a_thousand_models_of_a_search_cost_ten_requests(self) -> None:
        shown = library(*(remote_model(number) for number in range(1, 1001)))
        wanted = entry(search_request(Search(tag="style", limit=1000)))
        assert audited(shown, lock_of(shown, wanted), wanted) == ()
        assert len(shown.asked) == 10
        assert all(isinstance(q, AskModels) and len(q.ids) <= BATCH_IDS for q in shown.asked)

    def test_an_upgrade_that_found_nothing_is_remembered_offline(self) -> None:
        lock = lock_of(SHOWN, LATEST)
        gone = Lock(entries=tuple(replace(each, gone=True) for each in lock.entries))
        assert outline(audit_offline([LATEST], gone, now=NOW)) == [(ERROR, Rule.GONE, 7)]
        assert audited(SHOWN, gone, LATEST) == ()


def test_what_is_true_of_a_model_is_told_once_for_all_its_files() -> None:
    files = [remote_file(400, size_class="full"), remote_file(401, type="VAE")]
    version = remote_version(40, files, rating="PG")
    shown = library(model_of(version))
    both = replace(LATEST, request=replace(LATEST.request, policy=Policy()))
    lock = lock_of(shown, both)
    twice = Lock(entries=tuple(replace(each, files=each.files * 2) for each in lock.entries))
    found = audited(library(model_of(version, creator="other")), twice, both)
    assert outline(found) == [(NOTE, Rule.CREATOR_RENAMED, 0)]


def test_entries_that_only_one_side_has_are_warnings() -> None:
    lock = lock_of(SHOWN, LATEST)
    other = entry(request(5))
    found = audited(SHOWN, lock, other)
    assert [(each.entry, each.severity, each.rule) for each in found] == [
        ("5@latest", WARNING, Rule.STALE),
        ("4@latest", WARNING, Rule.STALE),
    ]
    assert SHOWN.asked == []


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ([], ExitCode.OK),
        ([Rule.GONE, Rule.ARCHIVED], ExitCode.GONE),
        ([Rule.GONE, Rule.SCANS], ExitCode.REFUSED),
        ([Rule.GONE, Rule.LICENSE, Rule.CONTENT_CHANGED], ExitCode.INTEGRITY),
        ([Rule.GONE, Rule.DOWNLOADS_DISABLED], ExitCode.PARTIAL),
    ],
    ids=["nothing", "gone", "gone and scans", "bytes win", "several kinds"],
)
def test_the_exit_status_is_that_of_the_gravest(rules: list[Rule], status: ExitCode) -> None:
    found = [Finding(severity=ERROR, rule=rule, entry="1@latest", message="x") for rule in rules]
    warning = Finding(severity=WARNING, rule=Rule.CONTENT_CHANGED, entry="x", message="x")
    assert exit_of_findings([warning, *found]) is status
