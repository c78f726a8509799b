"""What `civsync init --from` does: describe a folder of models exactly as it is.

Files are read and Civitai is asked; then manifest and lock are worked out in memory and
held against the disk. Only if that changes nothing at all are they written. No file of the
folder is downloaded, moved or owned.
"""

import contextlib
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import anyio

from civsync.cli.describing import Aim, Description, Reading, describe
from civsync.cli.identified_text import Report, tell
from civsync.cli.options import Context
from civsync.cli.output import count_text, show, size_text
from civsync.cli.progress import choose_display
from civsync.cli.project import Project, find_project
from civsync.cli.settings import MANIFEST, Settings, find_root, given_root
from civsync.cli.wiring import Disk, open_disk, open_source_of
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, SafetyError, UserError
from civsync.core.problems import DocumentError
from civsync.core.roots import DEFAULT_ROOT
from civsync.core.values import dataclass
from civsync.decide.identify import Fate, Identified, Left, identify, is_model_name
from civsync.decide.plan import recognize
from civsync.disk.beneath import Beneath
from civsync.disk.durable import staged
from civsync.disk.faults import faults_of
from civsync.disk.gathering import Gathered, gather
from civsync.disk.lockfile import hold_root
from civsync.documents.layouts import DEFAULT_LAYOUT
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_writing import write_manifest
from civsync.documents.schema_files import schema_text
from civsync.engine.resolving import converse
from civsync.engine.world import World, hash_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the flags of `init --from` said. `layout` None means to find out."""

    folder: Path
    layout: str | None
    force: bool
    jobs: int
    schema_file: str


def describe_folder(context: Context, wishes: Wishes) -> None:
    """Write a manifest and a lock that describe a folder as it is, and say what they leave out.

    Raises UserError usage for a folder or a manifest that will not do; WireError and
    RegistryError where Civitai gave no answer; DiskError. Then nothing was written.
    """
    aim = _aim(context.settings, wishes)
    _refuse_documents(aim, wishes)
    gathered = gather(aim.disk.root.beneath, is_model_name)
    if not gathered.sizes:
        raise UserError(
            Code.USAGE,
            "no file of a model lies in this folder",
            subject=show(str(wishes.folder)),
            hint="Name the folder that holds your models.",
        )
    reading = _read(context, aim.disk, gathered, wishes.jobs)
    identified = _identify(context, reading)
    description = describe(context, aim, reading, identified.matches, wishes.layout)
    _refuse_documents(aim, wishes)
    _write(aim, description)
    kept = _remember(aim.disk, description.world)
    passed = [
        Left(path=each.path, fate=Fate.SKIPPED, code=each.code, reason=each.reason)
        for each in gathered.passed
    ]
    left = sorted(
        [*passed, *reading.left, *identified.left, *description.left], key=lambda each: each.path
    )
    report = Report(
        manifest=aim.project.manifest,
        lock=aim.project.lock,
        root=aim.disk.root.path,
        elsewhere=aim.elsewhere,
        arrangement=description.arrangement,
        left=tuple(left),
        ignored=gathered.ignored,
        remembered=kept,
        retiring=len(description.world.plan.retires),
    )
    tell(context.output, report)


def _aim(settings: Settings, wishes: Wishes) -> Aim:
    folder = wishes.folder
    if not folder.is_dir():
        raise UserError(
            Code.USAGE,
            "there is no such folder",
            subject=show(str(folder)),
            hint="Name the folder that holds your models.",
        )
    project = find_project(settings._replace(manifest=settings.manifest or Path(MANIFEST)))
    real = folder.resolve()
    if settings.roots and Path(given_root(settings.roots[-1])).resolve() != real:
        raise UserError(
            Code.USAGE,
            f"--from {show(str(folder))} and --root {show(settings.roots[-1])} are two folders",
            hint="The folder that is described is the root: leave out --root.",
        )
    root = _root_text(project, real)
    named = None
    with contextlib.suppress(SafetyError):  # the default root may lead out of the folder
        named = Path(
            find_root(settings._replace(roots=()), project.folder, root or DEFAULT_ROOT)
        ).resolve()
    return Aim(
        project=project,
        # Naming the folder is the user's word that it is the right one.
        disk=open_disk(real, settings, accept_new=True),
        root=root or DEFAULT_ROOT,
        elsewhere=named != real,
        schema_file=wishes.schema_file,
    )


def _root_text(project: Project, folder: Path) -> str:
    """Return how a manifest names `folder` as its root, "" if it cannot."""
    base = project.folder.resolve()
    if not folder.is_relative_to(base):
        return ""
    text = folder.relative_to(base).as_posix()
    manifest = write_manifest((), root=text, layout=DEFAULT_LAYOUT, schema="", about_root="")
    try:
        return text if read_manifest(manifest).root == text else ""
    except DocumentError:
        return ""


def _refuse_documents(aim: Aim, wishes: Wishes) -> None:
    """Refuse what could not be written in the end, before hours of reading and after them."""
    for path, what in ((aim.project.manifest, "manifest"), (aim.project.lock, "lock")):
        if path.exists() and not wishes.force:
            raise UserError(
                Code.USAGE, f"there is a {what} already", subject=str(path), hint="Use --force."
            )
        if not os.access(path.resolve().parent, os.W_OK):
            raise UserError(
                Code.USAGE,
                f"the {what} cannot be written: its folder is not there, or not yours to write to",
                subject=str(path),
                hint="Name another place with --manifest or --lock.",
            )


# --- reading ------------------------------------------------------------------------------


def _read(context: Context, disk: Disk, gathered: Gathered, jobs: int) -> Reading:
    """Read what is not known by its stamp already."""
    receipt = disk.ledger.read()
    inventory = disk.store.survey(gathered.sizes)
    known = {
        path: sight
        for path, sight in recognize(inventory, receipt).items()
        if sight is not None and sight.sha256 is not None
    }
    unread = [path for path in gathered.sizes if path not in known]
    if unread:
        size = size_text(sum(gathered.sizes[path] for path in unread))
        files = count_text(len(unread), "file")
        context.output.talk(f"Reading {files} ({size}) to know their SHA-256")
    with choose_display(context.output) as display:
        fresh = hash_files(unread, disk.store, display, jobs=jobs)
    return Reading(
        receipt=receipt,
        sha256s={path: sight.sha256 or "" for path, sight in known.items()}
        | {path: sha256 for path, (sha256, _, _) in fresh.items()},
        stamps={path: sight.stamp for path, sight in known.items()}
        | {path: stamp for path, (_, _, stamp) in fresh.items()},
        fresh=fresh,
        left=tuple(
            Left(path=path, fate=Fate.SKIPPED, code="unreadable", reason="it could not be read")
            for path in unread
            if path not in fresh
        ),
    )


def _identify(context: Context, reading: Reading) -> Identified:
    async def work() -> Identified:
        with choose_display(context.output) as display:
            async with open_source_of(context, display) as source:
                asking = identify(reading.files())
                return await converse(asking, source, display, entries=len(reading.sha256s))

    return anyio.run(work)


# --- writing ------------------------------------------------------------------------------


def _write(aim: Aim, description: Description) -> None:
    """Give manifest, schema and lock their names once all three are on the medium."""
    manifest = aim.project.manifest
    documents = (
        (manifest.with_name(aim.schema_file), schema_text("manifest").encode()),
        (manifest, description.text.encode()),
        (aim.project.lock, description.locking.data),
    )
    with ExitStack() as stack:
        publish = []
        for path, data in documents:
            target = path.resolve()
            stack.enter_context(faults_of("write", str(path)))
            folder = stack.enter_context(Beneath(str(target.parent)).folder(""))
            publish.append(stack.enter_context(staged(folder, target.name, data)))
        for each in publish:
            each()


def _remember(disk: Disk, world: World) -> bool:
    """Keep what the files were found to be, so that the next look need not read them again.

    They are not owned for that. A root that cannot be written is no failure.
    """
    with contextlib.suppress(CivsyncError):
        receipt = replace(world.receipt, root_id=disk.root.establish())
        with hold_root(disk.root, command="civsync init"):
            disk.ledger.commit(receipt)
        return True
    return False
