"""What Civitai says exists: models, versions and files, as values.

Answers of the API are made into these at the border, once. Text is as it came (it may
be hostile); numbers and hashes are checked. Statistics, pictures and URLs are left out.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from civsync.core.values import dataclass

RATINGS: Final = ("PG", "PG13", "R", "X", "XXX", "Blocked")
"""Names of the bits of `nsfwLevel`, least mature first.

Source: civitai/civitai: src/server/common/enums.ts.
"""

_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Between the words of "RentCivit"."""


class Scan(StrEnum):
    """Result of one of Civitai's scans; any unknown text counts as PENDING."""

    SUCCESS = "Success"
    PENDING = "Pending"
    DANGER = "Danger"
    ERROR = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """What the creator allows."""

    commercial: tuple[str, ...] = ()
    no_credit: bool = False
    derivatives: bool = False
    different_license: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What is allowed, as the lock and a policy spell it: "commercial-image", ..., sorted."""
        kinds = (_HUMP.sub("-", kind).lower() for kind in self.commercial if kind != "None")
        words = [f"commercial-{kind}" for kind in kinds]
        words += ["derivatives"] if self.derivatives else []
        words += ["different-license"] if self.different_license else []
        words += ["no-credit"] if self.no_credit else []
        return tuple(sorted(set(words)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a version.

    `size` is in bytes, or None where the record makes no sense; `hashes` maps upper-case
    kinds ("SHA256", "BLAKE3", ...) to lower-case digits and may be empty; `precision`,
    `quant`, `size_class` ("full" or "pruned") and `format` are "" where not said.
    """

    id: int
    name: str
    type: str
    size: int | None
    format: str = ""
    precision: str = ""
    quant: str = ""
    size_class: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    pickle_scan: Scan = Scan.PENDING
    virus_scan: Scan = Scan.PENDING
    linked: bool = False
    """True for a file that may belong to another version (a linked VAE)."""

    @property
    def sha256(self) -> str | None:
        """The published SHA-256 in lower case, if there is one."""
        return self.hashes.get("SHA256")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteVersion:
    """One version of a model. `index` 0 is the creator's default; dates are ISO 8601 in UTC."""

    id: int
    model_id: int
    name: str
    base_model: str = ""
    index: int | None = None
    published_at: str | None = None
    usage_control: str | None = None
    early_access_until: str | None = None
    early_access: bool = False
    rating: str = ""
    """The most mature of RATINGS that its pictures have; "" where not rated."""
    vae_id: int | None = None
    files: tuple[RemoteFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model with the versions that an answer showed.

    `versions` are in the creator's order. `whole` is false when only some versions were
    asked for or shown (an answer for one version), so "latest" cannot be told from it.
    """

    id: int
    name: str
    type: str
    creator: str = ""
    tags: tuple[str, ...] = ()
    nsfw: bool = False
    mode: str | None = None
    license: License = License()
    versions: tuple[RemoteVersion, ...] = ()
    whole: bool = True
