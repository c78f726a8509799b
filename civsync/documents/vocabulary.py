"""The words of Civitai that a manifest may use, spelled as the API spells them.

All these lists grow upstream, so an unknown word is kept as it came. A word that is only
a slip away from a known one is refused with the known one named: `Lora` silently taken
for a new type would put files into the wrong folder.

Source: civitai/civitai: prisma/schema.prisma (ModelType), src/server/common/constants.ts.
"""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final

from civsync.core.values import dataclass
from civsync.documents.hints import nearest
from civsync.documents.layout_tables import FILE_TYPE_PLACED_AS, PRESETS


class UnknownWordError(ValueError):
    """A word that is a slip away from a known one, which is `meant`."""

    def __init__(self, word: str, meant: str) -> None:
        super().__init__(f"{word!r} is not known")
        self.meant = meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One list of words. `aliases` are taken for what they stand for, `meant` is only offered.

    Keys of both are in lower case. `slip` is the share of equal letters from which a word is
    a slip for a known one.
    """

    known: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    meant: Mapping[str, str] = field(default_factory=dict)
    slip: float = 0.8

    def canonical(self, word: str) -> str:
        """Return the known word that `word` is but for its case, or `word` where none is near.

        Raises UnknownWordError for a slip.
        """
        if word in self.known:
            return word
        folded = word.casefold()
        for each in self.known:
            if each.casefold() == folded:
                return each
        if folded in self.aliases:
            return self.aliases[folded]
        near = self.meant.get(folded) or nearest(word, self.known, alike=self.slip)
        if near is not None:
            raise UnknownWordError(word, near)
        return word


MODEL_TYPES: Final = Words(
    known=tuple(PRESETS["comfyui"]),
    # What AIRs and programs call a model type.
    meant=MappingProxyType(
        {"embedding": "TextualInversion", "embeddings": "TextualInversion", "lycoris": "LoCon"}
    ),
)

FILE_TYPES: Final = Words(
    known=(
        "Model", "Pruned Model", *FILE_TYPE_PLACED_AS, "Training Data", "Config", "Archive",
        "Other",
    )
)  # fmt: skip

TYPES: Final = Words(
    known=tuple(dict.fromkeys((*MODEL_TYPES.known, *FILE_TYPES.known))),
    meant=MODEL_TYPES.meant,
)
"""Keys of `directories:`: model types and file types."""

FORMATS: Final = Words(
    known=("SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other"),
    # What people and file extensions call a format.
    aliases=MappingProxyType(
        {
            "safetensors": "SafeTensor",
            "pickle": "PickleTensor",
            "ckpt": "PickleTensor",
            "pt": "PickleTensor",
            "pth": "PickleTensor",
            "bin": "PickleTensor",
            "coreml": "Core ML",
        }
    ),
)

PRECISIONS: Final = Words(
    known=(
        "fp32", "fp16", "bf16", "mxfp8", "fp8_mixed", "fp8_scaled", "fp8", "int8", "nf4",
        "nvfp4", "int4",
    ),
    # New ones look like old ones: `mxfp4` is no slip for `mxfp8`.
    slip=1.0,
)  # fmt: skip

QUANTS: Final = Words(known=(), slip=1.0)
"""Free text: llama.cpp adds some with every release."""

SIZES: Final = Words(known=("full", "pruned"), slip=1.0)
"""A closed list: the schema refuses other words."""

# Closed lists, too: the API answers 400 to other words (civitai/civitai:
# src/server/schema/model.schema.ts, src/server/common/enums.ts), or civsync decides by them.

SCANS: Final = ("pickle", "virus")

SORTS: Final = (
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected",
    "Most Images", "Newest", "Oldest",
)  # fmt: skip

PERIODS: Final = ("AllTime", "Year", "Month", "Week", "Day")

CHECKPOINT_TYPES: Final = ("Trained", "Merge")

LICENSES: Final = (
    "commercial-image", "commercial-rent-civit", "commercial-rent", "commercial-sell",
    "derivatives", "different-license", "no-credit",
)  # fmt: skip
"""Permissions as `License.words` spells them."""
