"""Where the roots of a project lie, and which of them a run is about.

A manifest names folders below its own; where else a root lies is the user's word, by a flag, a
variable or the user's config. Nothing is opened or made here.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.documents import load_head
from civsync.cli.output import show
from civsync.cli.project import Project
from civsync.cli.settings import (
    Settings,
    configured_root,
    find_root,
    given_root,
    require_utf8,
    root_below,
    user_config,
)
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, SafetyError, UserError
from civsync.core.roots import Roots, is_root_name
from civsync.core.values import dataclass
from civsync.documents.hints import did_you_mean, listed

if TYPE_CHECKING:
    from civsync.core.request import Manifest

SOMEWHERE = ""
"""The path of a root of which only the name is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A root by its name, "" for the only one, and where it lies.

    `refused` says why it cannot be used where that is known beforehand: others still can.
    """

    name: str
    path: Path
    refused: CivsyncError | None = None


def locate(settings: Settings, project: Project, roots: Roots) -> tuple[Located, ...]:
    """Return the roots that a run is about, in the manifest's order, and at least one.

    Raises UserError usage for a --root that is none of them, config-invalid; SafetyError
    root-unusable where two of the roots are one folder or one lies in the other.
    """
    if not roots.named:
        path = find_root(settings, project.folder, roots.single)
        return (Located(name="", path=Path(path)),)
    require_utf8()
    chosen = _chosen(settings.roots, roots.named)
    configured = user_config().roots
    located = [
        _located(project, name, path, chosen.get(name, ""), configured.get(name, ""))
        for name, path in roots.named.items()
    ]
    _refuse_overlap([each for each in located if each.refused is None])
    meant = tuple(each for each in located if not chosen or each.name in chosen)
    if settings.follow_links and len(meant) > 1:
        raise UserError(
            Code.USAGE,
            "--follow-links is about one root, and the manifest has several",
            hint="Say it by root, in `follow_links` of your config.yaml, or choose a root with"
            " --root NAME.",
        )
    return meant


def only(located: Sequence[Located]) -> Located:
    """Return the one root that a command for a single one is about.

    Raises UserError usage where there are several; and what it is refused for.
    """
    if len(located) > 1:
        names = listed([each.name for each in located])
        raise UserError(
            Code.USAGE,
            "this is done for one root, and the manifest has several",
            hint=f"Say which one with --root NAME. There are {names}.",
        )
    (found,) = located
    if found.refused is not None:
        raise found.refused
    return found


def locate_only(settings: Settings, project: Project) -> Located:
    """Return the one root that flags and manifest name. The lock is not needed for that.

    The manifest is read only where it has a say: it may be broken, or of another day. Raises
    as `only` and `locate`; DocumentError.
    """
    return only(locate(settings, project, roots_in_manifest(settings, project)))


def roots_in_manifest(settings: Settings, project: Project) -> Roots:
    """Return the roots of the manifest, as far as they matter beside what flags say."""
    if settings.roots and not any(map(_may_be_name, settings.roots)):
        return Roots()
    text = read_bytes(project.manifest)
    if text is None:
        return Roots()
    try:
        return load_head(project, text)[0]
    except UserError:
        if settings.roots:
            return Roots()
        raise


def place_for_parts(settings: Settings, project: Project, manifest: "Manifest") -> Path:
    """Return the first root that can be used: where `lock` keeps what it has to download."""
    return first_usable(locate(settings, project, manifest.roots))


def first_usable(located: Sequence[Located]) -> Path:
    """Return the first root that can be used. Raises what the first is refused for if none can."""
    for each in located:
        if each.refused is None:
            return each.path
    return only(located[:1]).path


def _may_be_name(text: str) -> bool:
    return is_root_name(text.partition("=")[0])


def _chosen(words: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return what `--root` says: the names, each with its path, "" where none is given."""
    chosen: dict[str, str] = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in named:
            names = listed(sorted(named))
            raise UserError(
                Code.USAGE,
                f"--root or CIVSYNC_ROOT says {show(word)!r}, which names no root of this project",
                hint=" ".join(
                    filter(
                        None,
                        [
                            did_you_mean(name, sorted(named)),
                            f"Write --root NAME, or NAME=PATH. There are {names}.",
                        ],
                    )
                ),
            )
        chosen[name] = path
    return chosen


def _located(project: Project, name: str, path: str, given: str, configured: str) -> Located:
    """Return where a root lies: as flags or the config say, else below the manifest's folder."""
    if given:
        return Located(name=name, path=Path(given_root(given)))
    if configured:
        return Located(name=name, path=Path(configured_root(configured, f"roots.{name}")))
    place = project.folder / path
    if path == SOMEWHERE:
        error: CivsyncError = UserError(
            Code.USAGE,
            f"nothing says where the root {name} lies, since there is no {project.name}",
            hint=f"Say it: --root {name}=PATH, or `roots` in your config.yaml.",
        )
        return Located(name=name, path=place, refused=error)
    try:
        return Located(name=name, path=Path(root_below(project.folder, path, name)))
    except SafetyError as refused:
        return Located(name=name, path=place, refused=refused)


def _refuse_overlap(located: Sequence[Located]) -> None:
    for one, other in combinations(located, 2):
        if _within(one.path, other.path) or _within(other.path, one.path):
            raise SafetyError(
                Code.ROOT_UNUSABLE,
                f"the roots {one.name} and {other.name} are one folder, or one lies in the other",
                subject=str(one.path),
                hint="Give each root a folder of its own.",
            )


def _within(inner: Path, outer: Path) -> bool:
    """Tell whether a folder lies in another or is it, whatever links lead there."""
    real, around = Path(os.path.realpath(inner)), Path(os.path.realpath(outer))
    above = (real, *real.parents)
    if around in above:
        return True
    # The same folder may have two spellings, or be mounted twice.
    return any(_same(each, around) for each in above)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False
