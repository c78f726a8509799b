"""The preset layouts as plain data: which folder of which program holds what.

Nothing is decided here. The layout code looks a file up in this order: its file type in
`FILE_TYPE_PLACED_AS`, else its model's type and format in `FORMAT_PLACED_AS`, else its model's
type; then that type in `PRESETS`, else `DEFAULT_DIRECTORY`. Every table follows the folders that
the program itself reads, and names where those are defined. Names are written exactly as there,
because on a case-sensitive disk `Lora` and `lora` are two folders.

Every value is a relative POSIX path below the root that `ROOT_OF` describes; the empty string is
the root itself. Where a program reads a kind of file only from outside the root, or where no
convention was found, the comment says so and a plain folder inside the root is used.
No preset writes into a folder of code (`extensions`, `custom_nodes`): a model file has no business
there, and a folder that exists too early stops the extension's own `git clone`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# ComfyUI. Root: the `models` folder, because ComfyUI and its node packs find every kind of model
# below it, and `--models-directory` can move it as a whole.
# Source: Comfy-Org/ComfyUI: folder_paths.py, if nothing else is said.
_COMFYUI: Final = {
    "Checkpoint": "checkpoints",
    "TextualInversion": "embeddings",
    "Hypernetwork": "hypernetworks",
    "LORA": "loras",
    "LoCon": "loras",
    "DoRA": "loras",
    "Controlnet": "controlnet",
    "Upscaler": "upscale_models",
    "VAE": "vae",
    # `clip` and `unet` are the older names; ComfyUI reads both of each pair.
    "TextEncoder": "text_encoders",
    "CLIP": "text_encoders",
    "UNet": "diffusion_models",
    "CLIPVision": "clip_vision",
    # Kosinkadink/ComfyUI-AnimateDiff-Evolved: animatediff/utils_model.py
    "MotionModule": "animatediff_models",
    # ltdrdata/ComfyUI-Impact-Subpack: modules/subpack_nodes.py. The Subpack keeps boxes and
    # segmentation apart (`bbox`, `segm`); the API does not say which of them a model is.
    "Detection": "ultralytics/bbox",
    # kijai/ComfyUI-Florence2: nodes.py, and other node packs for language models.
    "LLM": "LLM",
    "VisionLanguage": "LLM",
    # Plain folders that ComfyUI does not read. Workflows are opened from `user/default/workflows`,
    # wildcards from inside each node pack, both outside the root; for poses and aesthetic
    # gradients no convention was found.
    "Workflows": "workflows",
    "ComfyWorkflows": "workflows",
    "Wildcards": "wildcards",
    "Poses": "poses",
    "AestheticGradient": "aesthetic_embeddings",
    "Other": "other",
}

# AUTOMATIC1111. Root: the data folder (`--data-dir`, usually the checkout), not its `models`,
# because embeddings lie beside `models` and not in it.
# Source: AUTOMATIC1111/stable-diffusion-webui: modules/cmd_args.py (embeddings, hypernetworks,
# ESRGAN), modules/sd_models.py, modules/sd_vae.py, extensions-builtin/Lora/preload.py.
_A1111: Final = {
    "Checkpoint": "models/Stable-diffusion",
    "TextualInversion": "embeddings",
    "Hypernetwork": "models/hypernetworks",
    # `models/LyCORIS` is read too, but only for backward compatibility.
    "LORA": "models/Lora",
    "LoCon": "models/Lora",
    "DoRA": "models/Lora",
    # The type does not name the architecture; ESRGAN is by far the most common one.
    "Upscaler": "models/ESRGAN",
    "VAE": "models/VAE",
    # modules/models/sd3/sd3_model.py, sd3_cond.py: the text encoders of SD 3.
    "TextEncoder": "models/CLIP",
    "CLIP": "models/CLIP",
    # Mikubill/sd-webui-controlnet: scripts/global_state.py
    "Controlnet": "models/ControlNet",
    # Bing-su/adetailer: scripts/!adetailer.py
    "Detection": "models/adetailer",
    # Plain folders: the extensions read their own folders, which this table keeps out of.
    # continue-revolution/sd-webui-animatediff can be told by its setting `animatediff_model_path`,
    # adieyal/sd-dynamic-prompts (sd_dynamic_prompts/paths.py) by `wildcard_dir`.
    "MotionModule": "models/animatediff",
    "Wildcards": "models/wildcards",
    # Named like the folder in the aesthetic gradients extension, which has no setting for it.
    "AestheticGradient": "models/aesthetic_embeddings",
    # Plain folders: this program loads no bare UNet, and no convention was found for the rest.
    "UNet": "models/unet",
    "CLIPVision": "models/clip_vision",
    "LLM": "models/LLM",
    "VisionLanguage": "models/LLM",
    "Workflows": "models/workflows",
    "ComfyWorkflows": "models/workflows",
    "Poses": "models/poses",
    "Other": "models/other",
}

# Forge. Root and folders as AUTOMATIC1111, of which it is a fork, apart from the following.
_FORGE: Final = _A1111 | {
    # lllyasviel/stable-diffusion-webui-forge: modules_forge/main_entry.py reads
    # `models/text_encoder` beside `models/VAE`.
    "TextEncoder": "models/text_encoder",
    "CLIP": "models/text_encoder",
    # modules/sd_models.py lists bare diffusion models, GGUF included, among the checkpoints.
    "UNet": "models/Stable-diffusion",
    # modules_forge/shared.py: ControlNet is built in, with the folder of the extension.
    "Controlnet": "models/ControlNet",
}

# SD.Next. Root: its models folder (`--models-dir`, or the setting `models_dir`), which has held
# everything since embeddings and wildcards moved into it.
# Source: vladmandic/sdnext: TYPE_MAP in modules/civitai/filemanage_civitai.py, its own table for
# Civitai, and the folder settings (`vae_dir`, `unet_dir`, `te_dir`, `yolo_dir`, ...) that
# modules/paths.py creates.
_SDNEXT: Final = {
    # SD.Next's own downloader sends a checkpoint to UNET where its base model has no full
    # checkpoints (all but SD 1, SD 2, SDXL and their kin); a table by type cannot.
    "Checkpoint": "Stable-diffusion",
    "TextualInversion": "embeddings",
    "Hypernetwork": "hypernetworks",
    "LORA": "Lora",
    "LoCon": "Lora",
    "DoRA": "Lora",
    # modules/control/units/controlnet.py reads only this subfolder of `control`.
    "Controlnet": "control/controlnet",
    "Upscaler": "ESRGAN",
    "VAE": "VAE",
    "TextEncoder": "Text-encoder",
    "CLIP": "Text-encoder",
    "UNet": "UNET",
    "MotionModule": "motion",
    "Detection": "yolo",
    "Wildcards": "wildcards",
    "Workflows": "workflows",
    "ComfyWorkflows": "workflows",
    # Plain folders. SD.Next's table sends the first three to Stable-diffusion with everything
    # else that it does not know; what is no checkpoint stays out of the list of checkpoints here.
    "AestheticGradient": "aesthetic_embeddings",
    "Poses": "poses",
    "Other": "other",
    "CLIPVision": "clip_vision",
    "LLM": "LLM",
    "VisionLanguage": "LLM",
}

# InvokeAI. Root: any folder outside InvokeAI's own `models`, shown to it once in the model manager
# as a folder to scan, for installation in place. InvokeAI owns its `models` folder: since 6.9.0 it
# keeps every model there under a UUID and moves what it finds (release notes of 6.9.0), which
# would undo every sync. It tells types by content, so the folders are for people, and are called
# what it calls the types; version 3 scanned folders of the same names below `autoimport`.
# Source: invoke-ai/InvokeAI: ModelType in invokeai/backend/model_manager/taxonomy.py.
_INVOKEAI: Final = {
    "Checkpoint": "main",
    "UNet": "main",
    "TextualInversion": "embedding",
    "LORA": "lora",
    "LoCon": "lora",
    "DoRA": "lora",
    "Controlnet": "controlnet",
    "Upscaler": "spandrel_image_to_image",
    "VAE": "vae",
    "CLIP": "clip_embed",
    "CLIPVision": "clip_vision",
    # InvokeAI has a type for each family of text encoders; the API does not say which it is.
    "TextEncoder": "text_encoder",
    # Plain folders: InvokeAI knows no such type, or not by this name.
    "Hypernetwork": "hypernetwork",
    "AestheticGradient": "aesthetic_embeddings",
    "MotionModule": "motion_module",
    "Detection": "detection",
    "LLM": "llm",
    "VisionLanguage": "llm",
    "Wildcards": "wildcards",
    "Workflows": "workflows",
    "ComfyWorkflows": "workflows",
    "Poses": "poses",
    "Other": "other",
}

# SwarmUI. Root: its model root (setting `ModelRoot`, by default `Models`).
# Source: mcmonkeyprojects/SwarmUI: class PathsData in src/Core/Settings.cs for its own kinds, and
# EnsureComfyFile in src/BuiltinExtensions/ComfyUIBackend/ComfyUISelfStartBackend.cs for the
# folders that it passes on to ComfyUI.
_SWARMUI: Final = {
    "Checkpoint": "Stable-Diffusion",
    "TextualInversion": "Embeddings",
    "LORA": "Lora",
    "LoCon": "Lora",
    "DoRA": "Lora",
    "Controlnet": "controlnet",
    "VAE": "VAE",
    "TextEncoder": "clip",
    "CLIP": "clip",
    "CLIPVision": "clip_vision",
    "Hypernetwork": "hypernetworks",
    "Upscaler": "upscale_models",
    # docs/Model Support.md sends bare diffusion models, GGUF included, here.
    "UNet": "diffusion_models",
    # docs/Features/Prompt Syntax.md: models for `<segment:yolo-...>`.
    "Detection": "yolov8",
    # Plain folders. Swarm reads wildcards from `Data/Wildcards`, outside the root, and passes
    # on none of the others.
    "Wildcards": "wildcards",
    "MotionModule": "animatediff_models",
    "LLM": "LLM",
    "VisionLanguage": "LLM",
    "AestheticGradient": "aesthetic_embeddings",
    "Workflows": "workflows",
    "ComfyWorkflows": "workflows",
    "Poses": "poses",
    "Other": "other",
}

# No program's convention: everything in one folder.
_FLAT: Final = dict.fromkeys(_COMFYUI, "")

PRESETS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "comfyui": MappingProxyType(_COMFYUI),
        "a1111": MappingProxyType(_A1111),
        "forge": MappingProxyType(_FORGE),
        "sdnext": MappingProxyType(_SDNEXT),
        "invokeai": MappingProxyType(_INVOKEAI),
        "swarmui": MappingProxyType(_SWARMUI),
        "flat": MappingProxyType(_FLAT),
    }
)
"""Preset -> model type as the API spells it -> directory template."""

DEFAULT_DIRECTORY: Final[Mapping[str, str]] = MappingProxyType(
    {preset: table["Other"] for preset, table in PRESETS.items()}
)
"""Preset -> directory template for a model type that no table knows yet."""

ROOT_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "comfyui": "ComfyUI's `models` folder",
        "a1111": "the web UI's data folder, the one that holds `models` and `embeddings`",
        "forge": "Forge's data folder, the one that holds `models` and `embeddings`",
        "sdnext": "SD.Next's `models` folder",
        "invokeai": "a folder of its own, outside InvokeAI's `models`; add it in InvokeAI's model "
        "manager with Scan Folder and In-place install",
        "swarmui": "SwarmUI's model root, by default its `Models` folder",
        "flat": "any folder; every file lies directly in it",
    }
)
"""Preset -> what its root must be, as words that complete "the root is ..."."""

# A version of one model may carry files of other kinds, for instance the VAE of a checkpoint. Such
# a file is placed as if it belonged to a model of the type named here, so that a user's own
# directory for that type holds for it too.
# All other file types lie where their model does: weights (`Model`, `Pruned Model`); `Config`,
# which the web UIs look for beside the model (AUTOMATIC1111/stable-diffusion-webui:
# modules/sd_models_config.py), while ComfyUI's `configs` serves a deprecated node only; `Archive`,
# which is how poses, wildcards and workflows themselves are uploaded; and `Other`.
FILE_TYPE_PLACED_AS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VAE": "VAE",
        "Text Encoder": "TextEncoder",
        "Vision Encoder": "CLIPVision",
        "CLIPVision": "CLIPVision",
        "UNet": "UNet",
        "Diffusion Model": "UNet",
        "ControlNet": "Controlnet",
        "Upscaler": "Upscaler",
        "Enhancement LoRA": "LORA",
        "Negative": "TextualInversion",
        "Workflow": "Workflows",
    }
)
"""File type -> model type whose directory it uses; a file type not listed stays with its model."""

# GGUF files are published as bare diffusion models, and ComfyUI's loader of whole checkpoints does
# not list them: city96/ComfyUI-GGUF (loader.py) finds them where diffusion models are; its README
# says `unet`, the older name for that. AUTOMATIC1111 reads no GGUF anywhere.
FORMAT_PLACED_AS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {("Checkpoint", "GGUF"): "UNet"}
)
"""(model type, file format) -> model type whose directory the weights use instead."""

# No program reads training data; it only must not lie among the models.
_TRAINING_DATA: Final[Mapping[str, str]] = {
    "a1111": "models/training_data",
    "forge": "models/training_data",
    "flat": "",
}

FILE_TYPE_DIRECTORIES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        preset: MappingProxyType(
            {file_type: table[placed_as] for file_type, placed_as in FILE_TYPE_PLACED_AS.items()}
            | {"Training Data": _TRAINING_DATA.get(preset, "training_data")}
        )
        for preset, table in PRESETS.items()
    }
)
"""Preset -> file type -> directory template; a file type not listed stays with its model."""
