import pytest

from civsync.core.catalog import RemoteFile
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.request import FileSelector, Preference, Request
from civsync.decide.kinds import true_format
from civsync.decide.select import LISTED, Selection, choose_files
from support.factories import remote_file, remote_model, remote_version, request


def choose(
    *files: RemoteFile, model_type: str = "Checkpoint", wanted: Request | None = None
) -> Selection:
    version = remote_version(40, files)
    return choose_files(version, remote_model(4, [version], type=model_type), wanted or request(4))


def ids(selection: Selection) -> list[int]:
    return [file.id for file in selection.files]


def refused(*files: RemoteFile, wanted: Request | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        choose(*files, wanted=wanted)
    return caught.value


FULL = remote_file(1, size_class="full")
PRUNED = remote_file(2, size_class="pruned")
PICKLE = remote_file(3, "m.ckpt", format="PickleTensor")
VAE = remote_file(4, "v.safetensors", type="VAE", format="Other", precision="", size_class="")
CONFIG = remote_file(5, "m.yaml", type="Config", format="Other", precision="", size_class="")
TRAINING = remote_file(6, "t.zip", type="Training Data", format="Other", precision="")
GGUF = remote_file(7, "m-Q8_0.gguf", format="GGUF", quant="Q8_0", precision="")
GGUF_Q4 = remote_file(8, "m-Q4_K_M.gguf", format="Other", quant="Q4_K_M", precision="")
NEGATIVE = remote_file(9, "n.safetensors", type="Negative")
ENCODER = remote_file(10, "e.safetensors", type="Text Encoder")
ARCHIVE = remote_file(11, "a.zip", type="Archive", format="Other")
ONNX = remote_file(12, "m.onnx", format="ONNX")
UNKNOWN = remote_file(13, "weights.xyz", format="Other")
ZIP_MODEL = remote_file(14, "pack.zip", format="Other")
WORKFLOW = remote_file(15, "w.json", type="Workflow", format="Other")
DIFFUSERS = remote_file(16, "d.zip", format="Diffusers")


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("a.safetensors", "Other", "SafeTensor"),
        ("a.safetensors", "PickleTensor", "SafeTensor"),
        ("a.SFT", "", "SafeTensor"),
        ("a.gguf", "", "GGUF"),
        ("a.pt", "SafeTensor", "PickleTensor"),
        ("<shuimo>.bin", "Other", "PickleTensor"),
        ("a.pth ", "SafeTensor", "PickleTensor"),
        ("a.pkl.", "SafeTensor", "PickleTensor"),
        ("a.onnx", "Other", "ONNX"),
        ("a.zip", "Other", "Archive"),
        ("a.zip", "SafeTensor", "Archive"),
        ("a.zip", "Diffusers", "Diffusers"),
        ("a.zip", "PickleTensor", "PickleTensor"),
        ("a", "SafeTensor", "SafeTensor"),
        ("a", "", ""),
        ("a.yaml", "Other", "Other"),
    ],
)
def test_a_known_extension_wins_over_a_label(name: str, label: str, expected: str) -> None:
    assert true_format(name, label) == expected


@pytest.mark.parametrize(
    ("model_type", "files", "expected"),
    [
        ("Checkpoint", [FULL, PRUNED, PICKLE, VAE, CONFIG, TRAINING], 2),
        ("Checkpoint", [VAE, ENCODER, FULL], 1),
        ("Checkpoint", [GGUF_Q4, GGUF], 7),
        ("Checkpoint", [GGUF, FULL], 1),
        ("Checkpoint", [TRAINING, ZIP_MODEL], 14),
        ("Checkpoint", [VAE], 4),
        ("Controlnet", [CONFIG, PRUNED], 2),
        ("Controlnet", [CONFIG], 5),
        ("LORA", [TRAINING, FULL], 1),
        ("LORA", [TRAINING], 6),
        ("LORA", [ARCHIVE, TRAINING, CONFIG], 11),
        ("VAE", [VAE, CONFIG], 4),
        ("CLIP", [CONFIG, ENCODER], 10),
        ("TextualInversion", [NEGATIVE, PRUNED], 2),
        ("TextualInversion", [NEGATIVE, CONFIG], 9),
        ("Poses", [TRAINING], 6),
        ("Poses", [TRAINING, ARCHIVE], 11),
        ("Workflows", [ARCHIVE, WORKFLOW], 15),
        ("Wildcards", [ZIP_MODEL], 14),
    ],
)
def test_the_default_is_what_the_model_is(
    model_type: str, files: list[RemoteFile], expected: int
) -> None:
    assert ids(choose(*files, model_type=model_type)) == [expected]
    assert ids(choose(*reversed(files), model_type=model_type)) == [expected]


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        (Preference(), 22),
        (Preference(format=("GGUF", "SafeTensor")), 24),
        (Preference(precision=("fp32",)), 23),
        (Preference(precision=("bf16", "FP32")), 23),
        (Preference(size=("full",), precision=("fp16",)), 21),
        (Preference(format=("gguf",), quant=("Q4_K_M",)), 25),
    ],
    ids=["default", "format", "precision", "listed-order", "size", "quant"],
)
def test_the_first_preference_that_exists_wins(prefer: Preference, expected: int) -> None:
    files = [
        remote_file(21, precision="fp16", size_class="full"),
        remote_file(22, precision="fp16", size_class="pruned"),
        remote_file(23, precision="fp32", size_class="pruned"),
        remote_file(24, "a.gguf", precision="", quant="Q8_0"),
        remote_file(25, "b.gguf", precision="", quant="Q4_K_M"),
    ]
    assert ids(choose(*files, wanted=request(4, prefer=prefer))) == [expected]


