"""Turn the arguments of `civsync add` into entries, each checked before anything is edited."""

import re
from collections.abc import Sequence
from typing import Final

from civsync.cli.output import Output
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.problems import DocumentError
from civsync.core.request import ById, Entry, FileSelector
from civsync.core.values import dataclass
from civsync.documents.links import LinkError, parse_target
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_edit import Item
from civsync.documents.vocabulary import FILE_TYPES, UnknownWordError
from civsync.documents.yaml_writing import Writable, flow_text

_SECRET: Final = re.compile(r"(?i)(?<=[?&])token=[^&#]*&?")
"""A key in a pasted download link: it has no place in a file that is shared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What the flags say of every entry that is added."""

    version: str | None = None
    groups: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    directory: str | None = None
    allow_pickle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One entry to add: as it was named, as it will be written, and what that means."""

    name: str
    item: Item
    entry: Entry


def wishes_of(
    links: Sequence[str], models: Sequence[int], wording: Wording, output: Output
) -> tuple[Wish, ...]:
    """Return an entry for each link or AIR, then for each model id.

    A version's id alone is enough, too. Raises UserError for what points at nothing, or
    would not be a sound entry.
    """
    keys = _keys_of(wording)
    version = keys.get("version")
    named = len(links) + len(models)
    if isinstance(version, int) and named > 1:
        raise UserError(
            Code.USAGE,
            f"--version {version} is one version's id, and {named} models are named",
            hint="Add them one by one, or as links with ?modelVersionId=.",
        )
    if not named:
        if not isinstance(version, int):
            raise UserError(
                Code.USAGE,
                "nothing is named that could be added",
                hint="Give links, AIRs, --model ID, or --version ID.",
            )
        return (_wish(f"--version {version}", keys),)
    return (
        *(_linked(link, keys, output) for link in links),
        *(_wish(f"--model {model}", {"model": model, **keys}) for model in models),
    )


def with_files_of(first: Wish, second: Wish) -> Wish:
    """Return one entry for the files of both, which are of the same version.

    Both must say which files they mean. Raises UserError as `wishes_of`.
    """
    request = first.entry.request
    selectors = dict.fromkeys((*request.selectors, *second.entry.request.selectors))
    keys: dict[str, Writable] = {}
    if request.model_id is not None:
        keys["model"] = request.model_id
    if isinstance(request.version, ById):
        keys["version"] = request.version.id
    keys["files"] = [_keys_of_selector(selector) for selector in selectors]
    return _wish(first.name, keys)


def _keys_of_selector(selector: FileSelector) -> dict[str, Writable]:
    """Return what a link may say of a file, as `files` says it."""
    keys: dict[str, Writable] = {} if selector.id is None else {"id": selector.id}
    for name in ("type", "format", "precision", "size"):
        if value := getattr(selector, name):
            keys[name] = value
    return keys


def _keys_of(wording: Wording) -> dict[str, Writable]:
    keys: dict[str, Writable] = {}
    if wording.version is not None:
        version = wording.version.strip()
        is_id = re.fullmatch(r"[0-9]{1,19}", version) is not None
        keys["version"] = int(version) if is_id else version
    if wording.groups:
        keys["groups"] = list(dict.fromkeys(wording.groups))
    if wording.files:
        keys["files"] = [_selector(word) for word in wording.files]
    if wording.directory is not None:
        keys["directory"] = wording.directory
    if wording.allow_pickle:
        keys["allow_pickle"] = True
    return keys


def _selector(word: str) -> dict[str, Writable]:
    """Read a file type, or a file's name: that has a dot or a wildcard."""
    if any(sign in word for sign in ".*?"):
        return {"name": word}
    try:
        return {"type": FILE_TYPES.canonical(word)}
    except UnknownWordError as error:
        raise UserError(
            Code.USAGE,
            f"{word!r} is no file type",
            subject="--file",
            hint=f"Did you mean {error.meant}? A name has a dot or a wildcard, as in *.yaml.",
        ) from None


def _linked(link: str, keys: dict[str, Writable], output: Output) -> Wish:
    link = link.strip()
    try:
        target = parse_target(link)
    except LinkError as error:
        hint = error.hint or "Paste the address of the model's page, or give --model ID."
        if error.code is Code.AMBIGUOUS_ID:
            hint = (
                f"Write --model {link} for the page civitai.com/models/{link}, or"
                f" --version {link} for the page with ?modelVersionId={link}."
            )
        raise UserError(error.code, str(error), hint=hint) from None
    except UnknownWordError as error:
        raise UserError(
            Code.BAD_LINK, f"in the link, {error}", hint=f"Did you mean {error.meant}?"
        ) from None
    if target.version_id is not None and "version" in keys:
        raise UserError(
            Code.USAGE,
            f"the link is to version {target.version_id}, and --version says another thing",
            subject=link,
            hint="Leave one of the two out.",
        )
    clean = _SECRET.sub("", link).rstrip("?&")
    if clean != link:
        output.warn("the link carries a key; it is left out of the manifest")
    return _wish(clean, {"model": clean, **keys} if keys else clean)


def _wish(name: str, item: Item) -> Wish:
    """Read an item in a manifest of its own, so that what is wrong with it has no false line."""
    try:
        text = f"version: 1\nmodels: [{flow_text(item)}]\n"
        return Wish(name=name, item=item, entry=read_manifest(text, name=name).entries[0])
    except DocumentError as error:
        problem = error.problems[0]
        hint = problem.hint or "See `civsync add --help`."
        raise UserError(problem.code, problem.message, subject=name, hint=hint) from None
