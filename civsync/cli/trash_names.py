"""Which file in trash a word on the command line means, and where it shall go."""

from collections.abc import Sequence
from pathlib import Path

from civsync.cli.output import show
from civsync.cli.trash_text import moment_text
from civsync.core.codes import Code
from civsync.core.disk import Trashed
from civsync.core.errors import UserError
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.values import dataclass
from civsync.documents.hints import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A file in trash as it was named, and the path that it is to have."""

    name: str
    trashed: Trashed
    path: SafePath


def trashed_named(name: str, trashed: Sequence[Trashed], root: Path) -> Trashed:
    """Return the file with this id, or that lay at this path, below the root or as on disk.

    `trashed` has the oldest first. Of several with the same content the newest is meant.
    Raises UserError usage where there is none, or where contents differ or are not known.
    """
    paths = {name, _below(root, name)}
    found = [each for each in trashed if each.id == name or each.path in paths]
    contents = {each.sha256 for each in found}
    if len(found) == 1 or (len(contents) == 1 and None not in contents):
        return found[-1]
    if not found:
        known = [each.path for each in trashed if each.path is not None]
        raise UserError(
            Code.USAGE,
            f"nothing in trash has the id or path {name!r}",
            hint=did_you_mean(name, known) or "Run `civsync trash list` to see what is there.",
        )
    which = ", ".join(f"{each.id} ({moment_text(each.seconds)})" for each in reversed(found))
    raise UserError(
        Code.USAGE,
        f"{len(found)} files in trash lay at {show(name)}",
        hint=f"Name one by its id; the newest comes first: {which}.",
    )


def target_of(trashed: Trashed, to: str | None, root: Path) -> SafePath:
    """Return the path that a file shall have: `to`, or where it lay. Raises UserError usage."""
    if to is None:
        if trashed.path is None:
            raise UserError(
                Code.USAGE,
                f"nothing says any more where {trashed.id} lay",
                hint="Say with --to where it shall go.",
            )
        return trashed.path
    try:
        return parse_path(_below(root, to) if Path(to).is_absolute() else to)
    except UnsafePathError as error:
        raise UserError(
            Code.USAGE,
            f"--to leads nowhere below the root that civsync would put a file: {error}",
            hint="Name a path below the root, such as loras/mine.safetensors.",
        ) from None


def _below(root: Path, path: str) -> str:
    """Return a path on disk as it is below the root, "" for one that is not."""
    try:
        return Path(path).absolute().relative_to(root).as_posix()
    except ValueError:
        return ""
