"""Who sees what, and which file the server prefers.

Pure questions about the objects of `registry`. Civitai answers them differently
on each endpoint: a batch is the strictest, a single version the most lenient
(civitai/civitai: src/pages/api/v1/models/index.ts, models/[id].ts,
model-versions/[id].ts).
"""

from civsync.core.values import dataclass
from civsync.demo.registry import File, Model, Registry, Version

# A part of the real list; on these a mature version hides itself
# (civitai/civitai: packages/civitai-shared/src/basemodel.constants.ts).
SFW_ONLY_BASE_MODELS = frozenset(
    {"SDXL Turbo", "SD 3", "SD 3.5", "SD 3.5 Large", "SD 3.5 Large Turbo", "SD 3.5 Medium", "SVD"}
)
_MATURE = 4 | 8 | 16
_PG = 1
_WEIGHTS = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})


def shown_in_batch(
    registry: Registry, model: Model, *, nsfw: bool = True, archived: bool = True
) -> bool:
    """Say whether `GET /models` may list the model."""
    return (
        _published_and_rated(model)
        and not model.hidden_from_batches
        and (nsfw or bool(model.nsfw_level & _PG))
        and (archived or model.mode != "Archived")
        and not (nsfw and registry.hide_minor and model.minor)
    )


def shown_alone(model: Model) -> bool:
    """Say whether `GET /models/{id}` knows the model."""
    return _published_and_rated(model)


def _published_and_rated(model: Model) -> bool:
    return (
        model.status == "Published"
        and model.availability != "Private"
        and model.nsfw_level != 0
        and not model.poi
    )


def shown_versions(model: Model, *, public_only: bool = False) -> list[tuple[int, Version]]:
    """Give the versions inside a model object with their `index`.

    `public_only` leaves out other availabilities, as listings without `ids=` do.
    """
    published = [version for version in list(model.versions) if _listed(version)]
    return [
        (index, version)
        for index, version in enumerate(published)
        if not public_only or version.availability == "Public"
    ]


def _listed(version: Version) -> bool:
    forbidden = version.base_model in SFW_ONLY_BASE_MODELS and version.nsfw_level & _MATURE
    return (
        version.status == "Published"
        and version.nsfw_level != 0
        and not forbidden
        and bool(public_files(version))
    )


def shown_by_version_id(model: Model, version: Version) -> bool:
    """Say whether `GET /model-versions/{id}` knows the version; the model may be hidden."""
    return version.status == "Published" and model.nsfw_level != 0 and version.nsfw_level != 0


def public_files(version: Version) -> list[File]:
    """Give the files that anybody may see."""
    return [file for file in list(version.files) if file.visibility == "Public"]


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file as part of a version; `linked` if it is the VAE of another one."""

    file: File
    primary: bool
    linked: bool = False


def shown_files(registry: Registry, model: Model, version: Version) -> list[ShownFile]:
    """Give the files inside a version object: none when archived, linked VAE last."""
    if model.mode == "Archived":
        return []
    best = primary_file(version)
    shown = [ShownFile(file, file is best) for file in public_files(version)]
    linked = linked_vae(registry, version)
    if linked is not None:
        shown.append(ShownFile(linked, primary=False, linked=True))
    return shown


def linked_vae(registry: Registry, version: Version) -> File | None:
    """Find the file of the VAE version that the creator linked."""
    found = registry.find_version(version.vae_id) if version.vae_id is not None else None
    files = public_files(found[1]) if found is not None else []
    return max(files, key=score, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What a download asks for where it names no file."""

    format: str | None = None
    size: str | None = None
    fp: str | None = None
    quant: str | None = None

    def met_by(self, file: File) -> bool:
        """Say whether the file has everything that was asked for."""
        pairs = (
            (self.format, file.format),
            (self.size, file.size),
            (self.fp, file.fp),
            (self.quant, file.quant),
        )
        return all(asked is None or asked == has for asked, has in pairs)


_ANYTHING = Preference()


def score(file: File, asked: Preference = _ANYTHING) -> float:
    """Score a file as the server does (civitai/civitai: src/server/utils/model-helpers.ts)."""
    points = 1000.0
    points += 1000 if file.type in _WEIGHTS else 0
    points += 100 if file.format == (asked.format or "SafeTensor") else -100
    points += 10 if file.size == (asked.size or "pruned") else -10
    points += 1 if file.fp == (asked.fp or "fp16") else -1
    points += 0.5 if file.quant == (asked.quant or "Q4_K_M") else -0.5
    return points


def primary_file(version: Version) -> File | None:
    """Find the primary file; it may be private, and then no listed file is primary."""
    files = list(version.files)
    forced = [file for file in files if file.primary]
    candidates = forced or [file for file in files if file.primary is None]
    return max(candidates, key=score, default=None)


def file_to_send(
    registry: Registry,
    version: Version,
    *,
    file_id: int | None,
    file_type: str | None,
    asked: Preference,
) -> File | None:
    """Choose what a download means: exactly `file_id`, else the best of that type.

    A linked VAE stands in only where the version has no own file of type VAE.
    """
    files = public_files(version)
    if file_id is not None:
        return next((file for file in files if file.id == file_id), None)
    if file_type is not None:
        files = [file for file in files if file.type == file_type]
        if not files and file_type == "VAE":
            return linked_vae(registry, version)
    forced = [file for file in files if file.primary] if asked == _ANYTHING else []
    return max(forced or files, key=lambda file: score(file, asked), default=None)
