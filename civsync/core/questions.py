"""What the resolver may ask a source, and what it may be answered.

The resolver yields a tuple of questions and is sent a tuple of answers in the same
order. "Not found" is an answer; a failure to get an answer is an exception of the source.
"""

from collections.abc import Mapping

from civsync.core.catalog import RemoteModel
from civsync.core.request import Search
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True)
class AskModels:
    """Which of these models does the batch endpoint show? At most BATCH_IDS ids."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskModelsOfVersions:
    """Which models does the batch endpoint show for these versions? At most BATCH_IDS ids."""

    version_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskModel:
    """What does the endpoint of one model say?"""

    id: int


@dataclass(frozen=True, slots=True)
class AskVersion:
    """What does the endpoint of one version say? The answer is a model with one version."""

    id: int


@dataclass(frozen=True, slots=True)
class AskOwners:
    """Which versions hold files with these SHA-256 (lower case)?"""

    sha256s: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskPage:
    """Which models does the listing show from `cursor` on ("" for the first page)?

    `size` models at most, PAGE_MODELS being the most.
    """

    search: Search
    cursor: str
    size: int


Question = AskModels | AskModelsOfVersions | AskModel | AskVersion | AskOwners | AskPage


@dataclass(frozen=True, slots=True)
class Models:
    """The models that were shown, in no particular order; empty means "not found here"."""

    models: tuple[RemoteModel, ...]


@dataclass(frozen=True, slots=True)
class Owners:
    """SHA-256 (lower case) to the versions that hold such a file, as (model id, version id).

    The model id is 0 where the answer does not say it.
    """

    owners: Mapping[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class Page:
    """Models in the order of the listing; `cursor` leads on, "" at the end.

    `found` is false where the listing says that what it is narrowed to (a creator) is not
    there. Models that could not be read are left out; `unread` says how many.
    """

    models: tuple[RemoteModel, ...]
    cursor: str = ""
    found: bool = True
    unread: int = 0


QuestionAnswer = Models | Owners | Page
