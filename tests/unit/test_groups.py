"""Groups: which entries a run is about, and what is left alone, row by row."""

from dataclasses import replace

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Absent, Known, Owned, Receipt, Regular, Sight
from civsync.core.errors import SafetyError, UserError
from civsync.core.exits import ExitCode
from civsync.core.groups import GroupWishes, Selection, Unselected
from civsync.core.lock import Lock, LockedEntry
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import Blocked, Protected, Release, Retire
from civsync.decide.groups import check_groups, choose
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import Allowance, make_plan, must_hash, paths_of_interest, wanted_files
from support.lock_values import (
    digest,
    lock_of,
    locked_entry,
    locked_file,
    owned_file,
    receipt_of,
    stamp,
)

PLAIN = Selection()


@pytest.mark.parametrize(
    ("wishes", "defaults", "taken"),
    [
        pytest.param(GroupWishes(), (), ["none"], id="plain"),
        pytest.param(GroupWishes(), ("a",), ["none", "a", "ab"], id="defaults"),
        pytest.param(GroupWishes(), None, ["none", "a", "b", "ab"], id="all by default"),
        pytest.param(GroupWishes(also=("b",)), (), ["none", "b", "ab"], id="-g"),
        pytest.param(
            GroupWishes(also=("b",)), ("a",), ["none", "a", "b", "ab"], id="-g and defaults"
        ),
        pytest.param(GroupWishes(only=("a",)), ("b",), ["a", "ab"], id="--only-group"),
        pytest.param(GroupWishes(only=("a",)), None, ["a", "ab"], id="--only-group over all"),
        pytest.param(GroupWishes(every=True), (), ["none", "a", "b", "ab"], id="--all-groups"),
        pytest.param(
            GroupWishes(every=True, without=("a",)), (), ["none", "b", "ab"], id="all but one"
        ),
        pytest.param(GroupWishes(without=("a",)), ("a", "b"), ["none", "b", "ab"], id="--no-group"),
        pytest.param(GroupWishes(without=("a",)), None, ["none", "b", "ab"], id="all, --no-group"),
        pytest.param(
            GroupWishes(also=("a",), without=("a",)), (), ["none"], id="taken away after all"
        ),
        pytest.param(GroupWishes(only=("a",), without=("a",)), (), [], id="nothing"),
        pytest.param(
            GroupWishes(every=True, without=("a", "b")), (), ["none"], id="all but every one"
        ),
    ],
)
def test_an_entry_is_selected_if_one_of_its_groups_is(
    wishes: GroupWishes, defaults: tuple[str, ...] | None, taken: list[str]
) -> None:
    selection = wishes.over(defaults)
    entries = {"none": (), "a": ("a",), "b": ("b",), "ab": ("a", "b")}
    assert [name for name, groups in entries.items() if selection.takes(groups)] == taken


def test_the_text_of_a_selection_tells_it_from_every_other() -> None:
    selections = {
        GroupWishes(**flags).over(defaults)
        for flags in (
            {},
            {"also": ("a",)},
            {"also": ("a", "b")},
            {"only": ("a",)},
            {"only": ("a",), "without": ("a",)},
            {"without": ("a",)},
            {"every": True},
            {"every": True, "without": ("a",)},
        )
        for defaults in ((), ("a",), ("b",), None)
    }
    assert len({str(each) for each in selections}) == len(selections)


def test_the_order_of_flags_changes_no_selection() -> None:
    one, other = GroupWishes(also=("a", "b", "a")), GroupWishes(also=("b", "a"))
    assert one.over(()) == other.over(())


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        pytest.param(
            "vdeo", ["sd15", "video"], "Did you mean `video`? The groups are sd15 and video.",
            id="a slip",
        ),
        pytest.param("x", ["sd15"], "The groups are sd15.", id="nothing like it"),
        pytest.param("x", [], "No entry has `groups`.", id="no groups at all"),
    ],
)  # fmt: skip
def test_a_group_that_no_entry_has_is_refused(name: str, known: list[str], hint: str) -> None:
    with pytest.raises(UserError) as raised:
        check_groups(["sd15", name] if known else [name], known)
    error = raised.value
    assert (error.code, error.exit, error.hint) == (Code.USAGE, ExitCode.USAGE, hint)
    assert f"no entry is in the group '{name}'" in error.message


