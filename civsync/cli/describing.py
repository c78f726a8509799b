"""Work out a manifest and a lock that hold for a folder as it is. Nothing is written here."""

from collections.abc import Iterable, Sequence

from civsync.cli.locking import Locking, bring_up_to_date
from civsync.cli.options import Context
from civsync.cli.output import size_text
from civsync.cli.project import Project
from civsync.cli.wiring import Disk
from civsync.core.codes import Code
from civsync.core.disk import Inventory, Receipt, Regular, Stamp
from civsync.core.errors import CivsyncError, UserError
from civsync.core.limits import MANIFEST_BYTES
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Keep, Protected, Release, Retire, Satisfied
from civsync.core.values import dataclass
from civsync.decide.arrange import Arrangement, Described, arrange
from civsync.decide.identify import Fate, Found, Left, Match
from civsync.documents.layout_tables import ROOT_OF
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_writing import write_manifest
from civsync.engine.world import World, conclude, survey

_GONE = frozenset({Code.UNKNOWN_MODEL, Code.UNKNOWN_VERSION, Code.GONE})
"""Failures that mean that Civitai does not have something, rather than that it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What shall be written, about which folder.

    `root` is what the manifest says; `elsewhere` that it cannot lead to the folder.
    `schema_file` is the name of the schema beside the manifest.
    """

    project: Project
    disk: Disk
    root: str
    elsewhere: bool
    schema_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The contents of a folder: SHA-256 and stamp of each file.

    `fresh` are those that were read just now, as `conclude` takes them; `left` could not be.
    """

    receipt: Receipt
    sha256s: dict[SafePath, str]
    stamps: dict[SafePath, Stamp]
    fresh: dict[SafePath, tuple[str, str, Stamp]]
    left: tuple[Left, ...] = ()

    def files(self) -> Iterable[Found]:
        """Yield what was read."""
        for path, sha256 in self.sha256s.items():
            yield Found(path=path, size=self.stamps[path].size, sha256=sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A manifest and a lock, and the world in which they are true."""

    text: str
    arrangement: Arrangement
    locking: Locking
    world: World
    left: tuple[Left, ...] = ()


def describe(
    context: Context, aim: Aim, reading: Reading, matches: Sequence[Match], layout: str | None
) -> Description:
    """Return documents that hold for the disk as it is, for as many of `matches` as can be.

    What cannot be locked, or would not be locked where it lies, is left out, and the rest is
    worked out again. Raises RegistryError or WireError where Civitai gave no answer.
    """
    left: list[Left] = []
    previous: Lock | None = None
    while True:
        arrangement = arrange(matches, layout)
        layout = arrangement.layout
        text = _manifest_text(aim, arrangement)
        manifest = read_manifest(text, name=aim.project.manifest.name)
        locking = bring_up_to_date(context, manifest, previous)
        if locking.failures:
            dropped = list(_refused(arrangement, locking))
        else:
            previous = locking.lock
            inventory, _ = survey(previous, aim.disk.store, reading.receipt)
            fresh = {path: reading.fresh[path] for path in inventory if path in reading.fresh}
            world = conclude(previous, inventory, reading.receipt, fresh, None)
            dropped = list(_misplaced(arrangement, previous)) or list(
                _changed(reading, inventory, world)
            )
            if not dropped:
                return Description(
                    text=text,
                    arrangement=arrangement,
                    locking=locking,
                    world=world,
                    left=(*left, *arrangement.left),
                )
        left.extend(dropped)
        gone = {each.path for each in dropped}
        matches = [match for match in matches if match.found.path not in gone]


def _manifest_text(aim: Aim, arrangement: Arrangement) -> str:
    about = f"Where files go, below this folder: {ROOT_OF[arrangement.layout]}"
    if aim.elsewhere:
        about = "The files lie elsewhere: name their folder with --root or CIVSYNC_ROOT."
    text = write_manifest(
        ((entry.title, entry.item()) for entry in arrangement.entries),
        root=aim.root,
        layout=arrangement.layout,
        schema=f"./{aim.schema_file}",
        about_root=about,
    )
    if len(text.encode()) > MANIFEST_BYTES:
        raise UserError(
            Code.USAGE,
            f"the manifest would be larger than {size_text(MANIFEST_BYTES)}",
            hint="Describe the folders below it one by one.",
        )
    return text


def _refused(arrangement: Arrangement, locking: Locking) -> Iterable[Left]:
    """Yield the files that could not be locked: one, where the failure names it."""
    described = {f"{each.model.id}@{each.version.id}": each for each in arrangement.entries}
    for entry, error in locking.failures:
        for match in _at_fault(described[entry.key], error):
            fate = Fate.UNKNOWN if error.code in _GONE else Fate.REFUSED
            yield match.found.left(fate, str(error.code), error.message)


def _at_fault(entry: Described, error: CivsyncError) -> Sequence[Match]:
    file_id = error.data.get("file_id")
    return [match for match in entry.matches if match.file.id == file_id] or entry.matches


def _misplaced(arrangement: Arrangement, lock: Lock) -> Iterable[Left]:
    """Yield the files that the lock would have elsewhere, or as something else."""
    locked = {(file.version_id, file.file_id): file for _, file in lock.files()}
    for entry in arrangement.entries:
        for match in entry.matches:
            found, file = match.found, locked.get((match.version.id, match.file.id))
            if file is None or (file.path, file.sha256) != (found.path, found.sha256):
                where = "nowhere" if file is None else f"at {file.path}"
                reason = f"by the rules of civsync it would lie {where}"
                yield found.left(Fate.SKIPPED, "unplaceable", reason)


def _changed(reading: Reading, inventory: Inventory, world: World) -> Iterable[Left]:
    """Yield the files that are not any more what was read."""
    for action in world.plan.actions:
        if isinstance(action, Retire | Release | Protected):
            continue
        path = action.want.path
        sight = inventory.get(path)
        same = isinstance(sight, Regular) and sight.stamp == reading.stamps[path]
        if not same or not isinstance(action, Keep | Satisfied):
            reason = "it was changed while it was looked at"
            yield Left(path=path, fate=Fate.SKIPPED, code="changed", reason=reason)
