"""Edit the text of a manifest, keeping every byte that need not change.

An edit is computed on the text, so comments, order, quotes and blank lines stay. The result
is then read again: unless it says exactly what was meant, nothing is returned, and the
error says what to write by hand. What the values mean is not known here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from civsync.core.values import dataclass
from civsync.documents import block_edits, flow_edits
from civsync.documents.nodes import Mapping as MappingNode
from civsync.documents.nodes import Node, Refused, Scalar
from civsync.documents.nodes import Sequence as SequenceNode
from civsync.documents.spans import Member, Span
from civsync.documents.text_lines import (
    after_inner_comments,
    column,
    line_break,
    line_end,
    line_number,
    with_lines,
)
from civsync.documents.yaml_text import parse_spans, parse_yaml
from civsync.documents.yaml_writing import Writable, flow_text, item_lines, pair_text

Item = str | Mapping[str, Writable]
"""An entry: a link or an AIR, or its keys."""

Section = Literal["models", "searches"]

_BOM: Final = "\ufeff"


class UneditableError(ValueError):
    """The text is written in a way that cannot be edited safely: here is what to do by hand.

    `line` is where, None where nothing of the kind is there yet; `lines` are to be pasted.
    """

    def __init__(self, message: str, *, line: int | None, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.line = line
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """An entry of the manifest: item `index` of its `section`."""

    section: Section
    index: int


def add_entries(text: str, items: Sequence[Item]) -> str:
    """Return `text` with `items` at the end of `models:`, written as the list is.

    The text is a manifest without faults. Raises UneditableError.
    """

    def meant(data: Any) -> None:  # noqa: ANN401 - the data of a document has any shape
        data.setdefault("models", []).extend(items)

    paste = [line for item in items for line in item_lines(item, dash="  - ")]
    where = "add these lines to the end of `models:`"
    return _proved(text, lambda body, root: _added(body, root, items), meant, where, paste)


def remove_entry(text: str, spot: Spot) -> str:
    """Return `text` without an entry, and without the comments that are only meant for it.

    See `block_edits.remove_item` for which these are. Raises UneditableError.
    """

    def edit(body: str, root: Span) -> str:
        pair = _section(root, spot)
        if pair.value.flow:
            return flow_edits.remove_member(body, pair.value, spot.index)
        return block_edits.remove_item(body, pair, spot.index)

    def meant(data: Any) -> None:  # noqa: ANN401 - as above
        del data[spot.section][spot.index]

    return _proved(text, edit, meant, "remove the entry that begins here", (), spot)


def set_key(text: str, spot: Spot, key: str, value: Writable) -> str:
    """Return `text` with one key of an entry set; a short entry gets the long form for it.

    Raises UneditableError.
    """

    def meant(data: Any) -> None:  # noqa: ANN401 - as above
        item = data[spot.section][spot.index]
        if not isinstance(item, dict):
            item = data[spot.section][spot.index] = {"model": item}
        item[key] = value

    paste = [pair_text(key, value)]
    where = "give the entry that begins here this key"
    return _proved(
        text, lambda body, root: _with_key(body, root, spot, key, value), meant, where, paste, spot
    )


def unset_key(text: str, spot: Spot, key: str) -> str:
    """Return `text` without one key of an entry. Raises UneditableError, KeyError."""

    def edit(body: str, root: Span) -> str:
        entry = _section(root, spot).value.members[spot.index].value
        index = next(i for i, member in enumerate(entry.members) if member.key == key)
        if entry.flow:
            return flow_edits.remove_member(body, entry, index)
        return block_edits.remove_pair(body, entry, index)

    def meant(data: Any) -> None:  # noqa: ANN401 - as above
        del data[spot.section][spot.index][key]

    where = f"remove `{key}` from the entry that begins here"
    return _proved(text, edit, meant, where, (), spot)


# --- the edits ----------------------------------------------------------------------------


def _added(text: str, root: Span, items: Sequence[Item]) -> str:
    as_json = _is_json(text, root)
    in_flow = [flow_text(item, as_json=as_json) for item in items]
    pair = root.member("models")
    if pair is None:
        if root.flow:
            new = f"{flow_text('models', as_json=as_json)}: [{', '.join(in_flow)}]"
            return flow_edits.append_members(text, root, [new])
        indent = " " * column(text, root.start)
        lines = ["models:", *(line for item in items for line in item_lines(item, dash="  - "))]
        return with_lines(text, len(text), [indent + line for line in lines])
    models = pair.value
    if not models.members and text[models.start : models.end] == "[]" and not root.flow:
        return _first_items(text, root, pair, items)
    if models.flow:
        return flow_edits.append_members(text, models, in_flow)
    dash = "-" + block_edits.gap_after_dash(text, models)
    long_in_flow = _maps_in_flow(models)
    lines = []
    for item in items:
        lines += [dash + flow_text(item)] if long_in_flow else item_lines(item, dash=dash)
    return block_edits.append_lines(text, models, lines)


def _first_items(text: str, root: Span, pair: Member, items: Sequence[Item]) -> str:
    """Write a list in the place of `[]`, below what else its line says."""
    key_end = pair.key_span.end if pair.key_span else pair.start
    colon = text.index(":", key_end) + 1
    indent = " " * (column(text, root.start) + 2)
    eol = line_break(text, pair.start)
    lines = [line for item in items for line in item_lines(item, dash=indent + "- ")]
    end = line_end(text, pair.end)
    return text[:colon] + text[pair.end : end] + "".join(eol + line for line in lines) + text[end:]


def _with_key(text: str, root: Span, spot: Spot, key: str, value: Writable) -> str:
    as_json = _is_json(text, root)
    models = _section(root, spot).value
    entry = models.members[spot.index].value
    new = pair_text(key, value, as_json=as_json)
    if entry.kind == "scalar":
        written = text[entry.start : entry.end]
        if models.flow or _maps_in_flow(models):
            model = flow_text("model", as_json=as_json)
            long = f"{{{model}: {written}, {new}}}"
            return text[: entry.start] + long + text[entry.end :]
        long = text[: entry.start] + "model: " + text[entry.start :]
        keys = column(text, entry.start)
        end = after_inner_comments(long, entry.end + len("model: "), keys)
        return with_lines(long, end, [" " * keys + new])
    member = entry.member(key)
    if member is not None:
        return block_edits.replace_value(text, member, flow_text(value, as_json=as_json))
    if entry.flow:
        return flow_edits.append_members(text, entry, [new])
    return block_edits.append_lines(text, entry, [new])


def _section(root: Span, spot: Spot) -> Member:
    pair = root.member(spot.section)
    if pair is None:
        raise KeyError(spot.section)
    return pair


def _maps_in_flow(block: Span) -> bool:
    """Tell whether the entries with keys stand in braces."""
    maps = [member.value for member in block.members if member.value.kind == "mapping"]
    return bool(maps) and all(each.flow for each in maps)


def _is_json(text: str, root: Span) -> bool:
    return root.flow and text[root.start + 1 :].lstrip()[:1] == '"'


# --- the proof ----------------------------------------------------------------------------


def _proved(
    text: str,
    edit: Callable[[str, Span], str],
    meant: Callable[[Any], None],
    where: str,
    paste: Sequence[str],
    spot: Spot | None = None,
) -> str:
    """Return the edited text if it reads as the old data with `meant` done to it."""
    body = text.removeprefix(_BOM)
    root = parse_spans(body)
    data = _data_of(body)
    if root is None or root.kind != "mapping" or data is None:
        raise UneditableError(where, line=None, lines=paste)
    meant(data)
    new = edit(body, root)
    found = _data_of(new)
    if found is None or json.dumps(found) != json.dumps(data):
        raise UneditableError(where, line=_line(body, root, spot), lines=paste)
    return text[: len(text) - len(body)] + new


def _line(text: str, root: Span, spot: Spot | None) -> int | None:
    if spot is not None:
        return line_number(text, _section(root, spot).value.members[spot.index].start)
    pair = root.member("models")
    return line_number(text, pair.start) if pair else None


def _data_of(text: str) -> dict[str, Any] | None:
    """Return what a text says, or None where it has a fault."""
    read = parse_yaml(text, name="")
    data = None if read.root is None or read.problems else _plain(read.root)
    return data if isinstance(data, dict) else None


def _plain(node: Node) -> Any:  # noqa: ANN401 - the data of a document has any shape
    match node:
        case Scalar(value=value):
            return value
        case SequenceNode(items=items):
            return [_plain(item) for item in items]
        case MappingNode(pairs=pairs):
            return {pair.key: _plain(pair.value) for pair in pairs}
        case Refused():
            return None
