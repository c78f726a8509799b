"""Laws of templates: whatever the fields hold, the path stays inside the root."""

from hypothesis import example, given
from hypothesis import strategies as st

from civsync.core.limits import NAME_BYTES, PATH_DEPTH
from civsync.core.names import is_safe_name, join, parse_path
from civsync.documents.templates import (
    DIRECTORY_BYTES,
    FIELDS,
    Kind,
    Template,
    TemplateError,
)

HOSTILE = st.one_of(
    st.text(),
    st.text(min_size=200, max_size=500),
    st.text(alphabet="./\\:~ \x00\x1bé\u0301\u202e"),
    st.sampled_from(["..", ".", "/etc/passwd", "CON", "nul.txt", ".civsync", "\ud800", "a/../b"]),
)
FILLED = st.fixed_dictionaries(dict.fromkeys(FIELDS, HOSTILE))


def is_template(text: str, kind: Kind) -> bool:
    try:
        Template.parse(text, kind=kind)
    except TemplateError:
        return False
    return True


PIECE = st.one_of(
    st.sampled_from([f"{{{field}}}" for field in FIELDS]),
    st.sampled_from(["a", "-", ".", " ", "{{", "}}", "con", "é", "e\u0301"]),
    st.text(max_size=3),
)
COMPONENT = st.builds("".join, st.lists(PIECE, min_size=1, max_size=4)).filter(
    lambda text: is_template(text, "filename")
)
TEMPLATE = st.builds("/".join, st.lists(COMPONENT, max_size=6)).filter(
    lambda text: is_template(text, "directory")
)


@given(TEMPLATE, FILLED)
@example("{creator}", dict.fromkeys(FIELDS, ".civsync"))
@example("/".join(["{model}"] * 23), dict.fromkeys(FIELDS, "é" * 300))
@example("con{model}", dict.fromkeys(FIELDS, " "))
def test_a_rendered_directory_is_a_lawful_path_of_as_many_components(
    text: str, fields: dict[str, str]
) -> None:
    template = Template.parse(text, kind="directory")
    path = template.render(fields)
    if text:
        assert parse_path(path) == path
    else:
        assert path == ""
    assert len(path.encode()) <= DIRECTORY_BYTES
    assert path.count("/") == text.count("/") < PATH_DEPTH
    assert not path.startswith(".civsync")


@given(COMPONENT, FILLED, st.none() | st.integers(0, 2**31 - 1))
@example("{name}.{ext}", dict.fromkeys(FIELDS, "../../x"), 7)
def test_a_rendered_file_name_is_one_safe_component(
    text: str, fields: dict[str, str], mark: int | None
) -> None:
    name = Template.parse(text, kind="filename").render(fields, mark)
    assert is_safe_name(name)
    assert len(name.encode()) <= NAME_BYTES


@given(FILLED)
def test_the_longest_directory_leaves_room_for_the_longest_name(fields: dict[str, str]) -> None:
    deep = Template.parse("/".join(["{creator}{name}"] * (PATH_DEPTH - 1)), kind="directory")
    join(deep.render(fields), Template.parse("{name}", kind="filename").render(fields))


@given(st.text())
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    assert is_template(text, "directory") in (True, False)
    assert is_template(text, "filename") in (True, False)
