"""Say what a file is, from what the API tells of it.

Labels are what an uploader ticked, so a known extension wins over them; where a label and
an extension leave doubt, the file counts as a pickle. Bytes are not looked at here.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from civsync.core.catalog import RemoteFile
from civsync.core.names import safe_name, split_suffix

PICKLE: Final = "PickleTensor"
ARCHIVE: Final = "Archive"

PICKLE_EXTENSIONS: Final = frozenset({"ckpt", "pt", "pth", "bin", "pkl", "pickle"})

_FORMAT_OF: Final[Mapping[str, str]] = MappingProxyType(
    {"safetensors": "SafeTensor", "sft": "SafeTensor", "gguf": "GGUF", "onnx": "ONNX"}
    | dict.fromkeys(PICKLE_EXTENSIONS, PICKLE)
)
"""Extensions that only one format has. In a recorded survey of 29,830 files 105 of those
called .safetensors were labeled `Other`, and one was labeled a pickle."""

_ARCHIVES: Final = frozenset({"zip", "7z", "rar", "tar", "gz", "xz"})
_ARCHIVED_WEIGHTS: Final = frozenset({"Diffusers", "Core ML"})
"""Formats of weights that are trees of files and come as an archive."""
_DOCUMENTS: Final = frozenset({"txt", "json", "yaml", "yml", "csv", "md", "png", "jpg", "pdf"})

WEIGHT_TYPES: Final = ("Model", "Pruned Model", "Diffusion Model", "UNet")
"""File types that are a model's weights, whatever the model.

civitai/civitai: src/server/utils/model-helpers.ts gives these the higher score.
"""

_ALSO_WEIGHTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "VAE": ("VAE",),
        "Controlnet": ("ControlNet",),
        "Upscaler": ("Upscaler",),
        "TextEncoder": ("Text Encoder",),
        "CLIP": ("Text Encoder",),
        "CLIPVision": ("CLIPVision", "Vision Encoder"),
        "VisionLanguage": ("Text Encoder", "Vision Encoder"),
        "LLM": ("Text Encoder",),
    }
)
"""Model type -> further file types that are what such a model is."""

_SECOND_BEST: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "TextualInversion": ("Negative",),
        "LORA": ("Enhancement LoRA",),
        "LoCon": ("Enhancement LoRA",),
        "DoRA": ("Enhancement LoRA",),
    }
)
"""Model type -> file types that stand for it only where there is none of the usual ones."""

_PACKAGED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Poses": ("Archive", "Training Data", "Model"),
        "Wildcards": ("Archive", "Model", "Training Data"),
        "Workflows": ("Workflow", "Archive", "Model", "Training Data", "Config"),
        "ComfyWorkflows": ("Workflow", "Archive", "Model", "Training Data", "Config"),
    }
)
"""Model types that are no weights -> the file types that they come as, best first."""

_REST: Final = ("Archive", "Training Data", "Workflow", "Config", "Other")
"""What stands for a version without weights, best first; types not listed come after these."""


def extension(name: str) -> str:
    """Return the extension that a file of this name would have on disk, in lower case."""
    # Making a name safe never touches an extension that is one already.
    suffix = split_suffix(name)[1] or split_suffix(safe_name(name))[1]
    return suffix[1:].lower()


def true_format(name: str, label: str) -> str:
    """Return the format of a file: by its extension where that is known, else as labeled."""
    suffix = extension(name)
    if suffix in _FORMAT_OF:
        return _FORMAT_OF[suffix]
    if suffix in _ARCHIVES and label not in _ARCHIVED_WEIGHTS and label != PICKLE:
        # A .pt of today is a zip inside, so the label "pickle" is believed of a .zip.
        return ARCHIVE
    return label


def known_as(file: RemoteFile) -> RemoteFile:
    """Return `file` with the format and size class that it really has.

    `Pruned Model` is a file type of the days before there was a size class.
    """
    size_class = file.size_class or ("pruned" if file.type == "Pruned Model" else "")
    return replace(file, format=true_format(file.name, file.format), size_class=size_class)


def is_pickle(name: str, label: str) -> bool:
    """Tell whether loading the file may run code of its author."""
    return true_format(name, label) == PICKLE


def is_weights(file: RemoteFile, model_type: str) -> bool:
    """Tell whether `prefer.format` has a say about `file`: weights, of whichever kind."""
    if model_type in _PACKAGED or file.type in _REST:
        return file.format in _FORMAT_OF.values()
    return file.format != ARCHIVE and extension(file.name) not in _DOCUMENTS


def main_files(
    files: tuple[RemoteFile, ...], model_type: str
) -> tuple[tuple[RemoteFile, ...], bool]:
    """Return the files that are what the model is, and whether they are that by rights.

    False means that the version has nothing of the kind, and that the files of the best
    other type stand for it.
    """
    packaged = model_type in _PACKAGED
    for tier in _tiers(model_type):
        found = tuple(
            file
            for file in files
            if file.type in tier and (packaged or is_weights(file, model_type))
        )
        if found:
            return found, True
    if not files:
        return (), False
    best = min((_rest_rank(file.type), file.type) for file in files)[1]
    return tuple(file for file in files if file.type == best), False


def type_rank(file_type: str) -> int:
    """Order file types of equal standing, so that a choice never depends on the answer's order."""
    return WEIGHT_TYPES.index(file_type) if file_type in WEIGHT_TYPES else len(WEIGHT_TYPES)


def stands_for_model(file_type: str, model_type: str) -> bool:
    """Tell whether files of this type are at home where such models are."""
    return (
        file_type in _PACKAGED.get(model_type, ())
        or file_type in _ALSO_WEIGHTS.get(model_type, ())
        or file_type in _SECOND_BEST.get(model_type, ())
    )


def _tiers(model_type: str) -> tuple[tuple[str, ...], ...]:
    """Return the file types that are what such a model is, the better ones first."""
    if model_type in _PACKAGED:
        return tuple((file_type,) for file_type in _PACKAGED[model_type])
    usual = WEIGHT_TYPES + _ALSO_WEIGHTS.get(model_type, ())
    return (usual, _SECOND_BEST.get(model_type, ()))


def _rest_rank(file_type: str) -> int:
    if file_type in WEIGHT_TYPES:  # a zip or a text that was uploaded as the model
        return -1
    return _REST.index(file_type) if file_type in _REST else len(_REST)
