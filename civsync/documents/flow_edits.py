"""Put in and take out members of a list or mapping that is written with brackets.

Each function returns the new text. A member that has a line of its own is put in and
taken out as a line, and whether a comma stands before the closing bracket stays as it is.
"""

from civsync.documents.spans import Span
from civsync.documents.text_lines import (
    begins_its_line,
    is_remark,
    line_break,
    line_end,
    line_start,
    next_line,
    without_last_break,
)


def append_members(text: str, flow: Span, members: list[str]) -> str:
    """Put `members` in after the last one."""
    if not flow.members:
        inside = text[flow.start + 1 : flow.end - 1]
        kept = inside if inside.strip() else ""
        return text[: flow.start + 1] + ", ".join(members) + kept + text[flow.end - 1 :]
    last = flow.members[-1]
    comma = _comma_after(text, last.end)
    end = last.end if comma is None else comma + 1
    if not _has_own_line(text, flow, last.start):
        new = "".join(f" {member}," if comma is not None else f", {member}" for member in members)
        return text[:end] + new + text[end:]
    eol = line_break(text, last.start)
    indent = text[line_start(text, last.start) : last.start]
    new = ",".join(eol + indent + member for member in members)
    rest = line_end(text, end) if is_remark(text, end) else end
    first_comma = "," if comma is None else ""
    last_comma = "" if comma is None else ","
    return text[:end] + first_comma + text[end:rest] + new + last_comma + text[rest:]


def remove_member(text: str, flow: Span, index: int) -> str:
    """Take the member `index` out, with the comment in its line."""
    member = flow.members[index]
    comma = _comma_after(text, member.end)
    end = member.end if comma is None else comma + 1
    if len(flow.members) == 1:
        rest = text[flow.start + 1 : member.start] + text[end : flow.end - 1]
        return text[: flow.start + 1] + (rest if rest.strip() else "") + text[flow.end - 1 :]
    own_line = _has_own_line(text, flow, member.start)
    if comma is not None and own_line and is_remark(text, end):
        return text[: line_start(text, member.start)] + text[next_line(text, end) :]
    if index < len(flow.members) - 1:
        return text[: member.start] + text[flow.members[index + 1].start :]
    before = _comma_after(text, flow.members[index - 1].end)
    if before is None:
        return text
    if comma is not None:
        return text[: before + 1] + text[end:]
    if not own_line:
        return text[:before] + text[end:]
    kept = without_last_break(text[before + 1 : line_start(text, member.start)])
    return text[:before] + kept + text[line_end(text, end) if is_remark(text, end) else end :]


def _has_own_line(text: str, flow: Span, index: int) -> bool:
    return line_start(text, index) > flow.start and begins_its_line(text, index)


def _comma_after(text: str, index: int) -> int | None:
    """Return where the comma after a member stands, if one does."""
    while index < len(text):
        if text[index] == ",":
            return index
        if text[index] == "#":
            index = line_end(text, index)
        elif not text[index].isspace():
            return None
        else:
            index += 1
    return None
