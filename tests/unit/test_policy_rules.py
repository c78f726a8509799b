"""Each rule of a policy at its border: what it lets in, and that the unknown fails closed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from civsync.core.catalog import License, RemoteModel, Scan
from civsync.core.codes import Code
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock, LockedEntry
from civsync.core.request import Entry, FileSelector, Policy, Preference
from civsync.decide.policy import Breach, breaches
from civsync.decide.resolve import Resolution
from civsync.decide.satisfy import shortfalls
from support.factories import (
    always,
    entry,
    library,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
)

GENEROUS = License(
    commercial=("Image", "RentCivit", "Rent", "Sell"),
    no_credit=True,
    derivatives=True,
    different_license=True,
)
WORDS = (
    "commercial-image",
    "commercial-rent-civit",
    "commercial-rent",
    "commercial-sell",
    "derivatives",
    "different-license",
    "no-credit",
)


def codes_of(resolution: Resolution) -> list[Code]:
    return [error.code for _, error in resolution.failures]


def ware(
    *,
    size: int | None = 1000,
    rating: str = "PG",
    creator: str = "ann",
    license: License = GENEROUS,  # noqa: A002 - the API's word
    pickle_scan: Scan = Scan.SUCCESS,
    virus_scan: Scan = Scan.SUCCESS,
    name: str = "a.safetensors",
) -> RemoteModel:
    """Model 4 with one version and one file."""
    file = remote_file(400, name, size=size, pickle_scan=pickle_scan, virus_scan=virus_scan)
    version = remote_version(40, [file], rating=rating)
    return remote_model(4, [version], creator=creator, license=license)


def locked(model: RemoteModel, policy: Policy) -> Resolution:
    return resolved(library(model), entry(request(4, policy=policy)))


class TestRules:
    @pytest.mark.parametrize(
        ("policy", "good", "bad", "found"),
        [
            *(
                (Policy(license=(word,)), ware(), ware(license=License()), "nothing that is known")
                for word in WORDS
            ),
            (
                Policy(license=("commercial-image", "derivatives")),
                ware(license=License(commercial=("Image",), derivatives=True)),
                ware(license=License(commercial=("Image",))),
                "the creator allows commercial-image",
            ),
            (
                Policy(license=("commercial-rent",)),
                ware(license=License(commercial=("Rent",))),
                ware(license=License(commercial=("RentCivit",))),
                "the creator allows commercial-rent-civit",
            ),
            (Policy(rating="PG"), ware(), ware(rating="PG13"), "it is rated PG13"),
            (Policy(rating="PG13"), ware(rating="PG13"), ware(rating="R"), "it is rated R"),
            (Policy(rating="X"), ware(rating="R"), ware(rating="XXX"), "it is rated XXX"),
            (Policy(rating="XXX"), ware(rating="XXX"), ware(rating="Blocked"), "rated Blocked"),
            (Policy(rating="XXX"), ware(), ware(rating=""), "it is not rated"),
            (Policy(rating="XXX"), ware(), ware(rating="Unheard"), "it is rated Unheard"),
            (Policy(max_size=1000), ware(), ware(size=1001), "it has 1,001 bytes"),
            (Policy(max_size=0), None, ware(size=1), "it has 1 bytes"),
            (Policy(allow_creators=("ann", "bob")), ware(), ware(creator="eve"), "it is by eve"),
            (Policy(allow_creators=("ANN",)), ware(), ware(creator=""), "is not known"),
            (Policy(deny_creators=("eve",)), ware(), ware(creator="Eve"), "it is by Eve"),
            (Policy(deny_creators=("eve",)), ware(), ware(creator=""), "is not known"),
        ],
        ids=lambda value: str(value) if not isinstance(value, RemoteModel | Policy | None) else "",
    )
    def test_a_rule_lets_in_and_keeps_out(
        self, policy: Policy, good: RemoteModel | None, bad: RemoteModel, found: str
    ) -> None:
        if good is not None:
            result = locked(good, policy)
            assert codes_of(result) == []
            [one] = result.entries
            assert shortfalls(request(4, policy=policy), one) == ()
        result = locked(bad, policy)
        assert (result.entries, codes_of(result)) == ((), [Code.POLICY_DENIED])
        assert found in result.failures[0][1].message

    def test_no_policy_refuses_nothing_unknown(self) -> None:
        model = ware(rating="", creator="", license=License())
        assert codes_of(locked(model, Policy())) == []

    def test_the_message_names_rule_file_and_line(self) -> None:
        policy = Policy(
            license=("commercial-sell",),
            rating="PG",
            max_size=10,
            allow_creators=("bob",),
            deny_creators=("ann",),
        )
        result = locked(ware(rating="X", license=License(commercial=("Image",))), policy)
        [(_, error)] = result.failures
        assert error.message == (
            "file 400 a.safetensors of version 40 is against"
            " `policy.license: commercial-sell` (the creator allows commercial-image);"
            " `policy.nsfw: PG` (it is rated X);"
            " `policy.max_size: 10` (it has 1,000 bytes);"
            " `policy.creators.allow: bob` (it is by ann);"
            " `policy.creators.deny: ann` (it is by ann)"
        )
        assert str(error.place) == "civsync.yaml:1:1"
        assert error.exit is ExitCode.INVALID
        assert error.data == {
            "file_id": 400,
            "version_id": 40,
            "rules": "policy.license, policy.nsfw, policy.max_size, policy.creators.allow,"
            " policy.creators.deny",
        }

    @pytest.mark.parametrize(
        ("policy", "model", "code"),
        [
            (Policy(), ware(name="a.pt"), Code.PICKLE_DENIED),
            (Policy(), ware(pickle_scan=Scan.PENDING), Code.SCAN_MISSING),
            (Policy(), ware(virus_scan=Scan.ERROR), Code.SCAN_MISSING),
            (Policy(scans=("virus",)), ware(virus_scan=Scan.DANGER), Code.SCAN_MISSING),
            (Policy(scans=("virus",)), ware(pickle_scan=Scan.DANGER), None),
            (Policy(scans=()), ware(virus_scan=Scan.DANGER), None),
            (Policy(allow_pickle=True), ware(name="a.pt"), None),
        ],
        ids=[
            "pickle", "pickle scan", "virus scan", "one scan", "the other scan", "no scans",
            "pickle allowed",
        ],
    )  # fmt: skip
    def test_pickles_and_scans(self, policy: Policy, model: RemoteModel, code: Code | None) -> None:
        assert codes_of(locked(model, policy)) == ([] if code is None else [code])

    def test_every_file_is_judged_and_one_refusal_refuses_the_entry(self) -> None:
        files = [remote_file(1), remote_file(2, type="VAE", size=10**9)]
        model = remote_model(4, [remote_version(40, files)])
        alone = request(4, policy=Policy(max_size=10**6))
        both = replace(alone, selectors=(FileSelector(type="Model"), FileSelector(type="VAE")))
        assert codes_of(resolved(library(model), entry(alone))) == []
        assert codes_of(resolved(library(model), entry(both))) == [Code.POLICY_DENIED]

    def test_breaches_are_values(self) -> None:
        [one] = locked(ware(), Policy()).entries
        found = breaches(one.files[0], Policy(max_size=10))
        assert found == (Breach("policy.max_size", "it has 1,000 bytes", "10"),)


class TestLockedBefore:
    MODEL = ware()
    FREE = entry(request(4))
    BEFORE = Lock(entries=resolved(library(MODEL), FREE).entries)

    def edited(self, change: Callable[[LockedEntry], LockedEntry]) -> Lock:
        return Lock(entries=tuple(change(each) for each in self.BEFORE.entries))

    @pytest.mark.parametrize(
        "policy",
        [
            Policy(license=("commercial-sell",)),
            Policy(rating="PG"),
            Policy(allow_creators=("ann",)),
            Policy(max_size=1000),
        ],
        ids=["license", "nsfw", "creators", "max_size"],
    )
    def test_a_lock_that_knew_nothing_learns_it_when_a_rule_asks(self, policy: Policy) -> None:
        """A lock of the first format has no rating, and one of a single version no license."""
        bare = self.edited(
            lambda each: replace(
                each,
                files=tuple(
                    replace(file, rating="", license="", published_at="") for file in each.files
                ),
            )
        )
        wanted = entry(request(4, policy=policy))
        result = resolved(library(self.MODEL), wanted, previous=bare)
        assert codes_of(result) == []
        assert shortfalls(wanted.request, result.entries[0]) == ()

    def test_rules_judge_what_civitai_says_today(self) -> None:
        wanted = entry(request(4, policy=Policy(rating="R")))
        worse = resolved(library(ware(rating="XXX")), wanted, previous=self.BEFORE)
        assert codes_of(worse) == [Code.POLICY_DENIED]
        assert worse.entries == self.BEFORE.entries

    def test_a_license_that_was_withdrawn_counts(self) -> None:
        wanted = entry(request(4, policy=Policy(license=("commercial-sell",))))
        result = resolved(library(ware(license=License())), wanted, previous=self.BEFORE)
        assert codes_of(result) == [Code.POLICY_DENIED]

    @pytest.mark.parametrize(
        "newer",
        [
            remote_version(41, [remote_file(410, size=10**9)], rating="PG"),
            remote_version(41, [remote_file(410, "a.pt")], rating="PG"),
            remote_version(41, [remote_file(410, virus_scan=Scan.PENDING)], rating="PG"),
            remote_version(41, [remote_file(410)], rating="X"),
            remote_version(41, [remote_file(410)]),
            remote_version(41, [remote_file(410, sha256=None)], rating="PG"),
            remote_version(41, [], rating="PG"),
            remote_version(41, [remote_file(410)], rating="PG", usage_control="Generation"),
        ],
        ids=[
            "too big", "pickle", "not scanned", "too mature", "not rated", "no hash", "no files",
            "generation only",
        ],
    )  # fmt: skip
    def test_an_upgrade_keeps_what_is_locked_where_the_new_one_is_refused(
        self, newer: object
    ) -> None:
        wanted = entry(request(4, policy=Policy(max_size=10**6, rating="PG")))
        before = Lock(entries=resolved(library(self.MODEL), wanted).entries)
        assert len(before.entries) == 1
        model = replace(
            self.MODEL,
            versions=remote_model(4, [newer, remote_version(40)]).versions,  # type: ignore[list-item]  # all are versions
        )
        result = resolved(library(model), wanted, previous=before, upgrade=always)
        assert result.entries == before.entries
        assert codes_of(result) == []
        [note] = result.notes
        assert note.code == "kept"
        assert "the locked files stay as they are" in note.message

    def test_a_first_lock_takes_no_older_version_for_what_is_refused(self) -> None:
        versions = [
            remote_version(41, [remote_file(410, size=10**9)]),
            remote_version(40, [remote_file(400)]),
        ]
        result = resolved(
            library(remote_model(4, versions)), entry(request(4, policy=Policy(max_size=10**6)))
        )
        assert codes_of(result) == [Code.POLICY_DENIED]

    def test_a_stricter_policy_takes_what_is_newer_where_that_will_do(self) -> None:
        versions = [
            remote_version(41, [remote_file(410)]),
            remote_version(40, [remote_file(400, size=10**9)]),
        ]
        old = library(remote_model(4, versions[1:]))
        before = Lock(entries=resolved(old, self.FREE).entries)
        wanted = entry(request(4, policy=Policy(max_size=10**6)))
        result = resolved(library(remote_model(4, versions)), wanted, previous=before)
        assert [file.version_id for file in result.entries[0].files] == [41]

    def test_an_upgrade_with_another_policy_keeps_what_it_allows(self) -> None:
        wanted = entry(request(4, policy=Policy(max_size=10**6)))
        newer = remote_model(
            4,
            [
                remote_version(41, [remote_file(410, size=10**9)]),
                remote_version(40, [remote_file(400, "a.safetensors")]),
            ],
        )
        result = resolved(library(newer), wanted, previous=self.BEFORE, upgrade=always)
        assert codes_of(result) == []
        assert [file.version_id for file in result.entries[0].files] == [40]
        assert [note.code for note in result.notes] == ["kept"]

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ({"license": ""}, "policy.license"),
            ({"rating": "XXX"}, "policy.nsfw"),
            ({"rating": ""}, "policy.nsfw"),
            ({"size": 10**9}, "policy.max_size"),
            ({"creator": "eve"}, "policy.creators.allow"),
            ({"virus_scan": "Danger"}, "policy.scans"),
            ({"pickle_scan": ""}, "policy.scans"),
            ({"name": "a.pt"}, "policy.pickle"),
        ],
        ids=str,
    )
    def test_a_lock_that_was_edited_against_the_policy_is_stale(
        self, change: dict[str, object], key: str
    ) -> None:
        policy = Policy(
            license=("commercial-sell",), rating="PG", max_size=10**6, allow_creators=("ann",)
        )
        wanted: Entry = entry(request(4, policy=policy))
        [good] = resolved(library(self.MODEL), wanted).entries
        bad = replace(good, files=(replace(good.files[0], **change),))  # type: ignore[arg-type]  # fields of a file
        assert key in {found for found, _, _ in shortfalls(wanted.request, bad)}


def test_a_failing_upgrade_is_no_way_around_a_preference_that_changed() -> None:
    """What is locked against a new preference is no way out of a failing upgrade."""
    old = remote_model(4, [remote_version(40, [remote_file(400)])])
    before = Lock(entries=resolved(library(old), entry(request(4))).entries)
    wanted = entry(request(4, prefer=Preference(format=("GGUF",))))
    result = resolved(library(old), wanted, previous=before, upgrade=always)
    assert codes_of(result) == [Code.NO_MATCHING_FILE]
