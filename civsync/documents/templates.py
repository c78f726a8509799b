"""Templates for directories and file names: proved safe when read, safe however filled.

A template is literal text with `{field}`s in it; `{{` and `}}` are braces. What is literal
is checked once, here; what is filled in at lock time may be hostile and is made safe as a
part of the component in which it stands. So no value can add a component, leave the root
or hide a file. There is no other syntax: no conversions, no formats, no attributes.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, Generic, Literal, NoReturn, TypeVar, cast, overload

from civsync.core.limits import NAME_BYTES, PATH_BYTES, PATH_DEPTH
from civsync.core.names import (
    FORBIDDEN,
    SafeName,
    SafePath,
    is_safe_name,
    parse_path,
    safe_name,
)
from civsync.core.values import dataclass
from civsync.documents.hints import did_you_mean, listed

FIELDS: Final = (
    "type", "base_model", "creator", "model", "model_id", "version", "version_id", "file_id",
    "name", "ext", "format", "precision", "quant", "size", "nsfw", "tag",
)  # fmt: skip
"""Everything that a template may name; `name` is the file's name without its extension."""

EMPTY: Final = "unknown"
"""What a field without a value becomes: a component never vanishes, so depths stay equal."""

DIRECTORY_BYTES: Final = PATH_BYTES - NAME_BYTES - 1
"""Bytes of a rendered directory: what is left of a path beside "/" and the longest name."""

DIRECTORY_DEPTH: Final = PATH_DEPTH - 1

Kind = Literal["directory", "filename"]
Rendered = TypeVar("Rendered", bound=str)


class TemplateError(ValueError):
    """A template that cannot be used; the message says why, in one sentence without a stop.

    `hint` is what helps, "" where nothing is known.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Literally:
    """Text that stands as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """The value of one of `FIELDS`."""

    name: str


Component = tuple[Literally | Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Generic[Rendered]):
    """A template for directories (many components, or none for the root) or for one file name."""

    text: str
    kind: Kind
    components: tuple[Component, ...]

    @overload
    @staticmethod
    def parse(text: str, *, kind: Literal["directory"]) -> "Template[SafePath]": ...
    @overload
    @staticmethod
    def parse(text: str, *, kind: Literal["filename"]) -> "Template[SafeName]": ...
    @staticmethod
    def parse(text: str, *, kind: Kind) -> "Template[SafePath] | Template[SafeName]":
        """Read a template and prove that it stays inside the root.

        An empty directory template is the root itself. Raises TemplateError.
        """
        text = unicodedata.normalize("NFC", text)
        components = tuple(_pieces(part) for part in text.split("/")) if text else ()
        if kind == "directory":
            _check_directory(text, components)
            directory: Template[SafePath]
            directory = Template(text=text, kind=kind, components=components)
            return directory
        _check_filename(text, components)
        filename: Template[SafeName] = Template(text=text, kind=kind, components=components)
        return filename

    def render(self, fields: Mapping[str, str], mark: int | None = None) -> Rendered:
        """Fill in the raw values of `fields`; missing and empty ones become "unknown".

        A directory is a lawful path of at most `DIRECTORY_BYTES`, or "" for the root. In a
        file name that had to be changed, `mark` (a file id) stands before the extension; a
        directory takes no mark, so that the files of one creator stay together.
        """
        filled = ["".join(_filled(piece, fields) for piece in part) for part in self.components]
        if self.kind == "filename":
            return cast("Rendered", safe_name(filled[0], mark=mark))
        return cast("Rendered", _directory(filled))


def _filled(piece: Literally | Field, fields: Mapping[str, str]) -> str:
    return piece.text if isinstance(piece, Literally) else fields.get(piece.name) or EMPTY


def _directory(filled: list[str]) -> SafePath:
    if not filled:
        return SafePath("")
    path = "/".join(safe_name(part, keep_suffix=False) for part in filled)
    if len(path.encode()) > DIRECTORY_BYTES:
        share = DIRECTORY_BYTES // len(filled) - 1
        path = "/".join(safe_name(part, keep_suffix=False, room=share) for part in filled)
    return parse_path(path)


# --- reading ------------------------------------------------------------------------------

_PIECE: Final = re.compile(r"\{\{|\}\}|\{(?P<field>[^{}]*)\}|(?P<brace>[{}])|[^{}]+")


def _pieces(part: str) -> Component:
    pieces: list[Literally | Field] = []
    for match in _PIECE.finditer(part):
        if match["brace"]:
            raise TemplateError(
                f"the braces of {part!r} are unbalanced", "Write {{ and }} for literal braces."
            )
        if match["field"] is not None:
            pieces.append(_field(match["field"]))
        else:
            pieces.append(Literally({"{{": "{", "}}": "}"}.get(match[0], match[0])))
    return tuple(pieces)


def _field(name: str) -> Field:
    if name not in FIELDS:
        said = f"{{{name}}} is no field; the fields are {listed(FIELDS)}"
        raise TemplateError(said, did_you_mean(name, FIELDS))
    return Field(name)


def _check_directory(text: str, components: tuple[Component, ...]) -> None:
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:", text):
        _refuse(f"{text!r} is not relative to the root", "Write it relative to the root.")
    for part, component in zip(text.split("/"), components, strict=False):
        if part in ("", "."):
            _refuse(f"{text!r} has a component that is empty or a dot", "Leave it out.")
        if part == "..":
            _refuse(f"{text!r} would leave the root")
        _check_component(part, component)
    if len(components) > DIRECTORY_DEPTH:
        _refuse(f"{len(components)} components are more than {DIRECTORY_DEPTH}")
    if len(text.encode("utf-8", "replace")) > DIRECTORY_BYTES:
        _refuse(f"the template is longer than {DIRECTORY_BYTES} bytes")


def _check_filename(text: str, components: tuple[Component, ...]) -> None:
    if not text:
        _refuse("a file name template is empty")
    if len(components) > 1:
        _refuse(
            f"a file name holds no '/': {text!r}", "Put the directories into `directory:` instead."
        )
    _check_component(text, components[0])


def _check_component(part: str, component: Component) -> None:
    """Prove that what is literal in one component may stand there, whatever the fields are."""
    if part.casefold().startswith(".civsync"):
        _refuse(f"{part!r} is civsync's own folder")
    for piece in component:
        if isinstance(piece, Literally):
            odd = [char for char in piece.text if char in FORBIDDEN or not char.isprintable()]
            if odd:
                hint = "Separate components with '/'." if odd[0] == "\\" else ""
                _refuse(f"the character {odd[0]!r} may not stand in a name", hint)
    probe = "".join(piece.text if isinstance(piece, Literally) else "x" for piece in component)
    if not is_safe_name(probe):
        _refuse(
            f"{part!r} makes no name that is safe on every system",
            "A name begins with no dot or space, ends with neither, and is no Windows device.",
        )


def _refuse(message: str, hint: str = "") -> NoReturn:
    raise TemplateError(message, hint)
