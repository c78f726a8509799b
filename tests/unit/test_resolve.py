from collections.abc import Callable
from dataclasses import replace

import pytest

from civsync.core.catalog import RemoteFile, RemoteModel, Scan
from civsync.core.codes import Code
from civsync.core.errors import IntegrityError
from civsync.core.exits import ExitCode
from civsync.core.limits import BATCH_IDS
from civsync.core.lock import Lock, LockedEntry
from civsync.core.questions import (
    AskModel,
    AskModels,
    AskModelsOfVersions,
    AskOwners,
    AskVersion,
    Models,
    Owners,
)
from civsync.core.request import EarlyAccess, Entry, FileSelector, Policy, Preference, Request
from civsync.decide.resolve import Resolution, resolve
from support.factories import (
    NOW,
    Library,
    always,
    entry,
    library,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    sha256_of,
)


def versions_of(resolution: Resolution) -> list[int]:
    return [
        version
        for locked in resolution.entries
        for version in dict.fromkeys(file.version_id for file in locked.files)
    ]


def files_of(resolution: Resolution) -> list[int]:
    return [file.file_id for locked in resolution.entries for file in locked.files]


def codes_of(resolution: Resolution) -> list[Code]:
    return [error.code for _, error in resolution.failures]


def notes_of(resolution: Resolution) -> list[str]:
    return [note.code for note in resolution.notes]


def lock_of(shown: Library, *entries: Entry) -> Lock:
    resolution = resolved(shown, *entries)
    assert resolution.failures == ()
    shown.asked.clear()
    return Lock(entries=resolution.entries)


def changed(locked: Lock, change: Callable[[LockedEntry], LockedEntry]) -> Lock:
    return Lock(entries=tuple(change(each) for each in locked.entries))


def one_version(*files: RemoteFile) -> RemoteModel:
    return remote_model(4, [remote_version(40, files)])


LATEST = entry(request(4))
PINNED = entry(request(4, 40))
ALONE = entry(request(None, 40))


class TestQuestions:
    def test_a_thousand_shown_models_cost_ten_requests(self) -> None:
        shown = library(*(remote_model(number) for number in range(1, 1001)))
        result = resolved(shown, *(entry(request(number)) for number in range(1, 1001)))
        assert len(shown.asked) == 10
        assert len(result.entries) == 1000
        assert all(isinstance(q, AskModels) and len(q.ids) <= BATCH_IDS for q in shown.asked)

    def test_ids_are_asked_once_and_in_order(self) -> None:
        shown = library(remote_model(4), remote_model(2))
        wanted = [entry(request(4)), entry(request(4, 40)), entry(request(2))]
        resolved(shown, *wanted)
        assert shown.asked == [AskModels((2, 4))]

    @pytest.mark.parametrize(
        ("wanted", "model_hidden", "asked"),
        [
            (LATEST, False, [AskModel(4)]),
            (PINNED, False, [AskModel(4)]),
            (LATEST, True, [AskModel(4)]),
            (PINNED, True, [AskModel(4), AskVersion(40)]),
        ],
        ids=["latest-shown-singly", "pinned-shown-singly", "latest-hidden", "pinned-hidden"],
    )
    def test_what_a_batch_leaves_out_is_asked_for_singly(
        self, wanted: Entry, model_hidden: bool, asked: list[object]
    ) -> None:
        shown = replace(
            library(remote_model(4)),
            batch_hides=frozenset({4}),
            model_hides=frozenset({4} if model_hidden else ()),
        )
        resolved(shown, wanted)
        assert shown.asked == [AskModels((4,)), *asked]

    def test_a_pinned_version_that_the_batch_drops_is_asked_for_before_it_fails(self) -> None:
        hidden = frozenset({40})
        shown = replace(library(remote_model(4)), batch_drops=hidden, model_drops=hidden)
        assert versions_of(resolved(shown, PINNED)) == [40]
        assert shown.asked == [AskModels((4,)), AskModel(4), AskVersion(40)]

    def test_versions_without_a_model_are_batched_too(self) -> None:
        shown = library(*(remote_model(number) for number in range(1, 251)))
        wanted = [entry(request(None, number * 10)) for number in range(1, 251)]
        assert len(resolved(shown, *wanted).entries) == 250
        assert [type(q) for q in shown.asked] == [AskModelsOfVersions] * 3

    def test_a_version_that_a_batch_leaves_out_is_asked_for_once(self) -> None:
        shown = replace(library(remote_model(4)), batch_drops=frozenset({40}))
        assert versions_of(resolved(shown, ALONE)) == [40]
        assert shown.asked == [AskModelsOfVersions((40,)), AskVersion(40)]

    def test_all_batches_are_asked_at_the_same_time(self) -> None:
        conversation = resolve([entry(request(n)) for n in range(1, 302)], Lock(), now=NOW)
        assert len(next(conversation)) == 4

    def test_nothing_is_asked_for_an_empty_manifest(self) -> None:
        shown = library()
        assert resolved(shown) == Resolution()
        assert shown.asked == []

    def test_an_answer_of_the_wrong_kind_is_a_mistake_of_the_source(self) -> None:
        conversation = resolve([LATEST], Lock(), now=NOW)
        next(conversation)
        with pytest.raises(TypeError):
            conversation.send((Owners({}),))

    def test_models_that_were_not_asked_for_are_not_locked(self) -> None:
        conversation = resolve([LATEST], Lock(), now=NOW)
        next(conversation)
        with pytest.raises(StopIteration) as end:
            conversation.send((Models((remote_model(5), remote_model(4))),))
        assert [locked.key for locked in end.value.value.entries] == ["4@latest"]


