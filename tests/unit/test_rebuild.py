"""What a rebuilt receipt may own, whatever is left of the old one."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from civsync.core.disk import Absent, Obstacle, Owned, Receipt, Regular, Sight, Stamp
from civsync.core.errors import SafetyError
from civsync.core.names import SafePath, parse_path
from civsync.decide.plan import wanted_files
from civsync.decide.rebuild import rebuild
from civsync.documents.receipt import read_receipt, write_receipt
from support.lock_values import digest, lock_of, locked_entry, locked_file, stamp

A, B = parse_path("loras/a.bin"), parse_path("loras/b.bin")
ELSEWHERE = parse_path("loras/old.bin")
WANTS = wanted_files(lock_of(locked_entry(locked_file(A, "a"), locked_file(B, "b"))))
NOTHING = Receipt(root_id="root")


def receipt(**contents: str) -> Receipt:
    """A receipt that owns these contents: `a`, `b` and `old`."""
    paths = {"a": A, "b": B, "old": ELSEWHERE}
    owned = {
        paths[name]: Owned(path=paths[name], sha256=digest(content), stamp=stamp(content))
        for name, content in contents.items()
    }
    return Receipt(root_id="root", owned=owned)


def on_disk(
    **contents: str | None,
) -> tuple[dict[SafePath, Sight], dict[SafePath, tuple[str, str, Stamp]]]:
    """Return inventory and contents; None is a file that cannot be read, "-" none at all."""
    paths = {"a": A, "b": B, "old": ELSEWHERE}
    inventory: dict[SafePath, Sight] = {}
    read: dict[SafePath, tuple[str, str, Stamp]] = {}
    for name, content in contents.items():
        path = paths[name]
        if content == "-":
            inventory[path] = Absent()
        elif content == "directory":
            inventory[path] = Obstacle("directory")
        else:
            inventory[path] = Regular(stamp(content or "unread"))
            if content is not None:
                read[path] = digest(content), f"blake3 of {content}", stamp(content)
    return inventory, read


def owned_after(
    old: Receipt, there: Mapping[str, str | None], *, take_over: bool = False
) -> dict[str, str]:
    inventory, contents = on_disk(**there)
    made = rebuild(WANTS, inventory, old, contents, take_over=take_over)
    return {path: each.sha256 for path, each in made.receipt.owned.items()}


@pytest.mark.parametrize(
    ("old", "there", "expected"),
    [
        pytest.param({"a": "a"}, {"a": "a"}, {A: "a"}, id="as placed"),
        pytest.param({"a": "old a"}, {"a": "old a"}, {A: "old a"}, id="an older version"),
        pytest.param({"a": "old a"}, {"a": "a"}, {A: "a"}, id="ours, and the locked one by now"),
        pytest.param({"a": "a"}, {"a": "rotten"}, {A: "a"}, id="damaged"),
        pytest.param({"a": "a"}, {"a": "-"}, {A: "a"}, id="missing"),
        pytest.param({"a": "a"}, {"a": None}, {A: "a"}, id="unreadable"),
        pytest.param({"a": "a"}, {"a": "directory"}, {}, id="a directory"),
        pytest.param({"a": "forged"}, {"a": "rotten"}, {}, id="lock and receipt disagree"),
        pytest.param({"a": "forged"}, {"a": "-"}, {}, id="missing, and they disagree"),
        pytest.param({"old": "old"}, {"old": "old"}, {ELSEWHERE: "old"}, id="to be retired"),
        pytest.param({"old": "old"}, {"old": "mine"}, {}, id="changed, and not locked"),
        pytest.param({"old": "old"}, {"old": "-"}, {}, id="gone, and not locked"),
        pytest.param({"old": "old"}, {"old": None}, {ELSEWHERE: "old"}, id="not to be read"),
        pytest.param({}, {"a": "a"}, {}, id="the user's own"),
    ],
)
def test_ours_is_what_receipt_and_disk_say(
    old: dict[str, str], there: dict[str, str | None], expected: dict[SafePath, str]
) -> None:
    wanted = {path: digest(content) for path, content in expected.items()}
    assert owned_after(receipt(**old), there) == wanted


def test_the_users_word_takes_over_what_is_as_locked_and_nothing_else() -> None:
    there = {"a": "a", "b": "mine", "old": "anything"}
    assert owned_after(NOTHING, there, take_over=True) == {A: digest("a")}


def test_a_file_that_is_not_as_placed_is_not_believed_by_its_stamp() -> None:
    inventory, contents = on_disk(a="rotten")
    made = rebuild(WANTS, inventory, receipt(a="a"), contents, take_over=False)
    assert made.receipt.owned[A].stamp.inode == 0


def test_every_mutation_of_a_receipt_leaves_only_right_content_owned() -> None:
    """Every bit of every byte; what it names is held against the disk."""
    inventory, contents = on_disk(a="a", b="b")
    sound = replace(receipt(a="a", b="b"), root_id="r")
    text = write_receipt(sound)
    content = {path: sha256 for path, (sha256, _, _) in contents.items()}
    believed = 0
    for at in range(len(text)):
        for bit in range(8):
            mutated = text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]
            try:
                old = read_receipt(mutated, "receipt.json")
            except SafetyError:
                continue
            believed += 1
            there = {**dict.fromkeys(old.owned, Absent()), **inventory}
            made = rebuild(WANTS, there, old, contents, take_over=True)
            for path, each in made.receipt.owned.items():
                assert content[path] == each.sha256
    assert believed


@pytest.mark.parametrize(
    ("said", "before", "expected"),
    [
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_a_rebuilt_receipt_protects_what_the_entry_says_or_the_old_one(
    said: bool | None, before: bool, expected: bool
) -> None:
    entry = replace(locked_entry(locked_file(A, "a")), protect=said)
    old = receipt(a="a")
    old = replace(old, owned={A: replace(old.owned[A], protect=before)})
    inventory, contents = on_disk(a="a")
    made = rebuild(wanted_files(lock_of(entry)), inventory, old, contents, take_over=False)
    assert made.receipt.owned[A].protect is expected
