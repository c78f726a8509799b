"""Which files may be taken over: decided by content alone, each wanted path given once."""

import pytest

from civsync.core.adoption import Bring, Fate, Leave, Ours, Take
from civsync.core.disk import Absent, Linked, Obstacle, Receipt, Regular, Sight
from civsync.core.names import SafePath, parse_path
from civsync.decide.adopt import Search, decide_adoption, targets_to_read, worth_reading
from civsync.decide.plan import wanted_files
from support.lock_values import digest, lock_of, locked_entry, locked_file, owned_file, stamp

A, B = parse_path("loras/a"), parse_path("loras/b")
X, Y = parse_path("x/y"), parse_path("x/a")

WANTS = wanted_files(lock_of(locked_entry(locked_file(A, "a"), locked_file(B, "b"))))
TWICE = wanted_files(lock_of(locked_entry(locked_file(A, "a"), locked_file(B, "a"))))


def holds(content: str, inode: str = "") -> Regular:
    """A file with this content; the stamp is that of another text where one is given."""
    return Regular(stamp(inode or content), digest(content))


def short(fate: Fate) -> str:
    match fate:
        case Take(want=want):
            return f"take {want.path}"
        case Ours(want=want):
            return f"ours {want.path}"
        case Bring(want=want, source=source):
            return f"bring {source} to {want.path}"
        case Leave(path=path, error=error):
            return f"leave {path}: {error.code}"


def decided(
    sights: dict[SafePath, Sight],
    *,
    named: tuple[SafePath, ...] = (),
    receipt: Receipt | None = None,
    move: bool = True,
    twice: bool = False,
) -> list[str]:
    wants = TWICE if twice else WANTS
    inventory: dict[SafePath, Sight] = {**dict.fromkeys(wants, Absent()), **sights}
    search = Search(paths=set(inventory), named=named)
    receipt = receipt or Receipt(root_id="x")
    return [short(fate) for fate in decide_adoption(search, wants, inventory, receipt, move=move)]


@pytest.mark.parametrize(
    ("sights", "expected"),
    [
        pytest.param({}, [], id="nothing there"),
        pytest.param({A: holds("a")}, ["take loras/a"], id="in place"),
        pytest.param({A: holds("c")}, ["leave loras/a: foreign-file"], id="other content"),
        pytest.param({X: holds("a")}, ["bring x/y to loras/a"], id="under another name"),
        pytest.param({X: holds("c")}, [], id="nothing that is wanted"),
        pytest.param({X: Regular(stamp("a"))}, [], id="content not known"),
        pytest.param({A: Linked("loras")}, ["leave loras/a: symlinked-directory"], id="a link"),
        pytest.param({A: Obstacle("directory")}, ["leave loras/a: obstacle"], id="a directory"),
        pytest.param({X: Obstacle("directory")}, [], id="a directory that nobody wants"),
        pytest.param({A: holds("a"), X: holds("a", "z")}, ["take loras/a"], id="and a second copy"),
        pytest.param(
            {X: holds("a", "y"), Y: holds("a", "z")},
            ["bring x/a to loras/a"],
            id="two copies, one with the name",
        ),
        pytest.param(
            {A: holds("b"), B: holds("a")},
            ["leave loras/a: foreign-file", "leave loras/b: foreign-file"],
            id="under each other's names",
        ),
        pytest.param(
            {A: Obstacle("special"), X: holds("a")},
            ["leave loras/a: obstacle", "leave x/y: foreign-file"],
            id="a pipe in the way",
        ),
    ],
)
def test_what_becomes_of_files(sights: dict[SafePath, Sight], expected: list[str]) -> None:
    assert decided(sights) == expected


def test_content_that_is_wanted_twice_takes_two_files() -> None:
    sights: dict[SafePath, Sight] = {X: holds("a", "y"), Y: holds("a", "z")}
    assert decided(sights, twice=True) == ["bring x/a to loras/a", "bring x/y to loras/b"]


def test_without_move_nothing_goes_anywhere() -> None:
    assert decided({X: holds("a"), A: Absent()}, move=False) == ["leave x/y: misplaced"]


@pytest.mark.parametrize("content", ["c", "a"])
def test_of_a_named_file_it_is_always_told(content: str) -> None:
    sights: dict[SafePath, Sight] = {A: holds("a"), X: holds(content, "z")}
    assert decided(sights, named=(X,)) == ["take loras/a", "leave x/y: not-wanted"]


def test_what_is_ours_is_not_taken_twice_and_what_was_changed_not_at_all() -> None:
    receipt = Receipt(root_id="x", owned={A: owned_file(A, "a"), B: owned_file(B, "b")})
    sights: dict[SafePath, Sight] = {A: holds("a"), B: holds("c")}
    assert decided(sights, receipt=receipt) == ["ours loras/a", "leave loras/b: modified-file"]


def test_a_file_of_ours_that_sync_would_move_is_left_to_it() -> None:
    receipt = Receipt(root_id="x", owned={X: owned_file(X, "a")})
    assert decided({X: holds("a")}, receipt=receipt) == []
    assert decided({X: holds("a")}, receipt=receipt, named=(X,)) == ["leave x/y: not-wanted"]


def test_only_what_has_the_size_of_a_locked_file_is_read() -> None:
    inventory: dict[SafePath, Sight] = {
        A: Regular(stamp("other size")),
        X: Regular(stamp("z")),
        B: Absent(),
    }
    assert worth_reading(Search(paths=inventory), WANTS, inventory) == [X]


def test_what_stands_where_a_file_belongs_is_read_before_it_is_called_something_else() -> None:
    inventory: dict[SafePath, Sight] = {A: Regular(stamp("z")), X: holds("a"), B: Absent()}
    assert targets_to_read(Search(paths=[X]), WANTS, inventory) == [A]


@pytest.mark.parametrize(
    ("receipt", "expected"),
    [
        pytest.param(Receipt(root_id="x"), ["take loras/a"], id="nobody's"),
        pytest.param(
            Receipt(root_id="x", owned={A: owned_file(A, "a")}), ["ours loras/a"], id="civsync's"
        ),
    ],
)
def test_a_file_named_in_another_spelling_is_the_wanted_one_where_the_disk_says_so(
    receipt: Receipt, expected: list[str]
) -> None:
    spelled = parse_path("loras/A")
    search = Search(paths={spelled}, named={spelled})
    inventory: dict[SafePath, Sight] = {A: holds("a"), B: Absent(), spelled: holds("a")}
    fates = decide_adoption(search, WANTS, inventory, receipt, move=True)
    assert [short(fate) for fate in fates] == expected
