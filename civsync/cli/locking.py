"""Bring a lock up to date with its manifest: the smallest change, or none.

Resolving needs the network and writes nothing but the lock; an edit that only places
files is rendered again offline.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from civsync.cli.documents import store_lock
from civsync.cli.found_lock import FoundLock, Upgrade
from civsync.cli.lock_text import change_lines, dropped_roots_text
from civsync.cli.options import Context
from civsync.cli.output import Output, count_text, error_document, show, size_text
from civsync.cli.project import Project
from civsync.cli.recording import Recording, record
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, UserError, exit_of
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock, LockedFile
from civsync.core.request import Entry, Manifest
from civsync.core.values import dataclass
from civsync.decide.differences import changes_between
from civsync.decide.place import place
from civsync.decide.stale import Stale, needs_network, staleness
from civsync.decide.unhashed import unhashed_files
from civsync.documents.lock import in_file_order, read_lock, write_lock

SHOWN_NOTES: Final = 5
"""Notes of one kind about one entry that are shown without --verbose."""

if TYPE_CHECKING:
    from civsync.decide.notes import Note
    from civsync.decide.resolve import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """What came of it. With `failures` nothing was written and `lock` is the old one.

    `to_record` are files that have no hash yet, because nothing was to be downloaded.
    """

    lock: Lock
    previous: Lock | None
    data: bytes = b""
    changed: bool = False
    to_record: tuple[LockedFile, ...] = ()
    notes: tuple["Note", ...] = ()
    failures: tuple[tuple[Entry, CivsyncError], ...] = ()

    @property
    def exit(self) -> ExitCode:
        """The exit status of the failures."""
        return exit_of(error for _, error in self.failures)


def current_lock(project: Project) -> Lock | None:
    """Return the lock beside the manifest, or None if there is none."""
    data = read_bytes(project.lock)
    return None if data is None else read_lock(data, name=project.lock.name)


def find_stale(manifest: Manifest, lock: Lock | None) -> tuple[Stale, ...]:
    """Say where the lock differs from the manifest; no lock differs everywhere."""
    return staleness(manifest, lock or Lock())


def bring_up_to_date(
    context: Context,
    manifest: Manifest,
    previous: Lock | None,
    *,
    upgrade: Upgrade | None = None,
    offline: bool = False,
    recording: Recording | None = None,
) -> Locking:
    """Return the lock that the manifest asks for, asking Civitai only where it must.

    Files that Civitai publishes no hash of are downloaded as `recording` says, to know
    theirs; without it they stay without.
    """
    return mend(
        context,
        manifest,
        FoundLock(lock=previous),
        upgrade=upgrade,
        offline=offline,
        recording=recording,
    )


def mend(
    context: Context,
    manifest: Manifest,
    found: FoundLock,
    *,
    upgrade: Upgrade | None = None,
    offline: bool = False,
    recording: Recording | None = None,
) -> Locking:
    """Do what `bring_up_to_date` does, given a text that may need more than that.

    Of two united sides only what clashes is resolved anew.
    """
    previous = found.lock
    clashes = found.clashes_in(manifest)
    if clashes:
        upgrade = _any_of(clashes, upgrade)
    old = found.believed(manifest) or Lock()
    stales = find_stale(manifest, old)
    if upgrade is None and previous is not None and not stales and old == previous:
        data = write_lock(previous) if found.rewrite else b""
        return Locking(lock=previous, previous=previous, data=data, changed=found.rewrite)
    if upgrade is not None or needs_network(stales):
        if offline:
            raise _offline_error(previous, [*map(_clash, sorted(clashes)), *explain_stale(stales)])
        resolution = _resolve(context, manifest.entries, old, upgrade or _never)
        notes = resolution.notes
        tell_notes(context.output, manifest, notes)
        if resolution.failures:
            return Locking(
                lock=previous or Lock(),
                previous=previous,
                notes=notes,
                failures=resolution.failures,
            )
        entries = resolution.entries
    else:
        notes = ()
        wanted = {entry.key for entry in manifest.entries}
        entries = tuple(entry for entry in old.entries if entry.key in wanted)
    entries = place(manifest, entries)
    if recording is not None and unhashed_files(entries):
        recorded = record(context, entries, recording)
        if recorded.failures:
            asked = {entry.key: entry for entry in manifest.entries}
            failures = tuple((asked[key], error) for key, error in recorded.failures)
            return Locking(lock=previous or Lock(), previous=previous, failures=failures)
        entries = recorded.entries
    # What was read is compared with it, and the same files in another order are no change.
    lock = in_file_order(Lock(entries=entries))
    return Locking(
        lock=lock,
        previous=previous,
        data=write_lock(lock),
        changed=previous is None or lock != previous or found.rewrite,
        to_record=unhashed_files(entries),
        notes=notes,
    )


def tell_notes(output: Output, manifest: Manifest, notes: Sequence["Note"]) -> None:
    """Say what is remarkable about entries, each with its line in the manifest.

    Of one kind about one entry only the first are shown without --verbose: a search may
    leave out hundreds.
    """
    places = {entry.key: entry.place for entry in manifest.entries}
    kinds: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        kinds.setdefault((note.entry, note.code), []).append(note)
    for (key, code), alike in kinds.items():
        shown = len(alike) if output.choice.verbose else SHOWN_NOTES
        for note in alike[:shown]:
            output.warn(f"{show(str(places[key]))}: {show(note.message)}")
        if len(alike) > shown:
            more = f"{len(alike) - shown:,} more notes of the kind {code} (--verbose shows all)"
            output.warn(f"{show(str(places[key]))}: {more}")


def _any_of(clashes: frozenset[str], upgrade: Upgrade | None) -> Upgrade:
    return lambda entry: entry.key in clashes or (upgrade is not None and upgrade(entry))


def _clash(key: str) -> str:
    return f"{key}: both sides of a merge changed it"


def _offline_error(previous: Lock | None, reasons: Sequence[str]) -> UserError:
    if previous is None:
        return UserError(
            Code.LOCK_MISSING,
            "there is no lock, and making one needs the network",
            hint="Run `civsync lock` without --offline.",
        )
    return UserError(
        Code.LOCK_STALE,
        f"the lock must be resolved again ({reasons[0]})",
        hint="Run without --offline, or use --frozen to take the lock as it is.",
    )


def write_if_changed(project: Project, locking: Locking) -> bool:
    """Write the lock if it is another one than before; tell whether it was."""
    if not locking.changed:
        return False
    store_lock(project, locking.data)
    return True


def explain_stale(stales: Sequence[Stale]) -> list[str]:
    """Return one line for each entry that differs, with the keys that do."""
    return [str(stale) for stale in stales]


def stale_error(project: Project, lines: Sequence[str]) -> UserError:
    """Return the error for a stale lock that may not be changed now."""
    shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
    return UserError(
        Code.LOCK_STALE,
        f"the lock differs from the manifest: {shown}",
        subject=project.lock.name,
        data={"entries": len(lines)},
    )


def tell_changes(output: Output, locking: Locking) -> None:
    """Say what became of the entries."""
    changes = changes_between(locking.previous or Lock(), locking.lock)
    for line in change_lines(changes, output):
        output.talk(line)
    if dropped := dropped_roots_text(locking.previous, locking.lock):
        output.talk(dropped)


def tell_failures(output: Output, project: Project, locking: Locking) -> None:
    """Say which entries could not be locked, in the order of the manifest, as text and data."""
    failures = sorted(locking.failures, key=lambda pair: _line(pair[0]))
    if output.choice.json:
        errors = [
            {"entry": entry.key, "place": str(entry.place), **error_document(error)}
            for entry, error in failures
        ]
        body = {"written": False, "errors": errors}
        output.document("civsync.lock-run", body, in_stream=True)
    for entry, error in failures:
        where = show(str(entry.place))
        label = output.paint("error:", "red", "bold")
        output.warn_line(f"{label} {where}: {show(error.message)} [{error.code}]")
        output.hint(error.hint, indent="  ")
    count = count_text(len(failures), "entry")
    output.warn_line(f"\n{count} could not be locked; {show(project.lock.name)} was not changed")


def _line(entry: Entry) -> tuple[int, int]:
    return (entry.place.line or 0, entry.place.column or 0)


def tell_to_record(output: Output, locking: Locking) -> None:
    """Say which files the real run would download to record their hash."""
    for file in locking.to_record:
        output.talk(
            f"Would download {show(file.path)} ({size_text(file.size)}) once to record its SHA-256"
        )


def _never(entry: Entry) -> bool:
    return False


def _resolve(
    context: Context, entries: Sequence[Entry], old: Lock, upgrade: Upgrade
) -> "Resolution":
    from civsync.cli.asking import ask
    from civsync.decide.resolve import resolve

    resolving = resolve(entries, old, now=datetime.now(UTC), upgrade=upgrade)
    return ask(context, resolving, entries=entries)
