"""Planning, row by row: what is wanted, what is there, whose it is, and what follows."""

from dataclasses import replace

import pytest

from civsync.core.codes import Code
from civsync.core.disk import (
    Absent,
    Inventory,
    Known,
    Linked,
    Obstacle,
    Owned,
    Receipt,
    Regular,
    Sight,
)
from civsync.core.exits import ExitCode
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import (
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Release,
    Replace,
    Retire,
    Satisfied,
)
from civsync.decide.plan import (
    Allowance,
    make_plan,
    must_hash,
    paths_of_interest,
    recognize,
    wanted_files,
)
from support.lock_values import (
    digest,
    lock_at,
    lock_of,
    locked_entry,
    locked_file,
    owned_file,
    receipt_of,
    stamp,
)

NAME = parse_path("loras/a.safetensors")
WANTED = lock_at({NAME: "right"})
NOBODY = receipt_of()
OURS = receipt_of([owned_file(NAME, "right")])
OURS_OLD = receipt_of([owned_file(NAME, "old")])
KNOWN = Receipt(root_id="root", known={NAME: Known(sha256=digest("right"), stamp=stamp("right"))})
KNOWN_OTHER = Receipt(
    root_id="root", known={NAME: Known(sha256=digest("other"), stamp=stamp("other"))}
)


def there(content: str, *, mtime: int = 1, inode: int = 1, read: bool = True) -> Regular:
    """What is seen of a file; `read` says whether its content is known."""
    return Regular(stamp(content, mtime=mtime, inode=inode), digest(content) if read else None)


def at(**sights: Sight) -> Inventory:
    """An inventory of short names: a is loras/a.safetensors."""
    return {parse_path(f"loras/{name}.safetensors"): sight for name, sight in sights.items()}


def shape(plan: Plan) -> list[tuple[str, str]]:
    """Each action as a word and the last letter of its path."""
    return [
        (_word(action), _path(action).removesuffix(".safetensors")[6:]) for action in plan.actions
    ]


def _word(action: object) -> str:
    word = type(action).__name__
    match action:
        case Blocked(error=error):
            return f"{word} {error.code}"
        case Replace(modified=True):
            return f"{word} modified"
        case Release(missing=True):
            return f"{word} missing"
        case Retire(replaced=True):
            return f"{word} replaced"
        case Keep(stamp=new) if new is not None:
            return f"{word} touched"
        case _:
            return word


def _path(action: object) -> SafePath:
    match action:
        case Retire(owned=owned) | Release(owned=owned):
            return owned.path
        case Keep(want=want) | Satisfied(want=want) | Fetch(want=want) | Move(want=want):
            return want.path
        case Replace(want=want) | Blocked(want=want):
            return want.path
        case _:
            raise AssertionError(action)


@pytest.mark.parametrize(
    ("sight", "receipt", "force", "expected"),
    [
        pytest.param(Absent(), NOBODY, False, "Fetch", id="nothing there, never placed"),
        pytest.param(Absent(), OURS, False, "Fetch", id="ours, deleted by the user"),
        pytest.param(Absent(), KNOWN, False, "Fetch", id="the user's, deleted"),
        pytest.param(there("right"), OURS, False, "Keep", id="ours and right"),
        pytest.param(there("right", read=False), OURS, False, "Keep", id="ours by its stamp"),
        pytest.param(there("right", mtime=2), OURS, False, "Keep touched", id="ours, touched"),
        pytest.param(
            there("right"), OURS_OLD, False, "Keep touched", id="ours, made right by the user"
        ),
        pytest.param(there("old"), OURS_OLD, False, "Replace", id="ours, the lock moved on"),
        pytest.param(
            there("old", read=False), OURS_OLD, False, "Replace", id="ours and old by its stamp"
        ),
        pytest.param(
            there("mine"), OURS, False, "Blocked modified-file", id="ours, changed by the user"
        ),
        pytest.param(there("mine"), OURS, True, "Replace modified", id="ours, changed, and forced"),
        pytest.param(
            there("mine", mtime=2, read=False),
            OURS,
            False,
            "Blocked modified-file",
            id="ours, not readable counts as changed",
        ),
        pytest.param(there("right"), NOBODY, False, "Satisfied", id="foreign and right"),
        pytest.param(
            there("right", read=False), KNOWN, False, "Satisfied", id="foreign, known to be right"
        ),
        pytest.param(
            there("right", mtime=2, read=False),
            KNOWN,
            False,
            "Blocked foreign-file",
            id="foreign, known, but touched and not read",
        ),
        pytest.param(there("other"), NOBODY, False, "Blocked foreign-file", id="foreign, other"),
        pytest.param(there("other"), NOBODY, True, "Blocked foreign-file", id="foreign, forced"),
        pytest.param(
            there("other", read=False),
            KNOWN_OTHER,
            False,
            "Blocked foreign-file",
            id="foreign, known to be another",
        ),
        pytest.param(
            there("right", read=False),
            NOBODY,
            False,
            "Blocked foreign-file",
            id="foreign, not read",
        ),
        pytest.param(Obstacle("directory"), OURS, True, "Blocked obstacle", id="a directory"),
        pytest.param(Obstacle("symlink"), NOBODY, False, "Blocked obstacle", id="a symlink"),
        pytest.param(
            Linked("loras"), OURS, True, "Blocked symlinked-directory", id="behind a linked folder"
        ),
        pytest.param(
            Linked("loras", "file"), NOBODY, False, "Blocked obstacle", id="below what is a file"
        ),
    ],
)
def test_a_wanted_path_gets_the_one_action_that_fits(
    sight: Sight, receipt: Receipt, force: bool, expected: str
) -> None:
    plan = make_plan(WANTED, at(a=sight), receipt, Allowance(force_modified=force))
    assert shape(plan) == [(expected, "a")]