class TestVersions:
    MODEL = remote_model(
        4,
        [
            remote_version(43, name="V3", base_model="SD 1.5", published_at="2024-01-03T00:00:00Z"),
            remote_version(45, name="XL", base_model="SDXL 1.0", published_at=None),
            remote_version(44, name="V4", base_model="SD 1.5", published_at="2024-02-01T00:00:00Z"),
            remote_version(42, name="v4 ", base_model="Pony", published_at="2023-02-01T00:00:00"),
        ],
    )

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (request(4), 43),
            (request(4, "newest"), 44),
            (request(4, "latest", base_model="sdxl 1.0"), 45),
            (request(4, "newest", base_model="SD 1.5"), 44),
            (request(4, 42), 42),
            (request(4, "V4"), 44),
            (request(4, "xl"), 45),
            (request(4, "V4", base_model="Pony"), 42),
        ],
        ids=str,
    )
    def test_the_version_that_was_asked_for(self, wanted: Request, expected: int) -> None:
        assert versions_of(resolved(library(self.MODEL), entry(wanted))) == [expected]

    @pytest.mark.parametrize(
        ("wanted", "says", "hint"),
        [
            (request(4, "V5"), '44 "V4" (SD 1.5)', "Pick one of the versions listed."),
            (request(4, "Photo V1"), '46 "Photo V2" (Pony)', "Did you mean `Photo V2`?"),
            (request(4, "twin"), "no single version", "Name the version by its id."),
            (request(4, base_model="SD 1.4"), "SDXL 1.0", "Did you mean `SD 1.5`?"),
            (request(4, 99), "has no version 99", "Pick one of the versions listed."),
            (request(4, 46, base_model="SD 1.5"), 'not for "SD 1.5"', "leave it out"),
        ],
        ids=["name", "nearest", "ambiguous", "base-model", "id", "id-of-other-base-model"],
    )
    def test_an_unknown_version_lists_those_there_are(
        self, wanted: Request, says: str, hint: str
    ) -> None:
        more = [
            remote_version(46, name="Photo V2", base_model="Pony"),
            remote_version(1, name="Twin"),
            remote_version(2, name="TWIN"),
        ]
        model = remote_model(4, [*self.MODEL.versions, *more])
        result = resolved(library(model), entry(wanted))
        assert codes_of(result) == [Code.UNKNOWN_VERSION]
        error = result.failures[0][1]
        assert says in error.message
        assert hint in error.hint
        assert error.place is not None
        assert error.exit is ExitCode.INVALID

    def test_latest_is_the_first_shown_where_there_is_no_index(self) -> None:
        versions = tuple(remote_version(number, model_id=4) for number in (41, 43, 42))
        shown = library(replace(remote_model(4), versions=versions))
        assert versions_of(resolved(shown, LATEST)) == [41]

    def test_a_version_of_another_model_names_the_right_one(self) -> None:
        shown = library(remote_model(4), remote_model(7))
        result = resolved(shown, entry(request(4, 70)))
        assert codes_of(result) == [Code.VERSION_OF_OTHER_MODEL]
        assert result.failures[0][1].data == {"version_id": 70, "model_id": 7}

    def test_latest_cannot_be_told_from_one_version(self) -> None:
        hidden = frozenset({4})
        shown = replace(library(remote_model(4)), batch_hides=hidden, model_hides=hidden)
        assert codes_of(resolved(shown, LATEST)) == [Code.UNKNOWN_MODEL]


