"""Make untrusted text into path components that are safe on every system.

A `SafeName` is one component, a `SafePath` components joined by "/", relative to the
root. Only functions of this module make them, so a type checker can prove that no
other text reaches the disk. The rules are those of POSIX and Windows together, on
every system, because a lock is made on one machine and used on another.

Nothing here looks at a disk.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NewType

from civsync.core.limits import NAME_BYTES, PATH_BYTES, PATH_DEPTH

SafeName = NewType("SafeName", str)
SafePath = NewType("SafePath", str)

FORBIDDEN: Final = frozenset('<>:"/\\|?*')
"""Refused by Windows in names, and separators."""

RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)
"""Device names of Windows, with any extension (learn.microsoft.com, "Naming Files")."""

# No possessive quantifiers: Python 3.11.2, which Debian 12 has, passes over look-arounds with them.
_PLAIN_COMPONENT: Final = (
    r"(?!(?i:con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9]) *(?:\.|/|\n|\Z))"
    r"[A-Za-z0-9_(\[+=@#!$%&~,;{'-][A-Za-z0-9_()\[\]+=@#!$%&~,;{}' .-]*(?<![ .])"
)
_PLAIN_PATH: Final = re.compile(rf"{_PLAIN_COMPONENT}(?:/{_PLAIN_COMPONENT})*\Z")
"""Paths of plain ASCII that need no closer look: the fast way through a lock of 10,000 files."""

_PLAIN_PATHS: Final = re.compile(rf"(?:{_PLAIN_COMPONENT}(?:/{_PLAIN_COMPONENT})*\n)*\Z")
"""Many of them, each with a line break behind it."""


class UnsafePathError(ValueError):
    """A text is not a path that civsync would ever have made."""


def safe_name(
    text: str, *, mark: int | None = None, keep_suffix: bool = True, room: int = NAME_BYTES
) -> SafeName:
    """Return one component that is as much like `text` as is safe everywhere.

    Whatever had to be changed is replaced by "_"; `mark` (a file id) is then added as
    "~<mark>" before the extension, so that two names that became alike stay apart and the
    original can be looked up. Safe names come back as they are, so the function is
    idempotent. With `keep_suffix` false there is no extension to protect (directories).
    `room` is the most bytes that the name may take, at least 32.
    """
    if len(text) <= room and "/" not in text and _PLAIN_PATH.match(text):
        return SafeName(text)
    name = _disarm(_clean(text))
    if name == text and len(name.encode()) <= room:
        return SafeName(name)
    # Cutting can lay a device name bare again: "CON", two hundred spaces, "x".
    return SafeName(_disarm(_fit(name, mark=mark, keep_suffix=keep_suffix, room=room)))


def marked(name: SafeName, mark: int) -> SafeName:
    """Return `name` with "~<mark>" before its extension, still within the length limit."""
    return SafeName(_fit(name, mark=mark, keep_suffix=True, room=NAME_BYTES))


def split_suffix(name: str) -> tuple[str, str]:
    """Split "a.b.safetensors" into ("a.b", ".safetensors"); an odd or long tail is no suffix."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem or not suffix.isascii() or not suffix.isalnum() or len(suffix) > 16:
        return name, ""
    return stem, dot + suffix


def is_safe_name(text: str) -> bool:
    """Tell whether `text` may stand as one component as it is."""
    return (
        bool(text)
        and text == text.strip(" ").rstrip(".")
        and not text.startswith(".")
        and text.isprintable()
        and FORBIDDEN.isdisjoint(text)
        and unicodedata.is_normalized("NFC", text)
        and not _is_reserved(text)
        and len(text.encode()) <= NAME_BYTES
    )


def parse_path(text: str) -> SafePath:
    """Believe a path out of a lock, receipt or manifest, if civsync could have made it.

    Raises UnsafePathError otherwise, with the component at fault.
    """
    if are_plain_paths([text]):
        return SafePath(text)
    parts = text.split("/")
    for part in parts:
        if not is_safe_name(part):
            raise UnsafePathError(f"{part!r} in {text!r} is not a safe name")
    if len(parts) > PATH_DEPTH:
        raise UnsafePathError(f"a path of {len(parts)} components is too deep: {text[:80]!r}…")
    if len(text.encode()) > PATH_BYTES:
        raise UnsafePathError(f"a path of {len(text.encode())} bytes is too long: {text[:80]!r}…")
    return SafePath(text)


def are_plain_paths(texts: Sequence[str]) -> bool:
    """Tell quickly that `parse_path` takes all `texts` as they are; False means "look closely".

    One expression over all of them takes half the time of one for each.
    """
    lines = "\n".join([*texts, ""])
    return (
        max(map(len, texts), default=0) <= NAME_BYTES
        and max(map(_depth, texts), default=0) < PATH_DEPTH
        and lines.count("\n") == len(texts)
        and _PLAIN_PATHS.match(lines) is not None
    )


def _depth(text: str) -> int:
    return text.count("/")


def join(*parts: SafePath | SafeName | str) -> SafePath:
    """Put safe components under each other; empty parts vanish.

    Raises UnsafePathError if the whole is not a safe path.
    """
    return parse_path("/".join(part for part in parts if part))


def collision_key(path: str) -> str:
    """Return what two paths share when some disk would take them for one.

    Covers disks that fold case (Windows, macOS), that normalize (macOS), and both: this is
    the compatibility caseless match of The Unicode Standard, section 3.13, D146.
    """
    if path.isascii():
        return path.lower()
    folded = unicodedata.normalize("NFD", path).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return unicodedata.normalize("NFKD", folded)


def _clean(text: str) -> str:
    """Replace every character, leading dot and trailing dot or space that no system likes."""
    name = "".join(
        char if char not in FORBIDDEN and char.isprintable() else "_"
        for char in unicodedata.normalize("NFC", text)
    )
    name = name.rstrip(". ").lstrip(" ")
    if name.startswith("."):
        name = "_" + name[1:]
    return name or "unnamed"


def _device(name: str) -> str:
    """Return the part of `name` in which Windows looks for the name of a device."""
    return name.split(".", 1)[0].rstrip(" ")


def _is_reserved(name: str) -> bool:
    return _device(name).casefold() in RESERVED


def _disarm(name: str) -> str:
    """Put "_" after the name of a device: "CON.txt" is a console, "CON_.txt" a file."""
    if not _is_reserved(name):
        return name
    device = _device(name)
    return device + "_" + name[len(device) :]


def _fit(name: str, *, mark: int | None, keep_suffix: bool, room: int) -> str:
    """Return `name` with its mark, cut to `room` bytes within the part that is neither."""
    stem, suffix = split_suffix(name) if keep_suffix else (name, "")
    tail = suffix if mark is None else f"~{mark}{suffix}"
    if mark is not None:
        stem = stem.removesuffix(f"~{mark}")
    return _cut(stem, room - len(tail.encode())) + tail


def _cut(stem: str, room: int) -> str:
    """Cut `stem` to `room` bytes without splitting a character or leaving a trailing dot."""
    raw = stem.encode()
    if len(raw) <= room:
        return stem
    return raw[:room].decode("utf-8", "ignore").rstrip(". ") or "_"
