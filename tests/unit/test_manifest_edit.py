"""Edits of a manifest's text: each row is a text, an edit, and every byte that comes out."""

import pytest

from civsync.documents.manifest_edit import (
    Item,
    Spot,
    UneditableError,
    add_entries,
    remove_entry,
    set_key,
    unset_key,
)

LINK = "https://civitai.com/models/9"
LONG: Item = {"model": 9, "version": "newest", "files": [{"type": "VAE"}], "groups": ["a", "b"]}


def models(index: int) -> Spot:
    return Spot(section="models", index=index)


ADDED: dict[str, tuple[str, Item, str]] = {
    "to a block list": (
        "version: 1\nmodels:\n  - a\nroot: m\n",
        LINK,
        f"version: 1\nmodels:\n  - a\n  - {LINK}\nroot: m\n",
    ),
    "to a list that is not indented": (
        "models:\n- a\n-   model: 1\n",
        LINK,
        f"models:\n- a\n-   model: 1\n-   {LINK}\n",
    ),
    "the long form": (
        "models:\n  - a\n",
        LONG,
        (
            "models:\n  - a\n  - model: 9\n    version: newest\n    files: [{type: VAE}]\n"
            "    groups: [a, b]\n"
        ),
    ),
    "the long form beside mappings in braces": (
        "models:\n  - {model: 1}\n  - a\n",
        LONG,
        (
            "models:\n  - {model: 1}\n  - a\n"
            "  - {model: 9, version: newest, files: [{type: VAE}], groups: [a, b]}\n"
        ),
    ),
    "above the comments at the end": (
        "models:\n  - a  # mine\n      # about a\n  # - b\n\n# the end\n",
        LINK,
        f"models:\n  - a  # mine\n      # about a\n  - {LINK}\n  # - b\n\n# the end\n",
    ),
    "without a last newline": ("models:\n  - a", LINK, f"models:\n  - a\n  - {LINK}"),
    "with CRLF": ("models:\r\n  - a\r\n", LINK, f"models:\r\n  - a\r\n  - {LINK}\r\n"),
    "with a byte order mark": (
        "\ufeffmodels:\n  - ä\n",
        LINK,
        f"\ufeffmodels:\n  - ä\n  - {LINK}\n",
    ),
    "to an empty list": (
        "models: []  # none yet\nroot: m\n",
        LINK,
        f"models:  # none yet\n  - {LINK}\nroot: m\n",
    ),
    "to an empty list, at the end": ("models: []", LINK, f"models:\n  - {LINK}"),
    "to no list": (
        "version: 1\nsearches: []\n",
        LINK,
        f"version: 1\nsearches: []\nmodels:\n  - {LINK}\n",
    ),
    "to a list in brackets": ("models: [a, b]\n", LINK, f"models: [a, b, {LINK}]\n"),
    "to a list in brackets with a last comma": (
        "models: [a, b,]",
        LINK,
        f"models: [a, b, {LINK},]",
    ),
    "to brackets with a line for each": (
        "models: [\n  a,\n  b  # mine\n]\n",
        LINK,
        f"models: [\n  a,\n  b,  # mine\n  {LINK}\n]\n",
    ),
    "to brackets with a line for each and a last comma": (
        "models: [\n  a,  # mine\n]\n",
        LINK,
        f"models: [\n  a,  # mine\n  {LINK},\n]\n",
    ),
    "to brackets that close in the last line": (
        "models: [\n  a,\n  b]\n",
        LINK,
        f"models: [\n  a,\n  b,\n  {LINK}]\n",
    ),
    "to JSON": (
        '{"version": 1, "models": ["a"]}',
        LONG,
        (
            '{"version": 1, "models": ["a", {"model": 9, "version": "newest", '
            '"files": [{"type": "VAE"}], "groups": ["a", "b"]}]}'
        ),
    ),
    "to JSON without a list": ('{"version": 1}', "a", '{"version": 1, "models": ["a"]}'),
    "below a text in lines": (
        "models:\n  - model: 1\n    hold: >\n      because\n      of\n\nroot: m\n",
        LINK,
        f"models:\n  - model: 1\n    hold: >\n      because\n      of\n  - {LINK}\n\nroot: m\n",
    ),
}


@pytest.mark.parametrize("case", ADDED.values(), ids=ADDED)
def test_an_entry_is_added_in_the_style_of_the_list(case: tuple[str, Item, str]) -> None:
    text, item, expected = case
    assert expected == add_entries(text, [item])