@pytest.mark.parametrize(
    ("sight", "prune", "expected"),
    [
        pytest.param(there("right"), True, "Retire", id="unchanged"),
        pytest.param(there("right", read=False), True, "Retire", id="unchanged by its stamp"),
        pytest.param(there("right", mtime=2), True, "Retire", id="touched only"),
        pytest.param(there("mine"), True, "Release", id="changed by the user"),
        pytest.param(there("right", mtime=2, read=False), True, "Release", id="not readable"),
        pytest.param(Absent(), True, "Release missing", id="deleted by the user"),
        pytest.param(Obstacle("symlink"), True, "Release", id="replaced by a link"),
        pytest.param(Linked("loras"), True, "Release", id="behind a linked folder"),
        pytest.param(there("right"), False, "", id="unchanged, prune off"),
        pytest.param(there("mine"), False, "Release", id="changed, prune off"),
        pytest.param(Absent(), False, "Release missing", id="deleted, prune off"),
    ],
)
def test_an_owned_path_that_nothing_wants_is_retired_or_let_go(
    sight: Sight, prune: bool, expected: str
) -> None:
    plan = make_plan(lock_of(), at(a=sight), OURS, Allowance(prune=prune))
    assert shape(plan) == ([(expected, "a")] if expected else [])


def test_a_foreign_file_that_nothing_wants_is_never_mentioned() -> None:
    assert make_plan(lock_of(), at(a=there("right")), KNOWN).actions == ()


def test_a_file_without_a_hash_in_the_lock_is_blocked_whatever_is_there() -> None:
    lock = lock_of(locked_entry(locked_file(NAME, "right", sha256="")))
    for sight in (Absent(), there("right")):
        for receipt in (NOBODY, OURS):
            [action] = make_plan(lock, at(a=sight), receipt).actions
            assert isinstance(action, Blocked)
            assert (action.error.code, action.error.exit) == (Code.UNVERIFIED, ExitCode.REFUSED)


def test_a_mere_look_shows_a_file_without_a_hash_as_one_to_download() -> None:
    lock = lock_of(locked_entry(locked_file(NAME, "right", sha256="")))
    allowance = Allowance(hashes_to_come=True)
    assert shape(make_plan(lock, at(a=Absent()), NOBODY, allowance)) == [("Fetch", "a")]


def owned(name: str, content: str, *, model_id: int = 1, inode: int = 1) -> Owned:
    """A line of the receipt by short name."""
    return owned_file(f"loras/{name}.safetensors", content, model_id=model_id, inode=inode)


def wanting(**wanted: str) -> dict[str, str]:
    """Short names to paths."""
    return {f"loras/{name}.safetensors": content for name, content in wanted.items()}


