"""Find a key that stands twice in one JSON object.

Most parsers keep the last one silently, so that a reviewer sees one thing and the tool
another. The text has to be JSON; that is not looked at again.
"""

import re
from typing import Final

from civsync.core.values import dataclass
from civsync.documents.json_codec import decode
from civsync.documents.json_text import JsonTextError, bounded_json

_TOKEN: Final = re.compile(rb'(?P<key>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|(?P<mark>[{}])')


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedKey:
    """The key, and the 1-based line of its second appearance."""

    key: str
    line: int


def find_repeated_key(data: bytes) -> RepeatedKey | None:
    """Return the first key that an object of `data`, which is JSON, has twice.

    Raises CodecError for a key that is no text: what skips keys that it does not know has not
    seen it.
    """
    try:
        bounded_json(data, cap=len(data))
    except JsonTextError:
        return _locate(data)
    return None


def _locate(data: bytes) -> RepeatedKey | None:
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(data):
        if token["mark"] == b"{":
            objects.append(set())
        elif token["mark"] == b"}":
            objects.pop()
        elif token["colon"] is not None:
            key = decode(token["key"], str)
            if key in objects[-1]:
                return RepeatedKey(key=key, line=data.count(b"\n", 0, token.start()) + 1)
            objects[-1].add(key)
    return None
