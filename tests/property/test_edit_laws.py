"""Laws of edits: whatever the manifest looks like, it reads as meant and the rest is as it was."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.problems import Place
from civsync.core.request import ById, Entry, Latest, Manifest, Newest, VersionSpec
from civsync.documents.manifest import read_manifest
from civsync.documents.manifest_edit import (
    Item,
    Spot,
    add_entries,
    remove_entry,
    set_key,
    unset_key,
)
from civsync.documents.nodes import Mapping, Sequence
from civsync.documents.yaml_text import parse_yaml

NOWHERE = Place(document="")
ADDED = 900_000
"""Ids from here on stand in no manifest that is made here."""

COMMENTS = st.sampled_from(["#", "# mine", "# - model: 5", "#- x: [", "# ä 日本 🎨: {", "## - #"])
LINES_BETWEEN = st.lists(st.one_of(st.just(""), COMMENTS), max_size=3)
TAILS = st.one_of(st.just(""), st.builds("  {}".format, COMMENTS))
REASONS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FORMS = ["plain", "single", "double", "block", "map", "lines of a map"]


def entry_lines(draw: st.DrawFn, number: int, form: str) -> list[str]:
    """Return an entry as YAML, its lines not indented."""
    link = f"https://civitai.com/models/{number}"
    match form:
        case "plain":
            return [link]
        case "single":
            return [f"'{link}?modelVersionId={number}'"]
        case "double":
            return [f'"{link}"']
        case "map":
            hold = draw(st.sampled_from(["", ", hold: 'x, # y'", ", priority: 3 "]))
            return [f"{{model: {number}{hold}}}"]
        case "lines of a map":
            return ["{", f"  model: {number},{draw(TAILS)}", f"  version: newest{draw(TAILS)}", "}"]
        case _:
            keys = [
                [f"model: {number}{draw(TAILS)}"],
                ["version: latest"],
                ["hold: 'it''s'" + draw(TAILS)],
                ["hold: |", "  two", "", "  lines"],
                ["files:", "- {type: VAE}" + draw(TAILS), "  # deeper", "- type: Model"],
                ["directory:", "  'a b'"],
            ]
            first, rest = keys[0], keys[1:]
            some = draw(st.lists(st.sampled_from(rest), unique_by=lambda key: key[0][:4]))
            order = draw(st.permutations([first, *some]))
            return [line for key in order for line in key]


def with_blanks(draw: st.DrawFn, indent: str) -> list[str]:
    """Return blank lines and comments that stand between entries."""
    lines = draw(LINES_BETWEEN)
    return [indent + draw(st.sampled_from(["", "  "])) + line if line else "" for line in lines]


def block_list(draw: st.DrawFn, count: int) -> list[str]:
    indent = " " * draw(st.sampled_from([0, 1, 2, 4]))
    lines = ["models:" + draw(TAILS)]
    for number in range(1, count + 1):
        gap = " " * draw(st.sampled_from([1, 1, 1, 3]))
        lines += with_blanks(draw, indent)
        first, *others = entry_lines(draw, number, draw(st.sampled_from(FORMS)))
        tail = "" if others else draw(TAILS)
        lines.append(f"{indent}-{gap}{first}{tail}")
        lines += [f"{indent} {gap}{line}" if line else "" for line in others]
    return lines


def flow_list(draw: st.DrawFn, count: int) -> list[str]:
    forms = [form for form in FORMS if form not in ("block", "lines of a map")]
    items = [
        entry_lines(draw, number, draw(st.sampled_from(forms)))[0] for number in range(1, count + 1)
    ]
    comma = draw(st.sampled_from(["", ","])) if items else ""
    if draw(st.booleans()):
        return [f"models: [{', '.join(items)}{comma}]{draw(TAILS)}"]
    lines = ["models: [" + draw(TAILS)]
    for index, item in enumerate(items):
        lines.append(f"  {item}{',' if index < count - 1 else comma}{draw(TAILS)}")
    return [*lines, "]"]


@st.composite
def manifests(draw: st.DrawFn, *, least: int = 1) -> str:
    """Make the text of a manifest with models 1, 2, ... in every style."""
    count = draw(st.integers(least, 4))
    make: Callable[[st.DrawFn, int], list[str]] = draw(st.sampled_from([block_list, flow_list]))
    models = make(draw, count) if count or make is flow_list else ["models: []" + draw(TAILS)]
    before = [["version: 1" + draw(TAILS)], ["# a comment", ""], ["root: 'm'"]]
    after = [["directories:", "  LORA: x  # here"], ["", "# the end"], ["layout: flat", ""]]
    lines = [line for block in draw(st.permutations(before)) for line in block]
    lines += models
    lines += with_blanks(draw, draw(st.sampled_from(["", "    "])))
    lines += [line for block in after if draw(st.booleans()) for line in block]
    eol = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    mark = draw(st.sampled_from(["", "", "\ufeff"]))
    # Whether a text in lines ends with a line break would depend on what comes after it.
    last = eol if any("hold: |" in line for line in models) else draw(st.sampled_from(["", eol]))
    return mark + eol.join(lines) + last


def read(text: str) -> Manifest:
    """Read a manifest whose entries have forgotten where they stood."""
    manifest = read_manifest(text)
    entries = tuple(replace(entry, place=NOWHERE) for entry in manifest.entries)
    return replace(manifest, entries=entries)


def is_within(part: str, whole: str) -> bool:
    """Tell whether `whole` can be got from `part` by putting characters in."""
    rest = iter(whole)
    return all(character in rest for character in part)


def is_long(text: str, spot: Spot) -> bool:
    """Tell whether an entry has keys, and is no mere link."""
    root = parse_yaml(text, name="").root
    models = root.get("models") if isinstance(root, Mapping) else None
    return isinstance(models, Sequence) and isinstance(models.items[spot.index], Mapping)


def long_form(number: int) -> Item:
    return {"model": number, "version": "newest", "files": [{"type": "VAE"}, {"name": "*, #.y"}]}


ITEMS = st.sampled_from(
    [
        (f"https://civitai.com/models/{ADDED}?modelVersionId={ADDED}", ADDED, ById(ADDED)),
        (f"urn:air:sdxl:lora:civitai:{ADDED}@{ADDED}.safetensors", ADDED, ById(ADDED)),
        (f"https://civitai.com/models/{ADDED}", ADDED, Latest()),
        (long_form(ADDED), ADDED, Newest()),
    ]
)


@given(text=manifests(least=0), wanted=ITEMS)
def test_an_added_entry_comes_last_and_takes_nothing_away(
    text: str, wanted: tuple[Item, int, VersionSpec]
) -> None:
    item, model, version = wanted
    new = add_entries(text, [item])
    before, after = read(text), read(new)
    *others, last = after.entries
    assert before == replace(after, entries=tuple(others))
    assert (last.request.model_id, last.request.version) == (model, version)
    empty = text.replace("[]", "", 1) if not before.entries else text
    assert is_within(text, new) or is_within("".join(empty.split()), new)


@given(text=manifests(), wanted=ITEMS)
def test_adding_and_removing_again_gives_the_same_bytes(
    text: str, wanted: tuple[Item, int, VersionSpec]
) -> None:
    count = len(read(text).entries)
    new = add_entries(text, [wanted[0], long_form(ADDED + 1)])
    new = remove_entry(new, Spot(section="models", index=count + 1))
    assert text == remove_entry(new, Spot(section="models", index=count))


@given(text=manifests(), choice=st.integers(0, 3))
def test_removing_an_entry_leaves_the_others_and_only_takes_away(text: str, choice: int) -> None:
    before = read(text)
    index = choice % len(before.entries)
    new = remove_entry(text, Spot(section="models", index=index))
    kept = before.entries[:index] + before.entries[index + 1 :]
    assert replace(before, entries=kept) == read(new)
    assert is_within(new, text) or (not kept and is_within(new.replace(" []", "", 1), text))


@given(text=manifests(), choice=st.integers(0, 3), reason=REASONS)
def test_holding_an_entry_changes_nothing_else(text: str, choice: int, reason: str) -> None:
    before = read(text)
    index = choice % len(before.entries)
    new = set_key(text, Spot(section="models", index=index), "hold", reason)
    held: list[Entry] = list(before.entries)
    held[index] = replace(held[index], hold=reason)
    assert replace(before, entries=tuple(held)) == read(new)
    if before.entries[index].hold is None:
        assert is_within(text, new)


@given(text=manifests(), choice=st.integers(0, 3), reason=REASONS)
def test_holding_and_letting_go_again_gives_the_same_bytes(
    text: str, choice: int, reason: str
) -> None:
    before = read(text)
    spot = Spot(section="models", index=choice % len(before.entries))
    if before.entries[spot.index].hold is not None:
        text = unset_key(text, spot, "hold")
    once = set_key(text, spot, "hold", reason)
    free = unset_key(once, spot, "hold")
    assert read(text) == read(free)
    if is_long(text, spot):
        assert free == text
    assert once == set_key(free, spot, "hold", reason)
