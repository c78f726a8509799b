"""Ask for the models and versions that entries need, in as few requests as there can be.

A batch is the strictest endpoint: what it leaves out is asked for singly before anybody
believes that it is not there. Which version is meant in the end is not decided here.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.limits import BATCH_IDS
from civsync.core.questions import (
    AskModel,
    AskModels,
    AskModelsOfVersions,
    AskVersion,
    Models,
    Question,
    QuestionAnswer,
)
from civsync.core.request import ById, Request
from civsync.core.values import dataclass
from civsync.decide.versions import ranked_versions

ResultT_co = TypeVar("ResultT_co", covariant=True)
Asking = Generator[tuple[Question, ...], tuple[QuestionAnswer, ...], ResultT_co]
"""A computation that asks: it yields questions and is sent their answers, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one entry has to be shown.

    `known` is the version that the lock holds; with `stay` that one will do, else it is
    only asked for when nothing else shows the model.
    """

    request: Request
    known: int | None = None
    stay: bool = False

    @property
    def pinned(self) -> int | None:
        """The one version that must be shown, if it is a certain one."""
        if isinstance(self.request.version, ById):
            return self.request.version.id
        return self.known if self.stay else None


class Catalog:
    """Everything that the answers of one run showed."""

    def __init__(self) -> None:
        self._models: dict[int, RemoteModel] = {}
        self._versions: dict[int, tuple[RemoteModel, RemoteVersion]] = {}

    def model(self, model_id: int) -> RemoteModel | None:
        """Return a model that was shown whole: "latest" can be told from it."""
        return self._models.get(model_id)

    def version(self, version_id: int) -> tuple[RemoteModel, RemoteVersion] | None:
        """Return a version with its model, however it was shown."""
        return self._versions.get(version_id)

    def settles(self, target: Target) -> bool:
        """Tell whether what `target` asks for was shown."""
        if target.pinned is not None:
            return target.pinned in self._versions
        model = self._models.get(target.request.model_id or 0)
        return model is not None and bool(ranked_versions(model, target.request))

    def learn(self, question: Question, answer: QuestionAnswer) -> None:
        """Take in one answer. An answer about a whole model tells more than one about a version."""
        if not isinstance(answer, Models):
            raise TypeError(f"{type(answer).__name__} does not answer {question}")
        partial = isinstance(question, AskVersion | AskModelsOfVersions)
        self.learn_models(
            replace(model, whole=False) if partial else model for model in answer.models
        )

    def learn_models(self, models: Iterable[RemoteModel]) -> None:
        """Take in models that were shown."""
        for model in models:
            if model.whole:
                self._learn_model(model)
            else:
                self._learn_versions(model)

    def _learn_model(self, model: RemoteModel) -> None:
        before = self._models.get(model.id)
        if before is not None:
            # The second endpoint may filter otherwise than the batch did: what either shows, is.
            shown = {version.id for version in model.versions}
            extra = tuple(version for version in before.versions if version.id not in shown)
            model = replace(model, versions=model.versions + extra)
        self._models[model.id] = model
        for version in model.versions:
            self._versions[version.id] = (model, version)

    def _learn_versions(self, model: RemoteModel) -> None:
        whole = self._models.get(model.id)
        for version in model.versions:
            self._versions.setdefault(version.id, (whole or model, version))


def look_up(targets: Sequence[Target], catalog: Catalog) -> Asking[None]:
    """Let `catalog` learn what Civitai shows of `targets`.

    A batch for every BATCH_IDS ids; then, for what it leaves out, the endpoint of the
    model, then that of the version (civitai/civitai: src/pages/api/v1/models/index.ts,
    models/[id].ts, model-versions/[id].ts: the last one is the most lenient).
    """
    model_ids = {t.request.model_id for t in targets if t.request.model_id is not None}
    version_ids = {t.pinned for t in targets if t.request.model_id is None and t.pinned is not None}
    yield from _ask(
        catalog,
        [
            *(AskModels(batch) for batch in _batches(model_ids)),
            *(AskModelsOfVersions(batch) for batch in _batches(version_ids)),
        ],
    )
    open_targets = [target for target in targets if not catalog.settles(target)]
    models = {t.request.model_id for t in open_targets if t.request.model_id is not None}
    alone = {t.pinned for t in open_targets if t.request.model_id is None and t.pinned is not None}
    yield from _ask(
        catalog,
        [
            *(AskModel(number) for number in sorted(models)),
            *(AskVersion(number) for number in sorted(alone)),
        ],
    )
    last = {
        target.pinned or target.known
        for target in open_targets
        if target.request.model_id is not None and not catalog.settles(target)
    }
    yield from _ask(catalog, [AskVersion(number) for number in sorted(filter(None, last))])


def _ask(catalog: Catalog, questions: Sequence[Question]) -> Asking[None]:
    if not questions:
        return
    answers = yield tuple(questions)
    for question, answer in zip(questions, answers, strict=True):
        catalog.learn(question, answer)


def _batches(ids: Iterable[int]) -> Iterable[tuple[int, ...]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), BATCH_IDS):
        yield tuple(ordered[start : start + BATCH_IDS])