class TestRefusals:
    @pytest.mark.parametrize(
        ("model", "code", "status"),
        [
            (remote_model(4, []), Code.UNLOCKABLE, 65),
            (one_version(), Code.UNLOCKABLE, 65),
            (replace(one_version(), mode="Archived"), Code.ARCHIVED, 7),
            (
                remote_model(4, [remote_version(40, usage_control="Generation")]),
                Code.DOWNLOADS_DISABLED,
                6,
            ),
            (one_version(remote_file(1, size=None)), Code.UNLOCKABLE, 65),
            (one_version(remote_file(1, sha256=None)), Code.NO_HASH, 65),
            (one_version(remote_file(1, virus_scan=Scan.PENDING)), Code.SCAN_MISSING, 65),
            (one_version(remote_file(1, pickle_scan=Scan.DANGER)), Code.SCAN_MISSING, 65),
            (one_version(remote_file(1, "a.pt")), Code.PICKLE_DENIED, 65),
        ],
        ids=[
            "no-versions", "no-files", "archived", "downloads-disabled", "no-size", "no-hash",
            "scan-pending", "scan-danger", "pickle",
        ],
    )  # fmt: skip
    def test_what_cannot_be_locked_says_why(
        self, model: RemoteModel, code: Code, status: int
    ) -> None:
        result = resolved(library(model), LATEST)
        assert result.entries == ()
        assert codes_of(result) == [code]
        error = result.failures[0][1]
        assert (error.exit, error.subject) == (status, "4@latest")

    def test_an_id_that_never_existed_is_an_error_of_the_manifest(self) -> None:
        result = resolved(library(), LATEST, ALONE)
        assert codes_of(result) == [Code.UNKNOWN_VERSION, Code.UNKNOWN_MODEL]
        assert all(error.exit is ExitCode.INVALID for _, error in result.failures)

    def test_one_failure_takes_nothing_from_the_others(self) -> None:
        result = resolved(library(remote_model(5)), LATEST, entry(request(5)))
        assert [locked.key for locked in result.entries] == ["5@latest"]
        assert codes_of(result) == [Code.UNKNOWN_MODEL]

    def test_an_unscanned_file_is_locked_without_a_hash_where_that_is_allowed(self) -> None:
        file = remote_file(1, sha256=None, pickle_scan=Scan.PENDING, virus_scan=Scan.PENDING)
        shown = library(remote_model(4, [remote_version(40, [file])]))
        result = resolved(shown, entry(request(4, allow_unverified=True)))
        assert [file.sha256 for locked in result.entries for file in locked.files] == [""]
        assert notes_of(result) == ["unverified", "scan-waived", "scan-waived"]

    def test_a_failed_scan_is_never_waived_by_allow_unverified(self) -> None:
        file = remote_file(1, sha256=None, pickle_scan=Scan.DANGER)
        shown = library(remote_model(4, [remote_version(40, [file])]))
        result = resolved(shown, entry(request(4, allow_unverified=True)))
        assert codes_of(result) == [Code.SCAN_MISSING]

    def test_early_access_that_was_bought_is_locked_with_its_deadline(self) -> None:
        version = remote_version(40, early_access_until="2030-01-01T00:00:00Z")
        bought = request(4)
        bought = replace(bought, policy=Policy(early_access=EarlyAccess.ALLOW))
        result = resolved(library(remote_model(4, [version])), entry(bought))
        assert versions_of(result) == [40]
        assert notes_of(result) == ["early-access"]
        assert "2030-01-01" in result.notes[0].message