def test_unlisted_and_missing_values_rank_last() -> None:
    files = [remote_file(1, precision="nf4"), remote_file(2, precision=""), remote_file(3)]
    assert ids(choose(*files)) == [3]


def test_of_files_alike_the_lowest_id_wins_and_all_are_told() -> None:
    selection = choose(remote_file(9), remote_file(8, "other.safetensors"))
    assert ids(selection) == [8]
    (remark,) = selection.remarks
    assert remark[0] == "equal-candidates"
    assert "8 other.safetensors" in remark[1]
    assert "9 file9.safetensors" in remark[1]


def test_a_file_that_only_stands_for_the_model_is_told() -> None:
    assert [code for code, _ in choose(TRAINING).remarks] == ["no-weights"]
    assert choose(TRAINING, model_type="Poses").remarks == ()


def test_a_pruned_model_counts_as_pruned() -> None:
    old = remote_file(5, type="Pruned Model", size_class="")
    assert ids(choose(FULL, old)) == [5]
    assert choose(old).files[0].size_class == "pruned"


@pytest.mark.parametrize(
    ("files", "allow", "code"),
    [
        ([PICKLE], False, Code.PICKLE_DENIED),
        ([PICKLE, CONFIG], False, Code.PICKLE_DENIED),
        ([ONNX], False, Code.NO_MATCHING_FILE),
        ([ONNX, PICKLE], False, Code.NO_MATCHING_FILE),
        ([UNKNOWN], True, Code.NO_MATCHING_FILE),
        ([DIFFUSERS], False, Code.NO_MATCHING_FILE),
    ],
    ids=["pickle", "pickle-beside-config", "onnx", "both", "unknown-format", "diffusers"],
)
def test_formats_that_are_not_listed_are_never_chosen(
    files: list[RemoteFile], allow: bool, code: Code
) -> None:
    error = refused(*files, wanted=request(4, allow_pickle=allow))
    assert error.code is code
    assert files[0].name in error.message


def test_a_pickle_that_is_allowed_comes_after_everything_else() -> None:
    wanted = request(4, allow_pickle=True)
    assert ids(choose(PICKLE, wanted=wanted)) == [3]
    assert ids(choose(PICKLE, GGUF_Q4, wanted=wanted)) == [8]


def test_listing_pickles_as_a_preference_does_not_allow_them() -> None:
    wanted = request(4, prefer=Preference(format=("PickleTensor",)))
    assert refused(PICKLE, FULL, wanted=wanted).code is Code.PICKLE_DENIED


def test_a_very_long_list_is_cut() -> None:
    files = [remote_file(number, f"{number}.onnx") for number in range(1, 101)]
    error = refused(*files)
    assert f"and {100 - LISTED} more" in error.message


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (FileSelector(type="vae"), 4),
        (FileSelector(type="Config"), 5),
        (FileSelector(format="GGUF"), 7),
        (FileSelector(format="onnx"), 12),
        (FileSelector(id=12), 12),
        (FileSelector(id=6), 6),
        (FileSelector(size="full"), 1),
        (FileSelector(quant="q4_k_m"), 8),
        (FileSelector(name="*.yaml"), 5),
        (FileSelector(name="M-?4*.GGUF"), 8),
        (FileSelector(precision="fp16"), 2),
        (FileSelector(), 2),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value).partition("(")[2],
)
def test_a_selector_picks_the_best_file_that_it_describes(
    selector: FileSelector, expected: int
) -> None:
    files = [FULL, PRUNED, PICKLE, VAE, CONFIG, TRAINING, GGUF, GGUF_Q4, ONNX]
    wanted = request(4, selectors=[selector])
    assert ids(choose(*files, wanted=wanted)) == [expected]
    assert ids(choose(*reversed(files), wanted=wanted)) == [expected]


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        (FileSelector(id=3), Code.PICKLE_DENIED),
        (FileSelector(format="PickleTensor"), Code.PICKLE_DENIED),
        (FileSelector(name="*.ckpt"), Code.PICKLE_DENIED),
        (FileSelector(id=99), Code.NO_MATCHING_FILE),
        (FileSelector(name="[m]*"), Code.NO_MATCHING_FILE),
        (FileSelector(type="VAE"), Code.NO_MATCHING_FILE),
        (FileSelector(name="*.onnx"), Code.NO_MATCHING_FILE),
    ],
    ids=["id", "format", "name", "no-such-id", "brackets-are-plain", "type", "unlisted-format"],
)
def test_a_selector_is_not_above_the_policy(selector: FileSelector, code: Code) -> None:
    error = refused(PICKLE, FULL, ONNX, wanted=request(4, selectors=[selector]))
    assert error.code is code


def test_an_optional_selector_may_find_nothing() -> None:
    selectors = [FileSelector(type="Model"), FileSelector(type="VAE", optional=True)]
    selection = choose(FULL, wanted=request(4, selectors=selectors))
    assert ids(selection) == [1]
    assert [code for code, _ in selection.remarks] == ["optional-missing"]


def test_a_file_that_two_selectors_pick_counts_once() -> None:
    selectors = [FileSelector(type="VAE"), FileSelector(id=1), FileSelector(size="full")]
    assert ids(choose(FULL, VAE, wanted=request(4, selectors=selectors))) == [1, 4]


def test_the_chosen_file_carries_its_true_format() -> None:
    assert choose(remote_file(1, "a.safetensors", format="Other")).files[0].format == "SafeTensor"
