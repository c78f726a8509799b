import pytest

from civsync.documents.templates import FIELDS, Template, TemplateError

FILLED = {
    "type": "LORA",
    "base_model": "SD 1.5",
    "creator": "some/one",
    "model": "A: B",
    "name": "weights.v2",
    "ext": "safetensors",
    "file_id": "7",
    "tag": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "", id="the root itself"),
        pytest.param("loras", "loras", id="literal"),
        pytest.param("loras/{base_model}/{creator}", "loras/SD 1.5/some_one", id="fields"),
        pytest.param("{type}-{model}", "LORA-A_ B", id="two fields in one component"),
        pytest.param("{{{type}}}", "{LORA}", id="literal braces"),
        pytest.param("x/{tag}", "x/unknown", id="empty value"),
        pytest.param("x/{quant}", "x/unknown", id="missing value"),
        pytest.param("cafe\u0301", "caf\u00e9", id="normal form"),
    ],
)
def test_a_directory_is_filled_in(text: str, expected: str) -> None:
    assert Template.parse(text, kind="directory").render(FILLED, 7) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("photo.{ext}", "photo.safetensors", id="fixed"),
        pytest.param("{name}.{ext}", "weights.v2.safetensors", id="as it is"),
        pytest.param("{model}.{ext}", "A_ B~7.safetensors", id="changed, so marked"),
        pytest.param("{creator}-{file_id}.{ext}", "some_one-7~7.safetensors", id="separator"),
    ],
)
def test_a_file_name_is_filled_in_and_marked_where_it_had_to_change(
    text: str, expected: str
) -> None:
    assert Template.parse(text, kind="filename").render(FILLED, 7) == expected


@pytest.mark.parametrize("kind", ["directory", "filename"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("/abs", "'/", id="absolute"),
        pytest.param("a/../../b", "'a/../../b'", id="climbs"),
        pytest.param("..", "'..'", id="dots"),
        pytest.param("..{model}", "'..{model}'", id="dots before a field"),
        pytest.param("a//b", "'a//b'", id="empty component"),
        pytest.param("a/", "'a/'", id="trailing slash"),
        pytest.param("a\\b", "'\\\\'", id="backslash"),
        pytest.param("~/x", "'~/x'", id="home"),
        pytest.param("CON", "'CON'", id="device"),
        pytest.param("nul.{ext}", "'nul.{ext}'", id="device with an extension"),
        pytest.param(".civsync", "civsync's own", id="control folder"),
        pytest.param(".CivSync/x", "", id="control folder in another case"),
        pytest.param("a?b", "'?'", id="forbidden character"),
        pytest.param("a\x1bb", "'\\x1b'", id="escape"),
        pytest.param("{model", "unbalanced", id="open brace"),
        pytest.param("model}", "unbalanced", id="closing brace"),
        pytest.param("{}", "the fields are", id="no field"),
        pytest.param("{model!r}", "the fields are", id="conversion"),
        pytest.param("{model:>5}", "", id="format"),
        pytest.param("{model.__class__}", "the fields are", id="attribute"),
        pytest.param("x" * 900, "", id="too long"),
    ],
)
def test_a_template_that_could_leave_the_root_is_refused(text: str, said: str, kind: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text, kind="directory" if kind == "directory" else "filename")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "a/b", "{creator}/{name}"])
def test_a_file_name_is_exactly_one_component(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(text, kind="filename")


def test_too_many_components_leave_no_room_for_the_file() -> None:
    assert Template.parse("/".join("a" * 23), kind="directory").render({}).count("/") == 22
    with pytest.raises(TemplateError, match="24 components"):
        Template.parse("/".join("a" * 24), kind="directory")


def test_an_unknown_field_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse("loras/{creater}", kind="directory")
    assert caught.value.hint == "Did you mean `creator`?"
    for field in FIELDS:
        assert field in str(caught.value)
