"""The AIR of a version, the resource name that Civitai prints beside it."""

from civsync.demo.registry import Model, Version

_ECOSYSTEMS = {
    "SD 1.4": "sd1",
    "SD 1.5": "sd1",
    "SD 2.1": "sd2",
    "SDXL 1.0": "sdxl",
    "SDXL Turbo": "sdxl",
    "Pony": "sdxl",
    "Illustrious": "sdxl",
    "NoobAI": "sdxl",
    "Flux.1 D": "flux1",
    "Flux.1 S": "flux1",
}
_AIR_TYPES = {
    "Checkpoint": "checkpoint",
    "LORA": "lora",
    "LoCon": "lycoris",
    "DoRA": "dora",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernet",
    "Controlnet": "controlnet",
    "Upscaler": "upscaler",
    "MotionModule": "motion",
    "VAE": "vae",
    "UNet": "unet",
}


def air(model: Model, version: Version) -> str:
    """Write the AIR of a version (civitai/civitai: src/shared/utils/air.ts)."""
    ecosystem = _ECOSYSTEMS.get(version.base_model, "other")
    kind = _AIR_TYPES.get(model.type, "unknown")
    if kind == "upscaler":
        ecosystem = "other"
    return f"urn:air:{ecosystem}:{kind}:civitai:{model.id}@{version.id}"