def grouped(path: str, content: str, model_id: int, *groups: str, key: str = "") -> LockedEntry:
    entry = locked_entry(locked_file(path, content, model_id=model_id), key=key)
    return replace(entry, groups=groups)


FREE, VIDEO = grouped("a", "free", 1), grouped("v", "video", 2, "video")
LOCK = lock_of(FREE, VIDEO)


def test_a_lock_without_groups_is_taken_as_it_is() -> None:
    lock = lock_of(FREE)
    assert choose(lock, PLAIN).lock is lock
    assert choose(lock, PLAIN).left_out.files == Unselected()


def test_what_is_left_out_is_counted_by_path_and_named_by_group() -> None:
    shared = grouped("a", "free", 1, "both", key="1@10")
    twice = grouped("v", "video", 2, "sd15", key="2@20")
    left_out = choose(lock_of(FREE, VIDEO, shared, twice), PLAIN).left_out
    assert left_out.files == Unselected(files=1, groups=("sd15", "video"))
    only = choose(LOCK, Selection(groups=("video",), ungrouped=False))
    assert only.left_out.files == Unselected(files=1, ungrouped=True)
    assert only.lock.entries == (VIDEO,)


def placed(path: str, content: str, model_id: int, entry: str = "") -> Owned:
    owned = owned_file(path, content, model_id=model_id)
    return replace(owned, entry=entry or owned.entry)


def seen(owned: Owned) -> Regular:
    return Regular(owned.stamp, owned.sha256)


def actions(
    lock: Lock,
    *owned: Owned,
    selection: Selection = PLAIN,
    prune_unselected: bool = False,
    sights: dict[str, Sight] | None = None,
) -> list[tuple[str, str]]:
    """Plan for untouched files, but for those in `sights`: each action with its path."""
    chosen = choose(lock, selection)
    inventory: dict[SafePath, Sight] = {each.path: seen(each) for each in owned}
    inventory |= {parse_path(path): sight for path, sight in (sights or {}).items()}
    plan = make_plan(
        chosen.lock,
        inventory,
        receipt_of(owned),
        Allowance(prune_unselected=prune_unselected),
        chosen.left_out,
    )
    told: list[tuple[str, str]] = []
    for action in plan.actions:
        match action:
            case Retire(owned=mine) | Release(owned=mine) | Protected(owned=mine):
                told.append((type(action).__name__, mine.path))
            case _:
                told.append((type(action).__name__, action.want.path))
    return told


A = placed("a", "free", 1)
KEEP_A = ("Keep", "a")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param(placed("v", "video", 2), [KEEP_A], id="as locked"),
        pytest.param(placed("v", "older", 2), [KEEP_A], id="older content"),
        pytest.param(placed("old/v", "video", 2), [KEEP_A], id="at an older path"),
        pytest.param(placed("old/v", "older", 2), [KEEP_A], id="older content, older path"),
        pytest.param(placed("old/v", "older", 9, "2@latest"), [KEEP_A], id="its older model"),
        pytest.param(placed("old/v", "older", 2, "2@10"), [KEEP_A], id="of an entry since edited"),
        pytest.param(placed("old/v", "video", 9, "9@90"), [KEEP_A], id="placed for another entry"),
        pytest.param(
            placed("old/v", "older", 9, "9@90"), [KEEP_A, ("Retire", "old/v")], id="of no entry"
        ),
        pytest.param(
            placed("old/a", "older", 1), [KEEP_A, ("Retire", "old/a")], id="of a selected entry"
        ),
        pytest.param(
            placed("old/a", "older", 1, "1@10"), [KEEP_A, ("Retire", "old/a")],
            id="of a selected model",
        ),
    ],
)  # fmt: skip
def test_what_belongs_to_an_entry_that_is_left_out_is_left_alone(
    left: Owned, expected: list[tuple[str, str]]
) -> None:
    assert actions(LOCK, A, left) == expected
    everything = Selection(groups=None)
    assert actions(LOCK, A, left, selection=everything) != [KEEP_A]


def test_a_file_that_is_left_out_and_missing_is_not_missed() -> None:
    assert actions(LOCK, A) == [KEEP_A]


