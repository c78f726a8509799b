"""Read under which name a server offers a file: RFC 6266, with RFC 8187 for `filename*`.

The name is for showing where it differs from the locked one; it never chooses a path.
Strict: a header that is broken or says two things names nothing.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from civsync.core.limits import NAME_CHARS
from civsync.core.names import SafeName, safe_name

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_TYPE: Final = re.compile(rf"[ \t]*{_WORD}[ \t]*")
_PARAMETER: Final = re.compile(rf";[ \t]*(?:({_WORD})[ \t]*=[ \t]*({_WORD}|{_QUOTED})[ \t]*)?")
"""Nothing between two semicolons, or behind the last, is overlooked: servers do that."""

_ESCAPED: Final = re.compile(r"\\(.)")
_EXTENDED: Final = re.compile(
    r"(?i:(utf-8|iso-8859-1))'[A-Za-z0-9-]*'((?:[!#$&+\-.^_`|~0-9A-Za-z]|%[0-9A-Fa-f]{2})+)"
)
_SEPARATORS: Final = re.compile(r"[/\\]")


def served_name(header: str) -> SafeName | None:
    """Return the file name of a Content-Disposition as one safe component, or None.

    `filename*` counts before `filename`, unless it cannot be read. Never raises.
    """
    parameters = _parameters(header)
    if parameters is None:
        return None
    for name, read in (("filename*", _read_extended), ("filename", _read_plain)):
        if name in parameters and (text := read(parameters[name])) is not None:
            return bare_name(text)
    return None


def _parameters(header: str) -> dict[str, str] | None:
    """Return names (in lower case) and raw values, None for what is no such header."""
    match = _TYPE.match(header)
    found: dict[str, str] = {}
    while match is not None:
        if match.end() == len(header):
            return found
        match = _PARAMETER.match(header, match.end())
        if match is not None and match[1] is not None:
            name = match[1].lower()
            if name in found:
                return None
            found[name] = match[2]
    return None


def _read_plain(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _read_extended(value: str) -> str | None:
    match = _EXTENDED.fullmatch(value)
    if match is None:
        return None
    try:
        # Once: what looks encoded after that is part of the name.
        return unquote_to_bytes(match[2]).decode(match[1])
    except UnicodeDecodeError:
        return None


def bare_name(text: str) -> SafeName | None:
    """Return the last part of what may be a whole path, cleaned; None if it names no file."""
    if len(text) > NAME_CHARS:
        return None
    last = _SEPARATORS.split(text)[-1].strip()
    return safe_name(last) if last.strip(". ") else None
