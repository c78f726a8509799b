"""Change the manifest for a command: read it, edit it, and write it with its lock, or neither.

Nothing is written before everything that the edit leads to is known. The manifest gets its
name before the lock: cut between the two, the lock is merely stale, and the next sync goes on.
"""

import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, cast

import click

from civsync.cli.documents import parse_lock, parse_manifest
from civsync.cli.options import Context
from civsync.cli.output import Output, show
from civsync.cli.project import Project, find_project
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError
from civsync.core.lock import Lock
from civsync.core.request import Entry, Manifest
from civsync.core.values import dataclass
from civsync.disk.beneath import Beneath
from civsync.disk.durable import staged, write_whole
from civsync.disk.faults import faults_of
from civsync.documents.manifest_edit import Section, Spot, UneditableError

_SPOT: Final = re.compile(r"(models|searches)\[([0-9]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The documents of a project as they were read, before an edit. `old_lock` may be missing."""

    project: Project
    data: bytes
    manifest: Manifest
    lock_data: bytes | None

    @property
    def text(self) -> str:
        """The manifest's text, its byte order mark and line breaks as they are."""
        return self.data.decode("utf-8")

    def reread(self, data: bytes) -> Manifest:
        """Return what the manifest will be with the text `data`. Raises DocumentError."""
        return parse_manifest(self.project, data)

    @property
    def lock(self) -> Lock | None:
        """The lock, if there is one. Raises DocumentError."""
        if self.lock_data is None:
            return None
        return parse_lock(self.project, self.lock_data, closely=True)


def open_documents(context: Context) -> Opened:
    """Read manifest and lock. Raises UserError manifest-missing, DocumentError."""
    project = find_project(context.settings)
    data = read_bytes(project.manifest)
    manifest = parse_manifest(project, data)
    return Opened(
        project=project,
        data=data or b"",
        manifest=manifest,
        lock_data=read_bytes(project.lock),
    )


def spot_of(opened: Opened, entry: Entry) -> Spot:
    """Return where an entry stands in the manifest. Raises UserError if another one has it."""
    found = _SPOT.fullmatch(entry.place.key)
    own = opened.project.manifest.name
    if entry.place.document != own or found is None:
        raise UserError(
            Code.USAGE,
            f"{entry.key} stands in {entry.place.document}, which {own} includes",
            place=entry.place,
            hint=f"Edit {entry.place.document} itself; other manifests may include it too.",
        )
    return Spot(section=cast("Section", found[1]), index=int(found[2]))


def edited(opened: Opened, output: Output, edit: Callable[[str], str]) -> bytes:
    """Return the manifest's new text.

    Raises SafetyError uneditable; the lines to write by hand were printed then.
    """
    try:
        return edit(opened.text).encode("utf-8")
    except UneditableError as error:
        name = opened.project.manifest.name
        where = f"{name}:{error.line}" if error.line else name
        if not output.choice.json:
            for line in error.lines:
                output.data(show(line))
        raise SafetyError(
            Code.UNEDITABLE,
            f"the manifest is written in a way that cannot be edited safely here: {error}",
            subject=where,
            data={"line": error.line, "lines": "\n".join(error.lines)},
        ) from None


def store(opened: Opened, data: bytes, lock_data: bytes | None = None) -> None:
    """Write the manifest and, unless it is None, the lock.

    Raises DiskError, and UserError if one of them is not any more what was read; then
    neither is changed.
    """
    project = opened.project
    for path, before in ((project.manifest, opened.data), (project.lock, opened.lock_data)):
        if read_bytes(path) != before:
            raise UserError(
                Code.USAGE,
                "it was changed by somebody else in the meantime, so nothing was written",
                subject=str(path),
                hint="Look at the change, then run the same command again.",
            )
    with ExitStack() as stack:
        publish_lock = None
        if lock_data is not None:
            target = _real(project.lock)
            stack.enter_context(faults_of("write", str(project.lock)))
            folder = stack.enter_context(Beneath(str(target.parent)).folder(""))
            publish_lock = stack.enter_context(staged(folder, target.name, lock_data))
        target = _real(project.manifest)
        with (
            faults_of("write", str(project.manifest)),
            Beneath(str(target.parent)).folder("") as folder,
        ):
            mode = stat.S_IMODE(target.stat().st_mode)
            write_whole(folder, target.name, data, mode=mode)
        if publish_lock is not None:
            publish_lock()


def _real(path: Path) -> Path:
    """Return the file itself where `path` is a link to it: the link stays."""
    return Path(os.path.realpath(path))


def edit_document(
    opened: Opened, command: str, entries: Sequence[str], *, written: bool
) -> dict[str, object]:
    """Return what every command that edits says with --json."""
    return {
        "command": command,
        "manifest": str(opened.project.manifest),
        "written": written,
        "entries": list(entries),
    }


def then_sync(groups: Sequence[str] = ()) -> int:
    """Do what `civsync sync` does, with its variables; return its exit status.

    `groups` are selected besides those that a plain sync selects.
    """
    from civsync.cli.commands import sync

    context = click.get_current_context()
    words = [f"--group={group}" for group in groups]
    with sync.command.make_context("sync", words, parent=context.parent) as inner:
        status = sync.command.invoke(inner)
    return status if isinstance(status, int) else 0
