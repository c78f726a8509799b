import pytest

from civsync.core.codes import Code
from civsync.core.limits import MAX_ID
from civsync.documents.links import HOSTS, LinkError, Target, parse_target

PAGE = Target(model_id=4384)
VERSION = Target(model_id=4384, version_id=128713)
ONLY_VERSION = Target(version_id=128713)


@pytest.mark.parametrize("prefix", ["https://", "http://", "", "//", "https://www.", "www."])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/models/4384", PAGE),
        ("/models/4384/", PAGE),
        ("/models/4384/dreamshaper", PAGE),
        ("/models/4384/a/b?x=y#z", PAGE),
        ("/models/4384?modelVersionId=128713", VERSION),
        ("/models/4384/dreamshaper?modelVersionId=128713#gallery", VERSION),
        ("/model-versions/128713", ONLY_VERSION),
        ("/api/download/models/128713", ONLY_VERSION),
        ("/api/download/models/128713?fileId=9", Target(version_id=128713, file_id=9)),
        ("/api/v1/models/4384", PAGE),
        ("/api/v1/model-versions/128713", ONLY_VERSION),
        ("/api/v1/model-versions/mini/128713", ONLY_VERSION),
    ],
)
def test_every_form_of_link_on_every_host_is_understood(
    prefix: str, host: str, path: str, expected: Target
) -> None:
    assert parse_target(f"{prefix}{host}{path}") == expected


@pytest.mark.parametrize("prefix", ["urn:air:", "urn:", "air:", ""])
@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("sdxl:checkpoint:civitai:101055@128078", Target(model_id=101055, version_id=128078)),
        ("sd1:lora:civitai:101055", Target(model_id=101055)),
        ("sd1:lora:civitai:1@2+3", Target(model_id=1, version_id=2, file_id=3)),
        ("sd1:lora:civitai:1@2.safetensors", Target(model_id=1, version_id=2, format="SafeTensor")),
        (
            "flux2:vae:CivitAI:1@2+3.gguf",
            Target(model_id=1, version_id=2, file_id=3, format="GGUF"),
        ),
    ],
)
def test_every_form_of_air_is_understood(prefix: str, rest: str, expected: Target) -> None:
    assert parse_target(prefix + rest) == expected


def test_the_wishes_of_a_download_link_are_kept() -> None:
    link = (
        "https://civitai.com/api/download/models/130072"
        "?type=Pruned%20Model&format=SafeTensor&size=pruned&fp=fp16"
    )
    assert parse_target(link) == Target(
        version_id=130072,
        type="Pruned Model",
        format="SafeTensor",
        size="pruned",
        precision="fp16",
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("dreamshaper", id="a name"),
        pytest.param("https://example.com/models/4384", id="another host"),
        pytest.param("https://civitai.com.evil.example/models/4384", id="host as a prefix"),
        pytest.param("https://civitai.com@evil.example/models/4384", id="host as a user"),
        pytest.param("ftp://civitai.com/models/4384", id="another scheme"),
        pytest.param("file:///models/4384", id="a file"),
        pytest.param("https://civitai.com/", id="no page"),
        pytest.param("https://civitai.com/images/4384", id="another page"),
        pytest.param("https://civitai.com/models/dreamshaper", id="no number"),
        pytest.param("https://civitai.com/models/0", id="zero"),
        pytest.param("https://civitai.com/models/-1", id="negative"),
        pytest.param(f"https://civitai.com/models/{MAX_ID + 1}", id="above the largest id"),
        pytest.param("https://civitai.com/models/" + "9" * 1000, id="1000 digits"),
        pytest.param("https://civitai.com/models/٤٣٨٤", id="digits of another script"),
        pytest.param("https://civitai.com/models/4384?modelVersionId=x", id="no version id"),
        pytest.param("https://civitai.com/models/4?modelVersionId=1&modelVersionId=2", id="two"),
        pytest.param("https://civitai.com/models/43\n84", id="line break"),
        pytest.param("https://[civitai.com/models/4384", id="broken address"),
        pytest.param("https://civitai.com/models/../models/4384", id="dots"),
        pytest.param("urn:air:sdxl:checkpoint:civitai:x@1", id="AIR without a number"),
        pytest.param("urn:air:sdxl:checkpoint:civitai:1@latest", id="AIR with a word"),
        pytest.param("urn:air:sd1:lora:civitai:1@2.saftensors", id="AIR of no format"),
        pytest.param("https://civitai.com/models/4384?" + "a" * 3000, id="long"),
    ],
)
def test_what_points_at_no_model_is_refused(text: str) -> None:
    with pytest.raises(LinkError) as caught:
        parse_target(text)
    assert caught.value.code is Code.BAD_LINK
    assert len(str(caught.value)) < 200


def test_an_air_of_another_source_is_named() -> None:
    with pytest.raises(LinkError, match="huggingface"):
        parse_target("urn:air:sdxl:checkpoint:huggingface:stabilityai@main")


def test_a_bare_number_is_refused_with_both_readings() -> None:
    with pytest.raises(LinkError) as caught:
        parse_target(" 128713 ")
    assert caught.value.code is Code.AMBIGUOUS_ID
    assert "`model: 128713`" in caught.value.hint
    assert "`version: 128713`" in caught.value.hint
