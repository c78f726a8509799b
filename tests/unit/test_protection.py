"""What entries say of protection, and what the receipt makes of it."""

from dataclasses import replace

import pytest

from civsync.core.disk import Receipt
from civsync.core.groups import Selection
from civsync.core.names import parse_path
from civsync.decide.groups import choose
from civsync.decide.protection import with_protection
from support.lock_values import lock_of, locked_entry, locked_file, owned_file, receipt_of

PATH = parse_path("a.safetensors")
OWN = "1@latest"


def owning(*, protect: bool, entry: str = OWN) -> Receipt:
    """A receipt of one file."""
    return receipt_of([replace(owned_file(PATH, "a"), entry=entry, protect=protect)])


@pytest.mark.parametrize(
    ("before", "said", "entry", "named", "after"),
    [
        pytest.param(False, True, OWN, False, True, id="its entry protects it"),
        pytest.param(True, False, OWN, False, False, id="its entry ends it"),
        pytest.param(True, None, OWN, False, True, id="its entry says nothing, it was"),
        pytest.param(False, None, OWN, False, False, id="its entry says nothing, it was not"),
        pytest.param(False, True, "9@latest", False, True, id="who wants its path protects it"),
        pytest.param(True, None, "9@latest", False, True, id="who wants its path says nothing"),
        pytest.param(True, None, OWN, True, False, id="it is named"),
        pytest.param(True, True, OWN, True, False, id="it is named, whatever its entry says"),
        pytest.param(False, None, OWN, True, False, id="it is named, and never was"),
    ],
)
@pytest.mark.parametrize("selected", [True, False], ids=["selected", "left out"])
def test_a_file_is_as_protected_as_its_entry_says_and_then_as_it_was(
    before: bool, said: bool | None, entry: str, named: bool, after: bool, selected: bool
) -> None:
    wanting = replace(locked_entry(locked_file(PATH, "a")), groups=("g",), protect=said)
    chosen = choose(lock_of(wanting), Selection(groups=("g",) if selected else ()))
    told = with_protection(
        owning(protect=before, entry=entry),
        chosen.lock,
        chosen.left_out,
        [PATH] if named else [],
    )
    assert told == owning(protect=after, entry=entry)


def test_a_receipt_that_stays_as_it_is_is_the_same_value() -> None:
    receipt = owning(protect=True)
    wanting = replace(locked_entry(locked_file(PATH, "a")), protect=True)
    assert with_protection(receipt, lock_of(wanting)) is receipt
    assert with_protection(receipt, lock_of()) is receipt


@pytest.mark.parametrize("first", [True, False], ids=["first protects", "second protects"])
def test_of_entries_that_want_one_file_the_one_that_protects_it_wins(first: bool) -> None:
    wanting = [
        replace(locked_entry(locked_file(PATH, "a"), key=key), protect=protect)
        for key, protect in ((OWN, first), ("2@latest", not first))
    ]
    told = with_protection(owning(protect=False), lock_of(*wanting))
    assert told == owning(protect=True)
    assert with_protection(told, lock_of(*wanting)) is told


@pytest.mark.parametrize("selected", [True, False], ids=["selected", "left out"])
def test_who_wants_the_path_of_another_entry_ends_its_protection_only_where_selected(
    selected: bool,
) -> None:
    wanting = replace(locked_entry(locked_file(PATH, "a")), groups=("g",), protect=False)
    chosen = choose(lock_of(wanting), Selection(groups=("g",) if selected else ()))
    receipt = owning(protect=True, entry="9@latest")
    told = with_protection(receipt, chosen.lock, chosen.left_out)
    assert told.owned[PATH].protect is not selected
