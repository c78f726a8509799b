"""What the README and docs say is so: commands, flags, codes, variables, keys, folders, links."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from civsync.cli.credentials import COMMAND_VARIABLE, VARIABLES
from civsync.cli.main import COMMANDS, civsync
from civsync.cli.options import Context
from civsync.core.notes import STATUSES
from civsync.documents.layout_tables import PRESETS, ROOT_OF
from civsync.documents.manifest import read_manifest
from civsync.documents.schema_files import schema_text
from civsync.documents.templates import FIELDS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = (PROJECT / "docs" / "manifest.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

DOCUMENTS = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md")]

DEBUG_VARIABLE = "CIVSYNC_DEBUG"
"""Read by the last border of the command line, before there are options."""


def blocks(language: str, text: str = README) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title: str, text: str = README) -> str:
    """Return the text below a heading, up to the next one."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> set[str]:
    """Return what stands in code in the first column of a table of the reference."""
    lines = [line for line in section(title, REFERENCE).splitlines() if line.startswith("| `")]
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table in a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group by the words that call it."""
    with click.Context(civsync) as context:
        for name in civsync.list_commands(context):
            command = civsync.get_command(context, name)
            assert command is not None
            yield name, command
            if isinstance(command, click.Group):
                for below, each in command.commands.items():
                    yield f"{name} {below}", each


ALL_COMMANDS = dict(every_command())


def options() -> Iterator[click.Option]:
    """Yield every option of every command."""
    for command in (civsync, *ALL_COMMANDS.values()):
        yield from (each for each in command.params if isinstance(each, click.Option))


@pytest.mark.parametrize(
    ("what", "then"),
    [(".", "civsync demo"), ("'.[test]'", "pytest -q -n auto")],
    ids=["demo", "tests"],
)
def test_each_of_the_two_commands_is_a_code_block_of_its_own(what: str, then: str) -> None:
    line = f"python3 -m venv .venv && .venv/bin/pip install -q {what} && .venv/bin/{then}\n"

    assert line in blocks("sh")


MANIFESTS = [*blocks("yaml"), *blocks("yaml", REFERENCE)]


@pytest.mark.parametrize("text", MANIFESTS, ids=range(len(MANIFESTS)))
def test_every_manifest_that_is_shown_can_be_copied(text: str) -> None:
    assert read_manifest(text).entries


@pytest.mark.parametrize(
    ("title", "pointer"),
    [
        ("At the top", ("properties",)),
        ("A root of several", ("$defs", "root", "properties")),
        ("An entry", ("$defs", "entry", "properties")),
        ("A search", ("$defs", "search", "properties")),
        ("An item of `files`", ("$defs", "file", "properties")),
    ],
    ids=["top", "root", "entry", "search", "file"],
)
def test_the_reference_names_every_key_of_the_schema_and_no_other(
    title: str, pointer: tuple[str, ...]
) -> None:
    keys = json.loads(schema_text("manifest"))
    for step in pointer:
        keys = keys[step]

    assert first_cells(title) == set(keys)


def test_the_reference_names_every_key_of_prefer_and_policy() -> None:
    defined = json.loads(schema_text("manifest"))["$defs"]
    keys = {f"{each}.{key}" for each in ("prefer", "policy") for key in defined[each]["properties"]}

    assert first_cells("`prefer` and `policy`") == keys


def test_the_reference_and_the_readme_name_every_field_of_templates() -> None:
    chosen = section("How files are chosen")

    assert first_cells("Templates") == set(FIELDS)
    assert [field for field in FIELDS if f"`{field}`" not in chosen] == []


def test_every_command_is_in_the_table_and_no_other() -> None:
    named = set(re.findall(r"`civsync ([a-z ]+[a-z])", " ".join(r[0] for r in rows("Commands"))))
    groups = {name for name, each in ALL_COMMANDS.items() if isinstance(each, click.Group)}

    assert named == set(ALL_COMMANDS) - groups
    assert {name.split()[0] for name in named} == set(COMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_shows_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = re.findall(r"(?:`|^|\$ |bin/)civsync ([a-z]+)", text, re.MULTILINE)
    in_prose = {"says", "is", "does", "makes"}

    assert set(shown) - in_prose <= set(COMMANDS)


@pytest.mark.parametrize("words", ALL_COMMANDS)
def test_help_works_for_every_command(words: str) -> None:
    told = CliRunner().invoke(civsync, [*words.split(), "--help"], obj=Context())

    assert told.exit_code == 0
    assert told.output.startswith(f"Usage: civsync {words}")


def test_every_option_has_a_help_text() -> None:
    assert [each.opts for each in options() if not each.help] == []


def test_every_flag_that_the_readme_names_exists() -> None:
    theirs = section("Other tools")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README.replace(theirs, "")))
    known = {flag for each in options() for flag in (*each.opts, *each.secondary_opts)}

    assert named <= known


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert rows("Exit codes") == [[str(int(each)), STATUSES[each]] for each in sorted(STATUSES)]


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    read = {str(each.envvar) for each in options() if each.envvar}
    documented = set(re.findall(r"\b(?:CIVSYNC|CIVITAI)_[A-Z_]+", section("Environment")))

    assert documented == read | {COMMAND_VARIABLE, DEBUG_VARIABLE, *VARIABLES}


def test_flags_that_loosen_a_guard_have_no_variable() -> None:
    guarded = {
        *("allow_prune", "apply_from", "force_modified", "new_root", "prune_unselected"),
        *("empty_trash", "plan_to", "unprotect", "no_fsync"),
    }

    assert [each.name for each in options() if each.name in guarded and each.envvar] == []


def test_the_table_of_layouts_is_that_of_the_program() -> None:
    types = ("Checkpoint", "LORA", "TextualInversion")

    assert rows("Layouts") == [
        [f"`{name}`", ROOT_OF[name], *(f"`{table[each]}`" if table[each] else "" for each in types)]
        for name, table in PRESETS.items()
    ]


def test_every_dependency_is_explained_and_no_other() -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["keyring"]]
    names = [re.split(r"[^\w-]", each, maxsplit=1)[0].casefold() for each in wanted]

    assert sorted(row[0].split("`")[1] for row in rows("Dependencies")) == sorted(names)


def test_every_package_for_development_is_named() -> None:
    wanted = PYPROJECT["project"]["optional-dependencies"]["test"]
    names = [re.split(r"[^\w-]", each, maxsplit=1)[0] for each in wanted]

    assert [name for name in names if f"`{name}`" not in section("Dependencies")] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_link_to_a_heading_leads_to_one() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors
