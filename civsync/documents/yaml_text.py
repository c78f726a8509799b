"""Read YAML text into nodes that know their line and column; nothing here knows a manifest.

The one module that names PyYAML, and only its event stream: the 1.2 core schema is
resolved here, so `no`, `12:30:45` and `2024-01-01` are text. Refused, each with its place:
anchors, aliases and merge keys (a few lines of them grow into gigabytes), tags, duplicate
keys, a second document, deep nesting and large input. Nothing recurses, so no input ends
in a RecursionError.
"""

import re
from collections.abc import Iterator
from typing import Final, NoReturn

import yaml

from civsync.core.codes import Code
from civsync.core.limits import DOCUMENT_DEPTH, MANIFEST_BYTES
from civsync.core.problems import Place, Problem
from civsync.core.values import dataclass
from civsync.documents.core_schema import LongNumberError, plain_value
from civsync.documents.nodes import Mapping, Node, Pair, Refused, Scalar, Sequence, Value, key_path
from civsync.documents.spans import Mark, Span, build_spans

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover - a build of PyYAML without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same events, slower


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """What a text held: the root node and all its faults.

    No root means that nothing could be read or, without faults, that nothing was there.
    """

    root: Node | None
    problems: tuple[Problem, ...]


def parse_yaml(source: str | bytes, *, name: str, size: int = MANIFEST_BYTES) -> YamlText:
    """Read one document of at most `size` bytes. `name` is what problems call it."""
    return _Reading(name).read(source, size)


def parse_spans(text: str) -> Span | None:
    """Say where everything stands in a text that `parse_yaml` read without a fault.

    None where there is nothing. The text has no byte order mark.
    """
    return build_spans(text, _marks(text))


def _marks(text: str) -> Iterator[Mark]:
    for event in yaml.parse(text, Loader=_Loader):
        start = event.start_mark.index if event.start_mark else 0
        end = event.end_mark.index if event.end_mark else start
        match event:
            case yaml.ScalarEvent():
                yield Mark("scalar", start, end, event.value)
            case yaml.MappingStartEvent():
                yield Mark("mapping", start, end, flow=bool(event.flow_style))
            case yaml.SequenceStartEvent():
                yield Mark("sequence", start, end, flow=bool(event.flow_style))
            case yaml.CollectionEndEvent():
                yield Mark("end", start, end)
            case _:
                pass


