"""A document as nodes that know their line and column (1-based); no text is read here."""

from collections.abc import Iterable

from civsync.core.values import dataclass

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value. `text` is what was written; `plain` says that it was written without quotes."""

    value: Value
    text: str
    plain: bool
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list."""

    items: "tuple[Node, ...]"
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key with its own place, and its value."""

    key: str
    line: int
    column: int
    value: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Keys and values in the order of the text; every key stands once."""

    pairs: tuple[Pair, ...]
    line: int
    column: int

    def pair(self, key: str) -> Pair | None:
        """Return the pair with this key, if there is one."""
        for pair in self.pairs:
            if pair.key == key:
                return pair
        return None

    def get(self, key: str) -> "Node | None":
        """Return the value of this key, if there is one."""
        pair = self.pair(key)
        return pair.value if pair else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Where a value would be that was refused and reported: say no more about it."""

    line: int
    column: int


Node = Scalar | Sequence | Mapping | Refused


def key_path(path: Iterable[str | int]) -> str:
    """Return a path as people write it: "models[3].files[0].type"."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
