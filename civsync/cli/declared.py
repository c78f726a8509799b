"""Which directories below a root lie on other disks: the user's word, and nobody else's.

A manifest cannot say it, as it cannot set a root outside its folder: it may come from a
stranger, in a repository that can hold symbolic links, too.
"""

import os
from typing import TYPE_CHECKING

from civsync.cli.output import show
from civsync.cli.settings import Settings, config_file, user_config
from civsync.core.codes import Code
from civsync.core.disk import Declared
from civsync.core.errors import UserError
from civsync.core.names import UnsafePathError, parse_path

if TYPE_CHECKING:
    from _typeshed import StrPath

_FORM = "Write DIR=TARGET for a link that leads to TARGET, a whole path, or DIR for a mounted disk."


def find_declared(settings: Settings, root: "StrPath") -> tuple[Declared, ...]:
    """Return what flags, variables and the user's config say of `root`.

    For a directory that both name the flag holds. Raises UserError usage, config-invalid;
    DocumentError.
    """
    found: dict[str, Declared] = {}
    for text in _configured(root):
        each = _parse(text, Code.CONFIG_INVALID, config_file())
        found[each.at] = each
    for text in settings.follow_links:
        each = _parse(text, Code.USAGE, "--follow-links")
        found[each.at] = each
    return tuple(found.values())


def _configured(root: "StrPath") -> tuple[str, ...]:
    links = user_config().follow_links
    real = os.path.realpath(root) if links else ""
    texts: list[str] = []
    for place, directories in links.items():
        whole = os.path.expanduser(place)
        if not os.path.isabs(whole):
            raise UserError(
                Code.CONFIG_INVALID,
                f"`{show(place)}` below `follow_links` is not a whole path",
                subject=config_file(),
                hint="Name the root by its whole path, or begin it with ~/.",
            )
        if os.path.realpath(whole) == real:
            texts.extend(directories)
    return tuple(texts)


def _parse(text: str, code: Code, subject: str) -> Declared:
    at, given, target = text.partition("=")
    target = os.path.expanduser(target)
    try:
        path = parse_path(at.rstrip("/"))
    except UnsafePathError:
        path = None
    if path is None or (given and not os.path.isabs(target)):
        raise UserError(
            code,
            f"{show(text)!r} declares no directory below the root",
            subject=subject,
            hint=_FORM,
        )
    return Declared(at=path, target=target)
