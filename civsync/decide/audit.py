"""Hold what is locked against the policy of today, and against what Civitai says today.

Nothing is chosen, moved or repaired; an audit only finds. What Civitai does not say (a single
version shows neither license nor creator) is taken from the lock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from civsync.core.catalog import RATINGS, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.problems import Place
from civsync.core.request import ById, EarlyAccess, Entry, Request
from civsync.core.values import dataclass
from civsync.decide.admission import admission
from civsync.decide.findings import Finding, Rule, Severity
from civsync.decide.kinds import is_pickle
from civsync.decide.lookup import Asking, Catalog, Target, look_up
from civsync.decide.policy import breaches
from civsync.decide.record import Known, record_file

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

_SCANS = ("pickle", "virus")


def audit(entries: Sequence[Entry], lock: Lock, *, now: datetime) -> Asking[tuple[Finding, ...]]:
    """Return what is wrong with `lock` for those who ask for `entries`, by what is so `now`.

    Entries come in the manifest's order. Asks for the locked models, BATCH_IDS at a time,
    and for what that does not show singly.
    """
    wanted = {entry.key for entry in entries}
    pairs = {(f.model_id, f.version_id) for entry, f in lock.files() if entry.key in wanted}
    catalog = Catalog()
    targets = [
        Target(request=Request(model_id=model, version=ById(version)))
        for model, version in sorted(pairs)
    ]
    yield from look_up(targets, catalog)
    return _audited(entries, lock, catalog, now)


def audit_offline(entries: Sequence[Entry], lock: Lock, *, now: datetime) -> tuple[Finding, ...]:
    """Return what is wrong with `lock` by what it says of itself alone."""
    return _audited(entries, lock, None, now)


def _audited(
    entries: Sequence[Entry], lock: Lock, catalog: Catalog | None, now: datetime
) -> tuple[Finding, ...]:
    locked = {entry.key: entry for entry in lock.entries}
    found: list[Finding] = []
    for entry in entries:
        before = locked.pop(entry.key, None)
        if before is None:
            found.append(_stale(entry.key, "the lock does not have it", entry.place))
            continue
        # What is true of a model or a version is told once, not of each of its files.
        once: dict[tuple[Rule, str], Finding] = {}
        for each in _Inspection(entry=entry, before=before, now=now).findings(catalog):
            once.setdefault((each.rule, each.message), each)
        found.extend(once.values())
    text = "the manifest does not ask for it, so no policy is known for it"
    found.extend(_stale(key, text, None) for key in locked)
    return tuple(found)


def _stale(key: str, message: str, place: Place | None) -> Finding:
    return Finding(severity=_WARNING, rule=Rule.STALE, entry=key, message=message, place=place)


_Told = tuple[Severity, Rule, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inspection:
    """One entry that is both wanted and locked."""

    entry: Entry
    before: LockedEntry
    now: datetime

    def findings(self, catalog: Catalog | None) -> Iterator[Finding]:
        """Say what is wrong, file by file; without a `catalog`, by the lock alone."""
        if catalog is None and self.before.gone:
            text = "no endpoint of Civitai showed it when it was to be upgraded"
            yield self._finding((_ERROR, Rule.GONE, text), None)
        for file in self.before.files:
            if not file.sha256:
                text = f"{_named(file)} has no SHA-256, so nothing can verify it"
                yield self._finding((_ERROR, Rule.UNVERIFIED, text), file)
            for told in self._judged(file) if catalog is None else self._compared(file, catalog):
                yield self._finding(told, file)

    def _finding(self, told: _Told, file: LockedFile | None) -> Finding:
        severity, rule, message = told
        return Finding(
            severity=severity,
            rule=rule,
            entry=self.entry.key,
            message=message,
            file=file,
            place=self.entry.place,
        )

    def _compared(self, file: LockedFile, catalog: Catalog) -> Iterator[_Told]:
        """Hold one file against what Civitai shows."""
        shown = catalog.version(file.version_id)
        if shown is None or shown[0].id != file.model_id:
            what = f'version {file.version_id} "{file.version}" of model {file.model_id}'
            yield _ERROR, Rule.GONE, f'no endpoint of Civitai shows {what} "{file.model}"'
            yield from self._judged(file)
            return
        model, version = shown
        if not model.whole:
            what = f'model {model.id} "{model.name}"'
            text = f"Civitai shows {what} no more, only its version {version.id} by itself"
            yield _ERROR, Rule.MODEL_GONE, text
        yield from self._of_version(model, version)
        remote = next((each for each in version.files if each.id == file.file_id), None)
        if remote is None:
            if model.mode != "Archived":
                text = f"version {version.id} does not list {_named(file)} any more"
                yield _ERROR, Rule.FILE_GONE, text
            yield from self._judged(_with_model(file, model, version))
            return
        yield from self._of_content(file, remote)
        fresh, _ = record_file(remote, version, model, Known(), fresh=True)
        fresh = replace(fresh, size=fresh.size or file.size)
        if not model.whole:
            rating = fresh.rating or file.rating
            fresh = replace(fresh, creator=file.creator, license=file.license, rating=rating)
        yield from _changes(file, fresh)
        yield from self._judged(fresh, before=file)

    def _of_version(self, model: RemoteModel, version: RemoteVersion) -> Iterator[_Told]:
        named = f'model {model.id} "{model.name}"'
        where = f'version {version.id} "{version.name}" of {named}'
        if model.mode == "Archived":
            yield _ERROR, Rule.ARCHIVED, f"{named} is archived: nothing of it can be downloaded"
        if model.mode == "TakenDown":
            yield _WARNING, Rule.TAKEN_DOWN, f"moderators took the pictures of {named} down"
        if version.usage_control not in (None, "", "Download"):
            text = f"the creator of {where} allows its use on Civitai only"
            yield _ERROR, Rule.DOWNLOADS_DISABLED, text
        if admission(self.entry.request, self.now).is_early(version):
            severity = {
                EarlyAccess.ALLOW: _NOTE,
                EarlyAccess.DEFER: _WARNING,
                EarlyAccess.FAIL: _ERROR,
            }[self.entry.request.policy.early_access]
            until = version.early_access_until or "a date that Civitai does not say"
            yield severity, Rule.EARLY_ACCESS, f"{where} is sold as early access until {until}"

    def _of_content(self, file: LockedFile, remote: RemoteFile) -> Iterator[_Told]:
        if remote.sha256 is None and file.sha256:
            text = f"Civitai publishes no SHA-256 for {_named(file)}; the locked one was recorded"
            yield _WARNING, Rule.UNVERIFIED, text
        elif remote.sha256 and file.sha256 and remote.sha256 != file.sha256:
            text = (
                f"{_named(file)} is locked with SHA-256 {file.sha256}, and Civitai now"
                f" publishes {remote.sha256}"
            )
            yield _ERROR, Rule.CONTENT_CHANGED, text
        if remote.size is not None and remote.size != file.size:
            text = f"{_named(file)} is locked with {file.size} bytes, and has {remote.size} now"
            yield _ERROR, Rule.SIZE_CHANGED, text

    def _judged(self, file: LockedFile, *, before: LockedFile | None = None) -> Iterator[_Told]:
        """Hold the facts of a file against the policy; `before` are those of the lock."""
        request = self.entry.request
        for each in breaches(file, request.policy):
            text = f"{_named(file)} is against `{each.rule}: {each.wanted}`: {each.found}"
            yield _ERROR, Rule(each.rule), text
        if not request.policy.allow_pickle and is_pickle(file.name, file.format):
            yield _ERROR, Rule.PICKLE, f"{_named(file)} is a pickle"
        for kind in _SCANS:
            now = file.scan(kind) or Scan.PENDING.value
            then = now if before is None else before.scan(kind) or Scan.PENDING.value
            if now == Scan.SUCCESS.value:
                continue
            text = f'the {kind} scan of {_named(file)} says "{now}"'
            text += f', and said "{then}" when it was locked' if then != now else ""
            waived = request.allow_unverified and now == Scan.PENDING.value
            if kind in request.policy.scans and not waived:
                yield _ERROR, Rule.SCANS, text
            elif then != now or now == Scan.DANGER.value:
                yield _WARNING, Rule.SCAN_CHANGED, text


def _with_model(file: LockedFile, model: RemoteModel, version: RemoteVersion) -> LockedFile:
    """Return a file that is not listed with what is known of its model and version today."""
    if not model.whole:
        return replace(file, rating=version.rating or file.rating)
    words = ", ".join(model.license.words)
    return replace(file, creator=model.creator, license=words, rating=version.rating)


def _changes(old: LockedFile, new: LockedFile) -> Iterator[_Told]:
    """Say what Civitai tells otherwise than the lock does."""
    model = f'model {old.model_id} "{old.model}"'
    before, after = _words(old.license), _words(new.license)
    if before - after:
        lost = ", ".join(sorted(before - after))
        yield _WARNING, Rule.LICENSE_CHANGED, f"the license of {model} lost: {lost}"
    elif after - before:
        won = ", ".join(sorted(after - before))
        yield _NOTE, Rule.LICENSE_CHANGED, f"the license of {model} now allows, too: {won}"
    if old.rating != new.rating:
        severity = _WARNING if _maturity(new.rating) > _maturity(old.rating) else _NOTE
        was, now = old.rating or "not rated", new.rating or "not rated"
        where = f'version {old.version_id} "{old.version}" of {model}'
        yield severity, Rule.RATING_CHANGED, f"the rating of {where} was {was} and is {now}"
    if old.creator != new.creator:
        was, now = old.creator or "(nobody)", new.creator or "(nobody)"
        yield _NOTE, Rule.CREATOR_RENAMED, f"the creator of {model} was {was} and is {now}"


def _words(license_text: str) -> set[str]:
    return {word.strip() for word in license_text.split(",")} - {""}


def _maturity(rating: str) -> int:
    """Order ratings; what is not rated may be anything."""
    return RATINGS.index(rating) if rating in RATINGS else len(RATINGS)


def _named(file: LockedFile) -> str:
    return f"file {file.file_id} {file.name}"
