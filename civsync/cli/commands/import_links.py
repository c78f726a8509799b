"""`civsync import`: add what somebody's list names to the manifest."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from civsync.cli.editing import Opened, edited, open_documents, store
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import count_text, show
from civsync.cli.texts import read_bytes
from civsync.cli.wishes import Wish, Wording, wishes_of, with_files_of
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.exits import ExitCode
from civsync.core.limits import MANIFEST_BYTES
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.values import dataclass
from civsync.decide.by_hash import Whereabouts, find_by_hash
from civsync.documents.imports import Named, holds_comfy_lock, read_comfy_lock, read_links
from civsync.documents.links import LinkError, parse_target
from civsync.documents.manifest import identity_of
from civsync.documents.manifest_edit import add_entries

_HINTS: Final = {
    Code.AMBIGUOUS_ID: "Write a page's address, with ?modelVersionId= for one version.",
    Code.BAD_LINK: "Write the address of the model's page, or an AIR; `#` begins a comment.",
}
"""What helps in a list, where there are no flags as `civsync add` has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    """What the list names and the manifest does not get."""

    named: Named
    why: str


@dataclass(slots=True, kw_only=True)
class _Sorted:
    """What becomes of everything that a list names."""

    wishes: list[Wish]
    skipped: list[_Passed]
    left: list[_Passed]


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--format",
    "style",
    type=click.Choice(["links", "comfy-lock"]),
    default="links",
    show_default=True,
    help="What the file is.",
)
@common_options
@pass_context
def command(context: Context, *, file: str, style: str) -> ExitCode:
    """Add what FILE names to civsync.yaml; "-" is standard input.

    A list has one link or AIR a line; "#" begins a comment. Of a comfy-lock.yaml the models
    are taken: by a link to Civitai, or by looking up their SHA-256. What is in the manifest
    already is passed over. Nothing is locked or downloaded yet.
    """
    opened = open_documents(context)
    name = "standard input" if file == "-" else file
    data = _read(file)
    if style == "links":
        if holds_comfy_lock(data):
            raise UserError(
                Code.USAGE,
                "this is YAML with `models:`, not a list of links",
                subject=name,
                hint=f"Run `civsync import --format comfy-lock {file}`.",
            )
        named = read_links(data, name=name)
        found = _judge(context, opened, name, named)
    else:
        named = read_comfy_lock(data, name=name)
        found = _judge_comfy(context, opened, named)
    if found.wishes:
        items = [wish.item for wish in found.wishes]
        text = edited(opened, context.output, lambda old: add_entries(old, items))
        opened.reread(text)
        store(opened, text)
    _tell(context, opened, found, name)
    return ExitCode.PARTIAL if found.left else ExitCode.OK


def _read(file: str) -> bytes:
    if file == "-":
        text = sys.stdin.read(MANIFEST_BYTES + 1)
        return text.encode("utf-8", "surrogateescape")
    data = read_bytes(Path(file))
    if data is None:
        raise UserError(Code.USAGE, "there is no such file", subject=file, hint="Check the path.")
    return data


def _judge(context: Context, opened: Opened, name: str, named: Sequence[Named]) -> _Sorted:
    """Make entries of links. Raises DocumentError with every line that names nothing."""
    problems: list[Problem] = []
    pairs: list[tuple[Named, Wish]] = []
    for each in named:
        try:
            (wish,) = wishes_of([each.link], [], Wording(), context.output)
            pairs.append((each, wish))
        except UserError as error:
            place = Place(document=name, line=each.line)
            hint = _HINTS.get(error.code, error.hint)
            problems.append(Problem(code=error.code, message=error.message, place=place, hint=hint))
    if problems:
        raise DocumentError(problems)
    return _without_known(opened, pairs)


