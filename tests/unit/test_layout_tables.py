import re

import pytest

from civsync.documents.layout_tables import (
    DEFAULT_DIRECTORY,
    FILE_TYPE_DIRECTORIES,
    FILE_TYPE_PLACED_AS,
    FORMAT_PLACED_AS,
    PRESETS,
    ROOT_OF,
)

PRESET_NAMES = ("comfyui", "a1111", "forge", "sdnext", "invokeai", "swarmui", "flat")

# civitai/civitai: the values of ModelType.
MODEL_TYPES = frozenset(
    {
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
    }
)

FILE_TYPES = frozenset(
    {
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
    }
)

STAY_WITH_THEIR_MODEL = frozenset({"Model", "Pruned Model", "Config", "Archive", "Other"})

WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


PROGRAMS = tuple(name for name in PRESET_NAMES if name != "flat")


def directories_of(preset: str) -> frozenset[str]:
    return frozenset(
        {
            *PRESETS[preset].values(),
            *FILE_TYPE_DIRECTORIES[preset].values(),
            DEFAULT_DIRECTORY[preset],
        }
    )


def test_every_table_has_every_preset() -> None:
    for table in (PRESETS, FILE_TYPE_DIRECTORIES, DEFAULT_DIRECTORY, ROOT_OF):
        assert tuple(table) == PRESET_NAMES


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_preset_places_exactly_the_model_types_of_the_api(preset: str) -> None:
    assert len(MODEL_TYPES) == 23
    assert PRESETS[preset].keys() == MODEL_TYPES


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_file_type_has_a_directory_or_stays_with_its_model(preset: str) -> None:
    assert FILE_TYPE_DIRECTORIES[preset].keys() == FILE_TYPES - STAY_WITH_THEIR_MODEL


@pytest.mark.parametrize("preset", PROGRAMS)
def test_a_directory_is_a_safe_relative_posix_path_on_every_system(preset: str) -> None:
    for directory in directories_of(preset):
        assert re.fullmatch(r"[A-Za-z0-9_/-]+", directory)
        for component in directory.split("/"):
            assert component not in ("", ".", "..")
            assert component == component.strip(" .")
            assert not WINDOWS_DEVICE.fullmatch(component)


def test_the_flat_preset_puts_everything_into_the_root_itself() -> None:
    assert directories_of("flat") == {""}


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_no_preset_writes_into_a_folder_of_code_or_of_civsync(preset: str) -> None:
    first_components = {directory.partition("/")[0] for directory in directories_of(preset)}
    assert first_components.isdisjoint({"extensions", "custom_nodes", "scripts", ".civsync"})


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_no_two_directories_of_a_preset_differ_only_in_case(preset: str) -> None:
    used = directories_of(preset)
    assert len({directory.lower() for directory in used}) == len(used)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_file_of_another_kind_lies_where_models_of_that_kind_lie(preset: str) -> None:
    for file_type, model_type in FILE_TYPE_PLACED_AS.items():
        assert FILE_TYPE_DIRECTORIES[preset][file_type] == PRESETS[preset][model_type]


@pytest.mark.parametrize("preset", PROGRAMS)
def test_training_data_lies_apart_from_every_kind_of_model(preset: str) -> None:
    assert FILE_TYPE_DIRECTORIES[preset]["Training Data"] not in PRESETS[preset].values()


@pytest.mark.parametrize("preset", PROGRAMS)
def test_what_is_no_checkpoint_stays_out_of_the_list_of_checkpoints(preset: str) -> None:
    table = PRESETS[preset]
    beside = {kind for kind in table if table[kind] == table["Checkpoint"]}
    assert beside <= {"Checkpoint", "UNet"}


def test_a_format_rule_speaks_of_types_that_the_presets_know() -> None:
    for (model_type, _), placed_as in FORMAT_PLACED_AS.items():
        assert {model_type, placed_as} <= MODEL_TYPES


