"""The folders that a manifest keeps in step, as it names them. Nothing is looked up here."""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from civsync.core.values import dataclass

DEFAULT_ROOT: Final = "models"
"""The folder, beside the manifest, that is kept in step where nobody names one."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Paths relative to the manifest's folder: of the only root, or of those in `named`.

    Where there are `named` ones, by their names and in the manifest's order, `single` says
    nothing.
    """

    single: str = DEFAULT_ROOT
    named: Mapping[str, str] = field(default_factory=dict)


def is_root_name(text: str) -> bool:
    """Tell whether `roots` of a manifest may call a root so."""
    return _NAME.match(text) is not None
