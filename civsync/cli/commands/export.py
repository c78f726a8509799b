"""`civsync export`: the lock in a form that another program reads."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from civsync.cli.documents import load_lock
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import count_text, show
from civsync.cli.project import Project, find_project
from civsync.cli.settings import find_api_url
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import Lock
from civsync.documents.hints import listed

FORMATS = ("urls", "sha256sums", "cyclonedx", "comfy-lock")


@click.command()
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    required=True,
    help="What to write.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, not to standard output.",
)
@common_options
@pass_context
def command(context: Context, *, style: str, target: Path | None) -> None:
    """Print the lock for other programs.

    urls: one download address a line, without any key. sha256sums: for `sha256sum -c` from
    within the root. cyclonedx: a bill of materials, CycloneDX 1.6. comfy-lock: the `models`
    block of a comfy-lock.yaml.
    """
    project = find_project(context.settings)
    lock = load_lock(project)
    if style != "urls":
        lock = lock.below(_root(lock, context.settings.roots))
    text = _text(lock, style, find_api_url(context.settings))
    unhashed = [file.path for _, file in lock.files() if not file.sha256]
    if unhashed and style == "sha256sums":
        count = count_text(len(unhashed), "file")
        context.output.warn(f"{count} without a known SHA-256 left out: {show(unhashed[0])}, …")
    if target is None or str(target) == "-":
        context.output.data(text.removesuffix("\n"))
        return
    _write(project, target, text)
    context.output.talk(f"Wrote {show(str(target))}")


def _root(lock: Lock, words: Sequence[str]) -> str:
    """Return the root whose paths are meant, "" for the only one. Raises UserError usage."""
    names = lock.roots
    named = {word.partition("=")[0] for word in words}
    if not names:
        return ""
    if len(named) == 1 and named <= set(names):
        return named.pop()
    raise UserError(
        Code.USAGE,
        "this is written for one root, and the lock is for several",
        hint=f"Say which one with --root NAME. There are {listed(names)}.",
    )


def _text(lock: Lock, style: str, api_url: str) -> str:
    from civsync.documents.exports import comfy_lock_text, sha256sums_text, urls_text

    match style:
        case "urls":
            return urls_text(lock, api_url)
        case "sha256sums":
            return sha256sums_text(lock)
        case "comfy-lock":
            return comfy_lock_text(lock, api_url)
        case _:
            from civsync.documents.cyclonedx import cyclonedx_text

            return cyclonedx_text(lock, api_url)


def _write(project: Project, target: Path, text: str) -> None:
    """Write the file whole or not at all. Raises DiskError; UserError for our own documents."""
    from civsync.disk.beneath import Beneath
    from civsync.disk.durable import write_whole
    from civsync.disk.faults import faults_of

    place = Path(os.path.realpath(target))
    if place in {Path(os.path.realpath(own)) for own in (project.manifest, project.lock)}:
        raise UserError(
            Code.USAGE,
            "this is the project's own document",
            subject=str(target),
            hint="Name another file with -o.",
        )
    if not place.parent.is_dir():
        raise UserError(
            Code.USAGE,
            "there is no such folder to write into",
            subject=str(target),
            hint="Make the folder, or name another file with -o.",
        )
    with faults_of("write", str(target)), Beneath(str(place.parent)).folder("") as folder:
        write_whole(folder, place.name, text.encode("utf-8"))
