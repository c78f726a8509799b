"""Which files a repair may touch, and what it plans for them."""

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Absent, Linked, Obstacle, Owned, Receipt, Regular, Sight
from civsync.core.errors import CivsyncError, DiskError, SafetyError
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import Fetch, Move
from civsync.decide.groups import NOTHING
from civsync.decide.mending import Mend, mendable, mending_plan
from civsync.decide.plan import wanted_files
from civsync.documents.receipt import read_receipt, write_receipt
from support.lock_values import digest, lock_of, locked_entry, locked_file, stamp

A, B = parse_path("loras/a.bin"), parse_path("loras/b.bin")
OLD = parse_path("loras/old.bin")
LOCK = lock_of(locked_entry(locked_file(A, "a"), locked_file(B, "b")))
WANTS = wanted_files(LOCK)
ROTTEN = Regular(stamp("a"), digest("rotten"))
EIO = DiskError(Code.DISK_FAILED, "cannot read it", data={"errno": "EIO"})
EACCES = DiskError(Code.READ_ONLY, "cannot read it", data={"errno": "EACCES"})


def owning(path: SafePath, content: str) -> Receipt:
    mine = Owned(path=path, sha256=digest(content), stamp=stamp(content))
    return Receipt(root_id="root", owned={path: mine})


@pytest.mark.parametrize(
    ("receipt", "sight", "error", "expected"),
    [
        pytest.param(owning(A, "a"), ROTTEN, None, digest("rotten"), id="damaged"),
        pytest.param(owning(A, "a"), Absent(), None, "missing", id="missing"),
        pytest.param(owning(A, "a"), Regular(stamp("a"), digest("a")), EIO, "", id="EIO"),
        pytest.param(owning(A, "a"), Regular(stamp("a"), digest("a")), EACCES, None, id="EACCES"),
        pytest.param(owning(A, "a"), Regular(stamp("a"), digest("a")), None, None, id="whole"),
        pytest.param(owning(A, "a"), Regular(stamp("a")), None, None, id="not read"),
        pytest.param(owning(A, "a"), Obstacle("directory"), None, None, id="a directory"),
        pytest.param(owning(A, "a"), Obstacle("symlink"), None, None, id="a link"),
        pytest.param(owning(A, "a"), Linked("loras"), None, None, id="behind a link"),
        pytest.param(owning(A, "older"), ROTTEN, None, None, id="the lock moved on"),
        pytest.param(owning(A, "older"), Absent(), None, None, id="missing, the lock moved on"),
        pytest.param(owning(B, "b"), ROTTEN, None, None, id="not ours"),
        pytest.param(owning(B, "b"), Absent(), None, None, id="never placed"),
    ],
)
def test_only_what_receipt_and_lock_agree_about_is_mended(
    receipt: Receipt, sight: Sight, error: CivsyncError | None, expected: str | None
) -> None:
    unread = {} if error is None else {A: error}
    there: dict[SafePath, Sight] = {A: sight, B: Regular(stamp("b"), digest("b"))}
    found = mendable(WANTS, there, receipt, unread)
    if expected is None:
        assert A not in found
        return
    assert isinstance(sight, Regular | Absent)
    missing = isinstance(sight, Absent)
    assert found[A] == Mend(
        want=WANTS[A],
        stamp=None if isinstance(sight, Absent) else sight.stamp,
        sha256="" if missing else expected,
    )


def test_no_mutation_of_a_receipt_lets_a_repair_touch_a_strangers_file() -> None:
    """A stranger's file stands at B; the receipt, with any one byte changed, owned only A."""
    text = write_receipt(owning(A, "a"))
    there: dict[SafePath, Sight] = {
        A: Regular(stamp("a"), digest("a")),
        B: Regular(stamp("mine"), digest("mine")),
    }
    believed = 0
    for at in range(len(text)):
        for change in (1, 2, 3, 4, 8, 16, 32, 64, 128):
            mutated = text[:at] + bytes([text[at] ^ change]) + text[at + 1 :]
            try:
                receipt = read_receipt(mutated, "receipt.json")
            except SafetyError:
                continue
            believed += B in receipt.owned
            assert mendable(WANTS, there, receipt, {}) == {}
    assert believed, "no mutation named the stranger's path"


def test_the_plan_is_for_the_mended_paths_alone_and_takes_nothing_away() -> None:
    owned = {**owning(A, "a").owned, **owning(B, "b").owned, **owning(OLD, "old").owned}
    receipt = Receipt(root_id="root", owned=owned)
    there: dict[SafePath, Sight] = {
        A: ROTTEN,
        B: Absent(),
        OLD: Regular(stamp("old"), digest("old")),
    }
    plan = mending_plan(LOCK, there, receipt, NOTHING, [Mend(want=WANTS[A], stamp=ROTTEN.stamp)])
    assert plan.actions == (Fetch(want=WANTS[A]),)


def test_what_lies_where_nothing_wants_it_any_more_is_moved_into_place() -> None:
    owned = {**owning(A, "a").owned, **owning(OLD, "a").owned}
    receipt = Receipt(root_id="root", owned=owned)
    there: dict[SafePath, Sight] = {
        A: ROTTEN,
        B: Absent(),
        OLD: Regular(stamp("a"), digest("a")),
    }
    plan = mending_plan(LOCK, there, receipt, NOTHING, [Mend(want=WANTS[A], stamp=ROTTEN.stamp)])
    assert plan.actions == (Move(want=WANTS[A], source=owned[OLD]),)
