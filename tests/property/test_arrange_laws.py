"""Laws of `init --from`: what is described is placed exactly where it lies."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from civsync.core.catalog import RemoteFile, RemoteModel
from civsync.core.lock import LockedEntry
from civsync.core.names import SafePath, collision_key, safe_name
from civsync.decide.arrange import Arrangement, arrange
from civsync.decide.identify import Found, Match
from civsync.decide.place import place
from civsync.decide.record import Known, record_file
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_writing import write_manifest
from support.factories import remote_file, remote_model, remote_version, sha256_of

TYPES = ("Checkpoint", "LORA", "VAE", "TextualInversion", "Workflows", "Brand New")
FILE_TYPES = ("Model", "VAE", "Training Data", "Config")

texts = st.text(st.sampled_from("ab{}~1 .'\"#:-é/\\?\n%[],&*!|>@`") | st.characters(), max_size=9)
names = st.builds(
    lambda stem, suffix: stem + suffix, texts, st.sampled_from((".safetensors", ".pt", ".GGUF", ""))
)
folders = st.sampled_from(("", "loras", "checkpoints", "Lora/x", "models/Lora")) | st.lists(
    texts, min_size=1, max_size=3
).map(lambda parts: "/".join(safe_name(part, keep_suffix=False) for part in parts))


@st.composite
def libraries(draw: st.DrawFn) -> list[Match]:
    """Draw a folder of files of a few versions, each lying anywhere under any name."""
    made: list[Match] = []
    number = 0
    for model_id in range(1, draw(st.integers(2, 4))):
        files = []
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            kind = draw(st.sampled_from(FILE_TYPES))
            files.append(remote_file(number, draw(names), type=kind))
        version = remote_version(model_id, files, name=draw(texts))
        model = remote_model(
            model_id, [version], name=draw(texts), type=draw(st.sampled_from(TYPES))
        )
        made.extend(_match(draw, model, file) for file in files)
    taken: dict[str, Match] = {}
    for match in made:
        taken.setdefault(match.found.path, match)
    # No disk has a directory under the name of a file.
    return [
        match
        for match in taken.values()
        if not any(
            collision_key(other).startswith(f"{collision_key(match.found.path)}/")
            for other in taken
        )
    ]


def _match(draw: st.DrawFn, model: RemoteModel, file: RemoteFile) -> Match:
    own = safe_name(file.name.rstrip(". ") or "unknown", mark=file.id)
    name = draw(st.just(own) | names.map(safe_name))
    path = "/".join(part for part in (draw(folders), name) if part)
    found = Found(path=SafePath(path), size=1000, sha256=sha256_of(file.id))
    return Match(found=found, model=model, version=model.versions[0], file=file)


def places(arrangement: Arrangement) -> Mapping[int, str]:
    """Return where the written manifest would place each described file, by its id."""
    text = write_manifest(
        ((entry.title, entry.item()) for entry in arrangement.entries),
        root="models",
        layout=arrangement.layout,
        schema="./x.json",
        about_root="here",
    )
    locked = [
        LockedEntry(
            key=f"{entry.model.id}@{entry.version.id}",
            request={},
            files=tuple(
                record_file(match.file, entry.version, entry.model, Known(), fresh=True)[0]
                for match in entry.matches
            ),
        )
        for entry in arrangement.entries
    ]
    placed = place(read_manifest(text), locked)
    return {file.file_id: file.path for entry in placed for file in entry.files}


@settings(deadline=None)  # the first manifest of a process has the schema compiled
@given(libraries())
def test_what_is_described_is_placed_where_it_lies(matches: list[Match]) -> None:
    arrangement = arrange(matches)
    described = [match for entry in arrangement.entries for match in entry.matches]
    assert places(arrangement) == {match.file.id: match.found.path for match in described}


@given(libraries())
def test_every_file_is_either_described_or_told(matches: list[Match]) -> None:
    arrangement = arrange(matches)
    described = [match.found.path for entry in arrangement.entries for match in entry.matches]
    told = [left.path for left in arrangement.left]
    assert sorted([*described, *told]) == sorted(match.found.path for match in matches)


@given(st.data())
def test_the_order_in_which_files_are_found_says_nothing(data: st.DataObject) -> None:
    matches = data.draw(libraries())
    assert arrange(data.draw(st.permutations(matches))) == arrange(matches)
