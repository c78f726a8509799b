"""Laws of locking over random worlds with searches, several versions, policies and cutoffs."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.catalog import License, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.lock import Lock, LockedEntry
from civsync.core.questions import AskPage, Models, Page, Question, QuestionAnswer
from civsync.core.request import (
    All,
    Count,
    EarlyAccess,
    Entry,
    FileSelector,
    Latest,
    Newest,
    Placement,
    Policy,
    Preference,
    Request,
    Search,
    VersionSpec,
)
from civsync.core.wording import describe_request
from civsync.decide.admission import bound_of, moment_of
from civsync.decide.place import place
from civsync.decide.resolve import Resolution, resolve
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

MODELS = (1, 2, 3)
DATES = st.sampled_from(
    [None, "", "2024-02", "2024-01-01T00:00:00Z", "2026-05-25T00:00:00Z", "2026-05-31T23:59:59Z"]
)
DEADLINES = st.sampled_from([None, None, None, "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"])
BOUNDS = st.sampled_from(["", "", "7 days", "1 hour", "2026-05-24", "2025-01-01T00:00:00Z"])
PINS: list[int | str] = ["latest", "v1", 10, 20, 21]
FAMILIES = ["SD 1.5", "SDXL 1.0"]
CREATORS = st.sampled_from(["ann", "bob", ""])
RATINGS = st.sampled_from(["", "PG", "R", "XXX"])


@st.composite
def files(draw: st.DrawFn, file_id: int) -> RemoteFile:
    return remote_file(
        file_id,
        draw(st.sampled_from(["a.safetensors", "b.safetensors", "a.pt", "m.gguf"])),
        type=draw(st.sampled_from(["Model", "Model", "VAE"])),
        format=draw(st.sampled_from(["SafeTensor", "SafeTensor", "GGUF", "PickleTensor"])),
        precision=draw(st.sampled_from(["fp16", "fp32"])),
        size=draw(st.sampled_from([10, 10**9])),
        sha256=draw(st.sampled_from(["", "", "", None])),
        virus_scan=draw(st.sampled_from([Scan.SUCCESS, Scan.SUCCESS, Scan.PENDING])),
    )


@st.composite
def versions(draw: st.DrawFn, version_id: int) -> RemoteVersion:
    held = [draw(files(version_id * 10 + number)) for number in range(draw(st.integers(0, 2)))]
    return remote_version(
        version_id,
        held,
        name=draw(st.sampled_from(["v1", "v2"])),
        base_model=draw(st.sampled_from(FAMILIES)),
        index=draw(st.integers(0, 3)),
        published_at=draw(DATES),
        early_access_until=draw(DEADLINES),
        usage_control=draw(st.sampled_from([None, None, None, "Generation"])),
        rating=draw(RATINGS),
    )


@st.composite
def models(draw: st.DrawFn, model_id: int) -> RemoteModel:
    numbers = draw(st.lists(st.integers(0, 3), max_size=3, unique=True))
    return remote_model(
        model_id,
        [draw(versions(model_id * 10 + number)) for number in numbers],
        creator=draw(CREATORS),
        tags=draw(st.sampled_from([(), ("style",), ("style", "odd")])),
        license=draw(st.sampled_from([License(), License(derivatives=True)])),
        mode=draw(st.sampled_from([None, None, None, "Archived", "TakenDown"])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> Library:
    shown = library(*(draw(models(number)) for number in MODELS if draw(st.booleans())))
    hidden = st.frozensets(st.sampled_from(MODELS), max_size=1)
    return replace(shown, batch_hides=draw(hidden), model_hides=draw(hidden))


POLICIES = st.builds(
    Policy,
    allow_pickle=st.booleans(),
    scans=st.sampled_from([(), ("virus",), ("pickle", "virus")]),
    license=st.sampled_from([(), (), ("derivatives",)]),
    rating=st.sampled_from(["", "", "R"]),
    max_size=st.sampled_from([None, None, 1000]),
    allow_creators=st.sampled_from([(), (), ("Ann",)]),
    deny_creators=st.sampled_from([(), (), ("BOB",)]),
    early_access=st.sampled_from(EarlyAccess),
)
SELECTORS = st.sampled_from(
    [(), (), (FileSelector(type="Model"), FileSelector(type="VAE", optional=True))]
)
SPECS: st.SearchStrategy[VersionSpec] = st.sampled_from(
    [Latest(), Latest(), Newest(), All(), Count(1), Count(2)]
)
SEARCHES = st.builds(
    Search,
    username=st.sampled_from(["", "", "ann"]),
    tag=st.sampled_from(["", "style"]),
    base_models=st.sampled_from([(), (), ("SD 1.5",)]),
    limit=st.sampled_from([None, None, 1, 2]),
    excluded_models=st.sampled_from([(), (), (2,)]),
    excluded_creators=st.sampled_from([(), (), ("bob",)]),
    excluded_tags=st.sampled_from([(), (), ("ODD",)]),
)


@st.composite
def terms(draw: st.DrawFn, wanted: Request) -> Request:
    """Say all about a request but what it points at."""
    return replace(
        wanted,
        selectors=draw(SELECTORS),
        prefer=draw(st.sampled_from([Preference(), Preference(), Preference(format=("GGUF",))])),
        policy=draw(POLICIES),
        exclude_newer=draw(BOUNDS),
        allow_unverified=draw(st.booleans()),
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    if draw(st.booleans()):
        wanted = search_request(draw(SEARCHES), draw(SPECS))
    else:
        wanted = request(
            draw(st.sampled_from(MODELS)),
            draw(st.sampled_from(PINS)),
            base_model=draw(st.sampled_from([None, *FAMILIES])),
        )
        if wanted.version == Latest():
            wanted = replace(wanted, version=draw(SPECS))
    return entry(draw(terms(wanted)), hold=draw(st.sampled_from([None, None, None, "held"])))


ENTRIES = st.lists(entries(), min_size=1, max_size=4, unique_by=lambda each: each.key)


@st.composite
def edits(draw: st.DrawFn, wanted: list[Entry]) -> list[Entry]:
    """Return the same entries on other terms; keys stay as they are."""
    return [
        replace(each, request=draw(terms(each.request))) if draw(st.booleans()) else each
        for each in wanted
    ]


def shuffled(question: Question, answer: QuestionAnswer, dice: random.Random) -> QuestionAnswer:
    """Return an answer in another order, at every level that has no order of its own."""

    def mixed(model: RemoteModel) -> RemoteModel:
        turned = [
            replace(version, files=tuple(dice.sample(version.files, len(version.files))))
            for version in model.versions
        ]
        return replace(model, versions=tuple(dice.sample(turned, len(turned))))

    match answer:
        case Models(models=shown):
            return Models(tuple(mixed(model) for model in dice.sample(shown, len(shown))))
        case Page(models=shown):
            # Of a limited listing the first models count; their order is what it says.
            limited = isinstance(question, AskPage) and question.search.limit is not None
            order = list(shown) if limited else dice.sample(shown, len(shown))
            return replace(answer, models=tuple(mixed(model) for model in order))
        case _:
            return answer


def shuffled_resolution(
    shown: Library, wanted: list[Entry], previous: Lock, *, upgrade: bool, dice: random.Random
) -> Resolution:
    conversation = resolve(
        dice.sample(wanted, len(wanted)),
        Lock(entries=tuple(dice.sample(previous.entries, len(previous.entries)))),
        now=NOW,
        upgrade=lambda _: upgrade,
    )
    try:
        questions = next(conversation)
        while True:
            answers = tuple(shuffled(each, shown.answer(each), dice) for each in questions)
            questions = conversation.send(answers)
    except StopIteration as end:
        result: Resolution = end.value
        return result


def outline(resolution: Resolution) -> tuple[object, ...]:
    """Return a resolution as something that compares: errors have no equality of their own."""
    failures = [(each.key, error.code, error.message) for each, error in resolution.failures]
    return (resolution.entries, failures, resolution.notes)


def locked_by(shown: Library, wanted: list[Entry]) -> Lock:
    return Lock(entries=resolved(shown, *wanted).entries)


def unmet(wanted: Request, locked: LockedEntry) -> list[tuple[str, str, str]]:
    """Return where a lock falls short, but for hashes that are still to be recorded."""
    return [
        each
        for each in shortfalls(wanted, locked)
        if not (each[0] == "sha256" and wanted.allow_unverified)
    ]


@given(worlds(), worlds(), ENTRIES, st.data(), st.booleans(), st.randoms(use_true_random=False))
def test_no_order_of_anything_matters(
    before: Library,
    after: Library,
    wanted: list[Entry],
    data: st.DataObject,
    upgrade: bool,
    dice: random.Random,
) -> None:
    previous = locked_by(before, wanted)
    edited = data.draw(edits(wanted))
    plain = resolved(after, *edited, previous=previous, upgrade=lambda _: upgrade)
    mixed = shuffled_resolution(after, edited, previous, upgrade=upgrade, dice=dice)
    assert outline(mixed) == outline(plain)


@given(worlds(), worlds(), ENTRIES, st.data(), st.booleans())
def test_what_is_locked_satisfies_its_request_or_is_what_was_locked_before(
    before: Library, after: Library, wanted: list[Entry], data: st.DataObject, upgrade: bool
) -> None:
    previous = locked_by(before, wanted)
    edited = data.draw(edits(wanted))
    asked = {each.key: each.request for each in edited}
    result = resolved(after, *edited, previous=previous, upgrade=lambda _: upgrade)
    for locked in result.entries:
        old = previous.entry(locked.key)
        if old is not None and locked == replace(old, gone=locked.gone):
            continue
        assert locked.request == describe_request(asked[locked.key])
        assert unmet(asked[locked.key], locked) == []


@given(worlds(), ENTRIES)
def test_a_first_lock_takes_only_what_every_rule_lets_in(
    shown: Library, wanted: list[Entry]
) -> None:
    asked = {each.key: each.request for each in wanted}
    catalog = {version.id: version for model in shown.models.values() for version in model.versions}
    for locked in resolved(shown, *wanted).entries:
        it = asked[locked.key]
        assert unmet(it, locked) == []
        bound = bound_of(it.exclude_newer, NOW)
        by_model: dict[int, set[int]] = defaultdict(set)
        for file in locked.files:
            by_model[file.model_id].add(file.version_id)
            published = moment_of(file.published_at)
            assert bound is None or (published is not None and published < bound)
            ends = moment_of(catalog[file.version_id].early_access_until)
            free = ends is None or ends <= NOW
            assert free or it.policy.early_access is EarlyAccess.ALLOW
        most = it.version.count if isinstance(it.version, Count) else 1
        assert isinstance(it.version, All) or all(len(each) <= most for each in by_model.values())
        if it.search is not None:
            assert it.search.limit is None or len(by_model) <= it.search.limit
            assert by_model.keys().isdisjoint(it.search.excluded_models)
            assert all(it.search.username in ("", file.creator) for file in locked.files)


@given(worlds(), worlds(), ENTRIES, st.data())
def test_an_upgrade_after_an_upgrade_is_nothing(
    before: Library, after: Library, wanted: list[Entry], data: st.DataObject
) -> None:
    previous = locked_by(before, wanted)
    edited = data.draw(edits(wanted))
    once = resolved(after, *edited, previous=previous, upgrade=always)
    kept = Lock(entries=once.entries)
    twice = resolved(after, *edited, previous=kept, upgrade=always)
    assert twice.entries == once.entries


@given(worlds(), ENTRIES)
def test_locking_again_asks_nothing_and_changes_nothing(
    shown: Library, wanted: list[Entry]
) -> None:
    result = resolved(shown, *wanted)
    done = {each.key for each in result.entries if all(file.sha256 for file in each.files)}
    lock = Lock(entries=tuple(each for each in result.entries if each.key in done))
    shown.asked.clear()
    again = resolved(shown, *(each for each in wanted if each.key in done), previous=lock)
    assert again.entries == lock.entries
    assert (shown.asked, again.notes, again.failures) == ([], (), ())


@given(worlds(), worlds(), ENTRIES)
def test_nothing_moves_without_an_edit_or_an_upgrade(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    previous = locked_by(before, wanted)
    result = resolved(after, *wanted, previous=previous)
    for locked in result.entries:
        old = previous.entry(locked.key)
        if old is not None and all(file.sha256 for file in old.files):
            assert locked == old


@given(worlds(), worlds(), ENTRIES)
def test_what_is_held_is_never_upgraded(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    held = [replace(each, hold="held") for each in wanted]
    previous = locked_by(before, held)
    result = resolved(after, *held, previous=previous, upgrade=always)
    for locked in result.entries:
        old = previous.entry(locked.key)
        if old is not None and all(file.sha256 for file in old.files):
            assert locked == old


@given(worlds(), worlds(), ENTRIES, st.data())
def test_an_edit_that_searches_for_the_same_finds_no_other_model(
    before: Library, after: Library, wanted: list[Entry], data: st.DataObject
) -> None:
    previous = locked_by(before, wanted)
    edited = data.draw(edits(wanted))
    for locked in resolved(after, *edited, previous=previous).entries:
        old = previous.entry(locked.key)
        if old is not None and old.is_search:
            known = {file.model_id for file in old.files}
            assert {file.model_id for file in locked.files} <= known


@given(worlds(), worlds(), ENTRIES)
def test_nothing_that_fails_takes_anything_away(
    before: Library, after: Library, wanted: list[Entry]
) -> None:
    previous = locked_by(before, wanted)
    result = resolved(after, *wanted, previous=previous, upgrade=always)
    now = {each.key: each for each in result.entries}
    for each, _ in result.failures:
        assert now.get(each.key) == previous.entry(each.key)
    if not after.models:
        searches = {each.key for each in wanted if each.request.search and each.hold is None}
        locked = {each.key for each in previous.entries}
        failed = {each.key for each, _ in result.failures}
        named = {
            each.key for each in wanted if each.request.search and each.request.search.username
        }
        assert searches & locked <= failed | named
        assert {error.code for each, error in result.failures if each.key in locked} <= {
            Code.SEARCH_EMPTY
        }


@given(worlds(), ENTRIES, st.integers(0, 400))
def test_whether_a_lock_is_stale_does_not_depend_on_the_day(
    shown: Library, wanted: list[Entry], days: int
) -> None:
    result = resolved(shown, *wanted, now=NOW + timedelta(days=days))
    lock = Lock(entries=place(manifest(*wanted), result.entries))
    unhashed = {each.key for each in lock.entries if any(not file.sha256 for file in each.files)}
    failed = {each.key for each, _ in result.failures}
    stale = {each.entry_key for each in staleness(manifest(*wanted), lock)}
    assert stale == failed | unhashed


@given(worlds(), ENTRIES, st.data())
def test_what_searches_find_lies_once_and_where_an_entry_wants_it(
    shown: Library, wanted: list[Entry], data: st.DataObject
) -> None:
    directories = st.sampled_from([None, "x", "X", "{creator}/{model}"])
    names = st.sampled_from([None, "m.safetensors", "{version}.{ext}"])
    asked = [
        replace(each, placement=Placement(directory=data.draw(directories), filename=name))
        for each in wanted
        for name in [data.draw(names)]
    ]
    by_entries: dict[int, set[str]] = defaultdict(set)
    by_searches: dict[int, set[str]] = defaultdict(set)
    for locked in place(manifest(*asked), resolved(shown, *asked).entries):
        paths = by_searches if locked.is_search else by_entries
        for file in locked.files:
            paths[file.file_id].add(file.path)
    for file_id, found in by_searches.items():
        assert len(found) == 1
        assert file_id not in by_entries or found <= by_entries[file_id]
