"""What every Ledger promises: a crash loses no ownership, and gives none away."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from civsync.core.disk import Known, Owned, Receipt, Stamp
from civsync.core.names import parse_path
from support.disk_worlds import KINDS, World, make_world

PATH = parse_path("loras/a.safetensors")
OTHER = parse_path("loras/b.safetensors")
DATA = b"the right bytes"
OWNED = Owned(
    path=PATH,
    sha256=hashlib.sha256(DATA).hexdigest(),
    stamp=Stamp(len(DATA), 1, 2),
    entry="4384@latest",
    model_id=4384,
    version_id=128713,
    file_id=91341,
)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


def test_a_new_root_owns_nothing(world: World) -> None:
    receipt = world.ledger.read()
    assert (dict(receipt.owned), dict(receipt.known)) == ({}, {})
    assert receipt.root_id


def test_what_was_committed_is_read_back(world: World) -> None:
    before = world.ledger.read()
    known = Known(sha256=OWNED.sha256, stamp=Stamp(1, 2, 3))
    receipt = Receipt(root_id=before.root_id, owned={PATH: OWNED}, known={OTHER: known})
    world.ledger.commit(receipt)
    assert world.again().ledger.read() == receipt


def test_what_was_placed_is_ours_without_a_commit(world: World) -> None:
    world.ledger.intend(OWNED)
    world.ledger.placed(replace(OWNED, stamp=Stamp(1, 2, 3)))
    assert world.again().ledger.read().owned == {PATH: replace(OWNED, stamp=Stamp(1, 2, 3))}


def test_what_was_released_is_not_ours_any_more(world: World) -> None:
    world.ledger.commit(Receipt(root_id="x", owned={PATH: OWNED}))
    world.ledger.released(PATH)
    assert world.again().ledger.read().owned == {}


def test_an_intended_file_that_got_its_name_is_ours(world: World) -> None:
    world.ledger.intend(OWNED)
    world.put(PATH, DATA)
    owned = world.again().ledger.read().owned[PATH]
    assert replace(owned, stamp=OWNED.stamp, blake3=None) == OWNED


@pytest.mark.parametrize("content", [b"a stranger's!!!", None], ids=["other-bytes", "nothing"])
def test_an_intent_alone_makes_nothing_ours(world: World, content: bytes | None) -> None:
    world.ledger.intend(OWNED)
    if content is not None:
        world.put(PATH, content)
    assert world.again().ledger.read().owned == {}


def test_a_replacement_cut_off_leaves_the_old_file_ours(world: World) -> None:
    world.put(PATH, DATA)
    world.ledger.commit(Receipt(root_id="x", owned={PATH: OWNED}))
    world.ledger.intend(replace(OWNED, sha256="0" * 64))
    assert world.again().ledger.read().owned == {PATH: OWNED}


def test_a_path_that_became_ours_is_not_remembered_as_a_stranger(world: World) -> None:
    known = Known(sha256=OWNED.sha256, stamp=Stamp(1, 2, 3))
    world.ledger.commit(Receipt(root_id="x", known={PATH: known}))
    world.ledger.placed(OWNED)
    receipt = world.again().ledger.read()
    assert (set(receipt.owned), set(receipt.known)) == ({PATH}, set())


def test_a_commit_forgets_the_notes(world: World) -> None:
    world.ledger.placed(OWNED)
    world.ledger.commit(Receipt(root_id="x"))
    assert world.again().ledger.read().owned == {}


def test_notes_go_on_after_a_commit(world: World) -> None:
    world.ledger.placed(OWNED)
    world.ledger.commit(Receipt(root_id="x"))
    world.ledger.placed(replace(OWNED, path=OTHER))
    assert set(world.again().ledger.read().owned) == {OTHER}


def test_workers_may_write_notes_at_the_same_time(world: World) -> None:
    paths = [parse_path(f"loras/{number}.safetensors") for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: world.ledger.placed(replace(OWNED, path=path)), paths))
    assert set(world.again().ledger.read().owned) == set(paths)


def test_notes_of_several_files_are_as_good_as_one_after_the_other(world: World) -> None:
    both = (OWNED, replace(OWNED, path=OTHER))
    world.ledger.intend(*both)
    world.put(PATH, DATA)
    assert set(world.again().ledger.read().owned) == {PATH}
    world.ledger.placed(*(replace(each, stamp=Stamp(1, 2, 3)) for each in both))
    assert world.again().ledger.read().owned == {
        each.path: replace(each, stamp=Stamp(1, 2, 3)) for each in both
    }