_NOT_YAML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is not `c-printable` (YAML 1.2.2, section 5.1)."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_MARKER: Final = re.compile(r"^<{7}(?: [^\r\n]*)?$", re.MULTILINE)
"""The first line of a conflict as git writes it, which no YAML that can be read begins with."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class _StopReadingError(Exception):
    """The problem that was just noted leaves nothing more to read."""


@dataclass(slots=True)
class _OpenSequence:
    items: list[Node]
    line: int
    column: int


@dataclass(slots=True)
class _OpenMapping:
    pairs: dict[str, Pair]
    line: int
    column: int
    key: Scalar | None = None
    waiting: bool = False
    """True between a key and its value."""


class _Reading:
    """One pass over the events, with a stack instead of recursion."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.stack: list[_OpenSequence | _OpenMapping] = []
        self.root: Node | None = None

    def read(self, source: str | bytes, size: int) -> YamlText:
        try:
            text = self._decoded(source, size)
            for event in self._events(text):
                self._take(event)
        except _StopReadingError:
            return YamlText(root=self._what_was_closed(), problems=tuple(self.problems))
        return YamlText(root=self.root, problems=tuple(self.problems))

    def _what_was_closed(self) -> Node | None:
        # Half a mapping would be blamed for keys that only come later in the text.
        return None if self.stack else self.root

    # --- text ---------------------------------------------------------------------------

    def _decoded(self, source: str | bytes, size: int) -> str:
        if len(source) > size:
            self._fail(f"the document is larger than {size} bytes", None, None)
        if isinstance(source, bytes):
            try:
                text = source.decode("utf-8")
            except UnicodeDecodeError as error:
                before = source[: error.start].decode("utf-8").removeprefix("\ufeff")
                self._fail("the text is not UTF-8", *_position(before, len(before)))
        else:
            text = source
        text = text.removeprefix("\ufeff")
        if odd := _NOT_YAML.search(text):
            line, column = _position(text, odd.start())
            self._fail(f"the character {odd[0]!r} may not stand in YAML", line, column)
        return text

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            if marker := _MARKER.search(text):
                message = f"a merge conflict is not settled here: {marker[0].strip()[:40]}"
                hint = "Keep the lines that are right, and remove the three markers."
                self._fail(message, *_position(text, marker.start()), hint)
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            context = f" {error.context}" if error.context else ""
            hint = ""
            if line is not None and column is not None and _is_tab(text, line, column):
                hint = "Indent with spaces: YAML does not allow tabs there."
            self._fail(f"{error.problem or 'not YAML'}{context}", line, column, hint)
        except (yaml.YAMLError, RecursionError) as error:
            self._fail(f"not YAML: {str(error).splitlines()[0]}", None, None)

    # --- events -------------------------------------------------------------------------

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._check_node(event)
                self._place(self._scalar(event))
            case yaml.MappingStartEvent():
                self._check_node(event)
                self._open(_OpenMapping({}, *_start(event)))
            case yaml.SequenceStartEvent():
                self._check_node(event)
                self._open(_OpenSequence([], *_start(event)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                line, column = _start(event)
                self._note(Code.YAML_ALIAS, f"the alias *{event.anchor} is refused", line, column)
                self._place(Refused(line=line, column=column))
            case yaml.DocumentStartEvent() if self.root is not None:
                self._fail("a second document begins here; one is read", *_start(event))
            case _:
                pass

    def _check_node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        line, column = _start(event)
        if event.anchor is not None:
            self._note(Code.YAML_ALIAS, f"the anchor &{event.anchor} is refused", line, column)
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(
                Code.MANIFEST_SYNTAX, f"the tag {shown} is refused", line, column,
                "Write the value without a tag; quote it if it is text.",
            )  # fmt: skip

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        line, column = _start(event)
        plain = event.implicit[0] and event.tag is None
        value: Value = event.value
        if _SURROGATE.search(event.value):
            # Written as an escape; PyYAML without libyaml lets it through.
            message = "half of a surrogate pair is no character"
            self._note(Code.MANIFEST_SYNTAX, message, line, column)
            value = ""
        elif plain:
            value = self._resolved(event.value, line, column)
        return Scalar(value=value, text=event.value, plain=plain, line=line, column=column)

    def _resolved(self, text: str, line: int, column: int) -> Value:
        try:
            return plain_value(text)
        except LongNumberError as error:
            self._note(Code.MANIFEST_SYNTAX, str(error), line, column, "Quote it if it is text.")
            return text

    def _open(self, node: _OpenSequence | _OpenMapping) -> None:
        if len(self.stack) >= DOCUMENT_DEPTH:
            self._fail(f"nested deeper than {DOCUMENT_DEPTH} levels", node.line, node.column)
        self.stack.append(node)

    def _close(self) -> None:
        node = self.stack.pop()
        if isinstance(node, _OpenSequence):
            self._place(Sequence(items=tuple(node.items), line=node.line, column=node.column))
        else:
            pairs = tuple(node.pairs.values())
            self._place(Mapping(pairs=pairs, line=node.line, column=node.column))

    def _place(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent, _OpenSequence):
            parent.items.append(node)
        elif not parent.waiting:
            parent.key, parent.waiting = self._key(node), True
        else:
            if parent.key is not None:
                self._pair(parent.pairs, parent.key, node)
            parent.key, parent.waiting = None, False

    def _key(self, node: Node) -> Scalar | None:
        match node:
            case Scalar(text="<<", plain=True):
                self._note(Code.YAML_ALIAS, "the merge key << is refused", node.line, node.column)
            case Scalar():
                return node
            case Sequence() | Mapping():
                message = "a key must be text, not a list or a mapping"
                self._note(Code.MANIFEST_SYNTAX, message, node.line, node.column)
            case Refused():
                pass
        return None

    def _pair(self, pairs: dict[str, Pair], key: Scalar, value: Node) -> None:
        first = pairs.get(key.text)
        if first is None:
            pairs[key.text] = Pair(key=key.text, line=key.line, column=key.column, value=value)
            return
        message = f"`{key.text}` stands twice in one mapping: lines {first.line} and {key.line}"
        self._note(Code.DUPLICATE_KEY, message, key.line, key.column)

    def _path(self) -> Iterator[str | int]:
        """Yield the steps from the root to what is being read."""
        for node in self.stack:
            if isinstance(node, _OpenSequence):
                yield len(node.items)
            elif node.key is not None:
                yield node.key.text

    # --- problems -----------------------------------------------------------------------

    def _note(
        self, code: Code, message: str, line: int | None, column: int | None, hint: str = ""
    ) -> None:
        place = Place(document=self.name, line=line, column=column, key=key_path(self._path()))
        self.problems.append(Problem(code=code, message=message, place=place, hint=hint))

    def _fail(self, message: str, line: int | None, column: int | None, hint: str = "") -> NoReturn:
        self._note(Code.MANIFEST_SYNTAX, message, line, column, hint)
        raise _StopReadingError


def _start(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _position(text: str, index: int) -> tuple[int, int]:
    """Return the 1-based line and column of `index`."""
    ends = [match.end() for match in _LINE_END.finditer(text, 0, index)]
    return len(ends) + 1, index - (ends[-1] if ends else 0) + 1


def _is_tab(text: str, line: int, column: int) -> bool:
    lines = _LINE_END.split(text)
    return line <= len(lines) and lines[line - 1][column - 1 : column] == "\t"