@pytest.mark.parametrize(
    ("wanted", "inventory", "receipt", "expected"),
    [
        pytest.param(
            wanting(b="x"),
            at(a=there("x"), b=Absent()),
            receipt_of([owned("a", "x")]),
            [("Move", "b")],
            id="our file under another name moves",
        ),
        pytest.param(
            wanting(b="x"),
            at(a=there("changed"), b=Absent()),
            receipt_of([owned("a", "x")]),
            [("Fetch", "b"), ("Release", "a")],
            id="a changed one does not",
        ),
        pytest.param(
            wanting(a="x", b="x"),
            at(a=there("x"), b=Absent()),
            receipt_of([owned("a", "x")]),
            [("Keep", "a"), ("Fetch", "b")],
            id="a file wanted where it is does not",
        ),
        pytest.param(
            wanting(b="x", c="x"),
            at(a=there("x"), b=Absent(), c=Absent()),
            receipt_of([owned("a", "x")]),
            [("Move", "b"), ("Fetch", "c")],
            id="one file moves once",
        ),
        pytest.param(
            wanting(c="x"),
            at(a=there("x"), b=there("x", inode=2), c=Absent()),
            receipt_of([owned("a", "x"), owned("b", "x", inode=2)]),
            [("Move", "c"), ("Retire replaced", "b")],
            id="of two copies one moves and one goes",
        ),
        pytest.param(
            wanting(a="y", b="x"),
            at(a=there("x"), b=there("y", inode=2)),
            receipt_of([owned("a", "x"), owned("b", "y", inode=2)]),
            [("Replace", "a"), ("Replace", "b")],
            id="two that swap names are replaced",
        ),
        pytest.param(
            wanting(b="x", c="y"),
            at(a=there("x"), b=there("y", inode=2), c=Absent()),
            receipt_of([owned("a", "x"), owned("b", "y", inode=2)]),
            [("Replace", "b"), ("Fetch", "c"), ("Retire replaced", "a")],
            id="a chain of names",
        ),
        pytest.param(
            wanting(b="x"),
            at(a=there("x"), b=there("foreign", inode=2)),
            receipt_of([owned("a", "x")]),
            [("Blocked foreign-file", "b"), ("Retire replaced", "a")],
            id="a move onto a foreign file is none",
        ),
        pytest.param(
            wanting(b="y"),
            at(a=there("x"), b=Absent()),
            receipt_of([owned("a", "x", model_id=1)]),
            [("Fetch", "b"), ("Retire replaced", "a")],
            id="a new version under a new name",
        ),
        pytest.param(
            wanting(b="y"),
            at(a=there("x"), b=Absent()),
            receipt_of([owned("a", "x", model_id=7)]),
            [("Fetch", "b"), ("Retire", "a")],
            id="another model instead",
        ),
        pytest.param(
            wanting(b="x"),
            at(a=there("x"), b=Absent()),
            Receipt(root_id="root", known={NAME: Known(sha256=digest("x"), stamp=stamp("x"))}),
            [("Fetch", "b")],
            id="a foreign file never moves",
        ),
    ],
)
def test_files_of_ours_move_and_nothing_else_does(
    wanted: dict[str, str], inventory: Inventory, receipt: Receipt, expected: list[tuple[str, str]]
) -> None:
    assert shape(make_plan(lock_at(wanted), inventory, receipt)) == expected


FOLDED = there("x", inode=9)
"""What a disk that folds case shows under every spelling of one name."""


@pytest.mark.parametrize(
    ("wanted", "inventory", "receipt", "expected"),
    [
        pytest.param(
            wanting(a="x"),
            at(A=FOLDED, a=FOLDED),
            receipt_of([owned("A", "x", inode=9)]),
            [("Move", "a")],
            id="new spelling, same content",
        ),
        pytest.param(
            wanting(a="y"),
            at(A=FOLDED, a=FOLDED),
            receipt_of([owned("A", "x", inode=9)]),
            [("Replace", "a")],
            id="new spelling, new content: ours stays ours until replaced",
        ),
        pytest.param(
            wanting(a="x"),
            at(A=FOLDED, a=FOLDED),
            receipt_of([owned("a", "x", inode=9), owned("A", "old", inode=8)]),
            [("Keep", "a"), ("Release missing", "A")],
            id="the old spelling is forgotten, the file stays",
        ),
        pytest.param(
            wanting(Z="x", a="x"),
            at(A=FOLDED, a=FOLDED, Z=Absent()),
            receipt_of([owned("A", "x", inode=9)]),
            [("Fetch", "Z"), ("Move", "a")],
            id="a file wanted under a new spelling goes nowhere else",
        ),
        pytest.param(
            wanting(a="y"),
            at(A=there("mine", inode=9), a=there("mine", inode=9)),
            receipt_of([owned("A", "x", inode=9)]),
            [("Blocked foreign-file", "a"), ("Release missing", "A")],
            id="new spelling of a file that the user changed",
        ),
        pytest.param(
            wanting(a="x"),
            at(A=there("x", inode=1), a=there("x", inode=2)),
            receipt_of([owned("A", "x", inode=1)]),
            [("Satisfied", "a"), ("Retire replaced", "A")],
            id="two files on a disk that does not fold",
        ),
    ],
)
def test_spellings_that_a_disk_folds_are_one_file(
    wanted: dict[str, str], inventory: Inventory, receipt: Receipt, expected: list[tuple[str, str]]
) -> None:
    assert shape(make_plan(lock_at(wanted), inventory, receipt)) == expected


