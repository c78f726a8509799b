"""The receipt is input: what does not hold is refused whole, and names what is wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Known, Owned, Receipt, Stamp
from civsync.core.errors import SafetyError
from civsync.core.names import SafePath, parse_path
from civsync.documents.receipt import (
    Intended,
    Note,
    Placed,
    Released,
    read_notes,
    read_receipt,
    replay,
    write_note,
    write_receipt,
)

A = parse_path("loras/ä.safetensors")
B = parse_path("checkpoints/b.safetensors")
OWNED = Owned(
    path=A,
    sha256="a" * 64,
    stamp=Stamp(5, 1_700_000_000_123_456_789, 2**63),
    entry='4201@"V5.1"',
    model_id=4201,
    version_id=130072,
    file_id=94640,
    blake3="b" * 64,
)
RECEIPT = Receipt(
    root_id="11111111-2222-4333-8444-555555555555",
    owned={A: OWNED, B: replace(OWNED, path=B, blake3=None)},
    known={parse_path("vae/c.pt"): Known(sha256="c" * 64, stamp=Stamp(1, 2, 3))},
)
NOTES: tuple[Note, ...] = (Intended(owned=OWNED), Placed(owned=OWNED), Released(path=B))


def test_a_receipt_comes_back_as_it_was() -> None:
    assert read_receipt(write_receipt(RECEIPT), "receipt.json") == RECEIPT


def test_the_order_of_paths_does_not_show() -> None:
    turned = replace(RECEIPT, owned=dict(reversed(list(RECEIPT.owned.items()))))
    assert write_receipt(turned) == write_receipt(RECEIPT)


def edited(edit: Callable[[Any], object]) -> bytes:
    document = json.loads(write_receipt(RECEIPT))
    edit(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no-keys"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(write_receipt(RECEIPT)[:-20], id="truncated"),
        pytest.param(b"<<<<<<< HEAD\n" + write_receipt(RECEIPT), id="conflict"),
        pytest.param(edited(lambda d: d.update(schema="civsync.lock")), id="other-document"),
        pytest.param(edited(lambda d: d["owned"][0].update(path="../../x")), id="dots"),
        pytest.param(edited(lambda d: d["owned"][0].update(path="/etc/passwd")), id="absolute"),
        pytest.param(edited(lambda d: d["owned"][0].update(path=".civsync/root.json")), id="dot"),
        pytest.param(edited(lambda d: d["owned"][0].update(path="a\\b")), id="backslash"),
        pytest.param(edited(lambda d: d["owned"][0].update(path="")), id="no-path"),
        pytest.param(edited(lambda d: d["owned"][0].update(sha256="")), id="no-hash"),
        pytest.param(edited(lambda d: d["owned"][0].update(sha256="A" * 64)), id="upper-hash"),
        pytest.param(edited(lambda d: d["owned"][0]["stamp"].update(size="5")), id="text-size"),
        pytest.param(edited(lambda d: d["owned"].append(d["owned"][0])), id="path-twice"),
        pytest.param(edited(lambda d: d["known"].update({"..": d["known"]["vae/c.pt"]})), id="k"),
    ],
)
def test_a_receipt_that_does_not_hold_is_refused_whole(data: bytes) -> None:
    with pytest.raises(SafetyError) as error:
        read_receipt(data, ".civsync/receipt.json")
    assert error.value.code is Code.STATE_DAMAGED
    assert ".civsync/receipt.json" in error.value.message


def test_a_receipt_of_a_newer_civsync_asks_for_an_upgrade() -> None:
    data = edited(lambda d: d.update(schema_version=3, owned="in another form"))
    with pytest.raises(SafetyError) as error:
        read_receipt(data, "receipt.json")
    assert error.value.hint == "Upgrade civsync."


def test_notes_come_back_as_they_were() -> None:
    data = b"".join(map(write_note, NOTES))
    assert read_notes(data, "notes.jsonl") == NOTES


def test_a_last_line_cut_off_anywhere_is_left_out() -> None:
    data = b"".join(map(write_note, NOTES))
    start = len(data) - len(write_note(NOTES[-1]))
    for end in range(start, len(data)):
        assert read_notes(data[:end], "notes.jsonl") == NOTES[:-1]


def test_lines_that_a_power_cut_left_as_zeros_are_left_out() -> None:
    placed = write_note(NOTES[1])
    torn = b"\0" * (len(placed) - 10) + placed[-10:]
    data = write_note(NOTES[0]) + torn + write_note(NOTES[2])
    assert read_notes(data, "notes.jsonl") == (NOTES[0], NOTES[2])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"garbage", id="garbage"),
        pytest.param(b'{"note":"eat"}', id="unknown-note"),
        pytest.param(b'{"note":"placed"}', id="no-file"),
        pytest.param(b'{"note":"released","path":"../x"}', id="dots"),
        pytest.param(b"", id="empty-line"),
    ],
)
def test_garbage_among_the_notes_is_refused_with_its_line(line: bytes) -> None:
    data = write_note(NOTES[0]) + line + b"\n"
    with pytest.raises(SafetyError) as error:
        read_notes(data, "notes.jsonl")
    assert error.value.code is Code.STATE_DAMAGED
    assert "notes.jsonl:2" in error.value.message


def paths(receipt: Receipt) -> set[SafePath]:
    return set(receipt.owned)


@pytest.mark.parametrize(
    ("notes", "owned", "open_intents"),
    [
        pytest.param((), set(), (), id="nothing"),
        pytest.param((Intended(owned=OWNED),), set(), (OWNED,), id="intent"),
        pytest.param((Intended(owned=OWNED), Placed(owned=OWNED)), {A}, (), id="placed"),
        pytest.param((Placed(owned=OWNED), Released(path=A)), set(), (), id="released"),
        pytest.param((Intended(owned=OWNED), Released(path=A)), set(), (), id="given-up"),
        pytest.param(
            (Placed(owned=OWNED), Intended(owned=OWNED)), {A}, (OWNED,), id="replacing-ours"
        ),
    ],
)
def test_replay(notes: tuple[Note, ...], owned: set[SafePath], open_intents: object) -> None:
    receipt, intents = replay(Receipt(root_id="x"), notes)
    assert (paths(receipt), intents) == (owned, open_intents)


def test_replaying_twice_changes_nothing() -> None:
    once, _ = replay(RECEIPT, NOTES)
    assert replay(once, NOTES)[0] == once
