"""What `civsync verify` finds, as errors and as text."""

from collections.abc import Mapping
from dataclasses import field

from civsync.cli.groups import unselected_text
from civsync.cli.output import (
    Output,
    count_text,
    duration_text,
    error_document,
    show,
    size_text,
)
from civsync.core.codes import Code
from civsync.core.disk import Absent, Regular, Sight
from civsync.core.errors import CivsyncError, IntegrityError, exit_of
from civsync.core.exits import ExitCode
from civsync.core.groups import Unselected
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Blocked, Want
from civsync.core.values import dataclass
from civsync.decide.mending import Mend, mendable
from civsync.decide.plan import wanted_files
from civsync.engine.world import World

_REPAIR = "Run `civsync verify --repair`: it keeps the damaged file and fetches the right one."
_SYNC = "Run `civsync sync`."
_FOREIGN = "It is none of civsync's: move it away, then run `civsync sync`."
_UNREADABLE = "Make it readable for this user, then run `civsync verify` again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did: paths that are whole again, and what of them lies in quarantine."""

    paths: tuple[SafePath, ...] = ()
    kept: Mapping[SafePath, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """A receipt that was made anew: how many files it owns, and how that differs from before.

    `kept` is where the damaged one is.
    """

    owned: int
    taken: tuple[SafePath, ...] = ()
    released: tuple[SafePath, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How many files are locked, what is wrong with which, and what of that can be mended."""

    files: int
    read: int
    """Bytes of the files that are there."""
    faults: Mapping[SafePath, CivsyncError]
    mends: Mapping[SafePath, Mend] = field(default_factory=dict)
    unselected: Unselected = field(default_factory=Unselected)

    @property
    def exit(self) -> ExitCode:
        """The exit status."""
        return exit_of(self.faults.values())


def find_faults(lock: Lock, world: World) -> Finding:
    """Hold what was seen against the lock."""
    wants = wanted_files(lock)
    mends = mendable(wants, world.inventory, world.receipt, world.unread)
    blocked = {
        action.want.path: action.error
        for action in world.plan.actions
        if isinstance(action, Blocked)
    }
    faults: dict[SafePath, CivsyncError] = {}
    for path, want in wants.items():
        sight = world.inventory.get(path, Absent())
        if path in world.unread:
            hint = _REPAIR if path in mends else _UNREADABLE
            faults[path] = _unread(world.unread[path], hint)
            continue
        hint = _REPAIR if path in mends else _SYNC if path in world.receipt.owned else _FOREIGN
        error = _fault(want, sight, blocked.get(path), hint)
        if error is not None:
            faults[path] = error
    # The inventory also holds what is not selected, which was looked at and not read.
    sights = (world.inventory.get(path) for path in wants)
    return Finding(
        files=len(wants),
        read=sum(sight.stamp.size for sight in sights if isinstance(sight, Regular)),
        faults=faults,
        mends=mends,
        unselected=world.plan.unselected,
    )


def _fault(
    want: Want, sight: Sight, blocked: CivsyncError | None, hint: str
) -> CivsyncError | None:
    match sight:
        case Regular(sha256=sha256) if sha256 == want.file.sha256:
            return None
        case Absent():
            return IntegrityError(Code.DIFFERS, "missing", subject=want.path, hint=_SYNC)
        case Regular(stamp=stamp, sha256=sha256):
            held = f"SHA-256 {sha256}" if sha256 else f"{stamp.size} bytes"
            return IntegrityError(
                Code.DIFFERS,
                f"has {held}, the lock says {want.file.sha256} ({want.file.size} bytes)",
                subject=want.path,
                hint=hint,
                data={"expected": want.file.sha256, "found": sha256, "size": stamp.size},
            )
        case _:
            return blocked


def _unread(error: CivsyncError, hint: str) -> CivsyncError:
    return IntegrityError(
        Code.DIFFERS,
        f"nothing is known of its content: {error.message}",
        subject=error.subject,
        hint=hint,
        data=error.data,
    )


def tell(
    output: Output,
    finding: Finding,
    seconds: float,
    *,
    repaired: Repaired | None = None,
    rebuilt: NewReceipt | None = None,
) -> None:
    """Say it, as text or as one document."""
    if output.choice.json:
        output.document("civsync.verify", _document(finding, repaired, rebuilt))
        return
    if repaired is not None:
        _list(output, "repaired", "green", repaired.paths)
    if rebuilt is not None:
        _list(output, "taken over", "green", rebuilt.taken)
        _list(output, "released", "yellow", rebuilt.released)
    count, faults = finding.files, finding.faults
    label = output.paint("differs", "red", to_stdout=True)
    for path, error in faults.items():
        output.data(f"{label}  {show(path)}: {show(error.message)}")
    right = f"{count - len(faults):,} of {count_text(count, 'file')} as locked"
    output.talk(f"{right}, {size_text(finding.read)} in {duration_text(seconds)}")
    if finding.unselected.files:
        output.talk(unselected_text(finding.unselected))
    if rebuilt is not None:
        kept = f"; the old one is kept as {', '.join(rebuilt.kept)}" if rebuilt.kept else ""
        output.talk(f"Wrote a receipt of {count_text(rebuilt.owned, 'file')}{kept}")
    _advise(output, finding, repaired)


def _list(output: Output, label: str, color: str, paths: tuple[SafePath, ...]) -> None:
    label = output.paint(label, color, to_stdout=True)
    for path in paths:
        output.data(f"{label}  {show(path)}")


def _advise(output: Output, finding: Finding, repaired: Repaired | None) -> None:
    faults, mends = finding.faults, finding.mends
    if repaired is not None:
        for hint in dict.fromkeys(error.hint for error in faults.values()):
            output.hint(hint)
        return
    if any(path in mends for path in faults):
        output.talk(
            "Run `civsync verify --repair`: it keeps what is damaged in quarantine, and gets the"
            " right files again."
        )
    if any(path not in mends or mends[path].stamp is None for path in faults):
        output.talk("Run `civsync sync`: it fetches what is missing and says what stops the rest.")


def _document(
    finding: Finding, repaired: Repaired | None, rebuilt: NewReceipt | None
) -> dict[str, object]:
    document: dict[str, object] = {
        "files": finding.files,
        "right": finding.files - len(finding.faults),
        "faults": [
            {"path": path, "error": error_document(error)} for path, error in finding.faults.items()
        ],
        "unselected": finding.unselected.files,
    }
    if repaired is not None:
        document["repaired"] = [
            {"path": path, "kept_at": repaired.kept.get(path)} for path in repaired.paths
        ]
    if rebuilt is not None:
        document["receipt"] = {
            "owned": rebuilt.owned,
            "taken": list(rebuilt.taken),
            "released": list(rebuilt.released),
            "kept_at": list(rebuilt.kept),
        }
    return document
