"""Tell by its first bytes what a file is, and whether its name promises something else.

This looks, and refuses; it never unpacks, unpickles or imports. A file that passes is
of the kind it claims, not harmless: what a pickle does is not asked here.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import IntegrityError
from civsync.core.limits import MIB

HEAD_BYTES: Final = 1 * MIB
"""How many first bytes `sniff` wants. A longer safetensors header (those of large
checkpoints have 200 to 400 KB) is checked in part."""

_SAFETENSORS_HEADER: Final = 100 * MIB
"""The longest header that readers accept (huggingface/safetensors: src/tensor.rs)."""

_PICKLE_NAMES: Final = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
"""Names under which a pickle is no surprise (whether it is wanted is the policy's matter)."""

_TAR_NAMES: Final = (*_PICKLE_NAMES, ".tar")
_TEXT_NAMES: Final = (".json", ".yaml", ".yml", ".txt", ".xml", ".csv", ".md", ".html", ".htm")

_MEMBER: Final = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
"""The local header of a zip member up to its name; the group is the length of the name."""

_PAGE: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_COMMENTS: Final = 16
"""How many comments before the first tag are looked past."""


class Kind(Enum):
    """What the first bytes say a file is."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    PICKLE = "pickle"
    TAR = "tar, as torch before 0.1.10 wrote"
    TORCH_ZIP = "zip with a pickle"
    ZIP = "zip"
    HTML = "web page"
    JSON = "json"
    XML = "xml"
    GZIP = "gzip"
    TEXT = "text"
    UNKNOWN = "unknown"


_ALLOWED_NAMES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.PICKLE: _PICKLE_NAMES,
    Kind.TORCH_ZIP: _PICKLE_NAMES,
    Kind.TAR: _TAR_NAMES,
    Kind.HTML: (".html", ".htm"),
}
"""Kinds that are refused under any other name."""

_PROMISED: Final[Mapping[str, frozenset[Kind]]] = {
    "safetensors": frozenset({Kind.SAFETENSORS}),
    "sft": frozenset({Kind.SAFETENSORS}),
    "gguf": frozenset({Kind.GGUF}),
    "zip": frozenset({Kind.ZIP}),
}
"""Extensions, and formats of the API in lower case, that leave no choice."""


def sniff(head: bytes, size: int) -> Kind:
    """Return the kind of a file of `size` bytes that begins with `head`.

    The smaller of HEAD_BYTES and `size` is enough of a head. Never raises.
    """
    if head.startswith(b"GGUF"):
        return Kind.GGUF
    if _is_safetensors(head, size):
        return Kind.SAFETENSORS
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return Kind.TORCH_ZIP if _holds_pickle(head) else Kind.ZIP
    if head.startswith(b"\x1f\x8b"):
        return Kind.GZIP
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Kind.PICKLE
    if head[257:262] == b"ustar":
        return Kind.TAR
    return _sniff_text(head)


def check_format(name: str, declared: str, head: bytes, size: int) -> None:
    """Refuse a file whose first bytes break the promise of its name or declared format.

    `name` is the locked file name, `declared` the format that the API gives ("SafeTensor",
    "GGUF", "PickleTensor", "Other", ...; may be empty). An extension that promises something
    counts, else what is declared, except for text files. Raises IntegrityError not-a-model
    for a web page that nobody promised, format-mismatch for anything else.
    """
    kind = sniff(head, size)
    lowered = name.lower()
    promised = _promise(lowered, declared.lower())
    unexpected = kind in _ALLOWED_NAMES and not lowered.endswith(_ALLOWED_NAMES[kind])
    if kind is Kind.HTML and unexpected:
        raise IntegrityError(Code.NOT_A_MODEL, "the file is a web page", subject=name)
    if unexpected or (promised is not None and kind not in promised):
        raise _mismatch(name, kind)


def _promise(name: str, declared: str) -> frozenset[Kind] | None:
    extension = name.rpartition(".")[2]
    if extension in _PROMISED or name.endswith(_TEXT_NAMES):
        return _PROMISED.get(extension)
    # Two names of the same format: the API's and the extension's.
    return _PROMISED.get("safetensors" if declared == "safetensor" else declared)


def _mismatch(name: str, kind: Kind) -> IntegrityError:
    found = "nothing that is known" if kind is Kind.UNKNOWN else kind.value
    return IntegrityError(
        Code.FORMAT_MISMATCH,
        f"the name promises another format than the first bytes show ({found})",
        subject=name,
        data={"found": kind.value},
    )


def _is_safetensors(head: bytes, size: int) -> bool:
    """Check length, shape and, where it is all there, the content of the header."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or not 2 <= length <= min(_SAFETENSORS_HEADER, size - 8):
        return False
    if head[8:9] != b"{":
        return False
    header = head[8 : 8 + length]
    return len(header) < length or _covers(header, size - 8 - length)


def _covers(header: bytes, data: int) -> bool:
    """Tell whether the tensors of a header are contiguous and end with the file.

    `data` is how many bytes follow the header (huggingface/safetensors: src/tensor.rs,
    `Metadata::validate`: no holes, no overlaps, nothing behind the last tensor).
    """
    try:
        tensors = json.loads(header)
    except (ValueError, RecursionError):
        return False
    if not isinstance(tensors, dict):
        return False
    ranges: list[tuple[int, int]] = []
    for key, tensor in tensors.items():
        if key == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        match offsets:
            case [int(start), int(end)] if 0 <= start <= end:
                ranges.append((start, end))
            case _:
                return False
    reached = 0
    for start, end in sorted(ranges):
        if start != reached:
            return False
        reached = end
    return reached == data


def _holds_pickle(head: bytes) -> bool:
    """Tell whether a zip archive begins like one that torch saved."""
    for member in _MEMBER.finditer(head):
        end = member.end() + int.from_bytes(member[1], "little")
        if head[member.end() : end].endswith(b"data.pkl"):
            return True
    return False


def _sniff_text(head: bytes) -> Kind:
    start = _skip_comments(head.removeprefix(b"\xef\xbb\xbf").lstrip())
    if _PAGE.match(start):
        return Kind.HTML
    if start.startswith(b"<?xml"):
        return Kind.HTML if b"<html" in start[:1024].lower() else Kind.XML
    if b"\x00" in head:
        return Kind.UNKNOWN
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut in two by the end of the head.
        if error.end < len(head):
            return Kind.UNKNOWN
    return Kind.JSON if start.startswith((b"{", b"[")) else Kind.TEXT


def _skip_comments(text: bytes) -> bytes:
    for _ in range(_COMMENTS):
        if not text.startswith(b"<!--"):
            break
        text = text.partition(b"-->")[2].lstrip()
    return text
