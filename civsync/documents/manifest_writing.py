"""Write a whole manifest: its head, and entries with a comment each.

Names in comments come from strangers: they stay on their line and say nothing in YAML.
Changing a manifest that is there is the business of `manifest_edit`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from civsync.documents.yaml_writing import Writable, flow_text, item_lines

_COMMENT_CHARS: Final = 120
"""Characters of a comment; a name may have thousands."""

_HEAD: Final = """\
# yaml-language-server: $schema={schema}
version: 1

# {about_root}
root: {root}
layout: {layout}

"""


def write_manifest(
    items: Iterable[tuple[str, Mapping[str, Writable]]],
    *,
    root: str,
    layout: str,
    schema: str,
    about_root: str,
) -> str:
    """Return a manifest with these entries, each of them a comment and its keys."""
    head = _HEAD.format(
        schema=schema, root=flow_text(root), layout=layout, about_root=comment_text(about_root)
    )
    lines = [
        line
        for title, item in items
        for line in (f"  # {comment_text(title)}", *item_lines(item, dash="  - "))
    ]
    return head + "\n".join(["models:", *lines] if lines else ["models: []"]) + "\n"


def comment_text(text: str) -> str:
    """Return `text` on one line, without what could end a comment or reorder what is shown."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    words = " ".join(plain.split())
    return words if len(words) <= _COMMENT_CHARS else words[: _COMMENT_CHARS - 1] + "…"
