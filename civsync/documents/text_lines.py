"""Lines, columns and comments around an index of a text, whatever ends its lines."""

import re
from typing import Final

_BREAK: Final = re.compile(r"\r\n|\r|\n")


def line_start(text: str, index: int) -> int:
    """Return where the line of `index` begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def line_end(text: str, index: int) -> int:
    """Return where the line of `index` ends, before its line break."""
    found = _BREAK.search(text, index)
    return found.start() if found else len(text)


def next_line(text: str, index: int) -> int:
    """Return where the line after that of `index` begins; the text's end if there is none."""
    found = _BREAK.search(text, index)
    return found.end() if found else len(text)


def line_above(text: str, start: int) -> int:
    """Return where the line begins that ends before `start`, which begins one itself."""
    return line_start(text, len(without_last_break(text[:start])))


def line_number(text: str, index: int) -> int:
    """Return the 1-based number of the line of `index`."""
    return len(_BREAK.findall(text, 0, line_start(text, index))) + 1


def column(text: str, index: int) -> int:
    """Return how many characters stand before `index` in its line."""
    return index - line_start(text, index)


def line_break(text: str, index: int) -> str:
    """Return what ends lines around `index`: the break before it, else the first of the text."""
    start = line_start(text, index)
    if start:
        return "\r\n" if text[:start].endswith("\r\n") else text[start - 1]
    found = _BREAK.search(text)
    return found[0] if found else "\n"


def is_blank(text: str, index: int) -> bool:
    """Tell whether nothing stands in the line that begins at `index`."""
    return not text[index : line_end(text, index)].strip(" \t")


def is_remark(text: str, index: int) -> bool:
    """Tell whether nothing, or only a comment, stands from `index` to the end of its line."""
    rest = text[index : line_end(text, index)].lstrip(" \t")
    return rest == "" or rest.startswith("#")


def comment_column(text: str, index: int) -> int | None:
    """Return the column of the comment that fills the line beginning at `index`, if one does."""
    line = text[index : line_end(text, index)]
    words = line.lstrip(" \t")
    return len(line) - len(words) if words.startswith("#") else None


def after_inner_comments(text: str, index: int, outer: int) -> int:
    """Return where the lines end that belong to what ends at `index`.

    These are its own last line and the comments directly below it that are indented deeper
    than the column `outer`.
    """
    end = next_line(text, index)
    while end < len(text):
        at = comment_column(text, end)
        if at is None or at <= outer:
            break
        end = next_line(text, end)
    return end


def begins_its_line(text: str, index: int) -> bool:
    """Tell whether only blanks stand before `index` in its line."""
    return not text[line_start(text, index) : index].strip(" \t")


def ends_with_break(text: str) -> bool:
    """Tell whether the last line is ended."""
    return text.endswith(("\n", "\r"))


def without_last_break(text: str) -> str:
    """Return `text` without the line break at its end, if there is one."""
    if text.endswith("\r\n"):
        return text[:-2]
    return text[:-1] if ends_with_break(text) else text


def with_lines(text: str, index: int, lines: list[str]) -> str:
    """Put whole lines in before the line that begins at `index`, or at the end of the text.

    A last line without its break stays so: the new last line has none either.
    """
    eol = line_break(text, index)
    if index == len(text) and text and not ends_with_break(text):
        return text + "".join(eol + line for line in lines)
    return text[:index] + "".join(line + eol for line in lines) + text[index:]


def without_lines(text: str, start: int, end: int) -> str:
    """Take out the whole lines from `start` to before `end`; the inverse of `with_lines`."""
    before = text[:start]
    if end == len(text) and not ends_with_break(text):
        before = without_last_break(before)
    return before + text[end:]