def test_several_entries_are_added_in_their_order() -> None:
    assert add_entries("models:\n  - a\n", ["b", {"model": 2}]) == (
        "models:\n  - a\n  - b\n  - model: 2\n"
    )
    assert add_entries("models: [a]\n", ["b", {"model": 2}]) == "models: [a, b, {model: 2}]\n"


REMOVED: dict[str, tuple[str, int, str]] = {
    "the first": ("models:\n  - a\n  - b\n", 0, "models:\n  - b\n"),
    "the last": ("models:\n  - a\n  - b\nroot: m\n", 1, "models:\n  - a\nroot: m\n"),
    "the only one": (
        "models:  # mine\n  # all of them\n\n  - a\nroot: m\n",
        0,
        "models: []  # mine\n  # all of them\n\nroot: m\n",
    ),
    "the only one, at the end of the text": ("models:\n  - a", 0, "models: []"),
    "one of many lines": (
        "models:\n- a\n-\n  model: 1\n  hold: |\n    - x\n\n- c\n",
        1,
        "models:\n- a\n\n- c\n",
    ),
    "its comments with it": (
        "models:\n  - a\n  # b is good\n  # and small\n  - b  # yes\n    # more of b\n\n  - c\n",
        1,
        "models:\n  - a\n\n  - c\n",
    ),
    "a heading of several stays": (
        "models:\n  # SDXL\n  - a\n  - b\n",
        0,
        "models:\n  # SDXL\n  - b\n",
    ),
    "what is commented out stays": (
        "models:\n  - a\n  # - old\n  - b\n",
        1,
        "models:\n  - a\n  # - old\n",
    ),
    "a comment at another column stays": (
        "models:\n  - a\n# ---\n  - b\n",
        1,
        "models:\n  - a\n# ---\n",
    ),
    "one pair of blank lines is enough": (
        "models:\n  - a\n\n  - b\n\n  - c\n",
        1,
        "models:\n  - a\n\n  - c\n",
    ),
    "no blank line is left at the end": ("models:\n  - a\n\n  - b\n", 1, "models:\n  - a\n"),
    "without a last newline": ("models:\r\n  - a\r\n  - b", 1, "models:\r\n  - a"),
    "from brackets, the first": ("models: [a, b, c]\n", 0, "models: [b, c]\n"),
    "from brackets, the middle": ("models: [a, b, c]\n", 1, "models: [a, c]\n"),
    "from brackets, the last": ("models: [a, b, c ]\n", 2, "models: [a, b ]\n"),
    "from brackets, the only one": ("models: [ a, ]\n", 0, "models: []\n"),
    "from brackets, the only line": (
        "models: [ # x\n  a, # a\n]\n",
        0,
        "models: [ # x\n   # a\n]\n",
    ),
    "from brackets, a line": (
        "models: [\n  a,\n  b, # b\n  c\n]\n",
        1,
        "models: [\n  a,\n  c\n]\n",
    ),
    "from brackets, the last line": (
        "models: [\n  a, # a\n  b # b\n]\n",
        1,
        "models: [\n  a # a\n]\n",
    ),
    "from JSON": ('{"models": ["a", {"model": 1}]}', 1, '{"models": ["a"]}'),
}


@pytest.mark.parametrize("case", REMOVED.values(), ids=REMOVED)
def test_an_entry_is_removed_with_what_is_meant_for_it_alone(case: tuple[str, int, str]) -> None:
    text, index, expected = case
    assert expected == remove_entry(text, models(index))


HELD: dict[str, tuple[str, str]] = {
    "a link": (
        "models:\n  - https://x/y  # mine\n  - b\n",
        'models:\n  - model: https://x/y  # mine\n    hold: "no more"\n  - b\n',
    ),
    "a link in quotes": ("models:\n-  'a'", "models:\n-  model: 'a'\n   hold: \"no more\""),
    "a link beside mappings in braces": (
        "models:\n  - a\n  - {model: 1}\n",
        'models:\n  - {model: a, hold: "no more"}\n  - {model: 1}\n',
    ),
    "a link in brackets": ("models: [a, b]", 'models: [{model: a, hold: "no more"}, b]'),
    "a link in JSON": ('{"models": ["a"]}', '{"models": [{"model": "a", "hold": "no more"}]}'),
    "a mapping": (
        "models:\n  - model: 1\n    files:\n      - {type: VAE}\n      # - other\n    # - end\n",
        (
            "models:\n  - model: 1\n    files:\n      - {type: VAE}\n      # - other\n"
            '    hold: "no more"\n    # - end\n'
        ),
    ),
    "a mapping in braces": (
        "models:\n- {model: 1,}\n",
        'models:\n- {model: 1, hold: "no more",}\n',
    ),
    "what is held": (
        "models:\n  - hold: old  # why\n    model: 1\n",
        'models:\n  - hold: "no more"  # why\n    model: 1\n',
    ),
    "what is held for a long reason": (
        "models:\n  - model: 1\n    hold: >-\n      old\n      reason\n    version: 2\n",
        'models:\n  - model: 1\n    hold: "no more"\n    version: 2\n',
    ),
    "what is held in the next line": (
        "models:\n  - model: 1\n    hold:\n      old\n",
        'models:\n  - model: 1\n    hold: "no more"\n',
    ),
}


