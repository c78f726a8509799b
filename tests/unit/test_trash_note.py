"""Notes in trash are input: one is believed whole, or not at all."""

import json

import pytest

from civsync.core.limits import TRASH_REASON_CHARS
from civsync.core.names import parse_path
from civsync.documents.trash_note import TrashNote, read_note, write_note

PATH = "loras/style/a.safetensors"
SHA256 = "ab" * 32
NOTE = write_note(path=PATH, sha256=SHA256, size=7, reason="replaced", time="2026-11-20T10:00:00Z")
READ = TrashNote(path=parse_path(PATH), reason="replaced")


def changed(**keys: object) -> bytes:
    """The note with some keys other than they were; None takes one out."""
    document = {**json.loads(NOTE), **keys}
    return json.dumps({key: each for key, each in document.items() if each is not None}).encode()


def test_a_note_comes_back_as_it_was_written() -> None:
    assert read_note(NOTE, sha256=SHA256, size=7) == READ


def test_a_note_of_civsync_0_1_which_has_no_size_is_still_read() -> None:
    assert read_note(changed(size=None), sha256=SHA256, size=7) == READ


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("../outside.pt", id="above the root"),
        pytest.param("loras/../../outside.pt", id="above the root, later"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("C:/windows/x.pt", id="a drive"),
        pytest.param("loras\\x.pt", id="a backslash"),
        pytest.param(".civsync/receipt.json", id="the control folder"),
        pytest.param("loras/.hidden", id="hidden"),
        pytest.param("loras/nul.txt", id="a device"),
        pytest.param("loras//x", id="an empty component"),
        pytest.param("", id="nothing"),
        pytest.param("loras/\x1b[2Jx.pt", id="an escape"),
        pytest.param("loras/x\0.pt", id="NUL"),
        pytest.param("a/" * 30 + "x", id="too deep"),
    ],
)
def test_a_path_that_civsync_would_not_make_is_not_believed(path: str) -> None:
    assert read_note(changed(path=path), sha256=SHA256, size=7) is None


@pytest.mark.parametrize(
    ("data", "sha256", "size"),
    [
        pytest.param(NOTE, "cd" * 32, 7, id="another file's hash"),
        pytest.param(NOTE, "", 7, id="a file that nobody hashed"),
        pytest.param(NOTE, SHA256, 8, id="another size"),
        pytest.param(b"", SHA256, 7, id="empty"),
        pytest.param(b"\0" * 200, SHA256, 7, id="zeros"),
        pytest.param(NOTE[:-20], SHA256, 7, id="cut off"),
        pytest.param(b"[" * 10_000, SHA256, 7, id="deep"),
        pytest.param(changed(size="7"), SHA256, 7, id="a size that is text"),
        pytest.param(changed(path=None), SHA256, 7, id="no path"),
        pytest.param(changed(reason=5), SHA256, 7, id="a reason that is no text"),
        pytest.param(b"\xff" + NOTE, SHA256, 7, id="not UTF-8"),
    ],
)
def test_a_note_that_does_not_fit_its_file_is_not_believed(
    data: bytes, sha256: str, size: int
) -> None:
    assert read_note(data, sha256=sha256, size=size) is None


def test_whatever_byte_is_changed_a_note_never_leads_out_of_the_root() -> None:
    believed = 0
    for at in range(len(NOTE)):
        for byte in (0, ord("."), ord("/"), ord("\\"), 0x1B, NOTE[at] ^ 1, 0xFF):
            note = read_note(NOTE[:at] + bytes([byte]) + NOTE[at + 1 :], sha256=SHA256, size=7)
            if note is not None:
                believed += 1
                assert parse_path(note.path) == note.path
    assert believed


def test_a_long_reason_is_cut() -> None:
    note = read_note(changed(reason="x" * 5000), sha256=SHA256, size=7)
    assert note is not None
    assert note.reason == "x" * TRASH_REASON_CHARS
