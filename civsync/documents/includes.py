"""Say where an included manifest lies, and what a program that fetches it must promise.

Paths are as the top manifest would write them: relative to its folder, with forward
slashes, without "." and needless "..". Nothing is read here.
"""

import re
from collections.abc import Callable
from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import PATH_BYTES

Load = Callable[[str], bytes]
"""Returns the text of a manifest by its path from the top manifest. Raises IncludeError."""

NOT_INCLUDED: Final = (
    "root", "roots", "layout", "layouts", "directories",
    "policy", "exclude_newer", "default_groups",
)  # fmt: skip
"""Keys that speak for the whole, so that no included manifest can change what they say."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")


class IncludeError(Exception):
    """A manifest that cannot be included; `code` says why, `hint` what helps."""

    def __init__(self, message: str, *, code: Code = Code.MANIFEST_INVALID, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def include_path(text: str, *, base: str) -> str:
    """Return the path from the top manifest of what `base`, such a path too, calls `text`.

    Raises IncludeError for what is not relative or names no file.
    """
    shown = repr(text if len(text) <= 80 else text[:79] + "…")
    if text.startswith(("/", "~")) or "\\" in text or "://" in text or _DRIVE.match(text):
        raise IncludeError(
            f"{shown} is not relative to the manifest that includes it",
            hint="Write a path such as `common/base.yaml` or `../base.yaml`.",
        )
    if not text.isprintable():
        raise IncludeError(f"{shown} has characters that no path needs")
    parts: list[str] = []
    for part in (*base.split("/")[:-1], *text.split("/")):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts or text.rpartition("/")[2] in ("", ".", ".."):
        raise IncludeError(f"{shown} names a folder", hint="Name the manifest in it.")
    if not text.endswith((".yaml", ".yml")):
        # A message quotes the line at fault; no manifest shall make it quote any file there is.
        raise IncludeError(
            f"{shown} is no manifest: its name does not end in .yaml or .yml",
            hint="Give the included manifest such a name.",
        )
    path = "/".join(parts)
    if len(path.encode()) > PATH_BYTES:
        raise IncludeError(f"{shown} leads to a path of more than {PATH_BYTES} bytes")
    return path