class TestSmallestChange:
    OLD = remote_model(4, [remote_version(40)])
    NEW = remote_model(4, [remote_version(41), remote_version(40)])

    def test_what_is_locked_as_wanted_is_not_asked_about(self) -> None:
        before = lock_of(library(self.OLD), LATEST)
        shown = library(self.NEW)
        assert resolved(shown, LATEST, previous=before).entries == before.entries
        assert shown.asked == []

    def test_an_upgrade_moves(self) -> None:
        before = lock_of(library(self.OLD), LATEST)
        result = resolved(library(self.NEW), LATEST, previous=before, upgrade=always)
        assert versions_of(result) == [41]

    def test_what_is_held_is_not_upgraded(self) -> None:
        held = replace(LATEST, hold="V6 changes skin tones")
        before = lock_of(library(self.OLD), held)
        shown = library(self.NEW)
        result = resolved(shown, held, previous=before, upgrade=always)
        assert versions_of(result) == [40]
        assert shown.asked == []

    def test_another_preference_keeps_the_locked_version(self) -> None:
        before = lock_of(library(self.OLD), LATEST)
        other = entry(request(4, prefer=Preference(precision=("fp32",))))
        assert versions_of(resolved(library(self.NEW), other, previous=before)) == [40]

    def test_a_locked_version_that_does_not_fit_any_more_is_left(self) -> None:
        before = lock_of(library(self.OLD), LATEST)
        gguf = remote_file(7, "a.gguf")
        model = remote_model(4, [remote_version(41, [gguf]), remote_version(40)])
        other = entry(request(4, prefer=Preference(format=("GGUF",))))
        assert versions_of(resolved(library(model), other, previous=before)) == [41]

    def test_a_held_version_that_does_not_fit_any_more_is_an_error(self) -> None:
        before = lock_of(library(self.OLD), LATEST)
        model = remote_model(
            4, [remote_version(41, [remote_file(7, "a.gguf")]), remote_version(40)]
        )
        other = entry(request(4, prefer=Preference(format=("GGUF",))), hold="skin")
        result = resolved(library(model), other, previous=before)
        assert codes_of(result) == [Code.NO_MATCHING_FILE]
        assert result.entries == before.entries

    def test_a_file_renamed_upstream_keeps_its_name_until_it_is_upgraded(self) -> None:
        old = remote_model(4, [remote_version(40, [remote_file(1, "old.safetensors")])])
        new = remote_model(4, [remote_version(40, [remote_file(1, "new.safetensors")])])
        before = lock_of(library(old), LATEST)
        other = entry(request(4, prefer=Preference(precision=("fp32",))))
        kept = resolved(library(new), other, previous=before)
        followed = resolved(library(new), LATEST, previous=before, upgrade=always)
        assert kept.entries[0].files[0].name == "old.safetensors"
        assert followed.entries[0].files[0].name == "new.safetensors"
        assert notes_of(kept) == notes_of(followed) == ["renamed"]

    def test_an_edited_lock_is_mended_and_stays_mended(self) -> None:
        before = lock_of(library(self.OLD), entry(request(4, "v40")))

        def edit(locked: LockedEntry) -> LockedEntry:
            return replace(locked, files=(replace(locked.files[0], version="v99"),))

        result = resolved(
            library(self.OLD), entry(request(4, "v40")), previous=changed(before, edit)
        )
        assert result.entries == before.entries

    def test_entries_that_the_manifest_dropped_are_left_out(self) -> None:
        before = lock_of(library(self.OLD, remote_model(5)), LATEST, entry(request(5)))
        assert [e.key for e in resolved(library(), LATEST, previous=before).entries] == ["4@latest"]


