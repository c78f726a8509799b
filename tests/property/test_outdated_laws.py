"""`outdated` says what an upgrade does: laws over random worlds, before and after they moved."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.catalog import License, RemoteFile, RemoteModel, Scan
from civsync.core.lock import Lock
from civsync.core.questions import AskOwners
from civsync.core.request import (
    All,
    ById,
    ByName,
    Count,
    EarlyAccess,
    Entry,
    Policy,
    Request,
    Search,
    VersionSpec,
)
from civsync.decide.outdated import standings
from civsync.decide.standing import Standing, Why, changes_of, locked_facts
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
    search_request,
    sha256_of,
)

DATES = ["2026-05-31T12:00:00Z", "2026-05-20T00:00:00Z", "2024-01-01T00:00:00Z", None]
UNTIL = [None, None, None, "2026-06-02T00:00:00Z", "2026-05-30T00:00:00Z"]


@st.composite
def files(draw: st.DrawFn, file_id: int) -> RemoteFile:
    return remote_file(
        file_id,
        draw(st.sampled_from(["a.safetensors", "a.safetensors", "b.gguf", "a.pt"])),
        precision=draw(st.sampled_from(["fp16", "fp32"])),
        size=draw(st.sampled_from([1, 1000, None])),
        sha256=draw(st.sampled_from(["", "", "", None, sha256_of(7)])),
        pickle_scan=draw(st.sampled_from([Scan.SUCCESS, Scan.SUCCESS, Scan.DANGER])),
    )


@st.composite
def models(draw: st.DrawFn, model_id: int) -> RemoteModel:
    versions = [
        remote_version(
            version_id,
            [draw(files(version_id * 10 + n)) for n in range(draw(st.integers(1, 2)))],
            name=draw(st.sampled_from([f"v{version_id}", "same"])),
            base_model=draw(st.sampled_from(["SD 1.5", "SD 1.5", "Pony"])),
            published_at=draw(st.sampled_from(DATES)),
            early_access_until=draw(st.sampled_from(UNTIL)),
        )
        for version_id in draw(st.permutations([model_id * 10 + n for n in range(3)]))[
            : draw(st.integers(0, 3))
        ]
    ]
    return remote_model(
        model_id,
        versions,
        name=draw(st.sampled_from(["old", "new"])),
        creator=draw(st.sampled_from(["someone", "other"])),
        mode=draw(st.sampled_from([None, None, None, "Archived", "TakenDown"])),
        license=draw(st.sampled_from([License(), License(derivatives=True)])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> Library:
    shown = library(*(draw(models(number)) for number in (1, 2) if draw(st.integers(0, 5))))
    return replace(
        shown,
        batch_hides=draw(st.frozensets(st.sampled_from([1, 2]), max_size=1)),
        model_hides=draw(st.frozensets(st.sampled_from([1, 2]), max_size=1)),
        batch_drops=draw(st.frozensets(st.sampled_from([10, 20]), max_size=1)),
        version_hides=draw(st.frozensets(st.sampled_from([10, 20]), max_size=1)),
    )


POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(),
        Policy(allow_pickle=True, scans=()),
        Policy(license=("derivatives",)),
        Policy(deny_creators=("other",), max_size=10),
        Policy(early_access=EarlyAccess.FAIL),
        Policy(early_access=EarlyAccess.ALLOW),
    ]
)


VERSIONS: list[int | str] = ["latest", "latest", "newest", "same", "v11", 11]
MANY: list[VersionSpec] = [All(), Count(1), Count(2)]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    kind = draw(st.sampled_from(["model", "model", "several", "alone", "search"]))
    if kind == "search":
        search = Search(tag="style", limit=draw(st.sampled_from([1, 5])))
        return search_request(search, draw(st.sampled_from([None, *MANY])))
    if kind == "alone":
        return request(None, draw(st.sampled_from([10, 11, 20])))
    spec = draw(st.sampled_from(VERSIONS))
    base_model = draw(st.sampled_from([None, "SD 1.5"])) if isinstance(spec, str) else None
    wanted = request(draw(st.sampled_from([1, 2])), spec, base_model=base_model)
    return replace(wanted, version=draw(st.sampled_from(MANY))) if kind == "several" else wanted


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    wanted = replace(
        draw(requests()),
        policy=draw(POLICIES),
        exclude_newer=draw(st.sampled_from(["", "", "7 days", "2026-05-25"])),
    )
    return entry(wanted, hold=draw(st.sampled_from([None, None, "it is good"])))


ENTRIES = st.lists(entries(), max_size=4, unique_by=lambda each: each.key)


def told(shown: Library, wanted: list[Entry], lock: Lock) -> tuple[Standing, ...]:
    conversation = standings(wanted, lock, now=NOW)
    try:
        questions = next(conversation)
        while True:
            questions = conversation.send(tuple(shown.answer(each) for each in questions))
    except StopIteration as end:
        result: tuple[Standing, ...] = end.value
        return result


def locked_before(shown: Library, wanted: list[Entry]) -> Lock:
    return Lock(entries=resolved(shown, *wanted).entries)


@given(worlds(), worlds(), ENTRIES)
def test_outdated_says_what_an_upgrade_then_does(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    lock = locked_before(before, wanted)
    upgraded = resolved(after, *wanted, previous=lock, upgrade=always)
    now = {each.key: each for each in upgraded.entries}
    failures = {each.key: str(error) for each, error in upgraded.failures}
    for standing in told(after, wanted, lock):
        key = standing.entry.key
        assert standing.available == locked_facts(now.get(key))
        assert standing.locked == locked_facts(lock.entry(key))
        assert standing.changes == changes_of(lock.entry(key), now.get(key))
        assert (str(standing.failure) if standing.failure else None) == failures.get(key)


@given(worlds(), worlds(), ENTRIES)
def test_after_an_upgrade_nothing_is_left_to_upgrade(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    lock = locked_before(before, wanted)
    upgraded = resolved(after, *wanted, previous=lock, upgrade=always)
    for standing in told(after, wanted, Lock(entries=upgraded.entries)):
        assert standing.changes == ()


@given(worlds(), worlds(), ENTRIES)
def test_whatever_an_upgrade_does_not_lead_to_has_a_reason(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    for standing in told(after, wanted, locked_before(before, wanted)):
        have = {each.version_id for each in standing.available}
        told_of = {each.version.version_id for each in standing.reasons if each.version}
        archived = {each.model_id for each in standing.reasons if each.why is Why.ARCHIVED}
        for version in standing.newest:
            # Who pins what is not locked yet has nothing to compare with.
            pinned = isinstance(standing.entry.request.version, ById | ByName)
            compared = bool(have) or not pinned
            known = version.version_id in have | told_of or version.model_id in archived
            assert known or not compared
        for reason in standing.reasons:
            unexplained = reason.why is Why.UNLOCKABLE and not reason.text
            assert not unexplained


@given(worlds(), ENTRIES)
def test_what_was_just_locked_is_not_outdated(shown: Library, wanted: list[Entry]) -> None:
    lock = locked_before(shown, wanted)
    for standing in told(shown, wanted, lock):
        assert standing.changes == ()
        assert standing.locked == standing.available


@given(worlds(), worlds(), ENTRIES)
def test_outdated_asks_what_an_upgrade_asks_and_little_more(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    lock = locked_before(before, wanted)
    after.asked.clear()
    resolved(after, *(replace(each, hold=None) for each in wanted), previous=lock, upgrade=always)
    upgrade = [each for each in after.asked if not isinstance(each, AskOwners)]
    after.asked.clear()
    told(after, wanted, lock)
    alone = sum(each.request.model_id is None and each.request.search is None for each in wanted)
    assert len(after.asked) <= len(upgrade) + 2 * alone
