"""Collect what is wrong with a document while reading goes on, each with its place."""

from collections.abc import Iterable

from civsync.core.codes import Code
from civsync.core.problems import Place, Problem
from civsync.documents.nodes import Node, Pair, Scalar, Sequence


class Findings:
    """The problems of one document so far."""

    def __init__(self, document: str, problems: Iterable[Problem] = ()) -> None:
        self.document = document
        self.problems = list(problems)

    def place(self, where: Node | Pair, key: str) -> Place:
        """Return the spot of a node or key in this document."""
        return Place(document=self.document, line=where.line, column=where.column, key=key)

    def add(self, code: Code, message: str, where: Node | Pair, key: str, hint: str = "") -> None:
        """Note one problem. `key` is the path of the value, like "models[3].files[0].type"."""
        place = self.place(where, key)
        self.problems.append(Problem(code=code, message=message, place=place, hint=hint))


def text_of(node: Node | None) -> str | None:
    """Return the text of a node, or None where it holds no text (the schema has said so)."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    return None


def integer_of(node: Node | None) -> int | None:
    """Return the whole number of a node, or None where it holds none."""
    if isinstance(node, Scalar) and isinstance(node.value, int):
        return None if isinstance(node.value, bool) else node.value
    return None


def flag_of(node: Node | None) -> bool | None:
    """Return the true or false of a node, or None where it holds neither."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    return None


def texts_of(node: Node | None) -> tuple[str, ...]:
    """Return the texts of a list, without what is no text; () where there is no list."""
    items = node.items if isinstance(node, Sequence) else ()
    return tuple(text for item in items if (text := text_of(item)))


def integers_of(node: Node | None) -> tuple[int, ...]:
    """Return the whole numbers of a list, without what is none; () where there is no list."""
    items = node.items if isinstance(node, Sequence) else ()
    return tuple(number for item in items if (number := integer_of(item)) is not None)