@pytest.mark.parametrize("case", HELD.values(), ids=HELD)
def test_a_key_is_set_in_the_style_of_the_entry(case: tuple[str, str]) -> None:
    text, expected = case
    assert expected == set_key(text, models(0), "hold", "no more")


UNHELD: dict[str, tuple[str, str]] = {
    "the last key": ("models:\n- model: 1\n  hold: x # y\n    # z\n", "models:\n- model: 1\n"),
    "the first key": ("models:\n- hold: x # y\n  model: 1\n", "models:\n- model: 1\n"),
    "the first key above a comment": (
        "models:\n- hold: x\n  # what\n  model: 1\n",
        "models:\n- \n  # what\n  model: 1\n",
    ),
    "a key with lines": (
        "models:\n- model: 1\n  hold: |\n    x\n\n    y\n  version: 2\n",
        "models:\n- model: 1\n  version: 2\n",
    ),
    "in braces": ("models: [{hold: x, model: 1}]\n", "models: [{model: 1}]\n"),
}


@pytest.mark.parametrize("case", UNHELD.values(), ids=UNHELD)
def test_a_key_is_unset_with_its_line(case: tuple[str, str]) -> None:
    text, expected = case
    assert expected == unset_key(text, models(0), "hold")


def test_an_entry_of_the_searches_is_edited_too() -> None:
    text = "searches:\n  - tag: x\n    hold: y\n"
    spot = Spot(section="searches", index=0)
    assert unset_key(text, spot, "hold") == "searches:\n  - tag: x\n"
    assert remove_entry(text, spot) == "searches: []\n"


REASONS = {
    "words": ("V6 changes", '"V6 changes"'),
    "one word": ("broken", "broken"),
    "a boolean elsewhere": ("no", '"no"'),
    "a number": ("12", '"12"'),
    "null": ("null", '"null"'),
    "signs": ('a: "b" # c\\', '"a: \\"b\\" # c\\\\"'),
    "line breaks": ("a\nb\u2028c\x85", '"a\\u000ab\\u2028c\\u0085"'),
    "other scripts": ("日本 🎨", '"日本 🎨"'),
    "nothing to see": ("\x7f\x1b\ufeff\u200b", '"\\u007f\\u001b\\ufeff\\u200b"'),
    "the version of a name": ("v1.0", "v1.0"),
    "a glob": ("*.yaml", '"*.yaml"'),
    "the end of a line": ("x:", '"x:"'),
}


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS)
def test_a_value_is_quoted_where_it_needs_it(case: tuple[str, str]) -> None:
    reason, written = case
    assert set_key("models:\n- model: 1\n", models(0), "hold", reason) == (
        f"models:\n- model: 1\n  hold: {written}\n"
    )


def test_what_cannot_be_edited_safely_is_left_to_people_with_the_lines_to_write() -> None:
    text = "version: 1\nsearches: []\n...\n"
    with pytest.raises(UneditableError) as caught:
        add_entries(text, [LINK, {"model": 2, "hold": "a b"}])
    assert caught.value.lines == (f"  - {LINK}", "  - model: 2", '    hold: "a b"')
    assert caught.value.line is None


def test_a_hand_edit_names_its_line() -> None:
    text = "version: 1\nmodels:\n- a\n- >-\n  https://x/y\n"
    with pytest.raises(UneditableError) as caught:
        set_key(text, models(1), "hold", "x")
    assert (caught.value.line, caught.value.lines) == (4, ("hold: x",))


def test_a_text_that_no_file_can_hold_is_not_written() -> None:
    with pytest.raises(UneditableError):
        set_key("models:\n- model: 1\n", models(0), "hold", "\udc80")
