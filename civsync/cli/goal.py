"""Work out what a run aims at: the lock to follow and the roots to follow it in.

There is a goal for each root, and it has the lock as it is for that root alone: who carries
a goal out need not know of others.

An unchanged manifest is not even parsed: a note in the user's state directory says which
manifest and lock were found to agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.documents import load_head, lock_missing, parse_lock, parse_with_includes
from civsync.cli.options import Context
from civsync.cli.project import Project, find_project
from civsync.cli.roots import SOMEWHERE, Located, first_usable, locate, only, roots_in_manifest
from civsync.cli.settings import state_dir
from civsync.cli.texts import blake3_of_text, digests_of_includes, read_bytes, sha256_of_text
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.groups import GroupWishes
from civsync.core.limits import DEFAULT_JOBS
from civsync.core.lock import Lock
from civsync.core.roots import Roots
from civsync.core.values import dataclass
from civsync.disk.state import Memo, read_memo, write_memo
from civsync.documents.hints import listed

if TYPE_CHECKING:
    from civsync.core.request import Manifest


class Mode(Enum):
    """What may happen to a lock that the manifest has left behind."""

    UPDATE = "bring it up to date"
    LOCKED = "refuse"
    FROZEN = "do not even look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The lock to follow at one root, which; and whether the lock on disk is another one.

    `lines` say, for people, how lock and manifest differ where the mode lets them.
    `hashes_to_come` says that the real run would first record hashes that `lock` lacks.
    `lock_sha256` is of the text that `lock` was read from, "" where it is another one's.
    `default_groups` are the manifest's, None for all of them; `groups` are those that its
    entries are in, where it was read.
    """

    lock: Lock
    at: Located
    project: Project
    default_groups: tuple[str, ...] | None = ()
    groups: frozenset[str] = frozenset()
    lock_sha256: str = ""
    lock_changed: bool = False
    hashes_to_come: bool = False
    lines: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The directory of the root."""
        return self.at.path


class NotLockedError(Exception):
    """Entries could not be locked, and everything about it was said already."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What finding the goal may use.

    With `write` false a new lock is not written, nothing is downloaded to record its hash,
    and nothing is remembered; `new_root` is the user's word that the root is a new or
    another disk. A group that flags name and no entry has ends the run before anything is
    asked or written.
    """

    groups: GroupWishes = field(default_factory=GroupWishes)
    offline: bool = False
    write: bool = True
    new_root: bool = False
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """Manifest and lock as they were read, once; None for what is not there.

    `includes` are digests, by path from the manifest's folder; empty until it was parsed.
    """

    manifest: bytes | None
    lock: bytes | None
    includes: Mapping[str, str] = field(default_factory=dict)


def _read(project: Project) -> _Texts:
    return _Texts(manifest=read_bytes(project.manifest), lock=read_bytes(project.lock))


def find_goals(context: Context, mode: Mode, means: Means) -> tuple[Goal, ...]:
    """Return what the run aims at at each root, with the lock brought up to date if it may be.

    Raises UserError lock-missing, lock-stale, usage; SafetyError root-unusable;
    NotLockedError; DocumentError.
    """
    project = find_project(context.settings)
    if mode is Mode.FROZEN:
        return _frozen(context, project, means.groups)
    texts = _read(project)
    return _as_remembered(context, project, texts) or _compared(
        context, project, texts, mode, means
    )


def glance_at_lock(context: Context, *, ahead: bool = False) -> tuple[Goal, ...]:
    """Return the lock as it is and where it applies; `lines` say how the manifest differs.

    With `ahead` it is the lock that the next sync would follow (`lock_changed`), if that
    takes no more than placing or dropping files. Needs no network and changes nothing.
    Raises UserError lock-missing, lock-stale, usage; SafetyError root-unusable; DocumentError.
    """
    project = find_project(context.settings)
    texts = _read(project)
    goals = _as_remembered(context, project, texts)
    if goals is not None:
        return goals
    lock = parse_lock(project, texts.lock)
    if texts.manifest is None:
        located = locate(context.settings, project, _roots_of(lock))
        return _by_root(located, Goal(lock=lock, at=located[0], project=project))
    from civsync.cli.locking import bring_up_to_date, explain_stale, find_stale
    from civsync.decide.stale import needs_network

    manifest, includes = parse_with_includes(project, texts.manifest)
    texts = replace(texts, includes=includes)
    stales = find_stale(manifest, lock)
    located = locate(context.settings, project, manifest.roots)
    if not stales:
        _remember(project, texts, manifest)
        goal = Goal(
            lock=lock,
            at=located[0],
            project=project,
            default_groups=manifest.default_groups,
            lock_sha256=sha256_of_text(texts.lock),
        )
        return _by_root(located, goal)
    ahead = ahead and not needs_network(stales)
    goal = Goal(
        lock=bring_up_to_date(context, manifest, lock, offline=True).lock if ahead else lock,
        at=located[0],
        project=project,
        default_groups=manifest.default_groups,
        groups=_groups_of(manifest),
        lock_changed=ahead,
        lines=tuple(explain_stale(stales)),
    )
    return _by_root(located, goal)


def goal_of(goals: Sequence[Goal]) -> Goal:
    """Return the goal of the only root that is meant. Raises as `only`."""
    only([goal.at for goal in goals])
    return goals[0]


def _by_root(located: Sequence[Located], goal: Goal) -> tuple[Goal, ...]:
    """Return the goal of each root. Raises UserError lock-stale where the only one has none.

    A root that the lock says nothing of is refused: to take that for an empty lock would
    retire what lies there.
    """
    names = goal.lock.roots or ("",)
    empty = not any(entry.files for entry in goal.lock.entries)
    goals = []
    for each in located:
        if each.name in names:
            lock = goal.lock.below(each.name) if each.name else goal.lock
            goals.append(replace(goal, at=each, lock=lock))
        elif empty:
            goals.append(replace(goal, at=each))
        elif each.name:
            goals.append(replace(goal, at=replace(each, refused=_unplaced(goal, each.name))))
        else:
            raise _unplaced(goal, "")
    return tuple(goals)


def _unplaced(goal: Goal, name: str) -> UserError:
    """Return the error for a root that the lock does not know."""
    if name:
        message = f"the lock does not say where files go in the root {name}"
    else:
        message = f"the lock is for several roots: {listed(goal.lock.roots)}"
    return UserError(
        Code.LOCK_STALE,
        message,
        subject=goal.project.lock.name,
        hint="Run `civsync lock`: it places the files as the manifest says, without a download.",
    )


def _roots_of(lock: Lock) -> Roots:
    """Return the roots of a lock without a manifest: where they lie nobody but the user knows."""
    return Roots(named=dict.fromkeys(lock.roots, SOMEWHERE))


def _groups_of(manifest: "Manifest") -> frozenset[str]:
    return frozenset(group for entry in manifest.entries for group in entry.groups)


def _frozen(context: Context, project: Project, groups: GroupWishes) -> tuple[Goal, ...]:
    text = read_bytes(project.lock)
    lock = parse_lock(project, text)
    given = context.settings.roots
    default_groups: tuple[str, ...] | None = ()
    # The manifest is read for no more than is needed: it may be broken, or of another day.
    choosing = not (groups.only or groups.every) and any(entry.groups for entry in lock.entries)
    if choosing or not given:
        roots, default_groups = _head_of_manifest(project, lock)
    elif lock.roots and all("=" in word for word in given):
        roots = _roots_of(lock)
    elif lock.roots:
        roots, _ = _head_of_manifest(project, lock)
    else:
        roots = roots_in_manifest(context.settings, project)
    located = locate(context.settings, project, roots)
    goal = Goal(
        lock=lock,
        at=located[0],
        project=project,
        default_groups=default_groups,
        lock_sha256=sha256_of_text(text),
    )
    return _by_root(located, goal)


def _head_of_manifest(project: Project, lock: Lock) -> tuple[Roots, tuple[str, ...] | None]:
    """Return the manifest's roots and `default_groups`, from the note on it if that still fits.

    Without a manifest they are what they are by default, and roots those of the lock.
    """
    text = read_bytes(project.manifest)
    if text is None:
        return _roots_of(lock), ()
    known = read_memo(state_dir(), project.manifest)
    if known is not None and known.manifest_blake3 == blake3_of_text(text):
        return _roots_in(known), known.default_groups
    return load_head(project, text)


def _compared(
    context: Context, project: Project, texts: _Texts, mode: Mode, means: Means
) -> tuple[Goal, ...]:
    from civsync.cli.found_lock import FoundLock, find_lock, tell_clashes
    from civsync.cli.locking import (
        explain_stale,
        find_stale,
        mend,
        stale_error,
        tell_changes,
        tell_failures,
        tell_to_record,
        write_if_changed,
    )
    from civsync.cli.recording import Recording
    from civsync.decide.groups import check_groups

    manifest, includes = parse_with_includes(project, texts.manifest)
    texts = replace(texts, includes=includes)
    located = locate(context.settings, project, manifest.roots)
    if mode is Mode.UPDATE:
        found = find_lock(project, texts.lock)
    else:
        found = FoundLock(lock=None if texts.lock is None else parse_lock(project, texts.lock))
    previous = found.lock
    stales = find_stale(manifest, previous)
    lines = tuple(explain_stale(stales))
    if mode is Mode.LOCKED:
        if previous is None:
            raise lock_missing(project)
        if not all(stale.unhashed for stale in stales):
            raise stale_error(project, list(lines))
        if stales:
            # What has no hash is refused file by file; the others can be put in place.
            goal = Goal(
                lock=previous,
                at=located[0],
                project=project,
                default_groups=manifest.default_groups,
                lock_sha256=sha256_of_text(texts.lock),
                lines=lines,
            )
            return _by_root(located, goal)
    check_groups(means.groups.names, _groups_of(manifest))
    recording = Recording(
        root=lambda: first_usable(located), accept_new=means.new_root, jobs=means.jobs, stream=True
    )
    tell_clashes(context.output, found, manifest)
    locking = mend(
        context,
        manifest,
        found,
        offline=means.offline,
        recording=recording if means.write else None,
    )
    if locking.failures:
        tell_failures(context.output, project, locking)
        raise NotLockedError(locking.exit)
    tell_to_record(context.output, locking)
    written = means.write and write_if_changed(project, locking)
    if written:
        tell_changes(context.output, locking)
        context.output.talk(f"Wrote {project.lock.name}")
        texts = replace(texts, lock=locking.data)
    if means.write and (written or not locking.changed):
        _remember(project, texts, manifest)
    goal = Goal(
        lock=locking.lock,
        at=located[0],
        project=project,
        default_groups=manifest.default_groups,
        lock_sha256=sha256_of_text(texts.lock) if written or not locking.changed else "",
        lock_changed=locking.changed,
        hashes_to_come=bool(locking.to_record),
        lines=lines,
    )
    return _by_root(located, goal)


def _as_remembered(context: Context, project: Project, texts: _Texts) -> tuple[Goal, ...] | None:
    """Return the goals if these very texts were found to agree before."""
    known = read_memo(state_dir(), project.manifest)
    if known is None or texts.lock is None:
        return None
    digests = (blake3_of_text(texts.manifest), sha256_of_text(texts.lock))
    if digests != (known.manifest_blake3, known.lock_sha256):
        return None
    if digests_of_includes(project.folder, known.includes) != known.includes:
        return None
    located = locate(context.settings, project, _roots_in(known))
    goal = Goal(
        lock=parse_lock(project, texts.lock),
        at=located[0],
        project=project,
        default_groups=known.default_groups,
        lock_sha256=known.lock_sha256,
    )
    return _by_root(located, goal)


def _roots_in(memo: Memo) -> Roots:
    return Roots(single=memo.root, named=memo.named_roots)


def _remember(project: Project, texts: _Texts, manifest: "Manifest") -> None:
    """Note that these texts agree: those that were read, whatever the files hold by now."""
    memo = Memo(
        manifest_blake3=blake3_of_text(texts.manifest),
        lock_sha256=sha256_of_text(texts.lock),
        root=manifest.root,
        named_roots=manifest.roots.named,
        default_groups=manifest.default_groups,
        includes=texts.includes,
    )
    if read_memo(state_dir(), project.manifest) != memo:
        write_memo(state_dir(), project.manifest, memo)
