"""Where everything stands in a YAML text, to the character: what edits go by.

Beside the nodes, which every reading makes and which only need to say where a person should
look. Indexes count characters from the start of the text that was parsed.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from civsync.core.values import dataclass

Kind = Literal["scalar", "sequence", "mapping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A value: `text[start:end]`, without the blanks and comments after it.

    `flow` says that a list or a mapping stands in brackets or braces.
    """

    kind: Kind
    start: int
    end: int
    flow: bool = False
    members: "tuple[Member, ...]" = ()

    def member(self, key: str) -> "Member | None":
        """Return the pair with this key, if this is a mapping that has it."""
        return next((member for member in self.members if member.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An item of a list, or a pair of a mapping with its key."""

    value: Span
    key: str | None = None
    key_span: Span | None = None

    @property
    def start(self) -> int:
        """Where the item or the key begins."""
        return self.value.start if self.key_span is None else self.key_span.start

    @property
    def end(self) -> int:
        """Where the item or the value ends; behind the key where there is no value."""
        return max(self.value.end, 0 if self.key_span is None else self.key_span.end)


class Mark(NamedTuple):
    """One step of reading: a scalar, or the beginning or the end of a list or a mapping."""

    kind: Kind | Literal["end"]
    start: int
    end: int
    text: str = ""
    flow: bool = False


def build_spans(text: str, marks: Iterable[Mark]) -> Span | None:
    """Return the span of the whole document `text`; `marks` come in the order of the text."""
    stack = [_Open("sequence", 0, flow=False)]
    for mark in marks:
        match mark.kind:
            case "scalar":
                end = _end_of_scalar(text, mark)
                stack[-1].take(Span(kind="scalar", start=mark.start, end=end), mark.text)
            case "end":
                span = stack.pop().closed(mark.end)
                stack[-1].take(span, "")
            case kind:
                stack.append(_Open(kind, mark.start, flow=mark.flow))
    members = stack[0].members
    return members[0].value if members else None


def _end_of_scalar(text: str, mark: Mark) -> int:
    end = mark.end
    while end > mark.start and text[end - 1] in " \t\r\n":
        end -= 1  # a block scalar claims the blank lines after it
    return end


class _Open:
    """A list or a mapping whose end was not met yet."""

    def __init__(self, kind: Kind, start: int, *, flow: bool) -> None:
        self.kind: Kind = kind
        self.start = start
        self.flow = flow
        self.members: list[Member] = []
        self.key: tuple[str, Span] | None = None

    def take(self, span: Span, text: str) -> None:
        """Take an item, or in turn a key and its value. `text` is that of a scalar."""
        if self.kind == "sequence":
            self.members.append(Member(value=span))
        elif self.key is None:
            self.key = (text, span)
        else:
            key, key_span = self.key
            self.members.append(Member(value=span, key=key, key_span=key_span))
            self.key = None

    def closed(self, end: int) -> Span:
        """Return the whole. Without brackets it ends where its last member does."""
        if not self.flow and self.members:
            end = self.members[-1].end
        return Span(
            kind=self.kind, start=self.start, end=end, flow=self.flow, members=tuple(self.members)
        )
