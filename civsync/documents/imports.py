"""Read what other people's lists name: links line by line, or the models of a comfy-lock.

Nothing is looked up here and no link is judged: what a text names comes out with its line.
Source: Comfy-Org/comfy-cli: README.md, "format of comfy-lock.yaml".
"""

import re
from collections.abc import Iterator
from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import MANIFEST_BYTES
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.values import dataclass
from civsync.documents.nodes import Mapping, Node, Scalar, Sequence
from civsync.documents.yaml_text import parse_yaml

_MODELS_BLOCK: Final = re.compile(rb"^models:[ \t]*(?:#.*)?\r?$", re.MULTILINE)

_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One thing that a list names: by a link, by the SHA-256 of a file, or by both.

    `name` is what messages call it; a text that is not there is "". `sha256` in lower case.
    """

    name: str
    line: int
    link: str = ""
    sha256: str = ""


def read_links(data: bytes, *, name: str) -> tuple[Named, ...]:
    """Return what a list names, one thing a line; "#" begins a comment, blank lines are nothing.

    Raises DocumentError if it is not UTF-8, or too long.
    """
    text = _decoded(data, name)
    lines = ((number, _without_comment(line)) for number, line in enumerate(_lines(text), start=1))
    return tuple(Named(name=line, line=number, link=line) for number, line in lines if line)


def holds_comfy_lock(data: bytes) -> bool:
    """Tell whether a text that should be a list of links has the block of a comfy-lock."""
    return _MODELS_BLOCK.search(data[:MANIFEST_BYTES]) is not None


def read_comfy_lock(data: bytes, *, name: str) -> tuple[Named, ...]:
    """Return the models that a comfy-lock.yaml names; the rest of it is not looked at.

    Raises DocumentError for what is not YAML, or has no list of models.
    """
    _decoded(data, name)
    read = parse_yaml(data, name=name)
    if read.problems:
        raise DocumentError(read.problems)
    models = read.root.get("models") if isinstance(read.root, Mapping) else None
    if isinstance(models, Scalar) and models.value is None:
        return ()
    if not isinstance(models, Sequence):
        raise _error(name, "there is no list under `models:`", "Is it a comfy-lock.yaml?")
    return tuple(_named(item) for item in models.items)


def _named(item: Node) -> Named:
    if not isinstance(item, Mapping):
        return Named(name="", line=item.line)
    link = _text(item.get("url"))
    return Named(
        name=_text(item.get("model")) or _text(item.get("name")) or link,
        line=item.line,
        link=link,
        sha256=next(_sha256s(item), ""),
    )


def _sha256s(item: Mapping) -> Iterator[str]:
    """Yield the SHA-256 as comfy-cli documents it, and as it has written it."""
    hashes = item.get("hashes")
    for each in hashes.items if isinstance(hashes, Sequence) else ():
        if isinstance(each, Mapping) and _text(each.get("type")).upper() in ("SHA256", "SHA-256"):
            yield from _digest(_text(each.get("hash")))
    yield from _digest(_text(item.get("hash")))


def _digest(text: str) -> Iterator[str]:
    if _SHA256.fullmatch(text):
        yield text.lower()


def _text(node: Node | None) -> str:
    """Return what was written, also where YAML would take it for a number."""
    return node.text.strip() if isinstance(node, Scalar) and node.value is not None else ""


def _without_comment(line: str) -> str:
    """Return a line without its comment; within a link "#" begins none."""
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text)


def _decoded(data: bytes, name: str) -> str:
    if len(data) > MANIFEST_BYTES:
        raise _error(name, "the list is too large to be one", "Name another file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(name, "it is not UTF-8", "Save it as UTF-8.") from None


def _error(name: str, message: str, hint: str) -> DocumentError:
    place = Place(document=name)
    return DocumentError(
        [Problem(code=Code.CONFIG_INVALID, message=message, place=place, hint=hint)]
    )
