"""Read `prefer:` and `files:`, words spelled as the API spells them."""

from civsync.core.codes import Code
from civsync.core.request import FileSelector, Preference
from civsync.documents.findings import Findings, flag_of, integer_of, text_of
from civsync.documents.hints import listed
from civsync.documents.nodes import Mapping, Node, Scalar, Sequence
from civsync.documents.vocabulary import (
    FILE_TYPES,
    FORMATS,
    PRECISIONS,
    QUANTS,
    SIZES,
    UnknownWordError,
    Words,
)


def read_word(node: Node | None, key: str, findings: Findings, words: Words) -> str:
    """Return one word in its known spelling; "" where there is none or a slip was noted."""
    word = text_of(node)
    if word is None or node is None:
        return ""
    try:
        return words.canonical(word)
    except UnknownWordError as error:
        message = f"{error}; known are {listed(words.known)}"
        findings.add(Code.MANIFEST_INVALID, message, node, key, f"Did you mean `{error.meant}`?")
        return ""


def read_preference(
    node: Node | None, key: str, findings: Findings, base: Preference
) -> Preference:
    """Return the wishes of `prefer:`; a key that is not there is as in `base`."""
    if not isinstance(node, Mapping):
        return base
    return Preference(
        format=_ranked(node, key, "format", findings, FORMATS) or base.format,
        precision=_or(_ranked(node, key, "precision", findings, PRECISIONS), base.precision),
        quant=_or(_ranked(node, key, "quant", findings, QUANTS), base.quant),
        size=_or(_ranked(node, key, "size", findings, SIZES), base.size),
    )


def _or(own: tuple[str, ...] | None, base: tuple[str, ...]) -> tuple[str, ...]:
    """An empty list is a wish too: no preference."""
    return base if own is None else own


def _ranked(
    prefer: Mapping, key: str, name: str, findings: Findings, words: Words
) -> tuple[str, ...] | None:
    node = prefer.get(name)
    if not isinstance(node, Sequence):
        return None
    ranked = (
        read_word(item, f"{key}.{name}[{index}]", findings, words)
        for index, item in enumerate(node.items)
    )
    return tuple(dict.fromkeys(word for word in ranked if word))


def read_selectors(node: Node | None, key: str, findings: Findings) -> tuple[FileSelector, ...]:
    """Return the wanted files of `files:`; none where there is no list."""
    if not isinstance(node, Sequence):
        return ()
    return tuple(
        _selector(item, f"{key}[{index}]", findings) for index, item in enumerate(node.items)
    )


def _selector(node: Node, key: str, findings: Findings) -> FileSelector:
    if isinstance(node, Scalar):
        word = text_of(node) or ""
        if not {".", "*", "/"}.isdisjoint(word):
            message = f"{word!r} is no file type"
            hint = "Write `{name: ...}` to pick a file by its name."
            findings.add(Code.MANIFEST_INVALID, message, node, key, hint)
        return FileSelector(type=read_word(node, key, findings, FILE_TYPES))
    if not isinstance(node, Mapping):
        return FileSelector()
    if node.pairs and all(pair.key == "optional" for pair in node.pairs):
        message = "an item of `files` says only that it is optional, not what it is"
        findings.add(Code.MANIFEST_INVALID, message, node, key, "Add `type:` or another key.")
    return FileSelector(
        id=integer_of(node.get("id")),
        type=read_word(node.get("type"), f"{key}.type", findings, FILE_TYPES),
        format=read_word(node.get("format"), f"{key}.format", findings, FORMATS),
        precision=read_word(node.get("precision"), f"{key}.precision", findings, PRECISIONS),
        quant=text_of(node.get("quant")) or "",
        size=text_of(node.get("size")) or "",
        name=text_of(node.get("name")) or "",
        optional=flag_of(node.get("optional")) or False,
    )
