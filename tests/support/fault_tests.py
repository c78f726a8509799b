"""Find the tests that stand for a row of `fault_rows`, and write `tests/FAULTS.md`.

Test files are read, not imported. To bring the list up to date:
`PYTHONPATH=tests python -m support.fault_tests`.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.fault_rows import ROWS, SECTIONS, Row

TESTS: Final = Path(__file__).parent.parent
LIST: Final = TESTS / "FAULTS.md"

REAL_FOLDERS: Final = frozenset({"integration", "contract", "crash"})
REAL_PARTS: Final = frozenset(
    {"support.cli", "support.shop", "support.wired_world", "civsync.wire.transport"}
)
"""A module that imports one of these runs the command line or moves bytes over sockets."""

_MARKER: Final = "pytest.mark.fault"

HEAD: Final = """\
# Faults and their tests

Every fault of a connection, of a reply or of a disk that civsync must survive, what it must do
then, and the tests that make it happen, through the command line or the real transport.

Made by `PYTHONPATH=tests python -m support.fault_tests` from the markers of the tests.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One marker: where it stands, and what it names. `test` is "" if it is on no test."""

    file: str
    test: str
    line: int
    row: str
    faults: tuple[str, ...]
    real: bool
    """Whether the file may stand for a row: a real part is used, in a folder for such tests."""

    def __str__(self) -> str:
        """Return where it stands, for messages."""
        return f"{self.file}:{self.line}"


def marked_tests(folder: Path = TESTS) -> list[Marked]:
    """Return every use of the marker below `folder`, in the order of files and lines."""
    return [
        each
        for path in sorted(folder.rglob("test_*.py"))
        if _MARKER in (source := path.read_text(encoding="utf-8"))
        for each in _in_source(source, path.relative_to(folder).as_posix())
    ]


def complaints(marked: Sequence[Marked], rows: Sequence[Row] = ROWS) -> list[str]:
    """Return what is wrong with the markers: nothing if every fault has a real test."""
    known = {row.id: row for row in rows}
    found = []
    for each in marked:
        if not each.test:
            found.append(f"{each}: the marker is on no test, or names something computed")
        elif each.row not in known:
            found.append(f"{each}: there is no row {each.row!r}")
        elif unknown := set(each.faults) - set(known[each.row].faults):
            found.append(f"{each}: row {each.row} has no fault {sorted(unknown)}")
        elif not each.faults:
            found.append(f"{each}: the marker names no fault of row {each.row}")
        elif not each.real:
            found.append(f"{each}: uses neither the command line nor the real transport")
    for row in rows:
        tested = {name for each in marked if each.row == row.id for name in each.faults}
        found += [f"{row.id}: no test for {name!r}" for name in row.faults if name not in tested]
    return found


def render(marked: Sequence[Marked], rows: Sequence[Row] = ROWS) -> str:
    """Return the list as Markdown."""
    text = HEAD
    for section, title in SECTIONS.items():
        text += f"\n## {section} {title}\n"
        for row in rows:
            if not row.id.startswith(f"{section}/"):
                continue
            text += f"\n### {row.id}\n\n{_capital(row.happens)}. {_capital(row.required)}.\n\n"
            for name in row.faults:
                tests = [
                    f"`{each.file}::{each.test}`"
                    for each in marked
                    if each.row == row.id and name in each.faults
                ]
                text += f"- {name}\n" + "".join(f"  - {test}\n" for test in tests)
    return text


def _in_source(source: str, file: str) -> Iterator[Marked]:
    tree = ast.parse(source)
    real = file.partition("/")[0] in REAL_FOLDERS and not REAL_PARTS.isdisjoint(_imports(tree))
    owners = {
        id(decorator): node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for decorator in node.decorator_list
    }
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or ast.unparse(node) != _MARKER:
            continue
        call = calls.get(id(node))
        words = [] if call is None else [each for each in call.args if _is_text(each)]
        whole = call is not None and words and len(words) == len(call.args) and not call.keywords
        texts = [ast.literal_eval(each) for each in words]
        yield Marked(
            file=file,
            test=owners.get(id(call), "") if whole else "",
            line=node.lineno,
            row=texts[0] if texts else "",
            faults=tuple(texts[1:]),
            real=real,
        )


def _imports(tree: ast.Module) -> set[str]:
    return {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    LIST.write_text(render(marked_tests()), encoding="utf-8")
