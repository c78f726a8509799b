"""Find the files that a command line names, below a root and nowhere else.

A path is meant from the current folder, or else from the root. Links on the way are
followed to see where it really lies, and what lies outside is refused; the last component
is not: a link is not the file that it leads to.
"""

import os
from collections.abc import Iterable

from civsync.cli.output import show
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.disk.beneath import Beneath


def find_named(words: Iterable[str], beneath: Beneath) -> tuple[set[SafePath], set[str]]:
    """Return the files and the folders that are named, relative to the root.

    The root itself is the folder "". What lies in a directory that was declared to lie on
    another disk lies below the root. Raises UserError usage for what does not exist,
    SafetyError unsafe-path for what lies outside, or has a name that civsync gives no file.
    """
    files: set[SafePath] = set()
    folders: set[str] = set()
    for word in words:
        home, place = _find(word, beneath)
        if place == beneath.place(home):
            folders.add(home)
            continue
        relative = os.path.relpath(place, beneath.place(home)).replace(os.sep, "/")
        relative = f"{home}/{relative}" if home else relative
        if relative in beneath.homes:
            folders.add(relative)
            continue
        try:
            path = parse_path(relative)
        except UnsafePathError:
            raise SafetyError(
                Code.UNSAFE_PATH,
                "civsync takes over nothing with such a name",
                subject=show(word),
                hint="Rename it to something that every system can have.",
            ) from None
        if os.path.isdir(place) and not os.path.islink(place):
            folders.add(path)
        else:
            files.add(path)
    return files, folders


def _find(word: str, beneath: Beneath) -> tuple[str, str]:
    """Return in which home, and where, `word` really lies."""
    outside, root = False, beneath.root
    for base in (os.getcwd(), root):
        place = _real(os.path.join(base, word))
        if not os.path.lexists(place):
            continue
        for home in reversed(beneath.homes):
            real = beneath.place(home)
            if place == real or place.startswith(os.path.join(real, "")):
                return home, place
        outside = True
    if outside:
        raise SafetyError(
            Code.UNSAFE_PATH,
            f"it does not lie below the root, {show(root)}",
            subject=show(word),
            hint="Move it below the root first, or name the root with --root.",
        )
    raise UserError(
        Code.USAGE,
        f"there is no such file, here or below {show(root)}",
        subject=show(word),
        hint="Name a file as it lies on disk.",
    )


def _real(path: str) -> str:
    parent, name = os.path.split(path.rstrip(os.sep) or path)
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(parent), name)
