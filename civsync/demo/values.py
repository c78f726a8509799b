"""The value lists that Civitai checks parameters against, and its `/enums` answer."""

MODEL_TYPES = (
    "Checkpoint",
    "TextualInversion",
    "Hypernetwork",
    "AestheticGradient",
    "LORA",
    "LoCon",
    "DoRA",
    "Controlnet",
    "Upscaler",
    "MotionModule",
    "VAE",
    "TextEncoder",
    "UNet",
    "CLIPVision",
    "Poses",
    "Wildcards",
    "Workflows",
    "ComfyWorkflows",
    "Detection",
    "VisionLanguage",
    "CLIP",
    "LLM",
    "Other",
)
FILE_TYPES = (
    "Model",
    "Pruned Model",
    "VAE",
    "Text Encoder",
    "Vision Encoder",
    "Negative",
    "Training Data",
    "Config",
    "Archive",
    "UNet",
    "Diffusion Model",
    "CLIPVision",
    "ControlNet",
    "Workflow",
    "Upscaler",
    "Enhancement LoRA",
    "Other",
)
FILE_FORMATS = ("SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other")
FILE_SIZES = ("full", "pruned")
BASE_MODELS = (
    "SD 1.4",
    "SD 1.5",
    "SD 2.1",
    "SDXL 1.0",
    "SDXL Turbo",
    "Pony",
    "Illustrious",
    "NoobAI",
    "Flux.1 D",
    "Flux.1 S",
    "Upscaler",
    "Other",
)
BASE_MODEL_TYPES = ("Standard", "Inpainting", "Refiner", "Pix2Pix")
SORTS = (
    "Highest Rated",
    "Most Downloaded",
    "Most Liked",
    "Most Discussed",
    "Most Collected",
    "Most Images",
    "Newest",
    "Oldest",
)
PERIODS = ("AllTime", "Year", "Month", "Week", "Day")
PERIOD_MODES = ("published", "stats")
CHECKPOINT_TYPES = ("Trained", "Merge")
COMMERCIAL_USES = ("None", "Image", "RentCivit", "Rent", "Sell")
AVAILABILITIES = ("Public", "Unsearchable", "Private", "EarlyAccess")

ENUMS: dict[str, object] = {
    "ModelType": list(MODEL_TYPES),
    "ModelFileType": list(FILE_TYPES),
    "ActiveBaseModel": list(BASE_MODELS),
    "BaseModel": list(BASE_MODELS),
    "BaseModelType": list(BASE_MODEL_TYPES),
}
