"""Work out what a run aims at: the lock to follow and the root to follow it in.

An unchanged manifest is not even parsed: a note in the user's state directory says which
manifest and lock were found to agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.documents import (
    digest_of,
    digests_of_includes,
    load_head,
    lock_missing,
    parse_lock,
    parse_with_includes,
    read_bytes,
)
from civsync.cli.options import Context
from civsync.cli.settings import DEFAULT_ROOT, Project, find_project, find_root, state_dir
from civsync.core.groups import GroupWishes
from civsync.core.limits import DEFAULT_JOBS
from civsync.core.lock import Lock
from civsync.disk.state import Memo, read_memo, write_memo

if TYPE_CHECKING:
    from civsync.core.request import Manifest


class Mode(Enum):
    """What may happen to a lock that the manifest has left behind."""

    UPDATE = "bring it up to date"
    LOCKED = "refuse"
    FROZEN = "do not even look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The lock to follow, where; and whether the lock on disk is another one.

    `lines` say, for people, how lock and manifest differ where the mode lets them.
    `hashes_to_come` says that the real run would first record hashes that `lock` lacks.
    `lock_sha256` is of the text that `lock` was read from, "" where it is another one's.
    `default_groups` are the manifest's, None for all of them; `groups` are those that its
    entries are in, where it was read.
    """

    lock: Lock
    root: Path
    project: Project
    default_groups: tuple[str, ...] | None = ()
    groups: frozenset[str] = frozenset()
    lock_sha256: str = ""
    lock_changed: bool = False
    hashes_to_come: bool = False
    lines: tuple[str, ...] = ()


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


def find_goal(context: Context, mode: Mode, means: Means) -> Goal:
    """Return what the run aims at, with the lock brought up to date where the mode says so.

    Raises UserError lock-missing, lock-stale, usage; NotLockedError; DocumentError.
    """
    project = find_project(context.settings)
    if mode is Mode.FROZEN:
        return _frozen(context, project, means.groups)
    texts = _read(project)
    return _as_remembered(context, project, texts) or _compared(
        context, project, texts, mode, means
    )


def glance_at_lock(context: Context, *, ahead: bool = False) -> Goal:
    """Return the lock as it is and where it applies; `lines` say how the manifest differs.

    With `ahead` it is the lock that the next sync would follow (`lock_changed`), if that
    takes no more than placing or dropping files. Needs no network and changes nothing.
    Raises UserError lock-missing; DocumentError.
    """
    project = find_project(context.settings)
    texts = _read(project)
    goal = _as_remembered(context, project, texts)
    if goal is not None:
        return goal
    lock = parse_lock(project, texts.lock)
    if texts.manifest is None:
        root = find_root(context.settings, project, DEFAULT_ROOT)
        return Goal(lock=lock, root=root, project=project)
    from civsync.cli.locking import bring_up_to_date, explain_stale, find_stale
    from civsync.decide.stale import needs_network

    manifest, includes = parse_with_includes(project, texts.manifest)
    texts = replace(texts, includes=includes)
    stales = find_stale(manifest, lock)
    root = find_root(context.settings, project, manifest.root)
    if not stales:
        _remember(project, texts, manifest)
        return Goal(
            lock=lock,
            root=root,
            project=project,
            default_groups=manifest.default_groups,
            lock_sha256=digest_of(texts.lock),
        )
    ahead = ahead and not needs_network(stales)
    return Goal(
        lock=bring_up_to_date(context, manifest, lock, offline=True).lock if ahead else lock,
        root=root,
        project=project,
        default_groups=manifest.default_groups,
        groups=_groups_of(manifest),
        lock_changed=ahead,
        lines=tuple(explain_stale(stales)),
    )


def _groups_of(manifest: "Manifest") -> frozenset[str]:
    return frozenset(group for entry in manifest.entries for group in entry.groups)


def _frozen(context: Context, project: Project, groups: GroupWishes) -> Goal:
    text = read_bytes(project.lock)
    lock = parse_lock(project, text)
    root: str = DEFAULT_ROOT
    default_groups: tuple[str, ...] | None = ()
    # The manifest is read for no more than is needed: it may be broken, or of another day.
    choosing = not (groups.only or groups.every) and any(entry.groups for entry in lock.entries)
    if choosing or context.settings.root is None:
        root, default_groups = _head_of_manifest(project)
    return Goal(
        lock=lock,
        root=find_root(context.settings, project, root),
        project=project,
        default_groups=default_groups,
        lock_sha256=digest_of(text),
    )


def _head_of_manifest(project: Project) -> tuple[str, tuple[str, ...] | None]:
    """Return the manifest's `root` and `default_groups`, from the note on it if that still fits.

    Without a manifest they are what they are by default.
    """
    text = read_bytes(project.manifest)
    if text is None:
        return DEFAULT_ROOT, ()
    known = read_memo(state_dir(), project.manifest)
    if known is not None and known.manifest_sha256 == digest_of(text):
        return known.root, known.default_groups
    return load_head(project, text)


def _compared(context: Context, project: Project, texts: _Texts, mode: Mode, means: Means) -> Goal:
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
    root = find_root(context.settings, project, manifest.root)
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
            return Goal(
                lock=previous,
                root=root,
                project=project,
                default_groups=manifest.default_groups,
                lock_sha256=digest_of(texts.lock),
                lines=lines,
            )
    check_groups(means.groups.names, _groups_of(manifest))
    recording = Recording(
        root=lambda: root, accept_new=means.new_root, jobs=means.jobs, stream=True
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
    return Goal(
        lock=locking.lock,
        root=root,
        project=project,
        default_groups=manifest.default_groups,
        lock_sha256=digest_of(texts.lock) if written or not locking.changed else "",
        lock_changed=locking.changed,
        hashes_to_come=bool(locking.to_record),
        lines=lines,
    )


def _as_remembered(context: Context, project: Project, texts: _Texts) -> Goal | None:
    """Return the goal if these very texts were found to agree before."""
    known = read_memo(state_dir(), project.manifest)
    if known is None or texts.lock is None:
        return None
    digests = (digest_of(texts.manifest), digest_of(texts.lock))
    if digests != (known.manifest_sha256, known.lock_sha256):
        return None
    if digests_of_includes(project, known.includes) != known.includes:
        return None
    return Goal(
        lock=parse_lock(project, texts.lock),
        root=find_root(context.settings, project, known.root),
        project=project,
        default_groups=known.default_groups,
        lock_sha256=known.lock_sha256,
    )


def _remember(project: Project, texts: _Texts, manifest: "Manifest") -> None:
    """Note that these texts agree: those that were read, whatever the files hold by now."""
    memo = Memo(
        manifest_sha256=digest_of(texts.manifest),
        lock_sha256=digest_of(texts.lock),
        root=manifest.root,
        default_groups=manifest.default_groups,
        includes=texts.includes,
    )
    if read_memo(state_dir(), project.manifest) != memo:
        write_memo(state_dir(), project.manifest, memo)
