"""The note on a root in step: what is written is read, and nothing else is."""

import hashlib

import pytest

from civsync.core.groups import Unselected
from civsync.documents.record import RecordError
from civsync.documents.settled import Settled, Stamped, TextStamp, read_settled, write_settled

STAMPED = Stamped(
    folders=["loras", "loras/mødels", "vae"],
    paths=["loras/a.gguf", "loras/mødels/b c.gguf", "vae/d.pt", "top.pt"],
    mtimes_ns=[-1, 0, 1_795_658_612_155_717_998, 2**63 - 1],
    sizes=[0, 1, 2**40, 2**63 - 1],
    inodes=[1, 2**32, 2**64 - 1, 3],
)
NOTE = Settled(
    lock_sha256="a" * 64,
    lock_stamp=TextStamp(device=1, inode=2**64 - 1, size=0, mtime_ns=-1, ctime_ns=2**62),
    receipt_blake3="b" * 64,
    selection="+sd15",
    files=3,
    unselected=Unselected(files=2, groups=("video",), ungrouped=True),
    stamped=STAMPED,
)


@pytest.mark.parametrize(
    "note",
    [NOTE, NOTE._replace(stamped=Stamped(folders=[], paths=[])), NOTE._replace(lock_stamp=None)],
)
def test_what_is_written_is_read(note: Settled) -> None:
    read = read_settled(write_settled(note))
    for row in ("folders", "paths", "mtimes_ns", "sizes", "inodes"):
        assert list(getattr(read.stamped, row)) == list(getattr(note.stamped, row))
    assert read._replace(stamped=note.stamped) == note


def test_a_note_of_which_one_bit_differs_is_none() -> None:
    whole = write_settled(NOTE)
    for at in range(len(whole)):
        other = bytearray(whole)
        other[at] ^= 1
        with pytest.raises(RecordError):
            read_settled(bytes(other))


def test_a_note_that_is_cut_or_goes_on_is_none() -> None:
    whole = write_settled(NOTE)
    for length in range(len(whole)):
        with pytest.raises(RecordError):
            read_settled(whole[:length])
    with pytest.raises(RecordError):
        read_settled(whole + b"\0")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"stamps": 4', f'"stamps": {stamps}'.encode(), id=f"{stamps} stamps")
        for stamps in (-1, 0, 3, 5, 2**40, 2**70)
    ]
    + [
        pytest.param(b'"version": 3', b'"version": 4', id="a newer version"),
        pytest.param(b'"files": 3', b'"files": "3"', id="a count that is text"),
        pytest.param(b"[1, 18446744073709551615, 0", b"[1, 0", id="half a stamp"),
        pytest.param(b"[1, 18446744073709551615, 0", b"[1, 1, false", id="no stamp"),
        pytest.param(b'"selection"', b'"other"', id="no selection"),
        pytest.param(b"vae/d.pt", b"vae\0d.pt", id="a path too many"),
        pytest.param(b"vae/d.pt", b"vae/\xff.p", id="no UTF-8"),
    ],
)
def test_a_note_that_contradicts_itself_is_none(old: bytes, new: bytes) -> None:
    """Whoever can write the note can write the digest, too."""
    rest = write_settled(NOTE)[65:]
    assert rest.count(old) == 1
    rest = rest.replace(old, new)
    forged = f"{hashlib.sha256(rest).hexdigest()}\n".encode() + rest
    with pytest.raises(RecordError):
        read_settled(forged)


@pytest.mark.parametrize(
    "stamped",
    [
        STAMPED._replace(sizes=[0, 0, 0, 2**64]),
        STAMPED._replace(inodes=[0, 0, 0, -1]),
        STAMPED._replace(mtimes_ns=[0, 0, 0, 2**63]),
        STAMPED._replace(paths=["a", "b", "c", "\udcff"]),
    ],
    ids=["size", "inode", "time", "path"],
)
def test_what_has_no_form_is_not_written(stamped: Stamped) -> None:
    with pytest.raises(RecordError):
        write_settled(NOTE._replace(stamped=stamped))
