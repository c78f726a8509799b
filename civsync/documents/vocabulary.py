"""The words of Civitai that a manifest may use, spelled as the API spells them.

All these lists grow upstream, so an unknown word is kept as it came. A word that is only
a slip away from a known one is refused with the known one named: `Lora` silently taken
for a new type would put files into the wrong folder.

Source: civitai/civitai: prisma/schema.prisma (ModelType), src/server/common/constants.ts.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from civsync.documents.hints import nearest
from civsync.documents.layout_tables import FILE_TYPE_PLACED_AS, PRESETS

MODEL_TYPES: Final = tuple(PRESETS["comfyui"])

FILE_TYPES: Final = (
    "Model", "Pruned Model", *FILE_TYPE_PLACED_AS, "Training Data", "Config", "Archive", "Other",
)  # fmt: skip

FORMATS: Final = ("SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other")

PRECISIONS: Final = (
    "fp32", "fp16", "bf16", "mxfp8", "fp8_mixed", "fp8_scaled", "fp8", "int8", "nf4", "nvfp4",
    "int4",
)  # fmt: skip

SIZES: Final = ("full", "pruned")

SCANS: Final = ("pickle", "virus")

FORMAT_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "safetensors": "SafeTensor",
        "pickle": "PickleTensor",
        "ckpt": "PickleTensor",
        "pt": "PickleTensor",
        "pth": "PickleTensor",
        "bin": "PickleTensor",
        "coreml": "Core ML",
    }
)
"""What people and file extensions call a format."""

TYPE_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"embedding": "TextualInversion", "embeddings": "TextualInversion", "lycoris": "LoCon"}
)
"""What AIRs and programs call a model type; offered as a hint, never taken silently."""

_SLIP: Final = 0.85
"""Share of equal letters from which a word is taken for a slip (`Loras` for `LORA`)."""


class UnknownWordError(ValueError):
    """A word that is a slip away from a known one, which is `meant`."""

    def __init__(self, word: str, meant: str) -> None:
        super().__init__(f"{word!r} is not known")
        self.meant = meant


def canonical(
    word: str,
    known: Iterable[str],
    *,
    aliases: Mapping[str, str] = MappingProxyType({}),
    slips: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the known word that `word` is but for its case, or `word` where none is near.

    `aliases` are taken for what they stand for. Raises UnknownWordError for a slip.
    """
    known = tuple(known)
    if word in known:
        return word
    folded = word.casefold()
    for each in known:
        if each.casefold() == folded:
            return each
    if folded in aliases:
        return aliases[folded]
    meant = slips.get(folded) or nearest(word, known, alike=_SLIP)
    if meant is not None:
        raise UnknownWordError(word, meant)
    return word
