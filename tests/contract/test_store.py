"""What every Store promises: nothing is overwritten or taken away that was not as seen."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Absent, Linked, Obstacle, Regular, Stamp
from civsync.core.errors import CivsyncError, IntegrityError, SafetyError
from civsync.core.names import SafePath, parse_path
from civsync.ports import Publication
from support.disk_worlds import KINDS, World, make_world
from support.publishing import publish_part

A = parse_path("loras/style/a.safetensors")
B = parse_path("loras/other/b.safetensors")
DATA = b"the right bytes" * 1000
OTHER = b"something else"


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def publish(
    world: World, path: SafePath, data: bytes = DATA, *, replacing: Stamp | None = None
) -> Stamp:
    with world.parts.claim(sha256(data), len(data)) as part:
        part.write(data, part.done.prefix)
        return publish_part(world.store, part, path, replacing=replacing)


def stamp_at(world: World, path: SafePath) -> Stamp:
    sight = world.store.survey([path])[path]
    assert isinstance(sight, Regular)
    return sight.stamp


def refusal(error: pytest.ExceptionInfo[CivsyncError]) -> Code:
    return error.value.code


def test_an_empty_root_is_surveyed_as_absent(world: World) -> None:
    assert world.store.survey([A, B]) == {A: Absent(), B: Absent()}


def test_published_bytes_are_there_under_the_stamp_returned(world: World) -> None:
    stamp = publish(world, A)
    assert world.read(A) == DATA
    assert world.store.survey([A]) == {A: Regular(stamp)}


def test_an_empty_file_is_published_like_any_other(world: World) -> None:
    publish(world, A, b"")
    assert world.read(A) == b""


def test_digest_returns_both_hashes_and_the_stamp(world: World) -> None:
    stamp = publish(world, A)
    seen: list[int] = []
    digests, found = world.store.digest(A, seen.append)
    assert (digests.sha256, digests.size, found) == (sha256(DATA), len(DATA), stamp)
    assert seen[-1] == len(DATA)


def test_what_kept_size_and_blake3_is_what_it_was_known_to_be(world: World) -> None:
    stamp = publish(world, A)
    digests, _ = world.store.digest(A)
    known = replace(digests, sha256="0" * 64)
    assert world.store.digest(A, known=known) == (known, stamp)


@pytest.mark.parametrize("data", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
def test_anything_else_is_hashed_both_ways(data: bytes, world: World) -> None:
    publish(world, A)
    known, _ = world.store.digest(A)
    world.put(A, data)
    digests, _ = world.store.digest(A, known=known)
    assert (digests.sha256, digests.size) == (sha256(data), len(data))
    assert digests.blake3 != known.blake3


def test_a_damaged_file_is_set_aside_with_what_it_is_and_why(world: World) -> None:
    publish(world, A)
    world.put(A, OTHER)
    where = world.quarantine.set_aside(
        A, expected=stamp_at(world, A), sha256=sha256(OTHER), reason="it rotted"
    )
    assert world.read(A) is None
    assert sha256(OTHER) in where
    assert world.parts.salvage(sha256(OTHER), len(OTHER), ())


def test_a_file_that_changed_since_it_was_read_is_not_set_aside(world: World) -> None:
    publish(world, A)
    stamp = stamp_at(world, A)
    world.put(A, OTHER)
    with pytest.raises(SafetyError) as error:
        world.quarantine.set_aside(A, expected=stamp, sha256=sha256(DATA), reason="it rotted")
    assert refusal(error) is Code.MODIFIED_FILE
    assert world.read(A) == OTHER


def test_digest_of_nothing_is_a_disk_error(world: World) -> None:
    with pytest.raises(CivsyncError) as error:
        world.store.digest(A)
    assert refusal(error) is Code.DISK_FAILED


@pytest.mark.fault("4.8/foreign", "other content")
def test_a_stranger_in_the_way_is_never_overwritten(world: World) -> None:
    world.put(A, OTHER)
    with pytest.raises(SafetyError) as error:
        publish(world, A)
    assert refusal(error) is Code.FOREIGN_FILE
    assert world.read(A) == OTHER


def test_a_directory_in_the_way_is_an_obstacle(world: World) -> None:
    world.put(f"{A}/inside", OTHER)
    assert world.store.survey([A]) == {A: Obstacle("directory")}
    with pytest.raises(SafetyError) as error:
        publish(world, A)
    assert refusal(error) is Code.OBSTACLE


def test_a_file_on_the_way_is_named(world: World) -> None:
    world.put("loras", OTHER)
    assert world.store.survey([A, B]) == {A: Linked("loras", "file"), B: Linked("loras", "file")}
    with pytest.raises(SafetyError) as error:
        publish(world, A)
    assert refusal(error) is Code.OBSTACLE
    assert error.value.subject == "loras"


def test_a_refused_part_is_kept_for_the_next_run(world: World) -> None:
    world.put(A, OTHER)
    with pytest.raises(SafetyError):
        publish(world, A)
    assert world.again().parts.held().get(sha256(DATA), 0) == len(DATA)


@pytest.mark.parametrize(
    ("received", "code"),
    [
        pytest.param(DATA[:-1], Code.SIZE_MISMATCH, id="one-byte-short"),
        pytest.param(DATA[:-1] + b"!", Code.HASH_MISMATCH, id="last-byte-wrong"),
        pytest.param(b"", Code.SIZE_MISMATCH, id="nothing"),
    ],
)
def test_unverified_bytes_get_no_name_whoever_asks(
    world: World, received: bytes, code: Code
) -> None:
    with world.parts.claim(sha256(DATA), len(DATA)) as part:
        part.write(received, part.done.prefix)
        with pytest.raises(IntegrityError) as error:
            publish_part(world.store, part, A)
    assert refusal(error) is code
    assert world.read(A) is None


def test_files_published_together_have_their_names_and_stamps(world: World) -> None:
    wanted = {parse_path(f"{folder}/{n}"): f"{folder}{n}".encode() for folder in "ab" for n in "12"}
    published = publish_together(world, wanted)
    assert {path: world.read(path) for path in wanted} == wanted
    sights = {path: Regular(stamp) for path, stamp in published.items() if isinstance(stamp, Stamp)}
    assert world.store.survey(wanted) == sights


def test_of_files_published_together_one_that_fails_fails_alone(world: World) -> None:
    world.put("a/mine", OTHER)
    world.put("a/changed", OTHER)
    seen = stamp_at(world, parse_path("a/changed"))
    world.put("a/changed", OTHER + b" and an edit")
    world.put("a/directory/inside", OTHER)
    world.put("file", OTHER)
    wanted = {
        parse_path(path): path.encode()
        for path in ("a/mine", "a/changed", "a/directory", "file/below", "a/new", "b/new")
    }
    published = publish_together(world, wanted, replacing={parse_path("a/changed"): seen})
    codes = {
        path: each.code if isinstance(each, CivsyncError) else None
        for path, each in published.items()
    }
    assert codes == {
        "a/mine": Code.FOREIGN_FILE,
        "a/changed": Code.MODIFIED_FILE,
        "a/directory": Code.OBSTACLE,
        "file/below": Code.OBSTACLE,
        "a/new": None,
        "b/new": None,
    }
    assert (world.read(parse_path("a/new")), world.read(parse_path("a/mine"))) == (b"a/new", OTHER)
    kept = world.again().parts.held()
    assert set(kept) == {sha256(wanted[path]) for path, code in codes.items() if code is not None}


def test_of_files_published_together_a_damaged_one_gets_no_name(world: World) -> None:
    good, bad = parse_path("a/good"), parse_path("a/bad")
    wanted = {good: b"good", bad: b"bad"}
    published = publish_together(world, wanted, received={bad: b"dab"})
    assert isinstance(published[good], Stamp)
    assert isinstance(published[bad], IntegrityError)
    assert (world.read(good), world.read(bad)) == (b"good", None)


def publish_together(
    world: World,
    wanted: Mapping[SafePath, bytes],
    *,
    replacing: Mapping[SafePath, Stamp] | None = None,
    received: Mapping[SafePath, bytes] | None = None,
) -> dict[SafePath, Stamp | CivsyncError]:
    """Publish these contents in one step; of some other bytes were `received`."""
    with ExitStack() as held:
        publications = []
        for path, data in wanted.items():
            part = held.enter_context(world.parts.claim(sha256(data), len(data)))
            part.write((received or {}).get(path, data), 0)
            old = (replacing or {}).get(path)
            publications.append(Publication(part=part, path=path, replacing=old))
        return dict(zip(wanted, world.store.publish(publications), strict=True))


def test_a_replaced_file_can_be_had_back_without_the_network(world: World) -> None:
    world.put(A, OTHER)
    publish(world, A, replacing=stamp_at(world, A))
    assert world.read(A) == DATA
    assert world.parts.salvage(sha256(OTHER), len(OTHER), [])
    publish_salvaged(world, OTHER, B)
    assert world.read(B) == OTHER


def publish_salvaged(world: World, data: bytes, path: SafePath) -> None:
    with world.parts.claim(sha256(data), len(data)) as part:
        assert part.done.total == len(data)
        publish_part(world.store, part, path)


@pytest.mark.fault("4.4/user-meanwhile", "edited")
def test_a_file_changed_since_it_was_seen_is_not_replaced(world: World) -> None:
    world.put(A, OTHER)
    seen = stamp_at(world, A)
    world.put(A, OTHER + b" and an edit")
    with pytest.raises(SafetyError) as error:
        publish(world, A, replacing=seen)
    assert refusal(error) is Code.MODIFIED_FILE
    assert world.read(A) == OTHER + b" and an edit"


def test_a_file_that_vanished_is_not_replaced(world: World) -> None:
    with pytest.raises(SafetyError) as error:
        publish(world, A, replacing=Stamp(1, 2, 3))
    assert refusal(error) is Code.MODIFIED_FILE


def test_moving_keeps_bytes_and_stamp(world: World) -> None:
    stamp = publish(world, A)
    assert world.store.move(A, B, expected=stamp, sha256=sha256(DATA)) == stamp
    assert (world.read(A), world.read(B)) == (None, DATA)


@pytest.mark.fault("4.8/foreign", "where a file is to be moved")
def test_moving_never_overwrites(world: World) -> None:
    stamp = publish(world, A)
    world.put(B, OTHER)
    with pytest.raises(SafetyError) as error:
        world.store.move(A, B, expected=stamp, sha256=sha256(DATA))
    assert refusal(error) is Code.FOREIGN_FILE
    assert (world.read(A), world.read(B)) == (DATA, OTHER)


@pytest.mark.fault("4.4/user-meanwhile", "edited")
def test_a_changed_file_is_not_moved(world: World) -> None:
    stamp = publish(world, A)
    world.put(A, OTHER)
    with pytest.raises(SafetyError) as error:
        world.store.move(A, B, expected=stamp, sha256=sha256(DATA))
    assert refusal(error) is Code.MODIFIED_FILE
    assert (world.read(A), world.read(B)) == (OTHER, None)


def test_a_retired_file_can_be_had_back_without_the_network(world: World) -> None:
    stamp = publish(world, A)
    world.store.retire(A, expected=stamp, sha256=sha256(DATA))
    assert world.read(A) is None
    assert world.again().parts.salvage(sha256(DATA), len(DATA), [])
    publish_salvaged(world, DATA, A)
    assert world.read(A) == DATA


@pytest.mark.fault("4.4/user-meanwhile", "edited")
def test_a_changed_file_is_not_retired(world: World) -> None:
    stamp = publish(world, A)
    world.put(A, OTHER)
    with pytest.raises(SafetyError) as error:
        world.store.retire(A, expected=stamp, sha256=sha256(DATA))
    assert refusal(error) is Code.MODIFIED_FILE
    assert world.read(A) == OTHER
