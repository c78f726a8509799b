"""Read the lock for a run that may write it: conflict markers are input, not an end.

Runs that only follow the lock read it as it is, and refuse what is no lock.
"""

from collections.abc import Callable

from civsync.cli.output import Output, show
from civsync.cli.project import Project
from civsync.core.codes import Code
from civsync.core.lock import Lock
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.request import Entry, Manifest
from civsync.core.values import dataclass
from civsync.decide.unite import unite
from civsync.documents.lock import read_lock, write_lock
from civsync.documents.lock_conflict import TAKE_ONE_SIDE, Sides, split_conflict

Upgrade = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """What the text beside the manifest holds; `lock` is None where there is none.

    With conflict markers it is both sides, united. `rewrite` says that the text has to be
    written again although the lock may stay as it is.
    """

    lock: Lock | None = None
    clashes: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    rewrite: bool = False

    def clashes_in(self, manifest: Manifest) -> frozenset[str]:
        """Return the keys of clashing entries that the manifest wants."""
        return self.clashes & {entry.key for entry in manifest.entries}

    def believed(self, manifest: Manifest) -> Lock | None:
        """Return the lock without the entries that no side's text can be believed about.

        A held one stays as we had it.
        """
        held = {entry.key for entry in manifest.entries if entry.hold is not None}
        doubtful = self.unsure - held
        if self.lock is None or not doubtful:
            return self.lock
        return Lock(entries=tuple(e for e in self.lock.entries if e.key not in doubtful))


def find_lock(project: Project, data: bytes | None, *, canonical: bool = False) -> FoundLock:
    """Return the lock that was read as `data`, both sides of a conflict united.

    With `canonical` any text but the one that would be written is to be rewritten: other
    ends of line, an older format. Raises DocumentError.
    """
    if data is None:
        return FoundLock()
    name = project.lock.name
    sides = split_conflict(data, name=name)
    if sides is None:
        lock = read_lock(data, name=name, apart=False)
        if len({entry.key for entry in lock.entries}) == len(lock.entries):
            return FoundLock(lock=lock, rewrite=canonical and write_lock(lock) != data)
        united = unite(lock, lock)
    else:
        united = unite(
            _side(sides.ours, "our", sides, name), _side(sides.theirs, "their", sides, name)
        )
    return FoundLock(lock=united.lock, clashes=united.clashes, unsure=united.unsure, rewrite=True)


def tell_clashes(output: Output, found: FoundLock, manifest: Manifest) -> None:
    """Say which entries both sides of a merge changed, and what becomes of them."""
    for entry in manifest.entries:
        if entry.key in found.clashes:
            what = "held, so ours stays" if entry.hold is not None else "resolved anew"
            output.talk(f"Both sides changed {show(entry.key)}: {what}")


def _side(text: bytes, whose: str, sides: Sides, name: str) -> Lock:
    try:
        return read_lock(text, name=name, apart=False)
    except DocumentError as error:
        first = error.problems[0]
        problem = Problem(
            code=Code.LOCK_CONFLICT,
            message=f"{whose} side of the conflict is no lock: {first.message}",
            place=Place(document=name, line=sides.line, key=first.place.key),
            hint=TAKE_ONE_SIDE,
        )
        raise DocumentError([problem]) from None
