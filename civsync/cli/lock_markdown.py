"""The difference between two locks as Markdown for a pull request.

Names come from strangers: nothing in them becomes markup, a mention, a reference to an
issue or a link. The only links are to the pages of models, made of their numbers.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from civsync.cli.lock_text import change_sum
from civsync.cli.output import show, size_text
from civsync.core.lock import Lock, LockedFile
from civsync.decide.differences import Change, FactChange, Kind, ModelChange, version_names

MAX_ROWS: Final = 250
"""Rows of the table: GitHub refuses comments of more than 65,536 characters."""

MAX_NAME: Final = 120
"""Characters shown of one text of a stranger, for the same reason."""

PAGES: Final = "https://civitai.com/models"

_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#|~$]")
"""What means something in the middle of a line; at its beginning nothing of a stranger stands."""

_APART: Final = "&#8203;"
"""A space without width: after it neither a mention nor a link is recognized."""


def markdown_lines(old: Lock, new: Lock, changes: Sequence[Change]) -> Iterator[str]:
    """Yield a heading with the sum, and a table with a row for each model that changed."""
    yield f"### Models: {change_sum(old, new, changes)}"
    rows = [row for change in changes for row in _rows(change)]
    if not rows:
        return
    yield ""
    yield "| | model | version | size | also |"
    yield "| --- | --- | --- | ---: | --- |"
    yield from rows[:MAX_ROWS]
    if len(rows) > MAX_ROWS:
        yield ""
        yield f"… and {len(rows) - MAX_ROWS:,} more; `civsync diff` shows all."


def escape_markdown(text: str) -> str:
    """Return `text` so that Markdown shows just that text, in one line."""
    text = show(text)
    if len(text) > MAX_NAME:
        text = text[:MAX_NAME] + "…"
    text = _MARKUP.sub(r"\\\g<0>", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in ("@", ":", "\\#"):
        text = text.replace(sign, sign + _APART)
    return re.sub(r"(?i)(www|gh)(?=[.-])", rf"\1{_APART}", text)


def _rows(change: Change) -> Iterator[str]:
    entry = change.new or change.old
    if entry is None:
        return
    facts = [fact for fact in change.facts if fact.model_id is None]
    key = f"`{_code(change.key)}`"
    if entry.is_search:
        files = entry.files
        yield _row(change.kind.value, key, "", _size(files), _also(facts))
        if change.old is None or change.new is None:
            return
    for model in change.models:
        own = [fact for fact in change.facts if fact.model_id == model.model_id]
        if entry.is_search and model.kind is None and not own:
            continue
        kind = (model.kind or Kind.RESTATED) if entry.is_search else change.kind
        where = [
            f"{f'{escape_markdown(root)}: ' if root else ''}"
            f"{escape_markdown(was) or 'nowhere'} → {escape_markdown(now) or 'nowhere'}"
            for pair in change.files
            if pair.kind is Kind.MOVED and pair.new
            if pair.new.model_id == model.model_id
            for root, was, now in pair.moves
        ]
        yield _row(
            kind.value,
            _link(model),
            _versions(model),
            _size(model.new or model.old),
            _also([*own, *([] if entry.is_search else facts)], where),
        )
    if not change.models and not entry.is_search:
        yield _row(change.kind.value, key, "", "", _also(facts))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _link(model: ModelChange) -> str:
    files = model.new or model.old
    page = f"{PAGES}/{model.model_id}?modelVersionId={files[0].version_id}"
    return f"[{escape_markdown(model.name.strip()) or model.model_id}]({page})"


def _versions(model: ModelChange) -> str:
    was, now = (escape_markdown(version_names(files)) for files in (model.old, model.new))
    if model.kind is Kind.CHANGED and was != now:
        return f"{was} → {now}"
    return now or was


def _size(files: Sequence[LockedFile]) -> str:
    return size_text(sum(file.size for file in files))


def _also(facts: Sequence[FactChange], where: Sequence[str] = ()) -> str:
    said = [
        f"{escape_markdown(fact.fact)}: {escape_markdown(fact.old) or 'none'}"
        f" → {escape_markdown(fact.new) or 'none'}"
        for fact in facts
    ]
    return "<br>".join([*where, *said])


def _code(text: str) -> str:
    """Return what may stand between backticks in a cell of a table."""
    return show(text).replace("`", "'").replace("|", "\\|")[:MAX_NAME]
