"""The prune guard at its limits: a usual edit passes, an emptied library does not."""

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Inventory, Owned, Receipt, Regular
from civsync.core.errors import SafetyError
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.core.plan import Plan
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import Allowance, make_plan
from support.lock_values import lock_at, lock_of, owned_file, receipt_of


def receipt_with(count: int) -> Receipt:
    """A receipt that owns `count` files of as many models."""
    return receipt_of(
        owned_file(f"f{number:03}", str(number), model_id=number + 1) for number in range(count)
    )


def keeping(count: int, first: int = 0) -> Lock:
    """A lock that wants `count` of these files from the `first` on."""
    lock = lock_at({f"f{number:03}": str(number) for number in range(first + count)})
    return Lock(entries=lock.entries[first:])


def untouched(receipt: Receipt) -> Inventory:
    """Everything as it was placed."""
    return {path: _seen(owned) for path, owned in receipt.owned.items()}


def _seen(owned: Owned) -> Regular:
    return Regular(owned.stamp, owned.sha256)


def plan_of(owned: int, kept: int) -> tuple[Plan, Receipt]:
    receipt = receipt_with(owned)
    return make_plan(keeping(kept), untouched(receipt), receipt), receipt


@pytest.mark.parametrize(
    ("owned", "dropped", "allowed", "stopped"),
    [
        pytest.param(12, 0, 0, False, id="nothing"),
        pytest.param(12, 10, 0, False, id="ten of twelve"),
        pytest.param(12, 11, 0, True, id="eleven of twelve"),
        pytest.param(40, 10, 0, False, id="a quarter of forty"),
        pytest.param(40, 11, 0, True, id="more than a quarter of forty"),
        pytest.param(100, 25, 0, False, id="a quarter of a hundred"),
        pytest.param(100, 26, 0, True, id="more than a quarter of a hundred"),
        pytest.param(101, 25, 0, False, id="a quarter is rounded down"),
        pytest.param(101, 26, 0, True, id="and not up"),
        pytest.param(1, 1, 0, True, id="the only file"),
        pytest.param(2, 1, 0, False, id="one of two"),
        pytest.param(10, 10, 0, True, id="everything, though only ten"),
        pytest.param(10, 10, 9, True, id="everything, one short of allowed"),
        pytest.param(10, 10, 10, False, id="everything, as allowed"),
        pytest.param(100, 26, 25, True, id="one more than allowed"),
        pytest.param(100, 26, 26, False, id="as many as allowed"),
        pytest.param(100, 100, None, False, id="everything with all"),
        pytest.param(12, 10, 3, False, id="a smaller allowance does not narrow the guard"),
    ],
)
def test_more_than_a_usual_edit_explains_needs_an_allowance(
    owned: int, dropped: int, allowed: int | None, stopped: bool
) -> None:
    plan, receipt = plan_of(owned, owned - dropped)
    assert len(plan.retires) == dropped
    if not stopped:
        check_prune(plan, receipt, AllowPrune(allowed))
        return
    with pytest.raises(SafetyError) as caught:
        check_prune(plan, receipt, AllowPrune(allowed))
    assert caught.value.code is Code.PRUNE_GUARD
    assert caught.value.exit is ExitCode.REFUSED
    assert caught.value.data["files"] == dropped
    assert f"--allow-prune {dropped}" in caught.value.hint


def test_files_that_a_new_version_replaces_do_not_count() -> None:
    receipt = receipt_with(30)
    renamed = lock_at({f"new{number}": f"other {number}" for number in range(30)})
    plan = make_plan(renamed, untouched(receipt), receipt)
    assert [retire.replaced for retire in plan.retires] == [True] * 30
    check_prune(plan, receipt, AllowPrune())


def test_moved_files_do_not_count() -> None:
    receipt = receipt_with(30)
    moved = lock_at({f"elsewhere/f{number:03}": str(number) for number in range(30)})
    plan = make_plan(moved, untouched(receipt), receipt)
    assert plan.retires == ()
    check_prune(plan, receipt, AllowPrune())


def test_other_models_instead_of_all_that_were_there_is_everything() -> None:
    receipt = receipt_of(owned_file(f"f{n}", str(n), model_id=n + 100) for n in range(3))
    plan = make_plan(lock_at({"x": "x", "y": "y"}), untouched(receipt), receipt)
    with pytest.raises(SafetyError, match="everything"):
        check_prune(plan, receipt, AllowPrune())


def test_a_file_that_is_missing_already_does_not_hide_that_the_rest_is_everything() -> None:
    receipt = receipt_with(5)
    inventory = dict(untouched(receipt))
    del inventory[min(inventory)]
    plan = make_plan(lock_of(), inventory, receipt)
    with pytest.raises(SafetyError, match="everything"):
        check_prune(plan, receipt, AllowPrune())


def test_without_pruning_there_is_nothing_to_guard() -> None:
    receipt = receipt_with(30)
    plan = make_plan(lock_of(), untouched(receipt), receipt, Allowance(prune=False))
    check_prune(plan, receipt, AllowPrune())


def test_the_refusal_counts_files_and_bytes() -> None:
    plan, receipt = plan_of(11, 0)
    with pytest.raises(SafetyError) as caught:
        check_prune(plan, receipt, AllowPrune())
    assert caught.value.data == {"files": 11, "owned": 11, "bytes": 12}
