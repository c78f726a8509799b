"""Make untrusted text into path components that are safe on every system.

A `SafeName` is one component, a `SafePath` components joined by "/", relative to the
root. Only functions of this module make them, so a type checker can prove that no
other text reaches the disk. The rules are those of POSIX and Windows together, on
every system, because a lock is made on one machine and used on another.

Nothing here looks at a disk.
"""

import re
import unicodedata
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

_PLAIN_COMPONENT: Final = (
    r"(?!(?:con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9]) *(?:\.|/|\Z))"
    r"[A-Za-z0-9_(\[+=@#!$%&~,;{'-][A-Za-z0-9_()\[\]+=@#!$%&~,;{}' .-]*(?<![ .])"
)
_PLAIN_PATH: Final = re.compile(rf"(?i:{_PLAIN_COMPONENT})(?:/(?i:{_PLAIN_COMPONENT}))*\Z")
"""Paths of plain ASCII that need no closer look: the fast way through a lock of 10,000 files."""


class UnsafePathError(ValueError):
    """A text is not a path that civsync would ever have made."""


def safe_name(text: str, *, mark: int | None = None, keep_suffix: bool = True) -> SafeName:
    """Return one component that is as much like `text` as is safe everywhere.

    Whatever had to be changed is replaced by "_"; `mark` (a file id) is then added as
    "~<mark>" before the extension, so that two names that became alike stay apart and the
    original can be looked up. Safe names come back as they are, so the function is
    idempotent. With `keep_suffix` false there is no extension to protect (directories).
    """
    cleaned = unicodedata.normalize("NFC", text)
    cleaned = "".join(
        char if char not in FORBIDDEN and char.isprintable() else "_" for char in cleaned
    )
    cleaned = cleaned.rstrip(". ").lstrip(" ")
    if cleaned.startswith("."):
        cleaned = "_" + cleaned[1:]
    if not cleaned:
        cleaned = "unnamed"
    changed = cleaned != text
    stem, suffix = split_suffix(cleaned) if keep_suffix else (cleaned, "")
    if _is_reserved(cleaned):
        stem, changed = stem + "_" if mark is None else stem, True
        if mark is None and _is_reserved(stem + suffix):
            stem = "_" + stem
    if len(cleaned.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        changed = True
    tail = f"~{mark}" if changed and mark is not None else ""
    if tail and stem.endswith(tail):
        tail = ""
    stem = _cut(stem, NAME_BYTES - len((tail + suffix).encode()))
    name = f"{stem}{tail}{suffix}"
    if _is_reserved(name):
        name = "_" + name
    return SafeName(name)


def marked(name: SafeName, mark: int) -> SafeName:
    """Return `name` with "~<mark>" before its extension, still within the length limit."""
    stem, suffix = split_suffix(name)
    tail = f"~{mark}"
    if stem.endswith(tail):
        return name
    return SafeName(_cut(stem, NAME_BYTES - len((tail + suffix).encode())) + tail + suffix)


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
    if len(text) <= NAME_BYTES and _PLAIN_PATH.match(text):
        return SafePath(text)
    parts = text.split("/")
    for part in parts:
        if not is_safe_name(part):
            raise UnsafePathError(f"{part!r} in {text!r} is not a safe name")
    if len(parts) > PATH_DEPTH or len(text.encode()) > PATH_BYTES:
        raise UnsafePathError(f"a path of {len(text.encode())} bytes is too long: {text[:80]!r}…")
    return SafePath(text)


def join(*parts: SafePath | SafeName | str) -> SafePath:
    """Put safe components under each other; empty parts vanish.

    Raises UnsafePathError if the whole is not a safe path.
    """
    return parse_path("/".join(part for part in parts if part))


def collision_key(path: str) -> str:
    """Return what two paths share when some disk would take them for one.

    Covers disks that fold case (Windows, macOS), that normalize (macOS), and both.
    """
    if path.isascii():
        return path.lower()
    folded = unicodedata.normalize("NFKC", path).casefold()
    return unicodedata.normalize("NFC", folded)


def _is_reserved(name: str) -> bool:
    return name.split(".", 1)[0].rstrip(" ").casefold() in RESERVED


def _cut(stem: str, room: int) -> str:
    """Cut `stem` to `room` bytes without splitting a character or leaving a trailing dot."""
    raw = stem.encode("utf-8", "surrogatepass")
    if len(raw) <= room:
        return stem
    return raw[:room].decode("utf-8", "ignore").rstrip(". ") or "_"