class TestWhatDisappears:
    MODEL = remote_model(4)
    HIDDEN = frozenset({4})
    STALE = entry(request(4, prefer=Preference(precision=("fp32",))))

    @pytest.mark.parametrize("wanted", [LATEST, PINNED, ALONE], ids=lambda each: each.key)
    def test_a_model_that_one_run_cannot_find_stays_locked(self, wanted: Entry) -> None:
        before = lock_of(library(self.MODEL), wanted)
        asked = replace(wanted.request, prefer=Preference(size=("full",)))
        result = resolved(library(), replace(wanted, request=asked), previous=before)
        assert result.entries == before.entries
        assert result.failures == ()
        assert notes_of(result) == ["kept"]

    @pytest.mark.parametrize("wanted", [LATEST, PINNED, ALONE], ids=lambda each: each.key)
    def test_only_an_upgrade_that_asked_every_endpoint_says_gone(self, wanted: Entry) -> None:
        before = lock_of(library(self.MODEL), wanted)
        shown = library()
        result = resolved(shown, wanted, previous=before, upgrade=always)
        assert [locked.gone for locked in result.entries] == [True]
        assert [locked.files for locked in result.entries] == [before.entries[0].files]
        assert isinstance(shown.asked[-1], AskVersion)
        assert notes_of(result) == ["gone"]

    def test_a_hidden_model_with_a_visible_version_is_not_gone(self) -> None:
        before = lock_of(library(self.MODEL), LATEST)
        shown = replace(library(self.MODEL), batch_hides=self.HIDDEN, model_hides=self.HIDDEN)
        result = resolved(shown, LATEST, previous=before, upgrade=always)
        assert result.entries == before.entries
        assert notes_of(result) == ["kept"]

    def test_a_hidden_model_is_locked_anew_by_its_locked_version(self) -> None:
        before = lock_of(library(self.MODEL), LATEST)
        shown = replace(library(self.MODEL), batch_hides=self.HIDDEN, model_hides=self.HIDDEN)
        result = resolved(shown, self.STALE, previous=before)
        assert versions_of(result) == [41]
        assert result.entries[0].request["prefer.precision"] == "fp32"
        assert result.entries[0].files[0].creator == "someone"

    def test_what_came_back_is_not_gone_any_more(self) -> None:
        before = lock_of(library(self.MODEL), LATEST)
        gone = changed(before, lambda locked: replace(locked, gone=True))
        result = resolved(library(self.MODEL), LATEST, previous=gone, upgrade=always)
        assert result.entries == before.entries

    def test_an_upgrade_of_an_archived_model_keeps_it_without_failing(self) -> None:
        before = lock_of(library(self.MODEL), LATEST)
        archived = remote_model(4, [remote_version(40, [])], mode="Archived")
        result = resolved(library(archived), LATEST, previous=before, upgrade=always)
        assert result.entries == before.entries
        assert (codes_of(result), notes_of(result)) == ([], ["kept"])

    def test_an_archived_model_that_is_asked_for_anew_fails_and_stays_locked(self) -> None:
        before = lock_of(library(self.MODEL), LATEST)
        archived = remote_model(4, [remote_version(41, [])], mode="Archived")
        result = resolved(library(archived), self.STALE, previous=before)
        assert result.entries == before.entries
        assert codes_of(result) == [Code.ARCHIVED]


class TestContent:
    def model(self, sha256: str | None, scan: Scan = Scan.SUCCESS) -> Library:
        file = remote_file(1, sha256=sha256, pickle_scan=scan, virus_scan=scan)
        return library(remote_model(4, [remote_version(41), remote_version(40, [file])]))

    @pytest.mark.parametrize("upgrade", [False, True], ids=["asked-anew", "upgrade"])
    def test_changed_content_of_a_file_is_an_alarm(self, upgrade: bool) -> None:
        before = lock_of(self.model(sha256_of(1)), PINNED)
        wanted = entry(request(4, 40, prefer=Preference(precision=("fp32",))))
        result = resolved(
            self.model(sha256_of(2)), wanted, previous=before, upgrade=lambda _: upgrade
        )
        assert result.entries == before.entries
        error = result.failures[0][1]
        assert isinstance(error, IntegrityError)
        assert error.exit is ExitCode.INTEGRITY
        assert sha256_of(1) in error.message
        assert sha256_of(2) in error.message

    def test_changed_content_is_not_dodged_by_another_version(self) -> None:
        first = library(remote_model(4, [remote_version(40, [remote_file(1)])]))
        before = lock_of(first, LATEST)
        wanted = entry(request(4, prefer=Preference(precision=("fp32",))))
        result = resolved(self.model(sha256_of(2)), wanted, previous=before)
        assert codes_of(result) == [Code.CONTENT_CHANGED]

    def test_changed_content_is_an_alarm_for_an_entry_that_is_new(self) -> None:
        before = lock_of(self.model(sha256_of(1)), PINNED)
        result = resolved(self.model(sha256_of(2)), PINNED, ALONE, previous=before)
        assert codes_of(result) == [Code.CONTENT_CHANGED]
        assert result.entries == before.entries

    def test_a_hash_that_a_run_recorded_is_kept(self) -> None:
        wanted = entry(request(4, 40, allow_unverified=True))
        first = resolved(self.model(None, Scan.PENDING), wanted).entries[0]
        recorded = replace(first, files=(replace(first.files[0], sha256=sha256_of(9)),))
        again = resolved(
            self.model(None, Scan.PENDING),
            wanted,
            previous=Lock(entries=(recorded,)),
            upgrade=always,
        )
        assert again.entries == (recorded,)

    @pytest.mark.parametrize(
        ("published", "size", "alarm"),
        [
            (sha256_of(9), 2048, False),
            (sha256_of(8), 2048, True),
            (None, 2048, False),
            (None, 2049, True),
        ],
        ids=["the same", "another hash", "still none", "another size"],
    )
    def test_a_recorded_hash_is_what_civitai_must_publish_later(
        self, published: str | None, size: int, alarm: bool
    ) -> None:
        def shown(sha256: str | None, size: int) -> Library:
            file = remote_file(1, sha256=sha256, size=size)
            return library(remote_model(4, [remote_version(40, [file])]))

        wanted = entry(request(4, 40, allow_unverified=True))
        first = resolved(shown(None, 2048), wanted).entries[0]
        recorded = replace(first, files=(replace(first.files[0], sha256=sha256_of(9)),))
        before = Lock(entries=(recorded,))
        result = resolved(shown(published, size), wanted, previous=before, upgrade=always)
        [file] = result.entries[0].files
        assert (file.sha256, file.size) == (sha256_of(9), 2048)
        assert codes_of(result) == ([Code.CONTENT_CHANGED] if alarm else [])

    def test_a_record_without_a_hash_is_asked_about_again(self) -> None:
        wanted = entry(request(4, 40, allow_unverified=True))
        before = Lock(entries=resolved(self.model(None), wanted).entries)
        result = resolved(self.model(sha256_of(1)), wanted, previous=before)
        assert result.entries[0].files[0].sha256 == sha256_of(1)


