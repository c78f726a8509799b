"""Laws of the way from a manifest to a lock, over shuffled answers and hostile names."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.lock import Lock, LockedEntry
from civsync.core.names import collision_key, parse_path
from civsync.core.questions import Models, QuestionAnswer
from civsync.core.request import Entry, FileSelector, Manifest, Preference
from civsync.decide.place import place
from civsync.decide.resolve import Resolution, resolve
from civsync.decide.satisfy import shortfalls
from civsync.decide.stale import staleness
from support.factories import (
    NOW,
    Library,
    entry,
    library,
    manifest,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    sha256_of,
)

NAMES = st.one_of(
    st.sampled_from(["a.safetensors", "A.safetensors", "a~1.safetensors", "a.pt", "m.gguf", "a"]),
    st.builds(str.__add__, st.text(max_size=12), st.sampled_from([".safetensors", ".ckpt", ""])),
)
VERSIONS: list[int | str] = ["latest", "newest", "v1", 10, 20, 21]
FAMILIES = st.sampled_from(["SD 1.5", "SDXL 1.0", "Pony"])


@st.composite
def files(draw: st.DrawFn, file_id: int) -> RemoteFile:
    return remote_file(
        file_id,
        draw(NAMES),
        type=draw(st.sampled_from(["Model", "Pruned Model", "VAE", "Config", "Training Data"])),
        format=draw(st.sampled_from(["SafeTensor", "PickleTensor", "Other", "GGUF", ""])),
        precision=draw(st.sampled_from(["fp16", "fp32", "nf4", ""])),
        size_class=draw(st.sampled_from(["full", "pruned", ""])),
        size=draw(st.sampled_from([None, 1, 10**9])),
        sha256=draw(st.sampled_from([None, "", "", sha256_of(7)])),
        pickle_scan=draw(st.sampled_from([Scan.SUCCESS, Scan.SUCCESS, Scan.PENDING, Scan.DANGER])),
        linked=draw(st.booleans()),
    )


@st.composite
def models(draw: st.DrawFn, model_id: int) -> RemoteModel:
    versions: list[RemoteVersion] = []
    for number in range(draw(st.integers(0, 2))):
        version_id = model_id * 10 + number
        held = [draw(files(version_id * 10 + n)) for n in range(draw(st.integers(0, 3)))]
        versions.append(
            remote_version(
                version_id,
                held,
                name=draw(st.sampled_from(["v1", "V1", "v2"])),
                base_model=draw(FAMILIES),
                index=draw(st.integers(0, 3)),
                published_at=draw(st.sampled_from([None, "", "2024-01-01T00:00:00Z", "2024-02"])),
                vae_id=draw(st.sampled_from([None, 99])),
            )
        )
    return remote_model(
        model_id,
        versions,
        name=draw(st.text(max_size=8)),
        type=draw(st.sampled_from(["Checkpoint", "LORA", "VAE", "Poses", "Unheard Of"])),
        creator=draw(st.sampled_from(["", "someone", "../x", "CON"])),
        mode=draw(st.sampled_from([None, None, None, "Archived", "TakenDown"])),
    )


@st.composite
def libraries(draw: st.DrawFn) -> Library:
    shown = library(*(draw(models(number)) for number in (1, 2)))
    model_ids = st.frozensets(st.sampled_from([1, 2]), max_size=1)
    version_ids = st.frozensets(st.sampled_from([10, 11, 20]), max_size=2)
    return replace(
        shown,
        batch_hides=draw(model_ids),
        model_hides=draw(model_ids),
        batch_drops=draw(version_ids),
        version_hides=draw(version_ids),
        owners={sha256_of(7): ((0, 99), (1, 10))},
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    version: int | str = draw(st.sampled_from(VERSIONS))
    model_id = draw(st.sampled_from([1, 1, 2, 2, 3]))
    selectors = draw(
        st.lists(
            st.sampled_from(
                [
                    FileSelector(type="Model"),
                    FileSelector(type="VAE", optional=True),
                    FileSelector(name="a*"),
                    FileSelector(precision="fp16", optional=True),
                ]
            ),
            max_size=2,
        )
    )
    wanted = request(
        model_id if isinstance(version, str) or draw(st.booleans()) else None,
        version,
        base_model=draw(st.one_of(st.none(), FAMILIES)) if isinstance(version, str) else None,
        selectors=selectors,
        prefer=draw(st.sampled_from([Preference(), Preference(format=("GGUF",))])),
        allow_pickle=draw(st.booleans()),
        allow_unverified=draw(st.booleans()),
        scans=draw(st.sampled_from([(), ("pickle", "virus")])),
    )
    return entry(
        wanted,
        directory=draw(st.sampled_from([None, "", "x", "{creator}/{model}", "X"])),
        filename=draw(st.sampled_from([None, "m.safetensors", "{version}.{ext}", "x"])),
        priority=draw(st.integers(-1, 1)),
    )


ENTRIES = st.lists(entries(), max_size=5, unique_by=lambda each: each.key)


def shuffled(answer: QuestionAnswer, dice: random.Random) -> QuestionAnswer:
    """Return the same answer in another order, at every level that has no order of its own."""
    if not isinstance(answer, Models):
        return answer

    def mixed(model: RemoteModel) -> RemoteModel:
        versions = [
            replace(version, files=tuple(dice.sample(version.files, len(version.files))))
            for version in model.versions
        ]
        return replace(model, versions=tuple(dice.sample(versions, len(versions))))

    return Models(tuple(mixed(model) for model in dice.sample(answer.models, len(answer.models))))


def outline(resolution: Resolution) -> tuple[object, ...]:
    """Return a resolution as something that compares: errors have no equality of their own."""
    failures = [(each.key, error.code, error.message) for each, error in resolution.failures]
    return (resolution.entries, failures, resolution.notes)


def shuffled_resolution(
    shown: Library, wanted: list[Entry], previous: Lock, dice: random.Random
) -> Resolution:
    conversation = resolve(dice.sample(wanted, len(wanted)), previous, now=NOW)
    try:
        questions = next(conversation)
        while True:
            answers = tuple(shuffled(shown.answer(each), dice) for each in questions)
            questions = conversation.send(answers)
    except StopIteration as end:
        result: Resolution = end.value
        return result


def placed_by(wanted: Manifest, locked: tuple[LockedEntry, ...]) -> Lock:
    return Lock(entries=place(wanted, locked))


@given(libraries(), ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_answers_and_entries_does_not_matter(
    shown: Library, wanted: list[Entry], dice: random.Random
) -> None:
    plain = resolved(shown, *wanted)
    assert outline(shuffled_resolution(shown, wanted, Lock(), dice)) == outline(plain)


@given(libraries(), ENTRIES)
def test_every_entry_is_locked_or_fails(shown: Library, wanted: list[Entry]) -> None:
    result = resolved(shown, *wanted)
    locked = {each.key for each in result.entries}
    failed = {each.key for each, _ in result.failures}
    assert locked | failed == {each.key for each in wanted}
    assert not locked & failed


@given(libraries(), ENTRIES)
def test_what_is_locked_satisfies_its_request(shown: Library, wanted: list[Entry]) -> None:
    by_key = {each.key: each for each in wanted}
    for locked in resolved(shown, *wanted).entries:
        asked = by_key[locked.key].request
        unhashed = [each for each in shortfalls(asked, locked) if each[0] == "sha256"]
        assert [*shortfalls(asked, locked)] == unhashed
        assert not unhashed or asked.allow_unverified


@given(libraries(), ENTRIES)
def test_resolving_what_is_resolved_asks_nothing_and_changes_nothing(
    shown: Library, wanted: list[Entry]
) -> None:
    first = resolved(shown, *wanted)
    by_key = {each.key: each for each in wanted}
    hashed = tuple(each for each in first.entries if not shortfalls(by_key[each.key].request, each))
    shown.asked.clear()
    again = resolved(shown, *(by_key[each.key] for each in hashed), previous=Lock(entries=hashed))
    assert again.entries == hashed
    assert shown.asked == []


@given(libraries(), libraries(), ENTRIES, st.booleans())
def test_no_run_takes_away_what_was_locked(
    before: Library, after: Library, wanted: list[Entry], upgrade: bool
) -> None:
    previous = Lock(entries=resolved(before, *wanted).entries)
    result = resolved(after, *wanted, previous=previous, upgrade=lambda _: upgrade)
    assert {each.key for each in previous.entries} <= {each.key for each in result.entries}


@given(libraries(), ENTRIES)
def test_no_two_files_share_a_path_on_any_disk(shown: Library, wanted: list[Entry]) -> None:
    lock = placed_by(manifest(*wanted), resolved(shown, *wanted).entries)
    at: dict[str, set[tuple[int, str]]] = {}
    for _, file in lock.files():
        assert parse_path(file.path) == file.path
        at.setdefault(collision_key(file.path), set()).add((file.file_id, file.path))
    assert all(len(claims) == 1 for claims in at.values())
    parents = {key[:end] for key in at for end, char in enumerate(key) if char == "/"}
    assert parents.isdisjoint(at)


@given(libraries(), ENTRIES, st.randoms(use_true_random=False))
def test_placing_is_idempotent_and_knows_no_order(
    shown: Library, wanted: list[Entry], dice: random.Random
) -> None:
    locked = resolved(shown, *wanted).entries
    placed = placed_by(manifest(*wanted), locked)
    assert placed_by(manifest(*wanted), placed.entries) == placed
    mixed = tuple(dice.sample(placed.entries, len(placed.entries)))
    assert placed_by(manifest(*dice.sample(wanted, len(wanted))), mixed) == placed


@given(libraries(), ENTRIES)
def test_a_lock_that_was_just_made_is_stale_only_where_something_failed_or_has_no_hash(
    shown: Library, wanted: list[Entry]
) -> None:
    result = resolved(shown, *wanted)
    lock = placed_by(manifest(*wanted), result.entries)
    unhashed = {each.key for each in lock.entries if any(not file.sha256 for file in each.files)}
    failed = {each.key for each, _ in result.failures}
    stale = {each.entry_key for each in staleness(manifest(*wanted), lock)}
    assert stale == failed | unhashed
