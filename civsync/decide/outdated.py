"""Compare what is locked with what Civitai shows today, and say why an upgrade goes no further.

What an upgrade would do is not worked out a second time: the resolver itself is run, with
every entry to be upgraded, and its result is compared with the lock. Nothing is changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.errors import CivsyncError
from civsync.core.lock import Lock, LockedEntry, LockedFile, sort_key
from civsync.core.request import All, ById, ByName, Count, Entry, Latest, Request
from civsync.core.values import dataclass
from civsync.decide.admission import admission
from civsync.decide.bars import Bars, make_bars, reason_of
from civsync.decide.case import make_case
from civsync.decide.lookup import Asking, Catalog, Target, look_up
from civsync.decide.record import files_of
from civsync.decide.resolve import resolve_and_show
from civsync.decide.standing import (
    Reason,
    Standing,
    VersionFacts,
    Why,
    changes_of,
    facts_of,
    locked_facts,
)
from civsync.decide.versions import find_versions, ranked_versions


def standings(
    entries: Sequence[Entry], lock: Lock, *, now: datetime
) -> Asking[tuple[Standing, ...]]:
    """Return how each of `entries` stands `now`, in the order of their keys.

    Asks what an upgrade asks; besides, for models whose newest version an upgrade need not
    know (held entries, and those that name nothing but a version).
    """
    files = files_of(lock)
    locked = {entry.key: entry for entry in lock.entries}
    ordered = sorted(entries, key=lambda entry: sort_key(entry.key))
    released = {entry.key for entry in ordered if _rests(entry, locked.get(entry.key), files, now)}
    resolution, catalog, hits = yield from resolve_and_show(
        [replace(entry, hold=None) if entry.key in released else entry for entry in ordered],
        lock,
        now=now,
        upgrade=_always,
    )
    yield from look_up(_unshown(ordered, locked, catalog), catalog)
    after = {entry.key: entry for entry in resolution.entries}
    failures = {entry.key: error for entry, error in resolution.failures}
    kept = {note.entry: note.message for note in resolution.notes if note.code == "kept"}
    return tuple(
        _View(
            entry=entry,
            before=locked.get(entry.key),
            bars=make_bars(entry, locked.get(entry.key), files, catalog, now=now),
            free=after.get(entry.key),
            after=locked.get(entry.key) if entry.key in released else after.get(entry.key),
            failure=None if entry.key in released else failures.get(entry.key),
            kept=kept.get(entry.key, ""),
            hits=frozenset(model.id for model in hits[entry.key].models)
            if entry.key in hits
            else frozenset(),
            catalog=catalog,
        ).standing()
        for entry in ordered
    )


def _always(_entry: Entry) -> bool:
    return True


def _rests(
    entry: Entry, before: LockedEntry | None, files: Mapping[int, LockedFile], now: datetime
) -> bool:
    """Tell whether an upgrade leaves a held entry alone, without asking."""
    if entry.hold is None:
        return False
    return make_case(entry, before, files, admission(entry.request, now), fresh=False).settled


def _unshown(
    entries: Iterable[Entry], locked: Mapping[str, LockedEntry], catalog: Catalog
) -> list[Target]:
    """Return what to ask for so that a version named alone can be compared with its model."""
    targets: dict[int, Target] = {}
    for entry in entries:
        if entry.request.model_id is not None or not isinstance(entry.request.version, ById):
            continue
        shown = catalog.version(entry.request.version.id)
        before = locked.get(entry.key)
        models = {shown[0].id} if shown else {f.model_id for f in before.files} if before else set()
        for number in models:
            if catalog.model(number) is None:
                targets[number] = Target(request=Request(model_id=number, version=Latest()))
    return [targets[number] for number in sorted(targets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One entry with all that is known of it.

    `after` is what an upgrade makes of it, `free` what it would be without its hold. `kept`
    is why the resolver left it as it was, "" if it did not. `hits` are the models that its
    search finds today, also those that must not be locked.
    """

    entry: Entry
    before: LockedEntry | None
    bars: Bars
    after: LockedEntry | None
    free: LockedEntry | None
    failure: CivsyncError | None
    kept: str
    hits: frozenset[int]
    catalog: Catalog

    def standing(self) -> Standing:
        available = locked_facts(self.after)
        newest: list[VersionFacts] = []
        reasons: list[Reason] = []
        for number in self._models(available):
            own = [each for each in available if each.model_id == number]
            reasons += self._fates(number, own)
            model = self.catalog.model(number)
            if model is None:
                reasons += self._awaited(number, own)
                continue
            newest += [facts_of(model, version) for version in self._wished(model, own)]
            reasons += self._bars(model, own)
        if self.free is not None and self.free.gone:
            reasons = [each for each in reasons if each.why is not Why.UNLISTED]
            reasons.insert(0, Reason(why=Why.GONE))
        if self.failure is not None and all(each.why is not Why.FAILED for each in reasons):
            reasons.insert(0, Reason(why=Why.FAILED, text=self.failure.message))
        return Standing(
            entry=self.entry,
            locked=locked_facts(self.before),
            available=available,
            newest=tuple(newest),
            changes=changes_of(self.before, self.after),
            reasons=tuple(dict.fromkeys(reasons)),
            failure=self.failure,
        )

    def _models(self, available: Iterable[VersionFacts]) -> list[int]:
        """Return the models in question: those of the entry, or those that were found."""
        found = {each.model_id for each in (*available, *locked_facts(self.free))} | self.hits
        if not found and self.entry.request.model_id is not None:
            found.add(self.entry.request.model_id)
        return sorted(found)

    @property
    def _is_pinned(self) -> bool:
        return isinstance(self.entry.request.version, ById | ByName)

    def _request(self, model: RemoteModel) -> Request:
        return replace(self.entry.request, model_id=model.id)

    def _wished(self, model: RemoteModel, own: Sequence[VersionFacts]) -> tuple[RemoteVersion, ...]:
        """Return the versions that the entry would lead to if nothing were in the way."""
        request = self._request(model)
        if self._is_pinned:
            families = {each.base_model for each in own}
            family = families.pop() if len(families) == 1 else request.base_model
            latest = Request(model_id=model.id, version=Latest(), base_model=family or None)
            return ranked_versions(model, latest)[:1]
        return find_versions(model, request, self.bars.case.admission)

    def _bars(self, model: RemoteModel, own: Sequence[VersionFacts]) -> Iterator[Reason]:
        """Say of each version that comes before what an upgrade gives why it is not that."""
        have = {each.version_id for each in own}
        wished = self._wished(model, own)
        if self._is_pinned:
            for version in wished:
                if version.id not in have and have:
                    yield reason_of(Why.PINNED, model, version)
            return
        if not isinstance(self.entry.request.version, All | Count):
            wished = ranked_versions(model, self._request(model))
        for version in wished:
            if version.id in have:
                if not isinstance(self.entry.request.version, All | Count):
                    return
                continue
            yield self.bars.reason(model, version) or self._rest(model, version)
            passes = (
                self.bars.admission.admits(version)
                or self.bars.admission.sold([version]) is not None
            )
            if passes and not isinstance(self.entry.request.version, All | Count):
                # The resolver looks no further than the first that is let in.
                return

    def _rest(self, model: RemoteModel, version: RemoteVersion) -> Reason:
        """Say why a version that could be locked is not."""
        if self.entry.hold is not None:
            return reason_of(Why.HELD, model, version, text=self.entry.hold, rule="hold")
        if self.failure is not None:
            return reason_of(Why.FAILED, model, version, text=self.failure.message)
        return reason_of(Why.UNLOCKABLE, model, version, text=self.kept)

    def _fates(self, model_id: int, own: Sequence[VersionFacts]) -> Iterator[Reason]:
        """Say what became of locked versions that an upgrade would leave as they are."""
        if self.entry.request.search is not None and model_id not in self.hits:
            # The search does not find it now; whether Civitai shows it was not asked.
            return
        before = {each.version_id for each in locked_facts(self.before)}
        for each in own:
            if each.version_id not in before:
                continue
            shown = self.catalog.version(each.version_id)
            if shown is None or self.catalog.model(model_id) is None:
                yield Reason(why=Why.UNLISTED, model_id=model_id, version=each)
            if shown is None:
                continue
            model, version = shown
            if model.mode == "TakenDown":
                yield Reason(why=Why.TAKEN_DOWN, model_id=model_id)
            bar = self.bars.reason(model, version)
            if bar is not None:
                yield bar

    def _awaited(self, model_id: int, own: Sequence[VersionFacts]) -> Iterator[Reason]:
        """Say what the lock knows of versions that wait, where Civitai shows nothing today."""
        if self.before is None or self.entry.request.search is not None:
            return
        for each in self.before.waiting:
            yield Reason(
                why=Why.EARLY_ACCESS,
                model_id=model_id,
                version=VersionFacts(
                    model_id=model_id,
                    model=own[0].model if own else "",
                    version_id=each.version_id,
                    version=each.version,
                    base_model="",
                    published_at="",
                ),
                rule="policy.early_access",
                allowed_from=each.until,
            )