@pytest.mark.parametrize(
    ("preset", "directory"),
    [
        ("comfyui", "diffusion_models"),
        ("forge", "models/Stable-diffusion"),
        ("sdnext", "UNET"),
        ("invokeai", "main"),
        ("swarmui", "diffusion_models"),
    ],
)
def test_a_gguf_checkpoint_lies_where_the_program_looks_for_gguf(
    preset: str, directory: str
) -> None:
    assert PRESETS[preset][FORMAT_PLACED_AS["Checkpoint", "GGUF"]] == directory


@pytest.mark.parametrize(
    ("preset", "model_type", "directory"),
    [
        ("comfyui", "Checkpoint", "checkpoints"),
        ("comfyui", "LORA", "loras"),
        ("comfyui", "LoCon", "loras"),
        ("comfyui", "DoRA", "loras"),
        ("comfyui", "TextualInversion", "embeddings"),
        ("comfyui", "VAE", "vae"),
        ("comfyui", "Controlnet", "controlnet"),
        ("comfyui", "Upscaler", "upscale_models"),
        ("comfyui", "UNet", "diffusion_models"),
        ("comfyui", "TextEncoder", "text_encoders"),
        ("comfyui", "CLIPVision", "clip_vision"),
        ("comfyui", "MotionModule", "animatediff_models"),
        ("comfyui", "Detection", "ultralytics/bbox"),
        ("a1111", "Checkpoint", "models/Stable-diffusion"),
        ("a1111", "LORA", "models/Lora"),
        ("a1111", "TextualInversion", "embeddings"),
        ("a1111", "Hypernetwork", "models/hypernetworks"),
        ("a1111", "VAE", "models/VAE"),
        ("a1111", "Controlnet", "models/ControlNet"),
        ("a1111", "Upscaler", "models/ESRGAN"),
        ("a1111", "Detection", "models/adetailer"),
        ("forge", "Checkpoint", "models/Stable-diffusion"),
        ("forge", "TextEncoder", "models/text_encoder"),
        ("forge", "Controlnet", "models/ControlNet"),
        ("sdnext", "Checkpoint", "Stable-diffusion"),
        ("sdnext", "UNet", "UNET"),
        ("sdnext", "TextEncoder", "Text-encoder"),
        ("sdnext", "Controlnet", "control/controlnet"),
        ("sdnext", "Wildcards", "wildcards"),
        ("sdnext", "Detection", "yolo"),
        ("invokeai", "Checkpoint", "main"),
        ("invokeai", "TextualInversion", "embedding"),
        ("invokeai", "Upscaler", "spandrel_image_to_image"),
        ("swarmui", "Checkpoint", "Stable-Diffusion"),
        ("swarmui", "LORA", "Lora"),
        ("swarmui", "TextualInversion", "Embeddings"),
        ("swarmui", "TextEncoder", "clip"),
        ("swarmui", "Detection", "yolov8"),
    ],
)
def test_a_model_lies_where_its_program_reads_it(
    preset: str, model_type: str, directory: str
) -> None:
    assert PRESETS[preset][model_type] == directory


@pytest.mark.parametrize(
    ("preset", "file_type", "directory"),
    [
        ("comfyui", "VAE", "vae"),
        ("comfyui", "Text Encoder", "text_encoders"),
        ("comfyui", "Diffusion Model", "diffusion_models"),
        ("comfyui", "Vision Encoder", "clip_vision"),
        ("comfyui", "Enhancement LoRA", "loras"),
        ("a1111", "Negative", "embeddings"),
        ("a1111", "VAE", "models/VAE"),
        ("forge", "Text Encoder", "models/text_encoder"),
    ],
)
def test_a_companion_file_lies_where_its_program_reads_it(
    preset: str, file_type: str, directory: str
) -> None:
    assert FILE_TYPE_DIRECTORIES[preset][file_type] == directory
