"""Find the JSON Schemas that civsync publishes: in the wheel, or in the checkout it runs from."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_ENDING: Final = ".schema.json"


def schema_names() -> tuple[str, ...]:
    """Return the names of all published schemas, sorted: "lock", "manifest", ..."""
    names = (each.name for each in _folder().iterdir() if each.name.endswith(_ENDING))
    return tuple(sorted(name.removesuffix(_ENDING) for name in names))


def schema_text(name: str) -> str:
    """Return the text of one schema. Raises KeyError for a name that is none."""
    if name not in schema_names():
        raise KeyError(name)
    return _folder().joinpath(name + _ENDING).read_text(encoding="utf-8")


def _folder() -> Traversable:
    package = files("civsync")
    packaged = package.joinpath("schemas")
    return packaged if packaged.is_dir() else package.joinpath("..", "schemas")
