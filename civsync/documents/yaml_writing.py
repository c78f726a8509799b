"""Write values as YAML that every reader takes for the same, in few and plain words.

A text gets quotes wherever any dialect of YAML could take it for something else.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from civsync.documents.core_schema import plain_value

Writable = str | int | bool | Sequence["Writable"] | Mapping[str, "Writable"]
"""What can be written."""

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@+=%&?~-]*(?::[A-Za-z0-9_./@+=%&?~-]+)*")
"""Text that means itself without quotes, in brackets too."""

_WORDS_OF_1_1: Final = frozenset({"y", "n", "yes", "no", "on", "off"})
"""What YAML 1.1 takes for booleans, beside those of 1.2."""

_RAW: Final = re.compile(
    "[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]|[^\0-\uffff]"
)
"""Characters that stand for themselves between double quotes."""


def flow_text(value: Writable, *, as_json: bool = False) -> str:
    """Return `value` on one line; with `as_json` it is JSON as well."""
    match value:
        case bool() | int():
            return json.dumps(value)
        case str():
            return quoted(value) if as_json or not _is_plain(value) else value
        case Mapping():
            pairs = (
                f"{flow_text(key, as_json=as_json)}: {flow_text(each, as_json=as_json)}"
                for key, each in value.items()
            )
            return "{" + ", ".join(pairs) + "}"
        case _:
            return "[" + ", ".join(flow_text(each, as_json=as_json) for each in value) + "]"


def pair_text(key: str, value: Writable, *, as_json: bool = False) -> str:
    """Return `key: value` on one line."""
    return f"{flow_text(key, as_json=as_json)}: {flow_text(value, as_json=as_json)}"


def item_lines(value: Writable, *, dash: str = "- ") -> list[str]:
    """Return the lines of a list's item; a mapping gets a line for each of its keys."""
    if not isinstance(value, Mapping):
        return [dash + flow_text(value)]
    lines = [pair_text(key, each) for key, each in value.items()]
    return [(" " * len(dash) if index else dash) + line for index, line in enumerate(lines)]


def quoted(text: str) -> str:
    """Return `text` between double quotes."""
    return '"' + "".join(_escaped(text)) + '"'


def _escaped(text: str) -> Iterable[str]:
    for character in text:
        if character in '"\\':
            yield "\\" + character
        elif _RAW.fullmatch(character) and (character.isprintable() or character > "\uffff"):
            # What is invisible, or turns the text around, is seen as an escape. Beyond the first
            # plane YAML and JSON have no escape in common.
            yield character
        else:
            yield f"\\u{ord(character):04x}"


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and text.casefold() not in _WORDS_OF_1_1
        and plain_value(text) == text
    )
