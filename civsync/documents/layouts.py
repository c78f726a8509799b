"""Build the one layout that a manifest asks for: a preset or its own, with its overrides.

Templates are taken as proved; the presets' are proved by a test, the user's where they
are read. No file is placed here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final

from civsync.core.request import Layout
from civsync.core.values import dataclass
from civsync.documents.hints import did_you_mean, listed
from civsync.documents.layout_tables import (
    DEFAULT_DIRECTORY,
    FILE_TYPE_DIRECTORIES,
    FILE_TYPE_PLACED_AS,
    PRESETS,
)
from civsync.documents.vocabulary import FILE_TYPES, MODEL_TYPES, TYPES

DEFAULT_LAYOUT: Final = "comfyui"

PRESET_NAMES: Final = tuple(PRESETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLayout:
    """One layout of `layouts:`. `extends` names a preset; "" starts from nothing."""

    extends: str = ""
    directories: Mapping[str, str] = field(default_factory=dict)


class UnknownLayoutError(ValueError):
    """No layout has this name; the message lists those that there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no layout {name!r}; there are {listed(known)}")
        self.hint = did_you_mean(name, known)


def build_layout(
    name: str,
    *,
    layouts: Mapping[str, UserLayout] | None = None,
    directories: Mapping[str, str] | None = None,
) -> Layout:
    """Return the layout called `name`, with the manifest's own `directories` over it.

    Keys of directories are model types, file types, or words that are both and set both,
    as `type_key` returns them. The directory of a model type also holds for files
    of that kind beside another model (a checkpoint's VAE), unless their file type has its
    own. Raises UnknownLayoutError.
    """
    own = layouts or {}
    if name in own:
        chosen = own[name]
        base = _preset(chosen.extends) if chosen.extends else _nothing()
        base = _override(base, name, chosen.directories)
    else:
        if name not in PRESETS:
            raise UnknownLayoutError(name, (*PRESET_NAMES, *own))
        base = _preset(name)
    return _override(base, name, directories or {})


def type_key(word: str) -> str:
    """Return a key of `directories:` as the API spells it; an unknown type stays as it is.

    Raises UnknownWordError for a slip.
    """
    return TYPES.canonical(word)


def _nothing() -> Layout:
    return Layout(name="", by_model_type={})


def _preset(name: str) -> Layout:
    if name not in PRESETS:
        raise UnknownLayoutError(name, PRESET_NAMES)
    return Layout(
        name=name,
        by_model_type=PRESETS[name],
        by_file_type=FILE_TYPE_DIRECTORIES[name],
        fallback=DEFAULT_DIRECTORY[name],
    )


def _override(base: Layout, name: str, directories: Mapping[str, str]) -> Layout:
    by_model_type = dict(base.by_model_type)
    placed: dict[str, str] = {}
    named: dict[str, str] = {}
    for word, directory in directories.items():
        model_types = _named(word, MODEL_TYPES.known)
        file_types = [each for each in _named(word, FILE_TYPES.known) if each != "Other"]
        if not model_types and not file_types:
            # A type newer than this program: it may be either kind.
            model_types = file_types = [word]
        by_model_type |= dict.fromkeys(model_types, directory)
        named |= dict.fromkeys(file_types, directory)
        placed |= {
            file_type: directory
            for file_type, placed_as in FILE_TYPE_PLACED_AS.items()
            if placed_as in model_types
        }
    return Layout(
        name=name,
        by_model_type=by_model_type,
        by_file_type={**base.by_file_type, **placed, **named},
        fallback=directories.get("Other", base.fallback),
    )


def _named(word: str, types: Iterable[str]) -> list[str]:
    """Return the type that `word` names: `Controlnet` is a model type, `ControlNet` a file type."""
    return [each for each in types if each.casefold() == word.casefold()]
