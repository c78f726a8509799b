"""Put in and take out the lines of a list or mapping that is written without brackets.

Each function returns the new text and changes nothing else in it. Whether the result says
what was meant is for the caller to prove.
"""

import re
from typing import Final

from civsync.documents.spans import Member, Span
from civsync.documents.text_lines import (
    after_inner_comments,
    column,
    comment_column,
    ends_with_break,
    is_blank,
    is_remark,
    line_above,
    line_end,
    line_start,
    next_line,
    with_lines,
    without_last_break,
    without_lines,
)

_COMMENTED_OUT: Final = re.compile(r"[ \t]*#+[ \t]*-[ \t]")
"""A comment that was an item of the list."""


def append_lines(text: str, block: Span, lines: list[str]) -> str:
    """Put `lines` in after the last member, indented as its members are.

    Comments below the last member stay below, except those that are indented deeper: they
    belong to it.
    """
    outer = column(text, block.start)
    index = after_inner_comments(text, block.members[-1].end, outer)
    return with_lines(text, index, [" " * outer + line for line in lines])


def dash_of(text: str, block: Span, index: int) -> int:
    """Return where the dash of the item `index` stands."""
    at = column(text, block.start)
    start = line_start(text, block.members[index].start)
    while start > block.start:
        if not text[start : start + at].strip(" ") and text[start + at : start + at + 1] == "-":
            return start + at
        start = line_above(text, start)
    return block.start


def gap_after_dash(text: str, block: Span) -> str:
    """Return what stands between dash and value, as the last item has it."""
    last = len(block.members) - 1
    gap = text[dash_of(text, block, last) + 1 : block.members[last].start]
    return gap if gap.strip(" ") == "" else " "


def remove_item(text: str, pair: Member, index: int) -> str:
    """Take the item `index` out of the list that is the value of `pair`.

    With it go its comments: those in its lines, those directly below that are indented
    deeper than its dash, and those directly above that can only be meant for it, because
    they stand at its dash and no other item follows directly. Of blank lines on both sides
    those below go. A list that loses its last item becomes `[]`.
    """
    block = pair.value
    dash = dash_of(text, block, index)
    at = column(text, dash)
    end = after_inner_comments(text, block.members[index].end, at)
    start = _own_comments(text, line_start(text, dash), end, at)
    if len(block.members) == 1:
        colon = text.index(":", pair.key_span.end if pair.key_span else pair.start) + 1
        kept = text[colon:start]
        if end == len(text) and not ends_with_break(text):
            kept = without_last_break(kept)
        return text[:colon] + " []" + kept + text[end:]
    return without_lines(text, *_with_blank_lines(text, start, end, first=index == 0))


def remove_pair(text: str, block: Span, index: int) -> str:
    """Take a pair out of a mapping that has others, with the comments in its lines."""
    member = block.members[index]
    if index == 0:
        # The next key takes its place, behind the dash; or nothing does, before a comment.
        following = block.members[1].start
        line = line_end(text, member.end)
        if "#" in text[line:following]:
            return text[: member.start] + text[line:]
        return text[: member.start] + text[following:]
    at = column(text, block.start)
    end = after_inner_comments(text, member.end, at)
    return without_lines(text, line_start(text, member.start), end)


def replace_value(text: str, member: Member, value: str) -> str:
    """Give a pair another value, on the line of its key."""
    key_end = member.key_span.end if member.key_span else member.start
    colon = text.index(":", key_end) + 1
    between = text[colon : member.value.start]
    if not between or between.strip(" "):
        return text[:colon] + " " + value + text[member.end :]
    return text[: member.value.start] + value + text[member.value.end :]


def _own_comments(text: str, start: int, end: int, at: int) -> int:
    """Return where the comments begin that are meant for nothing but the item."""
    if text[end + at : end + at + 1] == "-" and text[end : end + at].strip(" ") == "":
        return start
    while start > 0:
        above = line_above(text, start)
        if comment_column(text, above) != at or _COMMENTED_OUT.match(text, above):
            break
        start = above
    return start


def _with_blank_lines(text: str, start: int, end: int, *, first: bool) -> tuple[int, int]:
    """Widen what goes so that no blank lines are left to stand double, or at the end."""
    after = end
    while after < len(text) and is_blank(text, after):
        after = next_line(text, after)
    above = line_above(text, start) if start else 0
    if not (is_blank(text, above) or (first and not is_remark(text, above))):
        return start, end
    if after < len(text):
        return start, after
    while start and is_blank(text, line_above(text, start)):
        start = line_above(text, start)
    return start, end
