"""Find what a person probably meant; nothing is corrected silently."""

import difflib
from collections.abc import Iterable
from typing import Final

_ALIKE: Final = 0.6
"""difflib's usual share of equal letters: `bass_model` finds `base_model`, `foo` finds nothing."""


def nearest(text: str, known: Iterable[str], *, alike: float = _ALIKE) -> str | None:
    """Return the known word that is most like `text`, without regard to case, if one is."""
    by_folded = {word.casefold(): word for word in known}
    found = difflib.get_close_matches(text[:100].casefold(), by_folded, n=1, cutoff=alike)
    return by_folded[found[0]] if found else None


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return "Did you mean `x`?", or "" where nothing is near."""
    word = nearest(text, known)
    return f"Did you mean `{word}`?" if word is not None else ""


def listed(words: Iterable[str], *, last: str = "and") -> str:
    """Return "a, b and c" for a sentence; `last` is the word before the last one."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end