class TestLinkedVaes:
    VAE = remote_file(9, "vae.safetensors", type="VAE", linked=True)
    WANTED = entry(
        request(4, selectors=[FileSelector(type="Model"), FileSelector(type="VAE", optional=True)])
    )

    def shown(self, *, vae_id: int | None, owners: tuple[tuple[int, int], ...] = ()) -> Library:
        version = remote_version(40, [remote_file(1), self.VAE], vae_id=vae_id)
        known = {sha256_of(9): owners} if owners else {}
        return replace(library(remote_model(4, [version])), owners=known)

    @pytest.mark.parametrize(
        ("vae_id", "owners", "asked", "expected"),
        [
            (77, (), False, 77),
            (None, ((8, 80), (7, 70)), True, 70),
            (None, ((7, 70), (4, 40)), True, None),
            (None, ((0, 70),), True, 70),
        ],
        ids=["told", "lowest-of-several", "the-host-itself", "model-not-said"],
    )
    def test_the_owner_is_found(
        self,
        vae_id: int | None,
        owners: tuple[tuple[int, int], ...],
        asked: bool,
        expected: int | None,
    ) -> None:
        shown = self.shown(vae_id=vae_id, owners=owners)
        result = resolved(shown, self.WANTED)
        assert [file.owner_version_id for file in result.entries[0].files] == [None, expected]
        assert (AskOwners((sha256_of(9),)) in shown.asked) is asked
        assert result.notes == ()

    def test_an_owner_that_nobody_knows_is_told(self) -> None:
        result = resolved(self.shown(vae_id=None), self.WANTED)
        assert [file.owner_version_id for file in result.entries[0].files] == [None, None]
        assert notes_of(result) == ["owner-unknown"]

    def test_an_owner_that_is_not_known_today_stays_as_locked(self) -> None:
        before = lock_of(self.shown(vae_id=77), self.WANTED)
        result = resolved(self.shown(vae_id=None), self.WANTED, previous=before, upgrade=always)
        assert result.entries == before.entries

    def test_of_two_such_files_the_own_one_is_told_from_the_linked_one(self) -> None:
        own = remote_file(8, "own.safetensors", type="VAE", linked=True)
        version = remote_version(40, [remote_file(1), own, self.VAE], vae_id=77)
        shown = replace(
            library(remote_model(4, [version])),
            owners={sha256_of(8): ((4, 40),), sha256_of(9): ((7, 77), (6, 60))},
        )
        wanted = entry(request(4, selectors=[FileSelector(id=8), FileSelector(id=9)]))
        result = resolved(shown, wanted)
        assert [file.owner_version_id for file in result.entries[0].files] == [None, 77]

    def test_owners_of_the_whole_run_cost_one_request(self) -> None:
        models = [
            remote_model(
                number,
                [remote_version(number * 10, [remote_file(number, type="VAE", linked=True)])],
                type="VAE",
            )
            for number in range(1, 51)
        ]
        shown = library(*models)
        resolved(shown, *(entry(request(number)) for number in range(1, 51)))
        assert [type(question) for question in shown.asked] == [AskModels, AskOwners]

    def test_nothing_is_asked_about_files_that_were_not_chosen(self) -> None:
        shown = self.shown(vae_id=None)
        resolved(shown, LATEST)
        assert shown.asked == [AskModels((4,))]
