import pytest

from civsync.documents.layout_tables import (
    DEFAULT_DIRECTORY,
    FILE_TYPE_DIRECTORIES,
    PRESETS,
)
from civsync.documents.layouts import (
    PRESET_NAMES,
    UnknownLayoutError,
    UserLayout,
    build_layout,
    type_key,
)
from civsync.documents.templates import Template
from civsync.documents.vocabulary import UnknownWordError


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_is_its_tables(name: str) -> None:
    layout = build_layout(name)
    assert layout.name == name
    assert layout.by_model_type == PRESETS[name]
    assert layout.by_file_type == FILE_TYPE_DIRECTORIES[name]
    assert layout.fallback == DEFAULT_DIRECTORY[name]


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_template_of_a_preset_is_proved_safe(name: str) -> None:
    layout = build_layout(name)
    for text in (*layout.by_model_type.values(), *layout.by_file_type.values(), layout.fallback):
        assert Template.parse(text, kind="directory").render({}) == text


def test_a_directory_of_a_model_type_holds_for_files_of_that_kind_too() -> None:
    layout = build_layout("comfyui", directories={"LORA": "mine", "TextEncoder": "te"})
    assert layout.by_model_type["LORA"] == "mine"
    assert layout.by_file_type["Enhancement LoRA"] == "mine"
    assert layout.by_file_type["Text Encoder"] == "te"
    assert layout.by_model_type["DoRA"] == "loras"


def test_a_directory_of_a_file_type_wins_for_such_files() -> None:
    directories = {"Enhancement LoRA": "enhance", "LORA": "mine"}
    for each in (directories, dict(reversed(directories.items()))):
        layout = build_layout("comfyui", directories=each)
        assert layout.by_file_type["Enhancement LoRA"] == "enhance"
        assert layout.by_model_type["LORA"] == "mine"


@pytest.mark.parametrize("word", ["VAE", "UNet", "CLIPVision", "Upscaler"])
def test_a_word_that_is_both_kinds_of_type_sets_both(word: str) -> None:
    layout = build_layout("comfyui", directories={word: "mine"})
    assert layout.by_model_type[word] == layout.by_file_type[word] == "mine"


def test_controlnet_is_one_word_in_two_spellings() -> None:
    for word in ("Controlnet", "ControlNet"):
        layout = build_layout("comfyui", directories={word: "mine"})
        assert layout.by_model_type["Controlnet"] == "mine"
        assert layout.by_file_type["ControlNet"] == "mine"


def test_other_is_where_unknown_types_go_and_leaves_other_files_with_their_model() -> None:
    layout = build_layout("comfyui", directories={"Other": "misc"})
    assert layout.by_model_type["Other"] == layout.fallback == "misc"
    assert "Other" not in layout.by_file_type


def test_a_type_that_is_newer_than_this_program_is_taken() -> None:
    layout = build_layout("comfyui", directories={"Hologram": "holograms"})
    assert layout.by_model_type["Hologram"] == "holograms"
    assert layout.by_file_type["Hologram"] == "holograms"


def test_a_users_layout_extends_a_preset_and_is_overridden_by_the_manifest() -> None:
    mine = UserLayout(extends="a1111", directories={"LORA": "from layout", "VAE": "from layout"})
    layout = build_layout("mine", layouts={"mine": mine}, directories={"LORA": "from manifest"})
    assert layout.name == "mine"
    assert layout.by_model_type["LORA"] == "from manifest"
    assert layout.by_model_type["VAE"] == "from layout"
    assert layout.by_model_type["Checkpoint"] == "models/Stable-diffusion"


def test_a_users_layout_may_start_from_nothing() -> None:
    layout = build_layout("mine", layouts={"mine": UserLayout(directories={"VAE": "v"})})
    assert layout.by_model_type == {"VAE": "v"}
    assert layout.by_file_type == {"VAE": "v"}
    assert layout.fallback == "other"


def test_an_unknown_layout_lists_what_there_is_and_the_nearest() -> None:
    with pytest.raises(UnknownLayoutError) as caught:
        build_layout("confyui", layouts={"mine": UserLayout()})
    for name in (*PRESET_NAMES, "mine"):
        assert name in str(caught.value)
    assert caught.value.hint == "Did you mean `comfyui`?"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("LORA", "LORA"),
        ("Lora", "LORA"),
        ("controlnet", "Controlnet"),
        ("ControlNet", "ControlNet"),
        ("text encoder", "Text Encoder"),
        ("Workflow", "Workflow"),
        ("model", "Model"),
        ("Hologram", "Hologram"),
    ],
)
def test_a_type_is_known_in_any_case_and_kept_if_unknown(word: str, expected: str) -> None:
    assert type_key(word) == expected


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Loras", "LORA"),
        ("Checkpoints", "Checkpoint"),
        ("TextualInversions", "TextualInversion"),
        ("Embedding", "TextualInversion"),
        ("LyCORIS", "LoCon"),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(word: str, meant: str) -> None:
    with pytest.raises(UnknownWordError) as caught:
        type_key(word)
    assert caught.value.meant == meant
