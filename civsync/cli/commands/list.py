"""`civsync list`: what is locked, with sizes; or why one file is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from civsync.cli.documents import load_lock, load_manifest
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import Output, count_text, show, size_text
from civsync.cli.project import Project, find_project
from civsync.cli.roots import Located, locate
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, UserError
from civsync.core.lock import Lock, LockedEntry, LockedFile, RootedFile
from civsync.core.request import Entry, Manifest
from civsync.core.roots import Roots


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--sort",
    type=click.Choice(["path", "size"]),
    default="path",
    show_default=True,
    help="Order of the files.",
)
@common_options
@pass_context
def command(context: Context, *, paths: tuple[str, ...], sort: str) -> None:
    """List the locked files with their sizes, models and versions.

    For each PATH of a file, below the root or as it lies on disk, say which entry wants it
    and why this file was chosen.
    """
    project = find_project(context.settings)
    lock = load_lock(project)
    output = context.output
    if paths:
        manifest = _manifest(project)
        located = _located(context, project, manifest)
        named = [_find(lock, located, path) for path in paths]
        if output.choice.json:
            files = [_why(*pair) for found in named for pair in found]
            output.document("civsync.list", {"files": files})
            return
        asked = {entry.key: entry for entry in manifest.entries} if manifest else {}
        for line in _explain(named, asked, output):
            output.data(line)
        return
    if output.choice.json:
        output.document("civsync.list", {"files": [_brief(*pair) for pair in lock.files()]})
        return
    for line in _lines(lock, sort, output):
        output.data(line)


Found = list[tuple[LockedEntry, LockedFile]]
"""The entries that want a file, with the file as each has it."""


def _manifest(project: Project) -> Manifest | None:
    """Return the manifest; one that is missing or wrong explains nothing, and is no fault."""
    try:
        return load_manifest(project)
    except UserError:
        return None


def _located(context: Context, project: Project, manifest: Manifest | None) -> Sequence[Located]:
    """Return the roots, none where they cannot be known."""
    try:
        return locate(context.settings, project, manifest.roots if manifest else Roots())
    except CivsyncError:
        return ()


def _find(lock: Lock, located: Sequence[Located], path: str) -> Found:
    """Return who wants the file at `path`. Raises UserError usage if nobody does."""
    from civsync.documents.hints import did_you_mean

    below = {each.name: _below(each.path, path) for each in located}
    found = [
        (entry, file)
        for entry, file in lock.files()
        if any(place in (path, below.get(root)) for root, place in file.places.items())
    ]
    if not found:
        known = [place for _, file in lock.files() for place in file.places.values()]
        hint = did_you_mean(path, known) or "Run `civsync list` to see all paths."
        raise UserError(Code.USAGE, f"no locked file has the path {path!r}", hint=hint)
    return found


def _below(root: Path, path: str) -> str:
    """Return a path on disk as the lock writes it, "" for one that is not below the root."""
    try:
        return Path(path).absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        return ""


def _explain(named: list[Found], asked: Mapping[str, Entry], output: Output) -> Iterator[str]:
    from civsync.cli.why_text import file_lines, why_lines

    for index, found in enumerate(named):
        if index:
            yield ""
        yield from file_lines(found[0][1], output)
        for entry, file in found:
            yield from why_lines(entry, file, asked.get(entry.key), output)


def _brief(entry: LockedEntry, file: LockedFile) -> dict[str, object]:
    return {
        "path": file.path,
        **({"paths": dict(file.paths)} if isinstance(file, RootedFile) else {}),
        "size": file.size,
        "sha256": file.sha256,
        "entry": entry.key,
        "model_id": file.model_id,
        "version_id": file.version_id,
        "file_id": file.file_id,
        "model": file.model,
        "version": file.version,
        "gone": entry.gone,
    }


def _why(entry: LockedEntry, file: LockedFile) -> dict[str, object]:
    return {
        **_brief(entry, file),
        "request": dict(entry.request),
        "groups": list(entry.groups),
        "waiting": [
            {"version_id": each.version_id, "version": each.version, "until": each.until}
            for each in entry.waiting
        ],
        "hashes": dict(file.hashes),
        "license": file.license,
        "base_model": file.base_model,
        "published_at": file.published_at,
        "creator": file.creator,
        "type": file.type,
        "format": file.format,
    }


def _lines(lock: Lock, sort: str, output: Output) -> Iterable[str]:
    gone = {file.path for entry, file in lock.files() if entry.gone}
    files = lock.by_path()
    rows = [
        (
            f"{root}: {place}" if root else place,
            file.size,
            show(f"{file.model} · {file.version}")
            + ("  (gone from Civitai)" if path in gone else ""),
        )
        for path, file in files.items()
        for root, place in file.places.items()
    ]
    rows.sort(key=lambda row: (-row[1], row[0]) if sort == "size" else (0, row[0]))
    width = min(72, max((len(show(path)) for path, _, _ in rows), default=0))
    for path, size, origin in rows:
        dim = output.paint(origin, "dim", to_stdout=True)
        yield f"{size_text(size):>10}  {show(path):<{width}}  {dim}"
    total = sum(file.size for file in files.values())
    each = f", in each of {count_text(len(lock.roots), 'root')}" if lock.roots else ""
    yield f"{size_text(total):>10}  {count_text(len(files), 'file')}{each}"