def test_what_moves_or_goes_is_expected_as_it_was_seen_and_not_as_it_was_placed() -> None:
    touched = there("x", mtime=5)
    receipt = receipt_of([owned("a", "x")])
    [move] = make_plan(lock_at(wanting(b="x")), at(a=touched, b=Absent()), receipt).actions
    [retire] = make_plan(lock_of(), at(a=touched), receipt).actions
    assert isinstance(move, Move)
    assert isinstance(retire, Retire)
    assert (move.source.stamp, retire.owned.stamp) == (touched.stamp, touched.stamp)


def test_a_path_that_two_entries_want_is_planned_once() -> None:
    file = locked_file(NAME, "right")
    lock = lock_of(locked_entry(file, key="1@latest"), locked_entry(file, key="1@10"))
    assert list(wanted_files(lock)) == [NAME]
    assert shape(make_plan(lock, at(a=Absent()), NOBODY)) == [("Fetch", "a")]


def test_only_files_whose_content_could_matter_are_read() -> None:
    lock = lock_at(wanting(a="right", b="right", c="right"))
    inventory = at(
        a=there("right", read=False),
        b=there("of another size", read=False),
        c=there("right", mtime=3, read=False),
        d=there("gone?", mtime=2, read=False),
        e=Absent(),
    )
    receipt = receipt_of([owned("a", "right"), owned("d", "x")])
    assert must_hash(inventory, wanted_files(lock), receipt) == [
        parse_path("loras/c.safetensors"),
        parse_path("loras/d.safetensors"),
    ]
    assert recognize(inventory, receipt)[NAME] == there("right")


def test_a_survey_looks_at_what_is_wanted_and_what_is_owned() -> None:
    receipt = receipt_of([owned("z", "x"), owned("a", "x")])
    assert paths_of_interest([parse_path("b"), NAME], receipt) == [
        parse_path("b"),
        NAME,
        parse_path("loras/z.safetensors"),
    ]


def test_the_sums_of_a_plan_are_those_of_its_actions() -> None:
    lock = lock_at(wanting(a="new", b="right"))
    inventory = at(a=there("old"), b=Absent(), c=there("gone", inode=3))
    receipt = receipt_of([owned("a", "old"), owned("c", "gone", inode=3)])
    plan = make_plan(lock, inventory, receipt)
    assert plan.bytes_to_fetch == len("new") + len("right")
    assert len(plan.fetches) == 2
    assert [retire.owned.path for retire in plan.retires] == ["loras/c.safetensors"]
    assert plan.blocked == ()
    assert plan.pending == plan.actions


@pytest.mark.parametrize("code", [Code.FOREIGN_FILE, Code.MODIFIED_FILE])
def test_a_refusal_names_the_file_and_exits_with_8(code: Code) -> None:
    receipt = OURS if code is Code.MODIFIED_FILE else NOBODY
    [blocked] = make_plan(WANTED, at(a=there("other")), receipt).blocked
    assert (blocked.error.code, blocked.error.subject) == (code, NAME)
    assert blocked.error.exit == ExitCode.REFUSED


def test_a_receipt_that_names_no_entry_still_covers_its_model() -> None:
    nameless = replace(owned("a", "x"), entry="")
    plan = make_plan(lock_at(wanting(b="y")), at(a=there("x"), b=Absent()), receipt_of([nameless]))
    assert shape(plan) == [("Fetch", "b"), ("Retire replaced", "a")]


@pytest.mark.parametrize(("one", "other", "kept"), [(0, 9, "b"), (9, 0, "a"), (3, 3, "a")])
def test_a_file_of_two_entries_has_the_greater_of_their_priorities(
    one: int, other: int, kept: str
) -> None:
    file = locked_file(NAME, "right")
    lock = lock_of(
        replace(locked_entry(file, key="a"), priority=one),
        replace(locked_entry(file, key="b"), priority=other),
    )
    [want] = wanted_files(lock).values()
    assert want.entry.key == kept