def _judge_comfy(context: Context, opened: Opened, named: Sequence[Named]) -> _Sorted:
    """Make entries of what can be identified; the rest is left, and told."""
    linked = {index for index, each in enumerate(named) if _leads_there(each)}
    hashes = {each.sha256 for i, each in enumerate(named) if i not in linked and each.sha256}
    known = _look_up(context, hashes) if hashes else {}
    pairs: list[tuple[Named, Wish]] = []
    left: list[_Passed] = []
    for index, each in enumerate(named):
        where = known.get(each.sha256)
        if index in linked:
            link = each.link
        elif where is not None:
            link = (
                f"https://civitai.com/api/download/models/{where.version_id}?fileId={where.file_id}"
            )
        else:
            left.append(_Passed(named=each, why=_why_left(each)))
            continue
        try:
            (wish,) = wishes_of([link], [], Wording(), context.output)
            pairs.append((each, wish))
        except UserError as error:
            left.append(_Passed(named=each, why=error.message))
    found = _without_known(opened, pairs)
    found.left += left
    return found


def _leads_there(named: Named) -> bool:
    """Tell whether the link says which file it is; of a page without a version a hash says more."""
    try:
        target = parse_target(named.link)
    except (LinkError, ValueError):
        return False
    return target.version_id is not None or not named.sha256


def _why_left(named: Named) -> str:
    if named.sha256:
        return "Civitai has no file with this SHA-256"
    return "it has neither a link to Civitai nor a SHA-256"


def _without_known(opened: Opened, pairs: Iterable[tuple[Named, Wish]]) -> _Sorted:
    """Leave out what the manifest, or the list itself, has already.

    Files of one version that the list names one by one become one entry.
    """
    known = {identity_of(e): (f"in {e.place}", e) for e in opened.manifest.entries}
    found = _Sorted(wishes=[], skipped=[], left=[])
    added: dict[str, int] = {}
    for named, wish in pairs:
        identity = identity_of(wish.entry)
        where, entry = known.get(identity, ("", None))
        if entry is None:
            added[identity] = len(found.wishes)
            known[identity] = (f"in line {named.line}", wish.entry)
            found.wishes.append(wish)
        elif set(wish.entry.request.selectors) <= set(entry.request.selectors):
            found.skipped.append(_Passed(named=named, why=f"listed already, {where}"))
        elif identity in added and entry.request.selectors:
            both = with_files_of(found.wishes[added[identity]], wish)
            found.wishes[added[identity]] = both
            known[identity] = (where, both.entry)
        else:
            why = f"other files of this version are asked for {where}; name it there, under `files`"
            found.left.append(_Passed(named=named, why=why))
    return found


def _look_up(context: Context, sha256s: Iterable[str]) -> Mapping[str, Whereabouts]:
    import anyio

    from civsync.cli.progress import choose_display
    from civsync.cli.wiring import open_source_of
    from civsync.engine.resolving import converse

    async def work() -> Mapping[str, Whereabouts]:
        with choose_display(context.output) as display:
            async with open_source_of(context, display) as source:
                return await converse(find_by_hash(sha256s), source, display, entries=0)

    return anyio.run(work)


def _tell(context: Context, opened: Opened, found: _Sorted, name: str) -> None:
    output = context.output
    manifest = opened.project.manifest
    if output.choice.json:
        body = {
            "manifest": str(manifest),
            "written": bool(found.wishes),
            "entries": [wish.entry.key for wish in found.wishes],
            "skipped": [_document(each) for each in found.skipped],
            "left": [_document(each) for each in found.left],
        }
        output.document("civsync.import", body)
        return
    for each in found.skipped:
        output.talk(f"{show(name)}:{each.named.line}: {show(each.named.name)}: {show(each.why)}")
    for each in found.left:
        output.warn(
            f"{show(name)}:{each.named.line}: {show(each.named.name)} was not added: {each.why}"
        )
    count = count_text(len(found.wishes), "entry")
    if found.wishes:
        output.talk(f"Added {count} to {show(manifest.name)}; now run `civsync lock`.")
    else:
        output.talk(f"Nothing was added to {show(manifest.name)}.")


def _document(each: _Passed) -> dict[str, object]:
    return {"name": each.named.name, "line": each.named.line, "why": each.why}