def test_one_that_the_user_deleted_is_let_go_and_one_that_was_changed_stays_ours() -> None:
    mine = placed("v", "video", 2)
    assert actions(LOCK, A, mine, sights={"v": Absent()}) == [KEEP_A, ("Release", "v")]
    changed = Regular(stamp("changed"), digest("changed"))
    assert actions(LOCK, A, mine, sights={"v": changed}) == [KEEP_A]


def test_a_file_that_two_entries_want_is_selected_and_moved_as_such() -> None:
    shared = lock_of(FREE, grouped("a", "free", 1, "video", key="1@10"))
    old = placed("old/a", "free", 1, "1@10")
    assert actions(shared, old, sights={"a": Absent()}) == [("Move", "a")]


def test_bytes_that_are_left_out_are_never_moved_to_where_others_want_them() -> None:
    lock = lock_of(FREE, grouped("v", "free", 2, "video"))
    assert actions(lock, placed("v", "free", 2), sights={"a": Absent()}) == [("Fetch", "a")]


def test_another_model_of_a_group_in_the_way_is_not_replaced() -> None:
    there = placed("a", "video", 2)
    chosen = choose(LOCK, PLAIN)
    [action] = make_plan(
        chosen.lock, {there.path: seen(there)}, receipt_of([there]), None, chosen.left_out
    ).actions
    assert isinstance(action, Blocked)
    assert isinstance(action.error, SafetyError)
    assert action.error.code is Code.UNSELECTED_FILE
    assert "2@latest" in action.error.message
    assert actions(LOCK, there, prune_unselected=True) == [("Replace", "a")]


def test_an_older_version_at_a_path_that_two_entries_want_is_replaced() -> None:
    shared = lock_of(FREE, grouped("a", "free", 1, "video", key="1@10"))
    assert actions(shared, placed("a", "older", 1, "1@10")) == [("Replace", "a")]


@pytest.mark.parametrize(
    "left",
    [placed("v", "video", 2), placed("old/v", "older", 2)],
    ids=["as locked", "stale"],
)
def test_only_the_flag_prunes_what_is_left_out_and_the_guard_counts_it(left: Owned) -> None:
    assert actions(LOCK, A, left, prune_unselected=True) == [KEEP_A, ("Retire", left.path)]
    many = [placed(f"v{n}", f"v{n}", n) for n in range(2, 22)]
    lock = lock_of(FREE, *(grouped(each.path, each.path, each.model_id, "video") for each in many))
    chosen, receipt = choose(lock, PLAIN), receipt_of([A, *many])
    inventory = {each.path: seen(each) for each in (A, *many)}
    allowance = Allowance(prune_unselected=True)
    plan = make_plan(chosen.lock, inventory, receipt, allowance, chosen.left_out)
    assert [(retire.unselected, retire.replaced) for retire in plan.retires] == [(True, False)] * 20
    with pytest.raises(SafetyError) as raised:
        check_prune(plan, receipt, AllowPrune())
    assert raised.value.code is Code.PRUNE_GUARD
    check_prune(plan, receipt, AllowPrune(20))


def test_the_guard_counts_what_is_given_up_although_its_model_is_selected() -> None:
    lock = lock_of(FREE, grouped("v", "video", 1, "video", key="1@10"))
    mine = placed("v", "video", 1, "1@10")
    chosen = choose(lock, PLAIN)
    plan = make_plan(
        chosen.lock,
        {A.path: seen(A), mine.path: seen(mine)},
        receipt_of([A, mine]),
        Allowance(prune_unselected=True),
        chosen.left_out,
    )
    [retire] = plan.retires
    assert not retire.replaced


def test_the_users_own_file_that_a_group_wants_is_looked_at_and_never_read() -> None:
    chosen = choose(LOCK, PLAIN)
    path = parse_path("v")
    known = Known(sha256=digest("video"), stamp=stamp("video"))
    receipt = Receipt(root_id="root", known={path: known})
    wants = wanted_files(chosen.lock)
    assert path in paths_of_interest(wants, receipt, chosen.left_out)
    assert must_hash({path: Regular(stamp("other", mtime=9))}, wants, receipt) == []
